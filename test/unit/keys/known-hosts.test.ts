// known_hosts: every form of line, what it says about a key, the order of algorithms that follows; damage to one line hides no other.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FOREVER,
  fingerprint,
  formatKnownHost,
  hostText,
  issueCertificate,
  type KnownHost,
  lookupHost,
  MAX_KEY_FILE,
  orderHostKeyAlgorithms,
  type PublicKey,
  parseKnownHosts,
  parsePublicKey,
  publicOf,
} from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { UsageError } from '../../../src/protocol/errors.ts';
import { fixture, seeded, seededRandom } from './files.ts';

const ed25519 = parsePublicKey(fixture('ed25519.pub'));
const other = parsePublicKey(fixture('ed25519-nocomment.pub'));
const ecdsa = parsePublicKey(fixture('ecdsa256.pub'));
const rsa = parsePublicKey(fixture('rsa3072.pub'));
const NOW = 1_700_000_000;
const policy = { now: NOW * 1000, provider: noble };

/** The entries of a file that must be all right. */
function good(...lines: string[]): KnownHost[] {
  const { entries, problems } = parseKnownHosts(lines.join('\n'));
  assert.equal(problems, []);
  return entries;
}

const line = (hosts: string, key: PublicKey, marker = '') =>
  `${marker && `@${marker} `}${hosts} ${key.type} ${base64(key)}`;
const base64 = (key: PublicKey) => Buffer.from(key.blob).toString('base64');
const verdict = (entries: KnownHost[], host: string, key: PublicKey | Uint8Array, port?: number) =>
  lookupHost(entries, { host, port }, key instanceof Uint8Array ? key : key.blob, policy);

test('markers, hosts, key and comment of a line; comments, empty lines and line ends of Windows', () => {
  const text = `# a comment\n\n \t\n  # another\n${line('one,two', ed25519)} a comment\r\n${line('*', ecdsa, 'cert-authority')}\n${line('[h]:22', rsa, 'revoked').replaceAll(' ', '\t \t')}`;
  const { entries, problems } = parseKnownHosts(text, '/known');
  assert.equal(problems, []);
  assert.equal(
    entries.map(({ marker, hosts, key, file, line }) => ({
      marker,
      hosts,
      key: key.type,
      comment: key.comment,
      file,
      line,
    })),
    [
      { marker: undefined, hosts: 'one,two', key: 'ssh-ed25519', comment: 'a comment', file: '/known', line: 5 },
      { marker: 'cert-authority', hosts: '*', key: 'ecdsa-sha2-nistp256', comment: '', file: '/known', line: 6 },
      { marker: 'revoked', hosts: '[h]:22', key: 'ssh-rsa', comment: '', file: '/known', line: 7 },
    ],
  );
});

test('bad lines are named with their number, and the others count', () => {
  const cases: [string, RegExp][] = [
    [`@wrong ${line('h', ed25519)}`, /"@wrong" is no marker/],
    [`@revoked @revoked ${line('h', ed25519)}`, /more than one marker/],
    ['@revoked', /holds no key/],
    ['host', /holds no key/],
    ['host ssh-ed25519', /ends after its type/],
    ['host ssh-dss AAAA', /"ssh-dss" are not supported/],
    ['host ssh-ed25519 AAAA', /damaged/],
    ['host 1024 65537 123456', /SSH protocol 1/],
    [line('|1|AAAA|BBBB', ed25519), /20 bytes each/],
    [line('|1|AAAA', ed25519), /form \|1\|salt\|hash/],
    [line('|2|AAAA|BBBB', ed25519), /form \|1\|salt\|hash/],
    [line('|1|A*AA|BBBB', ed25519), /base64/],
    [line('h\u0000', ed25519), /NUL/],
    [line('h\u001b[2J', ed25519), /control character/],
    [`${line('h', ed25519)} ${'x'.repeat(300_000)}`, /longer than/],
    [`\ufeff${line('h', ed25519)}`, /byte order mark/],
  ];
  const text = cases.flatMap(([bad], i) => [bad, line(`good${i}`, ed25519)]).join('\n');
  const { entries, problems } = parseKnownHosts(text);
  assert.equal(
    entries.map(({ hosts, line }) => [hosts, line]),
    cases.map((_, i) => [`good${i}`, 2 * i + 2]),
  );
  assert.equal(
    problems.map(problem => problem.line),
    cases.map((_, i) => 2 * i + 1),
  );
  cases.forEach(([, sentence], i) => {
    assert.match(problems[i].message, sentence);
    assert.not.match(problems[i].message, /[\n\u001b]|\.$/);
  });
  assert.match(parseKnownHosts('x'.repeat(MAX_KEY_FILE + 1)).problems[0].message, /longer than/);
  const many = parseKnownHosts('bad\n'.repeat(1005)).problems;
  assert.is(many.length, 1001);
  assert.match(many[1000].message, /^5 more lines/);
});

