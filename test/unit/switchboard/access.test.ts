// Who the switchboard lets in: the authorized_keys file with its options, changes to it, and enrolment.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Access, type AccessOptions, type Appended } from '../../../src/apps/switchboard/access.ts';
import { StateError } from '../../../src/apps/switchboard/state.ts';
import {
  accelerated,
  formatPublicKey,
  issueCertificate,
  type Presence,
  type PrivateKey,
  parsePublicKeyBlob,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../../src/crypto/index.ts';
import { Token } from '../../kit/token.ts';
import { skip } from '../../kit/tools.ts';

const ed25519 = accelerated.signatures.find(({ name }) => name === 'ssh-ed25519')!;
const newKey = () => ed25519.generate(accelerated.random, 'test');
const line = (key: PrivateKey) => formatPublicKey(publicOf(key));

const silent = { debug() {}, info() {}, warn() {}, error() {} };

const directory = mkdtempSync(join(tmpdir(), 'cordboard-access-'));
test.after(() => rmSync(directory, { recursive: true }));
let files = 0;

function open(text: string | undefined, options: Partial<AccessOptions> = {}) {
  const file = join(directory, `keys${files++}`);
  if (text !== undefined) writeFileSync(file, text);
  const messages: string[] = [];
  const note = (_fields: object, message: string) => messages.push(message);
  const log = { debug: note, info: note, warn: note, error: note };
  return { access: new Access({ file, enrol: false, provider: accelerated, log, ...options }), file, messages };
}

const A = '192.0.2.7';
const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;

const acceptable = (access: Access, key: Uint8Array, user: string, address: string) =>
  access.acceptable({ key, user, address });

async function admit(access: Access, key: Uint8Array, user: string, address: string, presence?: Presence) {
  const verdict = await access.admit({ key, user, address, presence });
  return 'refused' in verdict ? undefined : verdict.grant;
}

test('a plain line may listen and call, and not list', async () => {
  const key = newKey();
  const { access } = open(`# a comment\n\n${line(key)}\n`);
  assert.ok(acceptable(access, key.blob, 'alice', A));
  const grant = (await admit(access, key.blob, 'alice', A))!;
  assert.is(grant.rights.includes('listen'), true);
  assert.is(grant.rights.includes('list'), false);
  assert.ok(grant.mayListen(tcp('localhost', 6379)));
  assert.ok(grant.mayOpen(tcp('bob-0123456789', 22)));
});

test('rights are what access= says', async () => {
  const [listen, initiate, list, admin, none] = [newKey(), newKey(), newKey(), newKey(), newKey()];
  const { access } = open(
    [
      `access="listen" ${line(listen)}`,
      `access="initiate" ${line(initiate)}`,
      `access="list" ${line(list)}`,
      `access="admin" ${line(admin)}`,
      `restrict ${line(none)}`,
    ].join('\n'),
  );
  const granted = async (key: PrivateKey) => {
    const grant = (await admit(access, key.blob, 'alice', A))!;
    return [grant.mayListen(tcp('localhost', 1)), grant.mayOpen(tcp('x', 1)), grant.rights.includes('list')];
  };
  assert.equal(await Promise.all([listen, initiate, list, admin, none].map(granted)), [
    [true, false, false],
    [false, true, false],
    [false, false, true],
    [true, true, true],
    [false, false, false],
  ]);
});

test('denied wins over every other line of the key', async () => {
  const key = newKey();
  const { access } = open(`${line(key)}\naccess="denied" ${line(key)}\n`, { enrol: true });
  assert.not(acceptable(access, key.blob, 'alice', A));
  assert.is(await admit(access, key.blob, 'alice', A), undefined);
});

test('a line with an option that is not enforced refuses its key, with the reason, and enrolment does not let it in', async () => {
  const [command, right, broken] = [newKey(), newKey(), newKey()];
  const { access, messages, file } = open(
    `command="/bin/date" ${line(command)}\naccess="lisen" ${line(right)}\nfrom="10.0.0.0/99" ${line(broken)}\n`,
    { enrol: true },
  );
  const before = readFileSync(file, 'utf8');
  for (const key of [command, right, broken]) {
    assert.not(acceptable(access, key.blob, 'alice', A));
    assert.is(await admit(access, key.blob, 'alice', A), undefined);
  }
  assert.is(readFileSync(file, 'utf8'), before);
  const ofFile = messages.filter(text => !text.startsWith('sign-in refused'));
  assert.is(ofFile.length, 3);
  assert.match(ofFile[0], /line 1 .*command/);
  assert.match(ofFile[1], /line 2 .*lisen/);
  assert.match(ofFile[2], /line 3 /);
});

test('from= and expiry-time= hold; of several lines the first that lets the key in counts', async () => {
  const key = newKey();
  let now = Date.UTC(2030, 0, 1);
  const { access } = open(
    `from="10.0.0.0/8",access="listen" ${line(key)}\nexpiry-time="20300201Z",access="initiate" ${line(key)}\n`,
    { now: () => now },
  );
  assert.is((await admit(access, key.blob, 'alice', '10.1.2.3'))!.rights.includes('listen'), true);
  assert.is((await admit(access, key.blob, 'alice', A))!.rights.includes('listen'), false);
  now = Date.UTC(2030, 1, 2);
  assert.is(await admit(access, key.blob, 'alice', A), undefined);
  assert.is((await admit(access, key.blob, 'alice', '10.1.2.3'))!.rights.includes('listen'), true);
});

test('permitlisten= and permitopen= hold', async () => {
  const key = newKey();
  const { access } = open(`permitlisten="localhost:8080",permitopen="db-0000000000:5432" ${line(key)}\n`);
  const grant = (await admit(access, key.blob, 'alice', A))!;
  assert.ok(grant.mayListen(tcp('localhost', 8080)));
  assert.not(grant.mayListen(tcp('localhost', 8081)));
  assert.ok(grant.mayOpen(tcp('db-0000000000', 5432)));
  assert.not(grant.mayOpen(tcp('db-0000000000', 5433)));
});

const certificate = (key: PrivateKey, by: PrivateKey, principals = ['alice'], forced?: string) =>
  issueCertificate(
    {
      ...{ key: publicOf(key), kind: 'user', keyId: 'id', principals, validAfter: 0n, validBefore: 2n ** 40n },
      extensions: STANDARD_EXTENSIONS,
      ...(forced && { criticalOptions: { 'force-command': forced } }),
    },
    by,
    accelerated,
  );

test('a cert-authority line lets in the certificates that it has signed, with its rights, as the key itself', async () => {
  const [authority, key, foreign] = [newKey(), newKey(), newKey()];
  const { access, messages, file } = open(`cert-authority,access="listen" ${line(authority)}\n`, { enrol: true });
  const good = certificate(key, authority);
  assert.ok(acceptable(access, good, 'alice', A));
  const grant = (await admit(access, good, 'alice', A))!;
  assert.equal(grant.key, key.blob);
  assert.ok(grant.mayListen(tcp('localhost', 1)));
  assert.not(grant.mayOpen(tcp('x', 1)));
  const before = readFileSync(file, 'utf8');
  for (const [blob, user, reason] of [
    [good, 'bob', /is not for "bob"/],
    [certificate(key, foreign), 'alice', /no line admits certificate/],
    [good.subarray(0, 100), 'alice', /damaged/],
  ] as const) {
    assert.not(acceptable(access, blob, user, A));
    assert.is(await admit(access, blob, user, A), undefined);
    assert.match(messages.at(-1)!, reason);
  }
  assert.is(readFileSync(file, 'utf8'), before, 'a certificate is not enrolled');
  // What it forces is run in place of every command, and is one of ours or none.
  assert.is((await admit(access, certificate(key, authority, ['alice'], 'ls'), 'alice', A))!.command, 'ls');
  // The authority is no user, and as it is known it is not enrolled either.
  assert.not(acceptable(access, authority.blob, 'alice', A));
});

test('denied, or refused, holds for a key with a certificate, and for its authority', async () => {
  const [authority, other, key] = [newKey(), newKey(), newKey()];
  for (const rest of [
    `access="denied" ${line(key)}`,
    `command="ls" ${line(key)}`,
    `access="denied" ${line(authority)}`,
  ]) {
    const { access } = open(`cert-authority ${line(authority)}\n${rest}\n${line(other)}\n`);
    assert.not(acceptable(access, certificate(key, authority), 'alice', A), rest);
    assert.is(await admit(access, certificate(key, authority), 'alice', A), undefined);
  }
});

test('a key in a security token has to be touched, unless its line says otherwise', async () => {
  const { blob } = new Token('ed25519');
  const key = formatPublicKey(parsePublicKeyBlob(blob));
  const [strict, lax] = [open(key).access, open(`no-touch-required ${key}`).access];
  const said = (touched: boolean) => ({ touched, verified: false, counter: 1 });
  assert.is(await admit(strict, blob, 'alice', A, said(false)), undefined);
  assert.not((await admit(strict, blob, 'alice', A, said(true)))!.untouched);
  assert.ok((await admit(lax, blob, 'alice', A, said(false)))!.untouched);
});

test('a changed file counts at once, a removed one holds no keys', () => {
  const [old, fresh] = [newKey(), newKey()];
  const { access, file } = open(`${line(old)}\n`);
  writeFileSync(file, `${line(fresh)}\n${line(newKey())}\n`);
  assert.not(acceptable(access, old.blob, 'alice', A));
  assert.ok(acceptable(access, fresh.blob, 'alice', A));
  rmSync(file);
  assert.not(acceptable(access, fresh.blob, 'alice', A));
});

test('a file that cannot be read: an error at start, nobody gets in later', () => {
  const key = newKey();
  const { access, file, messages } = open(`${line(key)}\n`);
  rmSync(file);
  mkdirSync(file);
  assert.not(acceptable(access, key.blob, 'alice', A));
  assert.match(messages.at(-1)!, /nobody can sign in: cannot read .*: it is a directory/);
  assert.throws(
    () => new Access({ file, enrol: false, provider: accelerated, log: silent }),
    (error: Error) => error instanceof StateError && /cannot read/.test(error.message),
  );
});

if (process.getuid?.() === 0) skip(test, 'a file without permission', 'root may read everything');
else {
  test('a file without permission', () => {
    const { access, file, messages } = open(`${line(newKey())}\n`);
    writeFileSync(file, '');
    chmodSync(file, 0);
    assert.not(acceptable(access, newKey().blob, 'alice', A));
    assert.match(messages.at(-1)!, /permission denied/);
  });
}

test('enrolment: a question has no effect, a proof appends one line and keeps the rest', async () => {
  const key = newKey();
  const text = `# mine, without a line end at the end\n${line(newKey())}`;
  const { access, file } = open(text, { enrol: true });
  assert.ok(acceptable(access, key.blob, 'alice', A));
  assert.is(readFileSync(file, 'utf8'), text);
  const grant = (await admit(access, key.blob, 'alice', A))!;
  assert.ok(grant.rights.includes('listen') && grant.mayOpen(tcp('x', 1)) && !grant.rights.includes('list'));
  const { type } = key;
  const expected = `${text}\naccess="listen",access="initiate" ${line({ ...key, comment: `alice@${A}` })}\n`;
  assert.is(readFileSync(file, 'utf8'), expected);
  assert.is(type, 'ssh-ed25519');
  await admit(access, key.blob, 'alice', A);
  assert.is(readFileSync(file, 'utf8'), expected);
});

test('enrolment creates the file, and a user name cannot smuggle in a line', async () => {
  const key = newKey();
  const { access, file } = open(undefined, { enrol: true });
  await admit(access, key.blob, 'a\nssh-ed25519 AAAA evil', A);
  const text = readFileSync(file, 'utf8');
  assert.is(text.split('\n').length, 2);
  assert.ok(text.endsWith('\n'));
});

test('enrolment is limited for each source, an IPv6 /64 being one', async () => {
  let now = 0;
  const { access } = open(undefined, { enrol: true, now: () => now });
  const enrol = async (address: string) => (await admit(access, newKey().blob, 'alice', address)) !== undefined;
  assert.equal(await Promise.all(Array.from({ length: 22 }, (_, i) => enrol(`2001:db8::${i.toString(16)}`))), [
    ...Array(20).fill(true),
    false,
    false,
  ]);
  assert.ok(await enrol('2001:db8:0:1::1'));
  assert.ok(await enrol(A));
  now += 3_600_001;
  assert.ok(await enrol('2001:db8::1'));
});

test('with enrolment off an unknown key is refused', async () => {
  const { access } = open(undefined);
  assert.not(acceptable(access, newKey().blob, 'alice', A));
  assert.is(await admit(access, newKey().blob, 'alice', A), undefined);
});

test('a counter of a security token that comes again keeps out, with a warning', async () => {
  const token = new Token('ed25519');
  const { access, messages } = open(`${formatPublicKey(parsePublicKeyBlob(token.blob))}\n`);
  const count = (counter: number) => admit(access, token.blob, 'alice', A, { touched: true, verified: false, counter });
  assert.ok(await count(3));
  assert.ok(acceptable(access, token.blob, 'alice', A), 'a question counts nothing');
  assert.is(await count(3), undefined);
  assert.match(messages.at(-1)!, /^sign-in refused: the key is in a security token of which there must be a copy/);
  assert.ok(await count(4));
});

test('of several processes one keeps for all: it enrols and counts, and the others are told of the line', async () => {
  const told: Appended[] = [];
  const keeper = open(undefined, { enrol: true, appended: line => told.push(line) });
  const { file } = keeper;
  const other = () => new Access({ file, enrol: true, provider: accelerated, log: silent, keeper: keeper.access });
  const [a, b] = [other(), other()];
  const [key, token] = [newKey(), new Token('ed25519')];
  assert.ok(await admit(a, key.blob, 'alice', A));
  assert.is(readFileSync(file, 'utf8').split('\n').length, 2);
  assert.is(told.length, 1);
  assert.not(a.heard(told[0]), 'it has read the file since');
  assert.ok(b.heard(told[0]));
  assert.is(b.size, 1);
  assert.ok(await admit(b, key.blob, 'alice', A));
  const said = { touched: true, verified: false, counter: 5 };
  assert.ok(await admit(a, token.blob, 'bob', A, said));
  assert.is(await admit(b, token.blob, 'bob', A, said), undefined, 'a number that another process has seen');
  assert.ok(await admit(b, token.blob, 'bob', A, { ...said, counter: 6 }));
});

test('a keeper that refuses, or cannot, keeps the key out', async () => {
  const { access } = open(undefined, {
    enrol: true,
    keeper: { enrol: () => false, count: () => true, redeem: () => true, giveBack() {} },
  });
  assert.is(await admit(access, newKey().blob, 'alice', A), undefined);
  const lying = open(undefined, {
    enrol: true,
    keeper: { enrol: async () => true, count: () => true, redeem: () => true, giveBack() {} },
  });
  assert.is(await admit(lying.access, newKey().blob, 'alice', A), undefined, 'the file has the word');
});

test('a line that is told of counts only on top of the file as it is known', async () => {
  const { access, file } = open(`${line(newKey())}\n`);
  const key = newKey();
  const told = { line: line(key), before: 'something else', after: 'anything' };
  assert.not(access.heard(told));
  assert.is(access.size, 1);
  writeFileSync(file, `${line(key)}\n`);
  assert.ok(acceptable(access, key.blob, 'alice', A), 'and a file that has changed is read');
});

test.run();
