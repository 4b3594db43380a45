// RFC 4253 §6 (binary packets), §11.4 (unknown messages) and §11.1 (DISCONNECT).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noble } from '../../src/crypto/noble.ts';
import { Disconnect, DisconnectError } from '../../src/protocol/errors.ts';
import {
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_OPEN_FAILURE,
  DEBUG,
  DISCONNECT,
  GLOBAL_REQUEST,
  IGNORE,
  KEXINIT,
  REQUEST_FAILURE,
  UNIMPLEMENTED,
} from '../../src/protocol/messages.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { clearFrame, payloadOf, RawPeer } from '../kit/raw-peer.ts';

const roles = ['client', 'server'] as const;
const nothing = new Uint8Array(0);
const MAX_PACKET = 256 * 1024;
const hostKey = noble.signatures[0].generate(noble.random);

/** A frame that claims `length` and goes on with `padding` and what may be its payload. */
const claiming = (length: number, padding = 4) =>
  new Writer()
    .uint32(length)
    .byte(padding)
    .raw(new Uint8Array(Math.min(Math.max(length - 1, 16), 64)))
    .finish();

/** Before keys, and under keys with an "encryption" that shows the packet. */
const moments = [
  ['in the clear', (role: 'client' | 'server') => RawPeer.started({ role })],
  ['under keys', (role: 'client' | 'server') => RawPeer.ready({ role })],
] as const;

