// One SSH connection, whole and without I/O: Transport + user authentication + Mux. Bytes in, bytes out, events; the only try/catch of the protocol.
import type { CompressionAlgorithm, CryptoProvider, PrivateKey } from '../crypto/provider.ts';
import type { Eventually } from './channels/answers.ts';
import type { Channel, ChannelHandler } from './channels/channel.ts';
import { type ChannelOpen, type GlobalReply, type GlobalRequest, Mux } from './channels/mux.ts';
import { Disconnect, DisconnectError, ProtocolError, UsageError } from './errors.ts';
import { guarded, isLater } from './guard.ts';
import { allowed, type Stage } from './messages.ts';
import { PING_EXTENSION } from './transport/extensions.ts';
import type { HostKeyQuestion } from './transport/kex.ts';
import { Transport } from './transport/transport.ts';
import { ClientAuth, type Credential } from './userauth/client.ts';
import type { AuthAnswer, AuthQuestion } from './userauth/questions.ts';
import { type AuthRefusal, ServerAuth } from './userauth/server.ts';
import { checkSize } from './wire/codec.ts';
import type { Packet } from './wire/packet.ts';

/** Sealed bytes that may wait in here before no more credit is given on the peer's behalf; the socket's own mark is the driver's. */
const OUTPUT_MARK = 1024 * 1024;

interface CommonOptions {
  /** Its lists are what is offered, in their order. */
  readonly provider: CryptoProvider;
  /** Our identification line without CR LF (RFC 4253 §4.2). */
  readonly ident?: string;
  /** Key re-exchange after so many bytes in either direction; by default 1 GiB. */
  readonly rekeyBytes?: number;
  /** And after so many packets; by default 2^31. */
  readonly rekeyPackets?: number;
  /** See TransportOptions. */
  readonly kex?: readonly string[];
  /** See TransportOptions. */
  readonly compression?: readonly CompressionAlgorithm[];
  /** Channels at once, both directions. */
  readonly maxChannels?: number;
}
/** What the server's end of a connection is made with. */
export interface ServerConnectionOptions extends CommonOptions {
  /** Which end this is. */
  readonly role: 'server';
  /** Its keys and certified keys, in order of preference among those of one type. */
  readonly hostKeys: readonly PrivateKey[];
  /** Sign-in methods that the client is told of, best first. */
  readonly methods: readonly string[];
  /** Lists of methods of which one has to be gone through, in its order; by default each method suffices. See ServerAuthOptions. */
  readonly require?: readonly (readonly string[])[];
  /** Text shown before sign-in. */
  readonly banner?: string;
  /** Failed tries before the connection is closed. */
  readonly maxTries?: number;
  /** See TransportOptions; whoever gives it calls `offer` after some time. */
  readonly preferCiphers?: readonly string[];
}
/** What the client's end of a connection is made with. */
export interface ClientConnectionOptions extends CommonOptions {
  /** Which end this is. */
  readonly role: 'client';
  /** As whom to sign in. */
  readonly user: string;
  /** Tried in their order, as far as the server lets them. */
  readonly credentials: readonly Credential[];
  /** Names of the host key algorithms that the server may use, best first; by default all of the provider's. */
  readonly hostKeyAlgorithms?: readonly string[];
}

/**
 * What the owner of a connection hears. Calls come from inside the protocol: return soon. What one of them throws, or the rejection
 * of a promise that it returns, refuses what it was asked about, goes to `fault`, and ends nothing else. A ProtocolError that
 * `channelOpen` or `globalRequest` throws at once (as `unpack` does) says that the peer's payload was malformed: it refuses, too, and is no fault.
 */
export interface ConnectionEvents {
  /** `takeOutput` has something, where it had nothing. */
  output(): void;
  /** Server: a step of the sign-in. Absent: nobody gets in. */
  auth?(question: AuthQuestion, answer: (answer: AuthAnswer) => void): void;
  /** Client: whether this is the host's key. Absent: refused. */
  hostKey?(question: HostKeyQuestion, answer: (accepted: boolean) => void): void;
  /**
   * Server: the exchange of keys that comes next costs so much (`KexAlgorithm.work`), which any stranger may have us spend. Call `goOn`,
   * now or later; nothing more is read until then. Absent, or failing: at once.
   */
  costly?(work: number, goOn: () => void): void;
  /** Client: text to show; untrusted. */
  banner?(message: string): void;
  /** Server: a step of the sign-in was refused without a question. */
  authRefused?(refusal: AuthRefusal): void;
  /** Signed in. */
  ready?(): void;
  /** The peer wants a channel. Absent: refused. */
  channelOpen?(open: ChannelOpen): void | Promise<void>;
  /** A global request; absent: refused. */
  globalRequest?(request: GlobalRequest): Eventually<GlobalReply>;
  /**
   * Over, for the given reason; called exactly once. ProtocolError: the peer broke the rules (and has been told, in the
   * output). DisconnectError: somebody said goodbye. Anything else is a fault of this program.
   */
  closed?(error: Error): void;
  /** A handler has failed: a fault of this program, of which the peer knows nothing. */
  fault?(error: unknown): void;
}

