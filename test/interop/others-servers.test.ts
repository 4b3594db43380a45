// Our client and the real servers of Debian and npm, one after the other; docs/interop.md shows what came of it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../src/client/index.ts';
import { type Entry, InteropTable } from '../kit/interop-table.ts';
import { bounded, eventually, Scope } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { servers } from './others/servers.ts';
import { KEEPALIVES, reach, trial, withKey } from './others/trial.ts';

const table = new InteropTable('servers');

/** Connections that say nothing while other servers are tried, since when, and the rows that wait for them. */
const idle: { client: ClientConnection; since: number; row: Omit<Entry, 'result'>; result: string }[] = [];
const whole = new Scope();
test.after(() => whole.end());
/** Milliseconds of silence after which a connection whose server answers no keepalive would be gone. */
const SILENCE = 6000;

for (const server of servers) {
  if (process.env.ONLY && !server.who.includes(process.env.ONLY)) continue;
  const start = shared(test, server.start);
  table.test(
    test,
    server.wanted,
    server.who,
    bounded(180, async scope => {
      const { who, version, keys } = server;
      const at = await start(scope);
      const client = await reach(whole, at, { ...withKey(keys[0]), times: KEEPALIVES });
      const { tried, lacks } = await trial(scope, server, at);
      const row = { who, version, role: 'server', tried: [...tried, 'idle', 'close'].join(', ') };
      idle.push({ client, since: Date.now(), row, result: lacks.length === 0 ? '✓' : `✓; ${lacks.join(', ')}` });
    }),
  );
}

test(
  'those that were left idle still answer',
  bounded(180, async () => {
    for (const { client, since, row, result } of idle) {
      await eventually('silence', () => Date.now() - since > SILENCE || client.connection.error !== undefined);
      assert.is(client.connection.error, undefined, row.who);
      const { stdout } = await client.exec('echo still here');
      assert.is(new TextDecoder().decode(stdout), 'still here\n', row.who);
      table.entry({ ...row, result });
    }
  }),
);

table.compare(test);
test.run();
