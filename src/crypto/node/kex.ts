// curve25519-sha256 (RFC 8731) and ecdh-sha2-nistp* (RFC 5656 §4) on node:crypto.
import { createECDH, createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { refuseZero, X25519_LENGTH } from '../curve25519.ts';
import { badPublicKey, type Ephemeral, ephemeralKex } from '../kex.ts';
import { isUncompressed, type NistCurve, randomScalar } from '../nistp.ts';
import type { KexAlgorithm, Random } from '../provider.ts';
import { base64url, nodeHash } from './encoding.ts';

export const nodeCurve25519 = (name: string): KexAlgorithm => ephemeralKex(name, nodeHash('sha256'), nodeX25519);

export const nodeNistKex = (curve: NistCurve): KexAlgorithm =>
  ephemeralKex(`ecdh-sha2-${curve.name}`, nodeHash(curve.hashName), random => nistEphemeral(curve, random));

/** A key pair of X25519 from 32 random bytes. */
export function nodeX25519(random: Random): Ephemeral {
  // From our own random bytes, so that a recorded exchange can be replayed.
  const privateKey = importX25519(random(new Uint8Array(X25519_LENGTH)));
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

/** JWK demands a public key beside the private one. Node up to 24 makes nothing of it; later ones check it. */
const unknown = base64url(new Uint8Array(X25519_LENGTH));
let jwk = true;
/** PKCS#8 of an X25519 key (RFC 8410 §7), less its 32 bytes. */
const PKCS8 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20);

/** By JWK where that needs no public key, because Node 20 takes ten times as long for DER; else by DER. */
function importX25519(secret: Uint8Array): KeyObject {
  if (jwk) {
    try {
      const key = { kty: 'OKP', crv: 'X25519', x: unknown, d: base64url(secret) };
      return createPrivateKey({ key, format: 'jwk' });
    } catch {
      jwk = false;
    }
  }
  return createPrivateKey({ key: Buffer.concat([PKCS8, secret]), format: 'der', type: 'pkcs8' });
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
