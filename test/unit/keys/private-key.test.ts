// openssh-key-v1: files of ssh-keygen read by us, ours by ssh-keygen, and every kind of damage named in one sentence.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeBase64,
  encodeBase64,
  formatPrivateKey,
  formatPublicKey,
  isEncrypted,
  MAX_ROUNDS,
  parsePrivateKey,
  publicOf,
} from '../../../src/crypto/keys/index.ts';
import { KeyFormatError, UsageError } from '../../../src/protocol/errors.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { needs } from '../../kit/tools.ts';
import { fixture, inDirectory, refuses, seeded, seededRandom } from './files.ts';

const BEGIN = '-----BEGIN OPENSSH PRIVATE KEY-----\n';
const END = '-----END OPENSSH PRIVATE KEY-----\n';
const passphrases: Record<string, string> = {
  'ed25519-a1': 'correct horse',
  'ecdsa256-a16': 'pässwörd ☎',
  'rsa3072-a24': 'correct horse',
};
const clear = ['ed25519', 'ed25519-nocomment', 'ecdsa256', 'rsa3072'];
const random = seededRandom(1);

/** The bytes in a file's armour, and armour around bytes. */
const inner = (text: string) => decodeBase64(text.replace(BEGIN, '').replace(END, '').replaceAll('\n', ''));
const armour = (bytes: Uint8Array) => `${BEGIN}${encodeBase64(bytes)}\n${END}`;

/** A file put together from parts, each of which may be wrong. */
function file(parts: {
  cipher?: string;
  kdf?: string;
  options?: Uint8Array;
  keys?: number;
  blob?: Uint8Array;
  section?: Uint8Array;
  tail?: Uint8Array;
}): string {
  const key = parsePrivateKey(fixture('ed25519'));
  return armour(
    new Writer()
      .raw(new TextEncoder().encode('openssh-key-v1\0'))
      .string(parts.cipher ?? 'none')
      .string(parts.kdf ?? 'none')
      .string(parts.options ?? '')
      .uint32(parts.keys ?? 1)
      .string(parts.blob ?? key.blob)
      .string(parts.section ?? section({}))
      .raw(parts.tail ?? new Uint8Array(0))
      .finish(),
  );
}

/** The private part of an Ed25519 file. */
function section(parts: { check?: number; type?: string; fields?: Uint8Array[]; padding?: number[] }): Uint8Array {
  const key = parsePrivateKey(fixture('ed25519'));
  const writer = new Writer().uint32(7).uint32(parts.check ?? 7);
  writer.string(parts.type ?? key.type);
  for (const field of parts.fields ?? key.fields) writer.string(field);
  writer.string('comment.');
  if (parts.padding) writer.raw(Uint8Array.from(parts.padding));
  else for (let i = 1; writer.length % 8 !== 0; i++) writer.byte(i);
  return writer.finish();
}

test('files of ssh-keygen, in the clear and encrypted with 1, 16 and 24 rounds', () => {
  for (const name of [...clear, ...Object.keys(passphrases)]) {
    const key = parsePrivateKey(fixture(name), passphrases[name]);
    assert.is(formatPublicKey(publicOf(key)), fixture(`${name}.pub`).trimEnd());
    assert.is(isEncrypted(fixture(name)), name in passphrases);
  }
});

test('the private fields are those of PROTOCOL.key, in its order', () => {
  const ed25519 = parsePrivateKey(fixture('ed25519'));
  assert.equal(
    ed25519.fields.map(field => field.length),
    [32, 64],
  );
  const ecdsa = parsePrivateKey(fixture('ecdsa256'));
  assert.is(new TextDecoder().decode(ecdsa.fields[0]), 'nistp256');
  assert.is(ecdsa.fields[1].length, 65);
  assert.ok(ecdsa.fields[2].length <= 32);
  const rsa = parsePrivateKey(fixture('rsa3072'));
  assert.is(rsa.fields[0].length, 384);
  assert.equal(rsa.fields[1], Uint8Array.of(1, 0, 1));
  assert.is(rsa.fields.length, 6);
});

