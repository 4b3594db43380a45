// Readers that stall: the server's memory stays within the bound that DESIGN.md states, everybody else is served, and nothing is lost when they go on.
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WINDOW } from '../../src/protocol/index.ts';
import { echoes, echoServer, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { bounded, eventually, pause, resident, type Scope, soon } from '../kit/processes.ts';
import { consume, provide, type Switchboard, switchboard } from '../kit/ssh.ts';
import { needs, skip } from '../kit/tools.ts';

const MIB = 1024 * 1024;
const CIRCUITS = 6;
/** What each eager writer wants to send: more than windows, ssh and kernels hold together, many times over. */
const EACH = 24 * MIB;
const WARM = 8 * MIB;
const PIECE = 64 * 1024;
const BYTES = randomBytes(EACH);
const SHA256 = createHash('sha256').update(BYTES).digest('hex');

/**
 * What the server may hold while `directions` directions of circuits stall, by DESIGN.md: 2 MiB for each, and 1 MiB
 * that waits in each of the two sockets beyond which no more credit is given. The bound on resident memory allows as
 * much again, because a packet that waits keeps the whole chunk that it came in, and a fixed part for the heap, which
 * the collector lets grow when much passes through (measured on circuits that do not stall: 20 to 40 MiB).
 * All writers together want to send CIRCUITS × EACH in each direction, so a server that holds what it gets is far outside.
 */
const bound = (directions: number) => 2 * (directions * WINDOW + 2 * MIB) + 64 * MIB;

/** When a number has not changed for a while: whoever writes has come to a stop. */
async function standstill(what: string, progress: () => number): Promise<void> {
  await soon(
    `${what} to come to a stop`,
    (async () => {
      let last = -1;
      for (let quiet = 0; quiet < 8; ) {
        await pause(125);
        const now = progress();
        quiet = now === last ? quiet + 1 : 0;
        last = now;
      }
    })(),
    60,
  );
}

/** One end of a circuit: writes as fast as it can, and reads only when told to. */
class End {
  readonly socket: Socket;
  /** Bytes given to the system. */
  sent = 0;
  /** Checksum of what came. */
  readonly done: Promise<string>;
  readonly #hash = createHash('sha256');

  readonly #bytes: Uint8Array;

  constructor(socket: Socket, bytes: Uint8Array) {
    this.socket = socket;
    this.#bytes = bytes;
    this.done = new Promise((resolve, reject) => {
      socket.on('end', () => resolve(this.#hash.digest('hex')));
      socket.on('close', () => reject(new Error('a circuit broke')));
    });
    this.done.catch(() => {});
  }

  /** In pieces, because a socket does not tell how much of one large piece has gone. */
  write(): this {
    const more = () => {
      while (this.sent < this.#bytes.length && !this.socket.writableNeedDrain) {
        this.socket.write(this.#bytes.subarray(this.sent, this.sent + PIECE));
        this.sent += Math.min(PIECE, this.#bytes.length - this.sent);
      }
      if (this.sent === this.#bytes.length) this.socket.end();
    };
    this.socket.on('drain', more);
    more();
    return this;
  }

  read(): this {
    this.socket.on('data', (part: Buffer) => void this.#hash.update(part));
    return this;
  }
}

/** Circuits between alice's service and bob, whose ends do nothing yet, on a server that has had some traffic already. */
async function stage(scope: Scope) {
  const board = await switchboard(scope, { args: ['--log-level', 'warn'] });
  let accepted: Socket[] = [];
  const { port } = await tcpServer(scope, socket => void accepted.push(socket));
  const echo = await echoServer(scope);
  const alice = await provide(scope, board, 'alice', [`1:localhost:${port}`, `2:localhost:${echo}`]);
  const bob = await consume(scope, board, 'bob', [`${alice.alias}:1`, `${alice.alias}:2`]);
  const carol = await provide(scope, board, 'carol', [`3:localhost:${echo}`]);
  const dave = await consume(scope, board, 'dave', [`${carol.alias}:3`]);
  const circuits = async (bytes: Uint8Array) => {
    accepted = [];
    const callers: Socket[] = [];
    for (let i = 0; i < CIRCUITS; i++) callers.push(await tcpConnect(scope, bob.ports[0]));
    await eventually('the service to be called', () => accepted.length === CIRCUITS);
    return {
      callers: callers.map(socket => new End(socket, bytes)),
      services: accepted.map(socket => new End(socket, bytes)),
    };
  };

  // The heap has its working size only after some traffic.
  const warm = await circuits(BYTES.subarray(0, WARM));
  const all = [...warm.callers, ...warm.services];
  for (const end of all) end.read().write();
  await Promise.all(all.map(({ done }) => done));
  return {
    board,
    alice: alice.child,
    bob: bob.child,
    /** A circuit beside the others on the same two connections, and one between other people. */
    beside: await tcpConnect(scope, bob.ports[1]),
    elsewhere: await tcpConnect(scope, dave.ports[0]),
    ...(await circuits(BYTES)),
  };
}

/** Lets `writers` write until nothing more goes; the server's memory must stay within the bound, and `served` circuits in use. */
async function press(board: Switchboard, writers: readonly End[], served: readonly Socket[]): Promise<void> {
  const before = resident(board.child);
  let peak = 0;
  for (const end of writers) end.write();
  await standstill('the writers', () => {
    peak = Math.max(peak, resident(board.child));
    return writers.reduce((sum, end) => sum + end.sent, 0);
  });
  for (const socket of served) {
    await echoes(socket, 'a little');
    await echoes(socket, 'x'.repeat(300_000));
  }
  const growth = peak - before;
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`;
  console.log(
    `\nnote: with ${writers.length} directions stalled the server grew by ${mib(growth)}, of ${mib(bound(writers.length))}`,
  );
  assert.ok(growth < bound(writers.length), `the server grew by ${mib(growth)}`);
  for (const end of writers) assert.ok(end.sent < EACH, 'a writer got rid of everything: nothing has stalled');
}

/** Everything that was written arrives, unaltered. */
async function complete(readers: readonly End[]): Promise<void> {
  for (const end of readers) end.read();
  assert.equal(
    await Promise.all(readers.map(({ done }) => done)),
    readers.map(() => SHA256),
  );
}

const stalling = (name: string, body: (scope: Scope) => Promise<void>) => {
  if (process.platform !== 'linux') skip(test, name, 'the memory of a process is read from /proc');
  else needs(test, 'ssh', 'ssh-keygen')(name, bounded(180, body));
};

stalling(
  'readers at both ends stall: memory is bounded, circuits on the same connections go on, and so do the stalled',
  async scope => {
    const { board, beside, elsewhere, callers, services } = await stage(scope);
    const all = [...callers, ...services];
    await press(board, all, [beside, elsewhere]);
    await complete(all);
    await echoes(beside, 'still here');
  },
);

stalling('the provider’s ssh stops reading from the server', async scope => {
  const { board, alice, beside, elsewhere, callers, services } = await stage(scope);
  alice.signal('SIGSTOP');
  await press(board, callers, [elsewhere]);
  alice.signal('SIGCONT');
  await complete(services);
  await echoes(beside, 'still here');
});

stalling('the caller’s ssh stops reading from the server', async scope => {
  const { board, bob, beside, elsewhere, callers, services } = await stage(scope);
  bob.signal('SIGSTOP');
  await press(board, services, [elsewhere]);
  bob.signal('SIGCONT');
  await complete(callers);
  await echoes(beside, 'still here');
});

test.run();
