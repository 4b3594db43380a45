// ecdsa-sha2-nistp* (RFC 5656 §3): r and s as mpints, both in 1..n−1, the public key uncompressed and on the curve.
import { UsageError } from '../protocol/errors.ts';
import { concat, Reader, Writer } from '../protocol/wire/reader.ts';
import { tolerate } from './ed25519.ts';
import { isUncompressed, type NistCurve } from './nistp.ts';
import type { PrivateKey, Random, SignatureAlgorithm } from './provider.ts';

/** Raw ECDSA on one curve: signatures are r ‖ s, each of a coordinate's length. */
export interface Ecdsa {
  sign(key: PrivateKey, data: Uint8Array): Uint8Array;
  verify(point: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
}

export const nobleEcdsa = ({ noble, hash, coordinate }: NistCurve): Ecdsa => ({
  sign: (key, data) =>
    noble.sign(hash(data), leftPad(key.fields[2], coordinate), { prehash: false, lowS: false, format: 'compact' }),
  verify: (point, data, signature) =>
    noble.verify(signature, hash(data), point, { prehash: false, lowS: false, format: 'compact' }),
});

export function ecdsaSha2(curve: NistCurve, primitive: Ecdsa): SignatureAlgorithm {
  const name = `ecdsa-sha2-${curve.name}`;
  return {
    name,
    keyType: name,
    verify: (blob, data, signature) =>
      tolerate(() => {
        const key = new Reader(blob);
        if (key.name() !== name || key.name() !== curve.name) return false;
        const point = key.string();
        key.finish();
        const outer = new Reader(signature);
        if (outer.name() !== name) return false;
        const inner = new Reader(outer.string());
        outer.finish();
        const r = inner.mpint();
        const s = inner.mpint();
        inner.finish();
        if (!isUncompressed(curve, point) || !inRange(r, curve) || !inRange(s, curve)) return false;
        return primitive.verify(
          point,
          data,
          concat(leftPad(r, curve.coordinate), leftPad(s, curve.coordinate)),
        );
      }),
    sign(key, data) {
      if (key.type !== name) throw new UsageError(`a key of type ${key.type} cannot sign ${name}`);
      const raw = primitive.sign(key, data);
      const inner = new Writer()
        .mpint(raw.subarray(0, curve.coordinate))
        .mpint(raw.subarray(curve.coordinate))
        .finish();
      return new Writer().string(name).string(inner).finish();
    },
    generate(random: Random, comment = ''): PrivateKey {
      const scalar = curve.noble.utils.randomSecretKey(
        random(new Uint8Array(curve.coordinate + (curve.coordinate >> 1))),
      );
      const point = curve.noble.getPublicKey(scalar, false);
      const curveName = new TextEncoder().encode(curve.name);
      const blob = new Writer().string(name).string(curveName).string(point).finish();
      // An mpint's content: a leading zero where the first bit is set, none otherwise.
      const mpint = new Reader(new Writer().mpint(scalar).finish()).string();
      return { type: name, blob, fields: [curveName, point, mpint], comment };
    },
  };
}

/** 1..n−1. */
function inRange(number: Uint8Array, curve: NistCurve): boolean {
  if (number.length === 0 || number.length > curve.coordinate) return false;
  return toBigInt(number) < curve.noble.Point.Fn.ORDER;
}

/** The number that `bytes` are, most significant byte first. */
export function toBigInt(bytes: Uint8Array): bigint {
  let hex = '0x0';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return BigInt(hex);
}

/** `bytes`, a number, in exactly `length` bytes; leading zeros come and go. */
export function leftPad(bytes: Uint8Array, length: number): Uint8Array {
  let from = 0;
  while (bytes.length - from > length && bytes[from] === 0) from++;
  const padded = new Uint8Array(length);
  padded.set(bytes.subarray(from), length - (bytes.length - from));
  return padded;
}
