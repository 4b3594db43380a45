// Exchange hash and key derivation (RFC 4253 §7.2 and §8, RFC 5656 §4).
import type { KexAlgorithm } from '../../crypto/provider.ts';
import { Writer } from '../wire/reader.ts';

/** What both sides have seen of each other before the exchange: identification lines (without CR LF) and KEXINIT payloads. */
export interface Transcript {
  clientIdent: string | Uint8Array;
  serverIdent: string | Uint8Array;
  clientInit: Uint8Array;
  serverInit: Uint8Array;
}

/** H. `secret` is K as encoded by the method: an mpint, or a string for the post-quantum hybrids. */
export function exchangeHash(
  kex: KexAlgorithm,
  transcript: Transcript,
  hostKey: Uint8Array,
  init: Uint8Array,
  reply: Uint8Array,
  secret: Uint8Array,
): Uint8Array {
  return kex.hash(
    new Writer(4096)
      .string(transcript.clientIdent)
      .string(transcript.serverIdent)
      .string(transcript.clientInit)
      .string(transcript.serverInit)
      .string(hostKey)
      .string(init)
      .string(reply)
      .raw(secret)
      .finish(),
  );
}

/**
 * `length` bytes of key material: HASH(K ‖ H ‖ letter ‖ session_id), extended by HASH(K ‖ H ‖ so far).
 * Letters: A, B are the IVs client→server and back, C, D the encryption keys, E, F the integrity keys.
 */
export function deriveKey(
  kex: KexAlgorithm,
  secret: Uint8Array,
  hash: Uint8Array,
  letter: 'A' | 'B' | 'C' | 'D' | 'E' | 'F',
  sessionId: Uint8Array,
  length: number,
): Uint8Array {
  const key = new Writer(128);
  let part = kex.hash(new Writer(256).raw(secret).raw(hash).byte(letter.charCodeAt(0)).raw(sessionId).finish());
  while (key.length + part.length < length) {
    key.raw(part);
    part = kex.hash(new Writer(256).raw(secret).raw(hash).raw(key.finish()).finish());
  }
  return key.raw(part).finish().slice(0, length);
}
