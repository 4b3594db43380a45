// Keys as OpenSSL writes them (PEM, PKCS#8, RFC 4716): every kind of damage gives one sentence, and nothing wrong is read as a key.
import { createCipheriv, randomBytes, scryptSync } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromBigInt } from '../../../src/crypto/bigint.ts';
import { DerReader, der } from '../../../src/crypto/keys/der.ts';
import { writePrivateKeyInfo } from '../../../src/crypto/keys/der-keys.ts';
import { tripleDesCbcDecrypt } from '../../../src/crypto/keys/des.ts';
import {
  decodeBase64,
  formatPkcs8,
  formatPkcs8PublicKey,
  formatSsh2PublicKey,
  isEncrypted,
  parsePrivateKey,
  parsePublicKey,
  parsePublicKeyFile,
} from '../../../src/crypto/keys/index.ts';
import { formatPem } from '../../../src/crypto/keys/pem.ts';
import { pkcs12Key } from '../../../src/crypto/keys/pkcs12-key.ts';
import { KeyFormatError, UsageError } from '../../../src/protocol/errors.ts';
import { fixture, refuses, seeded, seededRandom } from './files.ts';

const random = seededRandom(3);
const kinds = ['ed25519', 'ecdsa256', 'rsa3072'];
const keyOf = (name: string) => parsePrivateKey(fixture(name));
/** `openssl ecparam -name prime256v1 -genkey -noout -param_enc explicit` */
const EXPLICIT = `-----BEGIN EC PRIVATE KEY-----
MIIBaAIBAQQgujO+uZGw4NFnlNyDtwR9FTq0ktOme8rp9RLuijNrHhaggfowgfcC
AQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////
MFsEIP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57Pr
vVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44ROdJreBn36QBEEE
axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W
K84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8
YyVRAgEBoUQDQgAEQR4YJQRrfSUG1Xep50uWdTw4E6fIR8OpH03OEm9y01zrYBPU
z1elxxjeJmbH6cFZzqxEYcoI4Wl8gDsj0UnikA==
-----END EC PRIVATE KEY-----
`;
const pkcs8 = (bytes: Uint8Array) => formatPem('PRIVATE KEY', bytes);

test('what we write we read, in the clear and encrypted', () => {
  for (const name of kinds) {
    const key = { ...keyOf(name), comment: '' };
    assert.equal(parsePrivateKey(formatPkcs8(key, {}, random)), key);
    const sealed = formatPkcs8(key, { passphrase: 'horse', iterations: 3 }, random);
    assert.equal(parsePrivateKey(sealed, 'horse'), key);
    assert.ok(isEncrypted(sealed));
    refuses(() => parsePrivateKey(sealed), /a passphrase is needed/);
    for (const wrong of ['hors', 'horse ', '\0'])
      refuses(() => parsePrivateKey(sealed, wrong), /passphrase .* is wrong/);
  }
});

test('options that make no sense are the caller’s fault, and an unsound key is not written', () => {
  const key = keyOf('ed25519');
  for (const options of [
    { passphrase: '' },
    ...[0, 1.5, 10_000_001].map(iterations => ({ passphrase: 'x', iterations })),
  ])
    assert.throws(
      () => formatPkcs8(key, options, random),
      (error: Error) => error instanceof UsageError,
    );
  refuses(() => formatPkcs8({ ...key, fields: keyOf('ed25519-nocomment').fields }, {}, random), /another key/);
});

test('PKCS#8 cut at every length, and with any byte changed: a KeyFormatError, or the change is in nobody’s part', () => {
  for (const name of ['ed25519', 'ecdsa256']) {
    const bytes = writePrivateKeyInfo(keyOf(name));
    for (let length = 0; length < bytes.length; length++)
      refuses(() => parsePrivateKey(pkcs8(bytes.subarray(0, length))), /./);
    refuses(() => parsePrivateKey(pkcs8(Uint8Array.from([...bytes, 0]))), /trailing/);
    for (let i = 0; i < bytes.length; i++)
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = bytes.slice();
        damaged[i] ^= flip;
        // A PKCS#8 Ed25519 key is its seed alone: there is nothing to hold a changed one against.
        const isSeed = name === 'ed25519' && i >= bytes.length - 32;
        // Version 1 allows what version 0 does not have.
        const isVersion = i === (bytes[1] < 0x80 ? 4 : 5) && damaged[i] === 1;
        if (isSeed || isVersion) parsePrivateKey(pkcs8(damaged));
        else refuses(() => parsePrivateKey(pkcs8(damaged)), /./);
      }
  }
});

