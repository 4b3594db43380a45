// The switchboard while something of its own is broken: commands and the console say so, the log says why, and everybody is served.
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDatabase } from '../../src/apps/switchboard/database.ts';
import { VERSIONS } from '../../src/apps/switchboard/registry.ts';
import { registryFile } from '../../src/apps/switchboard/state.ts';
import { execute } from '../kit/board.ts';
import { freePort } from '../kit/loopback.ts';
import { bounded, eventually, soon } from '../kit/processes.ts';
import { boardData, cordboard, keyLine, provide, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

it(
  'a key that ends the session while a command runs, at once or later, ends nobody else’s',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const line = await provide(scope, board, 'alice', ['80:localhost:7']);
    const typed = [
      'whoami\r\x03',
      'whoami\r\x04',
      'listeners\r\r\x03',
      'who\t\x03\x03',
      '\t\t\x03\x03',
      'x\x03\x03',
      'quit\r\x03',
    ];
    for (const input of typed) {
      const client = ssh(scope, board, 'bob', ['-tt']);
      await client.says(/board> /);
      client.write(input);
      await soon(`the end by ${JSON.stringify(input)}`, client.ended);
    }
    const killed = ssh(scope, board, 'bob', ['-tt']);
    await killed.says(/board> /);
    killed.write('listeners\r\t');
    killed.signal('SIGKILL');
    await killed.ended;
    assert.is(board.child.over, false);
    assert.is(line.child.over, false);
    assert.match((await execute(scope, board, 'bob', 'whoami')).stdout.toString(), 'User name: bob');
    assert.not.match(board.child.stderr, '"level":50');
  }),
);

it(
  'tables that are gone: commands are answered, the log says why, and nobody is disconnected',
  bounded(180, async scope => {
    const data = boardData(scope);
    const file = join(scope.directory(), 'keys');
    writeFileSync(file, `access="admin" ${keyLine('root')}\n`);
    const args = ['--enrol', '--authorized-keys', file, '--console', '127.0.0.1:0'];
    const board = await switchboard(scope, { data, args });
    const [, consoleUrl] = /^Console: (http:\S+) /m.exec(board.greeting)!;
    const line = await provide(scope, board, 'root', ['80:localhost:7']);
    const shell = ssh(scope, board, 'root', ['-tt']);
    await shell.says(/board> /);
    const database = await openDatabase(registryFile(data), VERSIONS);
    database.exec('DROP TABLE names; DROP TABLE bans');
    database.close();

    shell.write('names\r');
    await shell.says(/names: internal error\r\n[\s\S]*board> /);
    shell.write('ban 203.0.113.9\r');
    await shell.says(/ban: internal error\r\n[\s\S]*board> /);
    assert.is((await execute(scope, board, 'root', 'names')).code, 1);
    shell.write('listeners\r');
    await shell.says(/root: ip=127\.0\.0\.1 /);
    shell.write('quit\r');
    assert.is((await soon('the shell to end', shell.ended)).code, 0);
    assert.is((await fetch(`${consoleUrl}healthz`)).status, 200);
    assert.is(line.child.over, false);
    assert.is(board.child.over, false);
    assert.match(board.child.stderr, /"msg":"the command names failed"/);
    assert.match(board.child.stderr, /"stack":"[^"]*\\n +at /);
    board.child.signal('SIGTERM');
    assert.is((await soon('the end', board.child.ended)).code, 0);
  }),
);

it(
  'a ban for longer than there are times is wrong usage, and bans are shown as before',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'keys');
    writeFileSync(file, `access="admin" ${keyLine('root')}\n`);
    const board = await switchboard(scope, { args: ['--authorized-keys', file] });
    const wrong = await execute(scope, board, 'root', 'ban 203.0.113.9 --for 99999999w');
    assert.is(wrong.code, 2);
    assert.match(wrong.stderr, /^ban: --for is a time such as 90s, 15m, 2h or 7d, 100 years \(36500d\) at most$/m);
    assert.is((await execute(scope, board, 'root', 'ban')).stdout.toString(), 'Nobody.\n');
    assert.is((await execute(scope, board, 'root', 'ban 203.0.113.9 --for 36500d')).code, 0);
    assert.match((await execute(scope, board, 'root', 'ban')).stdout.toString(), /^203\.0\.113\.9 +21\d\d-/m);
    assert.is((await execute(scope, board, 'root', 'invite --for 36501d')).code, 2);
  }),
);

test(
  'a console that cannot listen ends the start before anybody is served',
  bounded(180, async scope => {
    const taken = createServer();
    await new Promise<void>(resolve => taken.listen({ host: '127.0.0.1', port: 0 }, resolve));
    scope.defer(() => void taken.close());
    const { port: place } = taken.address() as { port: number };
    for (const more of [[], ['--workers', '2']]) {
      const port = await freePort();
      const args = ['--port', String(port), '--console', `127.0.0.1:${place}`, '--log-level', 'silent', ...more];
      const child = cordboard(scope, ['switchboard', '--data', boardData(scope), ...args], { input: '' });
      let served = 0;
      const knock = () =>
        new Promise<void>(resolve => {
          const socket = connect({ host: '127.0.0.1', port });
          socket.once('connect', () => served++);
          socket.once('error', () => {});
          socket.once('close', () => resolve());
          socket.once('connect', () => socket.destroy());
        });
      await eventually('the program to end', async () => {
        await knock();
        return child.over;
      });
      const { code, stderr, stdout } = await child.ended;
      assert.is(stderr, `cordboard: the console cannot listen on 127.0.0.1 port ${place}: the port is in use\n`);
      assert.equal([code, stdout.toString(), served], [1, '', 0]);
    }
  }),
);

test.run();
