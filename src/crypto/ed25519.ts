// ssh-ed25519 (RFC 8709, RFC 8032) on noble.
import { ed25519 } from '@noble/curves/ed25519.js';
import { UsageError } from '../protocol/errors.ts';
import { concat, Writer } from '../protocol/wire/reader.ts';
import type { PrivateKey, SignatureAlgorithm } from './provider.ts';
import { field, signatureAlgorithm } from './signature.ts';

const NAME = 'ssh-ed25519';

/** What a runtime must be able to do. Lengths are checked before it is asked. */
export interface Ed25519 {
  verify(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** `key` is given so that an imported form of `seed` can be remembered with it. */
  sign(key: PrivateKey, seed: Uint8Array, data: Uint8Array): Uint8Array;
}

/**
 * The strict reading of RFC 8032 §5.1.7: S < L, no encoding of a coordinate ≥ p, no public key of small order (with one
 * of those, a signature can be valid for many messages).
 */
export const ed25519Signature = (implementation: Ed25519): SignatureAlgorithm =>
  signatureAlgorithm({
    name: NAME,
    keyType: NAME,
    verify(key, data, value) {
      const publicKey = key.string();
      key.finish();
      if (publicKey.length !== 32 || value.length !== 64) return false;
      if (!isCanonical(publicKey) || isSmallOrder(publicKey) || !isCanonical(value.subarray(0, 32))) return false;
      if (!isReduced(value.subarray(32))) return false;
      return implementation.verify(publicKey, data, value);
    },
    sign(key, data) {
      const secret = field(key, 1);
      if (secret.length !== 64) throw new UsageError('an ssh-ed25519 key has a private field of the wrong length');
      return implementation.sign(key, secret.subarray(0, 32), data);
    },
    generate(random) {
      const seed = random(new Uint8Array(32));
      const publicKey = ed25519.getPublicKey(seed);
      return {
        type: NAME,
        blob: new Writer(64).string(NAME).string(publicKey).finish(),
        fields: [publicKey, concat(seed, publicKey)],
      };
    },
  });

export const portableEd25519 = ed25519Signature({
  verify: (publicKey, data, signature) => ed25519.verify(signature, data, publicKey, { zip215: false }),
  sign: (_key, seed, data) => ed25519.sign(data, seed),
});

/** p and L, least significant byte first. */
const P = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0xed : i === 31 ? 0x7f : 0xff));
const L = littleEndian('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');
/** The y coordinates of the eight points of small order. */
const smallOrder = [
  littleEndian('0000000000000000000000000000000000000000000000000000000000000000'),
  littleEndian('0100000000000000000000000000000000000000000000000000000000000000'),
  littleEndian('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  littleEndian('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
  littleEndian('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
];

function littleEndian(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g)!, byte => Number.parseInt(byte, 16));
}

/** Whether a is less than b, both 32 bytes little-endian; `top` masks the last byte of a. Public values only. */
function isLess(a: Uint8Array, b: Uint8Array, top: number): boolean {
  for (let i = 31; i >= 0; i--) {
    const byte = i === 31 ? a[i] & top : a[i];
    if (byte !== b[i]) return byte < b[i];
  }
  return false;
}

const isCanonical = (point: Uint8Array): boolean => isLess(point, P, 0x7f);
const isReduced = (scalar: Uint8Array): boolean => isLess(scalar, L, 0xff);
const isSmallOrder = (point: Uint8Array): boolean =>
  smallOrder.some(y => y.every((byte, i) => byte === (i === 31 ? point[i] & 0x7f : point[i])));
