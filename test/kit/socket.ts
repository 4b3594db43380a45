// Sockets without a network: what `runtime/net` provides, in memory and in the test's hands; nothing moves before the test says so.

import { concat } from '../../src/protocol/wire/reader.ts';
import type { Socket, SocketEvents } from '../../src/server/runtime/net.ts';

/** The end of a socket that the code under test holds. What it writes stays here until the test takes it. */
export class FakeSocket implements Socket {
  readonly address: string;
  readonly port: number;
  paused = false;
  /** It has said that it writes no more. */
  ended = false;
  destroyed = false;
  /** Calls of `write`. */
  writes = 0;
  events: SocketEvents | undefined;
  #written: Uint8Array[] = [];
  /** What came while it was paused, or before `start`. */
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(address = '192.0.2.1', port = 1234) {
    this.address = address;
    this.port = port;
  }

  // What the code under test calls

  get pending(): number {
    return this.#written.reduce((sum, { length }) => sum + length, 0);
  }

  start(events: SocketEvents): void {
    this.events = events;
    this.#flow();
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.destroyed || this.ended) return;
    this.writes++;
    this.#written.push(...chunks);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    queueMicrotask(() => this.#flow());
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#written = [];
    // Like the runtime's, it is over a moment later.
    queueMicrotask(() => this.close());
  }

  // What the test calls

  /** All that was written since the last time; the system has taken it. */
  take(): Uint8Array {
    const bytes = concat(...this.#written);
    this.#written = [];
    if (bytes.length > 0 && !this.destroyed) this.events?.drain();
    return bytes;
  }

  /** Bytes come from the peer, as soon as somebody reads. */
  receive(bytes: Uint8Array | string): void {
    const chunk = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
    this.#waiting.push(() => this.events?.data(chunk.slice()));
    this.#flow();
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    this.#waiting.push(() => this.events?.end());
    this.#flow();
  }

  /** It is over, in an orderly way or by `error`. */
  close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.destroyed = true;
    this.events?.close(error);
  }

  #flow(): void {
    while (this.events !== undefined && !this.paused && !this.destroyed && this.#waiting.length > 0) {
      this.#waiting.shift()!();
    }
  }
}

/** Carries bytes between two sockets, ends included, until both are quiet. */
export async function carry(a: FakeSocket, b: FakeSocket): Promise<void> {
  const ended = new Set<FakeSocket>();
  const step = (from: FakeSocket, to: FakeSocket): boolean => {
    const bytes = from.take();
    if (bytes.length > 0) to.receive(bytes);
    const over = (from.ended || from.destroyed) && !ended.has(from);
    if (over) {
      ended.add(from);
      to.receiveEnd();
    }
    return bytes.length > 0 || over;
  };
  for (let quiet = 0; quiet < 3; ) {
    await turn();
    const moved = [step(a, b), step(b, a)];
    quiet = moved.includes(true) ? 0 : quiet + 1;
  }
}

/** Lets everything run that is due now: promises, microtasks, events of this turn of the loop. */
export const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