test('a passphrase may be bytes, and is ignored where none is needed', () => {
  const bytes = new TextEncoder().encode('correct horse');
  assert.equal(parsePrivateKey(fixture('ed25519-a1'), bytes), parsePrivateKey(fixture('ed25519-a1'), 'correct horse'));
  assert.equal(parsePrivateKey(fixture('ed25519'), 'anything'), parsePrivateKey(fixture('ed25519')));
});

test('a wrong or missing passphrase', () => {
  refuses(() => parsePrivateKey(fixture('ed25519-a1')), /is encrypted: a passphrase is needed/);
  refuses(() => parsePrivateKey(fixture('ed25519-a1'), ''), /is encrypted: a passphrase is needed/);
  for (const wrong of ['correct hors', 'correct horse ', 'Correct horse', '\0'])
    refuses(() => parsePrivateKey(fixture('ed25519-a1'), wrong), /passphrase of the private key is wrong/);
});

test('line ends of Windows and blank lines around the key are read', () => {
  const key = parsePrivateKey(fixture('ed25519'));
  assert.equal(parsePrivateKey(fixture('ed25519').replaceAll('\n', '\r\n')), key);
  assert.equal(parsePrivateKey(`\n${fixture('ed25519')}\n\n`), key);
  assert.equal(parsePrivateKey(fixture('ed25519').trim()), key);
});

test('what we write we read: every type, with and without a passphrase', () => {
  for (const name of clear) {
    const key = parsePrivateKey(fixture(name));
    const text = formatPrivateKey(key, {}, random);
    assert.equal(parsePrivateKey(text), key);
    const sealed = formatPrivateKey(key, { passphrase: 'pass', rounds: 2 }, random);
    assert.equal(parsePrivateKey(sealed, 'pass'), key);
    assert.ok(isEncrypted(sealed));
    for (const line of [...text.split('\n'), ...sealed.split('\n')]) assert.ok(line.length <= 70);
  }
});

test('nothing of the secret is in an encrypted file, and no two files are alike', () => {
  const key = parsePrivateKey(fixture('ed25519'));
  const options = { passphrase: 'pass', rounds: 1 };
  const one = formatPrivateKey(key, options, random);
  const hex = Buffer.from(inner(one)).toString('hex');
  assert.not.ok(hex.includes(Buffer.from(key.fields[1].subarray(0, 8)).toString('hex')));
  assert.not.ok(hex.includes(Buffer.from(key.comment).toString('hex')));
  assert.is.not(one, formatPrivateKey(key, options, random));
});

test('comments of every length pad right', () => {
  const key = parsePrivateKey(fixture('ed25519'));
  for (let length = 0; length < 20; length++) {
    const named = { ...key, comment: 'c'.repeat(length) };
    assert.equal(parsePrivateKey(formatPrivateKey(named, {}, random)), named);
  }
});

test('a comment in no known encoding, or with control characters, does not stop the key', () => {
  const bytes = inner(fixture('ed25519'));
  const at = Buffer.from(bytes).indexOf('ada@');
  bytes[at] = 0xff;
  bytes[at + 1] = 0x1b;
  assert.is(parsePrivateKey(armour(bytes)).comment, '\ufffd\ufffda@example.org');
});

test('options that make no sense are the caller’s fault', () => {
  const key = parsePrivateKey(fixture('ed25519'));
  for (const passphrase of ['', new Uint8Array(0)])
    assert.throws(
      () => formatPrivateKey(key, { passphrase }, random),
      (e: Error) => e instanceof UsageError,
    );
  for (const rounds of [0, -1, 1.5, Number.NaN, MAX_ROUNDS + 1])
    assert.throws(
      () => formatPrivateKey(key, { passphrase: 'p', rounds }, random),
      (e: Error) => e instanceof UsageError,
    );
});

test('a key whose halves do not belong together is not written', () => {
  const key = parsePrivateKey(fixture('ed25519'));
  const other = parsePrivateKey(fixture('ed25519-nocomment'));
  refuses(() => formatPrivateKey({ ...key, fields: other.fields }, {}, random), /another key/);
  refuses(() => formatPrivateKey({ ...key, fields: [key.fields[0], other.fields[1]] }, {}, random), /do not belong/);
  refuses(() => formatPrivateKey({ ...key, fields: [key.fields[0]] }, {}, random), /has 2 fields/);
  refuses(() => formatPrivateKey({ ...key, type: 'ssh-dss' }, {}, random), /"ssh-dss"/);
});

