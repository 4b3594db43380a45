// rsa-sha2-256 and rsa-sha2-512 (RFC 8332): RSASSA-PKCS1-v1_5 with keys of type ssh-rsa. SHA-1 is not spoken.
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { UsageError } from '../protocol/errors.ts';
import { concat, equalBytes, Reader, Writer } from '../protocol/wire/reader.ts';
import { leftPad, toBigInt } from './ecdsa.ts';
import { tolerate } from './ed25519.ts';
import type { HashName } from './hmac.ts';
import type { PrivateKey, Random, SignatureAlgorithm } from './provider.ts';

/** Modulus in bits: less is broken or soon will be, more is a way to burn our time (OpenSSH's limit). */
const MIN_BITS = 2048;
const MAX_BITS = 16384;
/** Public exponents beyond 64 bits serve nobody but who wants our time. */
const MAX_EXPONENT_BYTES = 8;

/** A public key of which sizes and oddness have been checked; numbers most significant byte first, without leading zeros. */
export interface RsaPublicKey {
  readonly n: Uint8Array;
  readonly e: Uint8Array;
}
export interface Rsa {
  /** `signature` is as long as the modulus. */
  verify(key: RsaPublicKey, hash: HashName, data: Uint8Array, signature: Uint8Array): boolean;
  /** A signature as long as the modulus. */
  sign(key: PrivateKey, hash: HashName, data: Uint8Array, random: Random): Uint8Array;
  /** The private fields of a new key: [n, e, d, iqmp, p, q]. */
  generate(random: Random): readonly Uint8Array[];
}

export function rsaSha2(primitive: Rsa): SignatureAlgorithm[] {
  return (['sha512', 'sha256'] as const).map(hash => {
    const name = `rsa-sha2-${hash.slice(3)}`;
    return {
      name,
      keyType: 'ssh-rsa',
      verify: (blob, data, signature) =>
        tolerate(() => {
          const key = rsaPublicKey(blob);
          const reader = new Reader(signature);
          if (key === undefined || reader.name() !== name) return false;
          const value = reader.string();
          reader.finish();
          // Some peers drop leading zeros; longer than the modulus is wrong in any case.
          if (value.length === 0 || value.length > key.n.length) return false;
          return primitive.verify(key, hash, data, leftPad(value, key.n.length));
        }),
      sign(key, data, random) {
        if (key.type !== 'ssh-rsa') throw new UsageError(`a key of type ${key.type} cannot sign ${name}`);
        return new Writer().string(name).string(primitive.sign(key, hash, data, random)).finish();
      },
      generate(random, comment = ''): PrivateKey {
        const fields = primitive.generate(random);
        const [n, e] = fields;
        return { type: 'ssh-rsa', blob: new Writer().string('ssh-rsa').mpint(e).mpint(n).finish(), fields, comment };
      },
    };
  });
}

/** The numbers of an ssh-rsa blob, or undefined if we do not take such a key. */
function rsaPublicKey(blob: Uint8Array): RsaPublicKey | undefined {
  const reader = new Reader(blob);
  if (reader.name() !== 'ssh-rsa') return undefined;
  const e = reader.mpint();
  const n = reader.mpint();
  reader.finish();
  const bits = n.length * 8 - Math.clz32(n[0]) + 24;
  if (bits < MIN_BITS || bits > MAX_BITS || !(n[n.length - 1] & 1)) return undefined;
  if (e.length === 0 || e.length > MAX_EXPONENT_BYTES || !(e[e.length - 1] & 1)) return undefined;
  if (e.length === 1 && e[0] < 3) return undefined;
  return { n, e };
}

/** DigestInfo of each hash, DER (RFC 8017 §9.2). */
const DIGEST_INFO = {
  sha256: new Uint8Array([
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
  ]),
  sha512: new Uint8Array([
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40,
  ]),
};

/** EMSA-PKCS1-v1_5 (RFC 8017 §9.2): the one encoding there is, to be compared whole and never parsed. */
function encoded(hash: HashName, data: Uint8Array, length: number): Uint8Array {
  const digest = concat(DIGEST_INFO[hash], hash === 'sha256' ? sha256(data) : sha512(data));
  const message = new Uint8Array(length).fill(0xff);
  message[0] = 0;
  message[1] = 1;
  message[length - digest.length - 1] = 0;
  message.set(digest, length - digest.length);
  return message;
}

