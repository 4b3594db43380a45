// Bans: found by a look-up for each length of prefix and one question to SQLite, however many there are; changes of other processes are seen; a full table.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BanList } from '../../../src/apps/switchboard/ban-list.ts';
import { BANS_CHANGES, BANS_TABLE, Bans, MAX_BANS } from '../../../src/apps/switchboard/bans.ts';
import { type Database, openDatabase, type Value } from '../../../src/apps/switchboard/database.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import type { Ban } from '../../../src/apps/switchboard/rules.ts';
import { isWithin, parseSubject } from '../../../src/apps/switchboard/subjects.ts';
import { seeded } from '../../kit/insecure.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-bans-'));
test.after(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = () => join(directory, `db${files++}`);
const tables = [BANS_TABLE, BANS_CHANGES];

const ban = (subject: string, until?: number): Ban => ({
  ...{ subject, reason: 'noise', by: 'root', made: 1 },
  ...(until !== undefined && { until }),
});

/** What was asked of the database. */
function counting(database: Database): { database: Database; asked: string[] } {
  const asked: string[] = [];
  const noted = (sql: string): string => {
    asked.push(sql);
    return sql;
  };
  const counted = {
    get: (sql: string, ...values: Value[]) => database.get(noted(sql), ...values),
    all: (sql: string, ...values: Value[]) => database.all(noted(sql), ...values),
    run: (sql: string, ...values: Value[]) => database.run(noted(sql), ...values),
    write: (body: () => unknown) => database.write(body),
  };
  return { database: counted as unknown as Database, asked };
}

const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

test('a probe costs one question, which reads no row, and a look-up for each length of prefix: as many with 10,000 bans as with none', async () => {
  for (const count of [0, 10, 10_000]) {
    const file = newFile();
    const plain = await openDatabase(file, tables);
    const list = new BanList();
    await plain.write(() => {
      for (let i = 0; i < count; i++) {
        const subject = i % 2 === 0 ? address(i) : `${address(i * 256).replace(/\d+$/, '0')}/24`;
        plain.run('INSERT OR REPLACE INTO bans VALUES (?, NULL, ?, ?, 0)', subject, '', 'root');
        list.put(ban(subject));
      }
    });
    const { database, asked } = counting(plain);
    const bans = new Bans(database, () => 1);
    assert.is(bans.all().length, count);
    for (let probe = 0; probe < 20; probe++) {
      asked.length = 0;
      assert.is(bans.holding([`SHA256:${'a'.repeat(43)}`], `192.0.2.${probe}`), undefined);
      assert.equal(asked, ['PRAGMA data_version'], `with ${count} bans`);
    }
    assert.ok(list.cost <= 2, 'two lengths');
    if (count > 0) assert.is(bans.holding([], address(0))?.subject, address(0));
    plain.close();
  }
});

test('whatever the networks, the look-up finds what asking each of them would', () => {
  const { below } = seeded(5);
  const list = new BanList();
  const there = new Map<string, Ban>();
  const byte = () => [0, 1, 127, 128, 255, below(256)][below(6)];
  const v4 = () => `${byte()}.${byte()}.${byte()}.${byte()}`;
  const v6 = () => ['2001:db8::', 'fe80::', '::', '64:ff9b::'][below(4)] + ['', '1', 'ffff', '8000:0:1'][below(4)];
  const network = () => {
    for (;;) {
      const subject = below(2) ? `${v4()}/${below(33)}` : `${v6()}/${below(129)}`;
      const parsed = parseSubject([subject, subject.split('/')[0], `${subject},192.0.2.0/24`][below(3)]);
      if (parsed !== undefined) return parsed;
    }
  };
  for (let step = 0; step < 3000; step++) {
    const subject = network();
    const known = [...there.keys()];
    if (known.length > 60) {
      const gone = known[below(known.length)];
      there.delete(gone);
      list.delete(gone);
    }
    const one = ban(subject, below(4) === 0 ? 5 : undefined);
    there.set(subject, one);
    list.put(one);
    assert.is(list.size, there.size);
    const from = [v4(), v6(), `::ffff:${v4()}`][below(3)];
    const all = [...there.values()].filter(each => each.until === undefined && isWithin(from, each.subject));
    const found = list.holding([], from, 10);
    assert.is(found !== undefined, all.length > 0, `${from} of ${[...there.keys()]}`);
    if (found !== undefined) assert.ok(all.includes(found));
  }
  list.clear();
  assert.is(list.cost, 0, 'and leaves nothing behind');
});

test('what another process bans, lifts, or deletes by hand is seen with the next question, and read alone', async () => {
  const file = newFile();
  const one = await Registry.open(file);
  const two = await Registry.open(file);
  const by = { reason: '', by: 'root' };
  for (let i = 0; i < 50; i++) await one.ban({ subject: address(i), ...by });
  assert.is(two.banned([], address(7))?.by, 'root');
  await two.unban(address(7));
  assert.is(one.banned([], address(7)), undefined);
  await two.ban({ subject: address(7), until: Date.now() + 600_000, ...by });
  assert.ok(one.banned([], address(7)));
  await one.ban({ subject: address(7), ...by, reason: 'again' });
  assert.is(two.banned([], address(7))?.reason, 'again');
  one.close();
  two.close();
  const plain = await openDatabase(newFile(), tables);
  const { database, asked } = counting(plain);
  const bans = new Bans(database, () => 1);
  await bans.put({ subject: '192.0.2.1', ...by });
  await bans.put({ subject: '192.0.2.2', ...by });
  await plain.write(() => {
    plain.run('DELETE FROM bans WHERE subject = ?', '192.0.2.1');
    plain.run('UPDATE bans SET subject = ? WHERE subject = ?', '192.0.2.3', '192.0.2.2');
  });
  // By a connection of its own this would be seen by itself.
  bans.kept([]);
  assert.equal(
    [1, 2, 3].map(i => bans.holding([], `192.0.2.${i}`) !== undefined),
    [false, false, true],
  );
  assert.is(asked.filter(sql => sql === 'SELECT * FROM bans').length, 1, 'all of them are read once, at the start');
  plain.close();
});

test('a table that cannot be read any more: what is known holds, it is said once, and no question fails', async () => {
  const file = newFile();
  const messages: string[] = [];
  const note = (_fields: object, message: string) => messages.push(message);
  const log = { debug: note, info: note, warn: note, error: note };
  const registry = await Registry.open(file, Date.now, log);
  await registry.ban({ subject: '192.0.2.1', reason: '', by: 'root' });
  const { DatabaseSync } = await driver();
  const other = new DatabaseSync(file);
  other.exec('DROP TABLE bans');
  other.exec('DROP TABLE ban_changes');
  for (let i = 0; i < 3; i++) assert.ok(registry.banned([], '192.0.2.1'));
  assert.is(registry.bans().length, 1);
  assert.equal(messages, ['bans cannot be read; those that are known hold']);
  other.close();
  registry.close();
});

test('in a full table a ban can be changed and lifted; a new one is refused, whoever makes it', async () => {
  let now = 10 ** 12;
  const registry = await Registry.open(':memory:', () => now);
  const all = Array.from({ length: MAX_BANS }, (_, i) => ({ ban: { ...ban(address(i)), made: now } }));
  assert.is((await registry.learn(all)).length, MAX_BANS);
  now++;
  const put = (subject: string, reason: string) => registry.ban({ subject, reason, by: 'root' });
  assert.not(await put('192.0.2.1', 'new'));
  assert.equal(await registry.learn([{ ban: { ...ban('192.0.2.1'), made: now } }]), []);
  assert.ok(await put(address(5), 'changed'));
  assert.is(registry.banned([], address(5))?.reason, 'changed');
  assert.ok(await registry.unban(address(5)));
  assert.is(registry.banned([], address(5)), undefined);
  assert.ok(await put(address(5), 'again'));
  assert.is(registry.banned([], address(5))?.reason, 'again');
  registry.close();
});

/** SQLite without anything of ours. */
async function driver(): Promise<{ DatabaseSync: new (file: string) => { exec(sql: string): void; close(): void } }> {
  const own = await import('node:sqlite' as string).catch(() => undefined);
  return own ?? { DatabaseSync: (await import('libsql')).default };
}

test.run();