test('names, addresses, ports, patterns, negation, and no notice of case', () => {
  const at = (hosts: string, host: string, port?: number) =>
    verdict(good(line(hosts, ed25519)), host, ed25519, port).result === 'match';
  assert.ok(at('example.org', 'example.org'));
  assert.ok(at('EXAMPLE.org', 'example.ORG'));
  assert.ok(at('a,b,c', 'b'));
  for (const hosts of ['b,', ',b', 'a,,b', 'b,!']) assert.ok(at(hosts, 'b'), hosts);
  assert.ok(at('*.example.org', 'www.example.org'));
  assert.not(at('*.example.org', 'example.org'));
  assert.ok(at('h?st', 'host'));
  assert.not(at('h?st', 'hst'));
  assert.ok(at('*,!bad', 'good'));
  assert.not(at('*,!bad', 'bad'));
  assert.not(at('!bad', 'good'));
  assert.ok(at('[example.org]:2222', 'example.org', 2222));
  assert.not(at('[example.org]:2222', 'example.org', 2223));
  assert.not(at('[example.org]:2222', 'example.org'));
  assert.not(at('[example.org]:22', 'example.org'));
  assert.ok(at('[*.example.org]:*', 'www.example.org', 2222));
  assert.ok(at('::1', '::1'));
  assert.ok(at('[::1]:2222', '::1', 2222));
  // As in ssh: the key that the host has on port 22 is a known one on any port.
  assert.ok(at('example.org', 'example.org', 2222));
  assert.is(verdict(good(line('example.org', ed25519)), 'example.org', ecdsa, 2222).result, 'unknown');
  // Unless another one is listed for that port.
  for (const listed of [other, ecdsa]) {
    const lines = good(line('example.org', ed25519), line('[example.org]:2222', listed));
    assert.equal(verdict(lines, 'example.org', ed25519, 2222), { result: 'changed', entries: [lines[1]] });
    assert.is(verdict(lines, 'example.org', ed25519).result, 'match');
  }
});

test('hashed names match the name in any case, with its port', () => {
  const random = seededRandom(5);
  const hashed = formatKnownHost(hostText({ host: 'Example.org', port: 2222 }), ed25519, { hash: random });
  assert.match(hashed, /^\|1\|[A-Za-z0-9+/]{27}=\|[A-Za-z0-9+/]{27}= ssh-ed25519 /);
  const entries = good(hashed);
  assert.is(verdict(entries, 'example.ORG', ed25519, 2222).result, 'match');
  assert.is(verdict(entries, 'example.org', ed25519).result, 'unknown');
  assert.is(verdict(entries, 'example.com', ed25519, 2222).result, 'unknown');
  assert.is.not(hashed, formatKnownHost('[example.org]:2222', ed25519, { hash: random }));
});

