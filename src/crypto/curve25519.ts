// curve25519-sha256 (RFC 8731) on noble's X25519 (RFC 7748).
import { x25519 } from '@noble/curves/ed25519.js';
import { badPublicKey, type Ephemeral, ephemeralKex } from './kex.ts';
import type { KexAlgorithm, Random } from './provider.ts';

export const X25519_LENGTH = 32;

/** RFC 8731 §3 and the name it had before. */
export const curve25519Names = ['curve25519-sha256', 'curve25519-sha256@libssh.org'];

export const portableCurve25519 = (name: string, sha256: (data: Uint8Array) => Uint8Array): KexAlgorithm =>
  ephemeralKex(name, sha256, x25519Ephemeral);

/** A key pair from 32 random bytes. */
export function x25519Ephemeral(random: Random): Ephemeral {
  const secret = random(new Uint8Array(X25519_LENGTH));
  return {
    publicKey: x25519.getPublicKey(secret),
    agree(peer) {
      if (peer.length !== X25519_LENGTH) throw badPublicKey();
      let shared: Uint8Array;
      try {
        // Throws for points of low order, whose product is zero.
        shared = x25519.getSharedSecret(secret, peer);
      } catch {
        throw badPublicKey();
      }
      return refuseZero(shared);
    },
  };
}

/** RFC 8731 §3: "MUST abort if the all-zero value is generated". */
export function refuseZero(shared: Uint8Array): Uint8Array {
  let bits = 0;
  for (const byte of shared) bits |= byte;
  if (bits === 0) throw badPublicKey();
  return shared;
}
