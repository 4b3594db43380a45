// Known-answer tests that an implementation of the runtime has to pass before it is used; each throws if it does not.
// Lists of algorithms have lied (Bun, Deno), so what counts is whether the bytes are right, in both directions, and a wrong tag is refused.
import { sha256 } from '@noble/hashes/sha2.js';
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { Packet } from '../protocol/wire/packet.ts';
import { concat, encodeUtf8, equalBytes, Writer } from '../protocol/wire/reader.ts';
import type { Kem } from './kex.ts';
import {
  signedData as data,
  type Exchange,
  exchanges,
  notReduced,
  signed,
  type Transcript,
  transcripts,
} from './known-answers.ts';
import type { CipherAlgorithm, KexAlgorithm, MacAlgorithm, Random, SignatureAlgorithm } from './provider.ts';

/** Payload lengths: around a block, small, and beyond every threshold at which an implementation changes its ways. */
const SIZES = [1, 11, 12, 27, 28, 100, 600, 2500];

/** Compares a cipher with the portable one. `macs` are portable, one of each kind, for a cipher that needs them. */
export function checkCipher(native: CipherAlgorithm, portable: CipherAlgorithm, macs: readonly MacAlgorithm[]): void {
  for (const mac of portable.aead ? [undefined] : macs) {
    const key = pattern(portable.keyLength, 1);
    // All ones at the end: the counter carries with the second packet.
    const iv = pattern(portable.ivLength, 2).fill(0xff, 4);
    const macKey = mac && pattern(mac.keyLength, 3);
    const sealers = [native, portable].map(cipher => cipher.sealer(key, iv, counting(), mac, macKey));
    const opener = native.opener(key, iv, mac, macKey);
    let sequence = 0xfffffffe;
    for (const size of SIZES) {
      const payload = pattern(size, size);
      const [ours, theirs] = sealers.map(sealer => {
        const chunks: Uint8Array[] = [];
        sealer.seal(Packet.from(payload), sequence, chunks);
        return concat(...chunks);
      });
      expect(equalBytes(ours, theirs));
      expect(opener.frameLength(theirs, 0, sequence) === theirs.length);
      expect(equalBytes(opener.open(theirs, 0, theirs.length, sequence).payload, payload));
      sequence = (sequence + 1) >>> 0;
    }
    for (const size of SIZES) {
      for (const where of [5, -1]) {
        const chunks: Uint8Array[] = [];
        portable.sealer(key, iv, counting(), mac, macKey).seal(Packet.from(pattern(size, 9)), 7, chunks);
        const frame = concat(...chunks);
        const strict = native.opener(key, iv, mac, macKey);
        strict.frameLength(frame, 0, 7);
        frame[where < 0 ? frame.length + where : where] ^= 1;
        expect(isRefused(() => strict.open(frame, 0, frame.length, 7), Disconnect.MAC_ERROR));
      }
    }
  }
}

/** Compares a MAC with the portable one. */
export function checkMac(native: MacAlgorithm, portable: MacAlgorithm): void {
  const macs = [native, portable].map(algorithm => algorithm.create(pattern(algorithm.keyLength, 4)));
  const bytes = pattern(300, 5);
  for (const end of [3, 4, 66, 67, 130, 131, 300]) {
    const [ours, theirs] = macs.map(mac => mac.compute(0x80000000 + end, bytes, 3, end));
    expect(ours.length === native.tagLength && equalBytes(ours, theirs));
  }
}

/** SHA-2 of "abc" and of a text of several blocks. */
export function checkHash(native: (data: Uint8Array) => Uint8Array, portable: (data: Uint8Array) => Uint8Array): void {
  for (const data of [encodeUtf8('abc'), pattern(1000, 6)]) expect(equalBytes(native(data), portable(data)));
}

/** Checks a key exchange. @throws if there are no known answers: what is not tested is not used. */
export function checkKex(native: KexAlgorithm, portable: KexAlgorithm): void {
  checkHash(native.hash, portable.hash);
  const exchange = exchanges[native.name];
  const transcript = transcripts[native.name];
  if (exchange !== undefined) checkExchange(native, exchange);
  else if (transcript !== undefined) checkTranscript(native, transcript());
  else throw new Error(`no known answers for ${native.name}`);
}