/** noble has no RSA. BigInt arithmetic takes time that depends on the numbers: signing blinds its input against that, and a runtime's own RSA is to be preferred. */
export const bigintRsa: Rsa = {
  verify({ n, e }, hash, data, signature) {
    const modulus = toBigInt(n);
    const s = toBigInt(signature);
    if (s >= modulus) return false;
    return equalBytes(toBytes(power(s, toBigInt(e), modulus), n.length), encoded(hash, data, n.length));
  },
  sign(key, hash, data, random) {
    const [n, e, d] = key.fields.map(toBigInt);
    const length = byteLength(n);
    const message = toBigInt(encoded(hash, data, length));
    const blind = toBigInt(random(new Uint8Array(length + 8))) % (n - 2n) + 2n;
    const blinded = power((message * power(blind, e, n)) % n, d, n);
    const signature = (blinded * inverse(blind, n)) % n;
    // A fault in the computation would give the key away.
    if (power(signature, e, n) !== message) throw new UsageError('the RSA private key does not fit its public key');
    return toBytes(signature, length);
  },
  generate(random) {
    const e = 65537n;
    for (;;) {
      const p = prime(1536, e, random);
      const q = prime(1536, e, random);
      const n = p * q;
      if (p === q || n.toString(2).length !== 3072) continue;
      const d = inverse(e, (p - 1n) * (q - 1n));
      return [n, e, d, inverse(q, p), p, q].map(number => toMpint(number));
    }
  },
};

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  base %= modulus;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = (result * base) % modulus;
  }
  return result;
}

/** Modular inverse (extended Euclid). */
function inverse(number: bigint, modulus: bigint): bigint {
  let [r, nextR, t, nextT] = [modulus, number % modulus, 0n, 1n];
  while (nextR !== 0n) {
    const quotient = r / nextR;
    [r, nextR] = [nextR, r - quotient * nextR];
    [t, nextT] = [nextT, t - quotient * nextT];
  }
  return t < 0n ? t + modulus : t;
}

const SMALL_PRIMES = [3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n, 53n, 59n, 61n, 67n, 71n, 73n];
/** Rounds of Miller–Rabin with random bases; FIPS 186-5 asks for 4 at this size. */
const ROUNDS = 20;

/** A random prime of `bits` bits whose two highest bits are set, fit for the public exponent `e`. */
function prime(bits: number, e: bigint, random: Random): bigint {
  for (;;) {
    const bytes = random(new Uint8Array(bits / 8));
    bytes[0] |= 0xc0;
    bytes[bytes.length - 1] |= 1;
    const candidate = toBigInt(bytes);
    if (SMALL_PRIMES.some(small => candidate % small === 0n) || (candidate - 1n) % e === 0n) continue;
    if (isProbablyPrime(candidate, random)) return candidate;
  }
}

function isProbablyPrime(n: bigint, random: Random): boolean {
  let odd = n - 1n;
  let twos = 0;
  while ((odd & 1n) === 0n) {
    odd >>= 1n;
    twos++;
  }
  rounds: for (let round = 0; round < ROUNDS; round++) {
    const base = (toBigInt(random(new Uint8Array(byteLength(n)))) % (n - 3n)) + 2n;
    let x = power(base, odd, n);
    if (x === 1n || x === n - 1n) continue;
    for (let i = 1; i < twos; i++) {
      x = (x * x) % n;
      if (x === n - 1n) continue rounds;
    }
    return false;
  }
  return true;
}

function byteLength(number: bigint): number {
  return Math.ceil(number.toString(16).length / 2);
}

function toBytes(number: bigint, length: number): Uint8Array {
  const hex = number.toString(16).padStart(length * 2, '0');
  return Uint8Array.from({ length }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

/** An mpint's content. */
export function toMpint(number: bigint): Uint8Array {
  return new Reader(new Writer().mpint(toBytes(number, byteLength(number))).finish()).string();
}
