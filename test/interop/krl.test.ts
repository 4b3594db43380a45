// Revocation lists between ssh-keygen -k / -Q and us, in both directions, and a sshd that reads ours.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  checkRevoked,
  fingerprint,
  formatKrl,
  isCertificate,
  type Krl,
  makeKrl,
  parseCertificateLine,
  parseKrl,
  parsePublicKey,
  type Revocations,
} from '../../src/crypto/keys/index.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { keyFile, ssh, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh-keygen');
const real = needs(test, 'ssh', 'sshd', 'ssh-keygen');

/** What ssh-keygen may be asked about: files by name, and the blob in each. */
interface Shelf {
  readonly directory: string;
  readonly files: Map<string, { path: string; blob: Uint8Array }>;
}

/** Plain keys, and certificates of two authorities with some serial numbers and ids. */
async function shelf(scope: Scope): Promise<Shelf> {
  const directory = scope.directory();
  const files: Shelf['files'] = new Map();
  for (const owner of ['alice', 'bob', 'ca', 'ca2']) {
    const path = `${keyFile(owner)}.pub`;
    files.set(owner, { path, blob: parsePublicKey(readFileSync(path, 'utf8')).blob });
  }
  const serials = ['0', '1', '2', '5', '7', '8', '9', '10', '64', '100', '5000', '4294967296', '18446744073709551615'];
  for (const [authority, serial, id] of [
    ...serials.map(serial => ['ca', serial, `id${serial}`]),
    ['ca2', '5', 'id5'],
    ['ca2', '6', 'special'],
    ['ca', '6', 'special'],
  ]) {
    const name = `${authority}-${serial}`;
    const path = join(directory, name);
    writeFileSync(`${path}.pub`, readFileSync(`${keyFile('alice')}.pub`));
    const made = await scope.run('ssh-keygen', [
      '-q',
      '-s',
      keyFile(authority),
      '-I',
      id,
      '-n',
      'p',
      '-z',
      serial,
      `${path}.pub`,
    ]);
    assert.is(made.code, 0, made.stderr);
    const certificate = parseCertificateLine(readFileSync(`${path}-cert.pub`, 'utf8'));
    files.set(name, { path: `${path}-cert.pub`, blob: certificate.blob });
  }
  return { directory, files };
}

/** Asks both about every file on the shelf; the names of those that are revoked. */
async function revoked(scope: Scope, { directory, files }: Shelf, bytes: Uint8Array): Promise<string[]> {
  const path = join(directory, 'list');
  writeFileSync(path, bytes);
  const list = parseKrl(bytes);
  const ours = [...files].filter(([, { blob }]) => checkRevoked(list, blob) !== undefined).map(([name]) => name);
  const { stdout } = await scope.run('ssh-keygen', ['-Q', '-f', path, ...[...files.values()].map(({ path }) => path)]);
  const lines = stdout.toString().trimEnd().split('\n');
  const theirs = [...files].filter((_, i) => lines[i].endsWith('REVOKED')).map(([name]) => name);
  assert.is(lines.length, files.size);
  assert.equal(ours, theirs);
  return ours;
}

it(
  'lists of ssh-keygen’s: by key, hash, fingerprint, serial, range, bitmap and id',
  bounded(180, async scope => {
    const all = await shelf(scope);
    const { directory, files } = all;
    const make = async (specification: string, authority?: string) => {
      const spec = join(directory, 'spec');
      const path = join(directory, 'made');
      writeFileSync(spec, specification);
      const ca = authority ? ['-s', `${keyFile(authority)}.pub`] : [];
      const { code, stderr } = await scope.run('ssh-keygen', ['-q', '-k', '-f', path, '-z', '42', ...ca, spec]);
      assert.is(code, 0, stderr);
      return new Uint8Array(readFileSync(path));
    };
    const line = (name: string) => readFileSync(files.get(name)!.path, 'utf8').trim();
    for (const kind of ['key', 'sha1', 'sha256']) {
      assert.equal(await revoked(scope, all, await make(`${kind}: ${line('bob')}\n`)), ['bob'], kind);
      // Alice's key, and with it every certificate of hers.
      assert.is((await revoked(scope, all, await make(`${kind}: ${line('alice')}\n`))).length, files.size - 3, kind);
    }
    assert.equal(await revoked(scope, all, await make(`hash: ${fingerprint(files.get('bob')!.blob)}\n`)), ['bob']);
    const byCa = await revoked(scope, all, await make(`key: ${line('ca2')}\n`));
    assert.equal(byCa, ['ca2', 'ca2-5', 'ca2-6']);
    const serials =
      'serial: 1\nserial: 2\nserial: 5\nserial: 7-9\nserial: 64\nserial: 4000-6000\nserial: 18446744073709551615\n';
    assert.equal(await revoked(scope, all, await make(serials, 'ca')), [
      'ca-1',
      'ca-2',
      'ca-5',
      'ca-7',
      'ca-8',
      'ca-9',
      'ca-64',
      'ca-5000',
      'ca-18446744073709551615',
    ]);
    // Every other number of many: a bitmap.
    const even = Array.from({ length: 400 }, (_, i) => `serial: ${2 * i + 2}\n`).join('');
    assert.equal(await revoked(scope, all, await make(even, 'ca')), [
      'ca-2',
      'ca-8',
      'ca-10',
      'ca-64',
      'ca-100',
      'ca-6',
    ]);
    assert.equal(await revoked(scope, all, await make('id: special\n', 'ca2')), ['ca2-6']);
    assert.is(parseKrl(await make('id: special\n', 'ca2')).version, 42n);
  }),
);