/** A connection. Its owner moves bytes: `receive` takes what the socket gave, `takeOutput` gives what the socket is to take. */
export class Connection {
  /** Which end this is. */
  readonly role: 'server' | 'client';
  /** Packets and keys (RFC 4253). */
  readonly transport: Transport;
  /** Channels and global requests (RFC 4254); nothing may be opened or asked before `ConnectionEvents.ready`. */
  readonly mux: Mux;
  /** How far it has come: 'keying', 'keyed', 'userauth', 'connection'. */
  stage: Stage = 'keying';
  /** Why it is over; undefined while it lives. */
  error: Error | undefined;
  /** Milliseconds to the peer and back, as the owner has measured them (the protocol has no clock); 0 while that is not known. */
  roundTrip = 0;

  readonly #events: ConnectionEvents;
  readonly #auth: ServerAuth | ClientAuth;
  /** Set by the driver: the socket takes no more for now. */
  #socketFull = false;
  /** And what it has to send yet, in bytes. */
  #socketPending = 0;
  /** The account was full: what has come and was not looked at waits until the output has been taken. */
  #halted = false;
  /** The host key is being judged, or an exchange waits for its turn. */
  #judging = false;
  /** Somebody was told that we are congested and waits for `Mux.relieved`. */
  #askedToWait = false;

  constructor(options: ServerConnectionOptions | ClientConnectionOptions, events: ConnectionEvents) {
    this.role = options.role;
    this.#events = events;
    this.transport = new Transport(options, {
      output: () => events.output(),
      hostKey: question => this.#judgeHostKey(question),
      costly: work => this.#afford(work),
      exchanging: active => {
        if (!active) this.#relieve();
      },
    });
    const connection = this;
    this.mux = new Mux(
      {
        maxChannels: options.maxChannels,
        channelOpen: open => this.#channelOpen(open),
        globalRequest: request => this.#events.globalRequest?.(request) ?? false,
      },
      {
        get congested() {
          return connection.congested;
        },
        get roundTrip() {
          return connection.roundTrip;
        },
        get queued() {
          return connection.transport.queuedBytes + connection.#socketPending;
        },
        account: this.transport.account,
        send: packet => this.send(packet),
        fault: error => this.fault(error),
      },
    );
    const { provider } = options;
    // Authentication sees the transport only through these members.
    const { transport } = this;
    const authTransport = {
      get sessionId() {
        return transport.sessionId;
      },
      get hostKey() {
        return transport.hostKey;
      },
      extensions: transport.extensions,
      send: (packet: Packet) => this.send(packet),
      unimplemented: () => transport.unimplemented(),
    };
    this.#auth =
      options.role === 'server'
        ? new ServerAuth(
            {
              provider,
              methods: options.methods,
              require: options.require,
              fault: error => this.fault(error),
              refused: refusal => this.#told(() => events.authRefused?.(refusal)),
              banner: options.banner,
              maxTries: options.maxTries,
              ask: (question, answer) => this.#askAuth(question, answer),
            },
            authTransport,
          )
        : new ClientAuth(
            {
              ...options,
              banner: message => this.#told(() => events.banner?.(message)),
              // One that fails has nothing to give, and the next credential is tried.
              ask: (credential, respond) => this.#later(respond, decide => credential.ask(decide), undefined),
              prompt: (credential, round, respond) =>
                this.#later(respond, decide => credential.answer(round, decide), undefined),
              sign: (credential, data, algorithm, respond) =>
                this.#later(respond, decide => credential.sign(data, algorithm, decide), undefined),
            },
            authTransport,
          );
  }

