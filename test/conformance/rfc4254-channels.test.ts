// RFC 4254 §5: channels are opened, carry data within their windows, and end by halves.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, STDERR } from '../../src/protocol/channels/channel.ts';
import { Disconnect, OpenError, OpenFailure, UsageError } from '../../src/protocol/errors.ts';
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_FAILURE,
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_OPEN_FAILURE,
  CHANNEL_WINDOW_ADJUST,
} from '../../src/protocol/messages.ts';
import { ChannelPeer, type Log, logging } from '../kit/channel-peer.ts';
import { payloadOf } from '../kit/raw-peer.ts';

const nothing = new Uint8Array(0);
const roles = ['client', 'server'] as const;
const MAX_UINT32 = 0xffffffff;

// Opening (§5.1).

for (const role of roles) {
  test(`RFC 4254 §5.1: a channel that the ${role} wants is confirmed with numbers, window and maximum of ours`, () => {
    const peer = new ChannelPeer({ role });
    peer.ask(12345, 100, 50, 'what@example.com', Uint8Array.of(1, 2, 3));
    peer.raw.quiet();
    const [wish] = peer.wishes;
    assert.is(wish.type, 'what@example.com');
    assert.equal(wish.data, Uint8Array.of(1, 2, 3));
    const channel = wish.accept({}, 5000);
    peer.raw.pull();
    const confirmed = peer.raw.take(CHANNEL_OPEN_CONFIRMATION);
    assert.is(confirmed.recipient, 12345);
    assert.is(confirmed.window, 5000);
    assert.ok(confirmed.maxPacket > 0 && confirmed.maxPacket <= 32768);
    assert.is(channel.outbound.size, 100);
    assert.is(channel.maxOutbound, 50);
    peer.raw.quiet();
  });

  test(`RFC 4254 §5.1: two channels of a ${role} have different numbers, and may both be the other's number 0`, () => {
    const peer = new ChannelPeer({ role });
    const ids = [0, 1, 2, MAX_UINT32].map(sender => peer.open({}, { sender }).id);
    assert.is(new Set(ids).size, ids.length);
  });

  test(`RFC 4254 §5.1: with nobody to accept channels, a ${role} is told UNKNOWN_CHANNEL_TYPE, and the connection lives`, () => {
    const peer = new ChannelPeer({ role, events: { channelOpen: undefined } });
    for (const type of ['session', 'direct-tcpip', 'forwarded-tcpip', 'x11', '']) {
      peer.ask(3, 1, 1, type);
      assert.is(peer.refused(3).reason, OpenFailure.UNKNOWN_CHANNEL_TYPE);
    }
    peer.raw.quiet();
  });
}

for (const reason of Object.values(OpenFailure)) {
  test(`RFC 4254 §5.1: a refusal carries its reason (${reason}) and its text, and the connection lives`, () => {
    const peer = new ChannelPeer({}, wish => wish.reject(reason, 'because'));
    peer.ask(9);
    assert.equal(peer.refused(9), { reason, description: 'because' });
    peer.raw.quiet();
    assert.is(peer.raw.core.mux.count, 0);
  });
}

test('RFC 4254 §5.1: a wish may be answered later, in any order', () => {
  const peer = new ChannelPeer();
  for (const sender of [1, 2, 3]) peer.ask(sender);
  peer.raw.quiet();
  peer.wishes[2].accept({});
  peer.wishes[0].reject(OpenFailure.CONNECT_FAILED, '');
  peer.raw.pull();
  assert.is(peer.raw.take(CHANNEL_OPEN_CONFIRMATION).recipient, 3);
  peer.refused(1);
  peer.wishes[1].accept({});
  peer.raw.pull();
  assert.is(peer.raw.take(CHANNEL_OPEN_CONFIRMATION).recipient, 2);
  peer.raw.quiet();
});

test('RFC 4254 §5.1: a wish is answered once', () => {
  const peer = new ChannelPeer();
  peer.ask(1);
  peer.wishes[0].reject(OpenFailure.CONNECT_FAILED, 'no');
  peer.wishes[0].reject(OpenFailure.CONNECT_FAILED, 'no, I said');
  assert.throws(
    () => peer.wishes[0].accept({}),
    (error: unknown) => error instanceof UsageError,
  );
  assert.ok(peer.wishes[0].gone);
  peer.raw.pull();
  peer.refused(1);
  peer.raw.quiet();
});

