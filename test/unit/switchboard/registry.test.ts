// What the switchboard remembers beside keys: names, invitations, bans; in a file that several processes have open.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDatabase } from '../../../src/apps/switchboard/database.ts';
import { Registry, VERSIONS } from '../../../src/apps/switchboard/registry.ts';
import { StateError } from '../../../src/apps/switchboard/state.ts';
import { isWithin } from '../../../src/apps/switchboard/subjects.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-registry-'));
test.after(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = () => join(directory, `db${files++}`);

const DAY = 86_400_000;

test('a name belongs to who claims it first, until it is released', async () => {
  let now = 1000;
  const registry = await Registry.open(newFile(), () => now);
  assert.is(registry.ownerOf('alice'), undefined);
  assert.ok(await registry.claim('alice', 'A'));
  now += 2 * DAY;
  assert.ok(await registry.claim('alice', 'A'), 'again');
  assert.not(await registry.claim('alice', 'B'));
  assert.ok(await registry.claim('bob', 'B'));
  assert.is(registry.ownerOf('alice'), 'A');
  assert.equal(registry.names(), [
    { name: 'alice', owner: 'A', claimed: 1000, used: now },
    { name: 'bob', owner: 'B', claimed: now, used: now },
  ]);
  assert.equal(
    registry.names('B').map(({ name }) => name),
    ['bob'],
  );
  assert.ok(await registry.release('alice'));
  assert.not(await registry.release('alice'));
  assert.ok(await registry.claim('alice', 'B'));
  registry.close();
});

test('one owner may have 64 names', async () => {
  const registry = await Registry.open(':memory:');
  const claims: boolean[] = [];
  for (let i = 0; i < 66; i++) claims.push(await registry.claim(`n${i}`, 'A'));
  assert.is(claims.indexOf(false), 64);
  assert.ok(await registry.claim('other', 'B'));
});

test('what is in the file is there for the next who opens it, at the same time or later; for its owner only', async () => {
  const file = newFile();
  const one = await Registry.open(file);
  assert.is(statSync(file).mode & 0o777, 0o600);
  const two = await Registry.open(file);
  assert.ok(await one.claim('alice', 'A'));
  assert.not(await two.claim('alice', 'B'));
  two.close();
  one.close();
  const three = await Registry.open(file);
  assert.is(three.ownerOf('alice'), 'A');
  three.close();
});

test('an invitation is good once and until its time; the code is nowhere in the file', async () => {
  let now = 0;
  const file = newFile();
  const registry = await Registry.open(file, () => now);
  const wish = { access: ['listen', 'list'], hostname: 'web', expires: 1000, by: 'root' };
  const code = (await registry.invite(wish))!;
  assert.match(code, /^[0-9a-hjkmnp-tv-z]{16}$/);
  assert.equal(registry.invitation(code), wish);
  assert.equal(await registry.redeem(code), wish);
  assert.is(await registry.redeem(code), undefined);
  const { hostname: _, ...plain } = wish;
  const late = (await registry.invite(plain))!;
  assert.is.not(late, code);
  assert.equal(registry.invitation(late), plain);
  now = 1000;
  assert.is(registry.invitation(late), undefined);
  assert.is(await registry.redeem(late), undefined);
  registry.close();
  for (const name of [file, `${file}-wal`]) if (existsSync(name)) assert.not.match(readFileSync(name, 'latin1'), late);
});

test('invitations are listed without their codes, and can be withdrawn', async () => {
  const registry = await Registry.open(':memory:', () => 0);
  const code = (await registry.invite({ access: ['listen'], expires: 5, by: 'root' }))!;
  const [{ id, ...rest }] = registry.invitations();
  assert.equal(rest, { access: ['listen'], expires: 5, by: 'root' });
  assert.not(await registry.withdraw('00000000'));
  assert.ok(await registry.withdraw(id));
  assert.is(registry.invitation(code), undefined);
});

test('a ban holds until its time, and the last word of two counts', async () => {
  let now = 0;
  const registry = await Registry.open(':memory:', () => now);
  const ban = (subject: string, until?: number) => registry.ban({ subject, until, reason: 'noise', by: 'root' });
  assert.ok(await ban('SHA256:a', 100));
  assert.ok(await ban('192.0.2.0/24'));
  assert.equal(registry.banned(['SHA256:b', 'SHA256:a']), {
    ...{ subject: 'SHA256:a', until: 100, reason: 'noise', by: 'root', made: 0 },
  });
  assert.is(registry.banned(['SHA256:b']), undefined);
  assert.is(registry.banned([], '192.0.2.9')?.subject, '192.0.2.0/24');
  assert.is(registry.banned([], '192.0.3.9'), undefined);
  now = 100;
  assert.is(registry.banned(['SHA256:a']), undefined);
  assert.is(registry.bans().length, 1);
  await ban('SHA256:a');
  now = 10 ** 12;
  assert.ok(registry.banned(['SHA256:a']));
  assert.ok(await registry.unban('SHA256:a'));
  assert.not(await registry.unban('SHA256:a'));
  assert.is(registry.banned(['SHA256:a']), undefined);
});

test('an address is within a ban of it and of its network', () => {
  assert.ok(isWithin('192.0.2.7', '192.0.2.7'));
  assert.ok(isWithin('192.0.2.7', '192.0.2.0/24'));
  assert.ok(isWithin('2001:db8::5', '2001:db8::/32'));
  assert.not(isWithin('192.0.3.7', '192.0.2.0/24'));
  assert.not(isWithin('192.0.2.7', 'SHA256:abc'));
});

test('a file that is no database, and one of a newer version: a sentence each', async () => {
  const file = newFile();
  writeFileSync(file, 'x'.repeat(5000));
  const fails = async (what: Promise<unknown>, sentence: RegExp) => {
    const error = await what.then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    assert.instance(error, StateError);
    assert.match(error!.message, sentence);
  };
  await fails(Registry.open(file), /^cannot use .*db\d+: .*not a database/);
  const newer = newFile();
  const database = await openDatabase(newer, ['CREATE TABLE a (x)', 'CREATE TABLE b (x)']);
  database.close();
  await fails(openDatabase(newer, ['CREATE TABLE a (x)']), /newer version of cordboard/);
  await fails(Registry.open(join(directory, 'missing', 'db')), /^cannot use .*no such file or directory/);
});

test('tables of an older version are brought up to date, once', async () => {
  const file = newFile();
  (await openDatabase(file, ['CREATE TABLE a (x)'])).close();
  const versions = ['CREATE TABLE a (x)', 'CREATE TABLE b (x)'];
  for (let i = 0; i < 2; i++) {
    const database = await openDatabase(file, versions);
    assert.is(database.get('SELECT count(*) AS n FROM b')!.n, 0);
    database.close();
  }
});

test('times that no Date has, which an older version has written, are shown and harm nobody', async () => {
  const file = newFile();
  const old = await openDatabase(file, VERSIONS.slice(0, 1));
  old.exec(`INSERT INTO bans VALUES ('203.0.113.9', 60480000000000000000, 'loud', 'root', 7);
    INSERT INTO bans VALUES ('203.0.113.8', NULL, 'quiet', 'root', 60480000000000000);
    INSERT INTO invitations VALUES ('00', 'list', NULL, 9223372036854775807, 'root');
    INSERT INTO names VALUES ('alice', 'A', 9223372036854775807, 'never');`);
  old.close();
  const registry = await Registry.open(file);
  assert.equal(
    registry.bans().map(({ subject, until, made }) => [subject, until, made > 0]),
    [
      ['203.0.113.9', undefined, true],
      ['203.0.113.8', undefined, false],
    ],
  );
  assert.ok(registry.banned(['203.0.113.9']), 'who was to stay out stays out');
  assert.equal(registry.invitations(), []);
  assert.is(registry.names()[0].used, 0);
  assert.ok(await registry.unban('203.0.113.9'));
  registry.close();
});

test.run();
