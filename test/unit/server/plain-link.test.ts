// Links without encryption: circuits across them carry everything in both directions, stall alone, hold what windows allow, and end with the link.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, WINDOW } from '../../../src/protocol/channels/channel.ts';
import { type OpenError, ProtocolError } from '../../../src/protocol/errors.ts';
import { CHANNEL_DATA } from '../../../src/protocol/messages.ts';
import { encode } from '../../../src/protocol/wire/codec.ts';
import { concat } from '../../../src/protocol/wire/reader.ts';
import { PlainLink, type PlainLinkOptions } from '../../../src/server/plain-link.ts';
import { insecure, insecureKey, seeded } from '../../kit/insecure.ts';
import { Pair } from '../../kit/pair.ts';
import { FakeSocket, socketPair, turn, turns, until } from '../../kit/socket.ts';

const keys = {
  provider: insecure(seeded(1).bytes),
  hostKey: insecureKey(new Uint8Array([1])),
  userKey: insecureKey(new Uint8Array([2])),
};
const nothing = new Uint8Array(0);
const opened = () => assert.unreachable('a channel was opened');
const refuse: PlainLinkOptions = { channelOpen: open => open.reject(1, 'no'), globalRequest: () => false };

/** One end of a circuit: keeps what it hears, and grants more only while it reads. */
class End {
  channel!: Channel;
  readonly chunks: Uint8Array[] = [];
  reads = true;
  eof = false;
  over = false;
  #owed = 0;
  readonly handler = {
    data: (bytes: Uint8Array) => {
      this.chunks.push(bytes.slice());
      if (this.reads) this.channel.consumed(bytes.length);
      else this.#owed += bytes.length;
    },
    eof: () => void (this.eof = true),
    closed: () => void (this.over = true),
    writable: () => this.#more(),
  };
  #rest: Uint8Array = nothing;

  read(): void {
    this.reads = true;
    this.channel.consumed(this.#owed);
    this.#owed = 0;
  }

  write(bytes: Uint8Array): void {
    this.#rest = bytes;
    this.#more();
  }

  #more(): void {
    if (this.#rest.length > 0) this.#rest = this.#rest.subarray(this.channel.write(this.#rest));
  }

  /** Bytes that it could not write yet. */
  get waiting(): number {
    return this.#rest.length;
  }

  get heard(): Uint8Array {
    return concat(...this.chunks);
  }
}

/** Two processes with a link between them: a caller's connection at one, a provider's at the other. */
class Processes {
  readonly caller: Pair;
  readonly callee: Pair;
  readonly near: PlainLink;
  readonly far: PlainLink;
  readonly sockets: [FakeSocket, FakeSocket];
  /** The provider's ends, by circuit. */
  readonly services: End[] = [];

  constructor(options: Partial<PlainLinkOptions> = {}, serviceReads: (index: number) => boolean = () => true) {
    this.sockets = socketPair();
    this.near = new PlainLink(this.sockets[0], { ...refuse, ...options });
    this.far = new PlainLink(this.sockets[1], {
      ...refuse,
      ...options,
      channelOpen: open => open.forward(this.callee.server.mux, 'far', open.data),
    });
    this.callee = new Pair({
      ...keys,
      clientEvents: {
        channelOpen: open => {
          const end = new End();
          end.reads = serviceReads(this.services.length);
          end.channel = open.accept(end.handler);
          this.services.push(end);
        },
      },
    }).start();
    this.caller = new Pair({
      ...keys,
      serverEvents: { channelOpen: open => open.forward(this.near.mux, 'across', open.data) },
    }).start();
  }

  async call(): Promise<[caller: End, service: End]> {
    const end = new End();
    const index = this.services.length;
    this.caller.client.mux.open('near', nothing, end.handler, channel => (end.channel = channel), assert.unreachable);
    await this.settle(() => end.channel !== undefined);
    return [end, this.services[index]];
  }

  async settle(condition: () => boolean): Promise<void> {
    await until(() => {
      this.caller.settle();
      this.callee.settle();
      return condition();
    });
  }

