// The switchboard: `ssh -R` plugs a line in under a name, `ssh -L/-W/-J/-D` is put through to it, and no port is ever opened. Policy only; the core carries it.
import { fingerprint } from '../../crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import type { Channel } from '../../protocol/channels/channel.ts';
import { DIRECT_TCPIP, FORWARDED_PORT, FORWARDED_TCPIP, TCPIP_FORWARD } from '../../protocol/channels/forwarding.ts';
import type { ChannelOpen, GlobalReply, GlobalRequest, Mux } from '../../protocol/channels/mux.ts';
import { OpenFailure, printable } from '../../protocol/errors.ts';
import type { AuthAnswer } from '../../protocol/userauth/server.ts';
import { pack, unpack } from '../../protocol/wire/codec.ts';
import { type OfferedKey, publicKeys } from '../../server/authenticators.ts';
import type { Times } from '../../server/drive.ts';
import { type Client, describe, type Logger, Server, type ServerOptions } from '../../server/server.ts';
import { type Session, sessions } from '../../server/session.ts';
import type { Access, Grant } from './access.ts';
import { type Hints, hello, helpText, invitation, listing, plugged, signInBanner } from './greeting.ts';
import { Board, isPeer, type Line, LineRefused, NoSuchLine, type Peer, type Provider } from './lines.ts';
import { aliasOf, hostName } from './names.ts';
import { reason, StateError } from './state.ts';
import { CALL_CHANNEL, packCall, unpackCall } from './trunks.ts';

/** The other processes of a switchboard that has several. */
export interface Elsewhere {
  /** The name of this one among all: the `id` of its Place. */
  readonly here: string;
  /** Tells the others what a provider's lines are now. */
  changed(provider: Provider): void;
  /** The way to a provider of another one. @throws if there is none any more */
  trunk(provider: Provider): Promise<Mux>;
}

export interface SwitchboardOptions {
  readonly provider: CryptoProvider;
  readonly hostKeys: readonly PrivateKey[];
  /** Aliases are derived with it; 32 bytes. */
  readonly aliasSecret: Uint8Array;
  readonly access: Access;
  /** What printed commands say: the server's name and port as clients reach it. */
  readonly hints: Hints;
  readonly log: Logger;
  /** Without it this is the only process. */
  readonly elsewhere?: Elsewhere;
  /** What else the server is to keep to. */
  readonly limits?: Pick<ServerOptions, 'startups' | 'maxConnections' | 'penalised'>;
  readonly times?: Partial<Times>;
  readonly rekeyBytes?: number;
}

/** Where a switchboard listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A peer with what only this file needs to know of it. */
interface Member extends Peer {
  readonly grant: Grant;
  /** Sessions that show the greeting and hear of new lines. */
  readonly greeted: Set<Session>;
}

export class Switchboard {
  readonly server: Server;
  readonly #options: SwitchboardOptions;
  /** Lines here, and in other processes as far as it is told (`Board.learn`). */
  readonly board: Board;
  /** Weak, because a client may leave while its sign-in is being judged. */
  readonly #members = new WeakMap<Client, Member>();

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    this.board = new Board(peer => this.#tell(peer));
    this.server = new Server({
      ...options.limits,
      provider: options.provider,
      hostKeys: options.hostKeys,
      log: options.log,
      times: options.times,
      rekeyBytes: options.rekeyBytes,
      authenticators: [
        publicKeys({
          acceptable: ({ key, user }, client) => this.#options.access.acceptable(key, user, client.address),
          proven: (offer, client) => this.#signIn(offer, client),
        }),
      ],
      channels: {
        'direct-tcpip': (open, client) => this.#call(open, this.#members.get(client)!),
        session: sessions({
          exec: (command, session) => this.#exec(command, session),
          shell: session => this.#greet(session),
        }),
      },
      requests: {
        'tcpip-forward': (request, client) => this.#plug(request, this.#members.get(client)!),
        'cancel-tcpip-forward': (request, client) => this.#unplug(request, this.#members.get(client)!),
      },
      gone: client => this.#leave(client),
    });
  }

