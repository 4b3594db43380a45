// The board: who has plugged in which lines under which names, in this process and in others. Nothing here knows of sockets.
import { admits, type Caller } from './grants.ts';
import { choose, type Line, lineKey, split } from './line.ts';
import { isLocalhost, parseTarget } from './names.ts';
import { isPeer, type News, nodeName, type Peer, type Place, type Provider } from './providers.ts';

export { type Line, LineRefused, lineKey } from './line.ts';
export {
  bracketed,
  isPeer,
  type News,
  type NodeAddress,
  nodeName,
  type Peer,
  type Place,
  type Provider,
} from './providers.ts';

/** Why a call cannot be put through; the text is for the caller's terminal. */
export class NoSuchLine extends Error {}
/** The line is there, and not for this caller. */
export class NotForYou extends Error {}

export interface BoardOptions {
  /** See `Board.publicNames`; by default false. */
  readonly publicNames?: boolean;
  /** Calls to one name go to its providers in turn, not to the newest. */
  readonly balance?: boolean;
  /** Hears of each change of a peer's lines. */
  changed?(peer: Peer): void;
  /** A newer connection of the same owner has a line that this one has, too. */
  overtaken?(peer: Peer): void;
  /** One that was doubted is no more: it has answered (`lives`), or is gone. */
  settled?(provider: Provider, lives: boolean): void;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** What is called: whose line it is, which one, and by which name. */
export interface Found {
  readonly provider: Provider;
  readonly line: Line;
  readonly name: string;
}

export class Board {
  /** Others than the owner may call lines by names that are not given by the file, too, and not only by the alias. May change. */
  publicNames: boolean;
  readonly #options: BoardOptions;
  /** Providers by alias and by each other name, newest first. One is in here while it has at least one line. */
  readonly #byName = new Map<string, Provider[]>();
  readonly #byOwner = new Map<string, Set<Provider>>();
  readonly #byId = new Map<string, Provider>();
  /** The other processes that live, by their ids. */
  readonly places = new Map<string, Place>();
  /** With `balance`, calls so far by what was called. */
  readonly #turns = new Map<string, number>();

  constructor(options: BoardOptions = {}) {
    this.#options = options;
    this.publicNames = options.publicNames ?? false;
  }

