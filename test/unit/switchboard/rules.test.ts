// What lines of the authorized_keys file give: names, rights, limits, who may call; which of several lines counts; bans and invitations.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Access, type AccessOptions, type Admitted, type Visitor } from '../../../src/apps/switchboard/access.ts';
import { Busy } from '../../../src/apps/switchboard/database.ts';
import { admits, type Grant } from '../../../src/apps/switchboard/grants.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import type { Rule } from '../../../src/apps/switchboard/rules.ts';
import {
  accelerated,
  fingerprint,
  formatPublicKey,
  issueCertificate,
  type PrivateKey,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../../src/crypto/index.ts';

const ed25519 = accelerated.signatures.find(({ name }) => name === 'ssh-ed25519')!;
const newKey = () => ed25519.generate(accelerated.random, 'test');
const line = (key: PrivateKey) => formatPublicKey(publicOf(key));

const directory = mkdtempSync(join(tmpdir(), 'cordboard-rules-'));
test.after(() => rmSync(directory, { recursive: true }));
let files = 0;

function open(lines: readonly string[], options: Partial<AccessOptions> = {}) {
  const file = join(directory, `keys${files++}`);
  writeFileSync(file, lines.map(text => `${text}\n`).join(''));
  const messages: string[] = [];
  const note = (_fields: object, message: string) => messages.push(message);
  const log = { debug: note, info: note, warn: note, error: note };
  return { access: new Access({ file, enrol: false, provider: accelerated, log, ...options }), file, messages };
}

const visitor = ({ blob }: { blob: Uint8Array }, changes: Partial<Visitor> = {}): Visitor => ({
  ...{ key: blob, user: 'alice', address: '192.0.2.7' },
  ...changes,
});

async function enter(access: Access, who: Visitor): Promise<Admitted> {
  const verdict = await access.admit(who);
  if ('refused' in verdict) throw new Error(verdict.refused);
  assert.ok(access.acceptable(who), 'whoever is let in was told so');
  return verdict;
}

const grant = async (access: Access, who: Visitor): Promise<Grant> => (await enter(access, who)).grant;

async function staysOut(access: Access, who: Visitor, why: RegExp): Promise<void> {
  assert.not(access.acceptable(who));
  const verdict = await access.admit(who);
  assert.ok('refused' in verdict, 'it was let in');
  assert.match(verdict.refused, why);
}

test('names, limits and callers are what the line says', async () => {
  const key = newKey();
  const options =
    'hostname="Web",alias="www",alias="shop",allow="SHA256:x, bob",allow="principal:ops",quota="lines=2,rate=1k"';
  const { access } = open([`${options} ${line(key)}`]);
  const { hostname, given, allow, quotas, rights, pty, owner, fingerprint: id } = await grant(access, visitor(key));
  assert.equal(
    { hostname, given, allow, quotas, rights, pty },
    {
      ...{ hostname: 'web', given: ['web', 'www', 'shop'], allow: ['SHA256:x', 'bob', 'principal:ops'] },
      ...{ quotas: { lines: 2, rate: 1024 }, rights: ['listen', 'initiate'], pty: true },
    },
  );
  assert.is(id, fingerprint(key.blob));
  assert.is(owner, id);
  assert.ok(access.gives('shop'));
  assert.not(access.gives('alice'));
});

test('a line that says what cannot be refuses its key, with the reason in the log', async () => {
  for (const [options, why] of [
    ['hostname="a b"', /"a b" cannot be a name/],
    ['alias="x-0123456789"', /"x-0123456789" cannot be a name/],
    ['hostname="a",hostname="b"', /more than one option hostname/],
    ['allow=""', /allow has an empty part/],
    ['quota="lines=x"', /quota="lines=x" makes no sense: lines has no value/],
    ['command="/bin/date"', /command="\/bin\/date" is not one of help, listeners/],
    ['access="lisen"', /access="lisen" is not one of admin, listen, initiate, list, denied/],
    ['tunnel="0"', /tunnel is not supported/],
  ] as const) {
    const key = newKey();
    const { access, messages } = open([`${options} ${line(key)}`], { enrol: true });
    assert.is(messages.length, 1, options);
    assert.match(messages[0], why);
    await staysOut(access, visitor(key), /cannot be used/);
  }
});

test('of several lines the best for the user counts, wherever it stands', async () => {
  const key = newKey();
  const lines = [
    `access="list" ${line(key)}`,
    `access="listen",permitlisten="80" ${line(key)}`,
    `access="listen" ${line(key)}`,
    `access="initiate" ${line(key)}`,
    `access="list",hostname="watch" ${line(key)}`,
  ];
  const best = async (all: readonly string[], user: string) => {
    const { rights, hostname, mayListen } = await grant(open(all).access, visitor(key, { user }));
    return [rights.join(), hostname, mayListen({ kind: 'tcp', host: '', port: 81 })];
  };
  for (const all of [lines, lines.toReversed()]) {
    assert.equal(await best(all, 'alice'), ['listen', undefined, true]);
    assert.equal(await best(all, 'watch'), ['list', 'watch', false]);
    assert.equal(await best([...all, `access="admin",no-pty ${line(key)}`], 'alice'), [
      ...['admin,listen,initiate,list', undefined, true],
    ]);
  }
  // One that does not let the user in now is none.
  assert.equal(await best([...lines, `access="admin",from="10.0.0.0/8" ${line(key)}`], 'alice'), [
    ...['listen', undefined, true],
  ]);
});

test('restrict, permitopen and permitlisten: sockets have no port, so where ports are listed there are none', async () => {
  const [plain, listed, restricted] = [newKey(), newKey(), newKey()];
  const { access } = open([
    line(plain),
    `permitopen="a:1",permitlisten="1" ${line(listed)}`,
    `restrict,pty,access="list" ${line(restricted)}`,
  ]);
  const rights = async (key: PrivateKey) => {
    const { mayListen, mayOpen, pty } = await grant(access, visitor(key));
    return [mayListen({ kind: 'unix', path: '/x' }), mayOpen({ kind: 'unix', path: '/x/y' }), pty];
  };
  assert.equal(await rights(plain), [true, true, true]);
  assert.equal(await rights(listed), [false, false, true]);
  assert.equal(await rights(restricted), [false, false, true]);
  assert.equal((await grant(access, visitor(restricted))).rights, ['list']);
});

test('allow= names keys, names that the file gives, and principals; nothing else', () => {
  const caller = { owner: 'o', fingerprint: 'SHA256:me', given: ['bob'], principals: ['ops'] };
  for (const [allow, expected] of [
    [undefined, true],
    [['SHA256:me'], true],
    [['SHA256:other'], false],
    [['BOB'], true],
    [['ops'], false],
    [['principal:ops'], true],
    [['principal:bob'], false],
    [['nobody', 'bob'], true],
  ] as const) {
    assert.is(admits(allow, caller), expected, `${allow}`);
  }
});

// Certificates

const certificate = (key: PrivateKey, by: PrivateKey, principals: string[]) =>
  issueCertificate(
    {
      ...{ key: publicOf(key), kind: 'user', keyId: 'id', principals, validAfter: 0n, validBefore: 2n ** 40n },
      extensions: STANDARD_EXTENSIONS,
    },
    by,
    accelerated,
  );

test('a principal belongs to its authority: a new key of the same principal is the same owner', async () => {
  const [authority, other, first, second] = [newKey(), newKey(), newKey(), newKey()];
  const { access } = open([`cert-authority ${line(authority)}`, `cert-authority ${line(other)}`]);
  const of = async (key: PrivateKey, by: PrivateKey, user = 'alice') =>
    grant(access, visitor({ blob: certificate(key, by, ['alice', 'Alice', 'ops']) }, { user }));
  const one = await of(first, authority);
  const two = await of(second, authority);
  assert.is(one.owner, `${fingerprint(authority.blob)} alice`);
  assert.is(two.owner, one.owner);
  assert.equal(two.seed, one.seed);
  assert.is.not(two.fingerprint, one.fingerprint);
  assert.equal(one.principals, ['alice', 'Alice', 'ops']);
  // Names in host names have no case, principals do.
  for (const different of [await of(first, other), await of(first, authority, 'Alice')]) {
    assert.is.not(different.owner, one.owner);
    assert.is.not(Buffer.from(different.seed).toString('hex'), Buffer.from(one.seed).toString('hex'));
  }
});

test('where the line and not the certificate lets a user have a name, the owner is the key', async () => {
  const [authority, key] = [newKey(), newKey()];
  const { access } = open([`cert-authority,principals="fleet" ${line(authority)}`]);
  const blob = certificate(key, authority, ['fleet']);
  assert.is((await grant(access, visitor({ blob }, { user: 'gw7' }))).owner, fingerprint(key.blob));
});

// Bans

test('bans keep out by key, by owner and by network, also whom the file or enrolment would let in', async () => {
  const registry = await Registry.open(':memory:');
  const [key, authority, certified, unknown] = [newKey(), newKey(), newKey(), newKey()];
  const { access, file } = open([line(key), `cert-authority ${line(authority)}`], { registry, enrol: true });
  const blob = certificate(certified, authority, ['alice']);
  const ban = (subject: string) => registry.ban({ subject, reason: 'noise', by: 'root' });
  await enter(access, visitor(key));
  await enter(access, visitor({ blob }));
  await ban(fingerprint(key.blob));
  await ban(`${fingerprint(authority.blob)} alice`);
  await ban('198.51.100.0/24');
  await staysOut(access, visitor(key), /^SHA256:\S+ is banned by root: noise$/);
  await staysOut(access, visitor({ blob }), /alice is banned/);
  await staysOut(access, visitor(unknown, { address: '198.51.100.9' }), /198\.51\.100\.0\/24 is banned/);
  assert.not(access.stillGood(visitor(key)));
  assert.not(readFileSync(file, 'utf8').includes(line(unknown).split(' ')[1]), 'and nothing is enrolled');
  await registry.unban(fingerprint(key.blob));
  await enter(access, visitor(key));
  await ban(fingerprint(authority.blob));
  await registry.unban(`${fingerprint(authority.blob)} alice`);
  await staysOut(access, visitor({ blob }), /banned/);
});

// Invitations

test('an invitation lets one key in, once, with what it gives; enrolment need not be on', async () => {
  const registry = await Registry.open(':memory:');
  const { access, file } = open(['# mine'], { registry });
  const invite = async (hostname?: string) =>
    (await registry.invite({ access: ['listen', 'list'], hostname, expires: Date.now() + 60_000, by: 'root' }))!;
  const [key, second] = [newKey(), newKey()];
  const code = await invite('web');
  await staysOut(access, visitor(key), /not known/);
  await staysOut(access, visitor(key, { user: `alice+${'0'.repeat(16)}` }), /not known/);
  assert.ok(access.acceptable(visitor(key, { user: `alice+${code}` })));
  assert.is(readFileSync(file, 'utf8'), '# mine\n', 'a question has no effect');
  const { grant: given, enrolled } = await enter(access, visitor(key, { user: `alice+${code}` }));
  assert.equal(enrolled, { by: 'root' });
  assert.equal([given.user, given.hostname, given.rights.join()], ['alice', 'web', 'listen,list']);
  const { blob } = key;
  const entry = `access="listen",access="list",hostname="web" ${formatPublicKey({ ...publicOf({ ...key, blob }), comment: 'alice@192.0.2.7' })}`;
  assert.is(readFileSync(file, 'utf8'), `# mine\n${entry}\n`);
  await staysOut(access, visitor(second, { user: `alice+${code}` }), /not known/);
  // Whoever is known keeps what he has, and the code is not used up by him.
  const other = await invite();
  assert.is((await enter(access, visitor(key, { user: `bob+${other}` }))).enrolled, undefined);
  assert.ok(registry.invitation(other));
});

test('an invitation whose key could not be stored, for whatever reason, is as good as before, on all switchboards', async () => {
  const registry = await Registry.open(':memory:');
  const told: Rule[] = [];
  const code = (await registry.invite({ access: ['listen'], expires: Date.now() + 60_000, by: 'root' }))!;
  registry.ruled = rule => void told.push(rule);
  const used = new Set<string>();
  const directory = {
    redeem: async (hash: string) => used.size < used.add(hash).size,
    giveBack: async (hash: string) => void used.delete(hash),
  };
  const key = newKey();
  const who = visitor(key, { user: `alice+${code}` });
  const { access, file, messages } = open([], { registry, ...directory });
  const failures: [string, Partial<AccessOptions>][] = [
    ['it says no', { keeper: { enrol: () => false, count: () => true, ...directory } }],
    ['it throws', { keeper: { enrol: () => Promise.reject(new Error('gone')), count: () => true, ...directory } }],
  ];
  for (const [title, options] of failures) {
    const verdict = await open([], { registry, ...options }).access.admit(who);
    assert.ok('refused' in verdict, title);
    assert.ok(registry.invitation(code), title);
    assert.is(used.size, 0, title);
  }
  const broken = open([], { registry, ...directory });
  rmSync(broken.file);
  mkdirSync(broken.file);
  assert.not(broken.access.enrol(key.blob, 'alice', '192.0.2.7', []), 'a fault of ours is no exception');
  assert.ok(registry.invitation(code));
  assert.equal(told, [], 'and nobody was told that it is over');
  // Nor does a database that somebody holds lead to more than a refusal.
  const { redeem } = registry;
  registry.redeem = async () => {
    throw new Busy('in use');
  };
  assert.ok('refused' in (await access.admit(who)));
  assert.match(messages.at(-1)!, /could not be judged/);
  assert.is(used.size, 0);
  registry.redeem = redeem;
  // At once, by two: one has it.
  const both = await Promise.all([who, visitor(newKey(), { user: `bob+${code}` })].map(one => access.admit(one)));
  assert.is(both.filter(verdict => 'grant' in verdict).length, 1);
  assert.is(registry.invitation(code), undefined);
  assert.is(told.length, 1);
  assert.is(used.size, 1);
  assert.is(readFileSync(file, 'utf8').split('\n').length, 2);
});

// Enrolment

test('all addresses together may enrol a thousand keys an hour; who is invited does not count', async () => {
  let now = 0;
  const registry = await Registry.open(':memory:', () => now);
  const { access } = open([], { registry, enrol: true, now: () => now });
  const address = (i: number) => `10.${i >> 8}.${i & 255}.1`;
  const enrol = (i: number) => access.enrol(newKey().blob, 'alice', address(i));
  assert.is(Array.from({ length: 1001 }, (_, i) => enrol(i)).indexOf(false), 1000);
  const code = (await registry.invite({ access: ['listen'], expires: 1000, by: 'root' }))!;
  await enter(access, visitor(newKey(), { user: `alice+${code}` }));
  now += 3_600_001;
  assert.ok(enrol(2000));
});

test('two who write at once lose nothing of each other', () => {
  const { access, file } = open([], { enrol: true });
  const elsewhere = new Access({
    ...{ file, enrol: true, provider: accelerated },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const keys = Array.from({ length: 10 }, newKey);
  for (const [i, { blob }] of keys.entries()) (i % 2 ? access : elsewhere).enrol(blob, 'alice', '192.0.2.1');
  writeFileSync(file, `${readFileSync(file, 'utf8')}# no end of line`);
  const last = newKey();
  access.enrol(last.blob, 'alice', '192.0.2.1');
  const text = readFileSync(file, 'utf8');
  for (const key of [...keys, last]) {
    const [type, blob] = line(key).split(' ');
    assert.ok(`\n${text}`.includes(`\naccess="listen",access="initiate" ${type} ${blob} alice@192.0.2.1\n`));
    for (const one of [access, elsewhere]) assert.ok(one.acceptable(visitor(key)));
  }
  assert.is(text.split('\n').length, 13);
});

test('any key, where all may come: it may list, and nothing is noted down', async () => {
  const banned = newKey();
  const { access, file } = open([`access="denied" ${line(banned)}`], { anyKey: true });
  const before = readFileSync(file, 'utf8');
  const { rights, given } = await grant(access, visitor(newKey()));
  assert.equal(rights, ['listen', 'initiate', 'list']);
  assert.equal(given, []);
  await staysOut(access, visitor(banned), /denied/);
  assert.is(readFileSync(file, 'utf8'), before);
});

test('who is connected is still good as long as the file says so', async () => {
  const key = newKey();
  const { access, file } = open([`from="192.0.2.0/24" ${line(key)}`]);
  const who = visitor(key);
  await enter(access, who);
  assert.ok(access.stillGood(who));
  writeFileSync(file, `from="10.0.0.0/8" ${line(key)}\n`);
  assert.not(access.stillGood(who));
  writeFileSync(file, `# nobody\n`);
  assert.not(access.stillGood(who));
});

test('who is in by the host name that he came with stays in, whatever is banned or read again meanwhile', async () => {
  const registry = await Registry.open(':memory:');
  const key = newKey();
  const { access, file } = open([`from="*.example.org" ${line(key)}`], { registry });
  const who = visitor(key, { hostName: 'a.example.org' });
  await enter(access, who);
  assert.ok(access.stillGood(who));
  await registry.ban({ subject: '198.51.100.0/24', reason: '', by: 'root' });
  assert.ok(access.stillGood(who), 'a ban of somebody else');
  writeFileSync(file, `# read again\nfrom="*.example.org" ${line(key)}\n`);
  assert.ok(access.stillGood(who), 'a file that has changed');
  writeFileSync(file, `from="*.example.com" ${line(key)}\n`);
  assert.not(access.stillGood(who), 'another name');
});

test('for whoever it is, who asks, who signs in and who is in already get the same answer', async () => {
  const registry = await Registry.open(':memory:');
  const [plain, named, from, denied, unknown, banned] = Array.from({ length: 6 }, newKey);
  await registry.ban({ subject: fingerprint(banned.blob), reason: '', by: 'root' });
  await registry.ban({ subject: '198.51.100.0/24', reason: '', by: 'root' });
  const lines = [
    line(plain),
    `from="*.example.org" ${line(named)}`,
    `from="192.0.2.0/24" ${line(from)}`,
    `access="denied" ${line(denied)}`,
    line(banned),
  ];
  for (const anyKey of [false, true]) {
    const { access } = open(lines, { registry, anyKey });
    for (const key of [plain, named, from, denied, unknown, banned]) {
      for (const address of ['192.0.2.7', '198.51.100.7', '203.0.113.7']) {
        for (const hostName of [undefined, 'a.example.org', 'a.example.com']) {
          const who = visitor(key, { address, hostName });
          const admitted = 'grant' in (await access.admit(who));
          assert.equal([access.acceptable(who), access.stillGood(who)], [admitted, admitted]);
        }
      }
    }
  }
});

test('host names in from= are for those whose name is known', async () => {
  const key = newKey();
  const { access } = open([`from="*.example.org" ${line(key)}`]);
  await staysOut(access, visitor(key), /may not be used from/);
  await enter(access, visitor(key, { hostName: 'a.example.org' }));
});

test.run();
