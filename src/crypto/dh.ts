// diffie-hellman-group14-sha256, -group16-sha512 and -group18-sha512 (RFC 8268) over the groups of RFC 3526; the portable ones on
// BigInt, whose time depends on the numbers: exponents are used once only, and runtimes with modular arithmetic of their own use that.
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { Writer } from '../protocol/wire/reader.ts';
import { fromBigInt, fromMpint, modPow, toBigInt } from './bigint.ts';
import { badPublicKey, type Ephemeral, ephemeralKex } from './kex.ts';
import type { KexAlgorithm, Random } from './provider.ts';

/** A group modulo the safe prime 2^bits - 2^(bits-64) - 1 + 2^64 (floor(2^(bits-130) π) + offset), with the generator 2. */
export interface DhGroup {
  /** The key exchange's name. */
  readonly name: string;
  /** What node:crypto calls the group. */
  readonly openssl: string;
  readonly bits: number;
  readonly offset: bigint;
  /** Private exponents, in bytes: RFC 3526 §8's longer estimate, twice the bits of strength (320, 480, 620). */
  readonly exponentLength: number;
  /** See `KexAlgorithm.work`: the square of the bits, times those of the exponent. As measured, 0.5, 3 and 16 ms on Node, 3, 9 and 46 on Bun. */
  readonly work: number;
  readonly hashName: 'sha256' | 'sha512';
  readonly hash: (data: Uint8Array) => Uint8Array;
}

/** RFC 3526 §3, §5 and §7. */
export const dhGroup14: DhGroup = {
  name: 'diffie-hellman-group14-sha256',
  openssl: 'modp14',
  bits: 2048,
  offset: 124476n,
  exponentLength: 40,
  work: 1,
  hashName: 'sha256',
  hash: sha256,
};
export const dhGroup16: DhGroup = {
  name: 'diffie-hellman-group16-sha512',
  openssl: 'modp16',
  bits: 4096,
  offset: 240904n,
  exponentLength: 60,
  work: 6,
  hashName: 'sha512',
  hash: sha512,
};
export const dhGroup18: DhGroup = {
  name: 'diffie-hellman-group18-sha512',
  openssl: 'modp18',
  bits: 8192,
  offset: 4743158n,
  exponentLength: 78,
  work: 31,
  hashName: 'sha512',
  hash: sha512,
};

const GENERATOR = 2n;

export const portableDh = (group: DhGroup): KexAlgorithm =>
  ephemeralKex(group.name, group.hash, random => dhEphemeral(group, random), group.work);

function dhEphemeral(group: DhGroup, random: Random): Ephemeral {
  const p = prime(group);
  const x = toBigInt(randomExponent(group, random));
  return {
    publicKey: toMpint(fromBigInt(modPow(GENERATOR, x, p))),
    agree: peer => fromBigInt(modPow(toBigInt(peerValue(group, peer)), x, p)),
  };
}

/** Of the group's length exactly, so that the number of multiplications is always the same. */
export function randomExponent({ exponentLength }: DhGroup, random: Random): Uint8Array {
  const x = random(new Uint8Array(exponentLength));
  x[0] |= 0x80;
  return x;
}

/**
 * The magnitude of a peer's e or f, given the content of its mpint. RFC 4253 §8: values outside [1, p-1] MUST NOT be
 * accepted; 1 and p-1 are not either, because K would be no secret (RFC 8268 §4). Needless zeros in front are, as in sshd: the
 * exchange hash covers the bytes as they came. @throws ProtocolError
 */
export function peerValue(group: DhGroup, content: Uint8Array): Uint8Array {
  const value = fromMpint(content);
  if (value === undefined || value.length > group.bits / 8) throw badPublicKey();
  const number = toBigInt(value);
  if (number <= 1n || number >= prime(group) - 1n) throw badPublicKey();
  return value;
}

/** The content of an mpint. */
export const toMpint = (magnitude: Uint8Array): Uint8Array =>
  new Writer(magnitude.length + 5).mpint(magnitude).finish().subarray(4);

const primes = new Map<number, bigint>();

/** The group's prime, worked out at first use: what RFC 3526 prints follows from the formula that it gives. */
export function prime({ bits, offset }: DhGroup): bigint {
  let p = primes.get(bits);
  if (p === undefined) {
    const n = BigInt(bits);
    p = 2n ** n - 2n ** (n - 64n) - 1n + 2n ** 64n * (floorPi(n - 130n) + offset);
    primes.set(bits, p);
  }
  return p;
}

/** floor(2^bits π), by Machin's formula π = 16 arctan(1/5) - 4 arctan(1/239). */
function floorPi(bits: bigint): bigint {
  // Each of some thousands of terms is off by less than one: far less than the guard bits hold.
  const guard = 64n;
  const one = 2n ** (bits + guard);
  const arctanOfInverse = (x: bigint): bigint => {
    let sum = 0n;
    let power = one / x;
    for (let k = 1n; power !== 0n; k += 2n) {
      sum += k % 4n === 1n ? power / k : -(power / k);
      power /= x * x;
    }
    return sum;
  };
  return (16n * arctanOfInverse(5n) - 4n * arctanOfInverse(239n)) >> guard;
}
