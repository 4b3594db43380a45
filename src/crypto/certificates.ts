// Signature algorithms for certificates (PROTOCOL.certkeys): the plain algorithm, applied to the key that is in the certificate.
import { UsageError } from '../protocol/errors.ts';
import { certificateName, parseCertificate } from './keys/certificate.ts';
import type { PrivateKey, SignatureAlgorithm } from './provider.ts';

/**
 * `signature` for keys with certificates. It says who made the signature, and nothing of whether the certificate is
 * good: that is for whoever is asked about the key (`checkCertificate`), as with a plain key.
 */
export function certified(signature: SignatureAlgorithm): SignatureAlgorithm {
  const { presence } = signature;
  const keyType = certificateName(signature.keyType);
  return {
    name: certificateName(signature.name),
    keyType,
    plain: signature.name,
    verify(blob, data, value) {
      try {
        const { type, key } = parseCertificate(blob);
        return type === keyType && signature.verify(key.blob, data, value);
      } catch {
        // No certificate: not a signature by one.
        return false;
      }
    },
    sign(key, data, random) {
      if (key.type !== keyType) throw new UsageError(`a ${key.type} key is no ${keyType}`);
      return signature.sign(plainKey(key), data, random);
    },
    generate() {
      throw new UsageError('a certificate is issued, not generated');
    },
    ...(presence && { presence: (value: Uint8Array) => presence(value) }),
  };
}

/** The plain key, always the same object: implementations remember imported keys by it. */
const plainKeys = new WeakMap<PrivateKey, PrivateKey>();

function plainKey(key: PrivateKey): PrivateKey {
  let plain = plainKeys.get(key);
  if (plain === undefined) {
    const { type, blob } = parseCertificate(key.blob).key;
    plain = { type, blob, fields: key.fields, comment: key.comment };
    plainKeys.set(key, plain);
  }
  return plain;
}
