// What comes in on one end of a circuit is passed on only as far as the other end may get it: nothing odd goes through.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { STDERR } from '../../src/protocol/channels/channel.ts';
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_FAILURE,
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_SUCCESS,
  CHANNEL_WINDOW_ADJUST,
  REQUEST_FAILURE,
  REQUEST_SUCCESS,
} from '../../src/protocol/messages.ts';
import { ChannelPeer } from '../kit/channel-peer.ts';

const nothing = new Uint8Array(0);

/** A caller whose channel 7 is asked for as channel 88 of a provider, who takes `maxPacket` bytes in one message. */
function circuit({ maxPacket = 32768, early = () => {} }: Early = {}) {
  const caller = new ChannelPeer();
  const provider = new ChannelPeer();
  caller.ask(7);
  caller.wishes[0].forward(provider.raw.core.mux, 'far', nothing);
  provider.raw.pull();
  const { sender: far } = provider.raw.take(CHANNEL_OPEN);
  early(provider, far);
  provider.raw.send(CHANNEL_OPEN_CONFIRMATION, {
    recipient: far,
    sender: 88,
    window: 1_000_000,
    maxPacket,
    data: nothing,
  });
  caller.raw.pull();
  return { caller, provider, far };
}

interface Early {
  readonly maxPacket?: number;
  /** What the provider does before it confirms its channel, which is `far` to us. */
  early?(provider: ChannelPeer, far: number): void;
}

/** The caller's end, once it is confirmed. */
const nearOf = (caller: ChannelPeer) => caller.raw.take(CHANNEL_OPEN_CONFIRMATION).sender;

/** What else was heard than credit. */
function rest({ raw }: ChannelPeer): number[] {
  raw.pull();
  return raw.heard.splice(0).flatMap(({ number }) => (number === CHANNEL_WINDOW_ADJUST.number ? [] : [number]));
}

test('a second EOF, and data behind one, are not passed on; the other direction goes on', () => {
  const { caller, provider, far } = circuit();
  const near = nearOf(caller);
  caller.data(near, 'all');
  for (let i = 0; i < 3; i++) caller.eof(near);
  caller.data(near, 'more');
  caller.extended(near, STDERR, 'more');
  assert.equal(rest(provider), [CHANNEL_DATA.number, CHANNEL_EOF.number]);
  provider.data(far, 'answer');
  assert.equal(rest(caller), [CHANNEL_DATA.number]);
  provider.eof(far);
  provider.eof(far);
  assert.equal(rest(caller), [CHANNEL_EOF.number]);
  caller.close(near);
  assert.equal([rest(caller), rest(provider)], [[CHANNEL_CLOSE.number], [CHANNEL_CLOSE.number]]);
  provider.close(far);
  assert.equal([caller.raw.core.mux.count, provider.raw.core.mux.count], [0, 0]);
});

test('replies that nobody has asked for are passed on neither as channel replies nor as global ones', () => {
  const { caller, provider } = circuit();
  const near = nearOf(caller);
  for (const message of [CHANNEL_SUCCESS, CHANNEL_FAILURE]) caller.raw.send(message, { recipient: near });
  caller.raw.send(REQUEST_FAILURE, {});
  caller.raw.send(REQUEST_SUCCESS, { data: nothing });
  assert.equal([rest(caller), rest(provider)], [[], []]);
});

test('a large message is passed on in as many as the far end takes, whole and in order', () => {
  for (const maxPacket of [10_000, 32768]) {
    const { caller, provider } = circuit({ maxPacket });
    const near = nearOf(caller);
    const sent = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
    caller.data(near, sent);
    caller.data(near, 'end');
    provider.raw.pull();
    assert.ok(provider.raw.heard.every(({ payload }) => payload.length <= maxPacket + 9));
    const came = provider.heardData(88);
    assert.equal(Buffer.compare(came.subarray(0, 200_000), sent), 0);
    assert.is(Buffer.from(came.subarray(200_000)).toString(), 'end');
  }
});

test('a far end that takes no bytes in one message gets none, and nobody waits for it in a loop', () => {
  const { caller, provider } = circuit({ maxPacket: 0 });
  const near = nearOf(caller);
  caller.data(near, 'x');
  caller.eof(near);
  assert.equal(rest(provider), []);
  caller.close(near);
  assert.equal(rest(caller), [CHANNEL_CLOSE.number]);
});

test('what a provider sends before it confirms: requests are refused to it, EOF reaches the caller behind the confirmation', () => {
  const { caller, provider } = circuit({
    early: (peer, far) => {
      peer.request(far, 'env', false);
      peer.request(far, 'env', true);
      peer.eof(far);
    },
  });
  const near = nearOf(caller);
  assert.equal(rest(provider), [CHANNEL_FAILURE.number]);
  assert.equal(rest(caller), [CHANNEL_EOF.number]);
  caller.data(near, 'x');
  assert.equal(rest(provider), [CHANNEL_DATA.number]);
});

test('a provider whose data come before its confirmation loses that circuit, and the caller is refused', () => {
  const { caller, provider, far } = circuit({ early: (peer, id) => peer.data(id, 'early') });
  assert.match(caller.refused(7).description, /before the confirmation/);
  assert.equal(rest(provider), [CHANNEL_CLOSE.number]);
  provider.close(far);
  caller.raw.quiet();
  provider.raw.quiet();
  assert.equal([caller.raw.core.mux.count, provider.raw.core.mux.count], [0, 0]);
  assert.equal([caller.raw.core.mux.room.used, provider.raw.core.mux.room.used], [0, 0]);
});

test.run();