test('RFC 4254 §5.1: more channels than allowed are refused with RESOURCE_SHORTAGE, undecided wishes included', () => {
  const peer = new ChannelPeer({ core: { maxChannels: 3 } });
  const { channel, id } = peer.open();
  peer.ask(20);
  peer.ask(21);
  peer.ask(22);
  assert.is(peer.refused(22).reason, OpenFailure.RESOURCE_SHORTAGE);
  peer.wishes[1].reject(OpenFailure.CONNECT_FAILED, '');
  peer.raw.pull();
  peer.refused(20);
  peer.ask(23);
  peer.raw.quiet();
  channel.close();
  peer.close(id);
  peer.raw.take(CHANNEL_CLOSE);
  peer.ask(24);
  peer.raw.quiet();
  peer.ask(25);
  assert.is(peer.refused(25).reason, OpenFailure.RESOURCE_SHORTAGE);
});

test('RFC 4254 §5.1: by default a peer cannot have channels without end', () => {
  const peer = new ChannelPeer();
  let refused = 0;
  for (let sender = 0; sender < 5000; sender++) peer.ask(sender);
  for (const { number } of peer.raw.heard) refused += Number(number === CHANNEL_OPEN_FAILURE.number);
  assert.ok(refused > 0);
  assert.ok(peer.wishes.length <= 2000);
  assert.is(peer.raw.core.error, undefined);
});

test('RFC 4254 §5.1: our own wish: confirmed, refused, or lost with the connection', () => {
  const peer = new ChannelPeer({ role: 'server' });
  const outcome: string[] = [];
  const wish = (type: string) => {
    peer.raw.core.mux.open(
      type,
      Uint8Array.of(9),
      {},
      channel => outcome.push(`open ${channel.remoteId} ${channel.outbound.size}`),
      error => outcome.push(`${error.reason} ${error.message}`),
    );
    peer.raw.pull();
    return peer.raw.take(CHANNEL_OPEN);
  };
  const first = wish('direct-tcpip');
  assert.is(first.type, 'direct-tcpip');
  assert.equal(first.data, Uint8Array.of(9));
  assert.ok(first.window > 0 && first.maxPacket > 0);
  const second = wish('b');
  const third = wish('c');
  assert.is(new Set([first.sender, second.sender, third.sender]).size, 3);
  peer.raw.send(CHANNEL_OPEN_FAILURE, {
    recipient: second.sender,
    reason: 2,
    description: 'no\x1bway',
    language: nothing,
  });
  peer.raw.send(CHANNEL_OPEN_CONFIRMATION, {
    recipient: first.sender,
    sender: 77,
    window: 55,
    maxPacket: 10,
    data: nothing,
  });
  peer.raw.core.receiveEnd();
  assert.equal(outcome, ['2 no\uFFFDway', 'open 77 55', '2 the connection has closed']);
});

test('RFC 4254 §5.1: a refusal of our wish is an OpenError for those who wait by a promise', async () => {
  const peer = new ChannelPeer({ role: 'server' });
  const opening = peer.raw.core.open('session');
  peer.raw.pull();
  const { sender } = peer.raw.take(CHANNEL_OPEN);
  peer.raw.send(CHANNEL_OPEN_FAILURE, { recipient: sender, reason: 4, description: 'full', language: nothing });
  try {
    await opening;
    assert.unreachable();
  } catch (error) {
    assert.instance(error, OpenError);
    assert.is((error as OpenError).reason, OpenFailure.RESOURCE_SHORTAGE);
  }
});

test('RFC 4254 §5.1: answers to wishes that we do not have are refused', () => {
  for (const number of [91, 92]) {
    for (const once of [false, true]) {
      const peer = new ChannelPeer({ role: 'server' });
      let id = 0;
      if (once) {
        peer.raw.core.mux.open(
          'x',
          nothing,
          {},
          () => {},
          () => {},
        );
        peer.raw.pull();
        id = peer.raw.take(CHANNEL_OPEN).sender;
        peer.raw.send(CHANNEL_OPEN_CONFIRMATION, { recipient: id, sender: 0, window: 0, maxPacket: 0, data: nothing });
      }
      peer.raw.payload(
        number === 91
          ? payloadOf(CHANNEL_OPEN_CONFIRMATION, { recipient: id, sender: 0, window: 0, maxPacket: 0, data: nothing })
          : payloadOf(CHANNEL_OPEN_FAILURE, { recipient: id, reason: 1, description: '', language: nothing }),
      );
      peer.raw.disconnected(Disconnect.PROTOCOL_ERROR);
    }
  }
});

