// Forwarding as a client does it (RFC 4254 §7; OpenSSH PROTOCOL §2.4): listeners on the server's side, and on ours.
import {
  DIRECT_STREAMLOCAL,
  DIRECT_TCPIP,
  FORWARDED_PORT,
  FORWARDED_STREAMLOCAL,
  FORWARDED_TCPIP,
  STREAMLOCAL_FORWARD,
  TCPIP_FORWARD,
} from '../protocol/channels/forwarding.ts';
import type { ChannelOpen } from '../protocol/channels/mux.ts';
import type { Connection } from '../protocol/connection.ts';
import { Disconnect, OpenError, OpenFailure, RequestError } from '../protocol/errors.ts';
import { pack, unpack } from '../protocol/wire/codec.ts';
import { connect, connectPath, listen, listenPath, type Socket } from '../server/runtime/net.ts';
import { ChannelStream } from '../server/streams.ts';
import { SocketJoin } from '../server/tcp.ts';

/** Where to listen, or to connect: a TCP address, or the path of a Unix socket. */
export type Endpoint =
  | {
      /** Name or address; by default "localhost". For a listener, an empty one is everybody. */
      readonly host?: string;
      /** For a listener, 0 is any. */
      readonly port: number;
    }
  | { readonly path: string };

/** Somebody who has connected to a listener on the server's side. */
export interface RemoteCall {
  /** What he writes and reads. */
  readonly stream: ChannelStream;
  /** His address and port, as the server says; empty and 0 for a Unix socket. */
  readonly address: string;
  /** See `address`. */
  readonly port: number;
}

/** Callers that wait for whoever iterates over them; more are refused. What listen(2) commonly has. */
const BACKLOG = 128;

type Answer = (open: ChannelOpen, address: string, port: number) => void;

/** The listeners of one connection on the server's side. */
export class RemoteForwards {
  readonly #connection: Connection;
  readonly #closed: Promise<Error>;
  /** By what was asked for, see `nameOf`. */
  readonly #listeners = new Map<string, Answer>();
  /** Requests to listen that await their answer. */
  readonly #asking = new Set<Promise<unknown>>();

  constructor(connection: Connection, closed: Promise<Error>) {
    this.#connection = connection;
    this.#closed = closed;
  }

  /** @throws RequestError if the server refuses, or what has ended the connection */
  async listen(at: Endpoint, called?: (call: RemoteCall) => void | Promise<void>): Promise<RemoteListener> {
    const waiting = new Waiting();
    const answer: Answer =
      called === undefined
        ? (open, address, port) => waiting.add({ open, address, port })
        : (open, address, port) => serve(accept({ open, address, port }), called);
    const listener = await this.listenRaw(at, answer, waiting);
    void this.#closed.then(() => waiting.end());
    return listener;
  }

  /** The same for those who open the channels themselves. */
  async listenRaw(at: Endpoint, answer: Answer, waiting?: Waiting): Promise<RemoteListener> {
    const asking = this.#ask(at, answer, waiting);
    this.#asking.add(asking);
    try {
      return await asking;
    } finally {
      this.#asking.delete(asking);
    }
  }

