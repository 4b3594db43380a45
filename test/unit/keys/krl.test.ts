// Revocation lists: what is revoked by what, every form of serial numbers, damage named, and no list that lets in what it does not understand.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  checkRevoked,
  encodeBase64,
  FOREVER,
  fingerprint,
  formatKrl,
  formatPublicKey,
  issueCertificate,
  type Krl,
  makeKrl,
  parseKrl,
  parseRevokedKeys,
  publicOf,
  type Revocations,
} from '../../../src/crypto/keys/index.ts';
import { mergeRanges } from '../../../src/crypto/keys/krl.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { KeyFormatError, UsageError } from '../../../src/protocol/errors.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { refuses, seeded } from './files.ts';

const generate = () => byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random);
const [ca, otherCa, user, other] = [generate(), generate(), generate(), generate()];
const header = { generated: 1_700_000_000n };
const krl = (revocations: Revocations) => parseKrl(formatKrl(makeKrl(revocations, header)));

const certificate = (serial: bigint, keyId = 'id', authority = ca, key = user) =>
  issueCertificate(
    { ...{ key: publicOf(key), kind: 'user', keyId, principals: ['p'], validAfter: 0n, validBefore: FOREVER }, serial },
    authority,
    noble,
  );

test('a key is revoked as it is, by either hash, and by its fingerprint; the other is not', () => {
  const lists = [
    krl({ keys: [user.blob] }),
    krl({ sha1: [user.blob] }),
    krl({ sha256: [user.blob] }),
    krl({ fingerprints: [fingerprint(user.blob)] }),
  ];
  for (const list of lists) {
    assert.match(String(checkRevoked(list, user.blob)), /^is revoked by its key, SHA256:/);
    assert.is(checkRevoked(list, other.blob), undefined);
    // A certificate is no way around it.
    assert.match(String(checkRevoked(list, certificate(1n))), /is revoked by its key, .*of the key in the certificate/);
    assert.is(checkRevoked(list, certificate(1n, 'id', ca, other)), undefined);
  }
});

test('an authority that is revoked takes its certificates with it', () => {
  for (const list of [krl({ keys: [ca.blob] }), krl({ sha256: [ca.blob] })]) {
    assert.match(String(checkRevoked(list, certificate(1n))), /is by an authority that is revoked/);
    assert.is(checkRevoked(list, certificate(1n, 'id', otherCa)), undefined);
  }
});

test('serial numbers and ids count for their authority, or for all', () => {
  const list = krl({
    certificates: [
      { authority: ca.blob, serials: [7n], keyIds: ['gone'] },
      { serials: [9n], keyIds: ['nobody'] },
    ],
  });
  const check = (serial: bigint, id?: string, by?: typeof ca) => checkRevoked(list, certificate(serial, id, by));
  assert.match(String(check(7n)), /^is revoked by its serial number, 7$/);
  assert.is(check(7n, 'id', otherCa), undefined);
  assert.match(String(check(9n, 'id', otherCa)), /serial number, 9/);
  assert.match(String(check(1n, 'gone')), /^is revoked by its key id, "gone"$/);
  assert.is(check(1n, 'gone', otherCa), undefined);
  assert.match(String(check(1n, 'nobody', otherCa)), /key id/);
  assert.is(check(1n, 'gon'), undefined);
  assert.is(checkRevoked(list, user.blob), undefined);
});

test('a certificate without a number is not revoked by number, not even by a range', () => {
  const list = krl({ certificates: [{ serials: [{ from: 1n, to: 2n ** 64n - 1n }] }] });
  assert.is(checkRevoked(list, certificate(0n)), undefined);
  for (const serial of [1n, 2n ** 32n, 2n ** 64n - 1n]) assert.ok(checkRevoked(list, certificate(serial)));
});

/** Whether the list has this serial, for any authority. */
const has = (list: Krl, serial: bigint) =>
  list.certificates.some(({ serials }) => serials.some(({ from, to }) => from <= serial && serial <= to));

test('any serial numbers, written in whatever form is shortest, are read back as they were', () => {
  const next = seeded(9);
  const pick = (below: number) => Math.floor(next() * below);
  for (let round = 0; round < 60; round++) {
    const ranges = [];
    let at = BigInt(1 + pick(1000)) << BigInt(pick(50));
    for (let n = 1 + pick(200); n > 0; n--) {
      const from = at + BigInt(1 + (next() < 0.7 ? pick(12) : pick(5000)));
      const to = next() < 0.7 ? from : from + BigInt(pick(next() < 0.5 ? 20 : 20_000));
      ranges.push({ from, to });
      at = to;
    }
    const list = krl({ certificates: [{ serials: ranges }] });
    assert.equal(
      list.certificates,
      [{ authority: undefined, serials: mergeRanges(ranges), keyIds: new Set() }],
      `${round}`,
    );
  }
});

