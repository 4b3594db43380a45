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
      data: (bytes, type) => (type === STDERR ? this.#stderr : this.#stdout).push(bytes.slice()),
      eof: () => this.#end(),
      request: request => this.onrequest?.(request) ?? false,
      writable: () => this.#writable?.(),
      closed: () => {
        this.#over = true;
        this.#end();
        this.#writable?.();
        this.onclose?.();
        over();
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

  /** Resolves when all bytes are on their way; after the channel's end it resolves at once and they are lost. */
  write(data: Uint8Array | string, type = 0): Promise<void> {
    const bytes = typeof data === 'string' ? encodeUtf8(data) : data;
    const done = this.#writing.then(() => this.#writeAll(bytes, type));
    this.#writing = done;
    return done;
  }

  async #writeAll(bytes: Uint8Array, type: number): Promise<void> {
    for (let sent = 0; !this.#over; ) {
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

/** Chunks that wait for their reader. */
class Queue implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  readonly #consumed: (bytes: number) => void;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(consumed: (bytes: number) => void) {
    this.#consumed = consumed;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
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
        yield chunk;
        // Credit only now: the reader has come back for more, so it is done with this.
        this.#consumed(chunk.length);
      } else if (this.#ended) return;
      else {
        await new Promise<void>(resolve => (this.#wake = resolve));
        this.#wake = undefined;
      }
    }
  }
}