  /** Until nothing moves any more. */
  async rest(): Promise<void> {
    for (let i = 0; i < 60; i++) {
      this.caller.settle();
      this.callee.settle();
      await turn();
    }
  }
}

const numbered = (length: number, from = 0) => Uint8Array.from({ length }, (_, i) => ((i + from) * 7) ^ (i >> 8));

test('a circuit across carries megabytes both ways at once, the end of each direction, and its own end', async () => {
  const world = new Processes();
  const [caller, service] = await world.call();
  const [there, back] = [numbered(5 * WINDOW), numbered(3 * WINDOW + 5, 99)];
  caller.write(there);
  service.write(back);
  await world.settle(() => caller.waiting === 0);
  caller.channel.eof();
  await world.settle(() => service.eof);
  assert.ok(Buffer.from(service.heard).equals(there));
  await world.settle(() => service.waiting === 0);
  assert.not(caller.over);
  service.channel.eof();
  service.channel.close();
  await world.settle(() => caller.over && service.over);
  assert.ok(caller.eof);
  assert.ok(Buffer.from(caller.heard).equals(back));
  await world.rest();
  for (const mux of [world.near.mux, world.far.mux, world.caller.server.mux]) assert.is(mux.count, 0);
});

test('a call that the provider, or nobody, takes is refused with its reason', async () => {
  const world = new Processes();
  const refused: OpenError[] = [];
  const call = () => world.caller.client.mux.open('near', nothing, {}, opened, error => refused.push(error));
  world.callee.client.disconnect();
  world.callee.settle();
  call();
  await world.settle(() => refused.length === 1);
  assert.match(refused[0].message, /the connection has closed/);
  world.far.close();
  await world.settle(() => world.near.mux.count === 0);
  call();
  await world.settle(() => refused.length === 2);
  assert.is(refused[1].reason, 2);
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
function inUse(): number {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1024 / 1024;
}

test('a circuit whose provider stalls holds a window and no more, others on the same link go on, and so does it later', async () => {
  const world = new Processes({}, index => index !== 0);
  const [stalled, deaf] = await world.call();
  const [quick, service] = await world.call();
  const there = numbered(4 * WINDOW);
  const before = inUse();
  stalled.write(there);
  await world.rest();
  const taken = there.length - stalled.waiting;
  assert.ok(taken <= 2 * WINDOW, `${taken} bytes have been taken`);
  // What the stalled end itself has heard is not the link's.
  const growth = inUse() - before - deaf.heard.length / 1024 / 1024;
  assert.ok(growth < 8, `${growth} MiB are held`);
  for (let round = 0; round < 3; round++) {
    const piece = numbered(WINDOW, round);
    quick.write(piece);
    service.write(piece);
    await world.settle(
      () => quick.heard.length === (round + 1) * WINDOW && service.heard.length === quick.heard.length,
    );
  }
  deaf.read();
  await world.settle(() => stalled.waiting === 0 && deaf.heard.length === there.length);
  assert.ok(Buffer.from(deaf.heard).equals(there));
});

test('while the other process reads nothing, what waits is bounded by windows, and goes on when it does', async () => {
  const world = new Processes();
  const [caller, service] = await world.call();
  const [socket] = world.sockets;
  // The wire is cut for now: what is written stays.
  const move = socket.onchange;
  socket.onchange = undefined;
  const there = numbered(4 * WINDOW);
  caller.write(there);
  await world.rest();
  assert.ok(world.near.congested);
  assert.ok(socket.pending <= WINDOW + 4096, `${socket.pending} bytes wait`);
  assert.ok(caller.waiting >= there.length - WINDOW - 1024 * 1024);
  socket.onchange = move;
  move!();
  await world.settle(() => service.heard.length === there.length);
  assert.not(world.near.congested);
  assert.ok(Buffer.from(service.heard).equals(there));
});

test('who is told that the link is congested hears when it is not, though the window was open all the time', async () => {
  const there = numbered(4 * WINDOW);
  const service = new End();
  service.reads = false;
  const [a, b] = socketPair();
  const near = new PlainLink(a, refuse);
  const far = new PlainLink(b, {
    ...refuse,
    channelOpen: open => void (service.channel = open.accept(service.handler, there.length)),
  });
  const caller = new End();
  near.mux.open(
    'x',
    nothing,
    caller.handler,
    channel => (caller.channel = channel),
    () => {},
  );
  await until(() => caller.channel !== undefined);
  caller.write(there);
  assert.ok(near.congested);
  assert.ok(caller.waiting > 0 && caller.channel.outbound.size > 0);
  await until(() => service.heard.length === there.length);
  assert.ok(Buffer.from(service.heard).equals(there));
  far.close();
});

test('a link that breaks ends its circuits at once, and nothing else', async () => {
  const world = new Processes();
  const circuits = [await world.call(), await world.call()];
  world.sockets[0].close(new Error('broken'));
  await world.settle(() => circuits.flat().every(({ over }) => over));
  assert.is((await world.near.closed).message, 'broken');
  assert.match((await world.far.closed).message, /the other end closed the link|the link was closed/);
  for (const { server, client } of [world.caller, world.callee]) {
    assert.not(server.closed);
    assert.not(client.closed);
    assert.is(server.mux.count + client.mux.count, 0);
  }
});

test('messages come out whole, however the bytes are cut, lent or not', async () => {
  const socket = new FakeSocket();
  const heard: string[] = [];
  const link = new PlainLink(socket, {
    ...refuse,
    globalRequest: ({ type, data }) => {
      heard.push(`${type} ${data.length}`);
      return data;
    },
  });
  const sender = new FakeSocket();
  const other = new PlainLink(sender, refuse);
  const replies = [0, 1, 100, 40_000].map(length => other.mux.request(`r${length}@x`, numbered(length)));
  await turn();
  const bytes = sender.take();
  const dice = seeded(5);
  for (let at = 0; at < bytes.length; ) {
    const count = 1 + dice.below(dice.below(2) ? 3 : 50_000);
    socket.receive(bytes.subarray(at, at + count));
    at += count;
  }
  await turns(3);
  assert.equal(heard, ['r0@x 0', 'r1@x 1', 'r100@x 100', 'r40000@x 40000']);
  sender.receive(socket.take());
  for (const [i, length] of [0, 1, 100, 40_000].entries()) assert.equal(await replies[i], numbered(length));
  link.close();
});

test('what is no message, or not allowed, ends the link with the reason', async () => {
  const bad: [Uint8Array, RegExp][] = [
    [Uint8Array.of(0, 0, 0, 0), /a message of 0 bytes/],
    [Uint8Array.of(0, 5, 0, 0), /a message of 327680 bytes/],
    [Uint8Array.of(0, 0, 0, 1, 200), /message 200 is not expected/],
    [concat(Uint8Array.of(0, 0, 0, 10), encode(CHANNEL_DATA, { recipient: 7, data: new Uint8Array(1) }).payload), /7/],
  ];
  for (const [bytes, reason] of bad) {
    const socket = new FakeSocket();
    const link = new PlainLink(socket, refuse);
    socket.receive(bytes);
    const error = await link.closed;
    assert.instance(error, ProtocolError);
    assert.match(error.message, reason);
    assert.ok(socket.destroyed);
    assert.is(await link.mux.request('x@x', nothing), false);
  }
});

test('the number of circuits is bounded by what the link was made with', async () => {
  const world = new Processes({ maxChannels: 2 });
  await world.call();
  await world.call();
  const refused = await new Promise<OpenError>(resolve => {
    world.caller.client.mux.open('near', nothing, {}, opened, resolve);
    void world.rest();
  });
  assert.is(refused.reason, 4);
});

test('a handler that fails while the link is being closed is a fault that is told', async () => {
  const faults: unknown[] = [];
  const socket = new FakeSocket();
  const link = new PlainLink(socket, { ...refuse, fault: error => faults.push(error) });
  link.mux.open(
    'x',
    nothing,
    {},
    () => {},
    () => {
      throw new Error('mine');
    },
  );
  link.close('enough');
  assert.is((await link.closed).message, 'enough');
  assert.equal(
    faults.map(error => (error as Error).message),
    ['mine'],
  );
});

test.run();
