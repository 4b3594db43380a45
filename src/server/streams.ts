// A channel as people like to use one: read it with `for await`, write with `await`, end it. Backpressure both ways.

import type { Eventually } from '../protocol/channels/answers.ts';
import { type Channel, type ChannelHandler, type ChannelRequest, STDERR } from '../protocol/channels/channel.ts';
import { EOW } from '../protocol/channels/session-requests.ts';
import { DisconnectError } from '../protocol/errors.ts';
import { asBytes } from '../protocol/wire/reader.ts';

/**
 * A loop that writes small pieces and finds room each time would have the process for itself until a window is full, some
 * ten seconds; after so many pieces everybody else gets a turn.
 */
const WRITES_PER_TURN = 64;

/**
 * The two byte streams of a channel. What has not been read gives the peer no credit, so at most one window (2 MiB)
 * ever waits in here.
 */
export class ChannelStream implements AsyncIterable<Uint8Array> {
  /** Bound by the creator as soon as the channel exists. */
  channel!: Channel;
  /** Hears requests on the channel; one that fails refuses. */
  onrequest: ((request: ChannelRequest) => Eventually<boolean>) | undefined;
  /** Called once when the channel is over; what it throws is logged. */
  onclose: (() => void) | undefined;
  /** Resolves when the channel is over. */
  readonly closed: Promise<void>;
  /** Give to `accept` or `open`. */
  readonly handler: ChannelHandler;

  readonly #stdout: Queue;
  readonly #stderr: Queue;
  readonly #sendEow: boolean;
  #writing: Promise<void> = Promise.resolve();
  #writes = 0;
  #writable: (() => void) | undefined;
  #over = false;
  #error: Error | undefined;
  /** The peer has said that it reads no more. */
  #unread = false;

  /** `eow`: a peer that is no longer listened to is told so, see `discard`; only where `takesEow` says that it may be. */
  constructor({ eow = false }: { eow?: boolean } = {}) {
    const consumed = (bytes: number) => this.channel.consumed(bytes);
    this.#stdout = new Queue(consumed);
    this.#stderr = new Queue(consumed);
    this.#sendEow = eow;
    let over!: () => void;
    this.closed = new Promise(resolve => (over = resolve));
    this.handler = {
      data: (bytes, type) => (type === STDERR ? this.#stderr : this.#stdout).push(bytes),
      eof: () => this.#end(undefined),
      request: request => {
        if (request.type !== EOW) return this.onrequest?.(request) ?? false;
        this.#unread = true;
        this.#writable?.();
        return true;
      },
      writable: () => this.#writable?.(),
      closed: error => {
        this.#over = true;
        this.#end(this.channel.cut ? (error ?? closedEarly(this.channel)) : undefined);
        this.#writable?.();
        over();
        return this.onclose?.();
      },
    };
  }

  #end(error: Error | undefined): void {
    this.#error = error;
    this.#stdout.end(error);
    this.#stderr.end(error);
  }

  /**
   * Why nothing more comes, if what came may be half of a whole: the connection's error, or that the peer closed a channel
   * other than a session without EOF. Readers throw it when they have had all there is.
   */
  get error(): Error | undefined {
    return this.#error;
  }

  /**
   * What the peer writes, until its EOF; you can break out of the loop and iterate again later, no data is lost.
   * @throws `error`
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#stdout[Symbol.asyncIterator]();
  }

  /** The extended data stream (RFC 4254 §5.2), until EOF. @throws `error` */
  get stderr(): AsyncIterable<Uint8Array> {
    return this.#stderr;
  }

  /** Whether anybody may read yet what is written: the channel is open, and the peer has not said that it reads no more. */
  get wanted(): boolean {
    return !this.#unread && !this.#over && !this.channel.closeSent;
  }

