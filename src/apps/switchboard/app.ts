// The switchboard: `ssh -R` plugs a line in under a name, `ssh -L/-W/-J/-D` is put through to it, and no port is ever opened. Policy only; the core carries it.
import { fingerprint } from '../../crypto/keys/index.ts';
import {
  type AuthAnswer,
  type ChannelOpen,
  Disconnect,
  type Eventually,
  type GlobalReply,
  type GlobalRequest,
  OpenFailure,
  printable,
  STREAMLOCAL_FORWARD,
  TCPIP_FORWARD,
  unpackHead,
} from '../../protocol/index.ts';
import { type OfferedKey, publicKeys } from '../../server/authenticators.ts';
import { detached, faultFields } from '../../server/detached.ts';
import { reason } from '../../server/runtime/reason.ts';
import { type ChannelOpenHandler, type Client, Server } from '../../server/server.ts';
import { sessions } from '../../server/session.ts';
import type { Visitor } from './access.ts';
import { Calls } from './calls.ts';
import type { Spent } from './circuits.ts';
import { withoutCode, withoutCodes } from './codes.ts';
import { type EventSource, Events, type Snapshot } from './events.ts';
import { signInBanner } from './greeting.ts';
import { Guests } from './guests.ts';
import { Board, type Line, type Provider } from './lines.ts';
import { lineInfo, type Member, member, nameOf, publicly } from './members.ts';
import { aliasOf } from './names.ts';
import type { Address, Policy, SwitchboardOptions } from './options.ts';
import { Plugging } from './plugging.ts';
import { Roster } from './roster.ts';
import { Desk } from './shell/desk.ts';
import { StateError } from './state.ts';
import { type Counter, Tally } from './tally.ts';
import { MAX_CIRCUITS } from './trunks.ts';

/** How often it is looked for circuits that have ended, when the server waits for that, in milliseconds. */
const DRAIN_TICK = 50;

