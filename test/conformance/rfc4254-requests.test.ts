// RFC 4254 §4 and §5.4: global and channel requests, and the order of their replies; keepalive@openssh.com; PING (OpenSSH PROTOCOL §1.9).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect } from '../../src/protocol/errors.ts';
import {
  CHANNEL_CLOSE,
  CHANNEL_FAILURE,
  CHANNEL_REQUEST,
  CHANNEL_SUCCESS,
  GLOBAL_REQUEST,
  PING,
  PONG,
  REQUEST_FAILURE,
  REQUEST_SUCCESS,
} from '../../src/protocol/messages.ts';
import { ChannelPeer } from '../kit/channel-peer.ts';
import { payloadOf } from '../kit/raw-peer.ts';

const nothing = new Uint8Array(0);
const roles = ['client', 'server'] as const;
/** Lets promises settle. */
const turn = () => new Promise(resolve => setImmediate(resolve));

/** Promises that are decided from outside. */
function decisions<T>(): { next(): Promise<T>; decide(index: number, value: T): void; refuse(index: number): void } {
  const list: { resolve(value: T): void; reject(error: Error): void }[] = [];
  return {
    next: () => new Promise<T>((resolve, reject) => list.push({ resolve, reject })),
    decide: (index, value) => list[index].resolve(value),
    refuse: index => list[index].reject(new Error('no')),
  };
}

for (const role of roles) {
  test(`RFC 4254 §4: a global request of a ${role} that we do not know is refused, and the connection lives`, () => {
    const peer = new ChannelPeer({ role });
    for (const type of ['tcpip-forward', 'cancel-tcpip-forward', 'what@example.com', '', 'toString']) {
      peer.global(type, true, Uint8Array.of(1, 2, 3));
      peer.raw.take(REQUEST_FAILURE);
    }
    peer.raw.quiet();
  });

  test(`RFC 4254 §4: a global request of a ${role} that wants no reply gets none`, () => {
    const seen: string[] = [];
    const peer = new ChannelPeer({
      role,
      events: {
        globalRequest: ({ type, wantReply }) => {
          seen.push(`${type} ${wantReply}`);
          return true;
        },
      },
    });
    peer.global('a', false);
    peer.raw.quiet();
    peer.global('b', true);
    assert.equal(peer.raw.take(REQUEST_SUCCESS).data, nothing);
    assert.equal(seen, ['a false', 'b true']);
  });

  test(`RFC 4254 §4: keepalive@openssh.com of a ${role} is answered; either reply will do`, () => {
    const peer = new ChannelPeer({ role });
    peer.global('keepalive@openssh.com');
    const [{ number }] = peer.raw.heard;
    assert.ok(number === REQUEST_FAILURE.number || number === REQUEST_SUCCESS.number);
    assert.is(peer.raw.heard.length, 1);
  });

  test(`RFC 4254 §4: 10,000 global requests of a ${role} have 10,000 answers, in order`, () => {
    const peer = new ChannelPeer({
      role,
      events: { globalRequest: ({ type }) => (Number(type) % 3 === 0 ? false : Buffer.from(type)) },
    });
    const payloads = Array.from({ length: 10_000 }, (_, i) =>
      payloadOf(GLOBAL_REQUEST, { type: String(i), wantReply: true, data: nothing }),
    );
    peer.raw.burst(...payloads);
    assert.is(peer.raw.heard.length, 10_000);
    for (let i = 0; i < 10_000; i++) {
      if (i % 3 === 0) peer.raw.take(REQUEST_FAILURE);
      else assert.is(Buffer.from(peer.raw.take(REQUEST_SUCCESS).data).toString(), String(i));
    }
    peer.raw.quiet();
  });
}

test('RFC 4254 §4: the payload of a request reaches its owner as a copy, the data of the reply the peer', () => {
  let kept: Uint8Array = nothing;
  const peer = new ChannelPeer({
    events: {
      globalRequest: ({ data }) => {
        kept = data;
        return Uint8Array.of(0, 0, 31, 144);
      },
    },
  });
  peer.global('tcpip-forward', true, Uint8Array.of(5, 6));
  assert.equal(peer.raw.take(REQUEST_SUCCESS).data, Uint8Array.of(0, 0, 31, 144));
  assert.equal(kept, Uint8Array.of(5, 6));
  assert.is(kept.buffer.byteLength, 2);
});

