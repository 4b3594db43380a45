// An SSH server: listens, drives connections, and hands channels and requests to two maps. What is in no map is refused.
import type { CompressionAlgorithm, CryptoProvider, PrivateKey } from '../crypto/provider.ts';
import type { Eventually } from '../protocol/channels/answers.ts';
import type { ChannelOpen, GlobalReply, GlobalRequest } from '../protocol/channels/mux.ts';
import { takesHostKeys } from '../protocol/compat.ts';
import { Connection } from '../protocol/connection.ts';
import { Disconnect, DisconnectError, OpenFailure, ProtocolError, UsageError } from '../protocol/errors.ts';
import { guarded } from '../protocol/guard.ts';
import { HOSTKEYS, HOSTKEYS_PROVE, hostKeysAnnouncement, proveHostKeys } from '../protocol/host-keys.ts';
import type { AuthAnswer, AuthQuestion } from '../protocol/userauth/questions.ts';
import { checkSize } from '../protocol/wire/codec.ts';
import { encodeUtf8 } from '../protocol/wire/reader.ts';
import { Authentication, checkRequired, logRefusal, logStep } from './authentication.ts';
import type { Authenticator } from './authenticators.ts';
import { detached, faultFields } from './detached.ts';
import { Driver, TIMES, type Times } from './drive.ts';
import { Effort } from './effort.ts';
import { type Logger, unfailing } from './logger.ts';
import {
  type Offence,
  PENALTIES,
  Penalties,
  type PenaltyTimes,
  STARTUPS,
  type StartupLimits,
  sourceOf,
} from './penalties.ts';
import { behindProxies } from './proxied.ts';
import { lacksDescriptors } from './runtime/descriptors.ts';
import { type Listener, listen, listenOn, type Socket } from './runtime/net.ts';
import { Startups } from './startups.ts';

/**
 * How a peer breaks the protocol that no honest program would: garbage where packets should be. One that speaks no SSH, or has no
 * algorithm in common with us, has only not signed in.
 */
const BREACHES: readonly number[] = [Disconnect.PROTOCOL_ERROR, Disconnect.MAC_ERROR];

/** Connections at once; some 30 KiB each when idle. */
export const MAX_CONNECTIONS = 10_000;

/** Seconds between two lines in the log that connections cannot be accepted: each of thousands would be one. */
const COMPLAIN_EACH = 60;

/** Milliseconds for one that is turned away to read why. */
const LAST_WORDS = 1000;

/** A client that will open no further session says so, for the case that somebody takes it over later (OpenSSH PROTOCOL §2.2). */
const NO_MORE_SESSIONS = 'no-more-sessions@openssh.com';

/** RFC 4253 §4.2: the software's name has neither blanks nor "-"; a comment may follow. With CR LF it has 255 bytes at most. */
const IDENT = /^(?=.{1,253}$)SSH-2\.0-[!-,.-~]+(?: [ -~]*)?$/;

export type { Logger } from './logger.ts';

/** One connection, as handlers see it. */
export interface Client {
  /** Counts up from 1 within one server. */
  readonly id: number;
  /** To open channels to it, to ask it something, to disconnect it. */
  readonly connection: Connection;
  /** The peer's IP address. */
  readonly address: string;
  /** The peer's port. */
  readonly port: number;
  /** The address at our end that it has connected to; empty where that is not known (`serve` with a stream), or it has gone. */
  readonly localAddress: string;
  /** See `localAddress`; 0 where it is not known. */
  readonly localPort: number;
  /** The user name it signs, or has signed, in with; empty before it has said one, and untrusted text. */
  readonly user: string;
  /** Resolves to the reason when the connection has ended. What a handler has opened for this client ends then. */
  readonly closed: Promise<Error>;
}

/** One that fails, at once or later, refuses its channel, or closes it if it has accepted it; the connection lives on. */
export type ChannelOpenHandler = (open: ChannelOpen, client: Client) => void | Promise<void>;
/** Answers a global request: false refuses, bytes go into the reply. One that fails, at once or later, refuses. */
export type GlobalRequestHandler = (request: GlobalRequest, client: Client) => Eventually<GlobalReply>;

