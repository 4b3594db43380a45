// mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex): ML-KEM-768 (FIPS 203) and X25519 at once; the portable one on noble.
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { x25519Ephemeral } from './curve25519.ts';
import { badPublicKey, type Ephemeral, hybridKex, type Kem } from './kex.ts';
import type { KexAlgorithm, Random } from './provider.ts';

/** Of d ‖ z, from which a key pair follows (FIPS 203 §7.1), and of the message m of an encapsulation (§7.2), in bytes. */
export const MLKEM_SEED_LENGTH = 64;
const MESSAGE_LENGTH = 32;

/** Of an encapsulation key and a ciphertext of ML-KEM-768, in bytes (FIPS 203, table 3). */
export const MLKEM768_LENGTHS = { publicKeyLength: 1184, ciphertextLength: 1088 } as const;

export const portableMlkem768: Kem = {
  ...MLKEM768_LENGTHS,
  generate(random) {
    const { publicKey, secretKey } = ml_kem768.keygen(random(new Uint8Array(MLKEM_SEED_LENGTH)));
    return { publicKey, decapsulate: ciphertext => ml_kem768.decapsulate(ciphertext, secretKey) };
  },
  encapsulate(publicKey, random) {
    const message = random(new Uint8Array(MESSAGE_LENGTH));
    try {
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, message);
      return { ciphertext: cipherText, secret: sharedSecret };
    } catch {
      // The modulus check of FIPS 203 §7.2: a coefficient that is not reduced.
      throw badPublicKey();
    }
  },
};

export const mlkem768X25519 = (
  hash: (data: Uint8Array) => Uint8Array,
  kem: Kem = portableMlkem768,
  x25519: (random: Random) => Ephemeral = x25519Ephemeral,
): KexAlgorithm => hybridKex('mlkem768x25519-sha256', hash, kem, x25519);
