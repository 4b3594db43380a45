// Streamlined NTRU Prime sntrup761, written from its specification (NTRU Prime, round 3, §3–4; draft-josefsson-ntruprime-streamlined).
// What is secret decides neither branches nor indices, and nothing secret is divided: quotients are products with reciprocals.
import { concat } from '../protocol/wire/reader.ts';
import type { Kem } from './kex.ts';
import type { Random } from './provider.ts';

/** Polynomials have P coefficients, modulo x^P - x - 1, and lie in R/Q, in R/3, or are "short": of W coefficients 1 or -1, the others 0. */
const P = 761;
const Q = 4591;
const W = 286;

const PUBLIC_KEY_LENGTH = 1158;
const CIPHERTEXT_LENGTH = 1039;
const HASH_LENGTH = 32;
/** An encoded polynomial of coefficients -1, 0 and 1: four to a byte. */
const SMALL_LENGTH = Math.ceil(P / 4);

/** Coefficients from -floor(m/2) to floor(m/2). */
type Polynomial = Int32Array;

/** The mechanism (§4.3), with SHA-512 from the provider. */
export function sntrup761(sha512: (data: Uint8Array) => Uint8Array): Kem {
  const hash = (prefix: number, ...parts: Uint8Array[]): Uint8Array =>
    sha512(concat(Uint8Array.of(prefix), ...parts)).subarray(0, HASH_LENGTH);

  /** A short polynomial hidden in a ciphertext; `cache` is the public key's hash. */
  function hide(r: Polynomial, encoded: Uint8Array, h: Polynomial, cache: Uint8Array): Uint8Array {
    const rounded = multiply(h, r).map(x => {
      const c = modulo(x, Q);
      // Rounded to the nearest multiple of three, and from there to 0, 1, 2 …
      return divide(c - modulo(c, 3) + (Q - 1) / 2, 3);
    });
    return concat(encode(rounded, roundedPlan()), hash(2, hash(3, encoded), cache));
  }

  return {
    publicKeyLength: PUBLIC_KEY_LENGTH,
    ciphertextLength: CIPHERTEXT_LENGTH,

    generate(random) {
      const [g, gInverse] = invertibleSmall(random);
      const f = short(random);
      // The polynomial x^P - x - 1 is irreducible modulo Q: all but zero is invertible.
      const h = multiply(invert(tripled(f), Q)!, g).map(x => modulo(x, Q));
      const publicKey = encode(
        h.map(x => x + (Q - 1) / 2),
        publicPlan(),
      );
      const rho = random(new Uint8Array(SMALL_LENGTH));
      const cache = hash(4, publicKey);
      return {
        publicKey,
        decapsulate(ciphertext) {
          const c = decode(ciphertext, roundedPlan()).map(x => 3 * x - (Q - 1) / 2);
          const e = tripled(multiply(c, f).map(x => modulo(x, Q))).map(x => modulo(modulo(x, Q), 3));
          const r = ofWeight(multiply(e, gInverse).map(x => modulo(x, 3)));
          const encoded = encodeSmall(r);
          const again = hide(r, encoded, h, cache);
          let difference = 0;
          for (let i = 0; i < CIPHERTEXT_LENGTH; i++) difference |= ciphertext[i] ^ again[i];
          // Implicit rejection: a ciphertext that nobody can have made honestly gives a key that nobody can know.
          const equal = (difference - 1) >> 31;
          for (let i = 0; i < SMALL_LENGTH; i++) encoded[i] ^= ~equal & (encoded[i] ^ rho[i]);
          return hash(equal & 1, hash(3, encoded), ciphertext);
        },
      };
    },

    encapsulate(publicKey, random) {
      const h = decode(publicKey, publicPlan()).map(x => x - (Q - 1) / 2);
      const r = short(random);
      const encoded = encodeSmall(r);
      const ciphertext = hide(r, encoded, h, hash(4, publicKey));
      return { ciphertext, secret: hash(1, hash(3, encoded), ciphertext) };
    },
  };
}

// Arithmetic

/** x modulo an odd m, nearest to zero, for |x| < 4096 m. The distance of x/m + 1/2 from the next whole number is far above the error of the product. */
const modulo = (x: number, m: number): number => x - Math.imul(m, ((x * (1 / m) + 4096.5) | 0) - 4096);

const tripled = (f: Polynomial): Polynomial => f.map(x => 3 * x);

