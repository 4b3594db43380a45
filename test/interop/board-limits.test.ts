// Limits: what one key may have, how fast, how long idle, and from where it may come.
import { readdirSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, execute, fleet } from '../kit/board.ts';
import { echoes, echoServer, readAll, tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, pause, soon } from '../kit/processes.ts';
import { consume, keyLine, provide, ssh } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

it(
  'limits of a key: connections, lines, circuits; for one key by quota=',
  bounded(180, async scope => {
    const lines = [keyLine('alice'), keyLine('bob'), `quota="clients=1,lines=1" ${keyLine('carol')}`];
    const { board } = await fleet(scope, lines, ['--max-clients', '2', '--max-lines', '2', '--max-circuits', '2']);
    const echo = await echoServer(scope);
    const plug = async (user: string, ...ports: number[]) => {
      const args = ports.flatMap(port => ['-R', `${port}:localhost:${echo}`]);
      return ssh(scope, board, user, ['-N', ...args], { input: '' });
    };
    const three = await (await plug('alice', 1, 2, 3)).ended;
    assert.match(three.stderr, /remote port forwarding failed for listen port 3/);
    assert.match((await (await plug('carol', 1, 2)).ended).stderr, /failed for listen port 2/);

    const alice = await provide(scope, board, 'alice', [`1:localhost:${echo}`]);
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:1`]);
    const circuits = [await tcpConnect(scope, bob.ports[0]), await tcpConnect(scope, bob.ports[0])];
    for (const circuit of circuits) await echoes(circuit, 'hello');
    assert.is((await readAll(await tcpConnect(scope, bob.ports[0]))).length, 0, 'a third one');
    assert.match(await call(scope, board, `${alice.alias}:1`), /open failed: resource shortage: your key has too many/);
    circuits[0].destroy();
    await eventually('room for another', async () => (await call(scope, board, `${alice.alias}:1`)) === '');

    await provide(scope, board, 'alice', [`2:localhost:${echo}`]);
    const third = await execute(scope, board, 'alice', 'whoami');
    assert.is(third.code, 255);
    assert.match(third.stderr, /your key has 2 connections already/);
    const carol = await provide(scope, board, 'carol', [`1:localhost:${echo}`]);
    assert.match((await execute(scope, board, 'carol', 'whoami')).stderr, /your key has 1 connections already/);
    assert.not.ok(carol.child.over);
  }),
);

it(
  'idle circuits and connections are closed, and a key that expires goes when it does',
  bounded(180, async scope => {
    const lines = ['alice', 'bob', 'carol', 'dave'].map(keyLine);
    const { board, file } = await fleet(scope, lines, ['--circuit-idle', '2s', '--client-idle', '3s']);
    // Long enough for a slow machine to sign in first.
    const soonOver = new Date(Date.now() + 20_000).toISOString().replace(/[-:T]|\.\d+/g, '');
    writeFileSync(file, [...lines.slice(0, 3), `expiry-time="${soonOver}" ${lines[3]}`, ''].join('\n'));
    const dave = await provide(scope, board, 'dave', ['80:localhost:7']);
    const alice = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
    // A session is something.
    const carol = ssh(scope, board, 'carol', ['-T']);
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:80`]);
    const circuit = await tcpConnect(scope, bob.ports[0]);
    const ended = readAll(circuit);
    await soon('the circuit to be closed', ended, 60);
    await soon('bob to be sent away', bob.child.ended, 60);
    assert.match(bob.child.stderr, /idle for 3 seconds/);
    await soon('dave to be sent away', dave.child.ended, 60);
    assert.match(dave.child.stderr, /your key has expired/);
    assert.not.ok(alice.child.over, 'who has lines is not idle');
    assert.not.ok(carol.over, 'who has a session is not idle');
  }),
);

it(
  'a rate is kept on average, and nothing is lost',
  bounded(180, async scope => {
    const lines = [`quota="rate=2M" ${keyLine('alice')}`, keyLine('bob'), keyLine('carol')];
    const { board } = await fleet(scope, lines);
    const echo = await echoServer(scope);
    const alice = await provide(scope, board, 'alice', [`80:localhost:${echo}`]);
    const carol = await provide(scope, board, 'carol', [`80:localhost:${echo}`]);
    const { ports } = await consume(scope, board, 'bob', [`${alice.alias}:80`, `${carol.alias}:80`]);
    const size = 6 * 1024 * 1024;
    const seconds = async (port: number) => {
      const began = performance.now();
      const socket = await tcpConnect(scope, port);
      socket.end(Buffer.alloc(size, 'abc'));
      assert.is((await readAll(socket)).length, size);
      return (performance.now() - began) / 1000;
    };
    const [slow, fast] = [await seconds(ports[0]), await seconds(ports[1])];
    console.log(`\nnote: 12 MiB in all took ${slow.toFixed(1)} s with a rate of 2 MiB/s, ${fast.toFixed(1)} s without`);
    // The machine can be slower than the rate, but not faster: a window or two each way come before it holds.
    assert.ok(slow > 1, 'the rate did not hold');
  }),
);

it(
  'from= knows host names with --use-dns only',
  bounded(180, async scope => {
    const lines = [`from="localhost*" ${keyLine('alice')}`];
    const { board } = await fleet(scope, lines);
    assert.is((await execute(scope, board, 'alice', 'whoami')).code, 255);
    const named = await fleet(scope, lines, ['--use-dns']);
    const { code, stderr } = await execute(scope, named.board, 'alice', 'whoami');
    assert.is(code, 0, stderr);
  }),
);

needs(
  test,
  'ssh',
  'ssh-keygen',
  'prlimit',
)(
  'a switchboard without file descriptors says so, once, and goes on when it has some again',
  bounded(180, async scope => {
    const { board } = await fleet(scope, [keyLine('alice')], ['--max-startups', '1000']);
    const [first] = await Promise.all([tcpConnect(scope, board.port), soon('it to be there', pause(1500))]);
    const open = readdirSync(`/proc/${board.child.pid}/fd`).length;
    const limit = open + 20;
    await scope.run('prlimit', ['--pid', String(board.child.pid), `--nofile=${limit}:${limit}`]);
    const crowd = await Promise.all(Array.from({ length: 60 }, () => tcpConnect(scope, board.port)));
    await soon(
      'it to say so',
      board.child.says(/connections cannot be accepted[\s\S]*EMFILE|EMFILE[\s\S]*cannot be/, 'stderr'),
      60,
    );
    // Three of its seconds more, and more who come in vain.
    for (let i = 0; i < 3; i++) {
      await pause(1000);
      await tcpConnect(scope, board.port);
    }
    for (const socket of [first, ...crowd]) socket.destroy();
    await eventually('alice to get in', async () => (await execute(scope, board, 'alice', 'whoami')).code === 0, 60);
    assert.is([...board.child.stderr.matchAll(/connections cannot be accepted/g)].length, 1);
  }),
);

test.run();
