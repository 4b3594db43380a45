// A seeded network between Connections that owns its time: links split, delay, stall, are cut at byte n or flip a bit there, and each end drives its Connection as src/server/drive.ts does.
import type { Connection } from '../../src/protocol/connection.ts';
import type { seeded } from './insecure.ts';

export type Dice = ReturnType<typeof seeded>;

export interface LinkOptions {
  /** Bytes that one direction takes before the sender's socket begins to fill. */
  capacity: number;
  /** Bytes in a socket above which its connection counts as congested (SOCKET_MARK of drive.ts). */
  mark: number;
  /** The largest chunk that is delivered at once; each is from 1 byte to this. */
  chunk: number;
}

/** What may go wrong in one direction, each at a byte counted from the beginning of the stream. */
export interface Faults {
  /** The link dies, in both directions, before this byte. */
  cutAt?: number;
  /** One bit of this byte arrives wrong. */
  flipAt?: number;
}

/** One direction of a link: the sender's socket, a bounded wire, the receiver's. */
export class Pipe {
  readonly faults: Faults = {};
  /** Nothing arrives before this time. */
  stalledUntil = 0;
  /** Bytes delivered so far. */
  delivered = 0;
  ended = false;
  readonly #options: LinkOptions;
  readonly #dice: Dice;
  #chunks: Uint8Array[] = [];
  #at = 0;
  /** Bytes written and not delivered. */
  waiting = 0;

  constructor(options: LinkOptions, dice: Dice) {
    this.#options = options;
    this.#dice = dice;
  }

  /** Bytes that the wire has not taken yet: what a socket reports as pending. */
  get pending(): number {
    return Math.max(0, this.waiting - this.#options.capacity);
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.ended) return;
    for (const chunk of chunks) {
      if (chunk.length === 0) continue;
      this.#chunks.push(chunk);
      this.waiting += chunk.length;
    }
  }

