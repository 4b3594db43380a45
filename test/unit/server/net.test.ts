// Real sockets behind the interface that the rest uses.
import dns from 'node:dns';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, listen, type Socket, type SocketEvents, wrap } from '../../../src/server/runtime/net.ts';
import { freePort, readAll, tcpConnect } from '../../kit/loopback.ts';
import { bounded, eventually, soon } from '../../kit/processes.ts';
import { skip } from '../../kit/tools.ts';

/** What a socket tells, as a list, and a promise of its close. */
function hear(socket: Socket, also: Partial<SocketEvents> = {}) {
  const told: string[] = [];
  let over!: (error: Error | undefined) => void;
  const closed = new Promise<Error | undefined>(resolve => (over = resolve));
  socket.start({
    data(chunk) {
      told.push(`data ${new TextDecoder().decode(chunk)}`);
      also.data?.(chunk);
    },
    end() {
      told.push('end');
      also.end?.();
    },
    drain() {
      told.push('drain');
      also.drain?.();
    },
    close(error) {
      told.push('close');
      over(error);
    },
  });
  return { told, closed };
}

async function accepted(): Promise<{ listener: Awaited<ReturnType<typeof listen>>; next: Promise<Socket> }> {
  let take!: (socket: Socket) => void;
  const next = new Promise<Socket>(resolve => (take = resolve));
  return { listener: await listen('127.0.0.1', 0, socket => take(socket)), next };
}

test(
  'bytes, half-close and close, with the peer’s address',
  bounded(180, async scope => {
    const { listener, next } = await accepted();
    const peer = await tcpConnect(scope, listener.port);
    const socket = await next;
    assert.is(socket.address, '127.0.0.1');
    assert.is(socket.port, peer.localPort);
    let end!: () => void;
    const ended = new Promise<void>(resolve => (end = resolve));
    const heard = hear(socket, { end });
    const got = readAll(peer);
    peer.end('ping');
    await soon('the end', ended);
    assert.equal(heard.told, ['data ping', 'end']);
    const encoder = new TextEncoder();
    socket.write([encoder.encode('one '), encoder.encode('two ')]);
    socket.write([encoder.encode('three')]);
    socket.end();
    assert.is(await soon('the close', heard.closed), undefined);
    assert.is(heard.told[heard.told.length - 1], 'close');
    assert.ok(heard.told.includes('drain'), 'all has been taken before the end');
    assert.is((await got).toString(), 'one two three');
    socket.write([encoder.encode('too late')]);
    await listener.close();
  }),
);

test(
  'a socket that is paused tells nothing, until it is resumed',
  bounded(180, async scope => {
    const { listener, next } = await accepted();
    const peer = await tcpConnect(scope, listener.port);
    const socket = await next;
    let got!: () => void;
    const data = new Promise<void>(resolve => (got = resolve));
    const { told } = hear(socket, { data: got });
    socket.pause();
    await new Promise<void>(done => peer.write('x', () => done()));
    await new Promise(resolve => setTimeout(resolve, 50));
    assert.equal(told, []);
    socket.resume();
    await soon('the byte', data);
    assert.equal(told, ['data x']);
    socket.destroy();
    await listener.close();
  }),
);

test(
  'bytes that the peer does not read are pending; then they drain',
  bounded(180, async scope => {
    const { listener, next } = await accepted();
    const peer = await tcpConnect(scope, listener.port);
    peer.pause();
    const socket = await next;
    let drained!: () => void;
    const drain = new Promise<void>(resolve => (drained = resolve));
    hear(socket, { drain: drained });
    socket.write([new Uint8Array(32 * 1024 * 1024)]);
    assert.ok(socket.pending > 0);
    peer.resume();
    await soon('the drain', drain);
    assert.is(socket.pending, 0);
    socket.destroy();
    await listener.close();
  }),
);

test(
  'a reset is told with its error, also to those who start late',
  bounded(180, async scope => {
    const { listener, next } = await accepted();
    const peer = await tcpConnect(scope, listener.port);
    const socket = await next;
    const { closed } = hear(socket);
    peer.resetAndDestroy();
    assert.match((await soon('the close', closed))?.message ?? '', /ECONNRESET/);
    // Over before anybody listened.
    const late = hear(socket);
    assert.match((await soon('the close', late.closed))?.message ?? '', /ECONNRESET/);
    assert.equal(late.told, ['close']);
    await listener.close();
  }),
);

test(
  'connecting where nobody listens, and listening where somebody does, fail with the system’s error',
  bounded(180, async () => {
    const code = (error: unknown) => (error as { code?: string }).code;
    const port = await freePort();
    assert.is(await connect('127.0.0.1', port).catch(code), 'ECONNREFUSED');
    const listener = await listen('127.0.0.1', 0, socket => socket.destroy());
    assert.is(await listen('127.0.0.1', listener.port, () => {}).catch(code), 'EADDRINUSE');
    const socket = await connect('127.0.0.1', listener.port);
    await soon('the close', hear(socket, { end: () => socket.end() }).closed);
    await listener.close();
  }),
);