  /** Sends the first bytes. */
  start(): void {
    this.#guard(() => {
      this.transport.start();
      if (this.#auth instanceof ClientAuth) this.#auth.start();
    });
  }

  /** Server: does not wait any longer for the client's KEXINIT. */
  offer(): void {
    if (!this.closed) this.#guard(() => this.transport.offer());
  }

  /** The user name of the sign-in, once the client has named one. */
  get user(): string | undefined {
    return this.#auth instanceof ServerAuth ? this.#auth.user : undefined;
  }

  /** Server: failed tries to sign in. */
  get failures(): number {
    return this.#auth instanceof ServerAuth ? this.#auth.failures : 0;
  }

  /** Server: failed tries for which a fault of this program is the reason. */
  get faults(): number {
    return this.#auth instanceof ServerAuth ? this.#auth.faults : 0;
  }

  /** The peer waits for a step of the sign-in that is being decided here. */
  get deciding(): boolean {
    return this.#auth.waiting;
  }

  /** It is over, and `error` says why. */
  get closed(): boolean {
    return this.error !== undefined;
  }

  /**
   * // hot — Bytes from the peer. Takes ownership of `chunk`, or, if it is `lent`, uses it up or copies it before returning;
   * never throws: faults end the connection.
   */
  receive(chunk: Uint8Array, lent = false): void {
    if (this.closed) return;
    try {
      this.transport.receive(chunk, lent);
      this.#pump();
      if (lent) this.transport.keep();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The peer's stream has ended; `cause` says how, if it was not in an orderly way. */
  receiveEnd(cause?: Error): void {
    const what = cause?.message ?? 'the peer closed the connection';
    const { greeting } = this.transport;
    const said = greeting === '' ? '' : `, and said "${greeting}"`;
    this.#close(new DisconnectError(what + said, Disconnect.CONNECTION_LOST));
  }

  /**
   * Whether reading from the socket should wait: a decision is open, or the peer asks and does not read the answers. Channel
   * data is none of those: the windows bound it, and two ends that both have much to send would stop reading from each
   * other for ever.
   */
  get paused(): boolean {
    return this.#auth.waiting || this.#judging || this.#halted || this.transport.account.full;
  }

  /**
   * What is to be sent; the caller owns it, and calls `setSocketFull` next. Goes on giving after the end, so that the
   * DISCONNECT gets out. `least`: see `Transport.takeOutput`.
   */
  takeOutput(least = 0): Uint8Array[] {
    return this.transport.takeOutput(least);
  }

  /** Whether data for this peer should wait. Asking marks: when it gets better, `Mux.relieved` is called. */
  get congested(): boolean {
    const congested = this.#socketFull || this.transport.exchanging || this.transport.outputBytes >= OUTPUT_MARK;
    if (congested) this.#askedToWait = true;
    return congested;
  }

  /** The driver's word, after each write: whether the socket has more than enough to send, and how many bytes that are. */
  setSocketFull(full: boolean, pending = 0): void {
    this.#socketFull = full;
    this.#socketPending = pending;
    if (full) return;
    this.#relieve();
    if (!this.#halted || this.closed || this.transport.account.full) return;
    // Reading has stopped in the middle of a chunk.
    this.#guard(() => this.#pump());
  }

  #relieve(): void {
    if (!this.#askedToWait || this.#socketFull || this.transport.exchanging) return;
    this.#askedToWait = false;
    this.#guard(() => this.mux.relieved());
  }

  /** Sends one message; a failure ends this connection and no other. */
  send(packet: Packet): void {
    if (this.closed) return;
    try {
      this.transport.send(packet);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Opens a channel. @throws OpenError if the peer refuses (the connection lives on), or the connection has ended */
  open(type: string, data: Uint8Array = new Uint8Array(0), handler: ChannelHandler = {}): Promise<Channel> {
    return new Promise((resolve, reject) => {
      checkSize(`a channel ${type}`, type.length + data.length);
      this.mux.open(type, data, handler, resolve, reject);
    });
  }

  /** A global request (RFC 4254 §4) that wants a reply: its data, or undefined if it was refused. */
  async request(type: string, data: Uint8Array = new Uint8Array(0)): Promise<Uint8Array | undefined> {
    const reply = await this.mux.request(type, data);
    if (reply === false) return undefined;
    return reply === true ? new Uint8Array(0) : reply;
  }

  /** Resolves when the peer has answered (or the connection has ended): PING where it is announced, a keepalive request elsewhere. */
  async ping(): Promise<void> {
    if (this.transport.extensions.has(PING_EXTENSION)) return this.mux.ping();
    await this.mux.request('keepalive@openssh.com', new Uint8Array(0));
  }

  /** New keys now, as after a time that the owner keeps (the protocol has no clock). */
  rekey(): void {
    if (this.stage === 'connection' && !this.closed) this.#guard(() => this.transport.rekey());
  }

  /** Says goodbye. */
  disconnect(reason: number = Disconnect.BY_APPLICATION, description = ''): void {
    if (this.closed) return;
    try {
      this.transport.disconnect(reason, description);
    } catch {
      // Nothing more can be said under these keys; the socket's end will have to do.
    }
    this.#close(new DisconnectError(description, reason));
  }

  #pump(): void {
    while (!this.closed && !this.#auth.waiting) {
      const packet = this.transport.next();
      if (this.stage === 'keying' && this.transport.exchanges > 0) this.stage = 'keyed';
      if (packet === undefined) break;
      this.#dispatch(packet);
    }
    this.#halted = this.transport.account.full;
  }

  /** // hot */
  #dispatch(packet: Packet): void {
    const { number } = packet;
    if (number >= 80 && this.stage === 'connection') {
      this.mux.receive(packet);
      return;
    }
    if (!allowed(number, this.stage)) {
      // As sshd: without effect, so the rest of the connection need not suffer. A server that is ahead of the order would have us
      // act for it before it has let us in, and ssh ends there, too.
      if (this.role === 'server') return this.transport.unimplemented();
      throw new ProtocolError(`message ${number} is not allowed at this stage`);
    }
    // As ssh: a second SUCCESS, or a FAILURE or banner that comes late, changes nothing any more.
    if (this.stage === 'connection' && this.role === 'client') return this.transport.unimplemented();
    if (this.stage === 'keyed') this.stage = 'userauth';
    this.#auth.receive(packet);
    this.#checkSignedIn();
  }

  #checkSignedIn(): void {
    if (!this.#auth.done || this.stage === 'connection' || this.closed) return;
    this.stage = 'connection';
    this.transport.mayRekey = true;
    this.#told(() => this.#events.ready?.());
  }

  #askAuth(question: AuthQuestion, answer: (answer: AuthAnswer) => void): void {
    if (this.#events.auth === undefined) return answer({ result: 'reject' });
    this.#later(answer, decide => this.#events.auth!(question, decide), { result: 'reject', fault: true });
  }

  #judgeHostKey(question: HostKeyQuestion): void {
    if (this.#events.hostKey === undefined) return this.transport.answerHostKey(false);
    this.#judging = true;
    this.#later(
      (accepted: boolean) => {
        this.#judging = false;
        this.transport.answerHostKey(accepted);
      },
      decide => this.#events.hostKey!(question, decide),
      false,
    );
  }

  #afford(work: number): void {
    if (this.#events.costly === undefined) return this.transport.proceed();
    this.#judging = true;
    this.#later<true>(
      () => {
        this.#judging = false;
        this.transport.proceed();
      },
      decide => this.#events.costly!(work, () => decide(true)),
      true,
    );
  }

  /** Puts a question whose answer may come at once, inside the running `receive`, or later, on its own; it is `otherwise` if asking fails. */
  #later<T>(answer: (value: T) => void, ask: (decide: (value: T) => void) => void, otherwise: NoInfer<T>): void {
    let asking = true;
    let answered = false;
    const decide = (value: T) => {
      if (this.closed || answered) return;
      answered = true;
      if (asking) {
        now = () => answer(value);
        return;
      }
      this.#guard(() => {
        answer(value);
        this.#checkSignedIn();
        this.#pump();
      });
      // The driver may have stopped reading meanwhile; output makes it look again.
      this.#events.output();
    };
    let now: (() => void) | undefined;
    const failed = (error: unknown) => {
      this.fault(error);
      decide(otherwise);
    };
    try {
      const asked: unknown = ask(decide);
      if (isLater(asked)) asked.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
    asking = false;
    now?.();
  }

  /** Tells the owner something that wants no answer. */
  #told(tell: () => unknown): void {
    guarded(tell, error => this.fault(error));
  }

  /** A function of the owner's has failed, here or in something that uses this connection: `ConnectionEvents.fault` hears of it. Never throws. */
  fault(error: unknown): void {
    guarded(
      () => this.#events.fault?.(error),
      () => {}, // there is nobody left to tell
    );
  }

  #channelOpen(open: ChannelOpen): void | Promise<void> {
    if (this.#events.channelOpen === undefined) open.reject(3, 'channels are not accepted here');
    else return this.#events.channelOpen(open);
  }

  #guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.closed) return;
    if (!(error instanceof DisconnectError)) {
      const known = error instanceof ProtocolError;
      try {
        this.transport.disconnect(
          known ? error.reason : Disconnect.BY_APPLICATION,
          known ? error.message : 'internal error',
        );
      } catch {
        // As in `disconnect`.
      }
    } else if (this.role === 'client' && error.reason === Disconnect.NO_MORE_AUTH_METHODS_AVAILABLE) {
      this.transport.disconnect(error.reason, 'no more authentication methods');
    }
    this.#close(error instanceof Error ? error : new UsageError(String(error)));
  }

  #close(error: Error): void {
    if (this.closed) return;
    this.error = error;
    this.mux.destroy(error);
    this.#told(() => this.#events.closed?.(error));
  }
}