test('every number of a PKCS#1 key is checked, the exponents of the primes too', () => {
  const bytes = decodeBase64(fixture('rsa2048-pem').split('\n').slice(1, -2).join(''));
  assert.is(parsePrivateKey(formatPem('RSA PRIVATE KEY', bytes)).type, 'ssh-rsa');
  for (let i = 4; i < bytes.length; i += 3) {
    const damaged = bytes.slice();
    damaged[i] ^= 2;
    refuses(() => parsePrivateKey(formatPem('RSA PRIVATE KEY', damaged)), /./);
  }
  const reader = new DerReader(bytes, 'it').sequence();
  const numbers = Array.from({ length: 9 }, () => reader.integer());
  const make = (parts: Uint8Array[]) => formatPem('RSA PRIVATE KEY', der.sequence(...parts.map(der.integer)));
  assert.ok(parsePrivateKey(make(numbers)));
  refuses(() => parsePrivateKey(make([Uint8Array.of(1), ...numbers.slice(1)])), /more than two primes/);
  refuses(() => parsePrivateKey(make(numbers.map((n, i) => (i === 4 ? Uint8Array.of(1) : n)))), /do not belong/);
  refuses(
    () => parsePrivateKey(make(numbers.map((n, i) => (i === 6 ? new Uint8Array(4000).fill(1) : n)))),
    /do not belong/,
  );
});