/** a b modulo x^P - x - 1, for |a| < Q/2 and |b| ≤ 1; coefficients are not reduced, and below 3 P Q/2. */
function multiply(a: Polynomial, b: Polynomial): Polynomial {
  const product = new Int32Array(2 * P - 1);
  for (let i = 0; i < P; i++) {
    const factor = b[i];
    for (let j = 0; j < P; j++) product[i + j] += Math.imul(factor, a[j]);
  }
  // x^P = x + 1
  for (let i = 2 * P - 2; i >= P; i--) {
    product[i - P] += product[i];
    product[i - P + 1] += product[i];
  }
  return product.slice(0, P);
}

/**
 * 1/a modulo m, a prime, and x^P - x - 1, or undefined if there is none: Bernstein and Yang's division steps ("Fast
 * constant-time gcd computation and modular inversion", §4 and 7), always 2 P - 1 of them, on the reversed polynomials.
 */
function invert(a: Polynomial, m: number): Polynomial | undefined {
  const reciprocal = 1 / m;
  const f = new Int32Array(P + 1);
  const g = new Int32Array(P + 1);
  const v = new Int32Array(P);
  const r = new Int32Array(P);
  f[0] = 1;
  f[P - 1] = -1;
  f[P] = -1;
  for (let i = 0; i < P; i++) g[i] = a[P - 1 - i];
  r[0] = 1;
  let delta = 1;
  for (let step = 0; step < 2 * P - 1; step++) {
    // All ones if delta > 0 and g(0) is not zero.
    const swap = (-delta >> 31) & ((g[0] | -g[0]) >> 31);
    delta = (delta ^ (swap & (delta ^ -delta))) + 1;
    const zero = swap & (f[0] ^ g[0]);
    const f0 = f[0] ^ zero;
    const g0 = g[0] ^ zero;
    f[0] = f0;
    // g ← (f(0) g - g(0) f) / x. Each step uses up one coefficient, so what is too far up to count any more is left alone.
    const last = Math.min(P, 2 * P - 2 - step);
    for (let i = 1; i <= last; i++) {
      const t = swap & (f[i] ^ g[i]);
      const fi = f[i] ^ t;
      const gi = g[i] ^ t;
      const x = Math.imul(f0, gi) - Math.imul(g0, fi);
      f[i] = fi;
      g[i - 1] = x - Math.imul(m, ((x * reciprocal + 4096.5) | 0) - 4096);
    }
    g[last] = 0;
    // The same with x v and r, whose degrees grow by one each step.
    for (let i = Math.min(P - 1, step + 1); i >= 0; i--) {
      const below = i > 0 ? v[i - 1] : 0;
      const t = swap & (below ^ r[i]);
      const vi = below ^ t;
      const ri = r[i] ^ t;
      const x = Math.imul(f0, ri) - Math.imul(g0, vi);
      v[i] = vi;
      r[i] = x - Math.imul(m, ((x * reciprocal + 4096.5) | 0) - 4096);
    }
  }
  if (delta !== 0) return undefined;
  let scale = 1;
  for (let i = 0; i < m - 2; i++) scale = modulo(Math.imul(scale, f[0]), m);
  return v.map((_, i) => modulo(Math.imul(scale, v[P - 1 - i]), m));
}

/** The polynomial itself if its weight is right, and otherwise one that is always the same. */
function ofWeight(e: Polynomial): Polynomial {
  let weight = 0;
  for (const x of e) weight += x & 1;
  const right = ((weight ^ W) - 1) >> 31;
  return e.map((x, i) => (x & right) | ((i < W ? 1 : 0) & ~right));
}

// Random polynomials (§4.2.1, §4.2.2)

/** Words of 32 random bits. */
function words(random: Random): Int32Array {
  const bytes = random(new Uint8Array(4 * P));
  const all = new Int32Array(P);
  for (let i = 0, at = 0; i < P; i++, at += 4) {
    all[i] = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  }
  return all;
}

/** Coefficients -1, 0 and 1 by chance, drawn again until there is an inverse in R/3, which comes with them. */
function invertibleSmall(random: Random): [Polynomial, Polynomial] {
  for (;;) {
    const g = words(random).map(word => (Math.imul(word & 0x3fffffff, 3) >>> 30) - 1);
    const inverse = invert(g, 3);
    if (inverse !== undefined) return [g, inverse];
  }
}

/** A short polynomial: W times 1 or -1 and else 0, in an order by random sorting keys. The two lowest bits are the coefficient plus one. */
function short(random: Random): Polynomial {
  // With the highest bit turned over, signed numbers sort like the unsigned ones of the specification.
  const keys = words(random).map((word, i) => (i < W ? word & ~1 : (word & ~3) | 1) ^ 0x80000000);
  sort(keys);
  return keys.map(key => (key & 3) - 1);
}

