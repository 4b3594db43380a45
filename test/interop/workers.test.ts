// Several workers: callers and lines meet wherever they are, one worker dies alone and comes back, and all end together.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { echoes, echoServer, readAll, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { consume, keyFile, type Provider, provide, type Switchboard, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const twoWorkers = (scope: Scope) => switchboard(scope, { args: ['--workers', '2'] });
const theBoard = shared(test, twoWorkers);

interface Entry {
  readonly msg: string;
  readonly worker?: number;
  readonly user?: string;
  readonly [field: string]: unknown;
}

/** What the log says so far. */
const entries = ({ child }: Switchboard): Entry[] =>
  child.stderr
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Entry);

/** The first entry that fits, as soon as there is one. */
async function logged(board: Switchboard, what: string, fits: (entry: Entry) => boolean): Promise<Entry> {
  let found: Entry | undefined;
  await eventually(`the log to tell of ${what}`, () => (found = entries(board).find(fits)) !== undefined);
  return found!;
}

const workerOf = async (board: Switchboard, user: string): Promise<number> =>
  (await logged(board, `${user} signing in`, entry => entry.user === user && entry.msg === 'signed in')).worker!;

let names = 0;

/** A provider on that worker: connects until that one has got the connection. */
async function provideOn(scope: Scope, board: Switchboard, worker: number, target: number): Promise<Provider> {
  for (;;) {
    const user = `p${++names}`;
    const provider = await provide(scope, board, user, [`80:localhost:${target}`], { key: 'alice' });
    if ((await workerOf(board, user)) === worker) return provider;
    await provider.child.stop();
  }
}

/** A caller on that worker, with a local port for each target. */
async function consumeOn(scope: Scope, board: Switchboard, worker: number, ...aliases: string[]) {
  for (;;) {
    const user = `c${++names}`;
    const targets = aliases.map(alias => `${alias}:80`);
    const consumer = await consume(scope, board, user, targets, { key: 'bob' });
    if ((await workerOf(board, user)) === worker) return { ...consumer, user };
    await consumer.child.stop();
  }
}

/** What `listeners` shows, asked of both workers. */
async function listeners(scope: Scope, board: Switchboard): Promise<[one: string, two: string]> {
  const seen = new Map<number, string>();
  for (let i = 0; seen.size < 2; i++) {
    const user = `l${++names}`;
    const { stdout } = await ssh(scope, board, user, ['--', 'listeners'], { input: '', key: 'alice' }).ended;
    seen.set(await workerOf(board, user), stdout.toString());
    assert.ok(i < 40, 'one worker gets no connections');
  }
  return [seen.get(1)!, seen.get(2)!];
}

/** The process of a worker, as the log has it: of the one that was started last. */
const pidOf = (board: Switchboard, worker: number): number =>
  entries(board).findLast(entry => entry.worker === worker && entry.msg === `worker ${worker} serves`)!.pid as number;

const runs = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

it(
  'every caller reaches every line, whichever workers have them; many bytes both ways, and each end by itself',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const size = 3_000_000;
    // Answers with as many bytes, while the question still comes, and ends when it knows the whole question.
    const answer = randomBytes(size);
    const heard: string[] = [];
    const { port } = await tcpServer(scope, async socket => {
      socket.write(answer);
      const question = await readAll(socket);
      heard.push(sha256(question));
      socket.end(`got ${question.length}`);
    });
    const providers = [await provideOn(scope, board, 1, port), await provideOn(scope, board, 2, port)];
    const aliases = providers.map(({ alias }) => alias);
    for (const worker of [1, 2]) {
      const { ports, user } = await consumeOn(scope, board, worker, ...aliases);
      const questions = ports.map(() => randomBytes(size));
      const answers = await Promise.all(
        ports.map(async (port, i) => {
          const socket = await tcpConnect(scope, port);
          socket.end(questions[i]);
          return readAll(socket);
        }),
      );
      for (const [i, got] of answers.entries()) {
        assert.is(got.subarray(size).toString(), `got ${size}`);
        assert.is(sha256(got.subarray(0, size)), sha256(answer));
        assert.ok(heard.includes(sha256(questions[i])), 'what arrived is what was sent');
      }
      const across = await logged(
        board,
        'the circuit across',
        entry => entry.user === user && entry.msg === 'circuit closed' && entry.providerWorker !== undefined,
      );
      assert.is(across.providerWorker, 3 - worker);
      assert.is(across.bytesToProvider, size);
      assert.is(across.providerAlias, aliases[2 - worker]);
    }
  }),
);

