// bcrypt_pbkdf and the Blowfish under it. The known answers are files that ssh-keygen wrote (private-key.test.ts too).
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bcryptPbkdf } from '../../../src/crypto/keys/bcrypt-pbkdf.ts';
import { blowfish, encrypt, expandKey } from '../../../src/crypto/keys/blowfish.ts';

test('the initial state is pi: first and last words as printed in the paper, and a checksum over all', () => {
  const { p, s } = blowfish();
  assert.is(p.length + s.length, 1042);
  assert.equal(
    [p[0], p[1], p[17], s[0], s[1023]],
    [0x243f6a88, 0x85a308d3, 0x8979fb1b, 0xd1310ba6, 0x3ac372e6].map(w => w | 0),
  );
  const bytes = new Uint8Array(1042 * 4);
  const view = new DataView(bytes.buffer);
  [...p, ...s].forEach((word, i) => {
    view.setInt32(i * 4, word);
  });
  const sum = createHash('sha256').update(bytes).digest('hex');
  assert.is(sum, 'b5643208907b11b20e499a42187dc921f9579d28dadfccbe69a5ce232a55952f');
});

test('two ciphers do not share their state', () => {
  const one = blowfish();
  expandKey(one, new Int32Array(16).fill(7));
  assert.is(blowfish().p[0], 0x243f6a88);
});

test('Blowfish by itself: known answers of Schneier’s test vectors', () => {
  // Keys of 8 bytes, repeated to 16 words: the key schedule is cyclic.
  for (const [key, clear, sealed] of [
    [
      [0, 0],
      [0, 0],
      [0x4ef99745, 0x6198dd78],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x51866fd5, 0xb85ecb8a],
    ],
    [
      [0x01234567, 0x89abcdef],
      [0x11111111, 0x11111111],
      [0x61f9c380, 0x2281b096],
    ],
    [
      [0xfedcba98, 0x76543210],
      [0x01234567, 0x89abcdef],
      [0x0aceab0f, 0xc6a0a28d],
    ],
  ]) {
    const cipher = blowfish();
    expandKey(
      cipher,
      Int32Array.from({ length: 16 }, (_, i) => key[i & 1] | 0),
    );
    const block = Int32Array.from(clear, word => word | 0);
    encrypt(cipher, block, 0);
    assert.equal(
      [...block].map(word => word >>> 0),
      sealed,
    );
  }
});

test('bcrypt_pbkdf: known answers, lengths below, at and above one block', () => {
  const text = (value: string) => new TextEncoder().encode(value);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  for (const [rounds, passphrase, salt, answer] of KNOWN)
    assert.is(hex(bcryptPbkdf(text(passphrase), text(salt), rounds, answer.length / 2)), answer);
});

/** Made with the `kdf` function of the Python package bcrypt 5.0.0; the second is OpenBSD's own test vector. */
const KNOWN: readonly [number, string, string, string][] = [
  [1, 'password', 'salt', '7af41469e52860da49debfaa6a4e12a2'],
  [4, 'password', 'salt', '5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9'],
  [2, 'p', 's', '1175d3a076cf74873d0df8c77694001f1cdbbd8481d8dbc9923466c09aafec'],
  [
    3,
    'pässwörd',
    '0123456789abcdef',
    '97ceb07b5d4ea05a3ae7cc27b19f5421a01b3aff1973b062186c8c29980a461ce19f1ac2db9da409390b862f71ebe4ca',
  ],
  [16, 'correct horse', 'salt', 'db0f6773b03aea40b3fadc147ae7564a82e733d9f441e86829c7d537e66e2daec2'],
  [
    5,
    'a'.repeat(200),
    'x'.repeat(40),
    '61c3c852d08622b39c072c9b01db028cee748e9bd0145964a95861fce9a536b27231a10fc5593120c7c8b3f742ab4fbe5308a3bc3beb13a6d4185ea4b20aa3c05fda97b0d84bf2493d9c00affb288bd560f5a23536101c148fff372ed9eade8877e2bd6c',
  ],
];

test.run();