test('an RFC 5958 key with its public half in it: that must be right', () => {
  const { fields } = keyOf('ed25519');
  const seed = der.octets(der.octets(fields[1].subarray(0, 32)));
  const made = (point: Uint8Array) => {
    const bits = der.bits(point);
    bits[0] = 0x81; // [1] IMPLICIT
    return pkcs8(der.sequence(der.small(1), der.sequence(der.oid('1.3.101.112')), seed, bits));
  };
  assert.equal(parsePrivateKey(made(fields[0])).fields, fields);
  refuses(() => parsePrivateKey(made(fields[0].map(byte => byte ^ 1))), /do not belong together/);
  const future = pkcs8(der.sequence(der.small(2), der.sequence(der.oid('1.3.101.112')), seed));
  refuses(() => parsePrivateKey(future), /version 2 of PKCS#8/);
});

test('EC keys: two curves, no curve, a number out of range, a public half that is another’s', () => {
  const [, point, scalar] = keyOf('ecdsa256').fields;
  const P256 = der.oid('1.2.840.10045.3.1.7');
  const ec = (...parts: Uint8Array[]) => formatPem('EC PRIVATE KEY', der.sequence(...parts));
  const padded = new Uint8Array(32);
  padded.set(scalar, 32 - scalar.length);
  const curve = der.explicit(0, P256);
  assert.equal(parsePrivateKey(ec(der.small(1), der.octets(padded), curve)).fields[1], point);
  refuses(() => parsePrivateKey(ec(der.small(1), der.octets(padded))), /its curve is missing/);
  refuses(() => parsePrivateKey(ec(der.small(2), der.octets(padded), curve)), /version 1, this one 2/);
  for (const number of [new Uint8Array(32), new Uint8Array(32).fill(255), new Uint8Array(33).fill(1)])
    refuses(() => parsePrivateKey(ec(der.small(1), der.octets(number), curve)), /out of range/);
  const other = der.explicit(1, der.bits(point.map((byte, i) => (i === 64 ? byte ^ 1 : byte))));
  refuses(() => parsePrivateKey(ec(der.small(1), der.octets(padded), curve, other)), /do not belong together/);
  const inner = der.sequence(der.small(1), der.octets(padded), der.explicit(0, der.oid('1.3.132.0.34')));
  const outer = der.sequence(der.oid('1.2.840.10045.2.1'), P256);
  refuses(() => parsePrivateKey(pkcs8(der.sequence(der.small(0), outer, der.octets(inner)))), /names two curves/);
});

test('absurd PBKDF2 iterations are refused before any of them is run; other parameters out of place are named', () => {
  const made = (
    iterations: Uint8Array,
    options: { salt?: number; length?: number; iv?: number; body?: number } = {},
  ) => {
    const { salt = 8, length = 32, iv = 16, body = 32 } = options;
    const kdf = der.sequence(
      der.oid('1.2.840.113549.1.5.12'),
      der.sequence(der.octets(new Uint8Array(salt)), iterations, der.small(length)),
    );
    const scheme = der.sequence(der.oid('2.16.840.1.101.3.4.1.42'), der.octets(new Uint8Array(iv)));
    const pbes2 = der.sequence(der.oid('1.2.840.113549.1.5.13'), der.sequence(kdf, scheme));
    return formatPem('ENCRYPTED PRIVATE KEY', der.sequence(pbes2, der.octets(new Uint8Array(body))));
  };
  refuses(() => parsePrivateKey(made(der.small(1)), 'x'), /passphrase .* is wrong/);
  refuses(() => parsePrivateKey(made(der.small(10_000_001)), 'x'), /asks for 10000001 PBKDF2 iterations/);
  refuses(() => parsePrivateKey(made(der.integer(new Uint8Array(9).fill(1))), 'x'), /larger than makes sense/);
  refuses(() => parsePrivateKey(made(der.small(0)), 'x'), /no iterations/);
  refuses(() => parsePrivateKey(made(der.small(1), { salt: 0 }), 'x'), /no salt/);
  refuses(() => parsePrivateKey(made(der.small(1), { length: 16 }), 'x'), /keys of 32 bytes, and 16 are derived/);
  refuses(() => parsePrivateKey(made(der.small(1), { iv: 12 }), 'x'), /vector has 12 bytes/);
  for (const body of [0, 31]) refuses(() => parsePrivateKey(made(der.small(1), { body }), 'x'), /whole cipher blocks/);
});

test('scrypt and PKCS#12 that ask for too much memory or time, or for the impossible, are refused before anything is run', () => {
  const encrypted = (...algorithm: Uint8Array[]) =>
    formatPem('ENCRYPTED PRIVATE KEY', der.sequence(der.sequence(...algorithm), der.octets(new Uint8Array(32))));
  const scrypt = (N: number, r: number, p: number, length = 32, salt = 8) => {
    const numbers = [N, r, p, length].map(der.small);
    const kdf = der.sequence(
      der.oid('1.3.6.1.4.1.11591.4.11'),
      der.sequence(der.octets(new Uint8Array(salt)), ...numbers),
    );
    const scheme = der.sequence(der.oid('2.16.840.1.101.3.4.1.42'), der.octets(new Uint8Array(16)));
    return encrypted(der.oid('1.2.840.113549.1.5.13'), der.sequence(kdf, scheme));
  };
  // RFC 7914 allows a salt to be empty.
  for (const salt of [8, 0]) refuses(() => parsePrivateKey(scrypt(2, 1, 1, 32, salt), 'x'), /passphrase .* is wrong/);
  for (const [N, r, p] of [
    [2 ** 15, 8, 1], // 32 MiB and the blocks beside them
    [2 ** 31, 1, 1],
    [2, 2 ** 31, 1],
    [2, 1, 2 ** 31],
    [2 ** 14, 8, 33],
    [2 ** 10, 1, 2 ** 13],
  ])
    refuses(() => parsePrivateKey(scrypt(N, r, p), 'x'), /asks for too much of scrypt \(N \d+, r \d+, p \d+\)/);
  for (const [N, r, p] of [
    [0, 1, 1],
    [1, 1, 1],
    [3, 1, 1],
    [1023, 8, 1],
    [2, 0, 1],
    [2, 1, 0],
  ])
    refuses(() => parsePrivateKey(scrypt(N, r, p), 'x'), /scrypt parameters .* are impossible/);
  refuses(() => parsePrivateKey(scrypt(2, 1, 1, 16), 'x'), /keys of 32 bytes, and 16 are derived/);

  const pkcs12 = (iterations: number, salt = 8) =>
    encrypted(
      der.oid('1.2.840.113549.1.12.1.3'),
      der.sequence(der.octets(new Uint8Array(salt)), der.small(iterations)),
    );
  refuses(() => parsePrivateKey(pkcs12(1), 'x'), /passphrase .* is wrong/);
  refuses(() => parsePrivateKey(pkcs12(1), Uint8Array.of(255)), /passphrase .* is wrong/);
  refuses(() => parsePrivateKey(pkcs12(10_000_001), 'x'), /asks for 10000001 PKCS#12 iterations/);
  refuses(() => parsePrivateKey(pkcs12(0), 'x'), /no iterations/);
  refuses(() => parsePrivateKey(pkcs12(1, 0), 'x'), /no salt/);
});

test('the derivation of PKCS#12: known answers', () => {
  // Made with OpenSSL: openssl kdf -keylen 24 -kdfopt digest:SHA1 -kdfopt hexpass:… -kdfopt hexsalt:… -kdfopt id:1 -kdfopt iter:… PKCS12KDF
  const salt = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  assert.is(
    hex(pkcs12Key(new TextEncoder().encode('horse'), salt, 1000, 'key', 24)),
    '5a7cf83f7c52b23e70583c86bd3695dd4f24764ac6ec0eeb',
  );
  assert.is(hex(pkcs12Key(new TextEncoder().encode('horse'), salt, 1000, 'iv', 8)), '1bdc81177dfa356b');
});

test('a curve that is spelt out must be ours in every number', () => {
  const [, point, scalar] = keyOf('ecdsa256').fields;
  const padded = new Uint8Array(32);
  padded.set(scalar, 32 - scalar.length);
  const { p, a, b, n, h } = p256.Point.CURVE();
  const base = p256.Point.BASE.toBytes(false);
  const made = (
    changes: Partial<Record<'p' | 'a' | 'b' | 'n' | 'h', bigint>> & {
      base?: Uint8Array;
      field?: string;
      seed?: Uint8Array;
    } = {},
  ) => {
    const all = { p, a, b, n, h, base, field: '1.2.840.10045.1.1', ...changes };
    const seed = all.seed === undefined ? [] : [der.bits(all.seed)];
    const parameters = der.sequence(
      der.small(1),
      der.sequence(der.oid(all.field), der.integer(fromBigInt(all.p))),
      der.sequence(der.octets(fromBigInt(all.a, 32)), der.octets(fromBigInt(all.b, 32)), ...seed),
      der.octets(all.base),
      der.integer(fromBigInt(all.n)),
      ...(all.h < 0n ? [] : [der.integer(fromBigInt(all.h))]),
    );
    return formatPem(
      'EC PRIVATE KEY',
      der.sequence(der.small(1), der.octets(padded), der.explicit(0, parameters), der.explicit(1, der.bits(point))),
    );
  };
  const negated = base.slice();
  negated.set(fromBigInt(p - p256.Point.BASE.y, 32), 33);
  const compressed = p256.Point.BASE.toBytes(true);
  const hybrid = base.slice();
  hybrid[0] = 6 + (base[64] & 1);
  for (const same of [{}, { h: -1n }, { seed: new Uint8Array(20) }, { base: compressed }, { base: hybrid }])
    assert.equal(parsePrivateKey(made(same)).fields, keyOf('ecdsa256').fields);
  for (const other of [
    ...(['p', 'a', 'b', 'n'] as const).map(name => ({ [name]: { p, a, b, n }[name] + 2n })),
    { h: 2n },
    { h: 0n },
    { a: 0n },
    { base: negated },
    { base: base.subarray(1) },
    { base: new Uint8Array(0) },
    { base: Uint8Array.of(0) },
    { base: Uint8Array.from(hybrid, (byte, i) => (i === 0 ? byte ^ 1 : byte)) },
    { base: Uint8Array.from(compressed, (byte, i) => (i === 0 ? byte ^ 1 : byte)) },
    { field: '1.2.840.10045.1.2' },
  ])
    refuses(() => parsePrivateKey(made(other)), /spells out a curve that SSH does not use/);
});

/** Alice's key as OpenSSL may encrypt it, under "x" and as cheaply as can be. */
function sealed(kind: string): string {
  const salt = new Uint8Array(8).fill(7);
  const seal = (name: string, key: Uint8Array, iv: Uint8Array) => {
    const cipher = createCipheriv(name, key, iv);
    return der.octets(Buffer.concat([cipher.update(writePrivateKeyInfo(keyOf('ed25519'))), cipher.final()]));
  };
  if (kind === 'pkcs12') {
    const [key, iv] = (['key', 'iv'] as const).map(use =>
      pkcs12Key(Uint8Array.of(120), salt, 1, use, use === 'key' ? 24 : 8),
    );
    const algorithm = der.sequence(der.oid('1.2.840.113549.1.12.1.3'), der.sequence(der.octets(salt), der.small(1)));
    return formatPem('ENCRYPTED PRIVATE KEY', der.sequence(algorithm, seal('des-ede3-cbc', key, iv)));
  }
  const iv = new Uint8Array(16);
  const parameters = der.sequence(der.octets(salt), ...[2, 1, 1].map(der.small));
  const scheme = der.sequence(der.oid('2.16.840.1.101.3.4.1.42'), der.octets(iv));
  const pbes2 = der.sequence(der.sequence(der.oid('1.3.6.1.4.1.11591.4.11'), parameters), scheme);
  const key = scryptSync('x', salt, 32, { N: 2, r: 1, p: 1 });
  return formatPem(
    'ENCRYPTED PRIVATE KEY',
    der.sequence(der.sequence(der.oid('1.2.840.113549.1.5.13'), pbes2), seal('aes-256-cbc', key, iv)),
  );
}

test('scrypt and PKCS#12 as node:crypto encrypts under them, and whatever stands around', () => {
  for (const kind of ['scrypt', 'pkcs12']) {
    assert.equal(parsePrivateKey(sealed(kind), 'x').fields, keyOf('ed25519').fields);
    refuses(() => parsePrivateKey(sealed(kind), 'y'), /passphrase .* is wrong/);
    refuses(() => parsePrivateKey(sealed(kind)), /a passphrase is needed/);
    assert.ok(isEncrypted(`Bag Attributes: <No Attributes>\n${sealed(kind)}`));
  }
});

test('headers of PEM: damaged, missing, of a cipher that is broken', () => {
  const body = Buffer.alloc(32).toString('base64');
  const made = (headers: string) =>
    `-----BEGIN RSA PRIVATE KEY-----\n${headers}${body}\n-----END RSA PRIVATE KEY-----\n`;
  const type = 'Proc-Type: 4,ENCRYPTED\n';
  const iv = '00'.repeat(16);
  refuses(() => parsePrivateKey(made(`${type}DEK-Info: AES-128-CBC,${iv}\n\n`), 'x'), /passphrase .* is wrong/);
  refuses(() => parsePrivateKey(made(`${type}DEK-Info: AES-128-CBC,${iv}\n`), 'x'), /no empty line ends its headers/);
  refuses(() => parsePrivateKey(made(`${type}nonsense\n\n`), 'x'), /no empty line ends its headers/);
  refuses(() => parsePrivateKey(made(`${type}\n`), 'x'), /Proc-Type and DEK-Info one is missing/);
  refuses(() => parsePrivateKey(made(`DEK-Info: AES-128-CBC,${iv}\n\n`), 'x'), /one is missing/);
  refuses(() => parsePrivateKey(made(`${type}DEK-Info: DES-CBC,${iv}\n\n`), 'x'), /"DES-CBC,.*not supported/);
  refuses(() => parsePrivateKey(made(`${type}DEK-Info: AES-128-CBC,${iv}00\n\n`), 'x'), /vector has the wrong length/);
  refuses(() => parsePrivateKey(made(`${type}DEK-Info: AES-128-CBC\n\n`), 'x'), /not supported/);
  refuses(() => parsePrivateKey(made(`${type}non sense: 1\n\n`), 'x'), /"non sense: 1" is not a header/);
});

test('random damage to text and bytes: a key or a KeyFormatError, nothing else', () => {
  const next = seeded(7);
  const pick = (below: number) => Math.floor(next() * below);
  const files = [
    fixture('rsa2048-pem'),
    ...kinds.map(name => formatPkcs8(keyOf(name), {}, random)),
    formatPkcs8(keyOf('ed25519'), { passphrase: 'x', iterations: 1 }, random),
    ...['scrypt', 'pkcs12'].map(sealed),
    `Bag Attributes\n    localKeyID: 01\n${sealed('pkcs12')}${fixture('ed25519.pub')}`,
    EXPLICIT,
    ...kinds.map(name => formatPkcs8PublicKey(parsePublicKey(fixture(`${name}.pub`)))),
    ...kinds.map(name => formatSsh2PublicKey(parsePublicKey(fixture(`${name}.pub`)))),
  ];
  for (let round = 0; round < 1500; round++) {
    let text = files[pick(files.length)];
    for (let n = 1 + pick(3); n > 0; n--) {
      const at = pick(text.length);
      text =
        text.slice(0, at) + String.fromCharCode(next() < 0.7 ? 43 + pick(80) : pick(0x3000)) + text.slice(at + pick(3));
    }
    for (const parse of [() => parsePrivateKey(text, 'x'), () => parsePublicKeyFile(text)])
      try {
        parse();
      } catch (error) {
        assert.instance(error, KeyFormatError, `round ${round}: ${(error as Error).stack}\n${text}`);
      }
  }
});

test('public keys in other forms: read back, and each damage named', () => {
  for (const name of kinds) {
    const key = parsePublicKey(fixture(`${name}.pub`));
    assert.equal(parsePublicKeyFile(formatPkcs8PublicKey(key)).blob, key.blob);
    assert.equal(parsePublicKeyFile(formatSsh2PublicKey(key)), key);
    assert.equal(parsePublicKeyFile(formatSsh2PublicKey(key).replaceAll('\n', '\r\n')), key);
    assert.equal(parsePublicKeyFile(fixture(`${name}.pub`)), key);
  }
  const text = formatSsh2PublicKey(parsePublicKey(fixture('ed25519.pub')));
  refuses(() => parsePublicKeyFile(text.replace('---- END SSH2 PUBLIC KEY ----', '')), /cut off/);
  refuses(() => parsePublicKeyFile(text.replace('AAAA', 'AA!A')), /not base64/);
  refuses(() => parsePublicKeyFile(text.replace('----\n', '---- \u001b\n')), /not in OpenSSH form/);
  refuses(() => parsePublicKeyFile('-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n'), /damaged/);
  refuses(() => parsePublicKeyFile(fixture('ed25519')), /private key where a public one is needed/);
  refuses(() => parsePublicKeyFile(''), /empty/);
});

test('RFC 4716: private headers are skipped, a continued comment is joined, the newest needs no quotes', () => {
  const [, , ...body] = formatSsh2PublicKey(parsePublicKey(fixture('ed25519.pub')))
    .trim()
    .split('\n');
  const text = ['---- BEGIN SSH2 PUBLIC KEY ----', 'x-made-by: me\\', ' and you', 'COMMENT: a \\', 'b', ...body].join(
    '\n',
  );
  assert.is(parsePublicKeyFile(text).comment, 'a b');
});

test('triple DES against the runtime’s', () => {
  for (let blocks = 0; blocks < 20; blocks++) {
    const [key, iv, text] = [randomBytes(24), randomBytes(8), randomBytes(8 * blocks)];
    const cipher = createCipheriv('des-ede3-cbc', key, iv).setAutoPadding(false);
    const data = Buffer.concat([cipher.update(text), cipher.final()]);
    assert.is(Buffer.from(tripleDesCbcDecrypt(key, iv, data)).toString('hex'), text.toString('hex'));
  }
});

test.run();
