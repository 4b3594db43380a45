// Whole numbers as bytes and modular arithmetic on BigInt, for RSA and for range checks. BigInt is not constant time.

/** A magnitude, most significant byte first, as a number. */
export function toBigInt(bytes: Uint8Array): bigint {
  let hex = '0x0';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return BigInt(hex);
}

/** `length` bytes, most significant first; without `length` as many as it takes. */
export function fromBigInt(value: bigint, length = Math.ceil(value.toString(16).length / 2)): Uint8Array {
  const hex = value.toString(16).padStart(length * 2, '0');
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

/** Without its leading zeros: what the content of an mpint is, but for the sign byte. */
export function magnitude(bytes: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bytes.length && bytes[from] === 0) from++;
  return bytes.subarray(from);
}

/**
 * The magnitude of a number from a peer, given the content of its mpint: as in OpenSSH, needless zeros in front are
 * skipped; undefined if it is negative.
 */
export const fromMpint = (content: Uint8Array): Uint8Array | undefined =>
  (content[0] ?? 0) & 0x80 ? undefined : magnitude(content);

/** Left-padded with zeros, or leading zeros taken off, to exactly `length` bytes; undefined if it does not fit. */
export function toLength(bytes: Uint8Array, length: number): Uint8Array | undefined {
  const value = magnitude(bytes);
  if (value.length > length) return undefined;
  const padded = new Uint8Array(length);
  padded.set(value, length - value.length);
  return padded;
}

/** How many bits a magnitude without leading zeros has. */
export const bitLength = (bytes: Uint8Array): number =>
  bytes.length === 0 ? 0 : bytes.length * 8 - Math.clz32(bytes[0]) + 24;

/** base^exponent mod modulus, four bits of the exponent at a time. */
export function modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const powers = [1n % modulus, base % modulus];
  for (let i = 2; i < 16; i++) powers.push((powers[i - 1] * powers[1]) % modulus);
  let result = powers[0];
  for (const digit of exponent.toString(16)) {
    for (let i = 0; i < 4; i++) result = (result * result) % modulus;
    result = (result * powers[Number.parseInt(digit, 16)]) % modulus;
  }
  return result;
}

/** 1/value mod modulus by Euclid's algorithm, or undefined if there is none. */
export function modInverse(value: bigint, modulus: bigint): bigint | undefined {
  let [r, next] = [modulus, value % modulus];
  let [t, nextT] = [0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [t, nextT] = [nextT, t - quotient * nextT];
  }
  if (r !== 1n) return undefined;
  return t < 0n ? t + modulus : t;
}
