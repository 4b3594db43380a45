// An SSH server: listens, drives connections, and hands channels and requests to two maps. What is in no map is refused.
import type { CompressionAlgorithm, CryptoProvider, PrivateKey } from '../crypto/provider.ts';
import type { Eventually } from '../protocol/channels/answers.ts';
import type { ChannelOpen, GlobalReply, GlobalRequest } from '../protocol/channels/mux.ts';
import { Connection } from '../protocol/connection.ts';
import { Disconnect, DisconnectError, OpenFailure, ProtocolError, UsageError } from '../protocol/errors.ts';
import { HOSTKEYS, HOSTKEYS_PROVE, hostKeysAnnouncement, proveHostKeys } from '../protocol/host-keys.ts';
import type { AuthAnswer, AuthQuestion } from '../protocol/userauth/server.ts';
import type { Authenticator } from './authenticators.ts';
import { detached, faultFields } from './detached.ts';
import { Driver, TIMES, type Times } from './drive.ts';
import {
  dropsEarly,
  isLoopback,
  type Offence,
  PENALTIES,
  Penalties,
  type PenaltyTimes,
  STARTUPS,
  type StartupLimits,
} from './penalties.ts';
import { type Listener, listen, listenOn, type Socket } from './runtime/net.ts';

/** Connections at once; some 30 KiB each when idle. */
export const MAX_CONNECTIONS = 10_000;

/** A client that will open no further session says so, for the case that somebody takes it over later (OpenSSH PROTOCOL §2.2). */
const NO_MORE_SESSIONS = 'no-more-sessions@openssh.com';

/** Where messages for the operator go. Fields are for machines; `message` never contains secrets. */
export interface Logger {
  /** Each step: connected, a sign-in step. */
  debug(fields: object, message: string): void;
  /** Who signed in, who was refused and why, who left. */
  info(fields: object, message: string): void;
  /** A peer that broke the protocol, or was turned away. */
  warn(fields: object, message: string): void;
  /** A fault of this program, handlers included. */
  error(fields: object, message: string): void;
}

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
  /** The user name it signs, or has signed, in with; empty before it has said one, and untrusted text. */
  readonly user: string;
  /** Resolves to the reason when the connection has ended. What a handler has opened for this client ends then. */
  readonly closed: Promise<Error>;
}

/** One that throws at once ends its connection; one whose promise is rejected, only the channel that is not open yet. */
export type ChannelOpenHandler = (open: ChannelOpen, client: Client) => void | Promise<void>;
/** Answers a global request: false refuses, bytes go into the reply. One that throws at once ends its connection; a rejected promise refuses. */
export type GlobalRequestHandler = (request: GlobalRequest, client: Client) => Eventually<GlobalReply>;

/** What a server is made with. */
export interface ServerOptions {
  /** Its keys, with certificates or without (`certifiedKey`), in order of preference among those of one type. */
  readonly hostKeys: readonly PrivateKey[];
  /** Its lists are what clients are offered, in their order. */
  readonly provider: CryptoProvider;
  /** Sign-in methods, best first; none of them, and nobody gets in. */
  readonly authenticators: readonly Authenticator[];
  /** Channel type → handler. */
  readonly channels?: Readonly<Record<string, ChannelOpenHandler>>;
  /** Global request type → handler. */
  readonly requests?: Readonly<Record<string, GlobalRequestHandler>>;
  /** Text that clients show before sign-in. */
  readonly banner?: string;
  /** Failed tries to sign in after which a connection is closed (MaxAuthTries); by default 6. */
  readonly maxTries?: number;
  /** Connections that are not signed in, at once (MaxStartups); by default STARTUPS. Loopback is exempt from early drop, not from `full`. */
  readonly startups?: StartupLimits;
  /** What addresses are refused for, and how long (PerSourcePenalties); by default PENALTIES, false for none. Loopback is exempt. */
  readonly penalties?: PenaltyTimes | false;
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
  readonly #times: Times;
  readonly #drivers = new Map<Client, Driver>();
  readonly #listeners: Listener[] = [];
  readonly #penalties: Penalties | undefined;
  #unauthenticated = 0;
  #lastId = 0;
  #ticker: NodeJS.Timeout | undefined;
  #closing = false;

