// Clients that send what has to be answered and read nothing, on real sockets: what the server's process grows by, as the system counts it.
import type { Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HOSTKEYS_PROVE } from '../../src/protocol/host-keys.ts';
import { CHANNEL_OPEN, GLOBAL_REQUEST, PING } from '../../src/protocol/messages.ts';
import { encode } from '../../src/protocol/wire/codec.ts';
import { Packet } from '../../src/protocol/wire/packet.ts';
import { concat, Writer } from '../../src/protocol/wire/reader.ts';
import { tcpConnect } from '../kit/loopback.ts';
import { bounded, type Child, eventually, pause, resident, type Scope } from '../kit/processes.ts';
import { RawClient } from '../kit/raw-client.ts';
import { clearFrame } from '../kit/raw-peer.ts';
import { skip } from '../kit/tools.ts';

const MiB = 1024 * 1024;
/** Bytes that a client would send: kernels keep some of them, each MiB of small requests would be 10 in the process. */
const FLOOD = 24 * MiB;
/**
 * What the server may grow by: its marks are 2 MiB, the rest is a heap that grows with work before it is collected, more so where the
 * processor has other things to do (20 to 60 MiB). What was not counted were hundreds: 212 of global requests, 536 of unknown messages.
 */
const BOUND = 96 * MiB;
const nothing = new Uint8Array(0);

async function server(scope: Scope): Promise<{ child: Child; port: number }> {
  const program = new URL('./answers-server.ts', import.meta.url).pathname;
  // What counts coverage takes memory, too.
  const child = scope.start(process.execPath, ['--import', 'tsx', program], { env: { NODE_V8_COVERAGE: undefined } });
  await eventually('the server to listen', () => /port \d+ /.test(child.stdout));
  return { child, port: Number(/port (\d+) /.exec(child.stdout)![1]) };
}

/** Writes until the socket takes no more for a while, is closed, or has taken FLOOD. @returns the most that the server has grown by meanwhile */
async function flood(child: Child, socket: Socket, next: () => Uint8Array): Promise<number> {
  const before = resident(child);
  let [peak, sent] = [before, 0];
  for (let quiet = 0; quiet < 20 && sent < FLOOD && !socket.destroyed; quiet++) {
    while (!socket.writableNeedDrain && sent < FLOOD && !socket.destroyed) {
      const bytes = next();
      socket.write(bytes);
      sent += bytes.length;
      quiet = 0;
      if (sent % (8 * 64 * 1024) < bytes.length) await pause(0);
    }
    await pause(50);
    peak = Math.max(peak, resident(child));
  }
  return peak - before;
}

const measured = (name: string, body: (scope: Scope) => Promise<number>) => {
  if (process.platform !== 'linux') return skip(test, name, 'the memory of a process is read from /proc');
  test(
    name,
    bounded(180, async scope => {
      const growth = await body(scope);
      const figures = `the server grew by ${(growth / MiB).toFixed(0)} MiB`;
      console.log(`\nnote: ${figures}`);
      assert.ok(growth < BOUND, figures);
    }),
  );
};

measured('messages that nobody knows, before key exchange', async scope => {
  const { child, port } = await server(scope);
  const socket = await tcpConnect(scope, port);
  socket.on('error', () => {});
  socket.pause();
  socket.write('SSH-2.0-raw\r\n');
  const frame = clearFrame(new Uint8Array([200]));
  const block = concat(...Array.from({ length: 4096 }, () => frame));
  return flood(child, socket, () => block);
});

for (const [what, packet] of [
  ['global requests', () => encode(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing })],
  [
    'proofs of the host key',
    ({ transport }) => {
      const data = new Writer().string(transport.hostKey!).finish();
      return encode(GLOBAL_REQUEST, { type: HOSTKEYS_PROVE, wantReply: true, data });
    },
  ],
  ['opens of channels', () => encode(CHANNEL_OPEN, { type: 'x', sender: 0, window: 0, maxPacket: 0, data: nothing })],
  ['pings', () => encode(PING, { data: nothing })],
  ['messages that nobody knows', () => Packet.from(new Uint8Array([200]))],
] as [string, (client: RawClient) => Packet][]) {
  measured(`${what}, signed in`, async scope => {
    const { child, port } = await server(scope);
    const client = await (await RawClient.connect(scope, port)).signIn();
    client.socket.on('error', () => {});
    client.socket.pause();
    return flood(child, client.socket, () => {
      for (let i = 0; i < 512; i++) client.transport.send(packet(client));
      return concat(...client.transport.takeOutput());
    });
  });
}

test.run();
