// The numbers of an ssh-rsa public key (RFC 4253 §6.6, RFC 8332): their bounds, and what such a key is called.
import { beginsWith, equalBytes, Reader, Writer } from '../../protocol/wire/reader.ts';
import { bitLength, fromMpint } from '../bigint.ts';

/** RSA moduli, in bits. Less is breakable (OpenSSH's floor is 1024, and 2048 for what it makes); more is OpenSSL's limit, above which no OpenSSH reads it. */
const MIN_BITS = 2048;
const MAX_BITS = 16384;
/** Largest public exponent in bits, as in OpenSSL for large moduli: a longer one only makes each verification dear. */
const MAX_EXPONENT_BITS = 64;

/** Names under which RSA keys are written down: their type, and those of their signatures (dev-tunnels-ssh; OpenSSH reads them, too). */
export const RSA_NAMES: readonly string[] = ['ssh-rsa', 'rsa-sha2-256', 'rsa-sha2-512'];

/**
 * Why a key with this modulus and exponent is of no use, as a clause: "an RSA key of 1024 bits …"; undefined if it is. Magnitudes
 * without leading zeros. The least modulus is counted in bytes: two primes of 1024 bits may have a product of 2047, generators that
 * take no care of that have made such keys as "2048", and to OpenSSH they are keys like others.
 */
export function rsaProblem(n: Uint8Array, e: Uint8Array): string | undefined {
  const bits = bitLength(n);
  if (n.length * 8 < MIN_BITS) return `an RSA key of ${bits} bits is too weak: ${MIN_BITS} is the least`;
  if (bits > MAX_BITS) return `an RSA key of ${bits} bits is too large: ${MAX_BITS} is the most`;
  const exponentBits = bitLength(e);
  if (exponentBits < 2 || exponentBits > MAX_EXPONENT_BITS || !isOdd(e) || !isOdd(n))
    return 'the numbers in an ssh-rsa key are impossible';
  return undefined;
}

const isOdd = (number: Uint8Array): boolean => (number[number.length - 1] & 1) === 1;

/**
 * The blob of an RSA key in the form of RFC 4253 §6.6, so that one key has one blob: the type is "ssh-rsa" and the numbers have no
 * needless zeros, whatever a peer writes. Blobs of other keys, and those that are malformed, come back as they are.
 */
export function canonicalRsa(blob: Uint8Array): Uint8Array {
  if (!RSA_NAMES.some(name => beginsWith(blob, name))) return blob;
  try {
    const reader = new Reader(blob);
    reader.string();
    const [e, n] = [fromMpint(reader.string()), fromMpint(reader.string())];
    if (reader.remaining > 0 || e === undefined || n === undefined) return blob;
    const canonical = new Writer(blob.length + 8).string('ssh-rsa').mpint(e).mpint(n).finish();
    return equalBytes(canonical, blob) ? blob : canonical;
  } catch {
    // A field runs past the end.
    return blob;
  }
}
