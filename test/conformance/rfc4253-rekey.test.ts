// RFC 4253 §9 and §7.3: key re-exchange from either side, by bytes and packets, and what waits for it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noble } from '../../src/crypto/noble.ts';
import type { Channel } from '../../src/protocol/channels/channel.ts';
import { Disconnect } from '../../src/protocol/errors.ts';
import {
  CHANNEL_DATA,
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  GLOBAL_REQUEST,
  IGNORE,
  KEXINIT,
  NEWKEYS,
  REQUEST_FAILURE,
  SERVICE_REQUEST,
} from '../../src/protocol/messages.ts';
import { payloadOf, RawPeer } from '../kit/raw-peer.ts';

const roles = ['client', 'server'] as const;
const nothing = new Uint8Array(0);
const hostKey = noble.signatures[0].generate(noble.random);
const ask = (peer: RawPeer) => peer.send(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
const exchangesOf = (peer: RawPeer) => peer.core.transport.exchanges;

/** Takes what the core says up to its KEXINIT; how many packets that were. */
function untilKexInit(peer: RawPeer): number {
  const at = peer.heard.findIndex(({ number }) => number === KEXINIT.number);
  assert.ok(at >= 0, 'a KEXINIT was expected');
  peer.heard.splice(0, at);
  return at;
}

for (const role of roles) {
  test(`RFC 4253 §9: the ${role} may begin a re-exchange at any time`, () => {
    const peer = RawPeer.ready({ role });
    for (let round = 2; round < 6; round++) {
      peer.exchange();
      assert.is(exchangesOf(peer), round);
      ask(peer);
      peer.take(REQUEST_FAILURE);
    }
    peer.quiet();
  });

  test(`RFC 4253 §9: we may begin it (towards a ${role})`, () => {
    const peer = RawPeer.ready({ role });
    for (let round = 2; round < 6; round++) {
      peer.core.rekey();
      peer.pull();
      peer.take(KEXINIT);
      peer.quiet();
      peer.sendKexInit();
      peer.finishExchange();
      assert.is(exchangesOf(peer), round);
      ask(peer);
      peer.take(REQUEST_FAILURE);
    }
    peer.quiet();
  });

  test(`RFC 4253 §9: both may begin at the same time (${role})`, () => {
    const peer = RawPeer.ready({ role });
    const ours = peer.frame(peer.kexInit());
    peer.core.rekey();
    peer.pull();
    peer.bytes(ours);
    peer.take(KEXINIT);
    peer.finishExchange();
    assert.is(exchangesOf(peer), 2);
    ask(peer);
    peer.take(REQUEST_FAILURE);
    peer.quiet();
  });

  test(`RFC 4253 §9: asking for new keys twice begins one exchange (towards a ${role})`, () => {
    const peer = RawPeer.ready({ role });
    peer.core.rekey();
    peer.core.rekey();
    peer.pull();
    peer.take(KEXINIT);
    peer.core.rekey();
    peer.pull();
    peer.quiet();
    peer.sendKexInit();
    peer.finishExchange();
    peer.quiet();
  });

  test(`RFC 4253 §7.2: the session id stays that of the first exchange, while hash and keys change (${role})`, () => {
    for (const provider of [undefined, noble]) {
      const peer = RawPeer.ready({ role, provider, hostKey: provider && hostKey });
      const first = peer.core.transport.sessionId!.slice();
      assert.equal(first, peer.hash);
      let { hash, keys } = peer;
      for (let round = 0; round < 3; round++) {
        peer.exchange();
        assert.equal(peer.core.transport.sessionId, first);
        assert.not.equal(peer.hash, hash);
        for (const [i, key] of peer.keys.entries()) assert.not.equal(key, keys[i], 'ABCDEF'[i]);
        ({ hash, keys } = peer);
      }
      // Both sides agree on the new keys, or this could not be read.
      ask(peer);
      peer.take(REQUEST_FAILURE);
    }
  });

  test(`RFC 4253 §9: algorithms may change with a re-exchange (${role})`, () => {
    const peer = RawPeer.ready({ role, provider: noble, hostKey });
    for (const cipher of noble.ciphers) {
      for (const mac of cipher.aead ? noble.macs.slice(0, 1) : noble.macs) {
        peer.exchange({
          cipherClientToServer: [cipher.name],
          cipherServerToClient: [cipher.name],
          macClientToServer: [mac.name],
          macServerToClient: [mac.name],
        });
        assert.is(peer.core.transport.negotiated!.serverToClient.cipher, cipher.name);
        ask(peer);
        peer.take(REQUEST_FAILURE);
      }
    }
    peer.quiet();
  });

  test(`RFC 4253 §9: and the two directions may use different ones (${role})`, () => {
    const peer = RawPeer.ready({ role, provider: noble, hostKey });
    const names = noble.ciphers.map(({ name }) => name);
    for (const [i, name] of names.entries()) {
      peer.exchange({
        cipherClientToServer: [name],
        cipherServerToClient: [names[(i + 1) % names.length]],
        macClientToServer: ['hmac-sha2-512'],
        macServerToClient: ['hmac-sha2-256-etm@openssh.com'],
      });
      ask(peer);
      peer.take(REQUEST_FAILURE);
    }
    peer.quiet();
  });

  test(`RFC 4253 §9: what the ${role} sent before it saw our KEXINIT is heeded, and its answers wait for new keys`, () => {
    const peer = RawPeer.ready({ role });
    peer.core.rekey();
    peer.pull();
    peer.take(KEXINIT);
    for (let i = 0; i < 5; i++) ask(peer);
    peer.quiet();
    peer.sendKexInit();
    peer.keyExchange();
    peer.take(NEWKEYS);
    // After our NEWKEYS they may come, whether or not the peer's has.
    for (let i = 0; i < 5; i++) peer.take(REQUEST_FAILURE);
    peer.sendNewKeys();
    peer.quiet();
  });

  test(`RFC 4253 §7.1: between our KEXINIT and our NEWKEYS we send nothing of 50 and above, nor 5 to 7 (to a ${role})`, () => {
    let channel: Channel | undefined;
    const peer = RawPeer.ready({
      role,
      events: { channelOpen: open => void (channel = open.accept({})) },
    });
    peer.send(CHANNEL_OPEN, { type: 'x', sender: 5, window: 10_000_000, maxPacket: 32768, data: nothing });
    peer.take(CHANNEL_OPEN_CONFIRMATION);
    peer.core.rekey();
    assert.is(channel!.write(new Uint8Array(50_000)), 0, 'data is not taken');
    channel!.notify('x', nothing);
    void channel!.request('y', nothing);
    channel!.eof();
    peer.core.mux.notify('z', nothing);
    peer.core.mux.open(
      'x',
      nothing,
      {},
      () => {},
      () => {},
    );
    peer.pull();
    peer.take(KEXINIT);
    peer.quiet();
    peer.sendKexInit();
    peer.keyExchange();
    peer.take(NEWKEYS);
    // In the order in which they were given to us.
    assert.equal(
      peer.heard.map(({ number }) => number),
      [98, 98, 96, 80, 90],
    );
    peer.heard = [];
    peer.sendNewKeys();
    peer.quiet();
  });

  test(`RFC 4253 §9: data that waited goes on after the exchange, all of it and in order (to a ${role})`, () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) >> 3);
    let channel: Channel | undefined;
    let sent = 0;
    const pour = () => {
      sent += channel!.write(bytes.subarray(sent, sent + 40_000));
    };
    const peer = RawPeer.ready({
      role,
      core: { rekeyBytes: 50_000 },
      events: { channelOpen: open => void (channel = open.accept({ writable: pour })) },
    });
    peer.send(CHANNEL_OPEN, { type: 'x', sender: 5, window: 10_000_000, maxPacket: 32768, data: nothing });
    peer.take(CHANNEL_OPEN_CONFIRMATION);
    const came: Uint8Array[] = [];
    let rounds = 0;
    for (;;) {
      if (peer.heard.length === 0) {
        if (sent === bytes.length) break;
        pour();
        peer.pull();
      } else if (peer.heard[0].number === KEXINIT.number) {
        peer.take(KEXINIT);
        peer.quiet();
        peer.sendKexInit();
        peer.finishExchange();
        rounds++;
      } else {
        came.push(peer.take(CHANNEL_DATA).data.slice());
      }
    }
    assert.is(Buffer.compare(Buffer.concat(came), bytes), 0);
    assert.ok(rounds >= 4, `${rounds} exchanges`);
  });

  test(`RFC 4253 §9: we begin when so many packets have come from the ${role}`, () => {
    const peer = RawPeer.ready({ role, core: { rekeyPackets: 50 } });
    let sent = 0;
    while (peer.heard.length === 0 && sent < 200) {
      peer.send(IGNORE, { data: nothing });
      sent++;
    }
    peer.take(KEXINIT);
    // Those of the sign-in count, too.
    assert.ok(sent > 40 && sent <= 50, `${sent}`);
    peer.sendKexInit();
    peer.finishExchange();
    for (let i = 0; i < 48; i++) peer.send(IGNORE, { data: nothing });
    peer.quiet();
    for (let i = 0; i < 3; i++) peer.send(IGNORE, { data: nothing });
    peer.take(KEXINIT);
    peer.quiet();
  });

  test(`RFC 4253 §9: we begin when so many bytes have come from the ${role}`, () => {
    const peer = RawPeer.ready({ role, core: { rekeyBytes: 100_000 } });
    let sent = 0;
    while (peer.heard.length === 0 && sent < 200_000) {
      peer.send(IGNORE, { data: new Uint8Array(1000) });
      sent += 1000;
    }
    peer.take(KEXINIT);
    assert.ok(sent >= 97_000 && sent <= 101_000, `${sent}`);
    peer.sendKexInit();
    peer.finishExchange();
    peer.quiet();
  });

  test(`RFC 4253 §9: we begin when we have sent so many packets, or bytes (to a ${role})`, () => {
    for (const limit of [{ rekeyPackets: 60 }, { rekeyBytes: 3000 }]) {
      const peer = RawPeer.ready({ role, core: limit });
      for (let i = 0; i < 200 && !peer.heard.some(({ number }) => number === KEXINIT.number); i++) {
        peer.core.mux.notify('x', new Uint8Array(50));
        peer.pull();
      }
      const before = untilKexInit(peer);
      assert.ok(before >= 20 && before <= 60, `${before}`);
      peer.take(KEXINIT);
      peer.sendKexInit();
      peer.finishExchange();
      assert.is(exchangesOf(peer), 2);
    }
  });

  test(`a ${role} may exchange keys once before sign-in: the second KEXINIT is not even answered`, () => {
    const peer = RawPeer.keyed({ role });
    if (role === 'server') peer.take(SERVICE_REQUEST);
    peer.sendKexInit();
    peer.disconnected(Disconnect.PROTOCOL_ERROR, /a second key exchange before sign-in/);
  });

  test(`a ${role} that never answers our KEXINIT cannot make us hold more and more`, () => {
    const peer = RawPeer.ready({ role });
    peer.core.rekey();
    peer.pull();
    peer.take(KEXINIT);
    let requests = 0;
    const chunk = payloadOf(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
    for (; requests < 100_000 && !peer.core.closed; requests += 100) {
      peer.burst(...Array.from({ length: 100 }, () => chunk));
    }
    peer.disconnected(Disconnect.PROTOCOL_ERROR);
    assert.ok(requests < 80_000, `${requests}`);
  });

  test(`so it is with requests of channels, opens and unknown global requests with long names (${role})`, () => {
    for (const payload of [
      payloadOf(CHANNEL_OPEN, { type: 'x', sender: 0, window: 0, maxPacket: 0, data: nothing }),
      payloadOf(GLOBAL_REQUEST, { type: 'y'.repeat(1000), wantReply: true, data: nothing }),
    ]) {
      const peer = RawPeer.ready({ role });
      peer.core.rekey();
      peer.pull();
      peer.take(KEXINIT);
      let requests = 0;
      for (; requests < 100_000 && !peer.core.closed; requests += 100) {
        peer.burst(...Array.from({ length: 100 }, () => payload));
      }
      peer.disconnected(Disconnect.PROTOCOL_ERROR);
      assert.ok(requests < 80_000, `${requests}`);
    }
  });

  test(`an exchange of a ${role} in the middle of which it goes leaves nothing behind`, () => {
    const peer = RawPeer.ready({ role });
    peer.sendKexInit();
    peer.take(KEXINIT);
    peer.core.receiveEnd();
    assert.ok(peer.core.closed);
    ask(peer);
    assert.is(peer.heard.filter(({ number }) => number >= 50).length, 0);
  });
}

test.run();
