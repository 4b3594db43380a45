// Sockets without a network: what `runtime/net` provides, in memory and in the test's hands.
import { RELEASE_FROM, release } from '../../src/protocol/wire/packet.ts';
import { concat, encodeUtf8 } from '../../src/protocol/wire/reader.ts';
import { enableTransfer } from '../../src/server/runtime/memory.ts';
import type { Progress, Socket, SocketEvents } from '../../src/server/runtime/net.ts';

// So that memory is given back on Node 20 as it is everywhere else.
enableTransfer();

/** The end of a socket that the code under test holds. What it writes stays here until the test takes it. */
export class FakeSocket implements Socket {
  readonly address: string;
  readonly port: number;
  paused = false;
  /** It has said that it writes no more. */
  ended = false;
  destroyed = false;
  /** … by `reset`. */
  wasReset = false;
  /** Calls of `write`. */
  writes = 0;
  /** Something was written, or it was ended or destroyed. */
  onchange: (() => void) | undefined;
  progress: (() => Promise<Progress | undefined>) | undefined;
  probe: ((seconds: number) => void) | undefined;
  #events: SocketEvents | undefined;
  #written: Uint8Array[] = [];
  /** What comes while it is paused, or before `start`. */
  readonly #waiting: (() => void)[] = [];
  #heardEnd = false;
  #closed = false;
  #failure: Error | undefined;

  constructor(address = '192.0.2.1', port = 1234) {
    this.address = address;
    this.port = port;
  }

  // What the code under test calls

  get pending(): number {
    return this.#written.reduce((sum, { length }) => sum + length, 0);
  }

  /** Memory that is kept alive by what waits. */
  get kept(): number {
    return this.#written.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  }

  start(events: SocketEvents): void {
    this.#events = events;
    if (this.#closed) queueMicrotask(() => events.close(this.#failure));
    this.#flow();
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.destroyed || this.ended) return;
    this.writes++;
    for (const chunk of chunks) this.#written.push(takeAway(chunk));
    this.onchange?.();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    // Like the runtime's, it never calls back from inside a call.
    queueMicrotask(() => this.#flow());
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#closeIfOver();
    this.onchange?.();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#written = [];
    queueMicrotask(() => this.close());
    this.onchange?.();
  }

  reset(): void {
    this.wasReset = !this.destroyed;
    this.destroy();
  }

  // What the test calls

  /** All that was written since the last time; the system has taken it. */
  take(): Uint8Array {
    const bytes = concat(...this.#written);
    this.#written = [];
    if (bytes.length > 0 && !this.destroyed) this.#events?.drain();
    this.#closeIfOver();
    return bytes;
  }

  /** Bytes come from the peer, as soon as somebody reads. */
  receive(bytes: Uint8Array | string): void {
    const chunk = typeof bytes === 'string' ? encodeUtf8(bytes) : bytes.slice();
    this.#waiting.push(() => {
      const lent = this.#events?.borrows === true;
      this.#events?.data(chunk, lent);
      // Lent memory is used for something else next.
      if (lent) chunk.fill(0xa5);
    });
    this.#flow();
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    this.#waiting.push(() => {
      this.#heardEnd = true;
      this.#events?.end();
      this.#closeIfOver();
    });
    this.#flow();
  }

  /** It is over, in an orderly way or by `error`. */
  close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.destroyed = true;
    this.#failure = error;
    this.#events?.close(error);
    this.onchange?.();
  }

  /** Like the runtime's, it closes by itself when both directions have ended. */
  #closeIfOver(): void {
    if (this.ended && this.#heardEnd && this.pending === 0) queueMicrotask(() => this.close());
  }

  #flow(): void {
    while (this.#events !== undefined && !this.paused && !this.destroyed && this.#waiting.length > 0) {
      this.#waiting.shift()!();
    }
  }
}

/**
 * `write` takes ownership, and Bun's socket gives the memory back at once: whoever looks at a large chunk afterwards finds none
 * there, always. A part of shared memory cannot be taken away, but what is in it may have changed.
 */
function takeAway(chunk: Uint8Array): Uint8Array {
  if (chunk.length < RELEASE_FROM) return chunk;
  const copy = chunk.slice();
  release(chunk);
  if (chunk.length > 0) chunk.fill(0xa5);
  return copy;
}

/** Two sockets with a wire between them: what is written to one comes out of the other at the loop's next turn. */
export function socketPair(address = '192.0.2.1'): [FakeSocket, FakeSocket] {
  const a = new FakeSocket(address, 1001);
  const b = new FakeSocket('192.0.2.2', 1002);
  wire(a, b);
  wire(b, a);
  return [a, b];
}

function wire(from: FakeSocket, to: FakeSocket): void {
  let scheduled = false;
  let over = false;
  from.onchange = () => {
    if (scheduled || over) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const bytes = from.take();
      if (bytes.length > 0) to.receive(bytes);
      if (!from.ended && !from.destroyed) return;
      over = true;
      to.receiveEnd();
    });
  };
}

/** Lets everything run that is due now: promises, microtasks, events of this turn of the loop. */
export const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** Some turns of the loop, for a few exchanges over a wire. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** When `condition` holds, asked once a turn. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