it(
  'both workers show all lines; of two providers with one alias the newest is first, wherever each is',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const says = async (text: string) => (await tcpServer(scope, socket => void socket.end(text))).port;
    const [older, newer] = [await says('older'), await says('newer')];
    const user = `p${++names}`;
    const providers: { provider: Provider; worker: number }[] = [];
    // Both under one name: the second one until it is with the other worker.
    while (new Set(providers.map(({ worker }) => worker)).size < 2) {
      await providers.pop()?.provider.child.stop();
      for (const target of [older, newer].slice(providers.length)) {
        const before = entries(board).length;
        const provider = await provide(scope, board, user, [`80:localhost:${target}`], { key: 'alice' });
        const { worker } = entries(board)
          .slice(before)
          .find(entry => entry.user === user && entry.msg === 'signed in')!;
        providers.push({ provider, worker: worker! });
      }
    }
    const { alias } = providers[0].provider;
    const row = (name: string) => `  ${name}: ip=127.0.0.1 aliases=${alias} ports=80\n`;
    for (const text of await listeners(scope, board)) assert.ok(text.includes(row(user) + row(`${user}~1`)), text);
    const call = async (name: string) => {
      // From each worker once, more or less: two calls in a row are with two of them.
      const said = new Set<string>();
      for (let i = 0; i < 2; i++) {
        const { stdout } = await ssh(scope, board, 'bob', ['-W', `${name}:80`], { input: '' }).ended;
        said.add(stdout.toString());
      }
      return [...said].join(' and ');
    };
    assert.is(await call(alias), 'newer');
    assert.is(await call(`${alias}~1`), 'older');
    await providers[1].provider.child.stop();
    await eventually('the older one to move up', async () => (await call(alias)) === 'older');
    assert.is(await call(`${alias}~1`), '');
  }),
);

it(
  'a provider that is killed ends the circuit of a caller at the other worker',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const { alias, child } = await provideOn(scope, board, 1, await echoServer(scope));
    const { ports } = await consumeOn(scope, board, 2, alias);
    const circuit = await tcpConnect(scope, ports[0]);
    await echoes(circuit, 'before');
    child.signal('SIGKILL');
    assert.is((await soon('the circuit to end', readAll(circuit))).length, 0);
  }),
);

it(
  'keys that are enrolled by both workers at once all stand in the file',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const owners = Array.from({ length: 6 }, (_, i) => `new${i}`);
    for (const owner of owners) keyFile(owner);
    const ends = await Promise.all(
      owners.map(owner => ssh(scope, board, owner, ['--', 'listeners'], { input: '' }).ended),
    );
    assert.equal(
      ends.map(({ code }) => code),
      owners.map(() => 0),
    );
    const lines = readFileSync(join(board.data, 'authorized_keys'), 'utf8').trimEnd().split('\n');
    for (const owner of owners) {
      const [, blob] = readFileSync(`${keyFile(owner)}.pub`, 'utf8').split(' ');
      assert.is(lines.filter(line => line.includes(blob)).length, 1);
    }
  }),
);

/** TCP sockets on which any of the processes listens: "address:port". */
async function listening(scope: Scope, pids: readonly number[]): Promise<string[]> {
  const { stdout } = await scope.run('ss', ['-Hltnp']);
  return stdout
    .toString()
    .split('\n')
    .filter(line => pids.some(pid => line.includes(`pid=${pid},`)))
    .map(line => line.trim().split(/\s+/)[3]);
}