/** By the vectors for its curve. */
function checkExchange(native: KexAlgorithm, { secrets, publics, shared, bad }: Exchange): void {
  const encoded = new Writer().mpint(shared).finish();
  const initiator = native.initiate(fixed(secrets[0]));
  expect(equalBytes(initiator.init, publics[0]) && equalBytes(initiator.finish(publics[1]), encoded));
  const { reply, secret } = native.respond(publics[0], fixed(secrets[1]));
  expect(equalBytes(reply, publics[1]) && equalBytes(secret, encoded));
  for (const point of bad) expect(isRefused(() => initiator.finish(point), Disconnect.KEY_EXCHANGE_FAILED));
}

/** By the hash of all that is said, and of K. */
function checkTranscript(native: KexAlgorithm, { digest, bad }: Transcript): void {
  const initiator = native.initiate(pseudo(1));
  const { reply, secret } = native.respond(initiator.init, pseudo(2));
  expect(equalBytes(initiator.finish(reply), secret));
  expect(equalBytes(sha256(concat(initiator.init, reply, secret)), digest));
  for (const value of bad) expect(isRefused(() => initiator.finish(value), Disconnect.KEY_EXCHANGE_FAILED));
}

/** Compares a key encapsulation mechanism with the portable one: keys from the same seed, both directions, and what is not honest. */
export function checkKem(native: Kem, portable: Kem): void {
  const [own, other] = [native, portable].map(kem => kem.generate(pseudo(5)));
  expect(equalBytes(own.publicKey, other.publicKey));
  for (const kem of [native, portable]) {
    const { ciphertext, secret } = kem.encapsulate(own.publicKey, pseudo(6));
    expect(equalBytes(own.decapsulate(ciphertext), secret) && equalBytes(other.decapsulate(ciphertext), secret));
    const changed = flipped(ciphertext);
    const rejected = own.decapsulate(changed);
    expect(equalBytes(rejected, other.decapsulate(changed)) && !equalBytes(rejected, secret));
  }
  const bad = notReduced(own.publicKey);
  expect(isRefused(() => native.encapsulate(bad, pseudo(7)), Disconnect.KEY_EXCHANGE_FAILED));
}

/** Signs and verifies, and refuses a changed signature, changed data and another key. */
export function checkSignature(native: SignatureAlgorithm): void {
  const make = signed[native.name];
  if (make === undefined) throw new Error(`no known answers for ${native.name}`);
  const { key, signature, deterministic } = make();
  expect(native.verify(key.blob, data, signature));
  const own = native.sign(key, data, counting());
  expect(deterministic ? equalBytes(own, signature) : native.verify(key.blob, data, own));
  expect(!native.verify(key.blob, encodeUtf8('cordboarD'), signature));
  for (const [blob, value] of [
    [key.blob, flipped(signature)],
    [flipped(key.blob), signature],
  ]) {
    expect(!native.verify(blob, data, value));
  }
}

function expect(right: boolean): void {
  if (!right) throw new Error('a known answer came out wrong');
}

function isRefused(body: () => unknown, reason: number): boolean {
  try {
    body();
  } catch (error) {
    return error instanceof ProtocolError && error.reason === reason;
  }
  return false;
}

const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 89 + (i >> 8)) & 0xff);

/** "Randomness" that both sides of a comparison draw alike. */
const counting = (): Random => into => into.fill(0x5a);

const fixed =
  (bytes: Uint8Array): Random =>
  into => {
    into.set(bytes);
    return into;
  };

/** "Randomness" that goes on. */
export function pseudo(seed: number): Random {
  let state = seed;
  return into => {
    for (let i = 0; i < into.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      into[i] = state >>> 24;
    }
    return into;
  };
}

/** With one bit of the last byte changed; not the lowest, so that an odd number stays odd. */
function flipped(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  changed[changed.length - 1] ^= 2;
  return changed;
}
