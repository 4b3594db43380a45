// While another process holds the switchboard's database: whoever signs in, plugs in, calls or asks is served, what has to be written is refused with a sentence, and nobody is penalised.
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, execute, fleet, greeted, says } from '../kit/board.ts';
import { lock } from '../kit/lock.ts';
import { bounded, soon } from '../kit/processes.ts';
import { keyLine } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

for (const workers of [1, 2]) {
  it(
    `clients are served while another process holds the database, with ${workers} ${workers === 1 ? 'process' : 'workers'}`,
    bounded(180, async scope => {
      const lines = [`access="admin" ${keyLine('root')}`, keyLine('alice'), keyLine('bob')];
      const { board } = await fleet(scope, lines, ['--workers', String(workers)]);
      const service = `localhost:${await says(scope, 'hello')}`;
      const holder = await lock(scope, join(board.data, 'switchboard.db'), 'EXCLUSIVE');
      const alice = greeted(scope, board, 'alice', `80:${service}`, { key: 'alice' });
      const [, alias] = await soon('the alias', alice.says(/ (alice-\d\w{9}) only/));
      assert.match(alice.stdout, /^The name alice cannot be claimed now: your lines are alice-\d\w{9} only\./m);
      // What has to be written waits for its time, and others are served meanwhile.
      const [{ code, stderr }, said] = await Promise.all([
        execute(scope, board, 'root', 'ban 192.0.2.1'),
        call(scope, board, `${alias}:80`),
      ]);
      assert.is(said, 'hello');
      assert.is(code, 1);
      assert.match(stderr, /^ban: another process is writing to the database; try again$/m);
      const invited = await execute(scope, board, 'root', 'invite');
      assert.match(invited.stderr, /^invite: another process is writing/m);
      assert.match((await execute(scope, board, 'root', 'listeners')).stdout.toString(), /alice-\d/);
      holder.endInput();
      await soon('the lock to end', holder.ended);
      assert.is((await execute(scope, board, 'root', 'ban 192.0.2.1')).code, 0);
      await alice.stop();
      const again = greeted(scope, board, 'alice', `80:${service}`, { key: 'alice' });
      await soon('the greeting', again.says(/Connect a client by running/));
      assert.not.match(again.stdout, /cannot be claimed|belongs to another/);
      assert.is(await call(scope, board, 'alice:80'), 'hello');
      assert.not.match(board.child.stderr, /"level":50|internal error|a handler failed|authenticator failed/);
    }),
  );
}

test.run();
