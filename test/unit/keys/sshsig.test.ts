// SSHSIG and allowed signers: damage is named, nothing damaged counts, and purposes, hashes and times are kept apart.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AllowedSigner,
  checkSigner,
  formatPublicKey,
  formatSignature,
  parseAllowedSigners,
  parsePrivateKey,
  parseSignature,
  publicOf,
  signatureInput,
  signMessage,
  verifySignature,
} from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { KeyFormatError, UsageError } from '../../../src/protocol/errors.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { TOUCHED, Token } from '../../kit/token.ts';
import { fixture, refuses, seeded } from './files.ts';

const key = parsePrivateKey(fixture('ed25519'));
const line = formatPublicKey({ ...publicOf(key), comment: '' });
const message = new TextEncoder().encode('hello');
const text = signMessage(key, message, { namespace: 'file' }, noble);
const good = parseSignature(text);

const isUsageError = (error: Error) => error instanceof UsageError;

/** An armoured blob of these parts. */
function made(parts: {
  magic?: string;
  version?: number;
  key?: Uint8Array;
  namespace?: string;
  hash?: string;
  tail?: string;
}) {
  const blob = new Writer()
    .raw(new TextEncoder().encode(parts.magic ?? 'SSHSIG'))
    .uint32(parts.version ?? 1)
    .string(parts.key ?? key.blob)
    .string(parts.namespace ?? 'file')
    .string('reserved for later')
    .string(parts.hash ?? 'sha512')
    .string(good.signature)
    .raw(new TextEncoder().encode(parts.tail ?? ''))
    .finish();
  return `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(blob).toString('base64')}\n-----END SSH SIGNATURE-----\n`;
}

test('the signed bytes are those of PROTOCOL.sshsig', () => {
  const reader = new Reader(signatureInput(message, 'file', 'sha256'));
  assert.is(new TextDecoder().decode(reader.raw(6)), 'SSHSIG');
  assert.is(reader.text(), 'file');
  assert.is(reader.string().length, 0);
  assert.is(reader.text(), 'sha256');
  assert.is(
    Buffer.from(reader.string()).toString('hex'),
    '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', // SHA-256 of "hello"
  );
  reader.finish();
});

test('a signature counts for its message, namespace and hash only', () => {
  assert.is(verifySignature(good, message, 'file', noble), undefined);
  assert.match(String(verifySignature(good, message.subarray(1), 'file', noble)), /^the signature is wrong$/);
  assert.match(String(verifySignature(good, message, 'git', noble)), /is for "file", not for "git"/);
  assert.match(String(verifySignature({ ...good, namespace: 'git' }, message, 'git', noble)), /is wrong/);
  assert.match(String(verifySignature({ ...good, hash: 'sha256' }, message, 'file', noble)), /is wrong/);
  const other = parsePrivateKey(fixture('ed25519-nocomment'));
  assert.match(String(verifySignature({ ...good, key: other.blob }, message, 'file', noble)), /is wrong/);
  const rsa = parsePrivateKey(fixture('rsa3072'));
  const sha1 = new Writer().string('ssh-rsa').string(new Uint8Array(384)).finish();
  assert.match(
    String(verifySignature({ ...good, key: rsa.blob, signature: sha1 }, message, 'file', noble)),
    /made with "ssh-rsa", which is not supported for keys of type "ssh-rsa"/,
  );
  for (const signature of [new Uint8Array(0), Uint8Array.of(0, 0, 0, 9)])
    assert.match(String(verifySignature({ ...good, signature }, message, 'file', noble)), /made with ""/);
});

test('a session’s signature is no SSHSIG, and the other way round', () => {
  const bare = noble.signatures[0].sign(key, message, noble.random);
  assert.match(String(verifySignature({ ...good, signature: bare }, message, 'file', noble)), /is wrong/);
});