export class Switchboard implements EventSource {
  readonly server: Server;
  /** Lines here, and in other processes as far as it is told (`Board.learn`). */
  readonly board: Board;
  readonly events: Events;
  policy: Policy;
  readonly #options: SwitchboardOptions;
  /** Weak, because a client may leave while its sign-in is being judged. */
  readonly #members = new WeakMap<Client, Member>();
  readonly #guests = new Guests();
  readonly #roster = new Roster();
  readonly #counter: Counter;
  readonly #calls: Calls;
  readonly #plugging: Plugging;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    this.policy = options.policy;
    this.events = new Events(error => options.log.error(faultFields(error), 'what has happened could not be told'));
    const { access, publicNames, balance, elsewhere } = options;
    this.board = new Board({
      ...{ publicNames, balance },
      changed: peer => elsewhere?.changed(publicly(peer)),
      overtaken: peer => this.#plugging.question(peer),
      settled: (provider, lives) => this.#plugging.settle(provider, lives),
    });
    const { board, events } = this;
    this.#plugging = new Plugging({ ...options, board, events, roster: this.#roster });
    this.#counter = elsewhere?.counter ?? new Tally().for('');
    this.#calls = new Calls({ board, events, log: options.log, counter: this.#counter, elsewhere });
    const desk = new Desk(this, options.hints, options.registry, options.log);
    const of = (client: Client) => this.#members.get(client)!;
    const tcp = ({ data }: GlobalRequest): Line => ({ kind: 'tcp', ...unpackHead(TCPIP_FORWARD, data) });
    const unix = ({ data }: GlobalRequest): Line => ({ kind: 'unix', ...unpackHead(STREAMLOCAL_FORWARD, data) });
    this.server = new Server({
      ...options.limits,
      provider: options.provider,
      hostKeys: options.hostKeys,
      log: withoutCodes(options.log),
      times: options.times,
      rekeyBytes: options.rekeyBytes,
      authenticators: [
        publicKeys({
          acceptable: async (offer, client) => {
            if (elsewhere?.isNode?.(offer)) return true;
            const visitor = await this.#visitor(offer, client);
            const able = access.acceptable(visitor);
            if (!able) return { result: 'reject', fault: able === undefined };
            return { result: 'accept', untouched: offer.presence !== undefined && access.untouched(visitor) };
          },
          proven: (offer, client) => this.#signIn(offer, client),
        }),
      ],
      channels: {
        ...this.#forMembers({
          'direct-tcpip': (open, client) => this.#calls.tcp(open, of(client)),
          'direct-streamlocal@openssh.com': (open, client) => this.#calls.unix(open, of(client)),
          session: sessions({
            exec: (command, session) => desk.exec(command, session, of(session.client)),
            shell: session => desk.shell(session, of(session.client)),
            pty: client => this.policy.pty && of(client).grant.pty,
          }),
        }),
        ...(elsewhere?.isNode && this.#guests.channels(this, this.#calls, elsewhere)),
      },
      requests: {
        'tcpip-forward': (request, client) => this.#plug(client, tcp(request)),
        'cancel-tcpip-forward': (request, client) => this.#unplug(client, tcp(request)),
        'streamlocal-forward@openssh.com': (request, client) => this.#plug(client, unix(request)),
        'cancel-streamlocal-forward@openssh.com': (request, client) => this.#unplug(client, unix(request)),
      },
      signedIn: client => this.#enter(client),
      gone: client => this.#leave(client),
    });
  }

  /** `sockets`, if there are any, are listened on in place of host and port: file descriptors. @throws StateError if that is not possible */
  async listen(host: string, port: number, sockets: readonly number[] = []): Promise<Address> {
    try {
      if (sockets.length === 0) return await this.server.listen(port, host);
      return (await Promise.all(sockets.map(fd => this.server.listenOn(fd))))[0];
    } catch (error) {
      const where = sockets.length > 0 ? 'the sockets that it was given' : `${host} port ${port}`;
      throw new StateError(`cannot listen on ${where}: ${reason(error)}`);
    }
  }

  /** A call that another worker passes on to this one. */
  arrive(open: ChannelOpen): void | Promise<void> {
    return this.#calls.arrive(open, 'worker');
  }

  /** What is for those who have signed in as somebody, and not for other switchboards. */
  #forMembers(handlers: Readonly<{ [type: string]: ChannelOpenHandler }>): { [type: string]: ChannelOpenHandler } {
    const guarded = (handler: ChannelOpenHandler): ChannelOpenHandler => {
      return (open, client) => {
        if (this.#members.has(client)) return handler(open, client);
        open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'a node makes calls and asks, and nothing else');
      };
    };
    return Object.fromEntries(Object.entries(handlers).map(([type, handler]) => [type, guarded(handler)]));
  }

  #plug(client: Client, line: Line): Eventually<GlobalReply> {
    const it = this.#members.get(client);
    return it !== undefined && this.#plugging.plug(it, line);
  }

  #unplug(client: Client, line: Line): boolean {
    const it = this.#members.get(client);
    return it !== undefined && this.#plugging.unplug(it, line);
  }

  // What others read

  subscribe(hear: Parameters<Events['subscribe']>[0]): () => void {
    return this.events.subscribe(hear);
  }

  snapshot(): Snapshot {
    return {
      clients: this.#roster.all.map(({ info }) => info),
      lines: this.board.providers.flatMap(provider => {
        const node = this.board.nodeOf(provider);
        return provider.lines.map(line => ({ ...lineInfo(provider, line), ...(node && { node }) }));
      }),
      circuits: this.#calls.circuits.infos,
    };
  }

  /** The same of all processes, and all nodes. */
  async survey(): Promise<Snapshot> {
    const { elsewhere } = this.#options;
    const own = elsewhere ? await elsewhere.survey() : this.snapshot();
    return elsewhere?.nodes?.join(own) ?? own;
  }

  // Signing in and leaving

  async #visitor(offer: OfferedKey, client: Client): Promise<Visitor> {
    const { address } = client;
    const { key, user, presence } = offer;
    return { key, user, presence, address, hostName: await this.#options.hostNameOf?.(address) };
  }

  /** The client has proved that it owns the key: now, and only now, it is known, enrolled, named. */
  async #signIn(offer: OfferedKey, client: Client): Promise<AuthAnswer> {
    const { access, aliasSecret, hints, elsewhere } = this.#options;
    if (elsewhere?.isNode?.(offer)) {
      this.#guests.admit(client);
      return { result: 'accept' };
    }
    const visitor = await this.#visitor(offer, client);
    const verdict = await access.admit(visitor);
    const { address, port } = client;
    const stranger = { address, port, user: printable(withoutCode(offer.user)), key: fingerprint(offer.key) };
    if ('refused' in verdict) {
      this.events.tell({ type: 'sign-in-refused', stranger, reason: verdict.refused });
      return { result: 'reject', fault: verdict.fault };
    }
    const { grant, enrolled } = verdict;
    if (enrolled) this.events.tell({ type: 'enrolled', stranger, ...(enrolled.by && { invitedBy: enrolled.by }) });
    const alias = aliasOf(aliasSecret, grant.seed, nameOf(grant));
    const it = member(client, visitor, grant, alias, elsewhere?.here ?? '', this.policy.quotas);
    const { owner } = it;
    if ((await this.#counter.take('client', [{ owner, limit: it.quotas.clients }])) !== undefined) {
      const reason = `your key has ${it.quotas.clients} connections already`;
      this.events.tell({ type: 'sign-in-refused', stranger, reason });
      client.connection.disconnect(Disconnect.TOO_MANY_CONNECTIONS, reason);
      return { result: 'reject' };
    }
    const give = () => this.#counter.give('client', [owner]);
    client.closed.then(give, give);
    this.#members.set(client, it);
    // `ssh -N` opens no session, so the banner is the only place where its user learns the alias.
    const older = this.#roster.of(owner).filter(({ name, lines }) => name === it.name && lines.length > 0);
    const addresses = [...new Set(older.map(other => other.address))];
    const banner = signInBanner(alias, hints, this.#plugging.shown(it), addresses);
    return { result: 'accept', untouched: grant.untouched, ...(grant.rights.includes('listen') && { banner }) };
  }

  #enter(client: Client): void {
    const it = this.#members.get(client);
    if (it === undefined) {
      client.connection.mux.maxChannels = MAX_CIRCUITS;
      return;
    }
    this.#roster.enter(it);
    this.events.tell({ type: 'signed-in', client: it.info });
    // Something may have changed since the key was judged, and whoever was sent away then was not on the roster yet.
    this.#roster.recheck(this.#options.access, it);
  }

  #leave(client: Client): void {
    const it = this.#members.get(client);
    if (it === undefined) return;
    this.#roster.leave(it);
    this.#plugging.unplugAll(it);
    const told = it.client.closed.then(({ message: reason }) =>
      this.events.tell({ type: 'signed-out', client: it.info, reason }),
    );
    detached(told, this.#options.log, 'what has happened could not be told');
  }

  callName(provider: Provider): string {
    return this.#plugging.callName(provider);
  }

  /** Ends connections, wherever they are. */
  kick(ids: readonly string[], reason: string): void {
    this.kickHere(ids, reason);
    this.#options.elsewhere?.kick(ids, reason);
    this.#options.elsewhere?.nodes?.kick(ids, reason);
  }

  /** Those of them that are in this process. */
  kickHere(ids: readonly string[], reason: string): void {
    this.#roster.kick(ids, reason);
  }

  async release(name: string): Promise<void> {
    const { registry, elsewhere, log } = this.#options;
    await registry.release(name);
    elsewhere?.release?.(name).catch((error: unknown) => {
      log.error({ name, error: String(error) }, 'a name has been released here only');
    });
  }

  note(by: Member, what: string): void {
    this.events.tell({ type: 'command', by: by.info, what });
  }

  /** Ends connections of those who would not be let in any more, wherever they are. */
  recheck(): void {
    this.recheckHere();
    this.#options.elsewhere?.recheck();
  }

  /** Those of them that are in this process. */
  recheckHere(): void {
    this.#roster.recheck(this.#options.access);
  }

  /** What owners with a rate have had in other processes. */
  charge(spent: readonly Spent[]): void {
    this.#calls.circuits.charge(spent);
  }

  /** A second has passed: called by whoever runs it. */
  tick(): void {
    this.#calls.circuits.tick();
    this.#roster.tick(Date.now());
  }

  /** Stops taking clients, lines and calls, lets go of those without circuits, and of the others when theirs have ended or after `seconds`. */
  async stop(seconds = 0): Promise<void> {
    this.#plugging.closed = true;
    this.#calls.closed = true;
    this.events.tell({ type: 'draining' });
    const circuits = this.#calls.circuits;
    const end = performance.now() + seconds * 1000;
    this.server.stopListening();
    while (circuits.size > 0 && performance.now() < end) {
      this.#roster.release(circuits, GOODBYE);
      await new Promise(resolve => setTimeout(resolve, DRAIN_TICK));
    }
    await this.server.close(GOODBYE);
  }
}

const GOODBYE = 'the server is shutting down';
