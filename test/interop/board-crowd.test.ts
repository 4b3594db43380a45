// 500 lines and 2,000 circuits through one process, with clients that stall, hang up and flood: nobody else notices, and memory comes back when they have left.
import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { execute } from '../kit/board.ts';
import { echoServer, tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, pause, type Scope, soon } from '../kit/processes.ts';
import { consume, keyFile, keyLine, provide, type Switchboard, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const MIB = 1024 * 1024;
const CLIENTS = 50;
const LINES = 10;
const CIRCUITS = 2000;
/** Milliseconds that the crowd is watched for; the first one only long enough to be a crowd. */
const WATCH = 5000;
const GLANCE = 1000;
/** Live memory that may be left when the crowd has left: what the engine keeps of code that ran. 2,000 circuits have some 60 MB. */
const KEPT = 8 * MIB;

/**
 * On SIGUSR2 the server collects its garbage and says on stderr what is left, {"live": bytes, "resident": bytes}, and how long
 * the turns of its loop were since the last time: "turns", milliseconds of the median, 95 % and the longest.
 */
const COLLECTS = `data:text/javascript,${encodeURIComponent(`
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  import { monitorEventLoopDelay } from 'node:perf_hooks';
  const RESOLUTION = 2;
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    const turns = [50, 95, 100].map(part => Math.max(0, delay.percentile(part) / 1e6 - RESOLUTION));
    gc();
    gc();
    const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
    process.stderr.write(JSON.stringify({ live: heapUsed + arrayBuffers, resident: rss, turns }) + '\\n');
    delay.reset();
  });
`)}`;

interface Insight {
  readonly live: number;
  readonly resident: number;
  readonly turns: readonly number[];
}

/** What a server has in memory, garbage aside, and how its loop turns. */
async function insight({ child }: Switchboard): Promise<Insight> {
  const all = () => [...child.stderr.matchAll(/^\{"live":.*$/gm)];
  const before = all().length;
  child.signal('SIGUSR2');
  await eventually('the server to tell', () => all().length > before);
  return JSON.parse(all()[before][0]);
}

/** Milliseconds for a byte to an echo server and back. */
async function roundTrip(socket: Socket): Promise<number> {
  const began = performance.now();
  const back = new Promise<void>(resolve => socket.once('data', () => resolve()));
  socket.write('x');
  await soon('the byte to come back', back, 60);
  return performance.now() - began;
}

/** A circuit in which nobody says anything yet. */
async function quietly(scope: Scope, board: Switchboard): Promise<Socket> {
  const { alias } = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
  const { ports } = await consume(scope, board, 'bob', [`${alias}:80`]);
  return tcpConnect(scope, ports[0]);
}

/** Round trips by turns, for so many milliseconds: of each socket the median, 95 %, and the longest. */
async function watched(sockets: readonly Socket[], time: number): Promise<number[][]> {
  const times = sockets.map(() => [] as number[]);
  for (const end = Date.now() + time; Date.now() < end; await pause(20))
    for (const [i, socket] of sockets.entries()) times[i].push(await roundTrip(socket));
  return times.map(each => {
    const sorted = each.toSorted((a, b) => a - b);
    return [0.5, 0.95, 1].map(part => sorted[Math.ceil(part * sorted.length) - 1]);
  });
}

const told = (times: readonly number[]) => `${times.map(time => time.toFixed(1)).join(' / ')} ms`;

const crowd = (scope: Scope, board: Switchboard, ...args: string[]) =>
  scope.start(process.execPath, [
    ...['--import', 'tsx', join(import.meta.dirname, '../kit/crowd.ts')],
    ...[String(board.port), keyFile('crowd'), ...args],
  ]);

/** They come, are watched, some of them are frozen, and all leave, without a word. */
async function storm(scope: Scope, board: Switchboard, quiet: readonly Socket[], time: number) {
  const providers = crowd(scope, board, 'provide', String(CLIENTS), String(LINES));
  const [, names] = await soon('500 lines', providers.says(/^ready (\S+)$/m), 120);
  const targets = names.split(',').flatMap(name => Array.from({ length: LINES }, (_, i) => `${name}:${i + 1}`));
  assert.is(targets.length, CLIENTS * LINES);
  const halves = [targets.slice(0, targets.length / 2), targets.slice(targets.length / 2)];
  const callers = halves.map(half => crowd(scope, board, 'call', String(CIRCUITS / 2), half.join()));
  for (const caller of callers) await soon('1,000 circuits', caller.says(/^ready$/m), 120);
  const { stdout } = await execute(scope, board, 'root', 'circuits --json');
  const { length } = JSON.parse(stdout.toString());
  // Some have just hung up.
  assert.ok(length > CIRCUITS * 0.9, `${length} circuits`);
  await insight(board);
  const times = await watched(quiet, time);
  const { turns } = await insight(board);
  // Half of the callers do not even read their sockets any more.
  callers[1].signal('SIGSTOP');
  await roundTrip(quiet[0]);
  for (const child of [...callers, providers]) assert.not.ok(child.over, child.report);
  for (const child of [...callers, providers]) child.signal('SIGKILL');
  for (const child of [...callers, providers]) await child.ended;
  return { times, turns };
}

const body = bounded(400, async scope => {
  const board = await switchboard(scope, {
    ...{ args: ['--log-level', 'warn'], env: { NODE_OPTIONS: `--import ${COLLECTS}` } },
  });
  // Root sees all.
  const file = join(board.data, 'authorized_keys');
  writeFileSync(file, `access="admin" ${keyLine('root')}\n`);
  // The second is of a switchboard without a crowd: it shows what the machine has left for anybody.
  const quiet = [await quietly(scope, board), await quietly(scope, await switchboard(scope))];
  const [before] = await watched(quiet, GLANCE);

  const alone = async () => {
    const ask = async (what: string) =>
      JSON.parse((await execute(scope, board, 'root', `${what} --json`)).stdout.toString());
    await eventually('all lines to be gone', async () => (await ask('listeners')).length === 1, 120);
    await eventually('all circuits to be gone', async () => (await ask('circuits')).length === 1, 120);
  };
  await storm(scope, board, quiet, GLANCE);
  await alone();
  const level = await insight(board);
  const { times, turns } = await storm(scope, board, quiet, WATCH);
  const [beside, elsewhere] = times;
  await alone();
  await roundTrip(quiet[0]);
  const last = await insight(board);
  const mib = ({ live, resident }: typeof last) => `${(live / MIB).toFixed(1)} MiB of ${(resident / MIB).toFixed(0)}`;
  console.log(
    `\nnote: a quiet circuit beside ${CLIENTS * LINES} lines and ${CIRCUITS} circuits: median / 95 % / most ${told(beside)}, alone ${told(before)}` +
      `\nnote: meanwhile through a switchboard that has no crowd: ${told(elsewhere)}` +
      `\nnote: turns of the server's loop meanwhile: ${told(turns)}` +
      `\nnote: the server had ${mib(level)} in use when a crowd had left, and ${mib(last)} after another one`,
  );
  assert.ok(last.live < level.live + KEPT, `${mib(last)} in use, and ${mib(level)} before`);
  assert.is(board.child.stderr.replace(/^.*"(live|msg":"disconnected).*\n/gm, ''), '');
});

needs(test, 'ssh', 'ssh-keygen')('a crowd comes and goes', body);

test.run();