test('RFC 4254 §4: replies keep the order of the requests, also when they are decided late and in another order', async () => {
  const { next, decide, refuse } = decisions<boolean | Uint8Array>();
  const peer = new ChannelPeer({ events: { globalRequest: ({ type }) => (type === 'now' ? true : next()) } });
  for (const type of ['late', 'now', 'late', 'now', 'late']) peer.global(type);
  peer.raw.quiet();
  decide(2, Uint8Array.of(9));
  await turn();
  peer.raw.pull();
  peer.raw.quiet();
  decide(0, false);
  await turn();
  peer.raw.pull();
  peer.raw.take(REQUEST_FAILURE);
  peer.raw.take(REQUEST_SUCCESS);
  peer.raw.quiet();
  refuse(1);
  await turn();
  peer.raw.pull();
  peer.raw.take(REQUEST_FAILURE);
  peer.raw.take(REQUEST_SUCCESS);
  assert.equal(peer.raw.take(REQUEST_SUCCESS).data, Uint8Array.of(9));
  peer.raw.quiet();
});

test('RFC 4254 §4: a request without a wish for a reply takes no place in the order', async () => {
  const { next, decide } = decisions<boolean>();
  const peer = new ChannelPeer({ events: { globalRequest: () => next() } });
  peer.global('a', false);
  peer.global('b', true);
  decide(1, true);
  await turn();
  peer.raw.pull();
  peer.raw.take(REQUEST_SUCCESS);
  decide(0, true);
  await turn();
  peer.raw.pull();
  peer.raw.quiet();
});

test('a request without a wish for a reply whose decision fails harms nobody', async () => {
  // Unhandled, a rejection ends the whole process.
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  const { next, refuse } = decisions<boolean>();
  const peer = new ChannelPeer({ events: { globalRequest: () => next() } });
  const { id } = peer.open({ request: () => next() });
  peer.global('a', false);
  peer.request(id, 'b', false);
  refuse(0);
  refuse(1);
  await turn();
  await turn();
  process.off('unhandledRejection', note);
  assert.equal(unhandled, []);
  peer.raw.pull();
  peer.raw.quiet();
});

test('undecided requests cannot pile up without end', () => {
  for (const channel of [false, true]) {
    const never = () => new Promise<boolean>(() => {});
    const peer = new ChannelPeer({ events: { globalRequest: never } });
    const { id } = peer.open({ request: never });
    let sent = 0;
    for (; sent < 10_000 && !peer.raw.core.closed; sent++) {
      if (channel) peer.request(id);
      else peer.global();
    }
    peer.raw.disconnected(Disconnect.PROTOCOL_ERROR, /too many requests/);
    assert.ok(sent >= 100 && sent < 2000);
  }
});

test('RFC 4254 §4: our requests: each reply belongs to the oldest that has none', async () => {
  const peer = new ChannelPeer({ role: 'server' });
  const replies = ['a', 'b', 'c', 'd'].map(type => peer.raw.core.request(type));
  peer.raw.core.mux.notify('e', nothing);
  peer.raw.pull();
  for (const type of ['a', 'b', 'c', 'd']) {
    const request = peer.raw.take(GLOBAL_REQUEST);
    assert.is(request.type, type);
    assert.ok(request.wantReply);
  }
  assert.not(peer.raw.take(GLOBAL_REQUEST).wantReply);
  peer.raw.send(REQUEST_SUCCESS, { data: Uint8Array.of(1) });
  peer.raw.send(REQUEST_FAILURE, {});
  peer.raw.send(REQUEST_SUCCESS, { data: nothing });
  peer.raw.core.receiveEnd();
  assert.equal(await Promise.all(replies), [Uint8Array.of(1), undefined, nothing, undefined]);
});

test('RFC 4254 §4: a reply to nothing has no effect, like in OpenSSH: dropbear and phpseclib answer what wants none', async () => {
  for (const payload of [payloadOf(REQUEST_SUCCESS, { data: Uint8Array.of(1) }), payloadOf(REQUEST_FAILURE, {})]) {
    const peer = new ChannelPeer();
    peer.raw.payload(payload);
    peer.raw.core.mux.notify('no reply wanted', nothing);
    peer.raw.payload(payload);
    peer.raw.pull();
    peer.raw.take(GLOBAL_REQUEST);
    peer.raw.quiet();
    const reply = peer.raw.core.request('a question');
    peer.raw.pull();
    peer.raw.take(GLOBAL_REQUEST);
    peer.raw.send(REQUEST_SUCCESS, { data: Uint8Array.of(2) });
    assert.equal(await reply, Uint8Array.of(2));
  }
});

// Channel requests (§5.4).

test('RFC 4254 §5.4: a request that nobody knows is refused if a reply is wanted, and ignored otherwise', () => {
  const peer = new ChannelPeer();
  const { id } = peer.open();
  peer.request(id, 'shell', true);
  assert.is(peer.raw.take(CHANNEL_FAILURE).recipient, 7);
  peer.request(id, 'what@example.com', false);
  peer.raw.quiet();
});

