// Base64 that is strict (RFC 4648 §3.2, §3.3, §3.5), compared with Buffer's.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeBase64, encodeBase64 } from '../../../src/crypto/keys/base64.ts';
import { refuses, seededRandom } from './files.ts';

test('every length from 0 to 100 agrees with Buffer, there and back', () => {
  const random = seededRandom(1);
  for (let length = 0; length <= 100; length++) {
    const bytes = random(new Uint8Array(length));
    const text = encodeBase64(bytes);
    assert.is(text, Buffer.from(bytes).toString('base64'));
    assert.equal(decodeBase64(text), bytes);
  }
});

test('foreign characters are refused wherever they stand', () => {
  for (const character of ['-', '_', ' ', '\n', '\0', '=', '\u00e9', '\u2603', '.'])
    for (let at = 0; at < 6; at++)
      refuses(() => decodeBase64(`${'AAAAAAAA'.slice(0, at)}${character}${'AAAAAAAA'.slice(at + 1)}`), /not base64/);
});

test('missing and superfluous padding is refused', () => {
  for (const text of ['A', 'AA', 'AAA', 'AAAAA', 'AA=', 'AAA==', 'AAAA=']) refuses(() => decodeBase64(text), /padded/);
  for (const text of ['A===', '====', 'AAAA====', 'AA==AAAA']) refuses(() => decodeBase64(text), /not base64/);
});

test('unused bits must be zero, so that one key has one text', () => {
  assert.equal(decodeBase64('AQ=='), Uint8Array.of(1));
  refuses(() => decodeBase64('AR=='), /bits/);
  refuses(() => decodeBase64('AQF='), /bits/);
});

test.run();
