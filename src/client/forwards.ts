// Where forwarding begins and ends (RFC 4254 §7; OpenSSH PROTOCOL §2.4): listeners on this side, `ssh -L`, and targets on either.
import { DIRECT_STREAMLOCAL, DIRECT_TCPIP } from '../protocol/channels/forwarding.ts';
import type { ChannelOpen } from '../protocol/channels/mux.ts';
import type { Connection } from '../protocol/connection.ts';
import { OpenError, OpenFailure } from '../protocol/errors.ts';
import { checkSize, pack } from '../protocol/wire/codec.ts';
import { connectFirst, Ends } from '../server/reaching.ts';
import { names } from '../server/runtime/names.ts';
import { connectPath, listen, listenEverywhere, type Socket } from '../server/runtime/net.ts';
import { listenPath } from '../server/runtime/paths.ts';
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
 * @throws the system's error if it cannot listen, UsageError if the target is too large for a packet
 */
export async function forwardLocal(
  connection: Connection,
  closed: Promise<Error>,
  from: Endpoint,
  to: Endpoint,
  failed: (error: OpenError) => void,
): Promise<LocalListener> {
  checkSize('a target', directOpen(to)[1].length);
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
      : await (at.host === '' ? listenEverywhere(at.port, called) : listen(at.host, at.port, called));
  // It waits for those who are connected to leave, too; nobody is new from now on, and that will do.
  const stop = () => {
    listener.close().catch(() => {});
  };
  const close = async () => stop();
  closed.then(stop, stop);
  return { host: listener.host, port: listener.port, close, [Symbol.asyncDispose]: close };
}

const ends = new Ends();

/** Callers of a listener on the server's side are connected to `to`, as seen from here; until the connection is `closed`. */
export function passOn(to: Endpoint, failed: (error: Error) => void, connection: { readonly closed: Promise<Error> }) {
  const signal = ends.of(connection);
  const reach = async () => {
    if ('path' in to) return connectPath(to.path, signal);
    // The server says how many callers there are.
    return connectFirst(await names.addresses(to.host ?? 'localhost', connection, signal), to.port, signal);
  };
  return async (open: ChannelOpen): Promise<void> => {
    try {
      const socket = await reach();
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
