// The real haproxy in front of us, with versions 1 and 2 of the PROXY protocol and its health checks: stock ssh comes
// through it as itself.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { connectFrom, freePort } from '../kit/loopback.ts';
import { door, otssh } from '../kit/once.ts';
import { bounded, eventually, pause, type Scope, soon } from '../kit/processes.ts';
import { blurt } from '../kit/raw-client.ts';
import { boardData, cordboard, keyLine, knownHost, ssh, switchboard, type Target } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'haproxy', 'ssh', 'ssh-keygen', 'curl');
const CLIENT = '127.0.0.9';

/**
 * haproxy in front of `port`: it listens on the port that comes back, and asks twice a second whether somebody is
 * there.
 */
async function haproxy(scope: Scope, port: number, send: 'send-proxy' | 'send-proxy-v2'): Promise<number> {
  const own = await freePort();
  const file = join(scope.directory(), 'haproxy.cfg');
  writeFileSync(
    file,
    [
      'defaults',
      '  mode tcp',
      '  timeout connect 10s',
      '  timeout client 60s',
      '  timeout server 60s',
      'listen door',
      `  bind 127.0.0.1:${own}`,
      `  server us 127.0.0.1:${port} ${send} check inter 500ms`,
      '',
    ].join('\n'),
  );
  scope.start('haproxy', ['-db', '-q', '-f', file], { input: '' });
  // From elsewhere: what comes through it is told apart by its address.
  await eventually('haproxy to listen', () =>
    connectFrom(scope, own, '127.0.0.6').then(
      socket => {
        socket.destroy();
        return true;
      },
      () => false,
    ),
  );
  return own;
}

/** The same target, at another port. */
const at = (target: Target, port: number): Target => ({
  ...target,
  port,
  known: target.known.map(line => knownHost(target.host, port, line.split(' ').slice(1).join(' '))),
});

for (const send of ['send-proxy', 'send-proxy-v2'] as const) {
  it(
    `a switchboard behind haproxy (${send}) sees its clients: in from=, in the log and in the shell`,
    bounded(180, async scope => {
      const data = boardData(scope);
      const line = (owner: string, from: string) =>
        `from="${from}",access="listen",access="initiate",access="list" ${keyLine(owner)}`;
      writeFileSync(join(data, 'authorized_keys'), `${line('alice', CLIENT)}\n${line('bob', '127.0.0.8')}\n`);
      const args = ['--proxy-protocol', '127.0.0.1/32', '--log-format', 'json', '--dead-after', '1h'];
      const board = await switchboard(scope, { data, args });
      const through = at(board, await haproxy(scope, board.port, send));
      const from = ['-o', `BindAddress=${CLIENT}`];
      const help = await ssh(scope, through, 'alice', [...from, '--', 'listeners'], { input: '' }).ended;
      assert.is(help.code, 0, help.stderr);
      const other = await ssh(scope, through, 'bob', [...from, '--', 'listeners'], { input: '' }).ended;
      assert.match(other.stderr, /Permission denied/);
      await soon('the log', board.child.says(/"address":"127\.0\.0\.9"[^\n]*signed in/, 'stderr'));
      // Several checks have come and gone, and nothing is said of any. (Once may be another test that looks for a port
      // of its own.)
      await pause(2200);
      const said = board.child.stderr.split('\n').filter(one => one.includes('"127.0.0.1"'));
      assert.ok(said.length < 2, said.join('\n'));
      // Who is no balancer is an SSH client, and nothing else; who is one must say whose the connection is.
      const spoof = 'PROXY TCP4 127.0.0.9 127.0.0.1 1 22\r\nSSH-2.0-x\r\n';
      assert.match((await blurt(scope, board.port, spoof, '127.0.0.7')).text, /does not speak SSH-2/);
      assert.is((await blurt(scope, board.port, 'SSH-2.0-x\r\n')).text, '');
      await soon('the reason', board.child.says(/connection refused: it does not begin with a PROXY header/, 'stderr'));
    }),
  );
}

it(
  'the console behind haproxy: requests are answered, and those without a header are not',
  bounded(180, async scope => {
    const port = await freePort();
    const args = ['--proxy-protocol', '127.0.0.1', '--console', `127.0.0.1:${port}`];
    await switchboard(scope, { args });
    for (const send of ['send-proxy', 'send-proxy-v2'] as const) {
      const own = await haproxy(scope, port, send);
      const url = `http://127.0.0.1:${own}/healthz`;
      for (let i = 0; i < 3; i++) {
        const { code, stdout, stderr } = await scope.run('curl', ['-sS', '-f', '-m', '30', url]);
        assert.is(code, 0, `${stderr} ${stdout}`);
      }
    }
    const plain = await scope.run('curl', ['-sS', '-m', '30', `http://127.0.0.1:${port}/healthz`]);
    assert.is.not(plain.code, 0);
    const far = await scope.run('curl', [
      '-sS',
      '-f',
      '-m',
      '30',
      '--interface',
      CLIENT,
      `http://127.0.0.1:${port}/healthz`,
    ]);
    assert.is(far.code, 0, far.stderr);
  }),
);

it(
  'otssh behind haproxy: SSH_CONNECTION and the transcript say who the client is',
  bounded(180, async scope => {
    const it = await door(scope, { args: ['-proxy-protocol=127.0.0.1'] });
    const own = await haproxy(scope, it.port, 'send-proxy-v2');
    const args = ['-o', `BindAddress=${CLIENT}`, '--', 'echo $SSH_CONNECTION'];
    const { stdout, stderr } = await ssh(scope, at(it, own), 'alice', args, { input: '' }).ended;
    assert.match(stdout.toString(), new RegExp(`^127\\.0\\.0\\.9 \\d+ 127\\.0\\.0\\.1 ${own}\n$`), stderr);
    await soon('otssh to end', it.child.ended);
    assert.match(readFileSync(it.log, 'latin1'), /127\.0\.0\.9/);
  }),
);

it(
  'a list of balancers that is none ends the start, and names what is wrong',
  bounded(60, async scope => {
    for (const start of [
      cordboard(scope, ['switchboard', '--proxy-protocol', '10.0.0.1,lb.example']),
      otssh(scope, ['-authorized-keys=x', '-proxy-protocol=10.0.0.1,lb.example']),
    ]) {
      const { code, stderr } = await soon('the end', start.ended, 60);
      assert.is.not(code, 0);
      assert.match(stderr, /"lb\.example" is not an address or network/);
    }
    const { code, stderr } = await soon(
      'the end',
      otssh(scope, ['-authorized-keys=x', '-stdio', '-log=y', '-proxy-protocol=10.0.0.1']).ended,
      60,
    );
    assert.is.not(code, 0);
    assert.match(stderr, /--proxy-protocol is of no use/);
  }),
);

test.run();