test('the largest numbers, and bitmaps up to the length that OpenSSH reads', () => {
  const top = 2n ** 64n - 1n;
  const ends = krl({ certificates: [{ serials: [top, top - 2n, top - 4n, top - 5n] }] });
  assert.ok(has(ends, top) && !has(ends, top - 1n) && has(ends, top - 5n));
  const every2 = Array.from({ length: 20_000 }, (_, i) => BigInt(2 * i + 1));
  const bytes = formatKrl(makeKrl({ certificates: [{ serials: every2 }] }, header));
  // One bit for each number and not 8 bytes.
  assert.ok(bytes.length < 6000, `${bytes.length} bytes`);
  assert.equal(parseKrl(bytes).certificates[0].serials.length, 20_000);
});

test('ranges that overlap, touch, or lie in each other become one', () => {
  const ranges = (...pairs: [number, number][]) => pairs.map(([from, to]) => ({ from: BigInt(from), to: BigInt(to) }));
  assert.equal(mergeRanges(ranges([5, 9], [1, 3], [4, 4], [6, 7], [11, 12])), ranges([1, 9], [11, 12]));
  assert.equal(mergeRanges([]), []);
});

test('header, and a list that is added to', () => {
  const first = makeKrl(
    { keys: [user.blob], certificates: [{ authority: ca.blob, serials: [1n], keyIds: ['a'] }] },
    { version: 3n, generated: 5n, comment: 'first' },
  );
  const second = makeKrl(
    { keys: [other.blob], certificates: [{ authority: ca.blob, serials: [2n], keyIds: ['b'] }, { serials: [1n] }] },
    { version: 4n, generated: 6n },
    first,
  );
  assert.equal(parseKrl(formatKrl(first)), first);
  assert.equal(parseKrl(formatKrl(second)), second);
  assert.equal([second.version, second.generated, second.comment], [4n, 6n, 'first']);
  assert.is(second.keys.size, 2);
  assert.equal(second.certificates, [
    { authority: encodeBase64(ca.blob), serials: [{ from: 1n, to: 2n }], keyIds: new Set(['a', 'b']) },
    { authority: undefined, serials: [{ from: 1n, to: 1n }], keyIds: new Set() },
  ]);
  assert.is(first.keys.size, 1);
});

test('what makes no sense is not written', () => {
  const usage = (body: () => unknown) => assert.throws(body, (error: Error) => error instanceof UsageError);
  for (const serials of [[0n], [-1n], [2n ** 64n], [{ from: 2n, to: 1n }]])
    usage(() => makeKrl({ certificates: [{ serials }] }, header));
  usage(() => makeKrl({ keys: [certificate(1n)] }, header));
  refuses(() => makeKrl({ fingerprints: ['SHA256:abc'] }, header), /fingerprint has the form/);
});

/** A list of these sections, after a header that may be wrong. */
function made(sections: [number, Uint8Array, Uint8Array?][], parts: { magic?: string; format?: number } = {}) {
  const writer = new Writer()
    .raw(new TextEncoder().encode(parts.magic ?? 'SSHKRL\n\0'))
    .uint32(parts.format ?? 1)
    .uint64(1n)
    .uint64(2n)
    .uint64(0n)
    .string('reserved')
    .string('comment');
  for (const [type, content, more] of sections) {
    writer.byte(type).string(content);
    if (more) writer.string(more);
  }
  return writer.finish();
}

/** A section on certificates with one part. */
const part = (type: number, content: Uint8Array): [number, Uint8Array] => [
  1,
  new Writer().string(ca.blob).string('').byte(type).string(content).finish(),
];

test('sections and extensions: what is critical or unknown is refused, what is optional is passed over', () => {
  const extension = (critical: boolean) => new Writer().string('x@y').boolean(critical).string('content').finish();
  assert.equal(parseKrl(made([[255, extension(false)], part(0x39, extension(false))])).comment, 'comment');
  refuses(() => parseKrl(made([[255, extension(true)]])), /critical extension "x@y", which is not supported/);
  refuses(() => parseKrl(made([part(0x39, extension(true))])), /critical extension "x@y"/);
  refuses(() => parseKrl(made([[6, new Uint8Array(0)]])), /section of an unknown type, 6/);
  refuses(() => parseKrl(made([part(0x24, new Uint8Array(0))])), /section on certificates of an unknown type, 36/);
  refuses(() => parseKrl(made([[255, new Uint8Array([...extension(false), 0])]])), /trailing/);
});

test('signatures are passed over, at the end', () => {
  const key: [number, Uint8Array] = [2, new Writer().string(user.blob).finish()];
  const signature: [number, Uint8Array, Uint8Array] = [4, ca.blob, new Uint8Array(5)];
  assert.ok(checkRevoked(parseKrl(made([key, signature, signature])), user.blob));
  refuses(() => parseKrl(made([signature, key])), /goes on after its signature/);
  refuses(() => parseKrl(made([key, [4, ca.blob]])), /runs past the end/);
});