it(
  'ours are read by ssh-keygen, and it finds the same revoked',
  bounded(180, async scope => {
    const all = await shelf(scope);
    const blob = (name: string) => all.files.get(name)!.blob;
    const ca = blob('ca');
    const check = (revocations: Revocations) => revoked(scope, all, formatKrl(make(revocations)));
    const make = (revocations: Revocations, base?: Krl) =>
      makeKrl(revocations, { generated: 1_700_000_000n, version: 7n, comment: 'a comment' }, base);
    assert.equal(await check({}), []);
    assert.equal(await check({ keys: [blob('bob')] }), ['bob']);
    assert.equal(await check({ sha1: [blob('bob')] }), ['bob']);
    assert.equal(await check({ sha256: [blob('bob'), blob('ca2')] }), ['bob', 'ca2', 'ca2-5', 'ca2-6']);
    assert.equal(await check({ fingerprints: [fingerprint(blob('bob'))] }), ['bob']);
    assert.equal(await check({ certificates: [{ authority: ca, serials: [5n] }] }), ['ca-5']);
    assert.equal(await check({ certificates: [{ serials: [5n] }] }), ['ca-5', 'ca2-5']);
    assert.equal(await check({ certificates: [{ keyIds: ['special'] }] }), ['ca2-6', 'ca-6']);
    assert.equal(await check({ certificates: [{ authority: ca, serials: [{ from: 7n, to: 64n }] }] }), [
      ...['ca-7', 'ca-8', 'ca-9', 'ca-10', 'ca-64'],
    ]);
    const odd = Array.from({ length: 30_000 }, (_, i) => BigInt(2 * i + 1));
    assert.equal(await check({ certificates: [{ authority: ca, serials: odd }] }), ['ca-1', 'ca-5', 'ca-7', 'ca-9']);
    const mixed = [
      2n,
      5n,
      { from: 7n, to: 8n },
      10n,
      64n,
      { from: 4000n, to: 5000n },
      4294967296n,
      18446744073709551615n,
    ];
    assert.equal(await check({ certificates: [{ authority: ca, serials: mixed, keyIds: ['id9'] }] }), [
      ...[
        'ca-2',
        'ca-5',
        'ca-7',
        'ca-8',
        'ca-9',
        'ca-10',
        'ca-64',
        'ca-5000',
        'ca-4294967296',
        'ca-18446744073709551615',
      ],
    ]);
    const base = make({ certificates: [{ authority: ca, serials: [1n] }] });
    const more = make({ certificates: [{ authority: ca, serials: [2n] }], keys: [blob('bob')] }, base);
    assert.equal(await revoked(scope, all, formatKrl(more)), ['bob', 'ca-1', 'ca-2']);
    // ssh-keygen adds to ours, and we read that.
    const path = join(all.directory, 'list');
    const update = await scope.run('ssh-keygen', ['-q', '-k', '-u', '-f', path, all.files.get('ca2-5')!.path]);
    assert.is(update.code, 0, update.stderr);
    assert.equal(await revoked(scope, all, new Uint8Array(readFileSync(path))), ['bob', 'ca-1', 'ca-2', 'ca2-5']);
    assert.ok([...all.files.values()].some(({ blob }) => isCertificate(blob)));
  }),
);

real(
  'sshd with a list of ours as RevokedKeys lets the one in and the other not',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'revoked');
    const { blob } = parsePublicKey(readFileSync(`${keyFile('bob')}.pub`, 'utf8'));
    writeFileSync(file, formatKrl(makeKrl({ keys: [blob] }, { generated: 1n })));
    const target = await sshd(scope, [{ owner: 'alice' }, { owner: 'bob' }], [`RevokedKeys ${file}`]);
    const codes = ['alice', 'bob'].map(key => ssh(scope, target, target.user, ['--', 'true'], { key }).ended);
    assert.equal(
      (await Promise.all(codes)).map(({ code }) => code),
      [0, 255],
    );
    assert.match(target.child.stderr, /revoked/);
  }),
);

test.run();