  /** Some of what waits, in memory of its own; undefined if the cut comes first. */
  take(): Uint8Array | undefined {
    const { cutAt, flipAt } = this.faults;
    const most = Math.min(this.waiting, this.#options.capacity, (cutAt ?? Infinity) - this.delivered);
    if (most <= 0) return undefined;
    // Mostly as much as there is, sometimes a few bytes: frames split anywhere.
    const few = this.#dice.below(4) === 0 ? 1 + this.#dice.below(16) : this.#options.chunk;
    const chunk = new Uint8Array(Math.min(most, few, 1 + this.#dice.below(this.#options.chunk)));
    for (let filled = 0; filled < chunk.length; ) {
      const first = this.#chunks[0];
      const count = Math.min(chunk.length - filled, first.length - this.#at);
      chunk.set(first.subarray(this.#at, this.#at + count), filled);
      filled += count;
      this.#at += count;
      if (this.#at === first.length) {
        this.#chunks.shift();
        this.#at = 0;
      }
    }
    if (flipAt !== undefined && flipAt >= this.delivered && flipAt < this.delivered + chunk.length) {
      chunk[flipAt - this.delivered] ^= 1 << this.#dice.below(8);
    }
    this.waiting -= chunk.length;
    this.delivered += chunk.length;
    return chunk;
  }

  /** The direction is dead: what waits is lost. */
  drop(): void {
    this.#chunks = [];
    this.#at = 0;
    this.waiting = 0;
    this.ended = true;
  }
}

/** One end of a link: the socket and the driver of one Connection. */
export class End {
  readonly outgoing: Pipe;
  readonly incoming: Pipe;
  connection!: Connection;
  /** A flush is due. */
  scheduled = false;
  reading = true;
  /** What the connection was told last of its socket. */
  full = false;
  /** The peer's end of stream has been delivered. */
  heardEnd = false;
  readonly #mark: number;
  #wantsDrain = false;
  /** For the `output` event of the Connection. */
  readonly wake = () => {
    this.scheduled = true;
  };

  constructor(outgoing: Pipe, incoming: Pipe, mark: number) {
    this.outgoing = outgoing;
    this.incoming = incoming;
    this.#mark = mark;
  }

  /** As `Driver.flush`. */
  flush(): void {
    this.scheduled = false;
    const { connection } = this;
    const { pending } = this.outgoing;
    const least = pending === 0 || connection.closed ? 0 : pending > this.#mark ? Infinity : this.#mark >> 4;
    const chunks = connection.takeOutput(least);
    if (chunks.length > 0) this.outgoing.write(chunks);
    if (connection.closed) {
      this.outgoing.ended = true;
      this.reading = true;
      return;
    }
    this.#wantsDrain = this.outgoing.pending > 0;
    this.full = this.outgoing.pending > this.#mark;
    connection.setSocketFull(this.full);
    this.reading = !connection.paused;
  }

  /** As the `data` event of `Driver.start`. A chunk that is only lent is overwritten afterwards: whoever has kept some of it gets junk. */
  receive(chunk: Uint8Array, lent: boolean): void {
    this.connection.receive(chunk, lent);
    if (lent) chunk.fill(0xa5);
    if (this.connection.paused && !this.connection.closed) this.reading = false;
  }

  /** The wire has taken everything: the socket says so once. */
  drained(): void {
    if (!this.#wantsDrain || this.outgoing.pending > 0) return;
    this.#wantsDrain = false;
    this.scheduled = true;
  }
}

export class Link {
  readonly a: End;
  readonly b: End;
  readonly toA: Pipe;
  readonly toB: Pipe;

  constructor(options: LinkOptions, dice: Dice) {
    this.toA = new Pipe(options, dice);
    this.toB = new Pipe(options, dice);
    this.a = new End(this.toB, this.toA, options.mark);
    this.b = new End(this.toA, this.toB, options.mark);
  }

  start(a: Connection, b: Connection): void {
    this.a.connection = a;
    this.b.connection = b;
    a.start();
    b.start();
  }

  /** The link dies at once: both ends hear of it, and what was on its way is lost. */
  cut(): void {
    for (const end of [this.a, this.b]) {
      end.outgoing.drop();
      end.heardEnd = true;
      end.connection.receiveEnd(new Error('the link was cut'));
    }
  }
}

export class Network {
  /** Counts steps. */
  now = 0;
  readonly links: Link[] = [];
  readonly #dice: Dice;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  link(options: LinkOptions): Link {
    const link = new Link(options, this.#dice);
    this.links.push(link);
    return link;
  }

  /** One thing happens: a flush, a delivery, an end of stream. False if nothing can happen, even later, unless somebody acts. */
  step(): boolean {
    this.now++;
    const able: (() => void)[] = [];
    let next = Infinity;
    for (const link of this.links) {
      for (const end of [link.a, link.b]) {
        if (end.scheduled) able.push(() => end.flush());
        if (!this.#deliverable(end)) continue;
        if (end.incoming.stalledUntil > this.now) next = Math.min(next, end.incoming.stalledUntil);
        else able.push(() => this.#deliver(link, end));
      }
    }
    if (able.length > 0) {
      able[this.#dice.below(able.length)]();
      return true;
    }
    if (next === Infinity) return false;
    this.now = next;
    return true;
  }

  #deliverable(end: End): boolean {
    const { incoming } = end;
    if (end.heardEnd || !end.reading) return false;
    return incoming.waiting > 0 || incoming.ended;
  }

  #deliver(link: Link, end: End): void {
    const { incoming } = end;
    const other = end === link.a ? link.b : link.a;
    if (incoming.waiting > 0) {
      const chunk = incoming.take();
      if (chunk === undefined) return link.cut();
      end.receive(chunk, this.#dice.below(2) === 0);
      other.drained();
    } else {
      end.heardEnd = true;
      end.connection.receiveEnd();
    }
  }
}
