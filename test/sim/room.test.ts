// Many circuits to one provider that stalls: together they hold what DESIGN.md states, none waits for another, and nothing is lost.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, WINDOW } from '../../src/protocol/channels/channel.ts';
import { Room } from '../../src/protocol/channels/room.ts';
import { MAX_AHEAD } from '../../src/protocol/channels/splice.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';
import { Pair } from '../kit/pair.ts';
import { inUse } from './flood.ts';

const MiB = 1024 * 1024;
const { total, least } = new Room({ queued: 0 });
const provider = insecure(seeded(1).bytes);
const keys = { provider, hostKey: insecureKey(new Uint8Array([1])), userKey: insecureKey(new Uint8Array([2])) };
const nothing = new Uint8Array(0);
const PIECE = new Uint8Array(32 * 1024).fill(1);

/** Callers of one provider, with circuits in equal parts, whose senders write whatever they may. */
class Crowd {
  readonly callee: Pair;
  readonly callers: Pair[];
  /** What the provider's socket has not taken, while that stalls. */
  readonly socket: Uint8Array[] = [];
  readonly circuits: { channel: Channel; sent: number; came: number; far: Channel }[] = [];
  /** Whether the provider gives credit for what has come. */
  reads = true;
  /** Whether its socket takes anything. */
  stalls = false;
  /** Circuits from this one on write. */
  writersFrom = 0;

  constructor(callers: number, roundTrip = 0) {
    const far: { channel: Channel; came: number }[] = [];
    this.callee = new Pair({
      ...keys,
      clientEvents: {
        channelOpen: open => {
          const end: { channel: Channel; came: number } = { channel: undefined as unknown as Channel, came: 0 };
          end.channel = open.accept({
            data: bytes => {
              end.came += bytes.length;
              if (this.reads) end.channel.consumed(bytes.length);
            },
          });
          far.push(end);
        },
      },
    }).start();
    this.callers = Array.from({ length: callers }, () => {
      const pair = new Pair({
        ...keys,
        serverEvents: { channelOpen: open => open.forward(this.callee.server.mux, 'far', nothing) },
      }).start();
      pair.server.roundTrip = roundTrip;
      return pair;
    });
    this.#far = far;
  }
  readonly #far: { channel: Channel; came: number }[];

  open(count: number): void {
    for (let i = 0; i < count; i++) {
      const caller = this.callers[i % this.callers.length];
      caller.client.mux.open(
        'near',
        nothing,
        {},
        channel => {
          const end = this.#far[this.circuits.length];
          this.circuits.push({
            channel,
            sent: 0,
            far: end.channel,
            get came() {
              return end.came;
            },
          });
        },
        assert.unreachable,
      );
      caller.settle();
      this.#callee();
      caller.settle();
    }
  }

  /** As the driver would: what the socket does not take stays in it. */
  #callee(): void {
    if (!this.stalls) return this.callee.settle();
    this.socket.push(...this.callee.server.takeOutput());
    this.callee.server.setSocketFull(true, this.#pending);
  }

  get #pending(): number {
    return this.socket.reduce((sum, { length }) => sum + length, 0);
  }

  /** Everybody writes what they may, until nobody may any more, or everybody has sent `most`. */
  press(most = Infinity): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const circuit of this.circuits.slice(this.writersFrom)) {
        const taken = circuit.channel.write(PIECE.subarray(0, most - circuit.sent));
        circuit.sent += taken;
        if (taken > 0) moved = true;
      }
      for (const caller of this.callers) caller.settle();
      this.#callee();
      for (const caller of this.callers) caller.settle();
    }
  }

  /** What the relay holds for the provider, and has promised to hold. */
  get held(): number {
    return this.callee.server.mux.room.used + this.callee.server.transport.outputBytes + this.#pending;
  }

  /** The provider goes on. */
  relieve(): void {
    this.reads = true;
    this.stalls = false;
    for (const { far, came } of this.circuits) far.consumed(came);
    for (const chunk of this.socket.splice(0)) this.callee.client.receive(chunk);
    this.callee.server.setSocketFull(false);
    for (let round = 0; round < 50; round++) {
      this.callee.settle();
      for (const caller of this.callers) caller.settle();
    }
  }
}

for (const [what, reads, stalls, roundTrip] of [
  ['whose socket takes nothing', true, true, 0],
  ['whose socket takes nothing, with callers far away', true, true, 200],
  ['that reads no circuit', false, false, 0],
  ['that reads no circuit, with callers far away', false, false, 200],
] as const) {
  for (const count of [100, 1000]) {
    test(`${count} circuits to a provider ${what}`, () => {
      const crowd = new Crowd(4, roundTrip);
      crowd.open(count);
      const before = inUse();
      Object.assign(crowd, { reads, stalls });
      crowd.press();
      const growth = inUse() - before;
      const bound = total + count * least;
      const figures = `${(crowd.held / MiB).toFixed(1)} MiB held, memory grew by ${(growth / MiB).toFixed(1)}, of ${(bound / MiB).toFixed(0)}`;
      if (process.env.VERBOSE) console.log(`\n${what}, ${count}: ${figures}`);
      // What waits in sealed packets has a few bytes around it.
      assert.ok(crowd.held < bound * 1.05, figures);
      // Beside it: a promise is no memory yet, and blocks of a backlog may be half empty.
      assert.ok(growth < bound * 1.2 + 2 * MiB, figures);
      crowd.relieve();
      for (const { sent, came } of crowd.circuits) assert.is(came, sent, 'nothing is lost');
    });
  }
}

test('a circuit alone has its whole window, and is ahead by all that its way is worth', () => {
  const crowd = new Crowd(1, 200);
  crowd.open(1);
  crowd.reads = false;
  crowd.press();
  assert.is(crowd.circuits[0].came, WINDOW);
  assert.is(crowd.circuits[0].sent, WINDOW + MAX_AHEAD);
});

test('while nine hundred circuits have stalled, one that is read goes on', () => {
  const crowd = new Crowd(4, 200);
  crowd.open(900);
  crowd.reads = false;
  crowd.press();
  crowd.reads = true;
  crowd.writersFrom = 900;
  crowd.open(1);
  crowd.press(4 * MiB);
  assert.is(crowd.circuits[900].sent, 4 * MiB);
  assert.is(crowd.circuits[900].came, 4 * MiB);
});

test('two hundred circuits that idle after some use leave a window to the next', () => {
  const crowd = new Crowd(3);
  crowd.open(200);
  crowd.press(32 * 1024);
  crowd.writersFrom = 200;
  crowd.open(1);
  crowd.press(4 * WINDOW);
  assert.is(crowd.circuits[200].came, 4 * WINDOW);
  const [{ partner }] = crowd.callee.server.mux.channels.slice(-1);
  assert.ok(partner!.inbound.size > WINDOW / 4, `${partner!.inbound.size} bytes at once`);
});

test.run();
