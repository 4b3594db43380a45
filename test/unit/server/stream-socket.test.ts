// A channel's stream as a socket: the same promises as the runtime's sockets keep.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WINDOW } from '../../../src/protocol/channels/channel.ts';
import type { Socket } from '../../../src/server/runtime/net.ts';
import { streamSocket } from '../../../src/server/stream-socket.ts';
import { ChannelStream } from '../../../src/server/streams.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns, until } from '../../kit/socket.ts';

/** A socket over a channel, the stream at its other end, and what the socket tells. */
async function joined(started = true) {
  const peer = new ChannelStream();
  const server = testServer({
    channels: {
      'pipe@x': open => {
        peer.channel = open.accept(peer.handler);
      },
    },
  });
  const { client } = await call(server);
  const socket = streamSocket(await client.open('pipe@x'), '192.0.2.7', 22);
  const told: string[] = [];
  const failures: (Error | undefined)[] = [];
  const data: Uint8Array[] = [];
  const start = (handle = socket) =>
    handle.start({
      data: chunk => void data.push(chunk),
      end: () => void told.push('end'),
      drain: () => void told.push('drain'),
      close: error => {
        told.push('close');
        failures.push(error);
      },
    });
  if (started) start();
  return { client, peer, socket, told, failures, start, received: () => Buffer.concat(data).toString() };
}

const bytes = (text: string) => new TextEncoder().encode(text);

async function read(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

test('bytes both ways, each with its end; it closes when both have ended', async () => {
  const { peer, socket, told, received } = await joined();
  assert.equal([socket.address, socket.port], ['192.0.2.7', 22]);
  socket.write([bytes('one '), bytes('two')]);
  socket.end();
  socket.end();
  assert.is((await read(peer)).toString(), 'one two');
  assert.equal(told, ['drain']);
  socket.write([bytes('late')]);
  await peer.write('answer');
  await peer.end();
  await peer.closed;
  await until(() => told.length === 3);
  assert.is(received(), 'answer');
  assert.equal(told, ['drain', 'end', 'close']);
});

test('the peer may end first, and is written to all the same', async () => {
  const { peer, socket, told } = await joined();
  await peer.end();
  await until(() => told.length === 1);
  socket.write([bytes('still')]);
  socket.end();
  assert.is((await read(peer)).toString(), 'still');
  await until(() => told.includes('close'));
  assert.equal(told, ['end', 'drain', 'close']);
});

test('what comes before it is started waits', async () => {
  const { peer, start, told, received } = await joined(false);
  await peer.write('early');
  await peer.end();
  await turns();
  start();
  await until(() => told.length === 1);
  assert.is(received(), 'early');
});

test('pending counts what the peer has not let go; drain comes when it is nothing', async () => {
  const { peer, socket, told } = await joined();
  socket.write([new Uint8Array(WINDOW), new Uint8Array(5)]);
  await until(() => socket.pending === 5);
  assert.equal(told, []);
  const reading = read(peer);
  await until(() => socket.pending === 0);
  assert.equal(told, ['drain']);
  socket.end();
  assert.is((await reading).length, WINDOW + 5);
});

test('while it is paused nothing is told, and the peer has no more credit than a window', async () => {
  const { peer, socket, told, received } = await joined();
  await peer.write('a');
  await until(() => received() === 'a');
  socket.pause();
  socket.pause();
  const writing = peer.write(new Uint8Array(3 * WINDOW)).then(() => peer.end());
  await until(() => peer.channel.outbound.size === 0);
  await turns();
  assert.is(received(), 'a');
  assert.is(peer.channel.outbound.size, 0);
  socket.resume();
  await writing;
  await until(() => told.includes('end'));
  assert.is(received().length, 3 * WINDOW + 1);
});

test('destroyed: the channel closes, nothing more is told but that it is over, once', async () => {
  for (const paused of [false, true]) {
    const { peer, socket, told, received } = await joined();
    if (paused) socket.pause();
    await peer.write('unheard');
    socket.destroy();
    socket.destroy();
    if (!paused) socket.resume();
    await peer.closed;
    await until(() => told.length > 0);
    await turns();
    assert.equal(told, ['close']);
    assert.is(received(), '');
  }
});

test('the end of the connection beneath is its end', async () => {
  const { client, peer, told, failures, socket } = await joined();
  const writing: Socket = socket;
  writing.write([new Uint8Array(2 * WINDOW)]);
  await client.close();
  await peer.closed;
  await until(() => told.includes('close'));
  assert.equal(told, ['close']);
  assert.is(failures[0], client.connection.error);
  assert.is(socket.pending, 0);
});

test.after(closeServers);
test.run();
