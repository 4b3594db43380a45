// Byte stream to packets (RFC 4253 §6): finds frames in the chunks that come in, has them opened and counts sequence numbers.
import type { Opener } from '../../crypto/provider.ts';
import { type Packet, release } from '../wire/packet.ts';

/** Pulls packets out of chunks. A frame that lies inside one chunk is opened where it is; one that straddles chunks is copied together once. */
export class FrameReader {
  /** Replaced at NEWKEYS; takes effect with the next frame. */
  opener: Opener;
  /** Sequence number of the next packet (uint32, RFC 4253 §6.4). */
  sequence = 0;
  /** Bytes on the wire and packets since the last `opener` was put in; the transport rekeys by them. */
  bytes = 0;
  packets = 0;
  readonly #chunks: Uint8Array[] = [];
  /** The last chunk is only lent: see `push`. */
  #lent = false;
  /** Where the unread part of the first chunk begins. */
  #at = 0;
  /** Bytes received and not yet consumed. */
  #waiting = 0;
  /** Length of the frame being received, 0 while its head has not been read. */
  #frame = 0;
  /** The frame, where it straddles chunks: how much of it has been copied. */
  #assembly: Uint8Array | undefined;
  #filled = 0;

  constructor(opener: Opener) {
    this.opener = opener;
  }

  /** Bytes that wait to be pulled. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Takes ownership of `chunk`: it may be decrypted in place. If it is only lent, no packet lies in it, and the owner calls
   * `keep` before it uses the memory again.
   */
  push(chunk: Uint8Array, lent = false): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#waiting += chunk.length;
    this.#lent = lent;
  }

  /** Copies what is left of a lent chunk. */
  keep(): void {
    const last = this.#chunks.length - 1;
    if (this.#lent && last >= 0) {
      this.#chunks[last] = this.#chunks[last].slice(last === 0 ? this.#at : 0);
      if (last === 0) this.#at = 0;
    }
    this.#lent = false;
  }

  /** // hot — The next packet, or undefined if it has not come completely. @throws ProtocolError */
  next(): Packet | undefined {
    if (this.#frame === 0 && !this.#readHead()) return undefined;
    const length = this.#frame;
    const chunk = this.#chunks[0];
    let packet: Packet;
    if (this.#assembly === undefined && chunk !== undefined && chunk.length - this.#at >= length) {
      const at = this.#at;
      const lent = this.#lent && this.#chunks.length === 1;
      this.#advance(length);
      packet =
        lent && length < this.opener.copiesFrom
          ? this.opener.open(chunk.slice(at, at + length), 0, length, this.sequence)
          : this.opener.open(chunk, at, at + length, this.sequence);
      packet.owned = packet.bytes.buffer !== chunk.buffer;
    } else {
      this.#assembly ??= new Uint8Array(length);
      if (!this.#fill(this.#assembly)) return undefined;
      const frame = this.#assembly;
      this.#assembly = undefined;
      this.#filled = 0;
      packet = this.opener.open(frame, 0, length, this.sequence);
      packet.owned = true;
      if (packet.bytes.buffer !== frame.buffer) release(frame);
    }
    this.#frame = 0;
    this.sequence = (this.sequence + 1) >>> 0;
    this.bytes += length;
    this.packets++;
    return packet;
  }

  /** Learns the length of the next frame, once its head has come. */
  #readHead(): boolean {
    const { headLength } = this.opener;
    const chunk = this.#chunks[0];
    if (chunk !== undefined && chunk.length - this.#at >= headLength) {
      this.#frame = this.opener.frameLength(chunk, this.#at, this.sequence);
      return true;
    }
    if (this.#waiting + this.#filled < headLength) return false;
    // The head itself straddles chunks: gather it, and let the frame grow out of it, because reading it may have decrypted it.
    const head = new Uint8Array(headLength);
    this.#fill(head);
    this.#frame = this.opener.frameLength(head, 0, this.sequence);
    this.#assembly = new Uint8Array(this.#frame);
    this.#assembly.set(head);
    return true;
  }

  /** Moves bytes from the chunks into `into`, behind what it has already; true when it is full. */
  #fill(into: Uint8Array): boolean {
    while (this.#filled < into.length && this.#chunks.length > 0) {
      const chunk = this.#chunks[0];
      const count = Math.min(into.length - this.#filled, chunk.length - this.#at);
      into.set(chunk.subarray(this.#at, this.#at + count), this.#filled);
      this.#filled += count;
      this.#advance(count);
    }
    return this.#filled === into.length;
  }

  #advance(count: number): void {
    this.#at += count;
    this.#waiting -= count;
    if (this.#at === this.#chunks[0].length) {
      this.#chunks.shift();
      this.#at = 0;
    }
  }
}
