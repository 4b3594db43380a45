// Certificates (PROTOCOL.certkeys): what is read, what is refused and in which words, what is issued, and damage at every byte.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { certified } from '../../../src/crypto/certificates.ts';
import {
  type Certificate,
  type CertificateRequest,
  type CertificateUse,
  certificateName,
  certificateTypeNames,
  certifiedKey,
  checkCertificate,
  describeCertificate,
  FOREVER,
  fingerprint,
  formatCertificate,
  isCertificate,
  issueCertificate,
  keyTypeNames,
  parseCertificate,
  parseCertificateLine,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName, type PrivateKey } from '../../../src/crypto/provider.ts';
import { KeyFormatError, UsageError } from '../../../src/protocol/errors.ts';
import { concat, encodeUtf8, equalBytes, Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { Token } from '../../kit/token.ts';
import { fixture, refuses } from './files.ts';

const make = (name: string): PrivateKey => byName(accelerated.signatures, name)!.generate(accelerated.random, name);
const authority = make('ssh-ed25519');
const user = make('ssh-ed25519');
const ecdsa = make('ecdsa-sha2-nistp256');
const token = new Token('ecdsa');

/** 2026-01-01 in milliseconds, and a day around it in seconds. */
const NOW = Date.UTC(2026, 0, 1);
const DAY = { validAfter: BigInt(NOW / 1000), validBefore: BigInt(NOW / 1000 + 86_400) };

const request = (changes: Partial<CertificateRequest> = {}): CertificateRequest => ({
  ...{ key: publicOf(user), kind: 'user', keyId: 'alice of test', principals: ['alice', 'admin'], ...DAY },
  ...changes,
});
const issue = (changes: Partial<CertificateRequest> = {}, by = authority, algorithm?: string): Certificate =>
  parseCertificate(issueCertificate(request(changes), by, noble, algorithm));

const use = (changes: Partial<CertificateUse> = {}): CertificateUse => ({
  kind: 'user',
  principals: ['alice'],
  now: NOW,
  authority: key => equalBytes(key, authority.blob),
  provider: noble,
  ...changes,
});
const check = (certificate: Certificate, changes?: Partial<CertificateUse>) =>
  checkCertificate(certificate, use(changes));

/** A certificate put together by hand and signed rightly, whatever stands in it. */
interface Raw {
  type?: string;
  kind?: number;
  keyId?: Uint8Array | string;
  principals?: Uint8Array;
  critical?: Uint8Array;
  extensions?: Uint8Array;
  signatureKey?: Uint8Array;
  sign?: (data: Uint8Array) => Uint8Array;
  after?: Uint8Array;
}

function raw(changes: Raw = {}): Uint8Array {
  const key = new Reader(user.blob);
  key.string();
  const signed = new Writer()
    .string(changes.type ?? 'ssh-ed25519-cert-v01@openssh.com')
    .string(new Uint8Array(32))
    .raw(key.rest())
    .uint64(7n)
    .uint32(changes.kind ?? 1)
    .string(changes.keyId ?? 'id')
    .string(changes.principals ?? strings('alice'))
    .uint64(DAY.validAfter)
    .uint64(DAY.validBefore)
    .string(changes.critical ?? '')
    .string(changes.extensions ?? '')
    .string('')
    .string(changes.signatureKey ?? authority.blob)
    .finish();
  const sign = changes.sign ?? ((data: Uint8Array) => noble.signatures[0].sign(authority, data, noble.random));
  return concat(new Writer().raw(signed).string(sign(signed)).finish(), changes.after ?? new Uint8Array(0));
}

function strings(...values: (string | Uint8Array)[]): Uint8Array {
  const writer = new Writer();
  for (const value of values) writer.string(value);
  return writer.finish();
}

test('names: of each key type, and of algorithms', () => {
  assert.is(certificateName('ssh-ed25519'), 'ssh-ed25519-cert-v01@openssh.com');
  assert.is(certificateName('rsa-sha2-512'), 'rsa-sha2-512-cert-v01@openssh.com');
  assert.is(certificateName('sk-ssh-ed25519@openssh.com'), 'sk-ssh-ed25519-cert-v01@openssh.com');
  assert.equal(certificateTypeNames, keyTypeNames.map(certificateName));
});

test('what is issued is what is read', () => {
  const given = request({
    serial: 2n ** 64n - 1n,
    criticalOptions: { 'force-command': 'ls -l', 'source-address': '10.0.0.0/8,::1', 'verify-required': true },
    extensions: { ...STANDARD_EXTENSIONS, 'login@example.org': 'Ä', 'raw@example.org': Uint8Array.of(1, 2) },
  });
  const read = parseCertificate(issueCertificate(given, authority, noble), 'a comment');
  assert.is(read.type, 'ssh-ed25519-cert-v01@openssh.com');
  assert.equal(read.key.blob, user.blob);
  assert.is(read.key.type, 'ssh-ed25519');
  assert.is(read.serial, 2n ** 64n - 1n);
  assert.is(read.kind, 'user');
  assert.is(read.keyId, 'alice of test');
  assert.equal(read.principals, ['alice', 'admin']);
  assert.is(read.validAfter, DAY.validAfter);
  assert.is(read.validBefore, DAY.validBefore);
  assert.equal([...read.criticalOptions.keys()], ['force-command', 'source-address', 'verify-required']);
  assert.equal(read.criticalOptions.get('force-command'), new Writer().string('ls -l').finish());
  assert.is(read.criticalOptions.get('verify-required')!.length, 0);
  assert.equal([...read.extensions.keys()], [...Object.keys(given.extensions!)].sort());
  assert.equal([...read.extensions.get('raw@example.org')!], [1, 2]);
  assert.equal(read.signatureKey.blob, authority.blob);
  assert.is(read.nonce.length, 32);
  assert.is(read.comment, 'a comment');
  assert.is(
    describeCertificate(read),
    `certificate "alice of test" (serial 18446744073709551615) signed by ED25519 CA ${fingerprint(authority.blob)}`,
  );
  // A nonce is used once.
  assert.not.equal(issue().nonce, issue().nonce);
  assert.is(issue().serial, 0n);
});

test('every type of key can be certified, and every type that signs can be an authority', () => {
  const keys = [user, ecdsa, make('rsa-sha2-256')];
  for (const key of [...keys, token.privateKey, new Token('ed25519').privateKey]) {
    for (const by of keys) {
      const certificate = issue({ key: publicOf(key) }, by);
      assert.is(certificate.type, certificateName(key.type));
      assert.equal(certificate.key.blob, key.blob);
      assert.is(check(certificate, { authority: blob => equalBytes(blob, by.blob) }), undefined);
    }
  }
});

test('an RSA authority signs with SHA-512, or with SHA-256 if asked to', () => {
  const rsa = make('rsa-sha2-256');
  assert.is(new Reader(issue({}, rsa).signature).name(), 'rsa-sha2-512');
  assert.is(new Reader(issue({}, rsa, 'rsa-sha2-256').signature).name(), 'rsa-sha2-256');
  assert.throws(() => issue({}, rsa, 'ssh-ed25519'), /cannot sign certificates with ssh-ed25519/);
});

test('what makes no sense is not issued', () => {
  const refused = (changes: Partial<CertificateRequest>, sentence: RegExp) => {
    try {
      issue(changes);
    } catch (error) {
      assert.instance(error, UsageError);
      assert.match((error as Error).message, sentence);
      return;
    }
    assert.unreachable(`issued, expected ${sentence}`);
  };
  refused({ principals: [] }, /at least one principal/);
  refused({ principals: Array.from({ length: 257 }, (_, i) => `p${i}`) }, /256 principals, not 257/);
  for (const name of ['', 'a,b', 'a b', 'a\nb', 'a\u0000']) refused({ principals: [name] }, /cannot be a principal/);
  refused({ keyId: 'a\nb' }, /printable/);
  refused({ validBefore: DAY.validAfter }, /never valid/);
  refused({ validBefore: 2n ** 64n }, /64 bits/);
  refused({ serial: -1n }, /64 bits/);
  refused({ key: { type: 'ssh-dss', blob: user.blob } }, /"ssh-dss" cannot be certified/);
  refused({ key: { type: 'ssh-rsa', blob: user.blob } }, /no certificate can be made/);
  const certificate = issue();
  refused({ key: { type: certificate.type, blob: certificate.blob } }, /cannot be certified/);
  refused({ criticalOptions: { 'source-address': '10.0.0.0/99' } }, /source-address/);
  refused({ criticalOptions: { 'source-address': '!10.0.0.1' } }, /source-address/);
  refused({ criticalOptions: { 'source-address': 'example.org' } }, /source-address/);
  refused({ criticalOptions: { 'source-address': true } }, /source-address/);
  refused({ criticalOptions: { 'force-command': true } }, /force-command is the command/);
  refused({ criticalOptions: { 'verify-required': 'yes' } }, /verify-required has no value/);
  refused({ kind: 'host', criticalOptions: { 'force-command': 'ls' } }, /no options for host certificates/);
  refused({ kind: 'host', extensions: STANDARD_EXTENSIONS }, /no options for host certificates/);
  assert.throws(() => issue({}, token.privateKey), /signs in its security token/);
  assert.throws(() => issue({}, certifiedKey(user, certificate)), /cannot sign certificates/);
});

// The check, rule by rule

test('a good certificate is good, for each of its principals, from its first second to its last', () => {
  const certificate = issue({ extensions: STANDARD_EXTENSIONS });
  assert.is(check(certificate), undefined);
  assert.is(check(certificate, { principals: ['nobody', 'admin'] }), undefined);
  assert.is(check(certificate, { now: NOW }), undefined);
  assert.is(check(certificate, { now: NOW + 86_399_999 }), undefined);
  assert.is(check(issue({ validAfter: 0n, validBefore: FOREVER }), { now: 0 }), undefined);
  assert.is(check(certificate, { principals: undefined }), undefined);
});

test('refused: expired, or not yet valid', () => {
  assert.is(check(issue(), { now: NOW + 86_400_000 }), 'expired at 2026-01-02T00:00:00Z');
  assert.is(check(issue(), { now: NOW - 1 }), 'is not valid before 2026-01-01T00:00:00Z');
  assert.match(check(issue({ validAfter: FOREVER - 1n, validBefore: FOREVER }))!, /is not valid before second 1844\d+/);
});

test('refused: a host certificate for a user, and the other way round', () => {
  assert.is(check(issue({ kind: 'host' })), 'is for a host, not for a user');
  assert.is(check(issue(), { kind: 'host' }), 'is for a user, not for a host');
});

test('refused: another principal; user names are compared as they stand, patterns are none in them', () => {
  const certificate = issue({ principals: ['Alice', '*', 'a?'] });
  for (const name of ['alice', 'anybody', 'ab', ''])
    assert.match(
      check(certificate, { principals: [name] })!,
      /^is not for ".*": its principals are "Alice", "\*", "a\?"$/,
    );
  assert.is(check(certificate, { principals: ['*'] }), undefined);
  assert.match(check(certificate, { principals: [] })!, /^is not for anybody/);
});

test('refused: an empty list of principals, even when names are compared elsewhere', () => {
  const empty = parseCertificate(raw({ principals: new Uint8Array(0) }));
  assert.is(check(empty), 'has an empty list of principals');
  assert.is(check(empty, { principals: undefined }), 'has an empty list of principals');
  assert.match(check(parseCertificate(raw({ principals: strings('') })))!, /is not for "alice"/);
});

test('host names: patterns, and no notice of case', () => {
  const certificate = issue({ kind: 'host', principals: ['*.Example.org', 'db?'] });
  const host = (name: string) => check(certificate, { kind: 'host', principals: [name] });
  for (const name of ['a.example.org', 'A.EXAMPLE.ORG', 'a.b.example.org', 'db1'])
    assert.is(host(name), undefined, name);
  for (const name of ['example.org', 'db', 'db12', 'example.com']) assert.match(host(name)!, /^is not for/, name);
});

test('refused: a foreign authority, and a signature that is not the authority’s', () => {
  assert.is(check(issue({}, user)), `is signed by a foreign authority, ${fingerprint(user.blob)}`);
  // A forger names the authority and signs himself.
  const forged = raw({ sign: data => noble.signatures[0].sign(user, data, noble.random) });
  assert.is(check(parseCertificate(forged)), 'has a wrong signature');
  const { blob } = issue();
  // Every bit of what is signed is covered.
  const signed = blob.length - 4 - (4 + 11 + 4 + 64);
  let tried = 0;
  for (let at = 0; at < signed; at++) {
    const changed = blob.slice();
    changed[at] ^= 1;
    let certificate: Certificate;
    try {
      certificate = parseCertificate(changed);
    } catch (error) {
      assert.instance(error, KeyFormatError);
      continue;
    }
    assert.type(check(certificate, { principals: undefined }), 'string', `byte ${at}`);
    tried++;
  }
  assert.ok(tried > 100);
});

test('refused: an algorithm that authorities may not use', () => {
  const rsa = make('rsa-sha2-256');
  const mine = { authority: (blob: Uint8Array) => equalBytes(blob, rsa.blob) };
  const sha256 = issue({}, rsa, 'rsa-sha2-256');
  assert.is(check(sha256, mine), undefined);
  assert.match(
    check(sha256, { ...mine, authorityAlgorithms: ['rsa-sha2-512', 'ssh-ed25519'] })!,
    /^is signed with the algorithm "rsa-sha2-256", which is not allowed for authorities$/,
  );
  // As an old CA signed: RSA with SHA-1.
  const sha1 = raw({ signatureKey: rsa.blob, sign: () => strings('ssh-rsa', new Uint8Array(384)) });
  assert.match(check(parseCertificate(sha1), mine)!, /^is signed with the algorithm "ssh-rsa", which is not allowed/);
  assert.match(
    check(parseCertificate(raw({ sign: () => new Uint8Array(0) })))!,
    /the algorithm "", which is not allowed/,
  );
  // The name of an algorithm for certificates in a signature is no way around.
  const odd = raw({ sign: () => strings('ssh-ed25519-cert-v01@openssh.com', new Uint8Array(64)) });
  assert.match(check(parseCertificate(odd))!, /which is not allowed for authorities/);
});

test('refused: a certificate as authority', () => {
  const chained = raw({ signatureKey: issue().blob });
  refuses(() => parseCertificate(chained), /authority is itself a certificate/);
});

test('refused: a critical option that is unknown, or that the caller does not carry out', () => {
  const of = (...critical: (string | Uint8Array)[]) => parseCertificate(raw({ critical: strings(...critical) }));
  assert.is(
    check(of('no-such@example.org', '')),
    'has the critical option no-such@example.org, which is not supported',
  );
  const forced = issue({ criticalOptions: { 'force-command': 'ls' } });
  assert.is(check(forced), 'has the critical option force-command, which is not supported');
  assert.is(check(forced, { enforced: ['force-command'] }), undefined);
  assert.is(check(of('mine@example.org', 'anything'), { enforced: ['mine@example.org'] }), undefined);
  // There are none for hosts.
  const host = parseCertificate(raw({ kind: 2, critical: strings('force-command', strings('ls')) }));
  assert.match(
    check(host, { kind: 'host', enforced: ['force-command'] })!,
    /critical option force-command, which is not supported/,
  );
});

test('refused: options whose value is not what it must be', () => {
  const critical = (name: string, value: Uint8Array) =>
    check(parseCertificate(raw({ critical: strings(name, value) })), {
      address: '10.0.0.1',
      enforced: ['force-command', 'verify-required'],
    });
  assert.match(critical('verify-required', strings('x'))!, /has a value in its option verify-required/);
  assert.match(critical('force-command', encodeUtf8('ls'))!, /option force-command that is damaged/);
  assert.match(critical('force-command', concat(strings('ls'), Uint8Array.of(0)))!, /damaged/);
  assert.match(critical('force-command', strings(Uint8Array.of(0xff)))!, /damaged/);
  assert.match(critical('source-address', new Uint8Array(0))!, /damaged/);
  for (const list of ['', ',', '10.0.0.0/33', '10.0.0.1/8', '*', '10.0.0.*', '!10.0.0.1', 'localhost', '10.0.0.1, ::1'])
    assert.match(critical('source-address', strings(list))!, /source-address that makes no sense/, list);
  const extension = parseCertificate(raw({ extensions: strings('permit-pty', 'x') }));
  assert.match(check(extension)!, /has a value in its option permit-pty/);
});

test('source-address: from there and from nowhere else', () => {
  const certificate = issue({ criticalOptions: { 'source-address': '192.0.2.0/24,2001:db8::/32,198.51.100.7' } });
  for (const address of ['192.0.2.200', '2001:db8:1::1', '::ffff:192.0.2.1', '198.51.100.7'])
    assert.is(check(certificate, { address }), undefined, address);
  for (const address of ['192.0.3.1', '2001:db9::1', '198.51.100.8', 'nonsense'])
    assert.match(check(certificate, { address })!, /^is not to be used from .*: its source-address is 192/, address);
  assert.match(check(certificate)!, /address of the client is not known/);
});

test('extensions that nobody knows are ignored', () => {
  const certificate = issue({ extensions: { 'permit-everything@example.org': 'yes', zzz: true } });
  assert.is(check(certificate), undefined);
});

// What is no certificate

test('options out of order and a key id in Latin-1 are read, as by sshd', () => {
  const { extensions } = parseCertificate(raw({ extensions: strings('permit-pty', '', 'permit-X11', '') }));
  assert.equal([...extensions.keys()], ['permit-pty', 'permit-X11']);
  assert.is(parseCertificate(raw({ keyId: Uint8Array.of(0x63, 0xe9) })).keyId, 'c\ufffd');
});

test('refused in reading: wrong kind, options twice, bytes left over, text that is none', () => {
  refuses(() => parseCertificate(raw({ kind: 0 })), /neither for a user nor for a host \(type 0\)/);
  refuses(() => parseCertificate(raw({ kind: 3 })), /neither for a user nor for a host/);
  refuses(() => parseCertificate(raw({ critical: strings('a', '', 'a', '') })), /has the critical option a twice/);
  refuses(() => parseCertificate(raw({ critical: strings('a', '', 'b', '', 'a', '') })), /option a twice/);
  refuses(() => parseCertificate(raw({ extensions: strings('a') })), /damaged/);
  refuses(() => parseCertificate(raw({ after: Uint8Array.of(0) })), /trailing bytes/);
  refuses(() => parseCertificate(raw({ keyId: 'a\0b' })), /key id contains a NUL/);
  refuses(
    () => parseCertificate(raw({ principals: strings('root\0') })),
    /principal of the certificate contains a NUL/,
  );
  refuses(() => parseCertificate(raw({ principals: Uint8Array.of(0, 0, 0, 1, 0xc3) })), /UTF-8/);
  refuses(() => parseCertificate(raw({ principals: strings(...Array(257).fill('p')) })), /more than 256 principals/);
  assert.is(parseCertificate(raw({ principals: strings(...Array(256).fill('p')) })).principals.length, 256);
});

test('refused in reading: a weak RSA key, in it or as its authority', () => {
  const weak = new Writer()
    .string('ssh-rsa')
    .mpint(Uint8Array.of(1, 0, 1))
    .mpint(new Uint8Array(128).fill(0xff))
    .finish();
  refuses(
    () => parseCertificate(raw({ signatureKey: weak })),
    /authority cannot be used: an RSA key of 1024 bits is too weak/,
  );
  const fields = new Reader(weak);
  fields.string();
  const inside = new Writer().string('ssh-rsa-cert-v01@openssh.com').string('nonce').raw(fields.rest()).finish();
  refuses(() => parseCertificate(inside), /1024 bits is too weak/);
});

test('refused in reading: plain keys, unknown types, and a certificate cut off anywhere', () => {
  refuses(() => parseCertificate(user.blob), /"ssh-ed25519" is no certificate/);
  refuses(
    () => parseCertificate(raw({ type: 'ssh-dss-cert-v01@openssh.com' })),
    /"ssh-dss-cert-v01@openssh.com" are not/,
  );
  const { blob } = issue({ criticalOptions: { 'force-command': 'ls' }, extensions: STANDARD_EXTENSIONS });
  for (let length = 0; length < blob.length; length++) refuses(() => parseCertificate(blob.subarray(0, length)), /./);
  assert.ok(isCertificate(blob));
  assert.not(isCertificate(user.blob));
  assert.not(isCertificate(new Uint8Array(0)));
  assert.not(isCertificate(Uint8Array.of(0, 0, 0, 9, 1)));
});

test('the certificate holds a copy of what it was read from', () => {
  const bytes = issue().blob.slice();
  const certificate = parseCertificate(bytes);
  bytes.fill(0);
  assert.is(check(certificate), undefined);
});

test('the line of a -cert.pub file', () => {
  const certificate = issue();
  const line = formatCertificate({ ...certificate, comment: 'alice@laptop\nevil' });
  assert.match(line, /^ssh-ed25519-cert-v01@openssh\.com AAAA\S+ alice@laptop.evil$/u);
  const read = parseCertificateLine(`${line}\r\n`);
  assert.equal(read.blob, certificate.blob);
  assert.match(read.comment, /^alice@laptop/);
  refuses(() => parseCertificateLine(''), /empty/);
  refuses(() => parseCertificateLine(fixture('ed25519.pub')), /plain public key where a certificate is needed/);
  refuses(() => parseCertificateLine('ssh-ed25519-cert-v01@openssh.com'), /ends after its type/);
  refuses(() => parseCertificateLine('ssh-ed25519-cert-v01@openssh.com AAA'), /base64/);
  refuses(() => parseCertificateLine(line.replace('ssh-ed25519', 'ssh-rsa')), /the line says ssh-rsa-cert/);
  refuses(() => parseCertificateLine('ssh-dss-cert-v01@openssh.com AAAA'), /no type of certificate that we know/);
  refuses(() => parseCertificateLine(`${line}\nx`), /line end/);
  refuses(() => parseCertificateLine(`ssh-ed25519-cert-v01@openssh.com ${'A'.repeat(400_000)}`), /too long/);
});

// Signing with one

test('a key with its certificate signs like the plain one, and verifies by the certificate', () => {
  for (const name of ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256']) {
    const plain = byName(noble.signatures, name)!;
    const algorithm = byName(noble.signatures, certificateName(name))!;
    const key = name.startsWith('rsa') ? make(name) : { 'ssh-ed25519': user, 'ecdsa-sha2-nistp256': ecdsa }[name]!;
    const withIt = certifiedKey(key, issue({ key: publicOf(key) }));
    const data = encodeUtf8('something to sign');
    const signature = algorithm.sign(withIt, data, noble.random);
    assert.is(new Reader(signature).name(), name);
    assert.ok(algorithm.verify(withIt.blob, data, signature));
    assert.ok(plain.verify(key.blob, data, signature));
    assert.not(algorithm.verify(withIt.blob, encodeUtf8('something else'), signature));
    assert.not(algorithm.verify(key.blob, data, signature), 'not by the plain key');
    assert.not(plain.verify(withIt.blob, data, signature), 'nor by the plain algorithm');
    assert.not(
      algorithm.verify(issue({ key: publicOf(authority) }).blob, data, signature),
      'not by another certificate',
    );
    assert.not(algorithm.verify(withIt.blob.subarray(1), data, signature));
    assert.throws(
      () => algorithm.sign(key, data, noble.random),
      (error: Error) => error instanceof UsageError,
    );
    assert.throws(
      () => plain.sign(withIt, data, noble.random),
      (error: Error) => error instanceof UsageError,
    );
    assert.throws(
      () => algorithm.generate(noble.random),
      (error: Error) => error instanceof UsageError,
    );
  }
});

test('a certificate for another key is not joined to it', () => {
  assert.throws(() => certifiedKey(ecdsa, issue()), /for another key/);
});

test('implementations see one and the same plain key, so that they can remember it', () => {
  const seen = new Set<PrivateKey>();
  const [plain] = noble.signatures;
  const algorithm = certified({
    ...plain,
    sign(key, data, random) {
      seen.add(key);
      return plain.sign(key, data, random);
    },
  });
  const key = certifiedKey(user, issue());
  algorithm.sign(key, encodeUtf8('1'), noble.random);
  algorithm.sign(key, encodeUtf8('2'), noble.random);
  assert.is(seen.size, 1);
});

test.run();
