// The curves of RFC 5656 §10.1 in DER: by name, or spelt out (ECParameters, RFC 3279 §2.3.5; SEC 1 §C.2) and then compared number by number.
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { KeyFormatError } from '../../protocol/errors.ts';
import { equalBytes } from '../../protocol/wire/reader.ts';
import { fromBigInt, toBigInt } from '../bigint.ts';
import type { DerReader } from './der.ts';

/** The curves that SSH uses, by their object identifiers; `length` is that of a coordinate in bytes. */
export const CURVES = [
  { oid: '1.2.840.10045.3.1.7', id: 'nistp256', length: 32, curve: p256 },
  { oid: '1.3.132.0.34', id: 'nistp384', length: 48, curve: p384 },
  { oid: '1.3.132.0.35', id: 'nistp521', length: 66, curve: p521 },
] as const;
/** One of them. */
export type Curve = (typeof CURVES)[number];

/**
 * The curve in the parameters of an EC key, one element. What is spelt out (LibreSSL, so macOS; `openssl ecparam
 * -param_enc explicit`) must be one of ours in every number: on a curve of somebody else's choice, a generator that gives the
 * secret number away looks like any other.
 * @throws KeyFormatError, one sentence
 */
export function readCurve(reader: DerReader): Curve {
  if (!reader.isOid()) return readSpeltOut(reader);
  const oid = reader.oid();
  const curve = CURVES.find(curve => curve.oid === oid);
  if (curve) return curve;
  throw new KeyFormatError(`${reader.what} is on the curve ${oid}, which SSH does not use (${OURS} are)`);
}

/** Whether these bytes are the point, in whichever form of SEC 1 §2.3.3 or X9.62 §4.3.6: uncompressed, compressed or hybrid. */
export function isPoint(bytes: Uint8Array, uncompressed: Uint8Array): boolean {
  const half = (uncompressed.length + 1) / 2;
  const parity = uncompressed[uncompressed.length - 1] & 1;
  if (bytes[0] === 4) return equalBytes(bytes, uncompressed);
  if (bytes[0] === 2 + parity) return equalBytes(bytes.subarray(1), uncompressed.subarray(1, half));
  return bytes[0] === 6 + parity && equalBytes(bytes.subarray(1), uncompressed.subarray(1));
}

/** 04 ‖ x ‖ y of a point in whichever form, as SSH wants it; what is in none of them is given back as it is. @throws KeyFormatError if a compressed one is on no curve */
export function uncompressed(point: Uint8Array, { curve, length }: Curve): Uint8Array {
  if (point.length === 1 + 2 * length && (point[0] & 0xfe) === 6) {
    const plain = point.slice();
    plain[0] = 4;
    return isPoint(point, plain) ? plain : point;
  }
  if (point.length !== 1 + length || (point[0] & 0xfe) !== 2) return point;
  try {
    return curve.Point.fromBytes(point).toBytes(false);
  } catch {
    throw new KeyFormatError('the point of an EC key is not on its curve');
  }
}

const OURS = CURVES.map(({ id }) => id).join(', ');
const PRIME_FIELD = '1.2.840.10045.1.1';

function readSpeltOut(reader: DerReader): Curve {
  const parameters = reader.sequence();
  parameters.small(); // the version: 1 to 3, by what is in it
  const field = parameters.sequence();
  if (field.oid() !== PRIME_FIELD) throw another(reader.what);
  const p = field.integer();
  field.finish();
  const equation = parameters.sequence();
  const a = equation.octets();
  const b = equation.octets();
  // From which the curve is said to be made; it changes nothing.
  if (!equation.done) equation.bits();
  equation.finish();
  const base = parameters.octets();
  const n = parameters.integer();
  const cofactor = parameters.done ? undefined : parameters.integer();
  parameters.finish();
  const found = CURVES.find(({ curve, length }) => {
    const known = curve.Point.CURVE();
    if ([p, a, b, n].some(number => number.length > length)) return false;
    if (toBigInt(p) !== known.p || toBigInt(n) !== known.n) return false;
    if (toBigInt(a) !== known.a || toBigInt(b) !== known.b) return false;
    if (cofactor !== undefined && !equalBytes(cofactor, fromBigInt(known.h))) return false;
    return isPoint(base, curve.Point.BASE.toBytes(false));
  });
  if (found === undefined) throw another(reader.what);
  return found;
}

const another = (what: string) =>
  new KeyFormatError(`${what} spells out a curve that SSH does not use (${OURS} are), or one that is damaged`);
