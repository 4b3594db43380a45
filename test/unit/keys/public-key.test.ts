// Public keys: blobs and lines of every type, fingerprints as ssh-keygen prints them, and what must be refused.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  describePublicKey,
  encodeBase64,
  fingerprint,
  formatPublicKey,
  keySize,
  keyTypeNames,
  parsePublicKey,
  parsePublicKeyBlob,
} from '../../../src/crypto/keys/index.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { needs } from '../../kit/tools.ts';
import { fixture, inDirectory, refuses } from './files.ts';

const good = ['ed25519', 'ed25519-nocomment', 'ecdsa256', 'rsa3072', 'ed25519-a1', 'ecdsa256-a16', 'rsa3072-a24'];
const listed = new Map(
  fixture('fingerprints')
    .trim()
    .split('\n')
    .map(line => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
);
const line = (type: string, blob: Uint8Array, comment = '') => `${type} ${encodeBase64(blob)} ${comment}`;

test('.pub files of ssh-keygen read and write back as they were', () => {
  for (const name of good) {
    const key = parsePublicKey(fixture(`${name}.pub`));
    // ssh-keygen leaves a blank where a comment would be.
    assert.is(formatPublicKey(key), fixture(`${name}.pub`).trimEnd());
    assert.equal(parsePublicKeyBlob(key.blob, key.comment), key);
  }
});

test('the listing is that of ssh-keygen -l', () => {
  for (const name of good) assert.is(describePublicKey(parsePublicKey(fixture(`${name}.pub`))), listed.get(name));
  const { blob } = parsePublicKey(fixture('rsa3072.pub'));
  assert.equal(keySize(blob), { bits: 3072, label: 'RSA' });
  assert.is(fingerprint(blob), listed.get('rsa3072')?.split(' ')[1]);
});

test('tabs, several blanks, CRLF and comments with blanks are read', () => {
  const { type, blob } = parsePublicKey(fixture('ed25519.pub'));
  const base64 = encodeBase64(blob);
  for (const text of [`${type} ${base64} a b`, `  ${type}\t\t${base64} \t a b \r\n`])
    assert.equal(parsePublicKey(text), { type, blob, comment: 'a b' });
  assert.is(parsePublicKey(`${type} ${base64}`).comment, '');
  assert.is(
    parsePublicKey(`${type} ${base64} \u043a\u043b\u044e\u0447 \u{1f511}`).comment,
    '\u043a\u043b\u044e\u0447 \u{1f511}',
  );
});

test('the blob is a copy, and leaves what it was read from alone', () => {
  const { blob } = parsePublicKey(fixture('ed25519.pub'));
  const key = parsePublicKeyBlob(blob);
  blob[20] ^= 1;
  assert.is(key.blob[20], blob[20] ^ 1);
});

test('a type we do not know is named', () => {
  refuses(() => parsePublicKey('ssh-dss AAAA'), /"ssh-dss" are not supported/);
  refuses(() => parsePublicKeyBlob(new Writer().string('ssh-xmss@openssh.com').finish()), /"ssh-xmss@openssh.com"/);
  refuses(() => parsePublicKey('constructor AAAA'), /"constructor"/);
  assert.equal(keyTypeNames, [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'sk-ssh-ed25519@openssh.com',
    'sk-ecdsa-sha2-nistp256@openssh.com',
    'ssh-rsa',
  ]);
});

test('the name before the key must be the name in the key', () => {
  const { blob } = parsePublicKey(fixture('ed25519.pub'));
  refuses(() => parsePublicKey(line('ssh-rsa', blob)), /says ssh-rsa, but the key in it is of type ssh-ed25519/);
});

test('lines that are no key', () => {
  const { blob } = parsePublicKey(fixture('ed25519.pub'));
  refuses(() => parsePublicKey(''), /empty/);
  refuses(() => parsePublicKey(' \t\n'), /empty/);
  refuses(() => parsePublicKey('ssh-ed25519'), /ends after its type/);
  refuses(() => parsePublicKey('ssh-ed25519 AAAA'), /damaged/);
  refuses(() => parsePublicKey(`ssh-ed25519 ${encodeBase64(blob).slice(0, -1)}`), /base64/);
  refuses(() => parsePublicKey(`ssh-ed25519 ${encodeBase64(blob)}AAAA`), /trailing/);
  refuses(() => parsePublicKey(`ssh-ed25519 ${'AAAA'.repeat(10_000)}`), /too long/);
  refuses(() => parsePublicKey(fixture('ed25519')), /private key/);
  refuses(() => parsePublicKey('-----BEGIN PUBLIC KEY-----\nAAAA\n'), /ssh-keygen -i/);
  refuses(() => parsePublicKey('---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n'), /ssh-keygen -i/);
  refuses(() => parsePublicKey('\u001b[2J AAAA'), /control character/);
});

test('a comment cannot smuggle a second line or a control character in', () => {
  const { type, blob } = parsePublicKey(fixture('ed25519.pub'));
  for (const [evil, what] of [
    ['\n', /line end/],
    ['\r', /line end/],
    ['\0', /NUL/],
    ['\u001b', /control/],
    ['\u0085', /control/],
    ['\u2028', /separator/],
    ['\ud800', /surrogate/],
  ] as const) {
    if (evil === '\n') refuses(() => parsePublicKey(line(type, blob, `a${evil}b`)), what);
    else assert.is(parsePublicKey(line(type, blob, `a${evil}b`)).comment, 'a\ufffdb');
    refuses(() => parsePublicKey(`${type}${evil} ${line(type, blob, '')}`), what);
    assert.is(formatPublicKey({ type, blob, comment: `a${evil}b` }), line(type, blob, 'a\ufffdb'));
  }
  assert.is(describePublicKey({ type, blob, comment: '\n' }), describePublicKey({ type, blob, comment: '\ufffd' }));
});

test('ssh-ed25519: 32 bytes, nothing else', () => {
  for (const length of [0, 31, 33])
    refuses(
      () => parsePublicKeyBlob(new Writer().string('ssh-ed25519').string(new Uint8Array(length)).finish()),
      /32 bytes/,
    );
});

test('ecdsa-sha2-nistp256: curve name, uncompressed form, a point of the curve', () => {
  const { blob } = parsePublicKey(fixture('ecdsa256.pub'));
  const point = blob.subarray(blob.length - 65);
  const made = (curve: string, bytes: Uint8Array) =>
    new Writer().string('ecdsa-sha2-nistp256').string(curve).string(bytes).finish();
  assert.equal(parsePublicKeyBlob(made('nistp256', point)).blob, blob);
  refuses(() => parsePublicKeyBlob(made('nistp384', point)), /"nistp384"/);
  refuses(() => parsePublicKeyBlob(made('nistp256', point.subarray(0, 64))), /uncompressed/);
  const other = point.slice();
  other[64] ^= 1;
  refuses(() => parsePublicKeyBlob(made('nistp256', other)), /not on its curve/);
  refuses(() => parsePublicKeyBlob(made('nistp256', Uint8Array.of(3, ...point.subarray(1)))), /uncompressed/);
  refuses(() => parsePublicKeyBlob(made('nistp256', Uint8Array.of(2, ...point.subarray(1, 33)))), /uncompressed/);
});

test('ssh-rsa: from 2048 to 16384 bits, odd, a small exponent, minimal mpints', () => {
  const made = (e: Uint8Array, n: Uint8Array) => new Writer().string('ssh-rsa').mpint(e).mpint(n).finish();
  const modulus = (bits: number) => {
    const n = new Uint8Array(Math.ceil(bits / 8)).fill(0xff);
    n[0] >>= n.length * 8 - bits;
    return n;
  };
  const e = Uint8Array.of(1, 0, 1);
  assert.is(keySize(made(e, modulus(2048))).bits, 2048);
  assert.is(keySize(made(e, modulus(16384))).bits, 16384);
  // Counted by bytes: two primes of 1024 bits may make a product of 2047.
  assert.is(keySize(made(e, modulus(2041))).bits, 2041);
  refuses(() => parsePublicKeyBlob(made(e, modulus(2040))), /2040 bits is too weak/);
  refuses(() => parsePublicKeyBlob(made(e, modulus(16385))), /16385 bits is too large/);
  refuses(() => parsePublicKey(fixture('rsa1024.pub')), /1024 bits is too weak/);
  const even = modulus(2048);
  even[255] = 0xfe;
  for (const [bad, n] of [
    [Uint8Array.of(), modulus(2048)],
    [Uint8Array.of(1), modulus(2048)],
    [Uint8Array.of(4), modulus(2048)],
    [Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 1), modulus(2048)],
    [e, even],
  ])
    refuses(() => parsePublicKeyBlob(made(bad, n)), /impossible/);
  const padded = new Writer()
    .string('ssh-rsa')
    .string(Uint8Array.of(0, 1, 0, 1))
    .mpint(modulus(2048))
    .finish();
  assert.equal(parsePublicKeyBlob(padded).blob, made(e, modulus(2048)), 'one key has one blob');
  const negative = new Writer().string('ssh-rsa').mpint(e).string(modulus(2048)).finish();
  refuses(() => parsePublicKeyBlob(negative), /negative/);
});

