// Two Erlang/OTP clients, each of which relays with one process that writes before it reads: much both ways at once.
// There is no such test with sshd between them: it passes as much mostly, but on a busy machine it stalls now and then.
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tcpConnect, tcpServer } from '../../kit/loopback.ts';
import { bounded, eventually, type Scope, soon } from '../../kit/processes.ts';
import { keyFile, switchboard, type Target } from '../../kit/ssh.ts';
import { needs } from '../../kit/tools.ts';

const MIB = 1024 * 1024;
const PIECE = 64 * 1024;
const PROGRAM = join(import.meta.dirname, 'erlang-tunnel.escript');

/** Starts one end of a tunnel; returns the port that it listens on, here or at the server. */
async function tunnel(
  scope: Scope,
  way: 'from' | 'to',
  { target, user, owner }: { target: Target; user: string; owner: string },
  ends: readonly (string | number)[],
): Promise<number> {
  const directory = scope.directory();
  for (const end of ['', '.pub']) copyFileSync(`${keyFile(owner)}${end}`, join(directory, `id_ed25519${end}`));
  const args = [PROGRAM, way, String(target.port), user, directory, ...ends.map(String)];
  const child = scope.start('escript', args, { env: { HOME: directory } });
  return Number((await soon('the tunnel', child.says(/^ready (\d+)/m)))[1]);
}

/** Writes `bytes` as fast as they go, and resolves to the checksum of as many that come. */
function exchange(socket: Socket, bytes: Uint8Array): Promise<string> {
  let [sent, came] = [0, 0];
  const more = () => {
    for (; sent < bytes.length && !socket.writableNeedDrain; sent += PIECE)
      socket.write(bytes.subarray(sent, sent + PIECE));
  };
  socket.on('drain', more);
  more();
  const hash = createHash('sha256');
  return new Promise((resolve, reject) => {
    socket.on('data', (part: Buffer) => {
      hash.update(part);
      came += part.length;
      if (came === bytes.length) resolve(hash.digest('hex'));
    });
    socket.on('close', () => reject(new Error(`closed after ${came} bytes`)));
  });
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Both ways at once, `mebibytes` each, through a circuit from `local` to who connects to `services`. */
async function bothWays(scope: Scope, mebibytes: number, local: number, services: readonly Socket[]): Promise<void> {
  const before = services.length;
  const caller = await tcpConnect(scope, local);
  // Erlang's consumer loses what comes before it has handed the socket to its process, so the caller speaks first.
  caller.write('.');
  await eventually('the service to be called', () => services.length > before);
  const service = services[before];
  await soon('the first byte', new Promise(resolve => service.once('data', resolve)));
  const [here, there] = [randomBytes(mebibytes * MIB), randomBytes(mebibytes * MIB)];
  const came = Promise.all([exchange(caller, here), exchange(service, there)]);
  assert.equal(await soon(`${mebibytes} MiB each way`, came, 120), [sha256(there), sha256(here)]);
  caller.destroy();
}

/** A service that leaves its sockets to the test. */
async function service(scope: Scope): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const { port } = await tcpServer(scope, socket => void sockets.push(socket));
  return { port, sockets };
}

needs(
  test,
  'erl',
  'escript',
  'ssh-keygen',
)(
  'Erlang to Erlang through the switchboard: 5 and 32 MiB each way at once',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const { port, sockets } = await service(scope);
    await tunnel(scope, 'from', { target: board, user: 'alice', owner: 'alice' }, [
      'localhost',
      7000,
      '127.0.0.1',
      port,
    ]);
    const [, alias] = await soon('the line', board.child.says(/"alias":"([^"]+)".*line plugged in/, 'stderr'));
    const local = await tunnel(scope, 'to', { target: board, user: 'bob', owner: 'bob' }, [
      '127.0.0.1',
      0,
      alias,
      7000,
    ]);
    await bothWays(scope, 5, local, sockets);
    await bothWays(scope, 32, local, sockets);
  }),
);

test.run();
