// Channels as streams: backpressure both ways, leaving a loop, and writing after the end.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import { type Channel, STDERR, WINDOW } from '../../../src/protocol/channels/channel.ts';
import { DisconnectError, UsageError } from '../../../src/protocol/errors.ts';
import { ChannelStream } from '../../../src/server/streams.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns, until } from '../../kit/socket.ts';

/** A stream on both ends of one channel; `near`, the server's, may say that it reads no more. */
async function joined(
  options: { eow?: boolean } = {},
  type = 'pipe@x',
): Promise<{ near: ChannelStream; far: ChannelStream; client: ClientConnection }> {
  const near = new ChannelStream(options);
  const server = testServer({
    channels: {
      [type]: open => {
        near.channel = open.accept(near.handler);
      },
    },
  });
  const { client } = await call(server);
  return { near, far: await client.open(type), client };
}

/** What comes, and how it ends. */
async function heard(source: AsyncIterable<Uint8Array>): Promise<[string, unknown]> {
  let got = '';
  try {
    for await (const bytes of source) got += text(bytes);
    return [got, 'whole'];
  } catch (error) {
    return [got, error];
  }
}

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

test('what one writes the other reads, on two streams, until the end of each direction', async () => {
  const { near, far } = await joined();
  await far.write('hello ');
  await far.write(new TextEncoder().encode('world'));
  await far.write('oops', STDERR);
  await far.end();
  let out = '';
  for await (const bytes of near) out += text(bytes);
  assert.is(out, 'hello world');
  let error = '';
  for await (const bytes of near.stderr) error += text(bytes);
  assert.is(error, 'oops');
  // EOF is not CLOSE: the other direction still works.
  await near.write('and back');
  await near.end();
  let back = '';
  for await (const bytes of far) back += text(bytes);
  assert.is(back, 'and back');
  await far.close();
  await Promise.all([near.closed, far.closed]);
});

test('a reader that does not read stops the writer after one window, and nothing is lost', async () => {
  const { near, far } = await joined();
  const size = WINDOW + 300_000;
  const bytes = new Uint8Array(size).map((_, i) => i % 251);
  let done = false;
  const writing = far
    .write(bytes)
    .then(() => far.end())
    .then(() => (done = true));
  await until(() => far.channel.outbound.size === 0);
  await turns();
  assert.not.ok(done);
  assert.is(near.channel.inbound.size, 0);
  let read = 0;
  for await (const chunk of near) {
    assert.is(chunk[0], read % 251);
    read += chunk.length;
  }
  await writing;
  assert.is(read, size);
});

test('credit is given when a chunk has been used, not before', async () => {
  const { near, far } = await joined();
  void far.write(new Uint8Array(2 * WINDOW));
  await until(() => near.channel.inbound.size === 0);
  const reader = near[Symbol.asyncIterator]();
  let held = 0;
  // Half a window is the step; the chunk that the reader still has in hand does not count.
  while (held + 32 * 1024 < WINDOW / 2) held += (await reader.next()).value!.length;
  await turns();
  assert.is(near.channel.inbound.size, 0);
  await reader.next();
  await turns();
  assert.is(near.channel.inbound.size, 0);
  await reader.next();
  assert.ok(near.channel.inbound.size > 0);
  // The writer would wait for the rest to be read.
  await near.close();
});

test('leaving the loop gives the credit for what was read, and a new loop gets the rest', async () => {
  const { near, far } = await joined();
  const size = 3 * WINDOW;
  const writing = far.write(new Uint8Array(size)).then(() => far.end());
  let read = 0;
  // One chunk each time: were its credit lost, the window would be used up before the end.
  for (let over = false; !over; ) {
    over = true;
    for await (const chunk of near) {
      read += chunk.length;
      over = false;
      break;
    }
  }
  await writing;
  assert.is(read, size);
});

test('small chunks that wait are put together', async () => {
  const { near, far } = await joined();
  for (let i = 0; i < 10_000; i++) far.channel.write(Uint8Array.of(i & 255));
  far.channel.write(new Uint8Array(0));
  far.channel.eof();
  await until(() => near.channel.eofReceived);
  let chunks = 0;
  let read = 0;
  for await (const bytes of near) {
    chunks++;
    for (const byte of bytes) assert.is(byte, read++ & 255);
  }
  assert.is(read, 10_000);
  assert.ok(chunks <= 3, `${chunks} chunks`);
});