  /** @throws StateError if that is not possible */
  async listen(host: string, port: number): Promise<Address> {
    try {
      return await this.server.listen(port, host);
    } catch (error) {
      throw new StateError(`cannot listen on ${host} port ${port}: ${reason(error)}`);
    }
  }

  /** The client has proved that it owns the key: now, and only now, it is known, enrolled, named. */
  async #signIn(offer: OfferedKey, client: Client): Promise<AuthAnswer> {
    const { user, presence } = offer;
    const { access, aliasSecret, hints, elsewhere } = this.#options;
    const grant = await access.admit(offer.key, user, client.address, presence);
    if (grant === undefined) return { result: 'reject' };
    const { key, untouched } = grant;
    const name = hostName(user);
    const alias = aliasOf(aliasSecret, key, name);
    const place = elsewhere?.here ?? '';
    const member: Member = {
      id: `${place}/${client.id}`,
      place,
      client,
      key,
      fingerprint: fingerprint(key),
      name,
      alias,
      address: client.address,
      since: 0,
      lines: [],
      grant,
      greeted: new Set(),
    };
    this.#members.set(client, member);
    // `ssh -N` opens no session, so the banner is the only place where its user learns the alias.
    return { result: 'accept', untouched, banner: grant.listen ? signInBanner(alias, hints) : undefined };
  }

  #leave(client: Client): void {
    const member = this.#members.get(client);
    if (member === undefined) return;
    this.#members.delete(client);
    this.board.remove(member);
  }

  /** The others hear of a peer without what is this process's own. */
  #tell({ id, place, fingerprint, name, alias, address, since, lines }: Peer): void {
    this.#options.elsewhere?.changed({ id, place, fingerprint, name, alias, address, since, lines: [...lines] });
  }

  // Lines

  #plug(request: GlobalRequest, member: Member): GlobalReply {
    const { host, port } = unpack(TCPIP_FORWARD, request.data);
    const fields = { ...describe(member.client), alias: member.alias, listen: printable(host), listenPort: port };
    if (!member.grant.mayListen(host, port)) {
      this.#options.log.warn(fields, 'line refused: the key may not plug it in');
      return false;
    }
    try {
      const line = this.board.plug(member, host, port);
      this.#options.log.info({ ...fields, listenPort: line.port }, 'line plugged in');
      for (const session of member.greeted) void session.write(plugged(member, [line], this.#options.hints));
      return port === 0 ? pack(FORWARDED_PORT, { port: line.port }) : true;
    } catch (error) {
      if (!(error instanceof LineRefused)) throw error;
      this.#options.log.warn(fields, `line refused: ${error.message}`);
      return false;
    }
  }

  #unplug(request: GlobalRequest, member: Member): GlobalReply {
    const { host, port } = unpack(TCPIP_FORWARD, request.data);
    const done = this.board.unplug(member, host, port);
    if (done) this.#options.log.info({ ...describe(member.client), listenPort: port }, 'line unplugged');
    return done;
  }

  // Calls

  #call(open: ChannelOpen, caller: Member): void | Promise<void> {
    const { host, port } = unpack(DIRECT_TCPIP, open.data);
    const { log } = this.#options;
    const fields = { ...describe(caller.client), target: printable(host), targetPort: port };
    if (!caller.grant.mayOpen(host, port)) {
      log.warn(fields, 'call refused: the key may not make it');
      return open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'your key may not call this');
    }
    let found: ReturnType<Board['find']>;
    try {
      found = this.board.find(caller, host, port);
    } catch (error) {
      return failed(error, open, fields, log);
    }
    const { provider, line } = found;
    // A real address and a port: Go's client drops the channel otherwise.
    const origin = { originHost: caller.client.address || '127.0.0.1', originPort: caller.client.port || 1 };
    if (isPeer(provider)) this.#ring(open, provider, line, origin, fields, 'info');
    else return this.#pass(open, provider, line, origin, fields);
  }

  /** Rings a provider of this process. */
  #ring(
    open: ChannelOpen,
    { client, alias }: Peer,
    { host, port }: Line,
    origin: Origin,
    fields: object,
    level: Level,
  ): void {
    open.forward(
      client.connection.mux,
      'forwarded-tcpip',
      pack(FORWARDED_TCPIP, { host, port, ...origin }),
      (near, far) => this.#record(near, far, { ...fields, provider: client.id, alias }, level),
    );
  }

  /** Passes a call on to the process that has the provider. */
  async #pass(open: ChannelOpen, provider: Provider, { port }: Line, origin: Origin, fields: object): Promise<void> {
    const { log } = this.#options;
    let trunk: Mux;
    try {
      trunk = await this.#options.elsewhere!.trunk(provider);
    } catch (error) {
      log.warn({ ...fields, error: String(error) }, 'call failed: no way to the process that has the line');
      return open.reject(OpenFailure.CONNECT_FAILED, 'the line cannot be reached just now');
    }
    const data = packCall({ provider: provider.id, port, ...origin });
    const { alias } = provider;
    const [place, client] = provider.id.split('/');
    const providerWorker = this.board.places.get(place)?.worker;
    open.forward(trunk, CALL_CHANNEL, data, (near, far) =>
      this.#record(near, far, { ...fields, provider: Number(client), providerWorker, alias }, 'info'),
    );
  }

  /** A call that another process passes on to this one. It names a connection, not an alias: nobody else can be reached by it. */
  arrive(open: ChannelOpen): void {
    const { provider, port, ...origin } = unpackCall(open.data);
    const fields = { caller: origin.originHost, provider, targetPort: port };
    try {
      const { peer, line } = this.board.here(provider, port);
      // The operator reads of a circuit once, where its caller is.
      this.#ring(open, peer, line, origin, fields, 'debug');
    } catch (error) {
      failed(error, open, fields, this.#options.log);
    }
  }

  #record(near: Channel, far: Channel, fields: object, level: Level): void {
    const { log } = this.#options;
    const began = Date.now();
    log[level](fields, 'circuit opened');
    near.handler = {
      closed: () =>
        log[level](
          {
            ...fields,
            bytesToProvider: near.relayed,
            bytesToCaller: far.relayed,
            seconds: (Date.now() - began) / 1000,
          },
          'circuit closed',
        ),
    };
  }

  // Sessions

  async #greet(session: Session): Promise<void> {
    const member = this.#members.get(session.client)!;
    const { hints } = this.#options;
    await session.write(hello(session.client.user));
    if (member.lines.length === 0) {
      await session.write(invitation(member, hints));
      return session.exit(0);
    }
    await session.write(plugged(member, member.lines, hints));
    if (session.terminal) await session.write('\nPress Ctrl-C to unplug.\n');
    member.greeted.add(session);
    session.onsignal = () => void session.exit(0);
    await departure(session);
    member.greeted.delete(session);
    await session.exit(0);
  }

  async #exec(command: string, session: Session): Promise<void> {
    const member = this.#members.get(session.client)!;
    const { hints } = this.#options;
    switch (command.trim()) {
      case 'listeners': {
        // An alias is all that a caller needs, so only keys with the right see those of others.
        const providers = this.board.providers.filter(
          peer => member.grant.list || peer.fingerprint === member.fingerprint,
        );
        await session.write(listing(providers));
        return session.exit(0);
      }
      case 'help':
        await session.write(helpText(member, hints));
        return session.exit(0);
    }
    await session.error(`Unsupported command: ${printable(command, 80)}\nTry: help, listeners\n`);
    await session.exit(1);
  }
}

type Level = 'info' | 'debug';
/** Who calls: address and port. */
type Origin = { originHost: string; originPort: number };

/** The line is not there. @throws whatever else went wrong */
function failed(error: unknown, open: ChannelOpen, fields: object, log: Logger): void {
  if (!(error instanceof NoSuchLine)) throw error;
  log.info(fields, `call failed: ${printable(error.message)}`);
  open.reject(OpenFailure.CONNECT_FAILED, printable(error.message));
}

/** Resolves when the user wants to go, or has gone. */
async function departure({ stream, terminal }: Session): Promise<void> {
  for await (const bytes of stream) {
    // Ctrl-C and Ctrl-D come as bytes where the client has put its terminal into raw mode.
    if (terminal && bytes.some(byte => byte === 3 || byte === 4)) return;
  }
  // The end of input is no wish to leave: `ssh -n -R …` in a unit file has none.
  await stream.closed;
}