/** A channel that the core has asked for and that is not confirmed, and what its owner hears of it. */
function asked() {
  const log: Log = [];
  const peer = new ChannelPeer({ role: 'server' });
  peer.raw.core.mux.open(
    'x',
    nothing,
    logging(log),
    () => void log.push('opened'),
    error => void log.push(error.message),
  );
  peer.raw.pull();
  const { sender: id } = peer.raw.take(CHANNEL_OPEN);
  const confirm = () =>
    peer.raw.send(CHANNEL_OPEN_CONFIRMATION, { recipient: id, sender: 77, window: 9, maxPacket: 9, data: nothing });
  return { log, peer, id, confirm };
}

test('RFC 4254 §5.4: a request that comes before the confirmation of its channel is refused, once there is somebody to tell', () => {
  const { log, peer, id, confirm } = asked();
  for (const wantReply of [false, true, false, true]) peer.request(id, 'env', wantReply);
  peer.raw.quiet();
  confirm();
  for (let i = 0; i < 2; i++) assert.is(peer.raw.take(CHANNEL_FAILURE).recipient, 77);
  peer.raw.quiet();
  peer.data(id, 'x');
  assert.equal(log, ['opened', 'data x']);
});

test('requests before the confirmation cannot pile up without end, and a refusal of the channel needs no other', () => {
  const many = asked();
  for (let i = 0; i < 2000 && !many.peer.raw.core.closed; i++) many.peer.request(many.id);
  many.peer.raw.disconnected(Disconnect.PROTOCOL_ERROR, /too many requests/);
  const { log, peer, id } = asked();
  peer.request(id);
  peer.raw.send(CHANNEL_OPEN_FAILURE, { recipient: id, reason: 1, description: 'no', language: nothing });
  peer.raw.quiet();
  assert.equal(log, ['no']);
});

test('RFC 4254 §5.3: EOF and CLOSE before the confirmation count from then on, like in OpenSSH', () => {
  for (const [ends, heard] of [
    [['eof'], ['opened', 'eof']],
    [
      ['eof', 'eof'],
      ['opened', 'eof'],
    ],
    [['close'], ['opened', 'closed']],
    [
      ['eof', 'close'],
      ['opened', 'eof', 'closed'],
    ],
  ] as const) {
    const { log, peer, id, confirm } = asked();
    for (const end of ends) peer[end](id);
    peer.raw.quiet();
    confirm();
    if (heard.at(-1) === 'closed') assert.is(peer.raw.take(CHANNEL_CLOSE).recipient, 77);
    peer.raw.quiet();
    assert.equal(log, heard);
    assert.is(peer.raw.core.mux.count, heard.at(-1) === 'closed' ? 0 : 1);
  }
});

test('RFC 4254 §5.2: data before the confirmation cost that channel, because later ones would be half of a whole', () => {
  for (const kind of ['data', 'extended']) {
    const { log, peer, id, confirm } = asked();
    const other = peer.open({}, { sender: 5 });
    if (kind === 'data') peer.data(id, 'early');
    else peer.extended(id, STDERR, 'early');
    peer.eof(id);
    peer.raw.quiet();
    confirm();
    assert.is(peer.raw.take(CHANNEL_CLOSE).recipient, 77);
    peer.data(id, 'late');
    peer.close(id);
    peer.data(other.id, 'as before');
    peer.raw.quiet();
    assert.equal(log, ['data came before the confirmation']);
    assert.is(peer.raw.core.mux.count, 1);
  }
});

test('RFC 4254 §5.2: credit before the confirmation is none, which says itself how large the window is; nor is a reply one', () => {
  const peer = new ChannelPeer({ role: 'server' });
  let channel: Channel | undefined;
  peer.raw.core.mux.open(
    'x',
    nothing,
    {},
    opened => (channel = opened),
    () => {},
  );
  peer.raw.pull();
  const { sender: recipient } = peer.raw.take(CHANNEL_OPEN);
  for (const number of [93, 99, 100]) peer.raw.payload(messageFor(number, recipient));
  peer.raw.send(CHANNEL_OPEN_CONFIRMATION, { recipient, sender: 77, window: 9, maxPacket: 9, data: nothing });
  peer.raw.quiet();
  assert.is(channel!.outbound.size, 9);
});

