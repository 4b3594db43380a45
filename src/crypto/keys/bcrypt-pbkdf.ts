// bcrypt_pbkdf: the key derivation of encrypted openssh-key-v1 files (OpenBSD bcrypt_pbkdf(3); PROTOCOL.key).
import { sha512 } from '@noble/hashes/sha2.js';
import { readUint32, writeUint32 } from '../../protocol/wire/packet.ts';
import { encodeUtf8 } from '../../protocol/wire/reader.ts';
import { blowfish, encrypt, expandKey } from './blowfish.ts';

/**
 * `length` bytes derived from a passphrase. PBKDF2 with bcrypt in place of HMAC, SHA-512 to bring passphrase and salt
 * to 64 bytes, and the output of one block spread over the whole key, so that no part of it is cheaper to guess.
 * Takes some 8 ms per round for 48 bytes. `passphrase` and `salt` must not be empty, `rounds` is at least 1.
 */
export function bcryptPbkdf(passphrase: Uint8Array, salt: Uint8Array, rounds: number, length: number): Uint8Array {
  const key = new Uint8Array(length);
  const stride = Math.ceil(length / BLOCK);
  const secret = words(sha512(passphrase));
  const counted = new Uint8Array(salt.length + 4);
  counted.set(salt);
  for (let count = 1; count <= stride; count++) {
    writeUint32(counted, salt.length, count);
    let hash = bcryptHash(secret, words(sha512(counted)));
    const sum = hash.slice();
    for (let round = 1; round < rounds; round++) {
      hash = bcryptHash(secret, words(sha512(hash)));
      for (let i = 0; i < BLOCK; i++) sum[i] ^= hash[i];
    }
    for (let i = 0, at = count - 1; at < length; i++, at += stride) key[at] = sum[i];
  }
  return key;
}

/** Bytes of one bcrypt hash. */
const BLOCK = 32;
const MAGIC = words(encodeUtf8('OxychromaticBlowfishSwatDynamite'));

/** bcrypt at a fixed cost of 2^6: the magic text, encrypted 64 times under a key schedule run 64 times. */
function bcryptHash(secret: Int32Array, salt: Int32Array): Uint8Array {
  const cipher = blowfish();
  expandKey(cipher, secret, salt);
  for (let i = 0; i < 64; i++) {
    expandKey(cipher, salt);
    expandKey(cipher, secret);
  }
  const text = MAGIC.slice();
  for (let i = 0; i < 64; i++) for (let at = 0; at < text.length; at += 2) encrypt(cipher, text, at);
  const hash = new Uint8Array(BLOCK);
  const view = new DataView(hash.buffer);
  // Read big-endian, written little-endian: a slip of the original that became the definition.
  text.forEach((word, i) => {
    view.setInt32(i * 4, word, true);
  });
  return hash;
}

function words(bytes: Uint8Array): Int32Array {
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => readUint32(bytes, i * 4) | 0);
}
