// ecdsa-sha2-nistp256 and its sisters (RFC 5656 §3) on noble. Curves are parameters: see nistp.ts.
import { UsageError } from '../protocol/errors.ts';
import { concat, decodeAscii, encodeUtf8, Reader, Writer } from '../protocol/wire/reader.ts';
import { fromMpint, toLength } from './bigint.ts';
import { isScalar, isUncompressed, type NistCurve, randomScalar } from './nistp.ts';
import type { PrivateKey, SignatureAlgorithm } from './provider.ts';
import { field, signatureAlgorithm } from './signature.ts';

/** What a runtime must be able to do. Signatures are r ‖ s, each of the curve's length; points 04 ‖ x ‖ y. */
export interface Ecdsa {
  verify(curve: NistCurve, point: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** `key` is given so that an imported form of the scalar can be remembered with it; `entropy` is random. */
  sign(
    curve: NistCurve,
    key: PrivateKey,
    point: Uint8Array,
    scalar: Uint8Array,
    data: Uint8Array,
    entropy: Uint8Array,
  ): Uint8Array;
}

export const ecdsaSignature = (curve: NistCurve, implementation: Ecdsa): SignatureAlgorithm => {
  const name = `ecdsa-sha2-${curve.name}`;
  return signatureAlgorithm({
    name,
    keyType: name,
    verify(key, data, value) {
      if (key.name() !== curve.name) return false;
      const point = key.string();
      key.finish();
      if (!isUncompressed(curve, point)) return false;
      const reader = new Reader(value);
      const r = scalarIn(curve, reader.string());
      const s = scalarIn(curve, reader.string());
      reader.finish();
      return r !== undefined && s !== undefined && implementation.verify(curve, point, data, concat(r, s));
    },
    sign(key, data, random) {
      const point = field(key, 1);
      const scalar = toLength(field(key, 2), curve.length);
      if (decodeAscii(field(key, 0)) !== curve.name || !isUncompressed(curve, point) || scalar === undefined) {
        throw new UsageError(`an ${name} key has malformed private fields`);
      }
      const value = implementation.sign(curve, key, point, scalar, data, random(new Uint8Array(32)));
      return new Writer(2 * curve.length + 10)
        .mpint(value.subarray(0, curve.length))
        .mpint(value.subarray(curve.length))
        .finish();
    },
    generate(random) {
      const scalar = randomScalar(curve, random);
      const point = curve.noble.getPublicKey(scalar, false);
      return {
        type: name,
        blob: new Writer().string(name).string(curve.name).string(point).finish(),
        fields: [encodeUtf8(curve.name), point, scalar],
      };
    },
  });
};

/**
 * A part of a signature, given its mpint (some agents and devices leave needless zeros in front), of the curve's
 * length; undefined if it is out of range.
 */
function scalarIn(curve: NistCurve, content: Uint8Array): Uint8Array | undefined {
  const value = fromMpint(content);
  const scalar = value && toLength(value, curve.length);
  return scalar && isScalar(curve, scalar) ? scalar : undefined;
}

export const portableEcdsa = (curve: NistCurve): SignatureAlgorithm =>
  ecdsaSignature(curve, {
    // lowS is Bitcoin's rule: SSH peers send either half of the range.
    verify: (curve, point, data, signature) => curve.noble.verify(signature, data, point, { lowS: false }),
    // RFC 6979 with added entropy (§3.6): neither bad randomness nor a glitch in a repeated computation gives the key away.
    sign: (curve, _key, _point, scalar, data, entropy) =>
      curve.noble.sign(data, scalar, { lowS: false, extraEntropy: entropy }),
  });
