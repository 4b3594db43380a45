// Plugging lines in and out: who may, under which names, and what becomes of an older connection that had them.
import { type Eventually, FORWARDED_PORT, type GlobalReply, pack, printable } from '../../protocol/index.ts';
import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import type { Access } from './access.ts';
import type { Events } from './events.ts';
import { type Hints, notNow, plugged, settled, tookOver } from './greeting.ts';
import { type Board, type Line, LineRefused, lineKey, type Peer, type Provider } from './lines.ts';
import { lineInfo, type Member } from './members.ts';
import { isLocalhost, looksLikeAlias } from './names.ts';
import type { Elsewhere } from './options.ts';
import type { Registry } from './registry.ts';
import type { Roster } from './roster.ts';

export interface PluggingOptions {
  readonly board: Board;
  readonly events: Events;
  readonly roster: Roster;
  readonly access: Access;
  readonly registry: Registry;
  readonly hints: Hints;
  readonly elsewhere?: Pick<Elsewhere, 'claim'>;
  readonly log: Logger;
}

export class Plugging {
  /** No lines are plugged in any more. */
  closed = false;
  readonly #options: PluggingOptions;
  /** Whose names are being settled: until they are. */
  readonly #naming = new WeakMap<Member, Promise<void>>();

  constructor(options: PluggingOptions) {
    this.#options = options;
  }

  /** `ssh -R` */
  plug(it: Member, wanted: Line): Eventually<GlobalReply> {
    // It is asked whose the name is, once for each connection, and all its lines wait for that.
    if (!it.named && !this.closed && it.lines.length === 0 && it.grant.mayListen(wanted)) {
      this.#naming.set(it, this.#settleNames(it));
    }
    const named = this.#naming.get(it);
    if (named === undefined) return this.#plug(it, wanted);
    return named.then(() => !it.client.connection.closed && this.#plug(it, wanted));
  }

  #plug(it: Member, wanted: Line): GlobalReply {
    const { board, events, hints } = this.#options;
    const refuse = (reason: string): false => {
      events.tell({ type: 'line-refused', client: it.info, line: printable(lineKey(wanted), 255), reason });
      return false;
    };
    if (this.closed) return refuse('the switchboard is going down');
    if (!it.grant.mayListen(wanted)) return refuse('the key may not plug it in');
    if (it.quotas.lines > 0 && it.lines.length >= it.quotas.lines) return refuse('it has too many lines');
    let line: Line;
    try {
      line = board.plug(it, wanted);
    } catch (error) {
      if (!(error instanceof LineRefused)) throw error;
      return refuse(error.message);
    }
    const older = board.olderOf(it, line);
    const over = older.length > 0 ? { over: older[0].id } : {};
    events.tell({ type: 'plugged', client: it.info, line: lineInfo(it, line), ...over });
    const nameless = it.named || it.lines.length > 1 ? '' : notNow(it.name, it.alias);
    const news = plugged(this.callName(it), [line], hints) + nameless;
    for (const say of it.greeted) say(older.length > 0 ? news + tookOver([lineKey(line)], older) : news);
    return line.kind === 'tcp' && lineKey(wanted) === '0' ? pack(FORWARDED_PORT, { port: line.port }) : true;
  }

  /** `ssh -O cancel -R` */
  unplug(it: Member, wanted: Line): boolean {
    const line = this.#options.board.unplug(it, wanted);
    if (line) this.#options.events.tell({ type: 'unplugged', client: it.info, line: lineInfo(it, line) });
    return line !== undefined;
  }

  /** Its client has gone. */
  unplugAll(it: Member): void {
    const lines = [...it.lines];
    this.#options.board.remove(it);
    for (const line of lines) {
      this.#options.events.tell({ type: 'unplugged', client: it.info, line: lineInfo(it, line) });
    }
  }

  // Names

  /**
   * Whoever plugs in a line under a name that nobody has, has it from now on. If that cannot be found out now, he has the alias only,
   * and is told by whoever greets him; when he plugs in a first line again, it is tried again.
   */
  async #settleNames(it: Member): Promise<void> {
    const { registry, elsewhere, log } = this.#options;
    it.named = true;
    if (!this.#isFree(it)) return;
    try {
      const claimed = await (elsewhere?.claim?.(it.name, it.owner) ?? registry.claim(it.name, it.owner));
      if (claimed) it.names = [...it.given, it.name];
    } catch (error) {
      it.named = false;
      log.warn({ client: it.id, name: it.name, reason: reason(error) }, 'a name cannot be claimed now');
    }
  }

  /** Whether the file leaves a member's host name to whoever comes first, or to himself if he has come. */
  #isFree({ name, given }: Member): boolean {
    return !given.includes(name) && !looksLikeAlias(name) && !isLocalhost(name) && !this.#options.access.gives(name);
  }

  /** What others call a provider's lines by. */
  callName({ names, given, alias }: Provider): string {
    return (this.#options.board.publicNames ? names[0] : given[0]) ?? alias;
  }

  /** The names that a banner shows, beside the alias: one that he will have as soon as he plugs in a line is among them. */
  shown(it: Member): readonly string[] {
    const { board, registry } = this.#options;
    if (it.names.length > 0 || !board.publicNames || !this.#isFree(it)) return it.names;
    try {
      return (registry.ownerOf(it.name) ?? it.owner) === it.owner ? [it.name] : [];
    } catch {
      return []; // a sign-in does not end by what cannot be read
    }
  }

  // Connections that may be dead

  /** A newer connection of the same owner has come: does this one still live? Whatever it answers, it does. */
  question(peer: Peer): void {
    if (peer.doubted) return;
    const { board } = this.#options;
    board.doubt(peer, true);
    const answered = () => board.doubt(peer, false);
    peer.client.connection.mux.request('keepalive@openssh.com', new Uint8Array(0)).then(answered, answered);
  }

  /** A connection that was doubted lives, or is gone: whoever has come after it hears of it. */
  settle(provider: Provider, lives: boolean): void {
    const name = lives ? this.#options.board.indexed(provider) : undefined;
    for (const it of this.#options.roster.of(provider.owner)) {
      if (it.name !== provider.name || it.since <= provider.since || it.lines.length === 0) continue;
      for (const say of it.greeted) say(settled(provider, name));
    }
  }
}
