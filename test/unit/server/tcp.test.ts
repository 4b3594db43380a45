// A channel joined to a socket: half-close and backpressure both ways, and what is refused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import { STDERR, WINDOW } from '../../../src/protocol/channels/channel.ts';
import type { ChannelStream } from '../../../src/server/streams.ts';
import { SocketJoin } from '../../../src/server/tcp.ts';
import { call, closeServers, testServer, textOf } from '../../kit/served.ts';
import { FakeSocket, turn, turns, until } from '../../kit/socket.ts';

/** A client's stream that the server has joined to a socket; the test is at both ends. */
async function joined(): Promise<{ stream: ChannelStream; socket: FakeSocket; client: ClientConnection }> {
  const socket = new FakeSocket();
  const server = testServer({
    channels: {
      'join@x': open => {
        const half = new SocketJoin(socket);
        half.join(open.accept(half.handler));
      },
    },
  });
  const { client } = await call(server);
  return { stream: await client.open('join@x'), socket, client };
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) parts.push(chunk.slice());
  return new Uint8Array(Buffer.concat(parts));
}

test('bytes go both ways; the caller ends first, and is still answered', async () => {
  const { stream, socket } = await joined();
  await stream.write('request');
  await stream.end();
  await until(() => socket.ended);
  assert.is(textOf(socket), 'request');
  assert.not.ok(socket.destroyed);
  socket.receive('response');
  socket.receiveEnd();
  assert.is(new TextDecoder().decode(await read(stream)), 'response');
  await stream.closed;
});

test('the target ends first, and still gets what the caller sends', async () => {
  const { stream, socket } = await joined();
  socket.receive('greeting');
  socket.receiveEnd();
  assert.is(new TextDecoder().decode(await read(stream)), 'greeting');
  await stream.write('late');
  await turns();
  assert.is(textOf(socket), 'late');
  assert.not.ok(socket.ended);
  await stream.end();
  await stream.closed;
  assert.ok(socket.ended);
});

test('a caller that does not read stops the target after one window', async () => {
  const { stream, socket } = await joined();
  const chunk = new Uint8Array(64 * 1024);
  let sent = 0;
  for (let i = 0; i < 64; i++) {
    socket.receive(chunk);
    sent += chunk.length;
    await turn();
  }
  await turns();
  assert.ok(socket.paused);
  socket.receiveEnd();
  // Everything arrives once the caller reads, the end included.
  assert.is((await read(stream)).length, sent);
  await stream.end();
  await stream.closed;
});

test('a target that does not read stops the caller: no credit while more than a mebibyte waits', async () => {
  const { stream, socket } = await joined();
  void stream.write(new Uint8Array(8 * WINDOW));
  await until(() => stream.channel.outbound.size === 0);
  await turns();
  const waiting = socket.pending;
  assert.ok(waiting <= WINDOW + 1024 * 1024, `${waiting} bytes wait`);
  assert.is(stream.channel.outbound.size, 0);
  let taken = 0;
  while (taken < 8 * WINDOW) {
    taken += socket.take().length;
    await turn();
  }
  socket.close();
  await stream.closed;
});

test('what comes although the socket was paused keeps its order', async () => {
  const { stream, socket } = await joined();
  // Chunks that the system had already read when the channel ran out of room.
  const bytes = new Uint8Array(WINDOW + 200_000).map((_, i) => i % 249);
  socket.receive(bytes.subarray(0, WINDOW + 100_000));
  assert.ok(socket.paused);
  socket.paused = false;
  socket.receive(bytes.subarray(WINDOW + 100_000));
  socket.receiveEnd();
  assert.is(Buffer.compare(await read(stream), bytes), 0);
});

test('what comes in one tick is one write to the target, and its end comes after it', async () => {
  const { stream, socket } = await joined();
  const before = socket.writes;
  for (let i = 0; i < 100; i++) stream.channel.write(Uint8Array.of(i));
  stream.channel.eof();
  await until(() => socket.ended);
  assert.equal(
    socket.take(),
    new Uint8Array(100).map((_, i) => i),
  );
  assert.is(socket.writes, before + 1);
});

test('a target that ends while the caller has no room loses nothing of what it sent', async () => {
  const { stream, socket } = await joined();
  // Both directions end, so the socket is closed by the system with bytes that the channel has not taken.
  await stream.end();
  await until(() => socket.ended);
  const sent = WINDOW + 500_000;
  socket.receive(new Uint8Array(sent));
  await turns();
  assert.ok(socket.paused);
  socket.close();
  await turns();
  assert.is((await read(stream)).length, sent);
  await stream.closed;
});

test('a target that is reset closes the channel without EOF, so that what came is not taken for all', async () => {
  const { stream, socket } = await joined();
  socket.receive('half');
  socket.close(new Error('read ECONNRESET'));
  await stream.closed;
  assert.ok(stream.channel.cut);
  const parts: string[] = [];
  const reading = (async () => {
    for await (const bytes of stream) parts.push(new TextDecoder().decode(bytes));
  })();
  assert.match(await reading.then(() => 'whole', String), /before the end of its data/);
  assert.equal(parts, ['half']);
});

test('a caller whose connection dies: the target gets what came, and then a reset instead of an end', async () => {
  const { stream, socket, client } = await joined();
  await stream.write('half');
  await turns();
  client.connection.disconnect(2, 'cut');
  await turns();
  assert.not.ok(socket.ended);
  assert.not.ok(socket.destroyed, 'the bytes have not left');
  assert.is(textOf(socket), 'half');
  assert.ok(socket.wasReset);

  const quiet = await joined();
  quiet.client.connection.disconnect(2, 'cut');
  await turns();
  assert.ok(quiet.socket.wasReset);
  assert.not.ok(quiet.socket.ended);

  const ended = await joined();
  await ended.stream.write('all');
  await ended.stream.end();
  await turns();
  ended.client.connection.disconnect(2, 'cut');
  await turns();
  assert.ok(ended.socket.ended);
  assert.is(textOf(ended.socket), 'all');
  assert.not.ok(ended.socket.wasReset);
});

test('a caller that closes is gone: the socket is closed as soon as its bytes have left, and no longer read', async () => {
  const { stream, socket } = await joined();
  await stream.write('last words');
  await stream.close();
  await until(() => socket.ended);
  assert.not.ok(socket.destroyed, 'the last words have not left');
  for (let i = 0; i < 100; i++) socket.receive(new Uint8Array(1000));
  assert.is(textOf(socket), 'last words');
  await turns();
  assert.ok(socket.destroyed);

  const quiet = await joined();
  await quiet.stream.close();
  await quiet.stream.closed;
  assert.ok(quiet.socket.destroyed, 'nothing to wait for');
});

test('extended data has no place on a socket: dropped, and its credit given back', async () => {
  const { stream, socket } = await joined();
  await stream.write(new Uint8Array(WINDOW), STDERR);
  await turns();
  assert.ok(stream.channel.outbound.size > 0);
  await stream.write('plain');
  await turns();
  assert.is(textOf(socket), 'plain');
});

test.after(closeServers);
test.run();
