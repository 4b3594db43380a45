// hmac-sha2-256 and hmac-sha2-512 (RFC 6668) and their encrypt-then-MAC forms (OpenSSH's PROTOCOL §1.5).
import { type _HMAC, hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { writeUint32 } from '../protocol/wire/packet.ts';
import type { Mac, MacAlgorithm } from './provider.ts';

export type HmacHash = 'sha256' | 'sha512';

/** Length of key and tag, in bytes. */
const lengths = { sha256: 32, sha512: 64 };

/** The algorithm around one implementation of HMAC. */
export const hmacAlgorithm = (
  name: string,
  hash: HmacHash,
  create: (hash: HmacHash, key: Uint8Array) => Mac,
): MacAlgorithm => ({
  name,
  keyLength: lengths[hash],
  tagLength: lengths[hash],
  etm: name.endsWith('-etm@openssh.com'),
  create: key => create(hash, key),
});

export const portableHmac = (name: string, hash: HmacHash): MacAlgorithm =>
  hmacAlgorithm(name, hash, (hash, key) => new NobleHmac(hash, key));

class NobleHmac implements Mac {
  readonly tagLength: number;
  /** The state after the two blocks of the key, cloned for each packet. */
  readonly #keyed: _HMAC<ReturnType<typeof sha256.create | typeof sha512.create>>;
  readonly #sequence = new Uint8Array(4);

  constructor(hash: HmacHash, key: Uint8Array) {
    this.tagLength = lengths[hash];
    this.#keyed = hmac.create(hash === 'sha256' ? sha256 : sha512, key);
  }

  // hot
  compute(sequence: number, bytes: Uint8Array, start: number, end: number): Uint8Array {
    writeUint32(this.#sequence, 0, sequence);
    return this.#keyed.clone().update(this.#sequence).update(bytes.subarray(start, end)).digest();
  }
}