// Numbers that are not in use.

/** A well-formed message 93–100 for a channel. */
function messageFor(number: number, recipient: number): Uint8Array {
  const rest: Record<number, number[]> = {
    93: [0, 0, 0, 1],
    94: [0, 0, 0, 0],
    95: [0, 0, 0, 1, 0, 0, 0, 0],
    98: [0, 0, 0, 1, 0x78, 1],
  };
  return Uint8Array.of(number, recipient >>> 24, recipient >>> 16, recipient >>> 8, recipient, ...(rest[number] ?? []));
}

for (const number of [94, 95, 96, 97, 98]) {
  test(`RFC 4254 §5: message ${number} for a channel that does not exist ends the connection, like OpenSSH`, () => {
    for (const id of [0, 1, 1000, MAX_UINT32]) {
      const peer = new ChannelPeer();
      peer.raw.payload(messageFor(number, id));
      peer.raw.disconnected(Disconnect.PROTOCOL_ERROR);
    }
  });

  test(`RFC 4254 §5.3: so does message ${number} after CLOSE has gone both ways`, () => {
    const peer = new ChannelPeer();
    const { id } = peer.open();
    peer.close(id);
    peer.raw.take(CHANNEL_CLOSE);
    peer.raw.quiet();
    peer.raw.payload(messageFor(number, id));
    peer.raw.disconnected(Disconnect.PROTOCOL_ERROR);
  });
}

test('ssh: a request for a channel that does not exist and wants no reply, as an exit status after CLOSE, is ignored', () => {
  const peer = new ChannelPeer({ role: 'server' });
  const { id } = peer.open();
  peer.request(1000, 'exit-status', false);
  peer.close(id);
  peer.raw.take(CHANNEL_CLOSE);
  peer.request(id, 'exit-status', false);
  peer.raw.quiet();
});

for (const number of [93, 99, 100]) {
  test(`OpenSSH: message ${number} for a channel that does not exist is ignored`, () => {
    const peer = new ChannelPeer();
    for (const id of [0, 1000, MAX_UINT32]) peer.raw.payload(messageFor(number, id));
    peer.raw.quiet();
  });
}

for (const number of [93, 94, 95, 96, 97, 98, 99, 100]) {
  test(`RFC 4254 §5: message ${number} cut short or with bytes behind it ends the connection`, () => {
    const full = (id: number) => messageFor(number, id);
    for (let length = 1; length < full(0).length; length++) {
      const peer = new ChannelPeer();
      const { id } = peer.open();
      peer.raw.payload(full(id).subarray(0, length));
      peer.raw.disconnected(Disconnect.PROTOCOL_ERROR);
    }
    if (number >= 98) return; // data has any length, and what stands behind a reply has no effect
    const peer = new ChannelPeer();
    const { id, channel } = peer.open();
    void channel.request('x', nothing); // so that a reply has something to answer
    peer.raw.payload(Uint8Array.of(...full(id), 0));
    peer.raw.disconnected(Disconnect.PROTOCOL_ERROR);
  });
}

// Data (§5.2).

test('RFC 4254 §5.2: data reach the handler, byte for byte, and extended data with their type', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const { id } = peer.open(logging(log));
  peer.data(id, 'a\0\xff');
  peer.extended(id, STDERR, 'oh');
  peer.extended(id, 99, 'what');
  peer.raw.quiet();
  assert.equal(log, ['data a\0\xff', 'data1 oh', 'data99 what']);
});

test('RFC 4254 §5.2: data of no bytes are allowed, even into a full window', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const { id } = peer.open(logging(log), { ours: 4 });
  peer.data(id, '');
  peer.data(id, 'four');
  peer.data(id, '');
  peer.extended(id, STDERR, '');
  peer.raw.quiet();
  assert.is(log.filter(line => line.length > 6).join(), 'data four');
});

