// What a runtime must provide for sockets; node:net serves Node, Bun and Deno alike. The only file that opens one.
import { chmod } from 'node:fs/promises';
import { createServer, type Socket as NetSocket, connect as netConnect } from 'node:net';

/** What a socket tells its user. */
export interface SocketEvents {
  /** Bytes came; they are the receiver's. */
  data(chunk: Uint8Array): void;
  /** The peer sends no more. */
  end(): void;
  /** All that was written has been taken by the system. */
  drain(): void;
  /** It is over; called exactly once. */
  close(error?: Error): void;
}

/** A byte stream in both directions. */
export interface Socket {
  /** The peer's address without brackets or zone, and port; empty and 0 where there is none. */
  readonly address: string;
  /** See `address`. */
  readonly port: number;
  /** Bytes written that the system has not yet taken. */
  readonly pending: number;
  /** Begins to read, and to tell what happens; called once. */
  start(events: SocketEvents): void;
  /** One write to the system for all chunks; takes ownership of them. */
  write(chunks: readonly Uint8Array[]): void;
  /** `data` is not called any more, as soon as possible. */
  pause(): void;
  /** The end of `pause`. */
  resume(): void;
  /** No more will be written; what is pending still goes out. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

/** A TCP address that is listened on. */
export interface Listener {
  /** The IP address. */
  readonly host: string;
  /** The port, which the system has chosen if 0 was asked for. */
  readonly port: number;
  /** Stops listening; open sockets live on. */
  close(): Promise<void>;
}

/** Wraps a node:net socket. */
export function wrap(socket: NetSocket): Socket {
  // Nagle's delay costs 40 ms a handshake and 88 ms a round trip: whole packets are written at once here.
  socket.setNoDelay(true);
  let failure: Error | undefined;
  // An error before `start` must not take the process down; `close` reports it.
  socket.on('error', error => (failure = error));
  return {
    // IPv4 met on a socket for both families is "::ffff:192.0.2.1".
    address: (socket.remoteAddress ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, ''),
    port: socket.remotePort ?? 0,
    get pending() {
      return socket.writableLength;
    },
    start({ data, end, drain, close }) {
      if (socket.destroyed) {
        queueMicrotask(() => close(failure));
        return;
      }
      // A plain view: `slice` of a Buffer is no copy, and everyone above takes it for one.
      socket.on('data', (chunk: Buffer) => data(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
      socket.on('end', end);
      socket.on('drain', drain);
      // The last bytes before the end are followed by no 'drain' unless there were many.
      socket.on('finish', drain);
      socket.on('close', () => close(failure));
    },
    write(chunks) {
      if (socket.destroyed || socket.writableEnded) return;
      if (chunks.length === 1) {
        socket.write(chunks[0]);
        return;
      }
      socket.cork();
      for (const chunk of chunks) socket.write(chunk);
      socket.uncork();
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

/**
 * Listens on a TCP address. `port` 0 takes any free one.
 * @throws the system's error (EADDRINUSE, EACCES, …) if that is not possible
 */
export function listen(host: string, port: number, connected: (socket: Socket) => void): Promise<Listener> {
  const server = createServer({ pauseOnConnect: false, noDelay: true, allowHalfOpen: true }, socket =>
    connected(wrap(socket)),
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // Running out of file descriptors makes accept fail; the next connection may succeed again.
      server.on('error', () => {});
      const address = server.address() as { address: string; port: number };
      resolve({
        host: address.address,
        port: address.port,
        close: () => new Promise(done => server.close(() => done())),
      });
    });
  });
}

/**
 * Listens on a Unix socket, or on Windows a named pipe. Only the user of this process may connect to it; the file is
 * removed when the listener is closed.
 * @throws the system's error if that is not possible: EADDRINUSE if there is a file of that name, whatever it is
 */
export async function listenPath(
  path: string,
  connected: (socket: Socket) => void,
): Promise<{ close(): Promise<void> }> {
  const server = createServer({ pauseOnConnect: false, allowHalfOpen: true }, socket => connected(wrap(socket)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
  const close = () => new Promise<void>(done => server.close(() => done()));
  try {
    if (!path.startsWith('\\\\')) await chmod(path, 0o600);
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/**
 * Connects to a TCP address.
 * @param signal gives up when it is aborted, and throws its reason
 * @throws the system's error if that fails
 */
export function connect(host: string, port: number, signal?: AbortSignal): Promise<Socket> {
  return connected(netConnect({ host, port, allowHalfOpen: true, noDelay: true }), signal);
}

/** Connects to a Unix socket, or on Windows a named pipe; `signal` as above. @throws the system's error if that fails */
export function connectPath(path: string, signal?: AbortSignal): Promise<Socket> {
  return connected(netConnect({ path, allowHalfOpen: true }), signal);
}

function connected(socket: NetSocket, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal!.reason);
      socket.destroy();
    };
    // Stays: a socket that is destroyed may report an error yet.
    socket.on('error', error => {
      signal?.removeEventListener('abort', abort);
      reject(error);
    });
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort);
      if (!socket.destroyed) resolve(wrap(socket));
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