  /** @throws UsageError without a host key that the provider can sign with */
  constructor(options: ServerOptions) {
    const { provider, hostKeys } = options;
    if (!hostKeys.some(key => provider.signatures.some(({ keyType }) => keyType === key.type))) {
      throw new UsageError('a server needs a host key of a type that its provider knows');
    }
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    if (options.penalties !== false) this.#penalties = new Penalties(options.penalties ?? PENALTIES);
  }

  /** The clients that are connected, signed in or not. */
  get clients(): Client[] {
    return [...this.#drivers.keys()];
  }

  /** Listens on a TCP address; port 0 takes any. May be called for several. @throws the system's error, UsageError after `close` */
  listen(port = 22, host = '127.0.0.1'): Promise<{ host: string; port: number }> {
    return this.#take(listen(host, port, socket => this.serve(socket)));
  }

  /** Listens on a TCP socket that the process was given, by its file descriptor (`LISTEN_FDS`). @throws as `listen` */
  listenOn(fd: number): Promise<{ host: string; port: number }> {
    return this.#take(listenOn(fd, socket => this.serve(socket)));
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
      options.log?.warn({ address: socket.address }, `connection refused: ${refusal}`);
      socket.start({ data() {}, end() {}, drain() {}, close() {} });
      // A line before the identification is shown by clients that could not connect.
      socket.write([new TextEncoder().encode(`${refusal}\r\n`)]);
      socket.end();
      setTimeout(() => socket.destroy(), 1000).unref();
      return undefined;
    }

    const driver = new Driver(socket, this.#times);
    this.#unauthenticated++;
    let signedIn = false;
    let noMoreSessions = false;
    let over!: (error: Error) => void;
    const closed = new Promise<Error>(resolve => (over = resolve));
    const connection = new Connection(
      {
        role: 'server',
        provider: options.provider,
        hostKeys: options.hostKeys,
        methods: options.authenticators.map(({ method }) => method).filter(method => method !== 'none'),
        banner: options.banner,
        maxTries: options.maxTries,
        maxChannels: options.maxChannels,
        rekeyBytes: options.rekeyBytes,
        compression: options.compression,
        preferCiphers: options.preferCiphers ?? options.provider.preferCiphers,
      },
      {
        output: () => driver.wake(),
        auth: (question, answer) => this.#authenticate(question, answer, client),
        ready: () => {
          signedIn = true;
          this.#unauthenticated--;
          options.log?.info(describe(client), 'signed in');
          connection.mux.notify(HOSTKEYS, hostKeysAnnouncement(options.hostKeys, options.provider));
          options.signedIn?.(client);
        },
        channelOpen: open => {
          const handler = own(options.channels, open.type);
          if (open.type === 'session' && noMoreSessions) {
            open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'you wanted no more sessions');
          } else if (handler === undefined) {
            open.reject(OpenFailure.UNKNOWN_CHANNEL_TYPE, 'channels of this type are not served here');
          } else this.#heed(handler(open, client), open, client);
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
          if (!signedIn) this.#unauthenticated--;
          this.#logEnd(client, error, signedIn);
          this.#judge(client, error, signedIn, driver.graceOver);
          driver.wake();
          if (signedIn) options.gone?.(client);
        },
        fault: error => options.log?.error({ ...describe(client), ...faultFields(error) }, 'a handler failed'),
      },
    );
    const client: Client = {
      id: ++this.#lastId,
      connection,
      address: socket.address,
      port: socket.port,
      get user() {
        return connection.user ?? '';
      },
      closed,
    };
    this.#drivers.set(client, driver);
    options.log?.debug(describe(client), 'connected');
    this.#ticker ??= setInterval(() => this.tick(), 1000);
    const forget = () => this.#forget(client);
    driver.closed.then(forget, forget);
    driver.start(connection);
    return client;
  }

