// New RSA keys on BigInt (FIPS 186-5 A.1.3): probable primes by trial division and Miller–Rabin. Takes seconds.
import { fromBigInt, modInverse, modPow, toBigInt } from './bigint.ts';
import type { Random } from './provider.ts';
import type { RsaNumbers } from './rsa.ts';

const E = 65537n;
/** FIPS 186-5 table B.1 asks for 4 rounds with primes of 1536 bits for an error under 2^-128 … 2^-144; a few more cost little. */
const ROUNDS = 8;

/** A key with a modulus of exactly `bits` bits. */
export function generateRsa(bits: number, random: Random): RsaNumbers {
  const half = bits / 2;
  for (;;) {
    const p = prime(half, random);
    const q = prime(half, random);
    const distance = p > q ? p - q : q - p;
    // FIPS 186-5 A.1.3 step 5.4: primes close to each other can be found from their product.
    if (distance >> BigInt(half - 100) === 0n) continue;
    const d = modInverse(E, lcm(p - 1n, q - 1n));
    const iqmp = modInverse(q, p);
    if (d === undefined || iqmp === undefined || d.toString(2).length <= half) continue;
    return {
      n: fromBigInt(p * q),
      e: fromBigInt(E),
      d: fromBigInt(d),
      iqmp: fromBigInt(iqmp),
      p: fromBigInt(p),
      q: fromBigInt(q),
    };
  }
}

/** A probable prime of `bits` bits whose two highest are set, so that the product of two has all of its bits, with p - 1 prime to E. */
function prime(bits: number, random: Random): bigint {
  for (;;) {
    const bytes = random(new Uint8Array(bits / 8));
    bytes[0] |= 0xc0;
    bytes[bytes.length - 1] |= 1;
    const candidate = toBigInt(bytes);
    if (candidate % E === 1n || hasSmallFactor(candidate)) continue;
    if (isProbablePrime(candidate, bytes.length, random)) return candidate;
  }
}

/** The odd primes under this bound are tried by division: it leaves one candidate in seven to Miller–Rabin. */
const BOUND = 4000;
let smallPrimes: number[] | undefined;

function hasSmallFactor(candidate: bigint): boolean {
  if (smallPrimes === undefined) {
    smallPrimes = [];
    for (let n = 3; n < BOUND; n += 2) if (smallPrimes.every(p => n % p !== 0)) smallPrimes.push(n);
  }
  for (let i = 0; i < smallPrimes.length; ) {
    // As many primes at a time as fit into a number: one division of the long number serves them all.
    let product = 1;
    const from = i;
    while (i < smallPrimes.length && product * smallPrimes[i] < Number.MAX_SAFE_INTEGER) product *= smallPrimes[i++];
    const rest = Number(candidate % BigInt(product));
    for (let j = from; j < i; j++) if (rest % smallPrimes[j] === 0) return true;
  }
  return false;
}

/** Miller–Rabin (FIPS 186-5 B.3.1) with random bases. */
function isProbablePrime(candidate: bigint, length: number, random: Random): boolean {
  const last = candidate - 1n;
  let odd = last;
  let twos = 0;
  while ((odd & 1n) === 0n) {
    odd >>= 1n;
    twos++;
  }
  for (let round = 0; round < ROUNDS; round++) {
    const base = (toBigInt(random(new Uint8Array(length))) % (candidate - 3n)) + 2n;
    if (!isWitnessed(modPow(base, odd, candidate), last, twos, candidate)) return false;
  }
  return true;
}

/** Whether the powers of one base look as they do modulo a prime. */
function isWitnessed(power: bigint, last: bigint, twos: number, candidate: bigint): boolean {
  if (power === 1n || power === last) return true;
  for (let i = 1; i < twos; i++) {
    power = (power * power) % candidate;
    if (power === last) return true;
  }
  return false;
}

function lcm(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return (a / x) * b;
}