  /** Providers that have lines, by alias, newest first. */
  get providers(): Provider[] {
    const all = [...this.#byId.values()];
    return all.sort((a, b) => (a.alias === b.alias ? (isNewer(a, b) ? -1 : 1) : a.alias < b.alias ? -1 : 1));
  }

  /**
   * Plugs a line in. A peer's first one makes it the newest of its names: later than now as the clock has it, and later than
   * all that there are, however the clock of whoever they come from goes.
   * @throws LineRefused
   * @returns the line, with its port chosen if 0 was asked for
   */
  plug(peer: Peer, wanted: Line): Line {
    const line = choose(peer.lines, wanted);
    peer.lines.push(line);
    if (peer.lines.length === 1) {
      peer.since = Math.max((this.#options.now ?? Date.now)(), this.#latest(peer) + 1);
      this.#enter(peer);
    }
    this.#options.changed?.(peer);
    this.#overtake(peer);
    return line;
  }

  /** Takes a line out; undefined if there was none. */
  unplug(peer: Peer, wanted: Line): Line | undefined {
    const at = peer.lines.findIndex(
      line => lineKey(line) === lineKey(wanted) && (line.kind === 'unix' || line.host === (wanted as typeof line).host),
    );
    if (at < 0) return undefined;
    const [line] = peer.lines.splice(at, 1);
    if (peer.lines.length === 0) this.#withdraw(peer);
    this.#options.changed?.(peer);
    return line;
  }

  /** The peer has gone: all its lines with it. */
  remove(peer: Peer): void {
    if (peer.lines.length === 0) return;
    peer.lines.length = 0;
    this.#withdraw(peer);
    this.#options.changed?.(peer);
  }

  /** A peer is in doubt from now on, or not any more. */
  doubt(peer: Peer, doubted: boolean): void {
    if (peer.doubted === doubted) return;
    peer.doubted = doubted;
    if (peer.lines.length === 0) return;
    this.#options.changed?.(peer);
    if (!doubted) this.#options.settled?.(peer, true);
  }

  /** Something has happened in another process. What is said of one that is not up, or not any more, comes late and is not heeded. */
  learn(news: News): void {
    if ('up' in news) this.places.set(news.up.id, news.up);
    else if ('down' in news) {
      this.places.delete(news.down);
      for (const provider of this.#byId.values()) if (provider.place === news.down) this.#withdraw(provider);
    } else if (this.places.has(news.provider.place)) {
      const { provider } = news;
      const known = this.#byId.get(provider.id);
      const lives = provider.lines.length > 0;
      if (known) this.#withdraw(known, !lives);
      if (!lives) return;
      this.#enter(provider);
      if (known?.doubted && !provider.doubted) this.#options.settled?.(provider, true);
      this.#overtake(provider);
    }
  }

  /** What a provider is called by, whatever others there are: `alias~1`. */
  indexed(provider: Provider): string {
    return `${provider.alias}~${this.#byName.get(provider.alias)?.indexOf(provider) ?? 0}`;
  }

  /** Older connections of the same owner under the same name that have the line, too. */
  olderOf(provider: Provider, line: Line): Provider[] {
    const all = [...(this.#byOwner.get(provider.owner) ?? [])];
    return all.filter(
      other => other.name === provider.name && isNewer(provider, other) && lineOf(other, lineKey(line)),
    );
  }

  /** When the newest came of those that it is compared with. Of what is gone nothing is left. */
  #latest(peer: Peer): number {
    let latest = 0;
    for (const { since } of this.#byOwner.get(peer.owner) ?? []) latest = Math.max(latest, since);
    for (const name of namesOf(peer)) latest = Math.max(latest, this.#byName.get(name)?.[0]?.since ?? 0);
    return latest;
  }

  #overtake(provider: Provider): void {
    const older = new Set(provider.lines.flatMap(line => this.olderOf(provider, line)));
    for (const other of older) if (isPeer(other)) this.#options.overtaken?.(other);
  }

  #enter(provider: Provider): void {
    this.#byId.set(provider.id, provider);
    const owned = this.#byOwner.get(provider.owner) ?? new Set();
    this.#byOwner.set(provider.owner, owned.add(provider));
    for (const name of namesOf(provider)) {
      const others = this.#byName.get(name) ?? [];
      const at = others.findIndex(other => isNewer(provider, other));
      others.splice(at < 0 ? others.length : at, 0, provider);
      this.#byName.set(name, others);
    }
  }

  /** `gone`: for good, and not to come back with other lines. */
  #withdraw(provider: Provider, gone = true): void {
    if (!this.#byId.delete(provider.id)) return;
    const owned = this.#byOwner.get(provider.owner);
    owned?.delete(provider);
    if (owned?.size === 0) this.#byOwner.delete(provider.owner);
    for (const name of namesOf(provider)) {
      const others = this.#byName.get(name);
      const at = others?.indexOf(provider) ?? -1;
      if (others === undefined || at < 0) continue;
      others.splice(at, 1);
      if (others.length > 0) continue;
      this.#byName.delete(name);
      this.#turns.delete(name);
    }
    if (gone && provider.doubted) this.#options.settled?.(provider, false);
  }

  /**
   * Finds the line for a call: to `name:port`, or to `/name/path` for a socket. By a name without index it is the newest
   * provider that has the line, by `name~1` the second newest of the name, whatever lines it has. By localhost, 127.0.0.1 or ::1
   * it is a line of the very connection that calls, `peer`, and of no other: what a client expects to hear at a server on which
   * it listens (`autossh -M`).
   * @throws NoSuchLine, NotForYou
   */
  find(caller: Caller, target: Line, peer?: Peer): Found {
    // One's own sockets by the very path that was plugged in.
    if (target.kind === 'unix') {
      const provider = this.#own(caller).find(one => lineOf(one, target.path));
      if (provider !== undefined) return { provider, line: target, name: provider.alias };
    }
    const { host, key } = split(target);
    const { name, index } = parseTarget(host);
    if (isLocalhost(name)) {
      const line = peer && index === undefined ? lineOf(peer, key) : undefined;
      if (peer !== undefined && line !== undefined) return { provider: peer, line, name: peer.alias };
      throw new NoSuchLine(`${host} is your own connection, and it has no line on ${onPort(target)}${key}`);
    }
    const providers = this.#reached(caller, name);
    if (providers.length === 0) throw new NoSuchLine(`no line named ${host} is plugged in`);
    if (index !== undefined && index >= providers.length) {
      throw new NoSuchLine(`${name} has no provider number ${index}`);
    }
    const able = (index === undefined ? providers : [providers[index]]).filter(one => lineOf(one, key));
    if (able.length === 0) throw new NoSuchLine(`${host} has no line on ${onPort(target)}${key}`);
    const provider = this.#choose(able, name);
    return { provider, line: lineOf(provider, key)!, name };
  }

  /** Of several that have the line, one that answers. */
  #choose(able: readonly Provider[], name: string): Provider {
    const sure = able.filter(({ doubted }) => !doubted);
    const candidates = sure.length > 0 ? sure : able;
    if (!this.#options.balance || candidates.length === 1) return candidates[0];
    const turn = this.#turns.get(name) ?? 0;
    this.#turns.set(name, turn + 1);
    return candidates[turn % candidates.length];
  }

  /** The providers of a name that the caller may reach by it, newest first. */
  #reached(caller: Caller, name: string): readonly Provider[] {
    const { publicNames } = this;
    const all = this.#byName.get(name) ?? [];
    const isOwn = ({ owner }: Provider) => owner === caller.owner;
    const open = ({ alias, given }: Provider) => name === alias || publicNames || given.includes(name);
    // Whoever is named by `allow=` may use any name.
    const reached = all.filter(one => isOwn(one) || (admits(one.allow, caller) && (open(one) || one.allow)));
    if (reached.length > 0) return reached;
    if (all.some(open)) throw new NotForYou('this line is not for your key');
    // One's own by the plain host name; where names are public, a name is its owner's alone.
    return publicNames ? [] : this.#own(caller).filter(one => one.name === name);
  }

  /** Newest first. */
  #own({ owner }: Caller): Provider[] {
    return [...(this.#byOwner.get(owner) ?? [])].sort((a, b) => (isNewer(a, b) ? -1 : 1));
  }

  /**
   * Finds the line of a call by `name` that another process has put through to here: the connection must have both.
   * @throws NoSuchLine if it has not, or not any more
   */
  here(id: string, key: string, name: string): { peer: Peer; line: Line } {
    const peer = this.#byId.get(id);
    const line = peer && lineOf(peer, key);
    if (peer === undefined || !isPeer(peer) || line === undefined || !(namesOf(peer).has(name) || peer.name === name)) {
      throw new NoSuchLine('the line has been unplugged this moment');
    }
    return { peer, line };
  }

  /** The node of a provider, if that is another one. */
  nodeOf({ place }: Provider): string | undefined {
    const { node } = this.places.get(place) ?? {};
    return node && nodeName(node);
  }

  /** The place of a provider, wherever it is. */
  placeOf(id: string): Place | undefined {
    return this.places.get(this.#byId.get(id)?.place ?? '');
  }
}

const namesOf = ({ alias, names }: Provider): Set<string> => new Set([alias, ...names]);

/** The same on every board, also where two have plugged in at the same moment. */
function isNewer(a: Provider, b: Provider): boolean {
  return a.since === b.since ? a.id > b.id : a.since > b.since;
}

const onPort = ({ kind }: Line): string => (kind === 'tcp' ? 'port ' : '');

const lineOf = ({ lines }: Provider, key: string): Line | undefined => lines.find(line => lineKey(line) === key);
