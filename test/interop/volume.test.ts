// 100 MiB each way over ten circuits at once between two stock clients, for each cipher, and again with new keys every MiB.
import { createHash, type Hash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tcpConnect, tcpServer } from '../kit/loopback.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { consume, provide, type Switchboard, switchboard, THEIR_KEX } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

const MIB = 1024 * 1024;
const CIRCUITS = 10;
/** Bytes each way on each circuit. */
const EACH = 10 * MIB;
/** RekeyLimit of the tests with rekeys: some two hundred exchanges a connection. */
const REKEY = MIB;
/** The key exchange of those tests: post-quantum ones take tenths of a second each, most of it in ssh. */
const KEX = 'curve25519-sha256';

/** Random bytes, made once; every direction of every circuit sends a stretch of them that begins elsewhere. */
const pool = randomBytes(EACH + 2 * CIRCUITS * 1000);
const stretch = (i: number) => pool.subarray(i * 1000, i * 1000 + EACH);
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const up = Array.from({ length: CIRCUITS }, (_, i) => digest(stretch(i)));
const down = Array.from({ length: CIRCUITS }, (_, i) => digest(stretch(CIRCUITS + i)));

/** The checksum of what comes until the end, and how much it was. */
function sum(
  socket: Socket,
  hash: Hash = createHash('sha256'),
  already = 0,
): Promise<{ sha256: string; bytes: number }> {
  let bytes = already;
  return new Promise((resolve, reject) => {
    socket.on('data', (part: Buffer) => {
      hash.update(part);
      bytes += part.length;
    });
    socket.on('end', () => resolve({ sha256: hash.digest('hex'), bytes }));
    socket.on('close', () => reject(new Error(`a circuit broke after ${bytes} bytes`)));
  });
}

/** A service that is told by the first byte which circuit this is, sends its stretch, and notes the checksum of what it gets. */
async function service(scope: Scope, got: Map<number, Promise<string>>): Promise<number> {
  const { port } = await tcpServer(scope, socket => {
    socket.once('data', (first: Buffer) => {
      const circuit = first[0];
      const rest = first.subarray(1);
      const came = sum(socket, createHash('sha256').update(rest), rest.length);
      got.set(
        circuit,
        came.then(({ sha256 }) => sha256),
      );
      socket.end(stretch(CIRCUITS + circuit));
    });
  });
  return port;
}

/** Fills ten circuits in both directions and compares checksums at all twenty ends. */
async function exchange(scope: Scope, board: Switchboard, config: readonly string[]): Promise<{ rekeys: number }> {
  const got = new Map<number, Promise<string>>();
  const options = { config };
  const provider = await provide(scope, board, 'alice', [`9:localhost:${await service(scope, got)}`], options);
  const caller = await consume(scope, board, 'bob', [`${provider.alias}:9`], options);
  const sockets = await Promise.all(Array.from({ length: CIRCUITS }, () => tcpConnect(scope, caller.ports[0])));
  const began = performance.now();
  const answers = sockets.map(socket => sum(socket));
  sockets.forEach((socket, i) => {
    socket.write(Uint8Array.of(i));
    socket.end(stretch(i));
  });
  assert.equal(
    await Promise.all(answers),
    down.map(sha256 => ({ sha256, bytes: EACH })),
  );
  assert.equal(await Promise.all(Array.from({ length: CIRCUITS }, (_, i) => got.get(i))), up);
  const seconds = (performance.now() - began) / 1000;
  console.log(`\nnote: ${config.join(', ')}: ${((2 * CIRCUITS * EACH) / MIB / seconds).toFixed(0)} MiB/s relayed`);
  for (const { child } of [provider, caller]) assert.not.ok(child.over, child.report);
  const rekeys = Math.min(
    ...[provider, caller].map(({ child }) => [...child.stderr.matchAll(/SSH2_MSG_NEWKEYS received/g)].length),
  );
  await provider.child.stop();
  await caller.child.stop();
  return { rekeys };
}

const CIPHERS = [
  ...['chacha20-poly1305@openssh.com', 'aes128-gcm@openssh.com', 'aes256-gcm@openssh.com'].map(name => ({
    ...{ name, suite: [`Ciphers ${name}`], suiteOften: [`Ciphers ${name}`] },
  })),
  // Each kind of MAC once for the volume, and the other for the new keys.
  ...['aes128-ctr', 'aes192-ctr', 'aes256-ctr'].map(name => ({
    name,
    suite: [`Ciphers ${name}`, 'MACs hmac-sha2-256'],
    suiteOften: [`Ciphers ${name}`, 'MACs hmac-sha2-512-etm@openssh.com'],
  })),
];

const board = shared(test, scope => switchboard(scope, { args: ['--log-level', 'warn'] }));

for (const { name, suite, suiteOften } of CIPHERS) {
  it(
    `100 MiB each way over ten circuits: ${name}`,
    bounded(300, async scope => {
      const { rekeys } = await exchange(scope, await board(scope), suite);
      assert.is(rekeys, 1);
      const often = await exchange(scope, await board(scope), [
        ...suiteOften,
        `KexAlgorithms ${KEX}`,
        `RekeyLimit ${REKEY}`,
      ]);
      // What one end sends or gets is at least a hundred times the limit. ssh counts cipher blocks, so it may be a little late.
      assert.ok(often.rekeys > (CIRCUITS * EACH) / REKEY / 2, `${often.rekeys} key exchanges`);
      assert.is((await board(scope)).child.stderr, '');
    }),
  );
}

it(
  '100 MiB each way with what ssh chooses by itself, and new keys now and then',
  bounded(300, async scope => {
    const { rekeys } = await exchange(scope, await board(scope), [THEIR_KEX, 'RekeyLimit 16M']);
    assert.ok(rekeys > 3, `${rekeys} key exchanges`);
    assert.is((await board(scope)).child.stderr, '');
  }),
);

test.run();