test('RFC 4254 §5.2: data lie about their length', () => {
  for (const [length, bytes] of [
    [2, 1],
    [0, 1],
    [0x7fffffff, 1],
    [MAX_UINT32, 1],
  ]) {
    for (const number of [94, 95]) {
      const peer = new ChannelPeer();
      const { id } = peer.open();
      const head = [number, 0, 0, 0, id, ...(number === 95 ? [0, 0, 0, 1] : [])];
      const count = [length >>> 24, length >>> 16, length >>> 8, length];
      peer.raw.payload(Uint8Array.of(...head, ...count, ...new Uint8Array(bytes)));
      peer.raw.disconnected(Disconnect.PROTOCOL_ERROR, /length/);
    }
  }
});

test('RFC 4254 §5.2: our window is enforced to the byte, over both kinds of data', () => {
  const filled = (last: 'data' | 'extended', bytes: number) => {
    const peer = new ChannelPeer();
    const { id, window } = peer.open({}, { ours: 1000 });
    assert.is(window, 1000);
    peer.data(id, new Uint8Array(600));
    peer.extended(id, STDERR, new Uint8Array(300));
    if (last === 'data') peer.data(id, new Uint8Array(bytes));
    else peer.extended(id, STDERR, new Uint8Array(bytes));
    return peer;
  };
  filled('data', 100).raw.quiet();
  filled('extended', 100).raw.quiet();
  filled('data', 101).raw.disconnected(Disconnect.PROTOCOL_ERROR, /window/);
  filled('extended', 101).raw.disconnected(Disconnect.PROTOCOL_ERROR, /window/);
});

test('RFC 4254 §5.2: credit is given back when the owner has used the bytes, never before, never more', () => {
  const peer = new ChannelPeer();
  const { channel, id, window } = peer.open({}, { ours: 1000 });
  let credit = window;
  for (let round = 0; round < 20; round++) {
    peer.data(id, new Uint8Array(400));
    credit -= 400;
    peer.raw.quiet();
    for (const bytes of [100, 0, 250, 50]) channel.consumed(bytes);
    peer.raw.pull();
    while (peer.raw.heard.length > 0) {
      const { recipient, bytes } = peer.raw.take(CHANNEL_WINDOW_ADJUST);
      assert.is(recipient, 7);
      credit += bytes;
    }
    assert.ok(credit <= 1000, 'never more than the window');
    assert.is(channel.inbound.size, credit);
    assert.ok(credit >= 400, 'enough to go on');
  }
});

test('more data in one message than our maximum are taken, within the window, and reach the handler in pieces of that size', () => {
  for (const kind of ['data', 'extended']) {
    for (const over of [0, 1, 32768, 100_000]) {
      const sizes: number[] = [];
      const peer = new ChannelPeer();
      const { id, maxPacket, channel } = peer.open({ data: bytes => void sizes.push(bytes.length) });
      const before = channel.inbound.size;
      const bytes = new Uint8Array(maxPacket + over);
      if (kind === 'data') peer.data(id, bytes);
      else peer.extended(id, STDERR, bytes);
      peer.raw.quiet();
      assert.is(before - channel.inbound.size, bytes.length);
      assert.is(
        sizes.reduce((sum, size) => sum + size),
        bytes.length,
      );
      assert.ok(sizes.every(size => size <= maxPacket));
    }
  }
});

test('a handler that closes its channel gets no more of a large message', () => {
  const sizes: number[] = [];
  const peer = new ChannelPeer();
  const { id, channel } = peer.open({
    data: bytes => {
      sizes.push(bytes.length);
      channel.close();
    },
  });
  peer.data(id, new Uint8Array(100_000));
  assert.equal(sizes, [32768]);
});

test("RFC 4254 §5.2: we keep to the peer's window, and go on when it grows", () => {
  const peer = new ChannelPeer();
  let writable = 0;
  const { channel, id } = peer.open({ writable: () => writable++ }, { window: 10 });
  assert.is(channel.write(Buffer.from('0123456789abcdef')), 10);
  assert.is(channel.write(Buffer.from('abcdef')), 0);
  peer.raw.pull();
  assert.is(Buffer.from(peer.heardData(7)).toString(), '0123456789');
  peer.adjust(id, 3);
  assert.is(writable, 1);
  assert.is(channel.write(Buffer.from('abcdef'), STDERR), 3);
  peer.raw.pull();
  const extended = peer.raw.take(CHANNEL_EXTENDED_DATA);
  assert.is(extended.type, STDERR);
  assert.is(Buffer.from(extended.data).toString(), 'abc');
  peer.raw.quiet();
});

