// curve25519-sha256 (RFC 8731) and ecdh-sha2-nistp* (RFC 5656 §4) on node:crypto.
import { createECDH, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { refuseZero, X25519_LENGTH } from '../curve25519.ts';
import { badPublicKey, type Ephemeral, ephemeralKex } from '../kex.ts';
import { isUncompressed, type NistCurve, randomScalar } from '../nistp.ts';
import type { KexAlgorithm, Random } from '../provider.ts';
import { base64url, nodeHash } from './encoding.ts';

export const nodeCurve25519 = (name: string): KexAlgorithm => ephemeralKex(name, nodeHash('sha256'), x25519Ephemeral);

export const nodeNistKex = (curve: NistCurve): KexAlgorithm =>
  ephemeralKex(`ecdh-sha2-${curve.name}`, nodeHash(curve.hashName), random => nistEphemeral(curve, random));

/** JWK demands a public key beside the private one, and makes nothing of it. */
const unused = base64url(new Uint8Array(X25519_LENGTH));

function x25519Ephemeral(random: Random): Ephemeral {
  // From our own random bytes, so that a recorded exchange can be replayed. By JWK: importing DER takes ten times as long.
  const d = base64url(random(new Uint8Array(X25519_LENGTH)));
  const privateKey = createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', x: unused, d }, format: 'jwk' });
  return {
    publicKey: new Uint8Array(Buffer.from(privateKey.export({ format: 'jwk' }).x!, 'base64url')),
    agree(peer) {
      if (peer.length !== X25519_LENGTH) throw badPublicKey();
      let shared: Uint8Array;
      try {
        const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: base64url(peer) }, format: 'jwk' });
        shared = diffieHellman({ privateKey, publicKey });
      } catch {
        throw badPublicKey();
      }
      return refuseZero(shared);
    },
  };
}

function nistEphemeral(curve: NistCurve, random: Random): Ephemeral {
  const own = createECDH(curve.openssl);
  own.setPrivateKey(randomScalar(curve, random));
  return {
    publicKey: new Uint8Array(own.getPublicKey()),
    agree(peer) {
      if (!isUncompressed(curve, peer)) throw badPublicKey();
      try {
        return own.computeSecret(peer);
      } catch {
        throw badPublicKey();
      }
    },
  };
}
