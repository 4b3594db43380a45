// A payload with room before and after it, so that framing, padding and tag never need a copy (RFC 4253 §6).

/** Bytes kept free before a payload: packet_length (4) and padding_length (1). */
export const HEAD_ROOM = 5;
/** Bytes kept free after a payload: padding (at most 4 + 15 for the block sizes we use) and the largest tag (64). */
export const TAIL_ROOM = 84;

/**
 * One SSH message (the payload of a binary packet) inside memory that may be larger than it.
 * `bytes.subarray(start, end)` is the payload; what lies outside belongs to whoever seals the packet.
 */
export class Packet {
  /** The memory it lies in; may be shared with others, and larger. */
  bytes: Uint8Array;
  /** Index of the payload's first byte, the message number. */
  start: number;
  /** Index behind its last byte. */
  end: number;
  /** The memory holds this packet and nothing else: whoever is done with it may `release` it. */
  owned = false;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** A zero-filled packet of `payloadLength` bytes with room on both sides. */
  static alloc(payloadLength: number): Packet {
    return new Packet(new Uint8Array(HEAD_ROOM + payloadLength + TAIL_ROOM), HEAD_ROOM, HEAD_ROOM + payloadLength);
  }

  /** A packet that holds a copy of `payload`. */
  static from(payload: Uint8Array): Packet {
    const packet = Packet.alloc(payload.length);
    packet.bytes.set(payload, packet.start);
    return packet;
  }

  /** The message number (RFC 4250 §4.1): the first byte of the payload. */
  get number(): number {
    return this.bytes[this.start];
  }

  /** Length of the payload in bytes. */
  get length(): number {
    return this.end - this.start;
  }

  /** The payload, as a view. */
  get payload(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
}

/** From so many bytes on memory is given back by hand: less is cheaper to leave to the collector. */
export const RELEASE_FROM = 4096;

/** On memory of which a part is in use, and the rest nobody's. A property, because a WeakSet is gone through in each collection. */
const CLAIMED = Symbol('claimed');

/** // hot — The bytes `from` to `to` around a packet, to be sent; `release` gives all of the memory back that it had to itself. */
export function sent(packet: Packet, from: number, to: number): Uint8Array {
  const { bytes, owned } = packet;
  if (owned && bytes.length >= RELEASE_FROM && to - from !== bytes.length)
    (bytes.buffer as Transferable)[CLAIMED] = true;
  return bytes.subarray(from, to);
}

/** Bytes that a runtime leaves behind a cipher's output: one on Bun. */
const SPARE = 32;

/** A cipher's output, which has its memory to itself, even if that is a little larger: `release` gives all of it back. */
export function claim<T extends Uint8Array>(bytes: T): T {
  const { length, buffer } = bytes;
  if (length >= RELEASE_FROM && length < buffer.byteLength && length + SPARE >= buffer.byteLength)
    (buffer as Transferable)[CLAIMED] = true;
  return bytes;
}

type Transferable = ArrayBuffer & { transfer?(length: number): ArrayBuffer; [CLAIMED]?: true };

/**
 * // hot — Gives memory back that nobody will look at again, where the runtime can (ArrayBuffer.prototype.transfer). Engines let memory outside of their
 * heap grow by tens of megabytes before they look for garbage, and the next packet then gets memory that no cache knows;
 * given back at once, the same few blocks go round.
 */
export function release(bytes: Uint8Array): void {
  if (bytes.length < RELEASE_FROM) return;
  // What is only a part of its memory shares it, as a rule: runtimes cut small buffers out of a common one.
  if (bytes.length !== bytes.buffer.byteLength && (bytes.buffer as Transferable)[CLAIMED] !== true) return;
  (bytes.buffer as Transferable).transfer?.(0);
}

/** Reads a uint32, most significant byte first (RFC 4251 §5). */
export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/** Writes a uint32, most significant byte first (RFC 4251 §5). */
export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
