// The key derivation of PKCS#12 (RFC 7292 §B.2) with SHA-1, under which PBE-SHA1-3DES encrypts: only for reading old files.
import { sha1 } from '@noble/hashes/legacy.js';
import { concat, utf8OrNot } from '../../protocol/wire/reader.ts';

/** Bytes of a block of SHA-1, which all is filled up to. */
const BLOCK = 64;
/** What distinguishes the derived bytes by their use (RFC 7292 §B.3). */
const USES = { key: 1, iv: 2 };

/** `length` bytes of key or initialization vector; `salt` is not empty, `iterations` at least 1. Some 1.5 µs for each iteration and 20 bytes. */
export function pkcs12Key(
  passphrase: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  use: keyof typeof USES,
  length: number,
): Uint8Array {
  const diversifier = new Uint8Array(BLOCK).fill(USES[use]);
  const input = concat(filled(salt), filled(bmpString(passphrase)));
  const derived = new Uint8Array(Math.ceil(length / 20) * 20);
  for (let at = 0; ; at += 20) {
    let hash = sha1(concat(diversifier, input));
    for (let i = 1; i < iterations; i++) hash = sha1(hash);
    derived.set(hash, at);
    if (at + 20 >= length) return derived.slice(0, length);
    const sum = filled(hash).subarray(0, BLOCK);
    for (let block = 0; block < input.length; block += BLOCK) {
      // The block as one large number, plus the hash, plus one.
      let carry = 1;
      for (let i = BLOCK - 1; i >= 0; i--) {
        carry += input[block + i] + sum[i];
        input[block + i] = carry;
        carry >>= 8;
      }
    }
  }
}

/** Repeated up to whole blocks. */
function filled(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: Math.ceil(bytes.length / BLOCK) * BLOCK }, (_, i) => bytes[i % bytes.length]);
}

/** The passphrase as PKCS#12 has it: UTF-16, big-endian, and a zero at the end. What is not UTF-8 is taken for Latin-1, as in OpenSSL. */
function bmpString(passphrase: Uint8Array): Uint8Array {
  const text = utf8OrNot(passphrase) ?? Array.from(passphrase, byte => String.fromCharCode(byte)).join('');
  const bytes = new Uint8Array(text.length * 2 + 2);
  for (let i = 0; i < text.length; i++) {
    bytes[i * 2] = text.charCodeAt(i) >> 8;
    bytes[i * 2 + 1] = text.charCodeAt(i);
  }
  return bytes;
}
