// Limits of a key with several workers: they hold for all of them together, and one that dies leaves nothing behind.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, execute } from '../kit/board.ts';
import { echoes, echoServer, readAll, tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, type Scope } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { consume, keyLine, provide, type Switchboard, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

const RATE = 8 * 1024 * 1024;

const theBoard = shared(test, async scope => {
  const keys = [
    `quota="clients=4" ${keyLine('alice')}`,
    `quota="circuits=4" ${keyLine('carol')}`,
    `quota="rate=${RATE}" ${keyLine('dave')}`,
    keyLine('bob'),
  ];
  const file = join(scope.directory(), 'keys');
  writeFileSync(file, `${keys.join('\n')}\n`);
  return switchboard(scope, { args: ['--workers', '2', '--no-enrol', '--authorized-keys', file] });
});

interface Entry {
  readonly msg: string;
  readonly worker: number;
  readonly user?: string;
  readonly pid?: number;
}

const entries = ({ child }: Switchboard): Entry[] =>
  child.stderr
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Entry);

/** The worker of the one connection that there has been with this user name. */
async function workerOf(board: Switchboard, user: string): Promise<number> {
  let found: Entry | undefined;
  await eventually('the log to tell of the sign-in', () => {
    found = entries(board).find(entry => entry.user === user && entry.msg === 'signed in');
    return found !== undefined;
  });
  return found!.worker;
}

let names = 0;

/** Two of something, one with each worker. */
async function onBoth<T extends { child: { stop(): Promise<unknown> } }>(
  board: Switchboard,
  make: (user: string) => Promise<T>,
): Promise<T[]> {
  const all = new Map<number, T>();
  for (let i = 0; all.size < 2; i++) {
    assert.ok(i < 40, 'one worker gets no connections');
    const user = `u${++names}`;
    const made = await make(user);
    const worker = await workerOf(board, user);
    if (all.has(worker)) await made.child.stop();
    else all.set(worker, made);
  }
  return [all.get(1)!, all.get(2)!];
}

const provideBoth = (scope: Scope, board: Switchboard, key: string, target: number) =>
  onBoth(board, user => provide(scope, board, user, [`80:localhost:${target}`], { key }));

it(
  'circuits of a key are counted over both workers',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const providers = await provideBoth(scope, board, 'carol', echo);
    const targets = providers.map(({ alias }) => `${alias}:80`);
    const callers = await onBoth(board, user => consume(scope, board, user, targets, { key: 'bob' }));
    // One of each kind: within either worker, and across, both ways.
    const circuits = [];
    for (const { ports } of callers) for (const port of ports) circuits.push(await tcpConnect(scope, port));
    for (const circuit of circuits) await echoes(circuit, 'hello');
    for (const target of targets) {
      assert.match(await call(scope, board, target), /open failed: resource shortage: the line has too many circuits/);
    }
    for (const { ports } of callers)
      for (const port of ports) assert.is((await readAll(await tcpConnect(scope, port))).length, 0);
    for (const circuit of circuits) {
      circuit.destroy();
      await eventually('room for another', async () => (await call(scope, board, targets[0])) === '');
      const again = await tcpConnect(scope, callers[0].ports[1]);
      await echoes(again, 'in its place');
    }
  }),
);

it(
  'a rate of a key is that of both workers together',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const providers = await provideBoth(scope, board, 'dave', await echoServer(scope));
    const targets = providers.map(({ alias }) => `${alias}:80`);
    const { ports } = await consume(scope, board, 'bob', targets);
    const size = 2 * RATE;
    const began = performance.now();
    await Promise.all(
      ports.map(async port => {
        const socket = await tcpConnect(scope, port);
        socket.end(Buffer.alloc(size, 'abc'));
        assert.is((await readAll(socket)).length, size);
      }),
    );
    const seconds = (performance.now() - began) / 1000;
    console.log(`\nnote: 64 MiB through two workers at 8 MiB/s took ${seconds.toFixed(1)} s`);
    // 8 s, less what comes before it holds: a second's worth, and a window or two for each circuit, each way and process.
    // If each worker had the rate for itself, it would be 4 less that.
    assert.ok(seconds > 4, 'the rate did not hold');
  }),
);

it(
  'connections of a key are counted over both workers, and those of one that was killed are forgotten',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const workers = [];
    for (let i = 0; i < 4; i++) {
      const user = `u${++names}`;
      await provide(scope, board, user, ['80:localhost:7'], { key: 'alice' });
      workers.push(await workerOf(board, user));
    }
    assert.is(new Set(workers).size, 2);
    const asked = () => execute(scope, board, 'alice', 'whoami');
    for (let i = 0; i < 3; i++) {
      const { code, stderr } = await asked();
      assert.is(code, 255);
      assert.match(stderr, /your key has 4 connections already/);
    }
    const { pid } = entries(board).findLast(entry => entry.worker === 2 && entry.msg === 'worker 2 serves')!;
    process.kill(pid!, 'SIGKILL');
    // A client that comes before the system has told may be given to the dead one.
    await eventually('the death', () => entries(board).some(({ msg }) => msg.startsWith('worker 2 ended')));
    await eventually('room for another', async () => (await asked()).code === 0);
  }),
);

test.run();