test('a blob cut anywhere or grown by a byte is refused with a KeyFormatError', () => {
  for (const name of ['ed25519', 'ecdsa256', 'rsa3072']) {
    const { blob } = parsePublicKey(fixture(`${name}.pub`));
    for (let length = 0; length < blob.length; length++)
      refuses(() => parsePublicKeyBlob(blob.subarray(0, length)), /./);
    refuses(() => parsePublicKeyBlob(Uint8Array.of(...blob, 0)), /trailing/);
  }
});

needs(test, 'ssh-keygen')('ssh-keygen: keys made now, their listing, and our lines read by it', () => {
  inDirectory(path => {
    for (const [type, bits] of [
      ['ed25519', '256'],
      ['ecdsa', '256'],
      ['rsa', '2048'],
    ]) {
      execFileSync('ssh-keygen', ['-q', '-t', type, '-b', bits, '-N', '', '-C', 'made now', '-f', path(type)]);
      const key = parsePublicKey(readFileSync(path(`${type}.pub`), 'utf8'));
      writeFileSync(path('line.pub'), `${formatPublicKey({ ...key, comment: 'our \u001b line' })}\n`);
      const listing = execFileSync('ssh-keygen', ['-l', '-f', path('line.pub')], { encoding: 'utf8' });
      assert.is(
        `${describePublicKey({ ...key, comment: 'our \ufffd line' })}\n`,
        listing.replace('\\357\\277\\275', '\ufffd'),
      );
    }
  });
});

test.run();
