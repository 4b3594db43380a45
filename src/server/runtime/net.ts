// What a runtime must provide for sockets; node:net serves Node, Bun and Deno alike. Only this folder opens any.
import { createServer, Socket as NetSocket, connect as netConnect, type SocketConstructorOpts } from 'node:net';
import { RELEASE_FROM, release } from '../../protocol/wire/packet.ts';
import { DirectWriter } from './direct.ts';
import { BLOCK, Turns } from './turns.ts';
import { unacknowledged } from './unacknowledged.ts';

/** What a socket tells its user. */
export interface SocketEvents {
  /** Bytes came; they are the receiver's, unless they are `lent`: then only until it returns, which happens if it `borrows`. */
  data(chunk: Uint8Array, lent?: boolean): void;
  /** The receiver is done with what it gets before it returns. */
  readonly borrows?: boolean;
  /** The peer sends no more. */
  end(): void;
  /** All that was written has been taken by the system, after it had not been at once. */
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
  /** The address and port at our end that the peer has connected to, in the same form; undefined where there is none. */
  readonly localAddress?: string;
  /** See `localAddress`. */
  readonly localPort?: number;
  /** From a balancer that looks whether somebody is there: what it does is no offence, and no news. */
  readonly check?: boolean;
  /** Bytes written that the system has not yet taken. */
  readonly pending: number;
  /** How far what was written has come, where the system tells: a peer that takes it slowly is not dead. Never rejected. */
  progress?(): Promise<Progress | undefined>;
  /** From now on the system asks a peer that has been silent for so many seconds whether it is there, and closes if there is no word (SO_KEEPALIVE). */
  probe?(seconds: number): void;
  /** Begins to read, and to tell what happens; called once. */
  start(events: SocketEvents): void;
  /** One write to the system for all chunks; takes ownership of them: their memory may be gone when it returns. */
  write(chunks: readonly Uint8Array[]): void;
  /** `data` is not called any more, as soon as possible. */
  pause(): void;
  /** The end of `pause`. */
  resume(): void;
  /** No more will be written; what is pending still goes out. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** The same, and tells the peer that something is missing, where there is a way to (TCP's RST; a Unix socket has none). */
  reset?(): void;
}

/** How far a socket's output has come. */
export interface Progress {
  /** Bytes that the peer's system has acknowledged, since the beginning. */
  readonly taken: number;
  /** Bytes that it has not. */
  readonly waiting: number;
  /** How often in a row it has not acknowledged what was sent again, nor a probe. */
  readonly tries: number;
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

/**
 * What all sockets read into: as much as there is in one go. Node's own 64 KiB cost a saturated relay a third more,
 * in calls to the system and in memory that is fresh each time.
 */
let block: Uint8Array | undefined;
const turns = new Turns();

const NOTHING = new Uint8Array(0);

/** Private parts of a node:net socket. */
interface Insides {
  _handle: { useUserBuffer?: unknown; bytesWritten?: number; writeQueueSize?: number } | null;
  _server?: unknown;
  server?: unknown;
}

/**
 * Moves a connection into a socket that reads into memory of ours; `onread` is there for sockets that connect, but not
 * for those that are accepted. Undefined where the runtime has no such thing.
 */
function withLargeReads(socket: NetSocket, data: (chunk: Uint8Array) => void): NetSocket | undefined {
  const old = socket as unknown as Insides;
  if (typeof old._handle?.useUserBuffer !== 'function' || socket.readableLength > 0) return undefined;
  block ??= new Uint8Array(BLOCK);
  const handle = old._handle;
  old._handle = null;
  const options = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: block,
      callback: (length: number, buffer: Uint8Array) => {
        data(buffer.subarray(0, length));
        // A block that is full, for instance: the runtime would read 31 times more.
        return turns.read(length, goOn);
      },
    },
  };
  const moved = new NetSocket(options as SocketConstructorOpts);
  const goOn = () => {
    if (!moved.isPaused()) moved.resume();
  };
  moved.pause();
  // A server counts its sockets, and is closed when there are none left.
  const insides = moved as unknown as Insides;
  insides._server = old._server;
  insides.server = old.server;
  old._server = null;
  return moved;
}

/** Without the zone; IPv4 met on a socket for both families is "::ffff:192.0.2.1". */
export const plainAddress = (address: string): string => address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');

