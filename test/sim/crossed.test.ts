// Circuits whose two ends each write before they read: neither waits for the other as long as there is room, and the room has a bound.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Channel } from '../../src/protocol/channels/channel.ts';
import type { ChannelOpen } from '../../src/protocol/channels/mux.ts';
import { Room } from '../../src/protocol/channels/room.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';
import { Pair } from '../kit/pair.ts';

const MiB = 1024 * 1024;
/** What Erlang's ssh lets its peer send. */
const WINDOW = 640 * 1024;
const { crossed, total, least } = new Room({ queued: 0 });
const provider = insecure(seeded(1).bytes);
const keys = { provider, hostKey: insecureKey(new Uint8Array([1])), userKey: insecureKey(new Uint8Array([2])) };
const nothing = new Uint8Array(0);
const PIECE = new Uint8Array(32 * 1024).fill(1);

/** One end of a circuit: bytes that it has written, that have come, and that it has read, which is when it gives credit. */
interface End {
  channel: Channel;
  written: number;
  came: number;
  read: number;
}

/** A caller and a provider of one relay, and circuits between them. */
class Relay {
  readonly callee: Pair;
  readonly caller: Pair;
  readonly near: End[] = [];
  readonly far: End[] = [];

  constructor(circuits: number) {
    this.callee = new Pair({ ...keys, clientEvents: { channelOpen: open => this.#accept(open) } }).start();
    this.caller = new Pair({
      ...keys,
      serverEvents: { channelOpen: open => open.forward(this.callee.server.mux, 'far', nothing) },
    }).start();
    for (let i = 0; i < circuits; i++) {
      const end: End = { channel: undefined as unknown as Channel, written: 0, came: 0, read: 0 };
      this.near.push(end);
      const handler = { data: (bytes: Uint8Array) => void (end.came += bytes.length) };
      const offer = { window: WINDOW, maxInbound: PIECE.length };
      this.caller.client.mux.open('near', nothing, handler, it => (end.channel = it), assert.unreachable, offer);
    }
    this.settle();
  }

  #accept(open: ChannelOpen): void {
    const end: End = { channel: undefined as unknown as Channel, written: 0, came: 0, read: 0 };
    end.channel = open.accept({ data: bytes => void (end.came += bytes.length) }, WINDOW);
    this.far.push(end);
  }

  settle(): void {
    for (let i = 0; i < 4; i++) {
      this.caller.settle();
      this.callee.settle();
    }
  }

  /** These write until they have written `most`, or may not write any more; nobody reads. */
  write(ends: readonly End[], most = Infinity): void {
    for (let moved = true; moved; this.settle()) {
      moved = false;
      for (const end of ends) {
        const taken = end.channel.write(PIECE.subarray(0, Math.max(0, most - end.written)));
        end.written += taken;
        if (taken > 0) moved = true;
      }
    }
  }

  /** These read all there is, until nothing comes any more. */
  read(ends: readonly End[]): void {
    for (let moved = true; moved; this.settle()) {
      moved = false;
      for (const end of ends) {
        if (end.read === end.came) continue;
        end.channel.consumed(end.came - end.read);
        end.read = end.came;
        moved = true;
      }
    }
  }

  /** Bytes that wait in the relay for callers, and for providers. */
  get waiting(): number[] {
    return [this.caller, this.callee].map(({ server }) =>
      server.mux.channels.reduce((sum, { backlog }) => sum + (backlog?.length ?? 0), 0),
    );
  }
}

test('two ends that each write 2 MiB before they read', () => {
  const relay = new Relay(1);
  const ends = [...relay.near, ...relay.far];
  relay.write(ends, 2 * MiB);
  assert.equal(
    ends.map(({ written }) => written),
    [2 * MiB, 2 * MiB],
  );
  relay.read(ends);
  assert.equal(
    ends.map(({ came }) => came),
    [2 * MiB, 2 * MiB],
  );
  assert.equal(relay.waiting, [0, 0]);
});

test('two ends that take turns, and read nothing while a write waits', () => {
  const relay = new Relay(1);
  const ends = [...relay.near, ...relay.far];
  // Each turn is longer than the windows. A piece is small, as with Erlang's processes.
  const [TURN, PIECES, MOST] = [2 * WINDOW, 1460, 16 * MiB];
  const turns = new Map(ends.map(end => [end, TURN]));
  for (let idle = 0; ends.some(({ read }) => read < MOST); idle++) {
    assert.ok(idle < 10, `both wait after ${ends[0].written} and ${ends[1].written} bytes`);
    for (const end of ends) {
      const until = Math.min(MOST, turns.get(end)!);
      for (let taken = 1; end.written < until && taken > 0; end.written += taken) {
        taken = end.channel.write(PIECE.subarray(0, Math.min(PIECES, until - end.written)));
        if (taken > 0) idle = 0;
      }
      relay.settle();
      if (end.written < until || end.read === end.came) continue;
      relay.read([end]);
      turns.set(end, end.written + TURN);
      idle = 0;
    }
    relay.settle();
  }
});

test('two ends that never read stop at their windows and the room', () => {
  const relay = new Relay(1);
  relay.write([...relay.near, ...relay.far]);
  assert.equal(relay.waiting, [crossed, crossed]);
  assert.is(relay.near[0].written, WINDOW + crossed);
  assert.is(relay.far[0].written, WINDOW + crossed);
});

test('an end that never reads stops one that only writes, with nothing in the relay', () => {
  const relay = new Relay(1);
  relay.write(relay.near);
  assert.is(relay.near[0].written, WINDOW);
  assert.equal(relay.waiting, [0, 0]);
  relay.far[0].channel.eof();
  relay.settle();
  relay.write(relay.near);
  assert.is(relay.near[0].written, WINDOW);
});

test('a hundred circuits share the room, and those that wait get what others give back', () => {
  const relay = new Relay(100);
  const ends = [...relay.near, ...relay.far];
  relay.write(ends);
  const waiting = relay.waiting;
  for (const bytes of waiting) assert.ok(bytes > total / 3 && bytes <= total / 2 + 100 * least, `${bytes} bytes wait`);
  assert.ok(
    ends.every(({ written }) => written < WINDOW + crossed),
    'there is not enough for all',
  );
  const others = [...relay.near.slice(30), ...relay.far.slice(30)];
  const before = others.reduce((sum, { written }) => sum + written, 0);

  relay.read([...relay.near.slice(0, 30), ...relay.far.slice(0, 30)]);
  relay.write(others);
  assert.ok(others.reduce((sum, { written }) => sum + written, 0) > before, 'what some give back helps others');
  for (const bytes of relay.waiting) assert.ok(bytes <= total / 2 + 100 * least, `${bytes} bytes wait`);

  relay.read(ends);
  assert.equal(
    relay.far.map(({ came }) => came),
    relay.near.map(({ written }) => written),
  );
  assert.equal(
    relay.near.map(({ came }) => came),
    relay.far.map(({ written }) => written),
  );
});

test('where stalled circuits have used up the room, another one has a little all the same', () => {
  const relay = new Relay(20);
  const late = [relay.near[19], relay.far[19]];
  relay.write([...relay.near.slice(0, 19), ...relay.far.slice(0, 19)]);
  assert.ok([relay.caller, relay.callee].every(({ server }) => server.mux.room.left <= 0));
  relay.write(late);
  assert.equal(
    late.map(({ written, came }) => written - came),
    [least, least],
  );
  for (let i = 0; i < 10; i++) {
    relay.read(late);
    relay.write(late, late[0].written + MiB);
  }
  assert.ok(late.every(({ read }) => read > 3 * MiB));
});

test('circuits that are closed while they wait for room leave nothing behind', () => {
  const relay = new Relay(100);
  relay.write([...relay.near, ...relay.far]);
  const rooms = [relay.caller, relay.callee].map(({ server }) => server.mux.room);
  assert.ok(rooms.every(({ waiting }) => waiting.size > 0));
  for (const { channel } of relay.near) channel.close();
  relay.settle();
  for (const { waiting } of rooms) assert.is(waiting.size, 0);
  // What was written before still goes to the provider.
  relay.read(relay.far);
  assert.equal(
    relay.far.map(({ came }) => came),
    relay.near.map(({ written }) => written),
  );
  for (const { used, ahead, waiting } of rooms) assert.equal([used, ahead, waiting.size], [0, 0, 0]);
});

test.run();
