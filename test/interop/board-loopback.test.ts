// localhost at a switchboard: a client's own lines, for the connection that has plugged them in and for no other. `autossh -M` relies on it.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, fleet, says } from '../kit/board.ts';
import { freePort, readAll, tcpConnect } from '../kit/loopback.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { keyLine, type SshOptions, type Switchboard, ssh, sshConfig, switchboard } from '../kit/ssh.ts';
import { needs, which } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const withAutossh = needs(test, 'ssh', 'ssh-keygen', 'autossh');
const theBoard = shared(test, switchboard);

/** A free port whose next one is free, too. */
async function freePair(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const server = createServer();
    const taken = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(true));
      server.listen({ host: '127.0.0.1', port: port + 1 }, () => resolve(false));
    });
    if (taken) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** `ssh -R PORT:… -L own:HOST:PORT`, both over one connection: what comes back through it. */
async function loop(
  scope: Scope,
  board: Switchboard,
  user: string,
  forward: string,
  targets: readonly string[],
  options?: SshOptions,
) {
  const ports = await Promise.all(targets.map(freePort));
  const locals = targets.flatMap((target, i) => ['-L', `127.0.0.1:${ports[i]}:${target}`]);
  const child = ssh(scope, board, user, ['-v', '-N', '-R', forward, ...locals], options);
  await soon('the line to be plugged in', child.says(/remote forward success for/, 'stderr'));
  const answers = [];
  for (const port of ports) {
    const socket = await tcpConnect(scope, port);
    answers.push((await soon('an answer', readAll(socket))).toString());
    socket.destroy();
  }
  return { child, answers };
}

withAutossh(
  'autossh -M: its checks go through the board and back, one after the other, and nothing is started again',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const port = await freePair();
    const config = sshConfig(scope, board, 'alice');
    const args = ['-M', String(port), '-F', config, '-p', String(board.port), '-N', `alice@${board.host}`];
    const autossh = scope.start('autossh', args, {
      env: {
        ...{ AUTOSSH_PATH: which('ssh'), AUTOSSH_GATETIME: '0', AUTOSSH_DEBUG: '1' },
        // Seconds to the first check, and between two of them; half of that is its time limit.
        ...{ AUTOSSH_FIRST_POLL: '1', AUTOSSH_POLL: '4' },
      },
    });
    await soon('three checks', autossh.says(/(?:connection ok[\s\S]*){3}/, 'stderr'));
    assert.is([...autossh.stderr.matchAll(/starting ssh \(count (\d+)\)/g)].map(([, count]) => count).join(), '1');
    // Nobody else has that line at localhost, whatever key he has.
    for (const key of ['alice', 'bob'])
      for (const host of ['localhost', '127.0.0.1', '[::1]'])
        assert.match(
          await call(scope, board, `${host}:${port}`, { key }),
          /open failed: connect failed: \S+ is your own connection, and it has no line on port/,
        );
  }),
);

it(
  'a connection reaches its own lines as localhost, 127.0.0.1 and ::1, and neither another’s nor the server’s own ports',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const hosts = ['localhost', 'LocalHost.', '127.0.0.1', '[::1]', '[0:0::1]'];
    const forward = `8080:localhost:${await says(scope, 'alice')}`;
    const alice = await loop(
      scope,
      board,
      'alice',
      forward,
      hosts.map(host => `${host}:8080`),
    );
    assert.equal(
      alice.answers,
      hosts.map(() => 'alice'),
    );
    // The same port of another client, under the same name and key.
    const again = await loop(scope, board, 'alice', `8080:localhost:${await says(scope, 'again')}`, ['localhost:8080']);
    assert.equal(again.answers, ['again']);
    const bob = await loop(scope, board, 'bob', `81:localhost:${await says(scope, 'bob')}`, [
      ...['localhost:81', 'localhost:8080', `127.0.0.1:${board.port}`, `localhost:${board.port}`, '127.0.0.2:81'],
    ]);
    assert.equal(bob.answers, ['bob', '', '', '', '']);
    assert.match(bob.child.stderr, /open failed: connect failed: localhost is your own connection, and it has no line/);
  }),
);

it(
  'whoever calls themselves localhost gets nobody’s calls; the rights and quotas of a key hold for its own lines, too',
  bounded(180, async scope => {
    const { board } = await fleet(scope, [
      keyLine('mallory'),
      keyLine('bob'),
      `access="listen" ${keyLine('carol')}`,
      `permitopen="elsewhere:1" ${keyLine('dave')}`,
    ]);
    const mallory = await loop(scope, board, 'localhost', `80:localhost:${await says(scope, 'mallory')}`, [], {
      key: 'mallory',
    });
    for (const target of ['localhost:80', 'localhost~0:80', '127.0.0.1:80'])
      assert.match(await call(scope, board, target), /is your own connection, and it has no line on port 80/, target);
    for (const user of ['carol', 'dave']) {
      const one = await loop(scope, board, user, `80:localhost:${await says(scope, user)}`, ['localhost:80']);
      assert.equal(one.answers, ['']);
      assert.match(one.child.stderr, /administratively prohibited: open failed|your key may not call this/);
    }
    assert.not(mallory.child.over);
  }),
);

test.run();
