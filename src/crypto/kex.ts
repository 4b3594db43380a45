// Key exchanges of the form "one ephemeral key each" (RFC 5656 §4, RFC 8731 §3): what all curves share.
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { Writer } from '../protocol/wire/reader.ts';
import type { KexAlgorithm, Random } from './provider.ts';

/** One ephemeral key pair. */
export interface Ephemeral {
  /** As it goes over the wire. */
  readonly publicKey: Uint8Array;
  /** The shared secret's magnitude, most significant byte first. @throws ProtocolError if `peer` is not a point to agree with. */
  agree(peer: Uint8Array): Uint8Array;
}

export const ephemeralKex = (
  name: string,
  hash: (data: Uint8Array) => Uint8Array,
  generate: (random: Random) => Ephemeral,
): KexAlgorithm => ({
  name,
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

/** What a peer is told whose public key is not acceptable. */
export const badPublicKey = (): ProtocolError =>
  new ProtocolError('the key exchange has an invalid public key', Disconnect.KEY_EXCHANGE_FAILED);

const mpint = (magnitude: Uint8Array): Uint8Array => new Writer(magnitude.length + 5).mpint(magnitude).finish();
