// Keys as DER structures: RSAPrivateKey (RFC 8017 §A.1), ECPrivateKey (RFC 5915), CurvePrivateKey (RFC 8410), SubjectPublicKeyInfo (RFC 5480), and back.

import { ed25519 } from '@noble/curves/ed25519.js';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { concat, decodeAscii, encodeUtf8, equalBytes, Reader, Writer } from '../../protocol/wire/reader.ts';
import { fromBigInt, magnitude, toBigInt, toLength } from '../bigint.ts';
import type { PrivateKey } from '../provider.ts';
import { DerReader, der } from './der.ts';
import { CURVES, type Curve, isPoint, readCurve, uncompressed } from './der-curves.ts';
import { keyType } from './key-types.ts';

const RSA = '1.2.840.113549.1.1.1';
const EC = '1.2.840.10045.2.1';
const ED25519 = '1.3.101.112';
/** Algorithms that an error can call by a name. */
const OTHERS: Readonly<Record<string, string>> = {
  '1.2.840.10040.4.1': 'DSA',
  '1.2.840.113549.1.1.10': 'RSA-PSS',
  '1.3.101.110': 'X25519',
  '1.3.101.111': 'X448',
  '1.3.101.113': 'Ed448',
};

/** A private key that is not yet checked for whether its parts belong together. */
type Unchecked = PrivateKey;

/** The content of an AlgorithmIdentifier and the element after it in PKCS#8 (RFC 5958 §2). */
export function readPrivateKeyInfo(reader: DerReader): Unchecked {
  const info = reader.sequence();
  reader.finish();
  const version = info.small();
  if (version > 1) throw new KeyFormatError(`${info.what} is in version ${version} of PKCS#8, which is not supported`);
  const algorithm = info.sequence();
  const name = algorithm.oid();
  const content = new DerReader(info.octets(), info.what);
  // Attributes, and in version 1 the public key; that one is checked, the former mean nothing here.
  info.explicit(0);
  const written = info.implicit(1);
  const publicBits = written && info.wholeBytes(written);
  info.finish();
  if (name === RSA) {
    algorithm.optionalNull();
    algorithm.finish();
    return readRsaPrivateKey(content);
  }
  if (name === EC) {
    const curve = readCurve(algorithm);
    algorithm.finish();
    return readEcPrivateKey(content, curve);
  }
  if (name === ED25519) {
    algorithm.finish();
    const seed = content.octets();
    content.finish();
    if (seed.length !== 32) throw new KeyFormatError(`${info.what} is damaged: an Ed25519 key has 32 bytes`);
    const point = ed25519.getPublicKey(seed);
    if (publicBits && !equalBytes(publicBits, point)) throw halves(info.what);
    return made('ssh-ed25519', [point, concat(seed, point)]);
  }
  throw unknown(name, info.what);
}

/** PKCS#1, "BEGIN RSA PRIVATE KEY". */
export function readRsaPrivateKey(reader: DerReader): Unchecked {
  const key = reader.sequence();
  reader.finish();
  if (key.small() !== 0) throw new KeyFormatError(`${key.what} is an RSA key with more than two primes`);
  const [n, e, d, p, q, dp, dq, iqmp] = Array.from({ length: 8 }, () => key.integer());
  key.finish();
  // openssh-key-v1 leaves these two out, so nobody would look at them again. Sizes first: only then it is cheap.
  for (const [prime, exponent] of [
    [p, dp],
    [q, dq],
  ])
    if (Math.max(prime.length, exponent.length, d.length) > n.length || !isReduced(d, prime, exponent))
      throw halves(key.what);
  return made('ssh-rsa', [n, e, d, iqmp, p, q]);
}

/** SEC 1, "BEGIN EC PRIVATE KEY"; `known` is the curve that stands outside, in PKCS#8. */
export function readEcPrivateKey(reader: DerReader, known?: Curve): Unchecked {
  const key = reader.sequence();
  reader.finish();
  const version = key.small();
  if (version !== 1) throw new KeyFormatError(`${key.what} is damaged: an EC key has version 1, this one ${version}`);
  const scalar = key.octets();
  const parameters = key.explicit(0);
  const inside = parameters && readCurve(parameters);
  parameters?.finish();
  const curve = inside ?? known;
  if (curve === undefined) throw new KeyFormatError(`${key.what} is damaged: its curve is missing`);
  if (known && inside && known !== inside) throw new KeyFormatError(`${key.what} is damaged: it names two curves`);
  const bits = key.explicit(1);
  const written = bits?.bits();
  bits?.finish();
  key.finish();
  const padded = toLength(scalar, curve.length);
  if (padded === undefined || !curve.curve.utils.isValidSecretKey(padded))
    throw new KeyFormatError(`${key.what} is damaged: its secret number is out of range`);
  // The public half may be left out; where it stands it must be right, in whatever form.
  const point = curve.curve.getPublicKey(padded, false);
  if (written && !isPoint(written, point)) throw halves(key.what);
  return made(`ecdsa-sha2-${curve.id}`, [encodeUtf8(curve.id), point, magnitude(padded)]);
}

