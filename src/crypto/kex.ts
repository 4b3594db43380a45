// What key exchanges share: those of the form "one ephemeral key each" (RFC 5656 §4, RFC 8731 §3, RFC 8268) and hybrids of such a
// one with a key encapsulation mechanism (draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh).
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { concat, Writer } from '../protocol/wire/reader.ts';
import type { KexAlgorithm, Random } from './provider.ts';

/** One ephemeral key pair. */
export interface Ephemeral {
  /** As it goes over the wire: the content of the string or mpint. */
  readonly publicKey: Uint8Array;
  /** The shared secret's magnitude, most significant byte first. @throws ProtocolError if `peer` is not a key to agree with. */
  agree(peer: Uint8Array): Uint8Array;
}

export const ephemeralKex = (
  name: string,
  hash: (data: Uint8Array) => Uint8Array,
  generate: (random: Random) => Ephemeral,
  work?: number,
): KexAlgorithm => ({
  name,
  ...(work !== undefined && { work }),
  hash,
  initiate(random) {
    const own = generate(random);
    return { init: own.publicKey, finish: reply => mpint(own.agree(reply)) };
  },
  respond(init, random) {
    const own = generate(random);
    return { secret: mpint(own.agree(init)), reply: own.publicKey };
  },
});

/**
 * Both at once: C_INIT = KEM public key ‖ ephemeral key, S_REPLY = ciphertext ‖ ephemeral key, and K is the hash of both
 * secrets, as a *string*. Whoever wants K has to break both.
 */
export const hybridKex = (
  name: string,
  hash: (data: Uint8Array) => Uint8Array,
  kem: Kem,
  generate: (random: Random) => Ephemeral,
): KexAlgorithm => {
  /** Lengths are exact: what is left for the ephemeral key, `agree` checks. */
  const split = (message: Uint8Array, length: number): [Uint8Array, Uint8Array] => {
    if (message.length <= length) throw badPublicKey();
    return [message.subarray(0, length), message.subarray(length)];
  };
  const combine = (postQuantum: Uint8Array, classical: Uint8Array): Uint8Array => {
    const secret = hash(concat(postQuantum, classical));
    return new Writer(secret.length + 4).string(secret).finish();
  };
  return {
    name,
    hash,
    initiate(random) {
      const key = kem.generate(random);
      const own = generate(random);
      return {
        init: concat(key.publicKey, own.publicKey),
        finish(reply) {
          const [ciphertext, peer] = split(reply, kem.ciphertextLength);
          const classical = own.agree(peer);
          return combine(key.decapsulate(ciphertext), classical);
        },
      };
    },
    respond(init, random) {
      const [publicKey, peer] = split(init, kem.publicKeyLength);
      const { ciphertext, secret } = kem.encapsulate(publicKey, random);
      const own = generate(random);
      return { reply: concat(ciphertext, own.publicKey), secret: combine(secret, own.agree(peer)) };
    },
  };
};

/** A key encapsulation mechanism, used once with each key pair. */
export interface Kem {
  /** Lengths in bytes. */
  readonly publicKeyLength: number;
  readonly ciphertextLength: number;
  /** A key pair. `decapsulate` takes a ciphertext of the right length, and gives a secret whatever it holds. */
  generate(random: Random): { publicKey: Uint8Array; decapsulate(ciphertext: Uint8Array): Uint8Array };
  /** A secret and its ciphertext for a public key of the right length. @throws ProtocolError if the key is not acceptable. */
  encapsulate(publicKey: Uint8Array, random: Random): { ciphertext: Uint8Array; secret: Uint8Array };
}

/** What a peer is told whose public key is not acceptable. Authentication: with any other one the secret would be none, or not there at all. */
export const badPublicKey = (): ProtocolError =>
  new ProtocolError('the key exchange has an invalid public key', Disconnect.KEY_EXCHANGE_FAILED);

const mpint = (magnitude: Uint8Array): Uint8Array => new Writer(magnitude.length + 5).mpint(magnitude).finish();