/** Wraps a node:net socket. */
export function wrap(accepted: NetSocket): Socket {
  let events: SocketEvents | undefined;
  const lend = (chunk: Uint8Array) => {
    if (events?.borrows) events.data(chunk, true);
    else events?.data(chunk.slice());
  };
  const large = withLargeReads(accepted, lend);
  const socket = large ?? accepted;
  // Nagle's delay costs 40 ms a handshake and 88 ms a round trip: whole packets are written at once here.
  socket.setNoDelay(true);
  const direct = DirectWriter.for(socket);
  /** Streams tell of the end of much ('drain'), and of little only by an empty write behind it. */
  let watched = false;
  const watch = () => {
    watched = socket.writableLength > 0 && !socket.writableNeedDrain && !socket.writableEnded && !socket.destroyed;
    if (!watched) return;
    socket.write(NOTHING, () => {
      watch();
      if (!watched && socket.writableLength === 0) events?.drain();
    });
  };
  let failure: Error | undefined;
  // An error before `start` must not take the process down; `close` reports it.
  socket.on('error', error => (failure = error));
  return {
    address: plainAddress(socket.remoteAddress ?? ''),
    port: socket.remotePort ?? 0,
    // Each costs a call to the system, and few ask.
    get localAddress() {
      return socket.localAddress === undefined ? undefined : plainAddress(socket.localAddress);
    },
    get localPort() {
      return socket.localPort;
    },
    get pending() {
      return direct === undefined ? socket.writableLength : direct.pending;
    },
    async progress() {
      const { localPort, remoteAddress, remotePort } = socket;
      if (remoteAddress === undefined) return undefined;
      const unsure = await unacknowledged(localPort ?? 0, remoteAddress, remotePort ?? 0);
      const { bytesWritten: given, writeQueueSize: queued } = direct
        ? { bytesWritten: direct.total, writeQueueSize: direct.pending }
        : ((socket as unknown as Insides)._handle ?? {});
      if (given === undefined || queued === undefined || unsure === undefined) return undefined;
      const taken = given - queued - unsure.bytes;
      return { taken, waiting: (direct?.total ?? socket.bytesWritten) - taken, tries: unsure.tries };
    },
    probe: seconds => void socket.setKeepAlive(true, seconds * 1000),
    start(tell) {
      const { end, drain, close } = tell;
      events = tell;
      if (socket.destroyed) {
        queueMicrotask(() => close(failure));
        return;
      }
      if (large) large.resume();
      // A plain view: `slice` of a Buffer is no copy, and everyone above takes it for one.
      else {
        socket.on('data', (buffer: Buffer) => {
          const chunk = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
          if (!tell.borrows) return tell.data(chunk);
          tell.data(chunk, true);
          release(chunk);
        });
      }
      socket.on('end', end);
      socket.on('drain', drain);
      // The last bytes before the end are followed by no 'drain' unless there were many.
      socket.on('finish', drain);
      socket.on('close', () => close(failure));
      if (direct) direct.drained = drain;
    },
    write(chunks) {
      if (socket.destroyed || socket.writableEnded) return;
      if (direct) return direct.write(chunks);
      const [first] = chunks;
      if (chunks.length === 1) {
        // Nothing to give back: a keystroke is spared the callback.
        if (first.length < RELEASE_FROM) socket.write(first);
        else socket.write(first, () => release(first));
      } else {
        const last = chunks.length - 1;
        socket.cork();
        for (let i = 0; i < last; i++) socket.write(chunks[i]);
        socket.write(chunks[last], () => chunks.forEach(release));
        socket.uncork();
      }
      if (!watched) watch();
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void (direct ?? socket).end(),
    destroy() {
      direct?.drop();
      socket.destroy();
    },
    reset() {
      direct?.drop();
      if (socket.remotePort === undefined) socket.destroy();
      else socket.resetAndDestroy();
    },
  };
}

/**
 * Listens on a TCP address. `port` 0 takes any free one.
 * @param ipv6Only on `::`, IPv4 is not taken
 * @param failed hears that a connection could not be accepted, where the runtime tells (see `lacksDescriptors`); the next one may be
 * @throws the system's error (EADDRINUSE, EACCES, …) if that is not possible
 */
export function listen(
  host: string,
  port: number,
  connected: (socket: Socket) => void,
  ipv6Only = false,
  failed?: (error: Error) => void,
): Promise<Listener> {
  return listenAt({ host, port, ipv6Only }, connected, failed);
}

/** Listens for everybody, whichever families the host has: on `::`, which takes IPv4 too, or on 0.0.0.0 where there is no IPv6. @throws as `listen` */
export function listenEverywhere(port: number, connected: (socket: Socket) => void): Promise<Listener> {
  return listen('::', port, connected).catch((error: { code?: string }) => {
    const { code } = error;
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error;
    return listen('0.0.0.0', port, connected);
  });
}

/** Listens on a TCP socket that the process was given, by its file descriptor. @throws the system's error if it is no such socket */
export function listenOn(
  fd: number,
  connected: (socket: Socket) => void,
  failed?: (error: Error) => void,
): Promise<Listener> {
  return listenAt({ fd }, connected, failed);
}

function listenAt(
  where: { host: string; port: number; ipv6Only: boolean } | { fd: number },
  connected: (socket: Socket) => void,
  failed: (error: Error) => void = () => {},
): Promise<Listener> {
  const server = createServer({ pauseOnConnect: false, noDelay: true, allowHalfOpen: true }, socket =>
    connected(wrap(socket)),
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      server.on('error', failed);
      const address = server.address();
      const close = () => new Promise<void>(done => server.close(() => done()));
      if (address === null || typeof address === 'string') {
        server.close();
        return reject(new Error('it is no TCP socket'));
      }
      resolve({ host: address.address, port: address.port, close });
    });
  });
}

/**
 * Connects to a TCP address; names are looked up, and each address of theirs is tried.
 * @param signal gives up when it is aborted, and throws its reason
 * @throws the system's error if that fails; ENOTFOUND for an empty name, which would be this host to the system
 */
export function connect(host: string, port: number, signal?: AbortSignal): Promise<Socket> {
  if (host === '') return Promise.reject(Object.assign(new Error('the host name is empty'), { code: 'ENOTFOUND' }));
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
      // Of several addresses that were tried none has the word.
      if (error.message === '' && error instanceof AggregateError)
        error.message = error.errors.map(({ message }: Error) => message).join(', ');
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