  /**
   * Resolves when all bytes are on their way; leave them alone until then. False if they are lost: the channel is closed,
   * or the peer has said that it reads no more (`type` 0 only; STDERR still gets through). Rejects after `end`.
   */
  write(data: Uint8Array | string, type = 0): Promise<boolean> {
    const bytes = asBytes(data);
    const done = this.#writing.then(() => this.#writeAll(bytes, type));
    // One that is refused is the business of who asked for it, not of those that come after.
    this.#writing = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  async #writeAll(bytes: Uint8Array, type: number): Promise<boolean> {
    if (++this.#writes % WRITES_PER_TURN === 0) await new Promise<void>(resolve => setImmediate(resolve));
    for (let sent = 0; !this.#over && !this.channel.closeSent; ) {
      if (this.#unread && type === 0) return false;
      sent += this.channel.write(bytes.subarray(sent), type);
      if (sent >= bytes.length) return true;
      await new Promise<void>(resolve => (this.#writable = resolve));
      this.#writable = undefined;
    }
    return false;
  }

  /** Nobody reads any more: what waits and what comes is dropped, and the peer is told where it understands that (OpenSSH PROTOCOL §2.1). */
  discard(): void {
    if (this.#stdout.discarding) return;
    this.#stdout.discard();
    if (this.#sendEow && !this.channel.eofReceived) this.channel.notify(EOW, new Uint8Array(0));
  }

  /** Sends EOF after everything written so far. */
  end(): Promise<void> {
    return this.#writing.then(() => this.channel.eof());
  }

  /** Sends EOF and closes, after everything written so far. `channel.close` is for whoever gives up half-way. */
  close(): Promise<void> {
    return this.#writing.then(() => {
      this.channel.eof();
      this.channel.close();
    });
  }

  /** What the peer writes, as a web stream; made once, and instead of a loop. Cancelling it is `discard`. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableOf(this, () => this.discard());
    return this.#readable;
  }
  #readable: ReadableStream<Uint8Array> | undefined;

  /** Writing, as a web stream; made once. Closing it is `end`; it fails once nobody reads any more. */
  get writable(): WritableStream<Uint8Array> {
    this.#webWritable ??= new WritableStream({
      write: async bytes => {
        if (!(await this.write(bytes))) throw new Error('the peer reads no more');
      },
      close: () => this.end(),
      abort: () => this.channel.close(),
    });
    return this.#webWritable;
  }
  #webWritable: WritableStream<Uint8Array> | undefined;
}

/** A program's end is told by its exit status, and servers close a session without EOF. All close forwarded ports and sockets with it. */
const closedEarly = ({ type }: Channel): Error | undefined =>
  type === 'session' ? undefined : new DisconnectError('the peer closed the channel before the end of its data');

/** Chunks as a web stream that asks for one at a time. */
function readableOf(source: AsyncIterable<Uint8Array>, cancel: () => void): ReadableStream<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel,
    },
    // Nothing is fetched in advance: a chunk that has left the queue counts as read.
    { highWaterMark: 0 },
  );
}

/** Small chunks that wait are put together in memory of this many bytes: a window of one-byte packets would otherwise be two million objects. */
const JOINED = 4096;

/** Chunks that wait for their reader. */
class Queue implements AsyncIterable<Uint8Array> {
  readonly #chunks: { memory: Uint8Array; length: number }[] = [];
  readonly #consumed: (bytes: number) => void;
  /** What comes is dropped. */
  discarding = false;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(consumed: (bytes: number) => void) {
    this.#consumed = consumed;
  }

  /** Copies `bytes`. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.discarding) return this.#consumed(bytes.length);
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

  discard(): void {
    this.discarding = true;
    for (const { length } of this.#chunks.splice(0)) this.#consumed(length);
    this.#wake?.();
  }

  end(error: Error | undefined): void {
    // What has ended in order stays so, whatever becomes of the channel.
    if (!this.#ended) this.#error = error;
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
      } else if (this.discarding) return;
      else if (this.#ended) {
        if (this.#error !== undefined) throw this.#error;
        return;
      } else {
        await new Promise<void>(resolve => (this.#wake = resolve));
        this.#wake = undefined;
      }
    }
  }
}