test('files of other programs are named, with the way to convert them', () => {
  refuses(
    () => parsePrivateKey('-----BEGIN ANY PRIVATE KEY-----\nMHcC\n'),
    /form that is not supported: convert it with ssh-keygen -p/,
  );
  refuses(() => parsePrivateKey('-----BEGIN DSA PRIVATE KEY-----\nMHcC\n'), /DSA/);
  refuses(() => parsePrivateKey('PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n'), /PuTTY form.*puttygen/);
  refuses(() => parsePrivateKey('---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n'), /ssh\.com/);
  refuses(() => parsePrivateKey('SSH PRIVATE KEY FILE FORMAT 1.1\n\0'), /protocol 1/);
  refuses(() => parsePrivateKey(fixture('ed25519.pub')), /public key.*without \.pub/);
  refuses(() => parsePrivateKey('-----BEGIN CERTIFICATE-----\n'), /certificate/);
  refuses(() => parsePrivateKey('-----BEGIN PUBLIC KEY-----\n'), /public key/);
  refuses(() => parsePrivateKey('\0\x01\x02'), /binary/);
  refuses(() => parsePrivateKey('hello'), /not a private key/);
  refuses(() => parsePrivateKey(''), /empty/);
  refuses(() => parsePrivateKey('\n\n'), /empty/);
  refuses(() => parsePrivateKey(file({ cipher: 'arcfour', kdf: 'bcrypt' })), /"arcfour".*ssh-keygen -p -Z aes256-ctr/);
  refuses(() => parsePrivateKey(fixture('rsa1024')), /1024 bits is too weak/);
});

test('a damaged armour', () => {
  const text = fixture('ed25519');
  refuses(() => parsePrivateKey(text.replace(END, '')), /cut off: its END line is missing/);
  refuses(() => parsePrivateKey(text.replace('b3Bl', 'b3*l')), /not base64/);
  refuses(() => parsePrivateKey(text.replace('b3Bl', 'b3B')), /base64/);
  refuses(() => parsePrivateKey(text.replace('b3Bl', 'b3Bm')), /openssh-key-v1/);
  refuses(() => parsePrivateKey(`${BEGIN}${END}`), /openssh-key-v1/);
  refuses(() => parsePrivateKey(`${BEGIN}${'A'.repeat(2 ** 20)}`), /too large/);
});

test('a damaged envelope', () => {
  assert.is(parsePrivateKey(file({})).comment, 'comment.');
  const other = parsePrivateKey(fixture('ed25519-nocomment'));
  refuses(() => parsePrivateKey(file({ cipher: 'rot13' })), /"rot13"/);
  refuses(() => parsePrivateKey(file({ cipher: 'aes256-ctr' })), /key derivation "none"/);
  refuses(() => parsePrivateKey(file({ kdf: 'bcrypt' })), /key derivation "bcrypt"/);
  refuses(() => parsePrivateKey(file({ kdf: '\u001b[2J' })), /damaged/);
  refuses(() => parsePrivateKey(file({ options: Uint8Array.of(0) })), /trailing/);
  for (const keys of [0, 2, 2 ** 32 - 1])
    refuses(() => parsePrivateKey(file({ keys })), new RegExp(`holds ${keys} keys`));
  refuses(() => parsePrivateKey(file({ blob: other.blob })), /another key/);
  refuses(() => parsePrivateKey(file({ blob: new Uint8Array(0) })), /runs past the end/);
  refuses(() => parsePrivateKey(file({ section: new Uint8Array(0) })), /whole cipher blocks/);
  refuses(() => parsePrivateKey(file({ section: section({}).subarray(1) })), /whole cipher blocks/);
  refuses(() => parsePrivateKey(file({ tail: Uint8Array.of(0) })), /trailing/);
});

