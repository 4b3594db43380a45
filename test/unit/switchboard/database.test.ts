// The file that several processes write to: while one of them holds it the others go on with everything else, and what they wanted to write is tried again.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Busy, openDatabase } from '../../../src/apps/switchboard/database.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import { lock } from '../../kit/lock.ts';
import { bounded } from '../../kit/processes.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-database-'));
test.after(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = () => join(directory, `db${files++}`);

/** How it ended, and how often the event loop came round meanwhile. */
async function turns<T>(work: Promise<T>): Promise<{ value?: T; error?: unknown; turns: number }> {
  let turns = 0;
  let over = false;
  const count = () => {
    turns++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  try {
    return { value: await work, turns };
  } catch (error) {
    return { error, turns };
  } finally {
    over = true;
  }
}

for (const mode of ['IMMEDIATE', 'EXCLUSIVE'] as const) {
  test(
    `while another process holds the file (${mode}) questions are answered, and what is to be written waits without stopping anybody`,
    bounded(180, async scope => {
      const file = newFile();
      const registry = await Registry.open(file);
      const code = (await registry.invite({ access: ['listen'], expires: Date.now() + 600_000, by: 'root' }))!;
      await registry.ban({ subject: '192.0.2.0/24', reason: '', by: 'root' });
      await registry.claim('alice', 'A');
      const holder = await lock(scope, file, mode);
      // Nobody waits for what can be read.
      assert.is(registry.banned([], '192.0.2.1')?.by, 'root');
      assert.ok(registry.invitation(code));
      assert.is(registry.ownerOf('alice'), 'A');
      assert.ok(await registry.claim('alice', 'A'));
      assert.not(await registry.claim('alice', 'B'));
      assert.is(registry.bans().length, 1);
      const refused: Promise<unknown>[] = [
        registry.claim('bob', 'B'),
        registry.release('alice'),
        registry.redeem(code),
        registry.ban({ subject: '192.0.2.7', reason: '', by: 'root' }),
        registry.unban('192.0.2.0/24'),
        registry.invite({ access: [], expires: 0, by: 'root' }),
      ];
      for (const { error, turns: count } of await Promise.all(refused.map(turns))) {
        assert.instance(error, Busy);
        // Each of its tries is at least a turn, and others have turned all the time.
        assert.ok(count > 10, `${count} turns`);
      }
      // What other switchboards say is not waited for at all: it is read again.
      const heard = { ban: { subject: '198.51.100.1', reason: '', by: 'root', made: 1 } };
      const dropped: Promise<unknown>[] = [registry.learn([heard]), registry.learnNames([['carol', 'C']])];
      for (const at of [...dropped, registry.release('alice', 0)]) {
        assert.instance((await turns(at)).error, Busy);
      }
      const waits = [turns(registry.ban({ subject: 'x', reason: '', by: 'root' })), turns(registry.redeem(code))];
      holder.process.stdin!.end();
      await holder.ended;
      assert.ok((await waits[0]).value, 'it was tried again');
      assert.ok((await waits[1]).value);
      assert.is(registry.ownerOf('alice'), 'A');
      assert.is(registry.ownerOf('bob'), undefined);
      assert.ok(await registry.claim('bob', 'B'));
      assert.is(registry.invitation(code), undefined);
      registry.close();
    }),
  );
}

test('what fails in the middle of a transaction leaves nothing behind, and the next one works', async () => {
  const database = await openDatabase(newFile(), ['CREATE TABLE a (x)']);
  const fails = database.write(() => {
    database.run('INSERT INTO a VALUES (1)');
    throw new Error('no');
  });
  assert.match(String((await turns(fails)).error), /no/);
  assert.is(database.get('SELECT count(*) AS n FROM a')!.n, 0);
  assert.is(await database.write(() => database.run('INSERT INTO a VALUES (1)')), true);
  assert.equal(
    database.all('SELECT x FROM a').map(({ x }) => x),
    [1],
  );
  database.close();
});

test('several who open a new file at once all get it, with its tables made once', async () => {
  const file = newFile();
  const all = await Promise.all(Array.from({ length: 8 }, () => openDatabase(file, ['CREATE TABLE a (x)'])));
  for (const database of all) await database.write(() => database.run('INSERT INTO a VALUES (1)'));
  // Statements are kept, and see what others have written since.
  for (const database of all) assert.is(database.get('SELECT count(*) AS n FROM a')!.n, 8);
  await all[0].write(() => all[0].run('INSERT INTO a VALUES (1)'));
  for (const database of all) assert.is(database.get('SELECT count(*) AS n FROM a')!.n, 9);
  for (const database of all) database.close();
});

test.run();
