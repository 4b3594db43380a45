// Ed25519, ECDSA and RSA on node:crypto. Keys go in as JWK: for Ed25519 that takes 6 µs where DER takes 80.
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { fromBigInt, magnitude, toBigInt } from '../bigint.ts';
import { type Ecdsa, ecdsaSignature } from '../ecdsa.ts';
import { ed25519Signature } from '../ed25519.ts';
import type { NistCurve } from '../nistp.ts';
import type { PrivateKey, SignatureAlgorithm } from '../provider.ts';
import { type Rsa, type RsaNumbers, rsaSignature } from '../rsa.ts';
import { base64url } from './encoding.ts';

/** Private keys once imported. A host key signs for every connection. */
const imported = new WeakMap<PrivateKey, KeyObject>();

function remembered(key: PrivateKey, make: () => KeyObject): KeyObject {
  let object = imported.get(key);
  if (object === undefined) {
    object = make();
    imported.set(key, object);
  }
  return object;
}

export const nodeEd25519: SignatureAlgorithm = ed25519Signature({
  verify(publicKey, data, signature) {
    const key = { kty: 'OKP', crv: 'Ed25519', x: base64url(publicKey) };
    return verify(null, data, createPublicKey({ key, format: 'jwk' }), signature);
  },
  sign(key, seed, data) {
    const object = remembered(key, () => {
      // The private field is seed ‖ public key.
      const x = base64url(key.fields[1].subarray(32));
      return createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d: base64url(seed) }, format: 'jwk' });
    });
    return sign(null, data, object);
  },
});

const ecdsa: Ecdsa = {
  verify(curve, point, data, signature) {
    const key = createPublicKey({ key: ecJwk(curve, point), format: 'jwk' });
    return verify(curve.hashName, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  },
  sign(curve, key, point, scalar, data) {
    const object = remembered(key, () =>
      createPrivateKey({ key: { ...ecJwk(curve, point), d: base64url(scalar) }, format: 'jwk' }),
    );
    return sign(curve.hashName, data, { key: object, dsaEncoding: 'ieee-p1363' });
  },
};

export const nodeEcdsa = (curve: NistCurve): SignatureAlgorithm => ecdsaSignature(curve, ecdsa);

const ecJwk = (curve: NistCurve, point: Uint8Array) => ({
  kty: 'EC',
  crv: curve.jwk,
  x: base64url(point.subarray(1, 1 + curve.length)),
  y: base64url(point.subarray(1 + curve.length)),
});

const rsa: Rsa = {
  verify(hash, n, e, data, signature) {
    const object = createPublicKey({ key: { kty: 'RSA', n: base64url(n), e: base64url(e) }, format: 'jwk' });
    return verify(hash, data, { key: object, padding: constants.RSA_PKCS1_PADDING }, signature);
  },
  sign(hash, key, numbers, data) {
    const object = remembered(key, () => createPrivateKey({ key: rsaJwk(numbers), format: 'jwk' }));
    return sign(hash, data, { key: object, padding: constants.RSA_PKCS1_PADDING });
  },
  generate(bits) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: 65537 });
    const jwk = privateKey.export({ format: 'jwk' });
    const number = (text: string | undefined) => magnitude(new Uint8Array(Buffer.from(text!, 'base64url')));
    return {
      n: number(jwk.n),
      e: number(jwk.e),
      d: number(jwk.d),
      iqmp: number(jwk.qi),
      p: number(jwk.p),
      q: number(jwk.q),
    };
  },
};

export const nodeRsaSignature = (name: 'rsa-sha2-256' | 'rsa-sha2-512'): SignatureAlgorithm => rsaSignature(name, rsa);

/** JWK wants d mod p-1 and d mod q-1 too, which openssh-key-v1 leaves out. */
function rsaJwk({ n, e, d, iqmp, p, q }: RsaNumbers) {
  const exponent = (prime: Uint8Array) => base64url(fromBigInt(toBigInt(d) % (toBigInt(prime) - 1n)));
  return {
    kty: 'RSA',
    n: base64url(n),
    e: base64url(e),
    d: base64url(d),
    p: base64url(p),
    q: base64url(q),
    dp: exponent(p),
    dq: exponent(q),
    qi: base64url(iqmp),
  };
}
