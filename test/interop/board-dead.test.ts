// Lines that nobody serves any more: the first complaint about every tunnel.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/index.ts';
import { call, execute, greeted, says } from '../kit/board.ts';
import { tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, soon } from '../kit/processes.ts';
import { consume, keyFile, knownHost, provide, type Switchboard, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';
import { wayTo } from '../kit/way.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** The board as one reaches it by another port. */
function through(board: Switchboard, port: number): Switchboard {
  const keys = board.known.map(line => line.split(' ').slice(1).join(' '));
  return { ...board, port, known: keys.map(key => knownHost(board.host, port, key)) };
}

it(
  'a provider that dies behind a way that is cut: its line is free within the time that was said, and it comes back with its alias',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--dead-after', '3s'] });
    const way = await wayTo(scope, board.port);
    const port = await says(scope, 'here');
    const { alias, child } = await provide(scope, through(board, way.port), 'alice', [`80:localhost:${port}`]);
    assert.is(await call(scope, board, `${alias}:80`), 'here');
    way.cut();
    child.signal('SIGKILL');
    await eventually('the line to be free', async () => /no line named/.test(await call(scope, board, `${alias}:80`)));
    await soon('the log', board.child.says(/silent for 3 seconds/, 'stderr'));
    const again = await provide(scope, board, 'alice', [`80:localhost:${port}`]);
    assert.is(again.alias, alias);
    assert.is(await call(scope, board, `${alias}:80`), 'here');
  }),
);

it(
  'the same key coming back has the line at once, while the dead connection is not noticed yet; the greeting says so',
  bounded(180, async scope => {
    // Nobody is given up by himself here: what the newcomer gets, he gets by having come.
    const board = await switchboard(scope, { args: ['--dead-after', '0', '--balance'] });
    const way = await wayTo(scope, board.port);
    const old = await provide(scope, through(board, way.port), 'alice', [`80:localhost:${await says(scope, 'old')}`]);
    way.cut();
    const fresh = greeted(scope, board, 'alice', `80:localhost:${await says(scope, 'new')}`);
    await fresh.says(
      /^Took over \[80\] from your connection from 127\.0\.0\.1, which is asked whether it still lives\.$/m,
    );
    const banner = /^A connection of yours from 127\.0\.0\.1 has lines; yours come first\.\r?$/m;
    await soon('the banner', fresh.says(banner, 'stderr'));
    // Not even in turn is the dead one called.
    for (let i = 0; i < 3; i++) assert.is(await call(scope, board, `${old.alias}:80`), 'new');
    const { stdout } = await execute(scope, board, 'alice', `kick ${old.alias}~1`);
    assert.match(stdout.toString(), /^Disconnected alice-\S+ from 127\.0\.0\.1/);
    await fresh.says(/^Your older connection from 127\.0\.0\.1 is gone\.$/m);
    assert.not.ok(old.child.over, 'it does not know');
  }),
);

it(
  'two connections of one key that live are two providers; the greeting of the second says so, and with --balance calls alternate',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--balance'] });
    const first = await provide(scope, board, 'alice', [`80:localhost:${await says(scope, 'first')}`]);
    const second = greeted(scope, board, 'alice', `80:localhost:${await says(scope, 'second')}`);
    await second.says(/^Your older connection from 127\.0\.0\.1 lives: it is another provider, alice-\S+~1\.$/m);
    const heard = [];
    for (let i = 0; i < 4; i++) heard.push(await call(scope, board, `${first.alias}:80`));
    assert.equal(heard, ['second', 'first', 'second', 'first']);
    assert.is(await call(scope, board, `${first.alias}~1:80`), 'first');
    assert.is(await call(scope, board, `${first.alias}~0:80`), 'second');
  }),
);

it(
  'a provider on a way so slow that it is silent for longer is not given up',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--dead-after', '12s'] });
    const way = await wayTo(scope, board.port);
    // Our own client says something only once a megabyte has come, which is each twenty seconds.
    const slow = await dial({
      ...{ host: '127.0.0.1', port: way.port, user: 'slow', hostKey: () => true },
      keys: [readFileSync(keyFile('slow'), 'utf8')],
    });
    scope.defer(() => slow.close());
    let came = 0;
    await slow.listen('localhost', 80, async ({ stream }) => {
      for await (const bytes of stream) came += bytes.length;
    });
    const names = await slow.exec('whoami --json');
    const { alias } = JSON.parse(new TextDecoder().decode(names.stdout));
    const { ports } = await consume(scope, board, 'bob', [`${alias}:80`]);
    way.slow(50_000);
    const socket = await tcpConnect(scope, ports[0]);
    const pour = () => {
      while (socket.write(Buffer.alloc(65_536)));
    };
    socket.on('drain', pour);
    pour();
    await eventually('more than a megabyte to come', () => came > 1_300_000, 120);
    assert.not.match(board.child.stderr, /"user":"slow".*silent for/);
  }),
);

test.run();
