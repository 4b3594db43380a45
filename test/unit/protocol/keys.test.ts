// Exchange hash and key derivation (RFC 4253 §7.2 and §8), against a derivation written anew with the runtime's hashes.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noble } from '../../../src/crypto/noble.ts';
import type { KexAlgorithm } from '../../../src/crypto/provider.ts';
import { deriveKey, exchangeHash } from '../../../src/protocol/transport/keys.ts';
import { concat, Writer } from '../../../src/protocol/wire/reader.ts';

const letters = ['A', 'B', 'C', 'D', 'E', 'F'] as const;
const secret = new Writer().mpint(new Uint8Array(32).fill(0x9a)).finish();
const hash = new Uint8Array(32).fill(3);
const sessionId = new Uint8Array(32).fill(4);

/** Only the hash of a method matters here. */
const withHash = (name: string): KexAlgorithm => ({
  ...noble.kex[0],
  hash: data => new Uint8Array(createHash(name).update(data).digest()),
});

/** K1 ‖ K2 ‖ K3 ‖ …, as the RFC writes it. */
function naive(name: string, letter: string, length: number): Uint8Array {
  const sha = (...parts: Uint8Array[]) =>
    new Uint8Array(
      createHash(name)
        .update(concat(...parts))
        .digest(),
    );
  const parts = [sha(secret, hash, Buffer.from(letter), sessionId)];
  while (concat(...parts).length < length) parts.push(sha(secret, hash, ...parts));
  return concat(...parts).slice(0, length);
}

for (const name of ['sha256', 'sha384', 'sha512', 'sha1']) {
  test(`RFC 4253 §7.2: keys of every length with ${name}, up to several hashes long`, () => {
    const kex = withHash(name);
    const size = createHash(name).digest().length;
    for (const letter of letters) {
      for (const length of [
        0,
        1,
        12,
        16,
        31,
        size - 1,
        size,
        size + 1,
        64,
        2 * size,
        2 * size + 1,
        3 * size + 5,
        300,
      ]) {
        const key = deriveKey(kex, secret, hash, letter, sessionId, length);
        assert.is(key.length, length);
        assert.equal(key, naive(name, letter, length), `${letter}, ${length} bytes`);
      }
    }
  });
}

test('RFC 4253 §7.2: each letter, secret, hash and session id gives other keys', () => {
  const kex = withHash('sha256');
  const other = new Uint8Array(32).fill(5);
  const keys = [
    ...letters.map(letter => deriveKey(kex, secret, hash, letter, sessionId, 32)),
    deriveKey(kex, new Writer().mpint(other).finish(), hash, 'A', sessionId, 32),
    deriveKey(kex, secret, other, 'A', sessionId, 32),
    deriveKey(kex, secret, hash, 'A', other, 32),
  ];
  assert.is(new Set(keys.map(key => Buffer.from(key).toString('hex'))).size, keys.length);
});

test('a derived key is memory of its own', () => {
  const kex = withHash('sha256');
  const one = deriveKey(kex, secret, hash, 'A', sessionId, 16);
  assert.is(one.buffer.byteLength, 16);
});

test('RFC 5656 §4: the exchange hash covers both lines, both KEXINITs, host key, both public keys and K, each with its length', () => {
  const transcript = {
    clientIdent: 'SSH-2.0-c',
    serverIdent: 'SSH-2.0-s with comments',
    clientInit: Uint8Array.of(20, 1),
    serverInit: Uint8Array.of(20, 2, 3),
  };
  const field = (bytes: Uint8Array | string) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, Buffer.from(bytes as Uint8Array)]);
  };
  const parts: [string, Uint8Array][] = [
    ['hostKey', Uint8Array.of(1, 2, 3)],
    ['init', Uint8Array.of(4)],
    ['reply', Uint8Array.of(5, 6)],
  ];
  const expected = createHash('sha256');
  for (const part of [...Object.values(transcript), ...parts.map(([, bytes]) => bytes)]) expected.update(field(part));
  expected.update(secret);
  const [hostKey, init, reply] = parts.map(([, bytes]) => bytes);
  assert.equal(
    exchangeHash(withHash('sha256'), transcript, hostKey, init, reply, secret),
    new Uint8Array(expected.digest()),
  );
});

test.run();
