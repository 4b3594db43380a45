// AES keystreams in counter mode for the portable ciphers (FIPS 197, SP 800-38A §6.5), in place and at any alignment.
// The block function is noble's; like every table-driven AES in JavaScript it is not free of cache timing.
import { unsafe } from '@noble/ciphers/aes.js';

/** Round keys as noble expands them; made once per direction. */
export type RoundKeys = Uint32Array;

export const expandKey = (key: Uint8Array): RoundKeys => unsafe.expandKeyLE(key);

/** A 16-byte counter block as four numbers, most significant first. */
export function counterBlock(iv: Uint8Array): Uint32Array {
  const counter = new Uint32Array(4);
  for (let i = 0; i < 16; i++) counter[i >> 2] = (counter[i >> 2] << 8) | iv[i];
  return counter;
}

/**
 * // hot — XORs the keystream that begins at block `counter` into `bytes[start..end)` and leaves `counter` at the next
 * unused block. A last block that is used in part only counts as used.
 */
export function xorKeystream(
  keys: RoundKeys,
  counter: Uint32Array,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  for (let at = start; at < end; at += 16) {
    const { s0, s1, s2, s3 } = unsafe.encrypt(
      keys,
      swap(counter[0]),
      swap(counter[1]),
      swap(counter[2]),
      swap(counter[3]),
    );
    if (end - at >= 16) {
      xorWord(bytes, at, s0);
      xorWord(bytes, at + 4, s1);
      xorWord(bytes, at + 8, s2);
      xorWord(bytes, at + 12, s3);
    } else {
      const words = [s0, s1, s2, s3];
      for (let i = 0; at + i < end; i++) bytes[at + i] ^= words[i >> 2] >>> (8 * (i & 3));
    }
    increment(counter);
  }
}

/** SP 800-38A appendix B.1 over all 128 bits. */
function increment(counter: Uint32Array): void {
  for (let i = 3; i >= 0; i--) {
    counter[i]++;
    if (counter[i] !== 0) return;
  }
}

/** noble's AES counts its words little-endian. */
function swap(word: number): number {
  return (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24);
}

function xorWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] ^= word;
  bytes[at + 1] ^= word >>> 8;
  bytes[at + 2] ^= word >>> 16;
  bytes[at + 3] ^= word >>> 24;
}
