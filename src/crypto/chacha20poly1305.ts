// chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305): ChaCha20 with the sequence number as nonce, the length
// encrypted under a key of its own, Poly1305 over length and text as they are on the wire.

import { checkLength, Padder, unpad } from '../protocol/wire/framing.ts';
import { HEAD_ROOM, type Packet, readUint32, release, writeUint32 } from '../protocol/wire/packet.ts';
import { wrongTag } from './aes-gcm.ts';
import { chacha20, chachaBlock, chachaKey, nonceWord } from './chacha20.ts';
import type { Poly1305 } from './poly1305.ts';
import type { CipherAlgorithm, Opener, Output, Random, Sealer } from './provider.ts';

const BLOCK = 8;
const TAG = 16;

/** ChaCha20 of `bytes[start..end)` from block 1 on into new memory, under one key. */
export type Stream = (sequence: number, bytes: Uint8Array, start: number, end: number) => Uint8Array;

/** What the cipher is made of. */
export interface ChaChaParts {
  readonly poly1305: Poly1305;
  /** A faster ChaCha20 for texts of at least `from` bytes, where the runtime has one; without it all is done in place. */
  readonly stream?: { readonly from: number; create(key: Uint8Array): Stream };
}

export const chacha20Poly1305 = (parts: ChaChaParts): CipherAlgorithm => ({
  name: 'chacha20-poly1305@openssh.com',
  keyLength: 64,
  ivLength: 0,
  blockLength: BLOCK,
  aead: true,
  opener: key => new ChaChaOpener(parts, key),
  sealer: (key, _iv, random) => new ChaChaSealer(parts, key, random),
});

class ChaChaOpener implements Opener {
  readonly headLength = 4;
  readonly copiesFrom: number;
  readonly #keys: Keys;
  readonly #tag = new Uint8Array(TAG);

  constructor(parts: ChaChaParts, key: Uint8Array) {
    this.#keys = new Keys(parts, key);
    this.copiesFrom = this.#keys.stream === undefined ? Infinity : 4 + this.#keys.streamFrom + TAG;
  }

  // hot: the encrypted length stays where it is, because the tag covers it
  frameLength(bytes: Uint8Array, at: number, sequence: number): number {
    const length = (readUint32(bytes, at) ^ this.#keys.lengthMask(sequence)) >>> 0;
    return 4 + checkLength(length, BLOCK, 0) + TAG;
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number, sequence: number): Packet {
    const keys = this.#keys;
    const tag = this.#tag;
    const tagAt = end - TAG;
    keys.poly1305(keys.oneTimeKey(sequence), bytes, start, bytes, start + 4, tagAt, tag, 0);
    let difference = 0;
    for (let i = 0; i < TAG; i++) difference |= tag[i] ^ bytes[tagAt + i];
    if (difference !== 0) throw wrongTag();
    if (keys.stream !== undefined && tagAt - start - 4 >= keys.streamFrom) {
      const text = keys.stream(sequence, bytes, start + 4, tagAt);
      return unpad(text, 0, text.length);
    }
    const frame = bytes.subarray(start, end);
    chacha20(keys.text, sequence, 1, frame, 4, frame.length - TAG);
    return unpad(frame, 4, frame.length - TAG);
  }
}

class ChaChaSealer implements Sealer {
  readonly #keys: Keys;
  readonly #padder: Padder;

  constructor(parts: ChaChaParts, key: Uint8Array, random: Random) {
    this.#keys = new Keys(parts, key);
    this.#padder = new Padder(random);
  }

  // hot
  seal(packet: Packet, sequence: number, out: Output): void {
    const keys = this.#keys;
    const mask = keys.lengthMask(sequence);
    if (keys.stream !== undefined && packet.length >= keys.streamFrom) {
      // New memory comes back, so the packet needs no room for length and tag: one just opened is padded where it is.
      const length = this.#padder.pad(packet, BLOCK, 0, 0, true);
      const head = new Uint8Array(4);
      const tag = new Uint8Array(TAG);
      writeUint32(head, 0, length ^ mask);
      const text = keys.stream(sequence, packet.bytes, packet.start - 1, packet.end);
      if (packet.owned) release(packet.bytes);
      keys.poly1305(keys.oneTimeKey(sequence), head, 0, text, 0, text.length, tag, 0);
      out.push(head);
      out.push(text);
      out.push(tag);
      return;
    }
    const length = this.#padder.pad(packet, BLOCK, 0, TAG);
    const { bytes, start, end } = packet;
    writeUint32(bytes, start - HEAD_ROOM, length ^ mask);
    chacha20(keys.text, sequence, 1, bytes, start - 1, end);
    keys.poly1305(keys.oneTimeKey(sequence), bytes, start - HEAD_ROOM, bytes, start - 1, end, bytes, end);
    out.push(bytes.subarray(start - HEAD_ROOM, end + TAG));
  }
}

/** K_2, the first 32 bytes, encrypts texts and makes the Poly1305 keys; K_1, the other 32, encrypts lengths. */
class Keys {
  readonly text: Uint32Array;
  readonly poly1305: Poly1305;
  readonly stream: Stream | undefined;
  readonly streamFrom: number;
  readonly #length: Uint32Array;
  readonly #block = new Uint32Array(16);
  readonly #oneTime = new Uint8Array(32);

  constructor(parts: ChaChaParts, key: Uint8Array) {
    this.text = chachaKey(key.subarray(0, 32));
    this.#length = chachaKey(key.subarray(32, 64));
    this.poly1305 = parts.poly1305;
    this.stream = parts.stream?.create(key.subarray(0, 32));
    this.streamFrom = parts.stream?.from ?? 0;
  }

  /** The first word of block 0 under K_1, as a big-endian number. */
  lengthMask(sequence: number): number {
    chachaBlock(this.#length, nonceWord(sequence), 0, this.#block);
    return nonceWord(this.#block[0]);
  }

  /** The first half of block 0 under K_2. The memory is reused. */
  oneTimeKey(sequence: number): Uint8Array {
    chachaBlock(this.text, nonceWord(sequence), 0, this.#block);
    for (let i = 0; i < 32; i++) this.#oneTime[i] = this.#block[i >> 2] >>> (8 * (i & 3));
    return this.#oneTime;
  }
}
