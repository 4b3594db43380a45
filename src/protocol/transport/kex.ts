// The key exchange as a coroutine that reads like the RFC (RFC 4253 §7–9): each `yield` names the one message that may come next.
import { byName, type CryptoProvider, type KexAlgorithm, type PrivateKey } from '../../crypto/provider.ts';
import { Disconnect, ProtocolError } from '../errors.ts';
import { KEX_ECDH_INIT, KEX_ECDH_REPLY } from '../messages.ts';
import { decode, encode } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { Reader } from '../wire/reader.ts';
import { exchangeHash, type Transcript } from './keys.ts';
import type { Negotiated } from './negotiate.ts';

/** Yielded instead of a message number: the coroutine waits for the user's word on this host key. */
export interface HostKeyQuestion {
  /** The name under which the server has signed; the signature is verified already. */
  readonly algorithm: string;
  /** Public key blob (RFC 4253 §6.6), in its canonical form. */
  readonly hostKey: Uint8Array;
}

/** Yielded before the server's half of an exchange that costs much is computed: the coroutine waits until it may (`KexAlgorithm.work`). */
export interface Costly {
  readonly work: number;
}

/** What the exchange yields: the number of the only message allowed next, or a question. What it is sent: the packet, or the answer. */
export type Awaits = number | HostKeyQuestion | Costly;
export type Kex<T> = Generator<Awaits, T, Packet | boolean>;

export interface KexResult {
  algorithm: KexAlgorithm;
  /** The server's key, as a blob, as it was sent. */
  hostKey: Uint8Array;
  /** The exchange hash H. */
  hash: Uint8Array;
  /** K as encoded by the method. */
  secret: Uint8Array;
}

interface KexContext {
  provider: CryptoProvider;
  negotiated: Negotiated;
  transcript: Transcript;
  send(packet: Packet): void;
}

/** The server's half: takes INIT, signs H, sends REPLY. */
export function* serverExchange(context: KexContext, hostKeys: readonly PrivateKey[]): Kex<KexResult> {
  const { provider, negotiated, transcript, send } = context;
  const algorithm = byName(provider.kex, negotiated.kex)!;
  const signer = byName(provider.signatures, negotiated.hostKey)!;
  const key = hostKeys.find(candidate => candidate.type === signer.keyType)!;

  let { init } = decode(KEX_ECDH_INIT, (yield KEX_ECDH_INIT.number) as Packet);
  if (algorithm.work !== undefined) {
    // A copy: by then this packet's memory may have been reused.
    init = init.slice();
    yield { work: algorithm.work };
  }
  const { reply, secret } = algorithm.respond(init, provider.random);
  const hash = exchangeHash(algorithm, transcript, key.blob, init, reply, secret);
  const signature = signer.sign(key, hash, provider.random);
  send(encode(KEX_ECDH_REPLY, { hostKey: key.blob, reply, signature }));
  return { algorithm, hostKey: key.blob, hash, secret };
}

/** The client's half: sends INIT, takes REPLY, verifies the signature, then asks whether it is the right host's key. */
export function* clientExchange(context: KexContext): Kex<KexResult> {
  const { provider, negotiated, transcript, send } = context;
  const algorithm = byName(provider.kex, negotiated.kex)!;
  const verifier = byName(provider.signatures, negotiated.hostKey)!;

  const initiator = algorithm.initiate(provider.random);
  send(encode(KEX_ECDH_INIT, { init: initiator.init }));
  const message = decode(KEX_ECDH_REPLY, (yield KEX_ECDH_REPLY.number) as Packet);
  // Copies: the answer to the question below may come after this packet's memory has been reused.
  const hostKey = message.hostKey.slice();
  const reply = message.reply.slice();
  const signature = message.signature.slice();

  const secret = initiator.finish(reply);
  const hash = exchangeHash(algorithm, transcript, hostKey, initiator.init, reply, secret);
  // The hash has it as it was sent; who compares keys gets the one form that each has.
  const key = verifier.canonical?.(hostKey) ?? hostKey;
  // Authentication: whoever cannot sign is not the host.
  if (new Reader(key).name() !== verifier.keyType || !verifier.verify(key, hash, signature)) {
    throw new ProtocolError("the server's signature over the key exchange is wrong", Disconnect.KEY_EXCHANGE_FAILED);
  }
  if ((yield { algorithm: verifier.name, hostKey: key }) !== true) {
    throw new ProtocolError('the host key was not accepted', Disconnect.HOST_KEY_NOT_VERIFIABLE);
  }
  return { algorithm, hostKey, hash, secret };
}