/** Sorts by Batcher's network (Knuth, volume 3, §5.2.2, algorithm M): what is compared with what does not depend on the data. */
function sort(keys: Int32Array): void {
  const { length } = keys;
  const top = 2 ** (Math.ceil(Math.log2(length)) - 1);
  for (let p = top; p > 0; p >>= 1) {
    let r = 0;
    let d = p;
    for (let q = top; ; q >>= 1) {
      for (let i = 0; i + d < length; i++) {
        if ((i & p) !== r) continue;
        const a = keys[i];
        const b = keys[i + d];
        const difference = (b - a) | 0;
        // All ones if b < a; the second term corrects the sign where the difference overflows.
        const swap = ((difference ^ ((a ^ b) & (difference ^ b))) >> 31) & (a ^ b);
        keys[i] = a ^ swap;
        keys[i + d] = b ^ swap;
      }
      if (q === p) break;
      d = q - p;
      r = p;
    }
  }
}

// Encodings (§3.1–3.4)

function encodeSmall(f: Polynomial): Uint8Array {
  const bytes = new Uint8Array(SMALL_LENGTH);
  for (let i = 0; i < P; i++) bytes[i >> 2] |= (f[i] + 1) << (2 * (i & 3));
  return bytes;
}

/** How P numbers below a modulus are packed: pair by pair into larger numbers, each pair giving off low bytes to stay below the limit. */
interface Level {
  readonly moduli: readonly number[];
  /** How many bytes each pair, or at the last level the one number, gives off. */
  readonly bytes: readonly number[];
}

const LIMIT = 16384;

function plan(modulus: number): Level[] {
  const levels: Level[] = [];
  let moduli = new Array<number>(P).fill(modulus);
  for (;;) {
    const bytes: number[] = [];
    const next: number[] = [];
    const step = moduli.length === 1 ? 1 : 2;
    for (let i = 0; i + step <= moduli.length; i += step) {
      let m = step === 1 ? moduli[i] : moduli[i] * moduli[i + 1];
      let count = 0;
      for (; step === 1 ? m > 1 : m >= LIMIT; count++) m = Math.ceil(m / 256);
      bytes.push(count);
      next.push(m);
    }
    levels.push({ moduli, bytes });
    if (step === 1) return levels;
    if (moduli.length % 2 === 1) next.push(moduli[moduli.length - 1]);
    moduli = next;
  }
}

/** Made at first use. */
function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

const publicPlan = lazy(() => plan(Q));
/** Multiples of three only. */
const roundedPlan = lazy(() => plan((Q + 2) / 3));

function encode(numbers: Int32Array, levels: readonly Level[]): Uint8Array {
  const out: number[] = [];
  let current = numbers;
  for (const { moduli, bytes } of levels) {
    const next = new Int32Array((current.length + 1) >> 1);
    for (let i = 0; i < bytes.length; i++) {
      let number = current[2 * i] + (2 * i + 1 < current.length ? moduli[2 * i] * current[2 * i + 1] : 0);
      for (let n = bytes[i]; n > 0; n--, number >>= 8) out.push(number & 0xff);
      next[i] = number;
    }
    if (bytes.length < next.length) next[bytes.length] = current[current.length - 1];
    current = next;
  }
  return Uint8Array.from(out);
}

/** Any bytes of the right length give numbers in range. */
function decode(bytes: Uint8Array, levels: readonly Level[]): Int32Array {
  // The lowest level's bytes come first.
  const starts: number[] = [];
  let end = 0;
  for (const level of levels) {
    starts.push(end);
    for (const count of level.bytes) end += count;
  }
  let above = new Int32Array(1);
  for (let l = levels.length - 1; l >= 0; l--) {
    const { moduli, bytes: counts } = levels[l];
    const numbers = new Int32Array(moduli.length);
    let at = starts[l];
    for (let i = 0; i < counts.length; i++) {
      let number = above[i];
      for (let n = counts[i] - 1; n >= 0; n--) number = (number << 8) | bytes[at + n];
      at += counts[i];
      const quotient = divide(number, moduli[2 * i]);
      numbers[2 * i] = number - quotient * moduli[2 * i];
      if (2 * i + 1 < moduli.length) {
        numbers[2 * i + 1] = quotient - divide(quotient, moduli[2 * i + 1]) * moduli[2 * i + 1];
      }
    }
    if (moduli.length > 1 && moduli.length % 2 === 1) numbers[moduli.length - 1] = above[counts.length];
    above = numbers;
  }
  return above;
}

/** The whole part of a/b for 0 ≤ a < 2^31 and b < 2^15: the half keeps the product clear of whole numbers. */
const divide = (a: number, b: number): number => ((a + 0.5) * (1 / b)) | 0;
