// ssh-ed25519 (RFC 8709), strictly: no signature with S ≥ L, no key of small order.
import { ed25519 } from '@noble/curves/ed25519.js';
import { UsageError } from '../protocol/errors.ts';
import { concat, Reader, Writer } from '../protocol/wire/reader.ts';
import type { PrivateKey, SignatureAlgorithm } from './provider.ts';

const NAME = 'ssh-ed25519';
const LENGTH = 32;
const SIGNATURE = 64;

/** Raw Ed25519: 32-byte public key, 32-byte seed, 64-byte signature. */
export interface Ed25519 {
  publicKey(seed: Uint8Array): Uint8Array;
  sign(seed: Uint8Array, data: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
}

export const nobleEd25519: Ed25519 = {
  publicKey: seed => ed25519.getPublicKey(seed),
  sign: (seed, data) => ed25519.sign(data, seed),
  verify: (publicKey, data, signature) => ed25519.verify(signature, data, publicKey, { zip215: false }),
};

export function sshEd25519(primitive: Ed25519): SignatureAlgorithm {
  return {
    name: NAME,
    keyType: NAME,
    verify: (blob, data, signature) =>
      tolerate(() => {
        const key = parts(blob, NAME);
        const value = parts(signature, NAME);
        return (
          key.length === LENGTH &&
          value.length === SIGNATURE &&
          isCanonical(value.subarray(LENGTH)) &&
          primitive.verify(key, data, value)
        );
      }),
    sign(key, data) {
      if (key.type !== NAME) throw new UsageError(`a key of type ${key.type} cannot sign ${NAME}`);
      const signature = primitive.sign(key.fields[1].subarray(0, LENGTH), data);
      return new Writer().string(NAME).string(signature).finish();
    },
    generate(random, comment = ''): PrivateKey {
      const seed = random(new Uint8Array(LENGTH));
      const publicKey = primitive.publicKey(seed);
      const blob = new Writer().string(NAME).string(publicKey).finish();
      return { type: NAME, blob, fields: [publicKey, concat(seed, publicKey)], comment };
    },
  };
}

/** The order of the base point, least significant byte first (RFC 8032 §5.1). */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** S < L (RFC 8032 §5.1.7): otherwise everyone could make a second signature out of one. */
function isCanonical(s: Uint8Array): boolean {
  let number = 0n;
  for (let i = LENGTH - 1; i >= 0; i--) number = (number << 8n) | BigInt(s[i]);
  return number < L;
}

/** The second of the two strings of a key or signature blob, whose first must be `name`. */
function parts(blob: Uint8Array, name: string): Uint8Array {
  const reader = new Reader(blob);
  const type = reader.name();
  const value = reader.string();
  reader.finish();
  return type === name ? value : new Uint8Array(0);
}

/** A verification that throws is one that failed: the input is the peer's. */
export function tolerate(verify: () => boolean): boolean {
  try {
    return verify();
  } catch {
    return false;
  }
}
