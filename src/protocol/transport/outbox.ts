// Sealed packets that wait for the socket. Small ones are gathered in blocks once there are many: alone, each would cost some 250 bytes more.
import type { Output } from '../../crypto/provider.ts';
import { type Account, OVERHEAD } from '../account.ts';

/** Chunks that wait as they are. A tick's worth of an interactive connection needs no copy. */
const FEW = 8;
/** Blocks grow with what waits, from the first to the second size in bytes. */
const FIRST_BLOCK = 2048;
const LAST_BLOCK = 16 * 1024;
const NOTHING: Uint8Array[] = [];

/** What a transport has sealed. */
export class Outbox implements Output {
  /** Bytes that wait. */
  bytes = 0;
  /** Bytes ever pushed; whoever counts from some moment on sets it to 0 then. */
  pushed = 0;
  /** The packet being sealed is small: its parts may be gathered. */
  small = false;
  /** The packet being sealed is an answer: it counts in the account until it is taken. */
  answer = false;
  /** Nobody has been told yet that something waits. */
  unannounced = true;
  readonly #account: Account;
  #chunks: Uint8Array[] = [];
  /** Where small packets are gathered: the bytes from `#from` to `#to` belong behind the last chunk. */
  #block = new Uint8Array(0);
  #from = 0;
  #to = 0;

  constructor(account: Account) {
    this.#account = account;
  }

  /** // hot — Takes ownership of a part of the packet being sealed. */
  push(chunk: Uint8Array): void {
    const { length } = chunk;
    this.bytes += length;
    this.pushed += length;
    const gathered = this.small && this.#chunks.length >= FEW;
    if (this.answer) this.#account.answers += gathered ? length : length + OVERHEAD;
    if (gathered) {
      this.#gather(chunk);
    } else {
      if (this.#to > this.#from) this.#close();
      this.#chunks.push(chunk);
    }
  }

  #gather(chunk: Uint8Array): void {
    if (this.#to + chunk.length > this.#block.length) {
      if (this.#to > this.#from) this.#close();
      this.#block = new Uint8Array(Math.max(chunk.length, Math.min(LAST_BLOCK, Math.max(FIRST_BLOCK, this.bytes))));
      this.#from = this.#to = 0;
    }
    this.#block.set(chunk, this.#to);
    this.#to += chunk.length;
  }

  #close(): void {
    this.#chunks.push(this.#block.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  /** All that waits, in order, which is the caller's then; nothing if there are less than `least` bytes. Either way, more is announced again. */
  take(least: number): Uint8Array[] {
    this.unannounced = true;
    if (this.bytes === 0 || this.bytes < least) return NOTHING.slice();
    if (this.#to > this.#from) this.#close();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#block = new Uint8Array(0);
    this.#from = this.#to = 0;
    this.bytes = 0;
    this.#account.answers = 0;
    return chunks;
  }
}
