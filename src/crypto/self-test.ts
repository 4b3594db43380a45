// Known-answer tests that an implementation of the runtime has to pass before it is used; each throws if it does not.
// Lists of algorithms have lied (Bun, Deno), so what counts is whether the bytes are right, in both directions, and a wrong tag is refused.
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { Packet } from '../protocol/wire/packet.ts';
import { concat, encodeUtf8, equalBytes, Writer } from '../protocol/wire/reader.ts';
import { curve25519, signedData as data, type Exchange, ecdhP256, signed } from './known-answers.ts';
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

const exchanges: Readonly<Record<string, Exchange>> = {
  'curve25519-sha256': curve25519,
  'curve25519-sha256@libssh.org': curve25519,
  'ecdh-sha2-nistp256': ecdhP256,
};

/** Checks a key exchange by the vectors for its curve. @throws if there are none: what is not tested is not used. */
export function checkKex(native: KexAlgorithm, portable: KexAlgorithm): void {
  const exchange = exchanges[native.name];
  if (exchange === undefined) throw new Error(`no known answers for ${native.name}`);
  checkHash(native.hash, portable.hash);
  const { secrets, publics, bad } = exchange;
  const shared = new Writer().mpint(exchange.shared).finish();
  const initiator = native.initiate(fixed(secrets[0]));
  expect(equalBytes(initiator.init, publics[0]) && equalBytes(initiator.finish(publics[1]), shared));
  const { reply, secret } = native.respond(publics[0], fixed(secrets[1]));
  expect(equalBytes(reply, publics[1]) && equalBytes(secret, shared));
  for (const point of bad) expect(isRefused(() => initiator.finish(point), Disconnect.KEY_EXCHANGE_FAILED));
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

/** With one bit of the last byte changed; not the lowest, so that an odd number stays odd. */
function flipped(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  changed[changed.length - 1] ^= 2;
  return changed;
}