/** What a server is made with. */
export interface ServerOptions {
  /** Its keys, with certificates or without (`certifiedKey`), in order of preference among those of one type. */
  readonly hostKeys: readonly PrivateKey[];
  /** Its lists are what clients are offered, in their order. */
  readonly provider: CryptoProvider;
  /**
   * Names of the key exchanges to offer, best first; by default all of the provider's but diffie-hellman-group18, which lets 19 clients
   * a second that compute nothing saturate a server. Those over finite fields are rationed (see WORK_PER_SECOND), whoever asks.
   */
  readonly kex?: readonly string[];
  /** Sign-in methods, best first; none of them, and nobody gets in. Those of one method are asked in turn, until one does not reject. */
  readonly authenticators: readonly Authenticator[];
  /**
   * Lists of methods of which one has to be gone through, in its order (AuthenticationMethods of sshd_config(5)):
   * [['publickey', 'password']] is two factors. No key counts twice. By default each authenticator lets in by itself. An answer
   * `partial` is a step in such a list, and refused where no list goes on with what it asks for.
   */
  readonly require?: readonly (readonly string[])[];
  /** Channel type → handler. */
  readonly channels?: Readonly<Record<string, ChannelOpenHandler>>;
  /** Global request type → handler. */
  readonly requests?: Readonly<Record<string, GlobalRequestHandler>>;
  /**
   * Its identification line (RFC 4253 §4.2), by default "SSH-2.0-cordboard_0.1". Stock ssh tells only a server whose name begins with
   * "OpenSSH" that nobody reads the output of a command any more (eow@openssh.com, as in `ssh host yes | head -1`): "SSH-2.0-OpenSSH_…".
   */
  readonly ident?: string;
  /** Text that clients show before sign-in. */
  readonly banner?: string;
  /** Failed tries to sign in after which a connection is closed (MaxAuthTries); by default 6. */
  readonly maxTries?: number;
  /**
   * Connections that are not signed in, at once (MaxStartups); by default STARTUPS. Early drop counts for each source (an IPv4
   * address, an IPv6 /64) by itself, and spares loopback; when all places are taken, who has waited longest of the busiest
   * source goes.
   */
  readonly startups?: StartupLimits;
  /** What addresses are refused for, and how long (PerSourcePenalties); by default PENALTIES, false for none. Loopback is exempt. */
  readonly penalties?: PenaltyTimes | false;
  /**
   * Addresses and networks of balancers, separated by commas: connections from there must begin with a header of the
   * PROXY protocol (version 1 or 2), and are from then on those of the client that it names. Of `listen` and
   * `listenOn`; by default none.
   */
  readonly proxies?: string;
  /** An address has been penalised: for those who run several servers as one, which tell each other (`Server.penalise`). */
  penalised?(address: string, offence: Offence): void;
  /** Connections at once, signed in or not; by default 10,000. */
  readonly maxConnections?: number;
  /** Channels of one connection at once. */
  readonly maxChannels?: number;
  /** Times in seconds; what is left out is as in TIMES. */
  readonly times?: Partial<Times>;
  /** Key re-exchange after so many bytes in either direction (RFC 4253 §9); by default 1 GiB. */
  readonly rekeyBytes?: number;
  /** For clients that wish it, such as [zlib]; by default none: it costs memory and time, and lets a client spend ours. */
  readonly compression?: readonly CompressionAlgorithm[];
  /**
   * Ciphers that are offered alone to a client that has one of them, whatever it would like better; by default those that cost
   * this runtime the least by far (`provider.preferCiphers`); an empty list leaves the choice to the client.
   */
  readonly preferCiphers?: readonly string[];
  /** By default nothing is logged. */
  readonly log?: Logger;
  /** A client has signed in. */
  signedIn?(client: Client): void;
  /** A client that had signed in is gone. */
  gone?(client: Client): void;
}