test('match, changed with its lines, unknown; several keys of one host', () => {
  const entries = good(line('h', other), line('h', ecdsa), line('elsewhere', ed25519), line('h', rsa));
  assert.equal(verdict(entries, 'h', ecdsa), { result: 'match', entry: entries[1] });
  assert.equal(verdict(entries, 'h', ed25519), { result: 'changed', entries: [entries[0], entries[1], entries[3]] });
  assert.equal(verdict(entries, 'new', ed25519), { result: 'unknown' });
  assert.equal(verdict([], 'new', ed25519), { result: 'unknown' });
});

test('@revoked wins over every other line, wherever it stands, and under the plain name for all ports', () => {
  for (const lines of [
    [line('h', ed25519), line('*', ed25519, 'revoked')],
    [line('*', ed25519, 'revoked'), line('h', ed25519)],
  ]) {
    const found = verdict(good(...lines), 'h', ed25519);
    assert.is(found.result, 'revoked');
    if (found.result === 'revoked') assert.is(found.entry.hosts, '*');
  }
  assert.is(
    verdict(good(line('[h]:2222', ed25519), line('h', ed25519, 'revoked')), 'h', ed25519, 2222).result,
    'revoked',
  );
  assert.is(verdict(good(line('h', ed25519), line('x', ed25519, 'revoked')), 'h', ed25519).result, 'match');
  // A marked line does not make the host known.
  assert.is(verdict(good(line('h', ed25519, 'revoked')), 'h', ecdsa).result, 'unknown');
  assert.is(verdict(good(line('h', ed25519, 'cert-authority')), 'h', ed25519).result, 'unknown');
});

const [caKey, hostKey] = ['a', 'b'].map(() => byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random));
const ca = publicOf(caKey);
const plain = publicOf(hostKey);
const certificate = (options: Partial<Parameters<typeof issueCertificate>[0]> = {}) =>
  issueCertificate(
    {
      ...{
        key: plain,
        kind: 'host',
        keyId: 'id',
        principals: ['h', '*.example.org'],
        validAfter: 0n,
        validBefore: FOREVER,
      },
      ...options,
    } as Parameters<typeof issueCertificate>[0],
    caKey,
    noble,
  );

test('certificates: by an authority for this host, and what each broken rule says', () => {
  const entries = good(line('h,*.example.org', ca, 'cert-authority'));
  assert.equal(verdict(entries, 'h', certificate()), { result: 'certificate', entry: entries[0] });
  assert.is(verdict(entries, 'www.example.org', certificate()).result, 'certificate');
  // An authority for the plain name is one for all ports.
  assert.is(verdict(entries, 'h', certificate(), 2222).result, 'certificate');
  const cases: [KnownHost[], string, Uint8Array, RegExp][] = [
    [entries, 'other', certificate(), /foreign authority/],
    [good(line('*', other, 'cert-authority')), 'h', certificate(), /foreign authority/],
    [good(line('h', ca)), 'h', certificate(), /foreign authority/],
    [entries, 'h', certificate({ principals: ['x'] }), /is not for "h"/],
    [entries, 'h', certificate({ kind: 'user' }), /is for a user, not for a host/],
    [entries, 'h', certificate({ validBefore: BigInt(NOW) }), /expired at/],
    [entries, 'h', certificate({ validAfter: BigInt(NOW) + 1n }), /is not valid before/],
  ];
  for (const [lines, host, blob, reason] of cases) {
    const found = verdict(lines, host, blob);
    assert.match(String((found as { reason?: string }).reason), reason);
    assert.ok(found.result === 'unknown' || found.result === 'changed', found.result);
  }
});

test('a certificate that does not count is taken for the plain key in it', () => {
  const entries = good(line('h', plain));
  assert.is(verdict(entries, 'h', certificate()).result, 'match');
  assert.is(verdict(good(line('h', other)), 'h', certificate()).result, 'changed');
  assert.is(verdict(good(line('h', plain), line('[h]:2222', other)), 'h', certificate(), 2222).result, 'changed');
});