for (const role of roles) {
  for (const [when, begin] of moments) {
    for (const length of [0, 1, 4, 5, 11, MAX_PACKET + 4, 0x7ffffffc, 0xfffffffc]) {
      test(`RFC 4253 §6.1: packet_length ${length} from a ${role} is refused, ${when}`, () => {
        const peer = begin(role);
        peer.bytes(claiming(length));
        peer.disconnected(Disconnect.PROTOCOL_ERROR, /packet length/);
      });
    }

    test(`RFC 4253 §6: a packet of a ${role} that is not a multiple of 8 bytes is refused, ${when}`, () => {
      for (const length of [13, 14, 15, 16, 17, 18, 19]) {
        const peer = begin(role);
        peer.bytes(claiming(length));
        peer.disconnected(Disconnect.PROTOCOL_ERROR, /whole number/);
      }
    });

    test(`RFC 4253 §6: less than four bytes of padding from a ${role} are refused, ${when}`, () => {
      for (const padding of [0, 1, 2, 3]) {
        const peer = begin(role);
        const payload = new Uint8Array(16 - 5 - padding).fill(IGNORE.number);
        peer.bytes(clearFrame(payload, padding));
        peer.disconnected(Disconnect.PROTOCOL_ERROR, /padding/);
      }
    });

    test(`RFC 4253 §6: padding from a ${role} that leaves no payload is refused, ${when}`, () => {
      for (const padding of [11, 12, 200, 255]) {
        const peer = begin(role);
        peer.bytes(claiming(12, padding));
        peer.disconnected(Disconnect.PROTOCOL_ERROR, /padding/);
      }
    });

    test(`RFC 4253 §6: up to 255 bytes of padding from a ${role} are right, ${when}`, () => {
      const peer = begin(role);
      const heard = peer.heard.length;
      const payload = payloadOf(IGNORE, { data: nothing });
      for (let padding = 6; padding <= 255; padding += 8) peer.bytes(clearFrame(payload, padding));
      assert.is(peer.core.error, undefined);
      assert.is(peer.heard.length, heard);
    });
  }

  test(`RFC 4253 §6.1: a packet of ${MAX_PACKET} bytes from a ${role} is read`, () => {
    const peer = RawPeer.ready({ role });
    peer.payload(payloadOf(IGNORE, { data: new Uint8Array(MAX_PACKET - 4 - 1 - 5 - 4) }));
    peer.quiet();
  });

  test(`RFC 4253 §11.4: an unknown message of a ${role} is answered with UNIMPLEMENTED and its sequence number`, () => {
    const peer = RawPeer.ready({ role });
    for (const number of [0, 8, 19, 22, 29, 49, 54, 79, 83, 89, 101, 127, 191, 200, 255]) {
      const { sendSequence } = peer;
      peer.burst(Uint8Array.of(number, 1, 2, 3), payloadOf(IGNORE, { data: nothing }));
      assert.is(peer.take(UNIMPLEMENTED).sequence, sendSequence, `message ${number}`);
    }
    peer.quiet();
  });

  test(`RFC 4253 §11.4: so it is before the first key exchange (${role})`, () => {
    const peer = RawPeer.started({ role });
    peer.take(KEXINIT);
    peer.payload(payloadOf(IGNORE, { data: nothing }));
    peer.payload(Uint8Array.of(200));
    assert.is(peer.take(UNIMPLEMENTED).sequence, 1);
    peer.quiet();
  });

  test(`strict kex and RFC 4253 §11.4: sequence numbers begin again at 0 with new keys, and UNIMPLEMENTED follows (${role})`, () => {
    const peer = RawPeer.ready({ role });
    assert.ok(peer.core.transport.strict);
    for (let round = 0; round < 3; round++) {
      peer.exchange();
      assert.is(peer.sendSequence, 0);
      peer.payload(Uint8Array.of(200));
      peer.payload(Uint8Array.of(200));
      assert.is(peer.take(UNIMPLEMENTED).sequence, 0);
      assert.is(peer.take(UNIMPLEMENTED).sequence, 1);
    }
    peer.quiet();
  });

  test(`RFC 4253 §6.4: without strict kex sequence numbers go on with new keys (${role})`, () => {
    const peer = RawPeer.ready({ role }, { kex: ['insecure-kex'] });
    assert.not(peer.core.transport.strict);
    peer.exchange({ kex: ['insecure-kex'] });
    assert.ok(peer.sendSequence > 5);
    const { sendSequence } = peer;
    peer.payload(Uint8Array.of(200));
    assert.is(peer.take(UNIMPLEMENTED).sequence, sendSequence);
    peer.quiet();
  });

  test(`RFC 4253 §11.2, §11.3: IGNORE, DEBUG and UNIMPLEMENTED of a ${role} have no answer`, () => {
    const peer = RawPeer.ready({ role });
    peer.send(IGNORE, { data: new Uint8Array(100) });
    peer.send(DEBUG, { display: true, message: 'hello', language: nothing });
    peer.send(UNIMPLEMENTED, { sequence: 3 });
    peer.quiet();
  });

  test(`RFC 4253 §11.1: DISCONNECT of a ${role} ends the connection without an answer`, () => {
    const peer = RawPeer.ready({ role });
    peer.send(DISCONNECT, { reason: Disconnect.BY_APPLICATION, description: 'so long', language: nothing });
    assert.instance(peer.core.error, DisconnectError);
    assert.is((peer.core.error as DisconnectError).reason, Disconnect.BY_APPLICATION);
    assert.is(peer.core.error!.message, 'so long');
    assert.equal(peer.heard, []);
  });

  test(`RFC 4253 §11.1: nothing is accepted after DISCONNECT (${role})`, () => {
    const peer = RawPeer.ready({ role });
    peer.burst(
      payloadOf(DISCONNECT, { reason: 11, description: '', language: nothing }),
      payloadOf(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing }),
    );
    peer.send(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
    assert.equal(peer.heard, []);
  });

  test(`RFC 4251 §9.2: control characters in the text of DISCONNECT are not passed on (${role})`, () => {
    const peer = RawPeer.ready({ role });
    peer.send(DISCONNECT, { reason: 2, description: 'a\x1b[31mb\u202ec\u2028d', language: nothing });
    assert.not.match(peer.core.error!.message, /[\x1b\u202e\u2028]/);
  });

  test(`RFC 4253 §11.1: we say goodbye with the reason and text given (to a ${role})`, () => {
    const peer = RawPeer.ready({ role });
    peer.core.disconnect(Disconnect.TOO_MANY_CONNECTIONS, 'come again');
    peer.pull();
    const { reason, description } = peer.take(DISCONNECT);
    assert.is(reason, Disconnect.TOO_MANY_CONNECTIONS);
    assert.is(description, 'come again');
    peer.core.disconnect(Disconnect.TOO_MANY_CONNECTIONS, 'again');
    peer.pull();
    assert.equal(peer.heard, []);
  });

  test(`RFC 4251 §5: a message of a ${role} that is cut short, or has bytes left over where OpenSSH looks, ends the connection`, () => {
    const right = payloadOf(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
    for (let length = 1; length < right.length; length++) {
      const peer = RawPeer.ready({ role });
      peer.payload(right.subarray(0, length));
      peer.disconnected(Disconnect.PROTOCOL_ERROR);
    }
    const peer = RawPeer.ready({ role });
    peer.core.open('x').catch(() => {});
    peer.pull();
    peer.take(CHANNEL_OPEN);
    const fields = new Writer().uint32(0).uint32(0).uint32(1).uint32(1).finish();
    peer.payload(Uint8Array.of(CHANNEL_OPEN_CONFIRMATION.number, ...fields.subarray(0, -1)));
    peer.disconnected(Disconnect.PROTOCOL_ERROR, /past the end/);
  });

  test(`as OpenSSH: REQUEST_FAILURE of a ${role} has no fields, whatever follows`, async () => {
    const peer = RawPeer.ready({ role });
    const reply = peer.core.mux.request('y', nothing);
    peer.pull();
    peer.take(GLOBAL_REQUEST);
    peer.payload(Uint8Array.of(REQUEST_FAILURE.number, 0));
    assert.is(await reply, false);
    peer.quiet();
  });

  test(`the texts of a ${role} are read in any encoding, and without what may be missing at their end`, async () => {
    const text = (said: Uint8Array) => new Writer().string(said).finish();
    const said: [string, Uint8Array, string][] = [
      ['UTF-8', text(new Uint8Array(Buffer.from('zu spät'))), 'zu spät'],
      ['Latin-1', text(new Uint8Array(Buffer.from('zu spät', 'latin1'))), 'zu spät'],
      ['with a tag', new Writer().string('no').string('en').finish(), 'no'],
      ['with a tag that is cut off', new Writer().string('no').uint32(7).byte(0).finish(), 'no'],
      ['with more behind it', new Writer().string('no').string('en').string('x').finish(), 'no'],
      ['without any', nothing, ''],
      ['what terminals act on', text(Uint8Array.of(0xe4, 0x9b, 0x1b, 0x61)), 'ä\ufffd\ufffda'],
    ];
    for (const [what, bytes, expected] of said) {
      const gone = RawPeer.ready({ role });
      gone.payload(new Writer().byte(DISCONNECT.number).uint32(11).raw(bytes).finish());
      assert.instance(gone.core.error, DisconnectError, what);
      assert.is((gone.core.error as DisconnectError).reason, 11, what);
      assert.is(gone.core.error!.message, expected, what);
      const peer = RawPeer.ready({ role });
      const opened = peer.core.open('x').then(
        () => undefined,
        (error: Error) => error,
      );
      peer.pull();
      const { sender } = peer.take(CHANNEL_OPEN);
      peer.payload(new Writer().byte(CHANNEL_OPEN_FAILURE.number).uint32(sender).uint32(1).raw(bytes).finish());
      assert.is((await opened)?.message, expected, what);
      peer.payload(new Writer().byte(DEBUG.number).boolean(true).raw(bytes).finish());
      peer.quiet();
    }
  });

  test(`what has no effect is not looked at: IGNORE, DEBUG and UNIMPLEMENTED of a ${role} may be cut short, or be nonsense`, () => {
    for (const number of [IGNORE.number, DEBUG.number, UNIMPLEMENTED.number])
      for (const rest of [[], [0], [255, 255, 255, 255], [0, 0, 0, 9, 1, 2]]) {
        const peer = RawPeer.ready({ role });
        peer.payload(Uint8Array.of(number, ...rest));
        peer.quiet();
      }
  });
}

for (const { name, aead } of noble.ciphers) {
  for (const mac of aead ? [undefined] : noble.macs.map(({ name }) => name)) {
    test(`RFC 4253 §6.4: a changed byte is refused with MAC_ERROR under ${name}${mac ? ` with ${mac}` : ''}`, () => {
      const peer = RawPeer.ready(
        { provider: noble, hostKey },
        {
          kex: ['curve25519-sha256', 'kex-strict-c-v00@openssh.com'],
          cipherClientToServer: [name],
          macClientToServer: mac ? [mac] : [],
        },
      );
      const frame = peer.frame(payloadOf(IGNORE, { data: new Uint8Array(40) }));
      // Behind the length and the first block, so that the length stays as it was.
      frame[30] ^= 1;
      peer.bytes(frame);
      peer.disconnected(Disconnect.MAC_ERROR);
    });

    test(`RFC 4253 §6.4: a packet sent twice, or left out, is refused under ${name}${mac ? ` with ${mac}` : ''}`, () => {
      for (const what of ['twice', 'left out']) {
        const peer = RawPeer.ready(
          { provider: noble, hostKey },
          { kex: ['curve25519-sha256'], cipherClientToServer: [name], macClientToServer: mac ? [mac] : [] },
        );
        const frames = [1, 2, 3].map(() => peer.frame(payloadOf(IGNORE, { data: new Uint8Array(300) })));
        if (what === 'twice') peer.bytes(frames[0]);
        peer.bytes(frames[what === 'twice' ? 0 : 1]);
        // A length that decrypts to nonsense may ask for more; give it enough.
        for (let i = 0; i < 1000 && !peer.core.closed; i++) peer.bytes(frames[2]);
        assert.ok(peer.core.closed, what);
        const [last] = peer.heard.slice(-1);
        assert.is(last.number, DISCONNECT.number);
        assert.ok([Disconnect.MAC_ERROR, Disconnect.PROTOCOL_ERROR].includes(last.payload[4] as 2));
      }
    });
  }
}

test.run();
