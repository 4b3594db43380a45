// Blowfish with the costly key schedule of bcrypt (Schneier 1993; Provos and Mazières 1999, "A Future-Adaptable Password Scheme").

/** Round keys and substitution boxes, as 32-bit words. */
export interface Blowfish {
  /** 18 words. */
  readonly p: Int32Array;
  /** Four boxes of 256 words, one after the other. */
  readonly s: Int32Array;
}

/** A cipher in its initial state: the first 1042 words of the fractional part of pi. */
export function blowfish(): Blowfish {
  initial ??= fractionOfPi(WORDS);
  return { p: initial.slice(0, 18), s: initial.slice(18) };
}

/**
 * Mixes a key of 16 words into the state, and with it (in the first, salted step) 16 words of salt.
 * Both are cyclic, so that a length of 16 is no limit of Blowfish, only of what bcrypt_pbkdf feeds it.
 */
export function expandKey(cipher: Blowfish, key: Int32Array, salt?: Int32Array): void {
  const { p, s } = cipher;
  for (let i = 0; i < 18; i++) p[i] ^= key[i & 15];
  const block = new Int32Array(2);
  let at = 0;
  for (let i = 0; i < 18 + 1024; i += 2) {
    if (salt) {
      block[0] ^= salt[at++ & 15];
      block[1] ^= salt[at++ & 15];
    }
    encrypt(cipher, block, 0);
    const target = i < 18 ? p : s;
    const index = i < 18 ? i : i - 18;
    target[index] = block[0];
    target[index + 1] = block[1];
  }
}

/** Encrypts the 64-bit block `words[at]`, `words[at + 1]` in place. hot: two million times for one key of 16 rounds */
export function encrypt({ p, s }: Blowfish, words: Int32Array, at: number): void {
  let left = words[at] ^ p[0];
  let right = words[at + 1];
  for (let i = 1; i < 17; i += 2) {
    right ^=
      (((s[left >>> 24] + s[256 + ((left >>> 16) & 255)]) ^ s[512 + ((left >>> 8) & 255)]) + s[768 + (left & 255)]) ^
      p[i];
    left ^=
      (((s[right >>> 24] + s[256 + ((right >>> 16) & 255)]) ^ s[512 + ((right >>> 8) & 255)]) +
        s[768 + (right & 255)]) ^
      p[i + 1];
  }
  words[at] = right ^ p[17];
  words[at + 1] = left;
}

const WORDS = 18 + 4 * 256;
let initial: Int32Array | undefined;

/** The first `count` 32-bit words of pi − 3, by Machin's formula (16·atan 1/5 − 4·atan 1/239): 4 KiB of digits that nobody has to type. */
function fractionOfPi(count: number): Int32Array {
  const guard = 64n;
  const bits = BigInt(count * 32);
  const one = 1n << (bits + guard);
  const pi = 16n * inverseTangent(5n, one) - 4n * inverseTangent(239n, one);
  const hex = ((pi >> guard) & ((1n << bits) - 1n)).toString(16).padStart(count * 8, '0');
  return Int32Array.from({ length: count }, (_, i) => Number.parseInt(hex.slice(i * 8, i * 8 + 8), 16) | 0);
}

/** atan(1/x) = 1/x − 1/3x³ + 1/5x⁵ − …, as a multiple of 1/one. */
function inverseTangent(x: bigint, one: bigint): bigint {
  let power = one / x;
  let sum = power;
  for (let n = 3n; power > 0n; n += 4n) {
    power /= x * x;
    sum -= power / n;
    power /= x * x;
    sum += power / (n + 2n);
  }
  return sum;
}