test('damaged lists', () => {
  const u64 = (...numbers: bigint[]) => numbers.reduce((writer, n) => writer.uint64(n), new Writer()).finish();
  refuses(() => parseKrl(made([], { magic: 'SSHKRL\n\x01' })), /does not begin with "SSHKRL"/);
  refuses(() => parseKrl(made([], { format: 2 })), /format 2/);
  refuses(() => parseKrl(made([[3, new Writer().string(new Uint8Array(19)).finish()]])), /19 bytes where 20/);
  refuses(() => parseKrl(made([[5, new Writer().string(new Uint8Array(20)).finish()]])), /20 bytes where 32/);
  refuses(() => parseKrl(made([part(0x20, u64(0n))])), /serial numbers from 0 to 0/);
  refuses(() => parseKrl(made([part(0x21, u64(2n, 1n))])), /serial numbers from 2 to 1/);
  refuses(() => parseKrl(made([part(0x21, u64(1n, 2n, 3n))])), /trailing/);
  refuses(() => parseKrl(made([part(0x20, new Uint8Array(7))])), /runs past the end/);
  const bitmap = (offset: bigint, bits: Iterable<number>) =>
    new Writer().uint64(offset).mpint(Uint8Array.from(bits)).finish();
  assert.equal(parseKrl(made([part(0x22, bitmap(8n, [0b101]))])).certificates[0].serials, [
    { from: 8n, to: 8n },
    { from: 10n, to: 10n },
  ]);
  refuses(() => parseKrl(made([part(0x22, bitmap(2n ** 64n - 1n, [0b11]))])), /more than 64 bits/);
  const most = new Uint8Array(300_000).fill(0x55);
  refuses(() => parseKrl(made([part(0x22, bitmap(1n, most))])), /more than 1048576 ranges/);
  refuses(() => parseKrl(new Uint8Array(16 * 1024 * 1024 + 1)), /longer than/);
});

test('cut at every length, and damaged anywhere: a list or a KeyFormatError', () => {
  const bytes = formatKrl(
    makeKrl(
      {
        keys: [user.blob],
        sha1: [other.blob],
        sha256: [ca.blob],
        certificates: [{ authority: ca.blob, serials: [1n, 2n, 9n, { from: 100n, to: 2000n }], keyIds: ['a', 'b'] }],
      },
      header,
    ),
  );
  const end = bytes.length;
  for (let length = 0; length < end; length++)
    try {
      // Cut between two sections, a shorter list is left.
      const { keys } = parseKrl(bytes.subarray(0, length));
      assert.not(keys.size > 0 && length < end - 100);
    } catch (error) {
      assert.instance(error, KeyFormatError, (error as Error).stack);
    }
  const next = seeded(4);
  for (let round = 0; round < 1000; round++) {
    const damaged = bytes.slice();
    damaged[Math.floor(next() * end)] = next() * 256;
    try {
      checkRevoked(parseKrl(damaged), user.blob);
    } catch (error) {
      assert.instance(error, KeyFormatError, (error as Error).stack);
    }
  }
});

test('a list in plain text: keys, certificates, comments; a line that makes no sense is no way in', () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  const cert = `ssh-ed25519-cert-v01@openssh.com ${encodeBase64(certificate(5n))} comment`;
  const list = parseRevokedKeys(
    encode(`# revoked\n\n${formatPublicKey(publicOf(other))} comment\r\n${cert}\nssh-dss AAAA old\n`),
  );
  assert.ok(checkRevoked(list, other.blob));
  assert.ok(checkRevoked(list, user.blob));
  assert.is(checkRevoked(list, ca.blob), undefined);
  refuses(() => parseRevokedKeys(encode('\nhello')), /^line 2 makes no sense: /);
  refuses(() => parseRevokedKeys(encode('ssh-ed25519 AAAA')), /^line 1 makes no sense: .*damaged/);
  refuses(() => parseRevokedKeys(Uint8Array.of(0xff)), /^line 1 makes no sense: /);
  const latin1 = Buffer.from(`# caf\xe9\n${formatPublicKey(publicOf(other))} caf\xe9\n`, 'latin1');
  assert.ok(checkRevoked(parseRevokedKeys(latin1), other.blob));
  assert.ok(checkRevoked(parseRevokedKeys(formatKrl(makeKrl({ keys: [user.blob] }, header))), user.blob));
});

test('hashes are in ascending order, as the format wants them', () => {
  const keys = Array.from({ length: 40 }, generate).map(({ blob }) => blob);
  const bytes = Buffer.from(formatKrl(makeKrl({ sha256: keys }, header)));
  const places = keys
    .map(blob => createHash('sha256').update(blob).digest())
    .sort(Buffer.compare)
    .map(hash => bytes.indexOf(hash));
  assert.ok(places.every((place, i) => place > (places[i - 1] ?? 0)));
});

test.run();