  /** A handler that works on must not take the process down when it fails. */
  #heed(working: void | Promise<void>, open: ChannelOpen, client: Client): void {
    Promise.resolve(working).catch((error: unknown) => {
      // What a reader of one of its streams throws.
      if (error === client.connection.error) return;
      this.#options.log?.error({ ...describe(client), ...faultFields(error) }, 'a handler failed');
      open.reject(OpenFailure.CONNECT_FAILED, 'internal error');
    });
  }

  /** Why one more connection from the address is not served; undefined if it is. */
  #refusal(address: string): string | undefined {
    const { startups = STARTUPS, maxConnections = MAX_CONNECTIONS, provider } = this.#options;
    if (this.#closing) return 'The server is shutting down.';
    if (this.#drivers.size >= maxConnections) return 'Too many connections; try again later.';
    const wait = this.#penalties?.remaining(address, seconds()) ?? 0;
    if (wait > 0) return `Too many failures from your address; try again in ${Math.ceil(wait)} s.`;
    const limits = isLoopback(address) ? { ...startups, begin: startups.full } : startups;
    if (dropsEarly(this.#unauthenticated, limits, provider.random)) return 'Too many connections; try again later.';
    return undefined;
  }

  #judge({ address, connection }: Client, error: Error, signedIn: boolean, graceOver: boolean): void {
    let offence: Offence | undefined;
    if (!(error instanceof ProtocolError || error instanceof DisconnectError)) offence = 'crash';
    else if (signedIn || this.#closing) return;
    else if (graceOver) offence = 'grace';
    else offence = connection.failures > 0 ? 'authfail' : 'noauth';
    this.penalise(address, offence);
    this.#options.penalised?.(address, offence);
  }

  /** Penalises an address for what it has done elsewhere, as if it had been here. */
  penalise(address: string, offence: Offence): void {
    this.#penalties?.add(address, offence, seconds());
  }

  #authenticate(question: AuthQuestion, answer: (answer: AuthAnswer) => void, client: Client): void {
    const method = question.method === 'publickey-query' ? 'publickey' : question.method;
    const authenticator = this.#options.authenticators.find(candidate => candidate.method === method);
    if (authenticator === undefined) return answer({ result: 'reject' });
    const failed = (error: unknown) => {
      this.#options.log?.error({ ...describe(client), ...faultFields(error) }, 'an authenticator failed');
      answer({ result: 'reject' });
    };
    // Whichever way it fails, and be it by an answer that is none, the user is refused and the connection lives on.
    const asked = async () => {
      const given = await authenticator.answer(question, client);
      if (question.method !== 'publickey-query') {
        this.#options.log?.debug({ ...describe(client), method, result: given.result }, 'sign-in step');
      }
      return given;
    };
    asked().then(answer, failed);
  }

  #logEnd(client: Client, error: Error, signedIn: boolean): void {
    const { log } = this.#options;
    const fields = { ...describe(client), signedIn, reason: error.message };
    if (error instanceof ProtocolError) log?.warn(fields, 'disconnected: protocol error');
    else if (error instanceof DisconnectError) log?.info(fields, 'disconnected');
    else log?.error({ ...fields, stack: error.stack }, 'disconnected: fault in this program');
  }

  /** One second has passed; called by the server itself while it has clients. */
  tick(): void {
    for (const [client, driver] of this.#drivers) {
      try {
        driver.tick();
      } catch (error) {
        this.#options.log?.error({ ...describe(client), ...faultFields(error) }, 'a connection could not be seen to');
      }
    }
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
      detached(listener.close(), this.#options.log, 'a listener cannot be closed');
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