test('a chunk that a reader has is not changed by what comes later', async () => {
  const { near, far } = await joined();
  await far.write('a');
  const reader = near[Symbol.asyncIterator]();
  const first = (await reader.next()).value!;
  await far.write('b');
  await far.write('c');
  await turns();
  assert.is(text(first), 'a');
  assert.is(text((await reader.next()).value), 'bc');
});

test('a loop that writes piece by piece leaves others their turn', async () => {
  const { near, far } = await joined();
  let turned = false;
  setImmediate(() => (turned = true));
  let pieces = 0;
  while (!turned && pieces < 1000) {
    await far.write('x');
    pieces++;
  }
  assert.ok(turned, `nobody had a turn during ${pieces} writes`);
  await far.end();
  let read = 0;
  for await (const { length } of near) read += length;
  assert.is(read, pieces);
});

test('writes keep their order, and the end comes after them', async () => {
  const { near, far } = await joined();
  const all = [far.write(new Uint8Array(WINDOW + 1)), far.write('x'), far.end(), far.close()];
  let last: Uint8Array | undefined;
  let read = 0;
  for await (const chunk of near) {
    read += chunk.length;
    last = chunk.slice();
  }
  await Promise.all(all);
  assert.is(read, WINDOW + 2);
  assert.is(last?.[last.length - 1], 'x'.charCodeAt(0));
});

test('writing after the own end is a mistake, of that write only', async () => {
  const { near, far } = await joined();
  await far.end();
  const error = await far.write('too late').catch((thrown: unknown) => thrown);
  assert.instance(error, UsageError);
  await far.end();
  await far.close();
  await Promise.all([near.closed, far.closed]);
});

test('writing after the channel has closed resolves, and is lost', async () => {
  const { near, far } = await joined();
  await near.close();
  await near.write('our own close');
  await far.closed;
  await far.write("the peer's close");
  await far.end();
  await far.close();
});

test('a writer that waits for room is let go when the channel closes', async () => {
  const { near, far } = await joined();
  const writing = far.write(new Uint8Array(2 * WINDOW));
  await until(() => far.channel.outbound.size === 0);
  await near.close();
  await writing;
  for await (const _ of far) assert.unreachable();
});

test('a stream whose connection dies gives what has come, and then throws the reason, each time', async () => {
  const { near, far, client } = await joined();
  await far.write('half');
  await far.write('oops', STDERR);
  await turns();
  const [half, web] = [near[Symbol.asyncIterator](), far.readable.getReader()];
  client.connection.disconnect(2, 'cut');
  await near.closed;
  assert.is(text((await half.next()).value), 'half');
  assert.instance(near.error, DisconnectError);
  assert.match(near.error?.message ?? '', /cut/);
  assert.equal(await heard({ [Symbol.asyncIterator]: () => half }), ['', near.error]);
  assert.equal(await heard(near), ['', near.error]);
  assert.equal(await heard(near.stderr), ['oops', near.error]);
  // And the end that has died itself.
  assert.is(await web.read().catch((error: unknown) => error), client.connection.error);
});

test('what has ended in order stays whole, however its connection ends; so does what we close ourselves', async () => {
  const ended = await joined();
  await ended.far.write('all');
  await ended.far.end();
  await turns();
  await ended.client.close();
  await ended.near.closed;
  assert.equal(await heard(ended.near), ['all', 'whole']);

  const left = await joined();
  await left.near.close();
  left.client.connection.disconnect(2, 'cut');
  await left.near.closed;
  assert.equal(await heard(left.near), ['', 'whole']);

  const discarded = await joined();
  discarded.near.discard();
  discarded.client.connection.disconnect(2, 'cut');
  await discarded.near.closed;
  assert.equal(await heard(discarded.near), ['', 'whole']);
});

test('CLOSE without EOF is half of a whole for everything but a session, whose end is its exit status', async () => {
  for (const type of ['pipe@x', 'session']) {
    const { near, far } = await joined({}, type);
    await far.write('half');
    far.channel.close();
    const [got, how] = await heard(near);
    assert.is(got, 'half');
    if (type === 'session') assert.is(how, 'whole');
    else assert.match((how as Error).message, /closed the channel before the end/);
  }
  const { near, far } = await joined();
  await far.write('all');
  await far.close();
  assert.equal(await heard(near), ['all', 'whole']);
});