needs(
  test,
  'ssh',
  'ss',
)(
  'no TCP port is opened but the one for SSH',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const { alias } = await provideOn(scope, board, 1, await echoServer(scope));
    const { ports } = await consumeOn(scope, board, 2, alias);
    await echoes(await tcpConnect(scope, ports[0]), 'a circuit across');
    const pids = [board.child.pid, pidOf(board, 1), pidOf(board, 2)];
    assert.equal(await listening(scope, pids), [`127.0.0.1:${board.port}`]);
  }),
);

/** When a socket has been closed, in whichever way. */
const gone = (socket: Socket) =>
  new Promise<void>(resolve => {
    socket.on('close', resolve).on('end', resolve).resume();
    if (socket.destroyed) resolve();
  });

it(
  'a worker that is killed takes its circuits and lines with it, the others go on, and it comes back',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const [one, two] = [await provideOn(scope, board, 1, echo), await provideOn(scope, board, 2, echo)];
    const here = await consumeOn(scope, board, 1, one.alias, two.alias);
    const there = await consumeOn(scope, board, 2, one.alias);
    const [within, across] = [await tcpConnect(scope, here.ports[0]), await tcpConnect(scope, here.ports[1])];
    const back = await tcpConnect(scope, there.ports[0]);
    for (const socket of [within, across, back]) await echoes(socket, 'before');
    const ended = Promise.all([gone(across), gone(back)]);
    const killed = pidOf(board, 2);
    process.kill(killed, 'SIGKILL');
    await soon('the circuits across to end', ended);
    await echoes(within, 'still here');
    await soon('the clients of that worker to be disconnected', Promise.all([two.child.ended, there.child.ended]));
    await logged(
      board,
      'the death',
      entry => entry.worker === 2 && entry.msg === 'worker 2 ended by SIGKILL; another one starts',
    );
    // Whoever asks now is served by the worker that lives, or by the new one: both know what there is.
    const { stdout } = await ssh(scope, board, 'ask', ['--', 'listeners'], { input: '', key: 'alice' }).ended;
    assert.match(stdout.toString(), one.alias);
    assert.not.match(stdout.toString(), two.alias);
    const refused = await ssh(scope, board, 'bob', ['-W', `${two.alias}:80`], { input: '' }).ended;
    assert.match(refused.stderr, /no line named \S+ is plugged in/);

    await eventually('worker 2 to serve again', () => pidOf(board, 2) !== killed);
    for (const text of await listeners(scope, board)) assert.match(text, one.alias);
    const again = await provideOn(scope, board, 2, echo);
    const caller = await consumeOn(scope, board, 1, again.alias);
    await echoes(await tcpConnect(scope, caller.ports[0]), 'to the new one');
    const other = await consumeOn(scope, board, 2, one.alias);
    await echoes(await tcpConnect(scope, other.ports[0]), 'from the new one');
    await echoes(within, 'and still here');
  }),
);

for (const [signal, code] of [
  ['SIGTERM', 0],
  ['SIGKILL', null],
] as const) {
  it(
    `${signal} ends all processes, and leaves nothing behind`,
    bounded(180, async scope => {
      const temporary = scope.directory();
      const board = await switchboard(scope, { args: ['--workers', '2'], env: { TMPDIR: temporary } });
      const pids = [pidOf(board, 1), pidOf(board, 2)];
      const [sockets] = readdirSync(temporary).filter(name => name.startsWith('cordboard-workers-'));
      assert.is(statSync(join(temporary, sockets)).mode & 0o777, 0o700);
      assert.is(readdirSync(join(temporary, sockets)).length, 2);
      const { child } = await provide(scope, board, 'alice', ['80:localhost:7']);
      board.child.signal(signal);
      assert.is((await soon('the switchboard to end', board.child.ended)).code, code);
      await soon('its client to be disconnected', child.ended);
      if (signal === 'SIGTERM') assert.match(child.stderr, /the server is shutting down/);
      await eventually('the workers to end', () => !pids.some(runs));
      await eventually('their directory to go', () => !existsSync(join(temporary, sockets)));
    }),
  );
}

test.run();
