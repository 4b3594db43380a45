// What the tests of src/crypto share: both providers, hexadecimal, packets sealed and opened, and Wycheproof's files where they are.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { noble } from '../../../src/crypto/noble.ts';
import {
  byName,
  type CipherAlgorithm,
  type CryptoProvider,
  type MacAlgorithm,
  type Opener,
  type Random,
  type Sealer,
  type SignatureAlgorithm,
} from '../../../src/crypto/provider.ts';
import { type DisconnectReason, ProtocolError } from '../../../src/protocol/errors.ts';
import { Packet } from '../../../src/protocol/wire/packet.ts';
import { concat } from '../../../src/protocol/wire/reader.ts';

export const providers: readonly CryptoProvider[] = [noble, accelerated];

/** The signature algorithms that a provider implements by itself; the others are made of them. */
export const implemented = ({ signatures }: CryptoProvider): SignatureAlgorithm[] =>
  signatures.filter(({ plain, presence }) => plain === undefined && presence === undefined);

export const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s+/g, ''), 'hex'));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Compares byte arrays by content, whatever their class. */
export const same = (actual: Uint8Array, expected: Uint8Array, message?: string): void => {
  if (Buffer.compare(actual, expected) !== 0) assert.is(toHex(actual), toHex(expected), message);
};

/** Bytes that differ from place to place and from seed to seed. */
export const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + 1, 2654435761) ^ Math.imul(seed, 40503 + i)) >>> 13);

/** "Randomness" that gives the same bytes at each draw, as many as are asked for. */
export const fixed =
  (value: Uint8Array): Random =>
  into => {
    into.set(value.subarray(0, into.length));
    return into;
  };

/** A cipher and, where it needs one, a MAC: every suite that can be negotiated. */
export interface Suite {
  readonly cipher: string;
  readonly mac: string | undefined;
}

export const suites: readonly Suite[] = noble.ciphers.flatMap(({ name, aead }): Suite[] =>
  aead ? [{ cipher: name, mac: undefined }] : noble.macs.map(mac => ({ cipher: name, mac: mac.name })),
);

interface Keys {
  cipher: CipherAlgorithm;
  mac: MacAlgorithm | undefined;
  key: Uint8Array;
  iv: Uint8Array;
  macKey: Uint8Array | undefined;
}

function keys(provider: CryptoProvider, suite: Suite, seed: number): Keys {
  const cipher = byName(provider.ciphers, suite.cipher)!;
  const mac = suite.mac === undefined ? undefined : byName(provider.macs, suite.mac)!;
  return {
    cipher,
    mac,
    key: bytes(cipher.keyLength, seed),
    iv: bytes(cipher.ivLength, seed + 1),
    macKey: mac && bytes(mac.keyLength, seed + 2),
  };
}

/** The same `seed` gives an opener and a sealer that belong together. */
export function sealerOf(provider: CryptoProvider, suite: Suite, seed = 1, iv?: Uint8Array): Sealer {
  const { cipher, mac, key, iv: own, macKey } = keys(provider, suite, seed);
  return cipher.sealer(key, iv ?? own, provider.random, mac, macKey);
}

export function openerOf(provider: CryptoProvider, suite: Suite, seed = 1, iv?: Uint8Array): Opener {
  const { cipher, mac, key, iv: own, macKey } = keys(provider, suite, seed);
  return cipher.opener(key, iv ?? own, mac, macKey);
}

/** The frame a sealer makes of a packet, as a copy: what is on the wire. */
export function frameOf(sealer: Sealer, packet: Packet, sequence: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  sealer.seal(packet, sequence, chunks);
  return concat(...chunks);
}

export const sealed = (sealer: Sealer, payload: Uint8Array, sequence: number): Uint8Array =>
  frameOf(sealer, Packet.from(payload), sequence);

/** Opens one frame, as FrameReader does: first its length, then the whole. */
export function opened(opener: Opener, frame: Uint8Array, sequence: number): Packet {
  assert.is(opener.frameLength(frame, 0, sequence), frame.length, 'frame length');
  return opener.open(frame, 0, frame.length, sequence);
}

export function refuses(body: () => unknown, reason: DisconnectReason | readonly DisconnectReason[], what = ''): void {
  try {
    body();
  } catch (error) {
    assert.instance(error, ProtocolError, `${what}: ${error}`);
    const reasons = typeof reason === 'number' ? [reason] : reason;
    assert.ok(reasons.includes((error as ProtocolError).reason), `${what}: reason ${(error as ProtocolError).reason}`);
    return;
  }
  assert.unreachable(`${what}: was not refused`);
}

// biome-ignore lint/suspicious/noExplicitAny: the files' own shapes, told apart by each test
export type Wycheproof = any;

/** A file of Wycheproof vectors; they lie beside the repository, not in it. Undefined where they are absent. */
export function wycheproof(name: string): Wycheproof | undefined {
  const path = join(import.meta.dirname, '../../../../shared/vectors/wycheproof', `${name}_test.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}
