// What all signature algorithms share: the two blobs of RFC 4253 §6.6 and the rule that whatever is malformed is simply not a signature.
import { UsageError } from '../protocol/errors.ts';
import { Reader, Writer } from '../protocol/wire/reader.ts';
import type { PrivateKey, Random, SignatureAlgorithm } from './provider.ts';

/** One algorithm, without the wrapping. */
export interface Scheme {
  readonly name: string;
  readonly keyType: string;
  /** See `SignatureAlgorithm.canonical`. */
  canonical?(blob: Uint8Array): Uint8Array;
  /** See `SignatureAlgorithm.problem`; `key` as in `verify`, and it may throw like that. */
  problem?(key: Reader): string | undefined;
  /** `key` stands behind the key type and must be read to its end; `value` is the content of the signature. May throw on malformed input. */
  verify(key: Reader, data: Uint8Array, value: Uint8Array): boolean;
  /** The content of the signature. */
  sign(key: PrivateKey, data: Uint8Array, random: Random): Uint8Array;
  generate(random: Random): Omit<PrivateKey, 'comment'>;
}

export const signatureAlgorithm = (scheme: Scheme): SignatureAlgorithm => ({
  name: scheme.name,
  keyType: scheme.keyType,
  ...(scheme.canonical && { canonical: scheme.canonical }),
  problem(blob) {
    try {
      const key = new Reader(blob);
      if (key.name() !== scheme.keyType) return `its blob is no ${scheme.keyType} key`;
      return scheme.problem?.(key);
    } catch {
      return `its blob is a damaged ${scheme.keyType} key`;
    }
  },
  verify(blob, data, signature) {
    try {
      const key = new Reader(blob);
      if (key.name() !== scheme.keyType) return false;
      const outer = new Reader(signature);
      if (outer.name() !== scheme.name) return false;
      const value = outer.string();
      outer.finish();
      return scheme.verify(key, data, value);
    } catch {
      // A field that runs past the end, a point off the curve, a key the runtime does not take: not a signature.
      return false;
    }
  },
  sign(key, data, random) {
    if (key.type !== scheme.keyType) throw new UsageError(`${scheme.name} does not sign with a ${key.type} key`);
    const value = scheme.sign(key, data, random);
    return new Writer(value.length + 64).string(scheme.name).string(value).finish();
  },
  generate: (random, comment = '') => ({ ...scheme.generate(random), comment }),
});

/** A key's field that must be there. */
export function field(key: PrivateKey, index: number): Uint8Array {
  const bytes = key.fields[index];
  if (bytes === undefined) throw new UsageError(`a ${key.type} key lacks a private field`);
  return bytes;
}
