// A channel as people like to use one: read it with `for await`, write with `await`, end it. Backpressure both ways.

import type { Eventually } from '../protocol/channels/answers.ts';
import { type Channel, type ChannelHandler, type ChannelRequest, STDERR } from '../protocol/channels/channel.ts';
import { encodeUtf8 } from '../protocol/wire/reader.ts';

/**
 * The two byte streams of a channel. What has not been read gives the peer no credit, so at most one window (2 MiB)
 * ever waits in here.
 */
export class ChannelStream implements AsyncIterable<Uint8Array> {
  /** Bound by the creator as soon as the channel exists. */
  channel!: Channel;
  /** Hears requests on the channel. */
  onrequest: ((request: ChannelRequest) => Eventually<boolean>) | undefined;
  /** Called once when the channel is over. */
  onclose: (() => void) | undefined;
  /** Resolves when the channel is over. */
  readonly closed: Promise<void>;
  /** Give to `accept` or `open`. */
  readonly handler: ChannelHandler;

  readonly #stdout: Queue;
  readonly #stderr: Queue;
  #writing: Promise<void> = Promise.resolve();
  #writable: (() => void) | undefined;
  #over = false;

  constructor() {
    const consumed = (bytes: number) => this.channel.consumed(bytes);
    this.#stdout = new Queue(consumed);
    this.#stderr = new Queue(consumed);
    let over!: () => void;
    this.closed = new Promise(resolve => (over = resolve));
    this.handler = {
      data: (bytes, type) => (type === STDERR ? this.#stderr : this.#stdout).push(bytes),
      eof: () => this.#end(),
      request: request => this.onrequest?.(request) ?? false,
      writable: () => this.#writable?.(),
      closed: () => {
        this.#over = true;
        this.#end();
        this.#writable?.();
        over();
        this.onclose?.();
      },
    };
  }

  #end(): void {
    this.#stdout.end();
    this.#stderr.end();
  }

  /** What the peer writes, until its EOF. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#stdout[Symbol.asyncIterator]();
  }

  /** The extended data stream (RFC 4254 §5.2), until EOF. */
  get stderr(): AsyncIterable<Uint8Array> {
    return this.#stderr;
  }

  /** Resolves when all bytes are on their way; once the channel is closed it resolves at once and they are lost. Rejects after `end`. */
  write(data: Uint8Array | string, type = 0): Promise<void> {
    const bytes = typeof data === 'string' ? encodeUtf8(data) : data;
    const done = this.#writing.then(() => this.#writeAll(bytes, type));
    // One that is refused is the business of who asked for it, not of those that come after.
    this.#writing = done.catch(() => {});
    return done;
  }

  async #writeAll(bytes: Uint8Array, type: number): Promise<void> {
    for (let sent = 0; !this.#over && !this.channel.closeSent; ) {
      sent += this.channel.write(bytes.subarray(sent), type);
      if (sent >= bytes.length) return;
      await new Promise<void>(resolve => (this.#writable = resolve));
      this.#writable = undefined;
    }
  }

  /** Sends EOF after everything written so far. */
  end(): Promise<void> {
    return this.#writing.then(() => this.channel.eof());
  }

  /** Closes after everything written so far. */
  close(): Promise<void> {
    return this.#writing.then(() => this.channel.close());
  }
}

/** Small chunks that wait are put together in memory of this many bytes: a window of one-byte packets would otherwise be two million objects. */
const JOINED = 4096;

/** Chunks that wait for their reader. */
class Queue implements AsyncIterable<Uint8Array> {
  readonly #chunks: { memory: Uint8Array; length: number }[] = [];
  readonly #consumed: (bytes: number) => void;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(consumed: (bytes: number) => void) {
    this.#consumed = consumed;
  }

  /** Copies `bytes`. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const last = this.#chunks[this.#chunks.length - 1];
    if (last !== undefined && last.length + bytes.length <= JOINED) {
      if (last.memory.length < JOINED) {
        const memory = new Uint8Array(JOINED);
        memory.set(last.memory);
        last.memory = memory;
      }
      last.memory.set(bytes, last.length);
      last.length += bytes.length;
    } else {
      this.#chunks.push({ memory: bytes.slice(), length: bytes.length });
    }
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        try {
          yield chunk.memory.subarray(0, chunk.length);
        } finally {
          // Credit only now: the reader has come back for more, or has left, so it is done with this.
          this.#consumed(chunk.length);
        }
      } else if (this.#ended) return;
      else {
        await new Promise<void>(resolve => (this.#wake = resolve));
        this.#wake = undefined;
      }
    }
  }
}
