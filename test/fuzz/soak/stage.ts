// The switchboard under siege, and those whom it has to serve meanwhile: a bulk circuit, a quiet one, newcomers, all with the stock ssh.
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { echoServer, tcpConnect } from '../../kit/loopback.ts';
import { redis } from '../../kit/nodes.ts';
import { pause, type Scope, soon } from '../../kit/processes.ts';
import { consume, keyFile, keyLine, provide, type Switchboard, ssh, switchboard } from '../../kit/ssh.ts';
import type { Tally } from './attackers.ts';
import type { Ground } from './round.ts';

const TOKEN = 'the token of this siege';
/** Milliseconds between samples of memory, and between two questions on the quiet circuit. */
const SAMPLE = 500;
const QUESTION = 100;
/** Milliseconds between two newcomers. */
const NEWCOMER = 5000;
/** Part of the time in which the bulk circuit passes its bytes: the rest is for a machine that is slow. */
const BUSY = 0.8;
const CHUNK = 64 * 1024;

/** What was seen. Times are milliseconds, memory is bytes of the switchboard's process (VmRSS). */
export interface Siege {
  readonly seconds: number;
  readonly bulk: { readonly bytes: number; readonly sent: string; readonly received: string };
  /** Round trips of 64 bytes, in the order in which they were made. */
  readonly quiet: readonly number[];
  readonly memory: readonly number[];
  /** What newcomers were told who did not get in, and how many did. */
  readonly newcomers: { readonly served: number; readonly refused: readonly string[] };
  readonly attacks: readonly Tally[];
  /** Lines that the switchboard has logged as faults of its own. */
  readonly faults: readonly string[];
}

export interface SiegeOptions {
  readonly seconds: number;
  readonly seed: number;
  /** What the bulk circuit passes, there and back. */
  readonly bytes: number;
}

/** Besieges a switchboard for so many seconds. @throws if it ends, or if somebody who means well is not served at all */
export async function besiege(scope: Scope, { seconds, seed, bytes }: SiegeOptions): Promise<Siege> {
  const directory = await redis(scope);
  const board = await openBoard(scope, directory.url);
  const echo = await echoServer(scope);
  const alice = await provide(scope, board, 'alice', [`80:localhost:${echo}`]);
  const carol = await provide(scope, board, 'carol', [`7:localhost:${echo}`]);
  const { ports } = await consume(scope, board, 'dave', [`${carol.alias}:7`]);
  const quietly = await tcpConnect(scope, ports[0]);
  await roundTrip(quietly);

  const [, url] = /^Console: http:\/\/127\.0\.0\.1:(\d+)\/ /m.exec(board.greeting)!;
  const ground: Ground = {
    ssh: board.port,
    console: Number(url),
    token: TOKEN,
    directory: directory.url,
    database: join(board.data, 'switchboard.db'),
    keys: { admin: keyFile('admin'), mallory: keyFile('mallory'), stranger: keyFile('stranger') },
  };
  const file = join(import.meta.dirname, 'attackers.ts');
  const attackers = scope.start(process.execPath, ['--import', 'tsx', file, JSON.stringify(ground), String(seed)], {
    env: { NODE_V8_COVERAGE: undefined, SOAK_ONLY: process.env.SOAK_ONLY },
  });
  await soon('the attackers', attackers.says(/^ready$/m));

  const end = performance.now() + seconds * 1000;
  const goesOn = () => performance.now() < end && !board.child.over;
  const memory: number[] = [];
  const watching = every(SAMPLE, goesOn, async () => void memory.push(resident(board.child.pid)));
  const quiet: number[] = [];
  const asking = every(QUESTION, goesOn, async () => void quiet.push(await roundTrip(quietly)));
  const newcomers = { served: 0, refused: [] as string[] };
  const coming = every(NEWCOMER, goesOn, async () => {
    const { code, stderr } = await ssh(scope, board, 'admin', ['--', 'listeners'], { input: '' }).ended;
    if (code === 0) newcomers.served++;
    else newcomers.refused.push(stderr.trim().slice(-300));
  });
  const passing = pass(scope, board, `${alice.alias}:80`, bytes, seconds * BUSY);
  const died = board.child.ended.then(({ code, signal, stderr }) => {
    throw new Error(`the switchboard has ended with ${signal ?? code}:\n${stderr.slice(-3000)}`);
  });
  died.catch(() => {});
  const [bulk] = await Promise.all([passing, watching, asking, coming]).catch(async error => {
    // If that is why, it says more.
    await Promise.race([died, pause(2000)]);
    throw error;
  });

  attackers.endInput();
  const { stdout } = await soon('the attackers to stop', Promise.race([attackers.ended, died]), 120);
  const lines = stdout.toString().trim().split('\n');
  const attacks = JSON.parse(lines.at(-1)!) as Tally[];
  const faults = board.child.stderr.split('\n').filter(line => line !== '');
  return { seconds, bulk, quiet, memory, newcomers, attacks, faults };
}