test('a damaged private part', () => {
  const { fields } = parsePrivateKey(fixture('ed25519'));
  const other = parsePrivateKey(fixture('ed25519-nocomment'));
  refuses(() => parsePrivateKey(file({ section: section({ check: 8 }) })), /check numbers differ/);
  refuses(() => parsePrivateKey(file({ section: section({ type: 'ssh-rsa' }) })), /another key/);
  refuses(() => parsePrivateKey(file({ section: section({ fields: [fields[0], other.fields[1]] }) })), /do not belong/);
  refuses(
    () => parsePrivateKey(file({ section: section({ fields: [other.fields[0], other.fields[1]] }) })),
    /another key/,
  );
  const unpadded = section({ padding: [] }).length;
  const pad = Array.from({ length: 8 - (unpadded % 8) }, (_, i) => i + 1);
  assert.ok(parsePrivateKey(file({ section: section({ padding: pad }) })));
  refuses(() => parsePrivateKey(file({ section: section({ padding: pad.map(() => 0) }) })), /padding/);
  refuses(() => parsePrivateKey(file({ section: section({ padding: pad.map(byte => byte + 1) }) })), /padding/);
});

test('an Ed25519 seed that belongs to another public key is refused, though all copies of the public key agree', () => {
  const { fields } = parsePrivateKey(fixture('ed25519'));
  const secret = fields[1].slice();
  secret[0] ^= 1;
  refuses(() => parsePrivateKey(file({ section: section({ fields: [fields[0], secret] }) })), /do not belong/);
});

test('absurd bcrypt rounds are refused before any of them is run', () => {
  const options = (rounds: number, salt: Uint8Array) => new Writer().string(salt).uint32(rounds).finish();
  const made = (rounds: number, salt = new Uint8Array(16)) =>
    file({ cipher: 'aes256-ctr', kdf: 'bcrypt', options: options(rounds, salt), section: new Uint8Array(16) });
  refuses(() => parsePrivateKey(made(MAX_ROUNDS + 1), 'x'), /4097 bcrypt rounds.*ssh-keygen -p -a/);
  refuses(() => parsePrivateKey(made(2 ** 32 - 1), 'x'), /4294967295 bcrypt rounds/);
  refuses(() => parsePrivateKey(made(0), 'x'), /no rounds/);
  refuses(() => parsePrivateKey(made(1, new Uint8Array(0)), 'x'), /no salt/);
});

test('cut at every length, the bytes and the text: always a KeyFormatError', () => {
  for (const name of ['ed25519', 'ecdsa256', 'rsa3072', 'ed25519-a1']) {
    const bytes = inner(fixture(name));
    for (let length = 0; length < bytes.length; length++)
      refuses(() => parsePrivateKey(armour(bytes.subarray(0, length)), 'correct horse'), /./);
  }
  const text = fixture('ed25519').trim();
  for (let length = 0; length < text.length; length++) refuses(() => parsePrivateKey(text.slice(0, length)), /./);
});

test('every byte of an unencrypted key flipped: only the comment and the check numbers’ own bits go unnoticed', () => {
  for (const name of ['ed25519', 'ecdsa256']) {
    const bytes = inner(fixture(name));
    const { comment } = parsePrivateKey(fixture(name));
    const at = Buffer.from(bytes).lastIndexOf(comment);
    const unnoticed: number[] = [];
    for (let i = 0; i < bytes.length; i++) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = bytes.slice();
        damaged[i] ^= flip;
        try {
          parsePrivateKey(armour(damaged), 'x');
          unnoticed.push(i);
        } catch (error) {
          assert.instance(error, KeyFormatError, `byte ${i}: ${(error as Error).stack}`);
        }
      }
    }
    assert.equal(
      [...new Set(unnoticed)],
      Array.from({ length: comment.length }, (_, i) => at + i),
    );
  }
});

test('flips in the numbers of an RSA key are noticed', () => {
  const bytes = inner(fixture('rsa3072'));
  const { comment } = parsePrivateKey(fixture('rsa3072'));
  const from = Buffer.from(bytes).lastIndexOf('ssh-rsa');
  const to = Buffer.from(bytes).lastIndexOf(comment);
  for (let i = from; i < to; i += 7) {
    const damaged = bytes.slice();
    damaged[i] ^= 1;
    refuses(() => parsePrivateKey(armour(damaged)), /./);
  }
});

