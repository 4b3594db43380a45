// Signature algorithms for certificates (PROTOCOL.certkeys): the plain algorithm, applied to the key that is in the certificate.
import { UsageError } from '../protocol/errors.ts';
import { certificateName, parseCertificate } from './keys/certificate.ts';
import { byName, type PrivateKey, type SignatureAlgorithm } from './provider.ts';
import { tokenSignatures } from './sk.ts';

/**
 * A provider's whole list, from the algorithms that it implements (Ed25519, ECDSA and RSA, in this order): those of security
 * tokens before RSA, as in OpenSSH, and then all of them with certificates. A client thus asks for plain host keys first,
 * unless it is told that it can judge certificates.
 */
export function everySignature(implemented: readonly SignatureAlgorithm[]): SignatureAlgorithm[] {
  const isRsa = ({ keyType }: SignatureAlgorithm) => keyType === 'ssh-rsa';
  const tokens = tokenSignatures(byName(implemented, 'ssh-ed25519')!, byName(implemented, 'ecdsa-sha2-nistp256')!);
  const plain = [...implemented.filter(one => !isRsa(one)), ...tokens, ...implemented.filter(isRsa)];
  return [...plain, ...plain.map(certified)];
}

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
    plainKey(certificate) {
      try {
        return parseCertificate(certificate).key.blob;
      } catch {
        return undefined;
      }
    },
    problem(blob) {
      try {
        return parseCertificate(blob).type === keyType ? undefined : `its blob is no ${keyType}`;
      } catch (error) {
        return (error as Error).message;
      }
    },
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
