// Channels that nobody reads: together they may be sent what DESIGN.md states; one that is read gets its whole window.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, WINDOW } from '../../../src/protocol/channels/channel.ts';
import { Room } from '../../../src/protocol/channels/room.ts';
import { insecure, insecureKey, seeded } from '../../kit/insecure.ts';
import { Pair } from '../../kit/pair.ts';

const { total, least } = new Room({ queued: 0 });
const nothing = new Uint8Array(0);

/** `count` channels that the client opens and the server accepts, by whose handlers nothing is read but what `reads` says. */
function open(count: number, reads = -1): { pair: Pair; theirs: Channel[]; ours: Channel[]; came: number[] } {
  const [theirs, ours]: Channel[][] = [[], []];
  const came: number[] = [];
  const pair = new Pair({
    provider: insecure(seeded(1).bytes),
    hostKey: insecureKey(new Uint8Array([1])),
    serverEvents: {
      channelOpen: wish => {
        const index = ours.length;
        came.push(0);
        const channel = wish.accept({
          data: bytes => {
            came[index] += bytes.length;
            if (index === reads) channel.consumed(bytes.length);
          },
        });
        ours.push(channel);
      },
    },
  }).start();
  for (let i = 0; i < count; i++) {
    pair.client.mux.open('x', nothing, {}, channel => theirs.push(channel), assert.unreachable);
    pair.settle();
  }
  return { pair, theirs, ours, came };
}

test('the first two channels have a whole window at once', () => {
  const { ours, theirs } = open(2);
  for (const { inbound } of [...ours, ...theirs]) assert.is(inbound.size, WINDOW);
});

test('a thousand channels that are not read get 32 MiB at most', () => {
  const { pair, ours, theirs, came } = open(1000);
  const piece = new Uint8Array(32 * 1024);
  for (const channel of theirs) {
    while (channel.write(piece) > 0) pair.settle();
  }
  const sum = came.reduce((all, bytes) => all + bytes, 0);
  assert.ok(sum <= total + 1000 * least, `${sum} bytes wait`);
  assert.ok(Math.min(...came) >= least, 'everybody has had something');
  assert.is(pair.server.mux.inbox.used, sum);
  for (const channel of ours) channel.close();
  pair.settle();
  assert.is(pair.server.mux.inbox.used, 0);
  assert.is(pair.client.mux.inbox.used, 0);
});

test('one of many that is read grows to a whole window', () => {
  const { pair, ours, theirs, came } = open(100, 99);
  assert.ok(ours[99].inbound.size < WINDOW / 100);
  const piece = new Uint8Array(32 * 1024);
  while (came[99] < 4 * WINDOW) {
    assert.ok(theirs[99].write(piece) > 0, 'the sender goes on');
    pair.settle();
  }
  assert.ok(ours[99].inbound.size > WINDOW / 2, `${ours[99].inbound.size}`);
});

test.run();
