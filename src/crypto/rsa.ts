// rsa-sha2-256 and rsa-sha2-512 (RFC 8332): RSASSA-PKCS1-v1_5 (RFC 8017 §8.2) with ssh-rsa keys (RFC 4253 §6.6).
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { UsageError } from '../protocol/errors.ts';
import { equalBytes, Writer } from '../protocol/wire/reader.ts';
import { fromBigInt, magnitude, modInverse, modPow, toBigInt } from './bigint.ts';
import { canonicalRsa, rsaProblem } from './keys/rsa-numbers.ts';
import type { PrivateKey, Random, SignatureAlgorithm } from './provider.ts';
import { generateRsa } from './rsa-keygen.ts';
import { field, signatureAlgorithm } from './signature.ts';

/** What ssh-keygen makes by default. */
const GENERATED_BITS = 3072;

export type RsaHash = 'sha256' | 'sha512';

/** A private key's numbers, as magnitudes without leading zeros. */
export interface RsaNumbers {
  readonly n: Uint8Array;
  readonly e: Uint8Array;
  readonly d: Uint8Array;
  readonly iqmp: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
}

/** What a runtime must be able to do. Signatures are exactly as long as the modulus. */
export interface Rsa {
  verify(hash: RsaHash, n: Uint8Array, e: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** `key` is given so that an imported form of `numbers` can be remembered with it. */
  sign(hash: RsaHash, key: PrivateKey, numbers: RsaNumbers, data: Uint8Array, random: Random): Uint8Array;
  generate(bits: number, random: Random): RsaNumbers;
}

export const rsaSignature = (name: 'rsa-sha2-256' | 'rsa-sha2-512', implementation: Rsa): SignatureAlgorithm => {
  const hash = name === 'rsa-sha2-256' ? 'sha256' : 'sha512';
  return signatureAlgorithm({
    name,
    keyType: 'ssh-rsa',
    canonical: canonicalRsa,
    problem(key) {
      const e = key.mpint();
      const n = key.mpint();
      key.finish();
      return rsaProblem(n, e);
    },
    verify(key, data, value) {
      const e = key.mpint();
      const n = key.mpint();
      key.finish();
      if (rsaProblem(n, e) !== undefined || value.length > n.length) return false;
      // Some peers send the signature as a number, without its leading zeros.
      const signature = new Uint8Array(n.length);
      signature.set(value, n.length - value.length);
      return implementation.verify(hash, n, e, data, signature);
    },
    sign(key, data, random) {
      const [n, e, d, iqmp, p, q] = [0, 1, 2, 3, 4, 5].map(index => magnitude(field(key, index)));
      const problem = rsaProblem(n, e);
      if (problem !== undefined) throw new UsageError(problem);
      return implementation.sign(hash, key, { n, e, d, iqmp, p, q }, data, random);
    },
    generate(random) {
      const { n, e, d, iqmp, p, q } = implementation.generate(GENERATED_BITS, random);
      return {
        type: 'ssh-rsa',
        blob: new Writer(n.length + 32).string('ssh-rsa').mpint(e).mpint(n).finish(),
        fields: [n, e, d, iqmp, p, q],
      };
    },
  });
};

/** RSA on BigInt, which takes time that depends on the numbers: `sign` blinds its input, and is meant for runtimes without RSA of their own. */
const portableRsa: Rsa = {
  verify(hash, n, e, data, signature) {
    const modulus = toBigInt(n);
    const s = toBigInt(signature);
    if (s >= modulus) return false;
    // RFC 8017 §8.2.2 as it says: compare with the one right encoding. Taking the padding apart is how forgeries get in.
    return equalBytes(fromBigInt(modPow(s, toBigInt(e), modulus), n.length), encoded(hash, data, n.length));
  },
  sign(hash, _key, numbers, data, random) {
    const n = toBigInt(numbers.n);
    const e = toBigInt(numbers.e);
    const d = toBigInt(numbers.d);
    const p = toBigInt(numbers.p);
    const q = toBigInt(numbers.q);
    const message = toBigInt(encoded(hash, data, numbers.n.length));
    const [blind, unblind] = blinding(n, numbers.n.length, random);
    const blinded = (message * modPow(blind, e, n)) % n;
    // RFC 8017 §5.1.2, by the Chinese remainder theorem.
    const mp = modPow(blinded, d % (p - 1n), p);
    const mq = modPow(blinded, d % (q - 1n), q);
    const h = ((((mp - mq) % p) + p) * toBigInt(numbers.iqmp)) % p;
    const signature = ((mq + h * q) * unblind) % n;
    // A fault in one of the halves would give the factors away.
    if (modPow(signature, e, n) !== message) throw new UsageError('an ssh-rsa key does not fit together');
    return fromBigInt(signature, numbers.n.length);
  },
  generate: generateRsa,
};

export const portableRsaSignature = (name: 'rsa-sha2-256' | 'rsa-sha2-512'): SignatureAlgorithm =>
  rsaSignature(name, portableRsa);

/** DER of DigestInfo up to the digest (RFC 8017 §9.2, note 1). */
const digestInfo = {
  sha256: Uint8Array.of(0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20),
  sha512: Uint8Array.of(0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40),
};

/** EMSA-PKCS1-v1_5 (RFC 8017 §9.2): 00 01 FF … FF 00 DigestInfo. */
function encoded(hash: RsaHash, data: Uint8Array, length: number): Uint8Array {
  const digest = hash === 'sha256' ? sha256(data) : sha512(data);
  const info = digestInfo[hash];
  const message = new Uint8Array(length).fill(0xff);
  const at = length - digest.length - info.length;
  message.set([0, 1]);
  message[at - 1] = 0;
  message.set(info, at);
  message.set(digest, at + info.length);
  return message;
}

/** A random number and its inverse. */
function blinding(n: bigint, length: number, random: Random): [bigint, bigint] {
  for (;;) {
    const blind = toBigInt(random(new Uint8Array(length))) % n;
    const inverse = blind > 0n ? modInverse(blind, n) : undefined;
    if (inverse !== undefined) return [blind, inverse];
  }
}
