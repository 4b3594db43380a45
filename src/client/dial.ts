// Connects to an SSH server, checks its host key, signs in, and gives back a connection that is ready to use.
import { accelerated } from '../crypto/accelerated.ts';
import type { CompressionAlgorithm, CryptoProvider } from '../crypto/provider.ts';
import { DIRECT_TCPIP, FORWARDED_PORT, TCPIP_FORWARD } from '../protocol/channels/forwarding.ts';
import type { ChannelOpen, GlobalRequest } from '../protocol/channels/mux.ts';
import { EXEC, EXIT_STATUS } from '../protocol/channels/session-requests.ts';
import { Connection } from '../protocol/connection.ts';
import { Disconnect, DisconnectError, OpenFailure } from '../protocol/errors.ts';
import type { Credential } from '../protocol/userauth/client.ts';
import { pack, unpack } from '../protocol/wire/codec.ts';
import { encodeUtf8 } from '../protocol/wire/reader.ts';
import { Driver, TIMES, type Times } from '../server/drive.ts';
import { connect, type Socket } from '../server/runtime/net.ts';
import { ChannelStream } from '../server/streams.ts';
import type { HostKeyCheck } from './known-hosts.ts';

export interface DialOptions {
  readonly host?: string;
  readonly port?: number;
  /** A socket that is already connected, in place of host and port. */
  readonly socket?: Socket;
  readonly user: string;
  /** Tried in this order. */
  readonly credentials: readonly Credential[];
  /**
   * Whether this is the server's key (a blob, perhaps a certificate), as a function of the key, the name of the algorithm
   * it signed under, and host and port; what it throws, `dial` throws. There is no default, because there is no safe one:
   * see `knownHosts`.
   */
  readonly hostKey: HostKeyCheck;
  readonly provider?: CryptoProvider;
  readonly times?: Partial<Times>;
  readonly rekeyBytes?: number;
  /** Such as [zlib]; used if the server has it. */
  readonly compression?: readonly CompressionAlgorithm[];
  /** Text that the server wants shown before sign-in; untrusted. */
  banner?(message: string): void;
}

/** What a command left behind. */
export interface Finished {
  stdout: Uint8Array;
  stderr: Uint8Array;
  /** Undefined if the server reported none. */
  status: number | undefined;
}

/** A connection to a server, signed in. */
export class ClientConnection {
  readonly connection: Connection;
  /** Resolves to the reason when the connection has ended. */
  readonly closed: Promise<Error>;
  /** Listeners on the server's side, "host port" as asked for. */
  readonly #forwards = new Map<string, (open: ChannelOpen) => void>();
  /** `listen`s that await their answer. */
  readonly #asking = new Set<Promise<unknown>>();

  /** For `dial`. */
  constructor(connection: Connection, closed: Promise<Error>) {
    this.connection = connection;
    this.closed = closed;
  }

  /** Opens a channel of any type as a stream. @throws OpenError if it is refused */
  async open(type: string, data: Uint8Array = new Uint8Array(0)): Promise<ChannelStream> {
    const stream = new ChannelStream();
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

  /** A byte stream to `host:port` as seen from the server, as `ssh -W`. @throws OpenError */
  forward(host: string, port: number): Promise<ChannelStream> {
    return this.open('direct-tcpip', pack(DIRECT_TCPIP, { host, port, originHost: '127.0.0.1', originPort: 1 }));
  }

  /**
   * Has the server listen, as `ssh -R`; each caller's channel goes to `called`.
   * @returns the port, which the server chooses if `port` is 0; undefined if it refuses
   */
  async listen(host: string, port: number, called: (open: ChannelOpen) => void): Promise<number | undefined> {
    const asking = this.#listen(host, port, called);
    this.#asking.add(asking);
    try {
      return await asking;
    } finally {
      this.#asking.delete(asking);
    }
  }

  async #listen(host: string, port: number, called: (open: ChannelOpen) => void): Promise<number | undefined> {
    const reply = await this.connection.request('tcpip-forward', pack(TCPIP_FORWARD, { host, port }));
    if (reply === undefined) return undefined;
    const actual = port === 0 ? unpack(FORWARDED_PORT, reply).port : port;
    this.#forwards.set(`${host} ${actual}`, called);
    return actual;
  }

