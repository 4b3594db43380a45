// The NIST curves as SSH names them (RFC 5656 §10.1) and ECDH over them (§4) on noble.
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { toBigInt } from './bigint.ts';
import { badPublicKey, type Ephemeral, ephemeralKex } from './kex.ts';
import type { KexAlgorithm, Random } from './provider.ts';

/** A curve, by everything the two providers need to know about it. */
export interface NistCurve {
  /** nistp256, nistp384, nistp521. */
  readonly name: string;
  /** What OpenSSL calls it, and JWK. */
  readonly openssl: string;
  readonly jwk: string;
  /** Length of a coordinate and of a scalar, in bytes. */
  readonly length: number;
  readonly order: bigint;
  /** RFC 5656 §6.2.1: the hash that goes with the curve's size, by node:crypto's name and from noble. */
  readonly hashName: 'sha256' | 'sha384' | 'sha512';
  readonly hash: (data: Uint8Array) => Uint8Array;
  readonly noble: typeof p256;
}

export const nistp256: NistCurve = {
  name: 'nistp256',
  openssl: 'prime256v1',
  jwk: 'P-256',
  length: 32,
  order: p256.Point.Fn.ORDER,
  hashName: 'sha256',
  hash: sha256,
  noble: p256,
};

export const nistp384: NistCurve = {
  name: 'nistp384',
  openssl: 'secp384r1',
  jwk: 'P-384',
  length: 48,
  order: p384.Point.Fn.ORDER,
  hashName: 'sha384',
  hash: sha384,
  noble: p384,
};

export const nistp521: NistCurve = {
  name: 'nistp521',
  openssl: 'secp521r1',
  jwk: 'P-521',
  length: 66,
  order: p521.Point.Fn.ORDER,
  hashName: 'sha512',
  hash: sha512,
  noble: p521,
};

/** Best first. */
export const nistCurves: readonly NistCurve[] = [nistp256, nistp384, nistp521];

export const portableNistKex = (curve: NistCurve): KexAlgorithm =>
  ephemeralKex(`ecdh-sha2-${curve.name}`, curve.hash, random => nistEphemeral(curve, random));

export function nistEphemeral(curve: NistCurve, random: Random): Ephemeral {
  const secret = randomScalar(curve, random);
  return {
    publicKey: curve.noble.getPublicKey(secret, false),
    agree(peer) {
      if (!isUncompressed(curve, peer)) throw badPublicKey();
      try {
        // RFC 5656 §4: the x coordinate alone. Points off the curve are refused here.
        return curve.noble.getSharedSecret(secret, peer, false).subarray(1, 1 + curve.length);
      } catch {
        throw badPublicKey();
      }
    },
  };
}

/** SEC 1 §2.3.3: 04 ‖ x ‖ y. RFC 5656 allows compressed points; nobody sends them, and infinity has one byte. */
export const isUncompressed = (curve: NistCurve, point: Uint8Array): boolean =>
  point.length === 1 + 2 * curve.length && point[0] === 4;

/** A scalar in 1..n-1, most significant byte first: drawn again until it is in range (FIPS 186-5 A.2.2). */
export function randomScalar(curve: NistCurve, random: Random): Uint8Array {
  const top = 0xff >> (curve.length * 8 - curve.order.toString(2).length);
  for (;;) {
    const secret = random(new Uint8Array(curve.length));
    secret[0] &= top;
    if (isScalar(curve, secret)) return secret;
  }
}

/** Whether `bytes`, a magnitude of any length, is in 1..n-1. */
export function isScalar(curve: NistCurve, bytes: Uint8Array): boolean {
  const value = toBigInt(bytes);
  return value > 0n && value < curve.order;
}