test('damaged files', () => {
  assert.equal(parseSignature(made({})).signature, good.signature);
  assert.equal(parseSignature(formatSignature(good)), good);
  assert.equal(parseSignature(text.replaceAll('\n', '\r\n')), good);
  refuses(() => parseSignature(made({ magic: 'SSHSIX' })), /does not begin with "SSHSIG"/);
  refuses(() => parseSignature(made({ version: 2 })), /version 2/);
  refuses(() => parseSignature(made({ namespace: '' })), /empty namespace/);
  refuses(() => parseSignature(made({ namespace: 'a\0' })), /NUL/);
  refuses(() => parseSignature(made({ hash: 'md5' })), /"md5"/);
  refuses(() => parseSignature(made({ key: new Uint8Array(3) })), /damaged/);
  refuses(() => parseSignature(made({ tail: 'x' })), /trailing/);
  refuses(() => parseSignature(text.replace('-----END', '')), /cut off/);
  assert.equal(parseSignature(`${text}x`), good);
  refuses(() => parseSignature(fixture('ed25519')), /no signature: .*OPENSSH PRIVATE KEY/);
  refuses(() => parseSignature(''), /has no "-----BEGIN/);
  refuses(() => parseSignature('x'.repeat(2 ** 20 + 1)), /too large/);
});

test('any damage to a file: an error in its form, or a signature that is wrong', () => {
  const next = seeded(3);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let round = 0; round < 400; round++) {
    const at = 30 + Math.floor(next() * (text.length - 62));
    const damaged = text.slice(0, at) + alphabet[Math.floor(next() * 64)] + text.slice(at + 1);
    if (damaged === text) continue;
    try {
      const signature = parseSignature(damaged);
      assert.is.not(verifySignature(signature, message, 'file', noble), undefined, `round ${round}`);
    } catch (error) {
      assert.instance(error, KeyFormatError, (error as Error).stack);
    }
  }
});

test('by a security token: one that nobody touched counts only for who says so', () => {
  for (const token of [new Token('ed25519'), new Token('ecdsa')]) {
    const verify = (flags: number, options?: { untouched: boolean }) => {
      const signature = token.sign(signatureInput(message, 'file', 'sha512'), { flags });
      const text = formatSignature({ key: token.blob, namespace: 'file', hash: 'sha512', signature });
      return verifySignature(parseSignature(text), message, 'file', noble, options);
    };
    assert.is(verify(TOUCHED), undefined);
    assert.match(String(verify(0)), /security token that nobody has touched$/);
    assert.is(verify(0, { untouched: true }), undefined);
  }
});

test('what makes no sense is the caller’s fault', () => {
  assert.throws(() => signMessage(key, message, { namespace: '' }, noble), isUsageError);
  assert.throws(() => signMessage(key, message, { namespace: 'a\0b' }, noble), isUsageError);
  assert.throws(() => signMessage(key, () => new Uint8Array(5), { namespace: 'a' }, noble), isUsageError);
  assert.throws(() => signMessage({ ...key, type: 'none' }, message, { namespace: 'a' }, noble), isUsageError);
});

const policy = (iso: string) => ({ now: Date.parse(iso), provider: noble });
const entriesOf = (...lines: string[]): AllowedSigner[] => parseAllowedSigners(lines.join('\n')).entries;

test('times of allowed signers: from the first second on, to the end of the last', () => {
  const entries = entriesOf(`a valid-after="20240101120000Z",valid-before="20240102120000Z" ${line}`);
  const at = (iso: string) => checkSigner(entries, 'a', good, policy(iso));
  assert.match(String(at('2024-01-01T11:59:59.999Z')), /line 1 is not valid before 2024-01-01T12:00:00/);
  assert.is(at('2024-01-01T12:00:00Z'), undefined);
  assert.is(at('2024-01-02T12:00:00.999Z'), undefined);
  assert.match(String(at('2024-01-02T12:00:01Z')), /line 1 is not valid after 2024-01-02T12:00:00/);
});

test('a later line may allow what an earlier one does not; the first reason is told', () => {
  const now = policy('2024-01-01T00:00:00Z');
  const early = `a valid-before="20200101Z" ${line}`;
  assert.is(checkSigner(entriesOf(early, `a ${line}`), 'a', good, now), undefined);
  assert.match(String(checkSigner(entriesOf(early, `a namespaces="x" ${line}`), 'a', good, now)), /line 1/);
});

test('lines that are not understood are named, and allow nothing', () => {
  const bad: [string, RegExp][] = [
    ['a', /holds no key after "a"/],
    [`a ssh-ed25519 AAAA`, /damaged/],
    [`a no-pty ${line}`, /option no-pty is not supported/],
    [`a cert-authority="x" ${line}`, /option cert-authority is not supported/],
    [`a namespaces ${line}`, /option namespaces is not supported/],
    [`a namespaces="x",namespaces="y" ${line}`, /more than one option namespaces/],
    [`a valid-after="x" ${line}`, /valid-after "x" is not of the form/],
    [`a valid-after="20240102",valid-before="20240101" ${line}`, /valid-before is not after/],
    [`"a ${line}`, /principals/],
  ];
  const { entries, problems } = parseAllowedSigners(['', '# c', ...bad.map(([text]) => text), `b ${line}`].join('\n'));
  assert.equal(
    problems.map(({ line }) => line),
    bad.map((_, i) => i + 3),
  );
  bad.forEach(([text, sentence], i) => {
    assert.match(problems[i].message, sentence, text);
  });
  assert.equal(
    entries.map(({ principals, line }) => [principals, line]),
    [['b', bad.length + 3]],
  );
});

test.run();
