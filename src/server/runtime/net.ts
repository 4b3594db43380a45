// What a runtime must provide for sockets; node:net serves Node, Bun and Deno alike. The only file that opens one.
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
  readonly port: number;
  /** Bytes written that the system has not yet taken. */
  readonly pending: number;
  start(events: SocketEvents): void;
  /** One write to the system for all chunks; takes ownership of them. */
  write(chunks: readonly Uint8Array[]): void;
  pause(): void;
  resume(): void;
  /** No more will be written; what is pending still goes out. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface Listener {
  readonly host: string;
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
    address: (socket.remoteAddress ?? '').replace(/%.*$/, ''),
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

/** Connects to a TCP address. @throws the system's error if that fails */
export function connect(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host, port, allowHalfOpen: true, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(wrap(socket));
    });
  });
}

/** Connects to a Unix socket, or on Windows a named pipe. @throws the system's error if that fails */
export function connectPath(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ path, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(wrap(socket));
    });
  });
}
