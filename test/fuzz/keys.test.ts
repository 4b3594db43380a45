// Damaged key files: a key or a KeyFormatError, and nothing else, from every parser. The unit tests of each parser damage in more particular ways.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  parseAuthorizedKeys,
  parsePrivateKey,
  parsePublicKey,
  parsePublicKeyBlob,
} from '../../src/crypto/keys/index.ts';
import { KeyFormatError } from '../../src/protocol/errors.ts';
import { writeUint32 } from '../../src/protocol/wire/packet.ts';
import { seeded } from '../kit/insecure.ts';

const folder = join(import.meta.dirname, '../../test-vectors/keys');
/** Whole files, those that bcrypt makes slow left out: its rounds are tested elsewhere. */
const files = readdirSync(folder, { withFileTypes: true })
  .filter(entry => entry.isFile())
  .map(({ name }) => readFileSync(join(folder, name), 'utf8'))
  .filter(text => text.length < 20_000);
const PIECES = [
  '"',
  ',',
  ' ',
  '\n',
  '\r',
  '=',
  '\0',
  '\u2028',
  '\ud800',
  'AAAA',
  '-----',
  'ssh-rsa ',
  'command="',
  '====',
  '😀',
];
const NUMBERS = [0, 1, 4, 255, 65536, 0x7fffffff, 0x80000000, 0xffffffff];

/** Damages the text, or the bytes inside its base64 where it has some. */
function damage(text: string, { below }: ReturnType<typeof seeded>): string {
  const inner = /[A-Za-z0-9+/=\n]{60,}/.exec(text);
  if (inner && below(2) === 0) {
    const bytes = Uint8Array.from(Buffer.from(inner[0], 'base64'));
    for (let n = 1 + below(3); n > 0; n--) {
      const at = below(bytes.length - 4);
      if (below(2) === 0) writeUint32(bytes, at, NUMBERS[below(NUMBERS.length)]);
      else bytes[at] ^= 1 << below(8);
    }
    const most = below(4) === 0 ? below(bytes.length) : bytes.length;
    const coded = Buffer.from(bytes.subarray(0, most)).toString('base64');
    const lines = inner[0].includes('\n') ? `\n${coded.replace(/.{70}/g, '$&\n')}\n` : coded;
    return text.slice(0, inner.index) + lines + text.slice(inner.index + inner[0].length);
  }
  for (let n = 1 + below(4); n > 0; n--) {
    const at = below(text.length + 1);
    const piece = below(4) === 0 ? String.fromCharCode(below(0x10000)) : PIECES[below(PIECES.length)];
    text = text.slice(0, at) + piece + text.slice(at + below(below(8) === 0 ? 200 : 3));
  }
  return text;
}

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 6000 }, (_, i) => i);
const parsers: [string, (text: string) => unknown][] = [
  ['parsePrivateKey', text => parsePrivateKey(text)],
  ['parsePublicKey', parsePublicKey],
  ['parseAuthorizedKeys', parseAuthorizedKeys],
  [
    'parsePublicKeyBlob',
    text => parsePublicKeyBlob(Uint8Array.from(Buffer.from(text.split(' ')[1] ?? text, 'base64'))),
  ],
];

for (const [name, parse] of parsers) {
  test(`${name}: a key or a KeyFormatError`, () => {
    for (const seed of seeds) {
      const dice = seeded(seed);
      const text = damage(files[dice.below(files.length)], dice);
      try {
        parse(text);
      } catch (error) {
        assert.instance(error, KeyFormatError, `SEED=${seed}: ${(error as Error).stack}\n${JSON.stringify(text)}`);
        assert.not.match((error as Error).message, /[\p{Cc}\p{Zl}\p{Zp}]/u, `SEED=${seed}`);
      }
    }
  });
}

test.run();