test('the end of the connection ends the loops and is heard once', async () => {
  const near = new ChannelStream();
  let closes = 0;
  near.onclose = () => closes++;
  const server = testServer({
    channels: {
      'pipe@x': open => {
        near.channel = open.accept(near.handler);
      },
    },
  });
  const { client } = await call(server);
  const far = await client.open('pipe@x');
  const reading = (async () => {
    for await (const _ of near) assert.unreachable();
  })();
  await client.close();
  await Promise.all([reading.catch(() => {}), near.closed, far.closed]);
  assert.is(closes, 1);
});

test('requests on the channel go to whoever listens; without, they are refused', async () => {
  const { near, far } = await joined();
  assert.not.ok(await far.channel.request('please@x', new Uint8Array(0)));
  near.onrequest = async ({ type }) => type === 'please@x';
  assert.ok(await far.channel.request('please@x', new Uint8Array(0)));
  const channel: Channel = far.channel;
  assert.not.ok(await channel.request('other@x', new Uint8Array(0)));
});

test('who reads no more says so: the peer’s writes come to nothing, those to stderr and our own go on', async () => {
  const { near, far } = await joined({ eow: true });
  const writing = far.write(new Uint8Array(3 * WINDOW));
  await until(() => near.channel.inbound.size === 0);
  assert.ok(far.wanted);
  near.discard();
  near.discard();
  assert.is(await writing, false);
  assert.not.ok(far.wanted);
  assert.is(await far.write('more'), false);
  assert.ok(await far.write('oops', STDERR));
  assert.ok(near.wanted);
  assert.ok(await near.write('I can still talk'));
  await far.end();
  for await (const _ of near) assert.unreachable('it was dropped');
  let error = '';
  for await (const bytes of near.stderr) error += text(bytes);
  assert.is(error, 'oops');
  for await (const bytes of far) {
    assert.is(text(bytes), 'I can still talk');
    break;
  }
});

test('a writer that waits for room hears of it, too', async () => {
  const { near, far } = await joined();
  const writing = far.write(new Uint8Array(2 * WINDOW));
  await until(() => near.channel.inbound.size === 0);
  near.channel.notify('eow@openssh.com', new Uint8Array(0));
  assert.is(await writing, false);
});

test('a peer that does not know that request is not told: what it writes is dropped, and it never waits', async () => {
  const { near, far } = await joined();
  near.discard();
  assert.ok(await far.write(new Uint8Array(3 * WINDOW)));
  assert.ok(far.wanted);
  await far.end();
  for await (const _ of near) assert.unreachable();
});

test('a loop that waits ends when reading ends', async () => {
  const { near } = await joined();
  const reading = (async () => {
    for await (const _ of near) assert.unreachable();
  })();
  await turns();
  near.discard();
  await reading;
});

test('as web streams: in order, with backpressure, and an end of each direction', async () => {
  const { near, far } = await joined();
  assert.is(near.readable, near.readable);
  assert.is(far.writable, far.writable);
  const size = WINDOW + 300_000;
  const writer = far.writable.getWriter();
  let done = false;
  const writing = writer.write(new Uint8Array(size).map((_, i) => i % 251)).then(() => (done = true));
  await until(() => far.channel.outbound.size === 0);
  await turns();
  assert.not.ok(done, 'nobody has read');
  let read = 0;
  const reading = (async () => {
    for await (const chunk of near.readable) {
      assert.is(chunk[0], read % 251);
      read += chunk.length;
    }
  })();
  await writing;
  await writer.close();
  await reading;
  assert.is(read, size);
  assert.ok(near.channel.eofReceived);
  assert.not.ok(near.channel.closeSent);
});

test('a web reader that is cancelled tells the peer; a web writer fails then, and when it is aborted the channel closes', async () => {
  const { near, far } = await joined({ eow: true });
  const reader = near.readable.getReader();
  const writer = far.writable.getWriter();
  await writer.write(new Uint8Array(1));
  await reader.read();
  await reader.cancel();
  await until(() => !far.wanted);
  const error = await writer.write(new Uint8Array(1)).catch((thrown: Error) => thrown);
  assert.match((error as Error).message, /reads no more/);

  const other = await joined();
  await other.far.writable.abort();
  await other.near.closed;
});

test.after(closeServers);
test.run();