test('RSA: the secret numbers must be those of this modulus, and d right for both primes', () => {
  const key = parsePrivateKey(fixture('rsa3072'));
  const other = parsePrivateKey(fixture('rsa3072-a24'), 'correct horse');
  const [n, e, d, iqmp, p, q] = key.fields;
  const foreign = { ...key, fields: [n, e, ...other.fields.slice(2)] };
  refuses(() => formatPrivateKey(foreign, {}, random), /do not belong/);
  const toBigInt = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  for (const prime of [p, q]) {
    const half = (toBigInt(d) % (toBigInt(prime) - 1n)).toString(16);
    const short = Uint8Array.from(Buffer.from(half.padStart(half.length + (half.length % 2), '0'), 'hex'));
    const lame = { ...key, fields: [n, e, short, iqmp, p, q] };
    refuses(() => formatPrivateKey(lame, {}, random), /do not belong/);
  }
});

test('random damage to bytes and text of any kind of file: a key or a KeyFormatError, nothing else', () => {
  const next = seeded(42);
  const pick = (below: number) => Math.floor(next() * below);
  for (let round = 0; round < 1500; round++) {
    const bytes = inner(fixture(clear[pick(clear.length)])).slice();
    for (let n = 1 + pick(4); n > 0; n--)
      bytes[pick(bytes.length)] = next() < 0.3 ? [0, 1, 0x7f, 0x80, 0xff][pick(5)] : pick(256);
    let text = armour(bytes);
    if (next() < 0.3) {
      const at = pick(text.length);
      text = text.slice(0, at) + String.fromCharCode(pick(0x3000)) + text.slice(at + pick(3));
    }
    try {
      parsePrivateKey(text, 'x');
    } catch (error) {
      assert.instance(error, KeyFormatError, `round ${round}: ${(error as Error).stack}`);
    }
  }
});

test('an error never shows a part of the secret, even where lengths are shifted so that it stands in the place of a name', () => {
  const misplaced = new Writer().uint32(7).uint32(7).string('sec-ret').raw(new Uint8Array(5)).finish();
  refuses(() => parsePrivateKey(file({ section: misplaced })), /^(?!.*sec-ret).*another key/);
});

const keygen = needs(test, 'ssh-keygen');

keygen('ssh-keygen reads what we write, with and without a passphrase', () => {
  inDirectory(path => {
    for (const name of clear) {
      const key = parsePrivateKey(fixture(name));
      for (const passphrase of [undefined, 'pässwörd ☎']) {
        const text = formatPrivateKey(key, { passphrase, rounds: 3 }, random);
        writeFileSync(path('key'), text, { mode: 0o600 });
        const args = ['-y', '-P', passphrase ?? '', '-f', path('key')];
        assert.is(execFileSync('ssh-keygen', args, { encoding: 'utf8' }).trimEnd(), formatPublicKey(publicOf(key)));
        if (passphrase)
          assert.throws(() => execFileSync('ssh-keygen', ['-y', '-P', 'wrong', '-f', path('key')], { stdio: 'pipe' }));
        // Our layout is ssh-keygen's own: it leaves the key alone when it writes the file anew.
        execFileSync('ssh-keygen', ['-q', '-p', '-P', passphrase ?? '', '-N', '', '-f', path('key')]);
        assert.equal(parsePrivateKey(readFileSync(path('key'), 'utf8')), key);
      }
    }
  });
});

keygen('we read what ssh-keygen makes now', () => {
  inDirectory(path => {
    for (const [type, bits] of [
      ['ed25519', '256'],
      ['ecdsa', '256'],
      ['rsa', '2048'],
    ])
      for (const [passphrase, rounds] of [
        ['', '1'],
        ['x', '1'],
        ['a long passphrase '.repeat(8), '7'],
      ]) {
        const name = path(`${type}-${rounds}-${passphrase.length}`);
        execFileSync('ssh-keygen', [
          '-q',
          '-t',
          type,
          '-b',
          bits,
          '-a',
          rounds,
          '-N',
          passphrase,
          '-C',
          'now',
          '-f',
          name,
        ]);
        const key = parsePrivateKey(readFileSync(name, 'utf8'), passphrase);
        assert.is(`${formatPublicKey(publicOf(key))}\n`, readFileSync(`${name}.pub`, 'utf8'));
      }
  });
});

test.run();