test("RFC 4254 §5.2: we keep to the peer's maximum packet size", () => {
  const peer = new ChannelPeer();
  const { channel } = peer.open({}, { maxPacket: 7 });
  assert.is(channel.write(new Uint8Array(50)), 50);
  assert.is(channel.write(new Uint8Array(10), STDERR), 10);
  peer.raw.pull();
  const sizes = peer.raw.heard.map(({ number, payload }) => payload.length - (number === CHANNEL_DATA.number ? 9 : 13));
  assert.equal(sizes, [7, 7, 7, 7, 7, 7, 7, 1, 7, 3]);
});

test('RFC 4254 §5.2: a peer without window, or that takes no bytes in a packet, gets none', () => {
  for (const limits of [{ window: 0 }, { maxPacket: 0 }]) {
    const peer = new ChannelPeer();
    const { channel } = peer.open({}, limits);
    assert.is(channel.write(new Uint8Array(5)), 0);
    peer.raw.pull();
    peer.raw.quiet();
  }
});

test('RFC 4254 §5.2: a window of 2^32 - 1 is allowed, one beyond is not', () => {
  const start = (window: number) => {
    const peer = new ChannelPeer();
    return { peer, ...peer.open({}, { window }) };
  };
  const most = start(MAX_UINT32 - 5);
  most.peer.adjust(most.id, 5);
  most.peer.adjust(most.id, 0);
  assert.is(most.channel.outbound.size, MAX_UINT32);
  most.peer.raw.quiet();
  most.peer.adjust(most.id, 1);
  most.peer.raw.disconnected(Disconnect.PROTOCOL_ERROR, /window/);
  const wrap = start(1);
  wrap.peer.adjust(wrap.id, MAX_UINT32);
  wrap.peer.raw.disconnected(Disconnect.PROTOCOL_ERROR, /window/);
});

// The end, by halves (§5.3).

test('RFC 4254 §5.3: EOF is not CLOSE: after the peer has ended, we may go on, and it may still raise our window', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const { channel, id } = peer.open(logging(log), { window: 3 });
  peer.data(id, 'bye');
  peer.eof(id);
  assert.equal(log, ['data bye', 'eof']);
  assert.is(channel.write(Buffer.from('stay')), 3);
  peer.raw.pull();
  assert.is(Buffer.from(peer.heardData(7)).toString(), 'sta');
  peer.adjust(id, 10);
  assert.is(channel.write(Buffer.from('y')), 1);
  peer.raw.pull();
  peer.heardData(7);
  peer.request(id);
  assert.is(peer.raw.heard.shift()!.number, 100);
  peer.raw.quiet();
});

test('RFC 4254 §5.3: after our EOF the peer may go on', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const { channel, id } = peer.open(logging(log));
  channel.eof();
  channel.eof();
  peer.raw.pull();
  assert.is(peer.raw.take(CHANNEL_EOF).recipient, 7);
  peer.raw.quiet();
  assert.throws(
    () => channel.write(Uint8Array.of(1)),
    (error: unknown) => error instanceof UsageError,
  );
  peer.data(id, 'more');
  assert.equal(log, ['data more']);
  channel.consumed(4);
  peer.raw.quiet();
});

test('RFC 4254 §5.3: EOF takes no window; data after it, and a second one, have no effect, like in OpenSSH', () => {
  for (const kind of ['data', 'extended'] as const) {
    const log: Log = [];
    const peer = new ChannelPeer();
    const { id } = peer.open(logging(log), { ours: 6 });
    const send = (text: string) => (kind === 'data' ? peer.data(id, text) : peer.extended(id, STDERR, text));
    peer.data(id, 'abc');
    peer.eof(id);
    peer.eof(id);
    send('');
    send('def');
    peer.eof(id);
    peer.raw.quiet();
    assert.equal(log, ['data abc', 'eof']);
    send('g');
    peer.raw.disconnected(Disconnect.PROTOCOL_ERROR, /window/);
  }
});

test('RFC 4254 §5.3: no credit is given for data after which nothing can come', () => {
  const peer = new ChannelPeer();
  const { channel, id } = peer.open({}, { ours: 10 });
  peer.data(id, new Uint8Array(10));
  peer.eof(id);
  channel.consumed(10);
  peer.raw.pull();
  peer.raw.quiet();
});