/** For those in its file only; it logs nothing but faults. */
function openBoard(scope: Scope, url: string): Promise<Switchboard> {
  const directory = scope.directory();
  const [keys, token] = [join(directory, 'keys'), join(directory, 'token')];
  const members = ['alice', 'bob', 'carol', 'dave', 'mallory'].map(owner => `${keyLine(owner)}\n`);
  writeFileSync(keys, `access="admin" ${keyLine('admin')}\n${members.join('')}`);
  writeFileSync(token, `${TOKEN}\n`, { mode: 0o600 });
  return switchboard(scope, {
    // What is covered is measured elsewhere, and measuring costs memory.
    env: { NODE_V8_COVERAGE: undefined },
    args: [
      ...['--no-enrol', '--authorized-keys', keys, '--console', '127.0.0.1:0', '--console-token-file', token],
      ...['--directory', url, '--log-level', 'error', '--log-format', 'json'],
    ],
  });
}

/** Passes `bytes` through a circuit that echoes, evenly over `seconds`, and gives back both checksums. */
async function pass(scope: Scope, board: Switchboard, target: string, bytes: number, seconds: number) {
  const caller = ssh(scope, board, 'bob', ['-W', target], { unread: true });
  const { stdin, stdout } = caller.process;
  const [sending, receiving] = [createHash('sha256'), createHash('sha256')];
  let received = 0;
  let here!: () => void;
  const complete = new Promise<void>(resolve => (here = resolve));
  stdout!.on('data', (part: Buffer) => {
    receiving.update(part);
    received += part.length;
    if (received >= bytes) here();
  });
  const failed = caller.ended.then(({ stderr }) => {
    throw new Error(`the bulk circuit ended after ${received} of ${bytes} bytes: ${stderr.slice(-1000)}`);
  });
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  const began = performance.now();
  const send = async () => {
    for (let sent = 0; sent < bytes; sent += CHUNK) {
      while ((sent / bytes) * seconds * 1000 > performance.now() - began) await pause(5);
      const part = noise.update(Buffer.alloc(Math.min(CHUNK, bytes - sent)));
      sending.update(part);
      if (!stdin!.write(part)) await once(stdin!, 'drain');
    }
    await complete;
  };
  await soon('the bulk circuit', Promise.race([send(), failed]), seconds * 3 + 120);
  failed.catch(() => {});
  stdin!.end();
  return { bytes: received, sent: sending.digest('hex'), received: receiving.digest('hex') };
}

/** Runs `body` again and again while the siege goes on. */
async function every(milliseconds: number, goesOn: () => boolean, body: () => Promise<void>): Promise<void> {
  while (goesOn()) {
    await body();
    await pause(milliseconds);
  }
}

/** Milliseconds that 64 bytes need to an echo and back. @throws if that does not come within a minute */
async function roundTrip(socket: Socket): Promise<number> {
  const began = performance.now();
  let missing = 64;
  const back = new Promise<void>((resolve, reject) => {
    const hear = (part: Buffer) => {
      missing -= part.length;
      if (missing > 0) return;
      socket.off('data', hear).off('close', gone);
      resolve();
    };
    const gone = () => reject(new Error('the quiet circuit has been closed'));
    socket.on('data', hear).on('close', gone);
  });
  socket.write(new Uint8Array(64));
  await soon('an answer on the quiet circuit', back);
  return performance.now() - began;
}

/** Bytes of a process in memory. */
function resident(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}
