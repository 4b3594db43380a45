// The binary packet (RFC 4253 §6) around every cipher: lengths, padding and room are handled here once, so that a cipher only transforms bytes.
import { ProtocolError } from '../errors.ts';
import { HEAD_ROOM, Packet, TAIL_ROOM, writeUint32 } from './packet.ts';

/** Fills bytes with random ones: `Random` of crypto/provider, which this folder does not import. */
type Random = (into: Uint8Array) => Uint8Array;

/** The largest packet_length we accept and send, in bytes; OpenSSH's own limit (PACKET_MAX_SIZE), RFC 4253 §6.1 asks for 35,000 at least. */
export const MAX_PACKET = 256 * 1024;
/** RFC 4253 §6: at least four bytes of padding. */
const MIN_PADDING = 4;
/** Random padding is drawn from a pool of this many bytes, because asking the runtime for each packet costs more than sealing a small one. */
const POOL = 1024;

/**
 * Checks a received packet_length. `covered` is how many bytes before the length's own count belong to the first
 * cipher block: 4 where the length field is encrypted with the rest, 0 where it is not (AEAD, encrypt-then-MAC).
 */
export function checkLength(packetLength: number, blockLength: number, covered: 0 | 4): number {
  // Memory, and OpenSSH's own bounds.
  if (packetLength < 1 + MIN_PADDING || packetLength > MAX_PACKET) {
    throw new ProtocolError(`packet length ${packetLength} is out of bounds`);
  }
  // Authentication: the length is not vouched for yet, and what is deciphered must be whole blocks.
  if ((packetLength + covered) % blockLength !== 0) {
    throw new ProtocolError(`packet length ${packetLength} is not a whole number of cipher blocks`);
  }
  return packetLength;
}

/** The packet whose padding_length byte is at `bytes[at]` and whose padding ends at `end`. */
export function unpad(bytes: Uint8Array, at: number, end: number): Packet {
  const padding = bytes[at];
  // As in sshd, and RFC 4253 §6 wants it so that lengths tell less.
  if (padding < MIN_PADDING) throw new ProtocolError(`a packet has only ${padding} bytes of padding`);
  // Memory: it would reach before the packet, or leave no message number.
  if (padding > end - at - 2) throw new ProtocolError('a packet is all padding');
  return new Packet(bytes, at + 1, end - padding);
}

/** Fills padding, one per sealer. */
export class Padder {
  readonly #random: Random;
  readonly #pool = new Uint8Array(POOL);
  #used = POOL;

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * // hot — Writes padding length and padding around the payload, and packet_length before them unless `bare` (for
   * ciphers that send the length from memory of their own). Moves the payload only if its memory lacks the room.
   * Afterwards the frame, without tag, is `bytes[start - 5 .. end)`, or `bytes[start - 1 .. end)` if `bare`.
   * @returns packet_length in bytes
   */
  pad(packet: Packet, blockLength: number, covered: 0 | 4, tagLength: number, bare = false): number {
    const payload = packet.end - packet.start;
    let padding = blockLength - ((payload + 1 + covered) % blockLength);
    if (padding < MIN_PADDING) padding += blockLength;
    if (packet.start < (bare ? 1 : HEAD_ROOM) || packet.end + padding + tagLength > packet.bytes.length) {
      const bytes = new Uint8Array(HEAD_ROOM + payload + Math.max(TAIL_ROOM, padding + tagLength));
      bytes.set(packet.bytes.subarray(packet.start, packet.end), HEAD_ROOM);
      packet.bytes = bytes;
      packet.start = HEAD_ROOM;
      packet.end = HEAD_ROOM + payload;
    }
    const { bytes, start } = packet;
    const length = payload + 1 + padding;
    if (!bare) writeUint32(bytes, start - HEAD_ROOM, length);
    bytes[start - 1] = padding;
    if (this.#used + padding > POOL) {
      this.#random(this.#pool);
      this.#used = 0;
    }
    for (let i = 0; i < padding; i++) bytes[packet.end + i] = this.#pool[this.#used + i];
    this.#used += padding;
    packet.end += padding;
    return length;
  }
}