test('RFC 4254 §5.4: a request that is granted is answered so', () => {
  const seen: unknown[] = [];
  const peer = new ChannelPeer();
  const { id } = peer.open({
    request: ({ type, wantReply, data }) => {
      seen.push([type, wantReply, [...data]]);
      return type === 'exec';
    },
  });
  peer.request(id, 'exec', true, Uint8Array.of(1, 2));
  assert.is(peer.raw.take(CHANNEL_SUCCESS).recipient, 7);
  peer.request(id, 'pty-req', true);
  peer.raw.take(CHANNEL_FAILURE);
  peer.request(id, 'exec', false);
  peer.raw.quiet();
  assert.equal(seen, [
    ['exec', true, [1, 2]],
    ['pty-req', true, []],
    ['exec', false, []],
  ]);
});

test('RFC 4254 §5.4: replies keep their order on each channel, and channels do not wait for each other', async () => {
  const { next, decide } = decisions<boolean>();
  const peer = new ChannelPeer();
  const slow = peer.open({ request: () => next() }, { sender: 1 });
  const quick = peer.open({ request: () => true }, { sender: 2 });
  peer.request(slow.id);
  peer.request(slow.id);
  peer.request(quick.id);
  assert.is(peer.raw.take(CHANNEL_SUCCESS).recipient, 2);
  decide(1, true);
  await turn();
  peer.raw.pull();
  peer.raw.quiet();
  decide(0, false);
  await turn();
  peer.raw.pull();
  assert.is(peer.raw.take(CHANNEL_FAILURE).recipient, 1);
  assert.is(peer.raw.take(CHANNEL_SUCCESS).recipient, 1);
  peer.raw.quiet();
});

test('RFC 4254 §5.4: a decision that comes after CLOSE is not sent', async () => {
  const { next, decide } = decisions<boolean>();
  const peer = new ChannelPeer();
  const { id } = peer.open({ request: () => next() });
  peer.request(id);
  peer.close(id);
  peer.raw.take(CHANNEL_CLOSE);
  decide(0, true);
  await turn();
  peer.raw.pull();
  peer.raw.quiet();
});

test('RFC 4254 §5.4: our requests on a channel: replies in order; false for those that the end of the channel leaves open', async () => {
  const peer = new ChannelPeer({ role: 'server' });
  const { channel, id } = peer.open();
  const replies = ['a', 'b', 'c'].map(type => channel.request(type, nothing));
  peer.raw.pull();
  for (const type of ['a', 'b', 'c']) assert.is(peer.raw.take(CHANNEL_REQUEST).type, type);
  peer.raw.send(CHANNEL_FAILURE, { recipient: id });
  peer.raw.send(CHANNEL_SUCCESS, { recipient: id });
  peer.close(id);
  assert.equal(await Promise.all(replies), [false, true, false]);
  assert.is(await channel.request('d', nothing), false);
});

test('RFC 4254 §5.4: a reply on a channel to nothing has no effect, like in OpenSSH', async () => {
  for (const message of [CHANNEL_SUCCESS, CHANNEL_FAILURE]) {
    const peer = new ChannelPeer();
    const { channel, id } = peer.open();
    channel.notify('no reply wanted', nothing);
    peer.raw.pull();
    peer.raw.take(CHANNEL_REQUEST);
    peer.raw.send(message, { recipient: id });
    peer.raw.quiet();
    const reply = channel.request('a question', nothing);
    peer.raw.pull();
    peer.raw.take(CHANNEL_REQUEST);
    peer.raw.send(CHANNEL_SUCCESS, { recipient: id });
    assert.ok(await reply);
  }
});

test('RFC 4254 §5.4: requests are heeded after EOF, which ends data only', () => {
  const peer = new ChannelPeer();
  const { id } = peer.open({ request: () => true });
  peer.eof(id);
  peer.request(id, 'signal');
  peer.raw.take(CHANNEL_SUCCESS);
  peer.raw.quiet();
});

test('OpenSSH PROTOCOL §1.9: PING is answered with its data, in order with other replies', () => {
  const peer = new ChannelPeer();
  peer.raw.send(PING, { data: Uint8Array.of(1, 2, 3) });
  peer.global();
  peer.raw.send(PING, { data: nothing });
  assert.equal(peer.raw.take(PONG).data, Uint8Array.of(1, 2, 3));
  peer.raw.take(REQUEST_FAILURE);
  assert.equal(peer.raw.take(PONG).data, nothing);
  peer.raw.quiet();
});

test('OpenSSH PROTOCOL §1.9: a PONG to no PING has no effect', async () => {
  const peer = new ChannelPeer();
  peer.raw.send(PONG, { data: nothing });
  peer.raw.quiet();
  const echo = peer.raw.core.mux.ping();
  peer.raw.pull();
  peer.raw.take(PING);
  peer.raw.send(PONG, { data: nothing });
  await echo;
});

test.run();
