// ML-KEM-768 (FIPS 203) on node:crypto, which has it since Node 24.7. Its encapsulation draws its own randomness.
import * as crypto from 'node:crypto';
import { concat } from '../../protocol/wire/reader.ts';
import { badPublicKey, type Kem } from '../kex.ts';
import { MLKEM_SEED_LENGTH, MLKEM768_LENGTHS } from '../mlkem768x25519.ts';

/** What @types/node for our oldest Node does not know. */
interface Encapsulation {
  encapsulate?(key: crypto.KeyObject): { sharedKey: Uint8Array; ciphertext: Uint8Array };
  decapsulate?(key: crypto.KeyObject, ciphertext: Uint8Array): Uint8Array;
}
const { encapsulate, decapsulate } = crypto as Encapsulation;

/** DER up to the key: SubjectPublicKeyInfo and PrivateKeyInfo with a seed (RFC 9935 §4, §6). */
const ALGORITHM = [0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 4, 2];
const SPKI = Uint8Array.of(0x30, 0x82, 0x04, 0xb2, ...ALGORITHM, 3, 0x82, 0x04, 0xa1, 0);
const PKCS8 = Uint8Array.of(0x30, 0x54, 2, 1, 0, ...ALGORITHM, 4, 0x42, 0x80, 0x40);

/** @throws Error where the runtime has none. */
export function nodeMlkem768(): Kem {
  if (encapsulate === undefined || decapsulate === undefined) throw new Error('no encapsulation in this runtime');
  return {
    ...MLKEM768_LENGTHS,
    generate(random) {
      const seed = random(new Uint8Array(MLKEM_SEED_LENGTH));
      const privateKey = crypto.createPrivateKey({
        key: Buffer.from(concat(PKCS8, seed)),
        format: 'der',
        type: 'pkcs8',
      });
      const spki = crypto.createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
      return {
        publicKey: new Uint8Array(spki.subarray(SPKI.length)),
        decapsulate: ciphertext => decapsulate(privateKey, ciphertext),
      };
    },
    encapsulate(publicKey) {
      let key: crypto.KeyObject;
      try {
        key = crypto.createPublicKey({ key: Buffer.from(concat(SPKI, publicKey)), format: 'der', type: 'spki' });
      } catch {
        // OpenSSL makes the modulus check of FIPS 203 §7.2 when it reads the key.
        throw badPublicKey();
      }
      const { ciphertext, sharedKey } = encapsulate(key);
      return { ciphertext, secret: sharedKey };
    },
  };
}