test('an address has no zone, and none where there is no peer', () => {
  const fake = { setNoDelay() {}, on() {}, remoteAddress: 'fe80::1%eth0', remotePort: 5, writableLength: 0 };
  assert.is(wrap(fake as never).address, 'fe80::1');
  const gone = wrap({ ...fake, remoteAddress: undefined, remotePort: undefined } as never);
  assert.is(gone.address, '');
  assert.is(gone.port, 0);
});

test(
  'sockets read into one block in turns; who borrows sees no other’s bytes, who does not may keep his',
  bounded(180, async scope => {
    const sockets: Socket[] = [];
    const listener = await listen('127.0.0.1', 0, socket => sockets.push(socket));
    const peers = [];
    for (let i = 0; i < 4; i++) peers.push(await tcpConnect(scope, listener.port));
    await eventually('all to be accepted', () => sockets.length === peers.length);
    const SIZE = 3_000_000;
    // One byte value each, so that a byte of somebody else's is seen; half of them keep the chunks.
    const kept = sockets.map(() => [] as Uint8Array[]);
    const counts = sockets.map(() => 0);
    const wrong: string[] = [];
    sockets.forEach((socket, i) => {
      const mark = socket.port % 251;
      socket.start({
        borrows: i % 2 === 0,
        data(chunk, lent) {
          if (lent !== true) kept[i].push(chunk);
          else if (!chunk.every(byte => byte === mark)) wrong.push(`socket ${i}`);
          counts[i] += chunk.length;
          if (lent) chunk.fill(255);
        },
        end: () => socket.end(),
        drain() {},
        close() {},
      });
    });
    for (const peer of peers) peer.end(new Uint8Array(SIZE).fill(peer.localPort! % 251));
    await eventually('all bytes', () => counts.every(count => count === SIZE));
    assert.equal(wrong, []);
    kept.forEach((chunks, i) => {
      assert.ok(chunks.every(chunk => chunk.every(byte => byte === sockets[i].port % 251)));
    });
    assert.is(
      kept[1].reduce((sum, { length }) => sum + length, 0),
      SIZE,
    );
    // The listener knows when the last of its sockets is gone, wherever they have been moved to.
    for (const peer of peers) peer.destroy();
    await soon('the listener to close', listener.close());
  }),
);

test(
  'a peer that resets the connection, and one that reads nothing: both are heard of, and pending counts',
  bounded(180, async scope => {
    const { listener, next } = await accepted();
    const peer = await tcpConnect(scope, listener.port);
    const socket = await next;
    const heard = hear(socket, {});
    peer.pause();
    // 64 MiB: more than the system's buffers take.
    for (let i = 0; i < 64; i++) socket.write([new Uint8Array(1024 * 1024)]);
    assert.ok(socket.pending > 16 * 1024 * 1024, `${socket.pending}`);
    peer.resetAndDestroy();
    await soon('the close', heard.closed);
    assert.is(heard.told[heard.told.length - 1], 'close');
    await listener.close();
  }),
);

test(
  'a name with several addresses, none of which answers: the error has the words of all',
  bounded(180, async () => {
    const port = await freePort();
    const { lookup } = dns;
    const addresses = ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 }));
    const both = (_name: string, _options: object, found: (error: null, all: typeof addresses) => void) =>
      found(null, addresses);
    dns.lookup = both as unknown as typeof lookup;
    try {
      const error = await connect('both.example', port).catch((thrown: Error) => thrown);
      assert.is((error as { code?: string }).code, 'ECONNREFUSED');
      assert.is(
        (error as Error).message,
        `connect ECONNREFUSED 127.0.0.1:${port}, connect ECONNREFUSED 127.0.0.2:${port}`,
      );
    } finally {
      dns.lookup = lookup;
    }
  }),
);

if (process.platform !== 'linux') skip(test, 'what the peer has acknowledged', 'only Linux tells');
else {
  test(
    'what the peer has acknowledged, and what still waits for it',
    bounded(180, async scope => {
      const { listener, next } = await accepted();
      const peer = await tcpConnect(scope, listener.port);
      peer.pause();
      const socket = await next;
      hear(socket);
      assert.equal(await socket.progress?.(), { taken: 0, waiting: 0, tries: 0 });
      const SIZE = 32 * 1024 * 1024;
      for (let i = 0; i < 32; i++) socket.write([new Uint8Array(SIZE / 32)]);
      // Some is in what the two ends of the system hold, the rest cannot go.
      let last = -1;
      await eventually(
        'the way to be full',
        async () => {
          const { taken } = (await socket.progress!())!;
          const still = taken === last && taken > 0;
          last = taken;
          await new Promise(resolve => setTimeout(resolve, 300));
          return still;
        },
        60,
      );
      const full = (await socket.progress!())!;
      assert.is(full.taken + full.waiting, SIZE);
      assert.ok(full.tries < 2, 'its system answers the probes');
      assert.ok(last < SIZE);
      peer.resume();
      await eventually('all to be taken', async () => (await socket.progress!())!.taken === SIZE, 60);
      assert.is((await socket.progress!())!.waiting, 0);
      socket.destroy();
      await listener.close();
    }),
  );
}

test.run();