/** A server: any number of listeners, and the clients that came by them. */
export class Server {
  readonly #options: ServerOptions;
  readonly #log: Logger;
  readonly #signIn: Authentication;
  readonly #times: Times;
  readonly #drivers = new Map<Client, Driver>();
  readonly #listeners: Listener[] = [];
  readonly #penalties: Penalties | undefined;
  readonly #called: (socket: Socket) => void;
  readonly #startups: Startups<Client>;
  readonly #effort = new Effort();
  #lastId = 0;
  /** Until then nothing is said of connections that cannot be accepted. */
  #quietUntil = 0;
  #ticker: NodeJS.Timeout | undefined;
  #closing = false;

  /** @throws UsageError if the banner is too large for a packet, the ident is none, or without a host key that the provider can sign with, or if `require` has a method without an authenticator */
  constructor(options: ServerOptions) {
    const { provider, hostKeys } = options;
    if (!hostKeys.some(key => provider.signatures.some(({ keyType }) => keyType === key.type))) {
      throw new UsageError('a server needs a host key of a type that its provider knows');
    }
    checkRequired(options);
    checkSize('the banner', encodeUtf8(options.banner ?? '').length);
    if (options.ident !== undefined && !IDENT.test(options.ident))
      throw new UsageError(
        'an ident is "SSH-2.0-", a name without blanks and "-", and at most 253 characters of ASCII',
      );
    this.#options = options;
    this.#log = unfailing(options.log);
    this.#signIn = new Authentication(options.authenticators, (error, client) =>
      this.#fault(error, client, 'an authenticator failed'),
    );
    this.#startups = new Startups(options.startups ?? STARTUPS, provider.random);
    this.#times = { ...TIMES, ...options.times };
    this.#called = behindProxies(options.proxies, this.#log, socket => this.serve(socket));
    if (options.penalties !== false) this.#penalties = new Penalties(options.penalties ?? PENALTIES);
  }

  /** The clients that are connected, signed in or not. */
  get clients(): Client[] {
    return [...this.#drivers.keys()];
  }

  /** Listens on a TCP address; port 0 takes any. May be called for several. @throws the system's error, UsageError after `close` */
  listen(port = 22, host = '127.0.0.1'): Promise<{ host: string; port: number }> {
    return this.#take(listen(host, port, this.#called, false, error => this.#cannotAccept(String(error))));
  }

  /** Listens on a TCP socket that the process was given, by its file descriptor (`LISTEN_FDS`). @throws as `listen` */
  listenOn(fd: number): Promise<{ host: string; port: number }> {
    return this.#take(listenOn(fd, this.#called, error => this.#cannotAccept(String(error))));
  }

  async #take(listening: Promise<Listener>): Promise<Listener> {
    const listener = await listening;
    if (this.#closing) {
      await listener.close();
      throw new UsageError('the server has been closed');
    }
    this.#listeners.push(listener);
    return listener;
  }

  /** Serves one client on a socket that is already connected; undefined if it is turned away. */
  serve(socket: Socket): Client | undefined {
    const options = this.#options;
    const refusal = this.#refusal(socket.address);
    if (refusal !== undefined) {
      this.#log.warn({ address: socket.address }, `connection refused: ${refusal}`);
      socket.start({ data() {}, end() {}, drain() {}, close() {} });
      // A line before the identification is shown by clients that could not connect.
      socket.write([new TextEncoder().encode(`${refusal}\r\n`)]);
      socket.end();
      setTimeout(() => socket.destroy(), LAST_WORDS).unref();
      return undefined;
    }

    const driver = new Driver(socket, this.#times);
    let signedIn = false;
    let noMoreSessions = false;
    let over!: (error: Error) => void;
    const closed = new Promise<Error>(resolve => (over = resolve));
    const connection = new Connection(
      {
        role: 'server',
        provider: options.provider,
        hostKeys: options.hostKeys,
        ident: options.ident,
        methods: [...new Set(options.authenticators.map(({ method }) => method))].filter(method => method !== 'none'),
        require: options.require,
        banner: options.banner,
        kex: options.kex,
        maxTries: options.maxTries,
        maxChannels: options.maxChannels,
        rekeyBytes: options.rekeyBytes,
        compression: options.compression,
        preferCiphers: options.preferCiphers ?? options.provider.preferCiphers,
      },
      {
        output: () => driver.wake(),
        costly: (work, goOn) => this.#effort.ask(sourceOf(client.address), work, goOn, () => connection.closed),
        auth: (question, answer) => this.#authenticate(question, answer, client),
        authRefused: refusal => logRefusal(this.#log, describe(client), refusal),
        ready: () => {
          signedIn = true;
          this.#startups.delete(client.address, client);
          this.#log.info(describe(client), 'signed in');
          if (takesHostKeys(connection.transport.peerIdent))
            connection.mux.notify(HOSTKEYS, hostKeysAnnouncement(options.hostKeys, options.provider));
          return options.signedIn?.(client);
        },
        channelOpen: open => {
          const handler = own(options.channels, open.type);
          if (open.type === 'session' && noMoreSessions) {
            open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'you wanted no more sessions');
          } else if (handler === undefined) {
            open.reject(OpenFailure.UNKNOWN_CHANNEL_TYPE, 'channels of this type are not served here');
          } else return handler(open, client);
        },
        globalRequest: request => {
          switch (request.type) {
            case HOSTKEYS_PROVE:
              return proveHostKeys(request.data, options.hostKeys, options.provider, connection.transport);
            case NO_MORE_SESSIONS:
              noMoreSessions = true;
              return true;
          }
          return own(options.requests, request.type)?.(request, client) ?? false;
        },
        closed: error => {
          over(error);
          // Who had to go for others has done nothing wrong.
          const counted = this.#startups.delete(client.address, client);
          driver.wake();
          this.#logEnd(client, error, signedIn, socket.check);
          if (counted && !socket.check) this.#judge(client, error, driver.graceOver);
          if (signedIn) return options.gone?.(client);
        },
        fault: error => this.#fault(error, client),
      },
    );
    const client: Client = {
      id: ++this.#lastId,
      connection,
      address: socket.address,
      port: socket.port,
      get localAddress() {
        return socket.localAddress ?? '';
      },
      get localPort() {
        return socket.localPort ?? 0;
      },
      get user() {
        return connection.user ?? '';
      },
      closed,
    };
    this.#drivers.set(client, driver);
    const displaced = this.#startups.add(socket.address, client);
    if (displaced !== undefined) this.#displace(displaced);
    this.#log.debug(describe(client), 'connected');
    this.#ticker ??= setInterval(() => this.tick(), 1000);
    const forget = () => this.#forget(client);
    driver.closed.then(forget, forget);
    driver.start(connection);
    return client;
  }

  /** For the operator: what a function of `options` has failed with. */
  #fault(error: unknown, client: Client, message = 'a handler failed'): void {
    // What a reader of one of its streams throws is how the connection has ended.
    if (error === client.connection.error) return;
    this.#log.error({ ...describe(client), ...faultFields(error) }, message);
  }

  /** It has waited longest of the source that has the most connections which are not signed in: another one has come. */
  #displace(client: Client): void {
    this.#log.warn(describe(client), 'too many connections are not signed in: this one goes');
    client.connection.disconnect(Disconnect.TOO_MANY_CONNECTIONS, 'too many connections are not signed in; try again');
    const driver = this.#drivers.get(client);
    // It gets less time to read that than others: those who fill all places do not read.
    setTimeout(() => driver?.socket.destroy(), LAST_WORDS).unref();
  }

  /** Why one more connection from the address is not served; undefined if it is. */
  #refusal(address: string): string | undefined {
    const { maxConnections = MAX_CONNECTIONS } = this.#options;
    if (this.#closing) return 'The server is shutting down.';
    if (this.#drivers.size >= maxConnections) return 'Too many connections; try again later.';
    const wait = this.#penalties?.remaining(address, seconds()) ?? 0;
    if (wait > 0) return `Too many failures from your address; try again in ${Math.ceil(wait)} s.`;
    return this.#startups.refuses(address) ? 'Too many connections; try again later.' : undefined;
  }

  /** What the peer has done before it had signed in. A fault of this program is nobody's offence. */
  #judge(client: Client, error: Error, graceOver: boolean): void {
    const { address, connection } = client;
    if (this.#closing || !(error instanceof ProtocolError || error instanceof DisconnectError)) return;
    const { failures, faults } = connection;
    // Whoever waited for us, or failed by our faults only, has done nothing wrong.
    if (graceOver ? connection.deciding : failures > 0 && faults === failures) return;
    let offence: Offence = 'noauth';
    if (graceOver) offence = 'grace';
    else if (failures > 0) offence = 'authfail';
    else if (error instanceof ProtocolError && BREACHES.includes(error.reason)) offence = 'crash';
    this.penalise(address, offence);
    guarded(
      () => this.#options.penalised?.(address, offence),
      fault => this.#fault(fault, client),
    );
  }

  /** Penalises an address for what it has done elsewhere, as if it had been here. */
  penalise(address: string, offence: Offence): void {
    this.#penalties?.add(address, offence, seconds());
  }

  #authenticate(question: AuthQuestion, answer: (answer: AuthAnswer) => void, client: Client): void {
    const asked = this.#signIn.ask(question, client).then(given => {
      logStep(this.#log, describe(client), question, given);
      answer(given);
    });
    detached(asked, this.#log, 'a sign-in could not be answered', describe(client));
  }

  #logEnd(client: Client, error: Error, signedIn: boolean, check = false): void {
    const log = this.#log;
    const fields = { ...describe(client), signedIn, reason: error.message };
    if (check && !signedIn) return log.debug(fields, 'a check has ended');
    if (error instanceof ProtocolError) log.warn(fields, 'disconnected: protocol error');
    else if (error instanceof DisconnectError) log.info(fields, 'disconnected');
    else log.error({ ...fields, stack: error.stack }, 'disconnected: fault in this program');
  }

  /** One second has passed; called by the server itself while it has clients. */
  tick(): void {
    this.#effort.tick();
    const lacking = this.#listeners.length > 0 && lacksDescriptors();
    if (lacking)
      this.#cannotAccept(
        `${lacking}: no file descriptor is left; raise the limit (ulimit -n, LimitNOFILE=) or take fewer`,
      );
    for (const [client, driver] of this.#drivers) {
      try {
        driver.tick();
      } catch (error) {
        this.#log.error({ ...describe(client), ...faultFields(error) }, 'a connection could not be seen to');
      }
    }
  }

  /** The system refuses connections before we hear of them: said once a minute, as long as that lasts. */
  #cannotAccept(error: string): void {
    const now = seconds();
    if (now < this.#quietUntil) return;
    this.#quietUntil = now + COMPLAIN_EACH;
    this.#log.error({ error, clients: this.#drivers.size }, 'connections cannot be accepted');
  }

  #forget(client: Client): void {
    this.#drivers.delete(client);
    if (this.#drivers.size > 0) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  /** Stops listening, and takes no further connection; those that are there go on. */
  stopListening(): void {
    this.#closing = true;
    // A listener counts as closed when its connections are; they are not waited for.
    for (const listener of this.#listeners.splice(0))
      detached(listener.close(), this.#log, 'a listener cannot be closed');
  }

  /** Stops listening, says goodbye to everyone, and resolves when all sockets are closed: a peer that does not close gets five seconds. */
  async close(reason = 'the server is shutting down'): Promise<void> {
    this.#closing = true;
    const closed = this.#listeners.splice(0).map(listener => listener.close());
    for (const { connection } of this.#drivers.keys()) connection.disconnect(Disconnect.BY_APPLICATION, reason);
    await Promise.all([...closed, ...Array.from(this.#drivers.values(), driver => driver.closed)]);
  }
}

/** A clock that never goes back. */
const seconds = (): number => performance.now() / 1000;

/** What logs say of a client. */
export function describe(client: Client): object {
  return { client: client.id, address: client.address, port: client.port, user: client.user };
}

function own<T>(map: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, name) ? map[name] : undefined;
}
