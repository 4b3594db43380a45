// A reader that stalls: what the relay holds stays within what DESIGN.md states, measured after a garbage collection.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, WINDOW } from '../../src/protocol/channels/channel.ts';
import type { ChannelOpen } from '../../src/protocol/channels/mux.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { CHANNEL_DATA, CHANNEL_OPEN, GLOBAL_REQUEST, IGNORE } from '../../src/protocol/messages.ts';
import { encode } from '../../src/protocol/wire/codec.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';
import { Pair } from '../kit/pair.ts';
import { inUse as bytesInUse } from './flood.ts';

const MiB = 1024 * 1024;

/** MiB in use, garbage not counted. */
const inUse = (): number => bytesInUse() / MiB;

const provider = insecure(seeded(1).bytes);
const keys = { provider, hostKey: insecureKey(new Uint8Array([1])), userKey: insecureKey(new Uint8Array([2])) };
const nothing = new Uint8Array(0);

/** A caller and a provider of one relay, one circuit between them, and the provider stalled: `socket` holds what it does not read. */
class Stalled {
  readonly caller: Pair;
  readonly callee: Pair;
  readonly socket: Uint8Array[] = [];
  readonly received = new Uint8Array(WINDOW);
  count = 0;
  over = false;
  channel!: Channel;

  constructor(maxPacket?: number) {
    this.callee = new Pair({ ...keys, clientEvents: { channelOpen: open => this.#accept(open, maxPacket) } }).start();
    this.caller = new Pair({
      ...keys,
      serverEvents: { channelOpen: open => open.forward(this.callee.server.mux, 'far', nothing) },
    }).start();
    this.caller.client.mux.open('near', nothing, {}, channel => (this.channel = channel), assert.unreachable);
    for (let i = 0; i < 3; i++) {
      this.caller.settle();
      this.callee.settle();
    }
    this.callee.server.setSocketFull(true);
  }

  #accept(open: ChannelOpen, maxPacket?: number): void {
    const data = (bytes: Uint8Array) => {
      this.received.set(bytes, this.count);
      this.count += bytes.length;
    };
    open.accept({ data, closed: () => (this.over = true) }, WINDOW, maxPacket);
  }

  /** As the driver would: output moves to the socket, which stays full. */
  tick(): void {
    this.caller.settle();
    this.socket.push(...this.callee.server.takeOutput());
  }

  /** The provider reads again, until everything has come. */
  relieve(): Uint8Array {
    for (const chunk of this.socket.splice(0)) this.callee.client.receive(chunk);
    this.callee.server.setSocketFull(false);
    for (let i = 0; i < 100; i++) {
      this.callee.settle();
      this.caller.settle();
    }
    return this.received.subarray(0, this.count);
  }
}

/** Sends `total` numbered bytes in messages of `size`, and whatever `between` puts between them, in chunks as they come from a kernel. */
function fill(stalled: Stalled, total: number, size: number, between?: () => void): Uint8Array {
  const bytes = Uint8Array.from({ length: total }, (_, i) => (i * 7) ^ (i >> 8));
  for (let at = 0; at < total; at += size) {
    assert.is(stalled.channel.write(bytes.subarray(at, at + size)), Math.min(size, total - at));
    between?.();
    if (between !== undefined || at % 4096 < size) stalled.tick();
  }
  stalled.tick();
  return bytes;
}

for (const maxPacket of [1, 32768]) {
  test(`a window full of one-byte messages costs no more than the window (far end takes ${maxPacket} at once)`, () => {
    const stalled = new Stalled(maxPacket);
    const before = inUse();
    const sent = fill(stalled, MiB / 4, 1);
    stalled.channel.eof();
    stalled.channel.close();
    stalled.tick();
    // 35 MiB if each message waited in a packet of its own.
    const growth = inUse() - before - sent.length / MiB;
    assert.ok(growth < 4, `${growth} MiB are held`);
    assert.not(stalled.over);
    assert.equal(stalled.relieve(), sent);
    assert.ok(stalled.over);
    assert.is(stalled.caller.server.mux.count + stalled.callee.server.mux.count, 0);
  });
}

test('small messages do not keep the large chunks alive that they came in', () => {
  const stalled = new Stalled();
  const before = inUse();
  const sent = fill(stalled, MiB / 2, 1100, () =>
    stalled.caller.client.send(encode(IGNORE, { data: new Uint8Array(60_000) })),
  );
  const growth = inUse() - before - sent.length / MiB;
  assert.ok(growth < 6, `${growth} MiB are held`);
  assert.equal(stalled.relieve(), sent);
});

test('large messages wait as they are, within the window', () => {
  const stalled = new Stalled();
  const before = inUse();
  const sent = fill(stalled, WINDOW, 32768);
  assert.is(stalled.channel.write(new Uint8Array(1)), 0);
  const growth = inUse() - before - sent.length / MiB;
  assert.ok(growth < 4, `${growth} MiB are held`);
  assert.equal(stalled.relieve(), sent);
});

test('empty messages, which use up no credit, are not passed on', () => {
  const stalled = new Stalled();
  const before = inUse();
  for (let i = 0; i < 100_000; i++) {
    const recipient = stalled.channel.remoteId;
    stalled.caller.client.send(encode(CHANNEL_DATA, { recipient, data: nothing }));
    if (i % 500 === 0) stalled.tick();
  }
  stalled.tick();
  const growth = inUse() - before;
  assert.ok(growth < 2, `${growth} MiB are held`);
  assert.not(stalled.caller.server.closed);
});

for (const [what, request] of [
  ['global requests', () => encode(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing })],
  ['opens', () => encode(CHANNEL_OPEN, { type: 'x', sender: 0, window: 0, maxPacket: 0, data: nothing })],
] as const) {
  test(`a peer that ignores our KEXINIT and goes on with ${what} does not fill our memory`, () => {
    const pair = new Pair(keys).start();
    // The client does not hear of the key exchange; its requests are answered when that is over.
    pair.onbytes = (from, bytes) => (from === 'server' ? undefined : bytes);
    pair.server.rekey();
    pair.settle();
    let sent = 0;
    while (!pair.server.closed) {
      assert.ok(sent++ < 100_000, 'no end to what is held back');
      pair.client.send(request());
      if (sent % 100 === 0) pair.settle();
    }
    assert.ok(sent > 1000, 'a honest peer may have some under way');
    assert.instance(pair.server.error, ProtocolError);
    assert.match(pair.server.error!.message, /key exchange/);
  });
}

test('nothing is read while the host key is being judged', () => {
  let decide: ((accepted: boolean) => void) | undefined;
  let ready = false;
  const pair = new Pair({
    ...keys,
    clientEvents: { hostKey: (_question, answer) => (decide = answer), ready: () => (ready = true) },
  }).start();
  assert.ok(pair.client.paused);
  decide!(true);
  assert.not(pair.client.paused);
  pair.settle();
  assert.ok(ready);
});

test.run();
