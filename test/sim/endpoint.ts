// A random application at one end of a circuit: writes numbered bytes, reads at a pace of its own, ends as it pleases, and checks what arrives.
import type { Channel, ChannelHandler } from '../../src/protocol/channels/channel.ts';
import { UsageError } from '../../src/protocol/errors.ts';
import type { Dice } from '../kit/network.ts';

/** Prime, so that no block of a usual size looks like another. */
const PERIOD = 65521;
const STREAM = new Uint8Array(2 * PERIOD + 64 * 1024);
for (let i = 0, x = 1; i < PERIOD; i++) {
  x = (Math.imul(x, 1103515245) + 12345) >>> 0;
  STREAM[i] = STREAM[i + PERIOD] = x >>> 23;
}
STREAM.copyWithin(2 * PERIOD, 0, STREAM.length - 2 * PERIOD);

/** How an end of a circuit behaves. */
export interface Plan {
  /** What it lets its peer send, in bytes at once and in one message. */
  window: number;
  maxPacket: number;
  /** Bytes it writes, and the most in one go. */
  total: number;
  piece: number;
  /** Steps of the world before it reads at all, and whether it then reads piecemeal. */
  readsFrom: number;
  slow: boolean;
  /** Reads nothing before it has written everything. */
  writesFirst: boolean;
  /** After its last byte: EOF, or CLOSE without one. Or CLOSE as soon as so many bytes have been written or read. */
  closes: 'after eof' | 'without eof' | { after: number };
  /** Requests that it makes on the channel; a relay refuses them all. */
  requests: number;
}

export class Endpoint {
  readonly name: string;
  readonly plan: Plan;
  readonly #dice: Dice;
  /** Where its stream begins in STREAM; the partner checks against it. */
  readonly salt: number;
  partner!: Endpoint;
  channel: Channel | undefined;
  written = 0;
  read = 0;
  #unread = 0;
  /** `write` took less than all: it waits for `writable`. */
  #blocked = false;
  eofHeard = false;
  /** It has closed the channel of its own accord. */
  closedByUs = false;
  /** `closed` has been called. */
  over = false;
  #asked = 0;
  answered = 0;
  readonly handler: ChannelHandler = {
    data: (bytes, type) => this.#data(bytes, type),
    eof: () => {
      if (this.eofHeard) throw new Error(`${this.name}: EOF twice`);
      this.eofHeard = true;
    },
    writable: () => {
      this.#blocked = false;
    },
    closed: () => {
      if (this.over) throw new Error(`${this.name}: closed twice`);
      this.over = true;
    },
  };

  constructor(name: string, plan: Plan, dice: Dice) {
    this.name = name;
    this.plan = plan;
    this.#dice = dice;
    this.salt = dice.below(PERIOD);
  }

  #data(bytes: Uint8Array, type: number): void {
    if (type !== 0) throw new Error(`${this.name}: extended data out of a relay`);
    if (this.eofHeard || this.over || this.closedByUs) throw new Error(`${this.name}: data after the end`);
    if (bytes.length > this.plan.maxPacket) throw new Error(`${this.name}: ${bytes.length} bytes in one message`);
    const from = (this.partner.salt + this.read) % PERIOD;
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== STREAM[from + i]) throw new Error(`${this.name}: byte ${this.read + i} is not what was written`);
    }
    this.read += bytes.length;
    this.#unread += bytes.length;
    if (this.read > this.partner.written) throw new Error(`${this.name}: more read than written`);
  }

  /** One thing that it wants to do now, or undefined. */
  wish(now: number): (() => void) | undefined {
    const { channel, plan } = this;
    if (channel === undefined || this.over || this.closedByUs) return undefined;
    if (typeof plan.closes === 'object' && this.written + this.read >= plan.closes.after) return () => this.close();
    const reads = now >= plan.readsFrom && !(plan.writesFirst && this.written < plan.total);
    if (this.#unread > 0 && reads && (this.#blocked || this.#dice.below(2) === 0)) {
      return () => this.#consume(channel);
    }
    if (this.#asked < plan.requests) return () => this.#request(channel);
    if (this.written < plan.total) {
      if (!this.#blocked) return () => this.#write(channel);
    } else if (plan.closes === 'without eof') {
      return () => this.close();
    } else if (!channel.eofSent) {
      return () => channel.eof();
    } else if (this.eofHeard) return () => this.close();
    return this.#unread > 0 && reads ? () => this.#consume(channel) : undefined;
  }

  #consume(channel: Channel): void {
    const count = this.plan.slow ? 1 + this.#dice.below(this.#unread) : this.#unread;
    this.#unread -= count;
    channel.consumed(count);
  }

  #write(channel: Channel): void {
    const size = Math.min(this.plan.total - this.written, 1 + this.#dice.below(this.plan.piece));
    const from = (this.salt + this.written) % PERIOD;
    const sent = channel.write(STREAM.subarray(from, from + size));
    this.written += sent;
    this.#blocked = sent < size;
  }

  #request(channel: Channel): void {
    this.#asked++;
    void channel.request('nonsense', new Uint8Array(3)).then(granted => {
      if (granted) throw new UsageError(`${this.name}: a relay has granted a request`);
      this.answered++;
    });
  }

  close(): void {
    this.closedByUs = true;
    this.channel?.close();
  }

  /** From now on it is a good one: reads all there is and closes after EOF. */
  behave(): void {
    this.plan.readsFrom = 0;
    this.plan.slow = false;
    this.plan.writesFirst = false;
  }

  /** Whether it waits for `writable`; says so in a report. */
  toString(): string {
    const { channel } = this;
    const state = channel
      ? `out ${channel.outbound.size} in ${channel.inbound.size} eof ${channel.eofSent}/${channel.eofReceived} close ${channel.closeSent}/${channel.closeReceived}`
      : 'no channel';
    return `${this.name}: wrote ${this.written}/${this.plan.total}${this.#blocked ? ' (blocked)' : ''} read ${this.read} unread ${this.#unread} ${state}`;
  }
}
