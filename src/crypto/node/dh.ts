// Diffie-Hellman over the groups of RFC 3526 on node:crypto.
import { DiffieHellman, DiffieHellmanGroup, getDiffieHellman } from 'node:crypto';
import { type DhGroup, peerValue, randomExponent, toMpint } from '../dh.ts';
import { badPublicKey, type Ephemeral, ephemeralKex } from '../kex.ts';
import type { KexAlgorithm, Random } from '../provider.ts';
import { nodeHash } from './encoding.ts';

/** @throws Error where the runtime's groups take no private key of ours. */
export function nodeDh(group: DhGroup): KexAlgorithm {
  // Before a group is asked for, because Bun then tests for half a minute whether the prime is one.
  if (DiffieHellmanGroup.prototype.computeSecret !== DiffieHellman.prototype.computeSecret) {
    throw new Error('groups are of another make than DiffieHellman');
  }
  return ephemeralKex(group.name, nodeHash(group.hashName), random => dhEphemeral(group, random), group.work);
}

/** setPrivateKey, whose second parameter Node's types demand and Node does not. */
const setPrivateKey: (this: DiffieHellmanGroup, key: Uint8Array) => void = DiffieHellman.prototype.setPrivateKey;

function dhEphemeral(group: DhGroup, random: Random): Ephemeral {
  // Not createDiffieHellman, with which Node 24 tests the prime for minutes. It would have this method; a group has it not, but
  // is the same thing underneath.
  const own = getDiffieHellman(group.openssl);
  setPrivateKey.call(own, randomExponent(group, random));
  return {
    publicKey: toMpint(own.generateKeys()),
    agree(peer) {
      const value = peerValue(group, peer);
      try {
        return own.computeSecret(value);
      } catch {
        throw badPublicKey();
      }
    },
  };
}
