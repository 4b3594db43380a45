// HMAC (RFC 6668) on node:crypto, one object per packet from a key that is imported once.
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { writeUint32 } from '../../protocol/wire/packet.ts';
import { type HmacHash, hmacAlgorithm } from '../hmac.ts';
import type { Mac, MacAlgorithm } from '../provider.ts';

export const nodeHmac = (name: string, hash: HmacHash): MacAlgorithm =>
  hmacAlgorithm(name, hash, (hash, key) => new NodeHmac(hash, key));

class NodeHmac implements Mac {
  readonly tagLength: number;
  readonly #hash: HmacHash;
  readonly #key: KeyObject;
  readonly #sequence = new Uint8Array(4);

  constructor(hash: HmacHash, key: Uint8Array) {
    this.tagLength = hash === 'sha256' ? 32 : 64;
    this.#hash = hash;
    this.#key = createSecretKey(key);
  }

  // hot
  compute(sequence: number, bytes: Uint8Array, start: number, end: number): Uint8Array {
    writeUint32(this.#sequence, 0, sequence);
    return createHmac(this.#hash, this.#key).update(this.#sequence).update(bytes.subarray(start, end)).digest();
  }
}