test('a revoked authority, and a revoked key in a good certificate', () => {
  const authority = line('*', ca, 'cert-authority');
  assert.is(verdict(good(authority, line('*', ca, 'revoked')), 'h', certificate()).result, 'revoked');
  assert.is(verdict(good(authority, line('*', plain, 'revoked')), 'h', certificate()).result, 'revoked');
  const whole = `@revoked * ssh-ed25519-cert-v01@openssh.com ${Buffer.from(certificate()).toString('base64')}`;
  assert.is(verdict(good(authority, whole), 'h', certificate({ keyId: 'another' })).result, 'revoked');
});

test('algorithms: what is known comes first, certificates before all if there is an authority', () => {
  const all = noble.signatures;
  const order = (...lines: string[]) => orderHostKeyAlgorithms(good(...lines), { host: 'h' }, all);
  const names = all.map(({ name }) => name);
  assert.equal(order(), names);
  assert.equal(order(line('x', rsa)), names);
  assert.equal(order(line('h', rsa)).slice(0, 2), ['rsa-sha2-512', 'rsa-sha2-256']);
  assert.equal(order(line('h', rsa), line('h', ecdsa)).slice(0, 3), [
    'ecdsa-sha2-nistp256',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ]);
  assert.equal([...order(line('h', rsa))].sort(), [...names].sort());
  const certificates = all.filter(({ plain }) => plain !== undefined).map(({ name }) => name);
  assert.ok(certificates.length > 0);
  const both = order(line('h', rsa), line('*', ca, 'cert-authority'));
  assert.equal(both.slice(0, certificates.length + 1), [...certificates, 'rsa-sha2-512']);
  assert.equal(order(line('h', rsa, 'revoked')), names);
  assert.equal(orderHostKeyAlgorithms(good(line('h', rsa)), { host: 'h', port: 2222 }, all)[0], 'rsa-sha2-512');
});

test('a line is written so that it is read back, or not at all', () => {
  const entries = good(
    formatKnownHost('h', ed25519),
    formatKnownHost(['*.a', '!b.a'], ed25519, { marker: 'cert-authority' }),
    formatKnownHost('[h]:22', ed25519, { marker: 'revoked' }),
  );
  assert.equal(
    entries.map(({ marker, hosts }) => [marker, hosts]),
    [
      [undefined, 'h'],
      ['cert-authority', '*.a,!b.a'],
      ['revoked', '[h]:22'],
    ],
  );
  assert.is(fingerprint(entries[0].key.blob), fingerprint(ed25519.blob));
  for (const name of ['', 'a b', 'a,b', '@a', '#a', '|1', 'a\nb', 'é', 'a\t'])
    assert.throws(
      () => formatKnownHost(name, ed25519),
      (error: Error) => error instanceof UsageError,
    );
  assert.throws(() => formatKnownHost([], ed25519));
  for (const names of [['a', 'b'], ['*.a'], ['!a']])
    assert.throws(() => formatKnownHost(names, ed25519, { hash: seededRandom(1) }), /only one name/);
});

test('random damage: nothing thrown, and never a match for a key that stands in no line', () => {
  const next = seeded(11);
  const text = [line('h', other), line('*', ecdsa), formatKnownHost('h', rsa, { hash: seededRandom(2) })].join('\n');
  for (let round = 0; round < 1000; round++) {
    let damaged = text;
    for (let n = 0; n < 3; n++) {
      const at = Math.floor(next() * damaged.length);
      damaged =
        damaged.slice(0, at) + String.fromCharCode(32 + next() * 95) + damaged.slice(at + (next() < 0.5 ? 1 : 0));
    }
    const { entries } = parseKnownHosts(damaged);
    assert.is.not(verdict(entries, 'h', ed25519).result, 'match');
  }
});

test.run();