  /** Takes a listener back. False if the server knows of none. */
  async unlisten(host: string, port: number): Promise<boolean> {
    this.#forwards.delete(`${host} ${port}`);
    return (await this.connection.request('cancel-tcpip-forward', pack(TCPIP_FORWARD, { host, port }))) !== undefined;
  }

  /** Runs a command and collects what it writes. @throws OpenError; DisconnectError if the server does not run commands; what ended the connection, if that came first */
  async exec(command: string, stdin: Uint8Array = new Uint8Array(0)): Promise<Finished> {
    const stream = await this.open('session');
    let status: number | undefined;
    stream.onrequest = ({ type, data }) => {
      if (type !== 'exit-status') return false;
      status = unpack(EXIT_STATUS, data).status;
      return true;
    };
    const granted = await stream.channel.request('exec', pack(EXEC, { command: encodeUtf8(command) }));
    if (!granted) {
      if (this.connection.error !== undefined) throw this.connection.error;
      stream.channel.close();
      throw new DisconnectError('the server refused to run the command');
    }
    const [stdout, stderr] = await Promise.all([
      collect(stream),
      collect(stream.stderr),
      stream.write(stdin).then(() => stream.end()),
    ]);
    // Ours is not to close: sshd reports the exit status after its EOF.
    await stream.closed;
    // Half an output must not pass for a whole one.
    if (status === undefined && this.connection.error !== undefined) throw this.connection.error;
    return { stdout, stderr, status };
  }

  /** Says goodbye; resolves when the connection has ended. */
  async close(): Promise<void> {
    this.connection.disconnect(Disconnect.BY_APPLICATION, 'disconnected by user');
    await this.closed;
  }

  /** For `dial`: a channel that the server opens. */
  called(open: ChannelOpen): void {
    const refuse = () => open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not asked for');
    if (open.type !== 'forwarded-tcpip') return refuse();
    const { host, port } = unpack(DIRECT_TCPIP, open.data);
    const called = this.#forwards.get(`${host} ${port}`);
    if (called !== undefined) return called(open);
    if (this.#asking.size === 0) return refuse();
    // A caller may come right behind the server's "yes", before `listen` has heard of that.
    void Promise.allSettled(this.#asking)
      .then(() => (this.#forwards.get(`${host} ${port}`) ?? refuse)(open))
      // As when it throws at once: a fault of this program ends this connection.
      .catch(() => this.connection.disconnect(Disconnect.BY_APPLICATION, 'internal error'));
  }
}

/**
 * Connects and signs in.
 * @throws the system's error if the host cannot be reached; ProtocolError if it breaks the protocol or its host key is not accepted; DisconnectError if it does not let us in or closes
 */
export async function dial(options: DialOptions): Promise<ClientConnection> {
  const provider = options.provider ?? accelerated;
  const target = { host: options.host ?? '127.0.0.1', port: options.port ?? 22 };
  const hostKeyAlgorithms = await options.hostKey.prefer?.(provider.signatures, target);
  const socket = options.socket ?? (await connect(target.host, target.port));
  const times = { ...TIMES, ...options.times };
  const driver = new Driver(socket, times);
  let over!: (error: Error) => void;
  const closed = new Promise<Error>(resolve => (over = resolve));

  return new Promise((resolve, reject) => {
    /** Why the host key was refused, in more words than the peer is told. */
    let refusal: Error | undefined;
    const connection = new Connection(
      {
        role: 'client',
        provider,
        user: options.user,
        credentials: options.credentials,
        rekeyBytes: options.rekeyBytes,
        hostKeyAlgorithms,
        compression: options.compression,
      },
      {
        output: () => driver.wake(),
        hostKey: ({ hostKey, algorithm }, answer) => {
          Promise.resolve()
            .then(() => options.hostKey(hostKey, algorithm, target))
            .then(answer, (error: Error) => {
              refusal = error;
              answer(false);
            });
        },
        banner: message => options.banner?.(message),
        ready: () => resolve(client),
        channelOpen: open => client.called(open),
        globalRequest: (_request: GlobalRequest) => false,
        closed: cause => {
          const error = refusal ?? cause;
          driver.wake();
          over(error);
          reject(error);
        },
      },
    );
    const client = new ClientConnection(connection, closed);
    const ticker = setInterval(() => {
      if (driver.tick()) clearInterval(ticker);
    }, 1000);
    // A connection that has been closed must not keep the process alive while the last bytes linger.
    void closed.then(() => ticker.unref());
    driver.start(connection);
  });
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    length += chunk.length;
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