  async #ask(at: Endpoint, answer: Answer, waiting: Waiting | undefined): Promise<RemoteListener> {
    const connection = this.#connection;
    const [request, data] =
      'path' in at
        ? ['streamlocal-forward@openssh.com', pack(STREAMLOCAL_FORWARD, at)]
        : ['tcpip-forward', pack(TCPIP_FORWARD, { host: at.host ?? 'localhost', port: at.port })];
    const reply = await connection.request(request, data);
    if (reply === undefined) {
      if (connection.error !== undefined) throw connection.error;
      throw new RequestError(
        'path' in at
          ? `the server refused to listen on ${at.path}: something may lie there already, or this user may not`
          : `the server refused to listen on ${at.host ?? 'localhost'}:${at.port}: the port may be taken, or this user may not; with port 0 the server chooses one`,
      );
    }
    const address =
      'path' in at ? at : { host: at.host ?? 'localhost', port: at.port || unpack(FORWARDED_PORT, reply).port };
    const name = nameOf(address);
    this.#listeners.set(name, answer);
    const cancel = async () => {
      this.#listeners.delete(name);
      waiting?.end();
      const [kind, what] =
        'path' in address
          ? ['cancel-streamlocal-forward@openssh.com', pack(STREAMLOCAL_FORWARD, address)]
          : ['cancel-tcpip-forward', pack(TCPIP_FORWARD, address)];
      return (await connection.request(kind, what)) !== undefined;
    };
    return new RemoteListener(address, cancel, waiting);
  }

  /** A channel that the server opens. */
  called(open: ChannelOpen): void {
    const refuse = () => open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not asked for');
    const found = callOf(open);
    if (found === undefined) return refuse();
    const { name, address, port } = found;
    const answer = this.#listeners.get(name);
    if (answer !== undefined) return answer(open, address, port);
    if (this.#asking.size === 0) return refuse();
    // A caller may come right behind the server's "yes", before `listen` has heard of that.
    void Promise.allSettled(this.#asking)
      .then(() => (this.#listeners.get(name) ?? refuse)(open, address, port))
      // As when it throws at once: a fault of this program ends this connection.
      .catch(() => this.#connection.disconnect(Disconnect.BY_APPLICATION, 'internal error'));
  }
}

/** A listener on the server's side. Without a callback, loop over it: `for await (const { stream } of listener)`. */
export class RemoteListener implements AsyncIterable<RemoteCall> {
  /** As asked for; empty for a Unix socket. */
  readonly host: string;
  /** The port, which the server has chosen if 0 was asked for; 0 for a Unix socket. */
  readonly port: number;
  /** Of a Unix socket. */
  readonly path: string | undefined;
  readonly #cancel: () => Promise<boolean>;
  readonly #waiting: Waiting | undefined;
  #closing: Promise<boolean> | undefined;

  /** For `ClientConnection`. */
  constructor(
    at: { host: string; port: number } | { path: string },
    cancel: () => Promise<boolean>,
    waiting: Waiting | undefined,
  ) {
    this.host = 'path' in at ? '' : at.host;
    this.port = 'path' in at ? 0 : at.port;
    this.path = 'path' in at ? at.path : undefined;
    this.#cancel = cancel;
    this.#waiting = waiting;
  }

  /** Callers, until the listener or the connection is closed. Those that nobody takes wait, 128 at most. */
  async *[Symbol.asyncIterator](): AsyncGenerator<RemoteCall> {
    for (;;) {
      const next = await this.#waiting?.next();
      if (next === undefined) return;
      if (!next.open.gone) yield accept(next);
    }
  }

  /** Takes the listener back; those who are connected stay. False if the server has none such (any more). */
  close(): Promise<boolean> {
    this.#closing ??= this.#cancel();
    return this.#closing;
  }

  /** `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A listener on this side, whose callers are passed on. It ends with its connection. */
export interface LocalListener extends AsyncDisposable {
  /** The IP address; empty for a Unix socket. */
  readonly host: string;
  /** The port, which the system has chosen if 0 was asked for; 0 for a Unix socket. */
  readonly port: number;
  /** Stops listening; those who are connected stay. */
  close(): Promise<void>;
}

/**
 * Listens here, and has the server connect each caller to `to`.
 * @param failed hears why somebody could not be connected; his socket is closed
 * @throws the system's error if it cannot listen
 */
export async function forwardLocal(
  connection: Connection,
  closed: Promise<Error>,
  from: Endpoint,
  to: Endpoint,
  failed: (error: OpenError) => void,
): Promise<LocalListener> {
  const called = (socket: Socket) => {
    const half = new SocketJoin(socket);
    connection.mux.open(
      ...directOpen(to, socket.address ? { host: socket.address, port: socket.port } : undefined),
      half.handler,
      channel => half.join(channel),
      error => {
        socket.destroy();
        failed(refusal(error, to));
      },
    );
  };
  const at = 'path' in from ? { host: '', port: 0 } : { host: from.host ?? 'localhost', port: from.port };
  const listener =
    'path' in from
      ? { ...at, ...(await listenPath(from.path, called)) }
      : await listen(at.host || '::', at.port, called).catch((error: { code?: string }) => {
          if (at.host !== '' || error.code !== 'EAFNOSUPPORT') throw error;
          return listen('0.0.0.0', at.port, called);
        });
  // It waits for those who are connected to leave, too; nobody is new from now on, and that will do.
  const close = async () => void listener.close();
  void closed.then(close);
  return { host: listener.host, port: listener.port, close, [Symbol.asyncDispose]: close };
}

/** Callers of a listener on the server's side are connected to `to`, as seen from here. */
export function passOn(to: Endpoint, failed: (error: Error) => void): Answer {
  return async open => {
    try {
      const socket = 'path' in to ? await connectPath(to.path) : await connect(to.host ?? 'localhost', to.port);
      if (open.gone) return socket.destroy();
      const half = new SocketJoin(socket);
      half.join(open.accept(half.handler));
    } catch (error) {
      open.reject(OpenFailure.CONNECT_FAILED, 'connection failed');
      failed(error as Error);
    }
  };
}

/** Who asks, where that is nobody on the network; what ssh says then, because there are servers that want an address that could be. */
const NOBODY = { host: '127.0.0.1', port: 65535 };

/** Type and data of a channel to `to`, for a caller from `origin`. */
export function directOpen(to: Endpoint, origin: { host: string; port: number } = NOBODY): [string, Uint8Array] {
  if ('path' in to) {
    const data = pack(DIRECT_STREAMLOCAL, { path: to.path, reserved: new Uint8Array(0), reservedPort: 0 });
    return ['direct-streamlocal@openssh.com', data];
  }
  const { host = 'localhost', port } = to;
  return ['direct-tcpip', pack(DIRECT_TCPIP, { host, port, originHost: origin.host, originPort: origin.port })];
}

/** Why a channel to `to` was not opened, in a sentence. */
export function refusal(error: OpenError, to: Endpoint): OpenError {
  const where = 'path' in to ? to.path : `${to.host ?? 'localhost'}:${to.port}`;
  const { ADMINISTRATIVELY_PROHIBITED, CONNECT_FAILED, UNKNOWN_CHANNEL_TYPE } = OpenFailure;
  const said: Record<number, string> = {
    [ADMINISTRATIVELY_PROHIBITED]: `the server does not let this user connect to ${where}`,
    [CONNECT_FAILED]: `the server could not connect to ${where}`,
    [UNKNOWN_CHANNEL_TYPE]: `the server forwards nothing such as ${where}`,
  };
  return new OpenError(`${said[error.reason] ?? `no channel to ${where}`}: ${error.message}`, error.reason);
}

/** A caller whose channel has not been answered yet. */
interface Ringing {
  readonly open: ChannelOpen;
  readonly address: string;
  readonly port: number;
}

/** Callers that wait for whoever iterates over them. */
class Waiting {
  readonly #calls: Ringing[] = [];
  #ended = false;
  #wake = () => {};

  add(call: Ringing): void {
    if (this.#ended) return call.open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not asked for');
    if (this.#calls.length >= BACKLOG) return call.open.reject(OpenFailure.RESOURCE_SHORTAGE, 'too many callers wait');
    this.#calls.push(call);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    for (const { open } of this.#calls.splice(0)) open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not any more');
    this.#wake();
  }

  /** The next one, when there is one; undefined at the end. */
  async next(): Promise<Ringing | undefined> {
    for (;;) {
      const call = this.#calls.shift();
      if (call !== undefined && !call.open.gone) return call;
      if (call !== undefined) continue;
      if (this.#ended) return undefined;
      await new Promise<void>(resolve => (this.#wake = resolve));
    }
  }
}

function accept({ open, address, port }: Ringing): RemoteCall {
  const stream = new ChannelStream();
  stream.channel = open.accept(stream.handler);
  return { stream, address, port };
}

/** A callback that throws ends its connection; one whose promise is rejected, only its caller's stream. */
function serve(call: RemoteCall, called: (call: RemoteCall) => void | Promise<void>): void {
  const working = called(call);
  working?.catch(() => call.stream.channel.close());
}

/** Which listener a channel is for, and who calls; undefined for channels that a client has no business with. @throws ProtocolError if it is malformed */
function callOf(open: ChannelOpen): { name: string; address: string; port: number } | undefined {
  switch (open.type) {
    case 'forwarded-tcpip': {
      const { host, port, originHost, originPort } = unpack(FORWARDED_TCPIP, open.data);
      return { name: nameOf({ host, port }), address: originHost, port: originPort };
    }
    case 'forwarded-streamlocal@openssh.com':
      return { name: nameOf(unpack(FORWARDED_STREAMLOCAL, open.data)), address: '', port: 0 };
  }
  return undefined;
}

/** A listener's name: the server says it to the letter as it was asked for. */
const nameOf = (at: { host: string; port: number } | { path: string }): string =>
  'path' in at ? `unix ${at.path}` : `tcp ${at.host} ${at.port}`;
