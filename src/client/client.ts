// A connection to a server, signed in: commands, forwarding in both directions, goodbye.
import type { ChannelOpen } from '../protocol/channels/mux.ts';
import { takesEow } from '../protocol/compat.ts';
import type { Connection } from '../protocol/connection.ts';
import { Disconnect, OpenError } from '../protocol/errors.ts';
import { checkSize } from '../protocol/wire/codec.ts';
import { ChannelStream } from '../server/streams.ts';
import {
  begin,
  type CommandOptions,
  collect,
  type ExecOptions,
  type Finished,
  feed,
  type RemoteCommand,
  type ShellOptions,
  type Start,
  startExec,
  startShell,
  startSubsystem,
} from './command.ts';
import { directOpen, type Endpoint, forwardLocal, type LocalListener, passOn, refusal } from './forwards.ts';
import { type RemoteCall, RemoteForwards, type RemoteListener } from './remote-listeners.ts';

/** A connection to a server, signed in. Everything that it carries ends with it. */
export class ClientConnection {
  /** The protocol beneath: requests and channels of other kinds. */
  readonly connection: Connection;
  /** Resolves to the reason when the connection has ended. */
  readonly closed: Promise<Error>;
  readonly #forwards: RemoteForwards;

  /** For `dial`. */
  constructor(connection: Connection, closed: Promise<Error>) {
    this.connection = connection;
    this.closed = closed;
    this.#forwards = new RemoteForwards(connection, closed);
  }

  // Commands

  /**
   * Runs a command and collects what it writes, all of it in memory; a status other than 0 is no error.
   * @throws OpenError if there may be no session; RequestError if the server does not run commands; what ended the
   * connection, if that came first; the reason of `signal`; what `stdin` throws
   */
  async exec(command: string | Uint8Array, options: ExecOptions = {}): Promise<Finished> {
    const running = await this.start(command, options);
    const { stream } = running;
    const failed = new Promise<never>((_resolve, reject) => {
      running.exit.catch(reject);
      feed(running, options.stdin).catch(reject);
    });
    try {
      const outputs = Promise.all([collect(running.stdout), collect(running.stderr)]);
      const [stdout, stderr] = await Promise.race([outputs, failed]);
      // sshd says that there is no more output long before it knows the status.
      await Promise.race([running.reported, stream.closed]);
      stream.channel.close();
      return { stdout, stderr, ...(await running.exit) };
    } finally {
      stream.channel.close();
    }
  }

  /**
   * Starts a command, and does not wait for it.
   * @throws OpenError if there may be no session; RequestError if the server does not run commands; the reason of `signal`
   */
  start(command: string | Uint8Array, options: CommandOptions = {}): Promise<RemoteCommand> {
    return this.#begin(startExec(command), options);
  }

  /** Starts the user's shell, in a terminal unless `pty` is false. @throws as `start` */
  shell(options: ShellOptions = {}): Promise<RemoteCommand> {
    return this.#begin(startShell, { ...options, pty: options.pty ?? options });
  }

  /** Starts a subsystem, such as "sftp" (RFC 4254 §6.5). @throws as `start` */
  subsystem(name: string, options: CommandOptions = {}): Promise<RemoteCommand> {
    return this.#begin(startSubsystem(name), options);
  }

  async #begin(what: Start, options: CommandOptions): Promise<RemoteCommand> {
    options.signal?.throwIfAborted();
    const stream = await this.open('session');
    return begin(stream, this.connection, what, options);
  }

  // Forwarding

  /** A byte stream to `host:port` as seen from the server, as `ssh -W`. `origin` is who asks, for the server's log. @throws OpenError if it is refused */
  forward(host: string, port: number, origin?: { host: string; port: number }): Promise<ChannelStream> {
    return this.#direct({ host, port }, origin);
  }

  /** A byte stream to a Unix socket on the server's host. @throws OpenError if it is refused */
  forwardPath(path: string): Promise<ChannelStream> {
    return this.#direct({ path });
  }

  /**
   * Listens on this side and has the server connect each caller, as `ssh -L`: `forwardLocal({ port: 8080 }, { host: 'db', port: 5432 })`.
   * @param failed hears why somebody could not be connected; his socket is closed then
   * @throws the system's error if it cannot listen
   */
  forwardLocal(from: Endpoint, to: Endpoint, failed: (error: OpenError) => void = () => {}): Promise<LocalListener> {
    return forwardLocal(this.connection, this.closed, from, to, failed);
  }

  /**
   * Has the server listen, as `ssh -R`. Each caller goes to `called`; without that, the listener is to be looped over. A
   * callback that fails, at once or later, ends its caller's stream (see `DialOptions.fault`).
   * @param host the address that the server listens on: "localhost" for its own host, an empty one for everybody
   * @param port 0 lets the server choose
   * @throws RequestError if it refuses
   */
  listen(host: string, port: number, called?: (call: RemoteCall) => void | Promise<void>): Promise<RemoteListener> {
    return this.#forwards.listen({ host, port }, called);
  }

  /** The same, for a Unix socket on the server's host. @throws RequestError if it refuses */
  listenPath(path: string, called?: (call: RemoteCall) => void | Promise<void>): Promise<RemoteListener> {
    return this.#forwards.listen({ path }, called);
  }

  /**
   * Has the server listen, and connects each caller from here, as `ssh -R`: `forwardRemote({ port: 8080 }, { port: 3000 })`.
   * @param failed hears why somebody could not be connected
   * @throws RequestError if the server refuses
   */
  forwardRemote(from: Endpoint, to: Endpoint, failed: (error: Error) => void = () => {}): Promise<RemoteListener> {
    return this.#forwards.listenRaw(from, passOn(to, failed, this));
  }

  async #direct(to: Endpoint, origin?: { host: string; port: number }): Promise<ChannelStream> {
    try {
      return await this.open(...directOpen(to, origin));
    } catch (error) {
      throw error instanceof OpenError && this.connection.error === undefined ? refusal(error, to) : error;
    }
  }

  // The connection

  /** Opens a channel of any type as a stream. @throws OpenError if it is refused, UsageError if type and data are too large for a packet */
  async open(type: string, data: Uint8Array = new Uint8Array(0)): Promise<ChannelStream> {
    checkSize(`a channel ${type}`, type.length + data.length);
    const eow = type === 'session' && takesEow(this.connection.transport.peerIdent);
    const stream = new ChannelStream({ eow });
    return new Promise((resolve, reject) =>
      this.connection.mux.open(
        type,
        data,
        stream.handler,
        channel => {
          stream.channel = channel;
          resolve(stream);
        },
        reject,
      ),
    );
  }

  /** Resolves when the server has answered, or the connection has ended. */
  ping(): Promise<void> {
    return this.connection.ping();
  }

  /** Says goodbye; resolves when the connection has ended. */
  async close(): Promise<void> {
    this.connection.disconnect(Disconnect.BY_APPLICATION, 'disconnected by user');
    await this.closed;
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For `dial`: a channel that the server opens. */
  called(open: ChannelOpen): void | Promise<void> {
    return this.#forwards.called(open);
  }
}