test('RFC 4254 §5.3: CLOSE is answered with CLOSE, without EOF, and the channel is over', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const { channel, id } = peer.open(logging(log));
  peer.close(id);
  assert.is(peer.raw.take(CHANNEL_CLOSE).recipient, 7);
  peer.raw.quiet();
  assert.equal(log, ['closed']);
  assert.is(channel.write(Uint8Array.of(1)), 0);
  channel.eof();
  channel.close();
  channel.notify('x', nothing);
  channel.consumed(1_000_000);
  peer.raw.pull();
  peer.raw.quiet();
  assert.is(peer.raw.core.mux.count, 0);
});

test('RFC 4254 §5.3: our CLOSE: what the peer had under way is dropped without a word, until its CLOSE comes', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const { channel, id } = peer.open(logging(log));
  channel.close();
  peer.raw.pull();
  peer.raw.take(CHANNEL_CLOSE);
  peer.data(id, 'late');
  peer.extended(id, STDERR, 'late');
  peer.adjust(id, 5);
  peer.request(id);
  peer.eof(id);
  peer.raw.quiet();
  assert.is(log.filter(line => line.startsWith('data')).length, 0);
  peer.close(id);
  peer.raw.quiet();
  assert.is(log.at(-1), 'closed');
  assert.is(log.filter(line => line === 'closed').length, 1);
});

test('RFC 4254 §5.3: both may close at the same time', () => {
  const peer = new ChannelPeer();
  const { channel, id } = peer.open();
  const theirs = peer.raw.frame(payloadOf(CHANNEL_CLOSE, { recipient: id }));
  channel.close();
  peer.raw.bytes(theirs);
  peer.raw.take(CHANNEL_CLOSE);
  peer.raw.quiet();
});

test('RFC 4254 §5.3: a number is not used again before CLOSE has gone both ways', () => {
  const peer = new ChannelPeer();
  const first = peer.open();
  first.channel.close();
  peer.raw.pull();
  peer.raw.take(CHANNEL_CLOSE);
  const second = peer.open({}, { sender: 8 });
  assert.is.not(second.id, first.id);
  peer.close(first.id);
  const third = peer.open({}, { sender: 9 });
  assert.is.not(third.id, second.id);
  peer.data(third.id, 'x');
  peer.raw.quiet();
});

test('one channel that ends leaves the others alone', () => {
  const logs: Log[] = [[], []];
  const peer = new ChannelPeer();
  const [one, two] = logs.map((log, i) => peer.open(logging(log), { sender: i }));
  peer.data(one.id, '1');
  peer.data(two.id, '2');
  peer.close(one.id);
  peer.raw.take(CHANNEL_CLOSE);
  peer.data(two.id, '3');
  peer.raw.quiet();
  assert.equal(logs, [
    ['data 1', 'closed'],
    ['data 2', 'data 3'],
  ]);
});

test('with the connection every channel ends, once', () => {
  const logs: Log[] = [[], [], []];
  const peer = new ChannelPeer();
  for (const [sender, log] of logs.entries()) peer.open(logging(log), { sender });
  peer.raw.core.receiveEnd();
  peer.raw.core.receiveEnd();
  assert.equal(logs, [['closed'], ['closed'], ['closed']]);
  assert.is(peer.raw.core.mux.count, 0);
});

test('a handler that throws ends its own channel, and no other hears of it', () => {
  const log: Log = [];
  const peer = new ChannelPeer();
  const bad = peer.open({
    data() {
      throw new Error('oops');
    },
  });
  peer.open(logging(log), { sender: 8 });
  peer.data(bad.id, 'x');
  assert.is(peer.raw.take(CHANNEL_CLOSE).recipient, bad.channel.remoteId);
  assert.is(peer.raw.core.error, undefined);
  assert.equal(log, []);
});

test('a channel used after its connection is gone does nothing', () => {
  const peer = new ChannelPeer();
  const { channel: kept } = peer.open();
  peer.raw.core.receiveEnd();
  assert.is(kept.write(Uint8Array.of(1)), 0);
  kept.eof();
  kept.close();
  kept.consumed(10_000_000);
  assert.equal(peer.raw.core.takeOutput(), []);
});

test.run();
