// Writing on Bun: straight into the socket under node:net, which would join what is written in new memory that nobody gives back.
import type { Socket as NetSocket } from 'node:net';
import { release } from '../../protocol/wire/packet.ts';
import { BLOCK } from './turns.ts';

/** What is under a socket of node:net on Bun. */
interface Handle {
  /** Gives as much to the system as it takes at once; below zero if the socket is closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
}

/** Chunks are joined in here, by all sockets in turn: it stays in the cache. As large as what is read at once, which so leaves at once. */
let block: Uint8Array | undefined;

/**
 * Bun's collector comes when some three times as much memory has been taken as there is, and what is given back by hand counts as taken:
 * on a small heap that is after 2 MiB of relaying. Memory that nobody touches makes the heap larger, and is none.
 */
const BALLAST = 32 * 1024 * 1024;
/** Bytes written before there is any: without relaying, what garbage thousands of sign-ins leave should go soon. */
const MUCH = 64 * 1024 * 1024;
const ballast: ArrayBuffer[] = [];
let written = 0;

/** Bytes with which the stream waits for room: less than it takes for many. */
const PROBE = 4096;

/** What leaves one socket. */
export class DirectWriter {
  /** Called when nothing waits any more, after something did. */
  drained = (): void => {};
  /** Bytes that were to be written, since the beginning. */
  total = 0;
  readonly #socket: NetSocket;
  /** What waits; of the first one the system has `#at` bytes. */
  #chunks: Uint8Array[] = [];
  #at = 0;
  #queued = 0;
  /** The stream has something, and will say when that has gone. */
  #waiting = false;
  #ending = false;

  private constructor(socket: NetSocket) {
    this.#socket = socket;
  }

  /** Undefined where the runtime has no such thing. */
  static for(socket: NetSocket): DirectWriter | undefined {
    if (process.versions.bun === undefined || typeof handle(socket)?.write !== 'function') return undefined;
    return new DirectWriter(socket);
  }

  /** Bytes that the system has not taken. */
  get pending(): number {
    return this.#queued + this.#socket.writableLength;
  }

  /** Takes ownership of the chunks. */
  write(chunks: readonly Uint8Array[]): void {
    if (this.#ending) return;
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#queued += chunk.length;
      this.total += chunk.length;
    }
    if (!this.#waiting) this.#flush();
  }

  /** No more will be written. */
  end(): void {
    if (this.#waiting) this.#ending = true;
    else this.#socket.end();
  }

  /** Forgets what waits. */
  drop(): void {
    this.#chunks = [];
    this.#at = 0;
    this.#queued = 0;
  }

  #flush(): void {
    block ??= new Uint8Array(BLOCK);
    while (this.#queued > 0) {
      const length = this.#copy(block);
      const taken = Math.max(0, handle(this.#socket)?.write(block, 0, length) ?? 0);
      this.#advance(taken);
      written += taken;
      if (written >= MUCH && ballast.length === 0) ballast.push(new ArrayBuffer(BALLAST));
      if (taken < length) return this.#wait();
    }
  }

  /**
   * A little goes by way of the stream, which has it leave as soon as there is room again, and then calls back. It also
   * knows what to make of a socket that has failed.
   */
  #wait(): void {
    const probe = new Uint8Array(Math.min(PROBE, this.#queued));
    this.#advance(this.#copy(probe));
    this.#waiting = true;
    this.#socket.write(probe, error => {
      this.#waiting = false;
      if (error) return this.drop();
      this.#flush();
      if (this.#waiting) return;
      if (this.#ending) this.#socket.end();
      this.drained();
    });
  }

  /** Fills `into` with what waits, which goes on waiting. @returns how many bytes there were */
  #copy(into: Uint8Array): number {
    let length = 0;
    let at = this.#at;
    for (const chunk of this.#chunks) {
      const end = Math.min(chunk.length, at + into.length - length);
      into.set(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end), length);
      length += end - at;
      at = 0;
      if (length === into.length) break;
    }
    return length;
  }

  /** So many bytes are on their way, and the memory of whole chunks is given back. */
  #advance(count: number): void {
    this.#queued -= count;
    let done = 0;
    let at = this.#at + count;
    while (done < this.#chunks.length && at >= this.#chunks[done].length) {
      at -= this.#chunks[done].length;
      release(this.#chunks[done]);
      done++;
    }
    this.#at = at;
    if (done === this.#chunks.length) this.#chunks = [];
    else if (done > 0) this.#chunks.splice(0, done);
  }
}

const handle = (socket: NetSocket) => (socket as unknown as { _handle?: Handle | null })._handle;