/** PKCS#8 (RFC 5958), version 0, of a sound key. @throws KeyFormatError for types that PKCS#8 has no form for */
export function writePrivateKeyInfo(key: PrivateKey): Uint8Array {
  return der.sequence(der.small(0), ...privateInfo(key));
}

function privateInfo({ type, fields }: PrivateKey): Uint8Array[] {
  if (type === 'ssh-ed25519') return [identifier(ED25519), der.octets(der.octets(fields[1].subarray(0, 32)))];
  if (type === 'ssh-rsa') {
    const [n, e, d, iqmp, p, q] = fields;
    const exponents = [p, q].map(prime => fromBigInt(toBigInt(d) % (toBigInt(prime) - 1n)));
    const numbers = [n, e, d, p, q, ...exponents, iqmp].map(der.integer);
    return [identifier(RSA, der.null()), der.octets(der.sequence(der.small(0), ...numbers))];
  }
  const curve = CURVES.find(({ id }) => type === `ecdsa-sha2-${id}`);
  if (curve === undefined) throw noForm(type);
  const scalar = toLength(fields[2], curve.length);
  if (scalar === undefined) throw halves('the private key');
  const inner = der.sequence(der.small(1), der.octets(scalar), der.explicit(1, der.bits(fields[1])));
  return [identifier(EC, der.oid(curve.oid)), der.octets(inner)];
}

/** The blob (RFC 4253 §6.6) of a SubjectPublicKeyInfo, not yet checked: "BEGIN PUBLIC KEY". */
export function readPublicKeyInfo(reader: DerReader): Uint8Array {
  const info = reader.sequence();
  reader.finish();
  const algorithm = info.sequence();
  const name = algorithm.oid();
  const bits = info.bits();
  info.finish();
  if (name === RSA) {
    algorithm.optionalNull();
    algorithm.finish();
    return readRsaPublicKey(new DerReader(bits, info.what));
  }
  if (name === EC) {
    const curve = readCurve(algorithm);
    algorithm.finish();
    return new Writer().string(`ecdsa-sha2-${curve.id}`).string(curve.id).string(uncompressed(bits, curve)).finish();
  }
  if (name === ED25519) {
    algorithm.finish();
    return new Writer().string('ssh-ed25519').string(bits).finish();
  }
  throw unknown(name, info.what);
}

/** The blob of an RSAPublicKey (RFC 8017 §A.1.1), not yet checked: "BEGIN RSA PUBLIC KEY". */
export function readRsaPublicKey(reader: DerReader): Uint8Array {
  const key = reader.sequence();
  reader.finish();
  const [n, e] = [key.integer(), key.integer()];
  key.finish();
  return new Writer().string('ssh-rsa').mpint(e).mpint(n).finish();
}

/** The SubjectPublicKeyInfo of a sound blob. @throws KeyFormatError for types that it has no form for */
export function writePublicKeyInfo(blob: Uint8Array): Uint8Array {
  const reader = new Reader(blob);
  const type = reader.name();
  if (type === 'ssh-ed25519') return der.sequence(identifier(ED25519), der.bits(reader.string()));
  if (type === 'ssh-rsa') {
    const [e, n] = [reader.mpint(), reader.mpint()];
    return der.sequence(identifier(RSA, der.null()), der.bits(der.sequence(der.integer(n), der.integer(e))));
  }
  const curve = CURVES.find(({ id }) => type === `ecdsa-sha2-${id}`);
  if (curve === undefined || decodeAscii(reader.string()) !== curve.id) throw noForm(type);
  return der.sequence(identifier(EC, der.oid(curve.oid)), der.bits(reader.string()));
}

const identifier = (oid: string, ...parameters: Uint8Array[]) => der.sequence(der.oid(oid), ...parameters);

function made(type: string, fields: Uint8Array[]): Unchecked {
  const copies = fields.map(field => field.slice());
  return { type, fields: copies, blob: keyType(type).publicBlob(copies), comment: '' };
}

/** Whether `exponent` is d mod (prime - 1). */
function isReduced(d: Uint8Array, prime: Uint8Array, exponent: Uint8Array): boolean {
  const order = toBigInt(prime) - 1n;
  return order > 1n && toBigInt(d) % order === toBigInt(exponent);
}

const halves = (what: string) =>
  new KeyFormatError(`${what} is damaged: its public and its secret numbers do not belong together`);

const noForm = (type: string) =>
  new KeyFormatError(`keys of type "${printable(type, 80)}" cannot be written in PKCS#8 form`);

const unknown = (oid: string, what: string) =>
  new KeyFormatError(`${what} is of a kind that is not supported: ${OTHERS[oid] ?? `algorithm ${oid}`}`);
