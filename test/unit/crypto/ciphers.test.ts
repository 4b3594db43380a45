// Every cipher with every MAC, both providers and across them (RFC 4253 §6, RFC 4344, RFC 5647, chacha20-poly1305@openssh.com).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Opener } from '../../../src/crypto/provider.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { MAX_PACKET } from '../../../src/protocol/wire/framing.ts';
import { Packet } from '../../../src/protocol/wire/packet.ts';
import { bytes, frameOf, opened, openerOf, providers, refuses, same, sealed, sealerOf, suites } from './kit.ts';

const nameOf = ({ cipher, mac }: (typeof suites)[number]) => (mac ? `${cipher} with ${mac}` : cipher);
/** A payload this long still fits into MAX_PACKET with its padding, whatever the block length. */
const LARGEST = MAX_PACKET - 1 - 4 - 15;
const sizes = [
  ...Array.from({ length: 70 }, (_, i) => i + 1),
  255,
  256,
  257,
  258,
  259,
  260,
  511,
  512,
  513,
  1024,
  2040,
  2060,
  32768,
  65536,
  LARGEST,
];

for (const suite of suites) {
  for (const from of providers) {
    for (const to of providers) {
      test(`${nameOf(suite)}: what ${from.name} seals, ${to.name} opens`, () => {
        const sealer = sealerOf(from, suite);
        const opener = openerOf(to, suite);
        // The sequence number wraps on the way.
        let sequence = 2 ** 32 - 20;
        for (const size of sizes) {
          const payload = bytes(size, size);
          const frame = sealed(sealer, payload, sequence);
          const packet = opened(opener, frame, sequence);
          same(packet.payload, payload, `${size} bytes`);
          sequence = (sequence + 1) >>> 0;
        }
      });
    }
  }

  for (const provider of providers) {
    const title = `${nameOf(suite)} (${provider.name})`;

    test(`${title}: a frame in the middle of a chunk leaves its neighbours alone`, () => {
      const sealer = sealerOf(provider, suite);
      const opener = openerOf(provider, suite);
      for (let offset = 0; offset < 17; offset++) {
        const payload = bytes(40 + offset * 50, offset);
        const frame = sealed(sealer, payload, offset);
        const chunk = new Uint8Array(offset + frame.length + 100).fill(0xee);
        chunk.set(frame, offset);
        assert.is(opener.frameLength(chunk, offset, offset), frame.length);
        const packet = opener.open(chunk, offset, offset + frame.length, offset);
        same(packet.payload, payload);
        // Sealing the packet again may use the room of the frame it came in, and nothing beyond.
        for (const next of suites) frameOf(sealerOf(provider, next, 7), again(packet), 1);
        assert.ok(
          chunk.subarray(0, offset).every(byte => byte === 0xee),
          'before',
        );
        assert.ok(
          chunk.subarray(offset + frame.length).every(byte => byte === 0xee),
          'after',
        );
      }
    });

    test(`${title}: a relayed packet is opened, sealed with another key and opened again`, () => {
      for (const next of suites) {
        const sealer = sealerOf(provider, suite, 1);
        const opener = openerOf(provider, suite, 1);
        const second = sealerOf(provider, next, 50);
        const far = openerOf(provider, next, 50);
        for (const [sequence, size] of [1, 13, 100, 600, 3000, 32777].entries()) {
          const payload = bytes(size, size);
          const packet = opened(opener, sealed(sealer, payload, sequence), sequence);
          const frame = frameOf(second, packet, sequence + 9);
          same(opened(far, frame, sequence + 9).payload, payload, `${nameOf(next)}, ${size} bytes`);
        }
      }
    });

    test(`${title}: chunks once pushed stay as they are`, () => {
      const sealer = sealerOf(provider, suite);
      const chunks: Uint8Array[] = [];
      const copies: Uint8Array[] = [];
      for (const size of [1, 20, 600, 3000, 20]) {
        const before = chunks.length;
        sealer.seal(Packet.from(bytes(size)), chunks.length, chunks);
        for (const chunk of chunks.slice(before)) copies.push(chunk.slice());
      }
      for (const [i, chunk] of chunks.entries()) same(chunk, copies[i]);
    });

    test(`${title}: any changed byte is refused`, () => {
      for (const size of [1, 30, 700]) {
        const frame = sealed(sealerOf(provider, suite), bytes(size), 3);
        // Every byte of a small frame; of a larger one the ends and a sample.
        for (let at = 0; at < frame.length; at += size === 700 && at > 40 && at < frame.length - 80 ? 31 : 1) {
          for (const bit of size === 1 ? [1, 2, 4, 8, 16, 32, 64, 128] : [1, 128]) {
            const bad = frame.slice();
            bad[at] ^= bit;
            const opener = openerOf(provider, suite);
            refuses(
              () => attempt(opener, bad, 3),
              at < 4 ? [Disconnect.MAC_ERROR, Disconnect.PROTOCOL_ERROR] : Disconnect.MAC_ERROR,
              `byte ${at} of ${frame.length}`,
            );
          }
        }
      }
    });

    test(`${title}: the wrong sequence number, key or order is refused`, () => {
      const either = [Disconnect.MAC_ERROR, Disconnect.PROTOCOL_ERROR];
      const frame = sealed(sealerOf(provider, suite), bytes(50), 3);
      if (!suite.cipher.includes('gcm')) {
        // GCM counts by itself, the others take the sequence number into the tag.
        for (const sequence of [2, 4, 0x03000000]) {
          refuses(() => attempt(openerOf(provider, suite), frame, sequence), either, `sequence ${sequence}`);
        }
      }
      refuses(() => attempt(openerOf(provider, suite, 99), frame, 3), either, 'another key');
      const sealer = sealerOf(provider, suite);
      sealed(sealer, bytes(50), 3);
      const second = sealed(sealer, bytes(50), 4);
      refuses(() => attempt(openerOf(provider, suite), second, 3), either, 'a packet left out');
    });

    test(`${title}: packet lengths out of bounds or not of whole blocks are refused`, () => {
      for (const length of [0, 1, 4, 5, 13, 17, MAX_PACKET + 8, MAX_PACKET + 16, 0x7fffffff, 0xffffffff]) {
        const opener = openerOf(provider, suite);
        const head = sealedLength(provider, suite, length);
        refuses(() => opener.frameLength(head, 0, 0), Disconnect.PROTOCOL_ERROR, `length ${length}`);
      }
    });

    test(`${title}: needs no more of a frame than headLength to tell its length`, () => {
      const frame = sealed(sealerOf(provider, suite), bytes(100), 5);
      const opener = openerOf(provider, suite);
      const head = frame.slice(0, opener.headLength);
      assert.is(opener.frameLength(head, 0, 5), frame.length);
      // The head may have been decrypted where it was: it goes back in front of the rest.
      frame.set(head);
      same(opener.open(frame, 0, frame.length, 5).payload, bytes(100));
    });
  }
}

/** Opens what may be a bad frame; where its length asks for more bytes than there are, zeros follow. */
function attempt(opener: Opener, frame: Uint8Array, sequence: number): void {
  const copy = frame.slice();
  const length = opener.frameLength(copy, 0, sequence);
  const chunk = new Uint8Array(Math.max(length, copy.length));
  chunk.set(copy);
  opener.open(chunk, 0, length, sequence);
}

/** The same packet in the same memory, so that sealing it does not move its bounds. */
const again = (packet: Packet) => new Packet(packet.bytes, packet.start, packet.end);

/** A head as a peer with the key would send it, with any length in it: XORed into a frame whose length is known. */
function sealedLength(provider: (typeof providers)[number], suite: (typeof suites)[number], length: number) {
  const frame = sealed(sealerOf(provider, suite), bytes(20), 0);
  const clear = suite.mac?.includes('etm') ?? false;
  const blockLength = suite.cipher.includes('chacha') ? 8 : 16;
  const covered = suite.mac !== undefined && !clear ? 4 : 0;
  let real = Math.ceil((20 + 1 + 4 + covered) / blockLength) * blockLength - covered;
  if (real - 21 < 4) real += blockLength;
  for (let i = 0; i < 4; i++) frame[i] ^= (real >>> (24 - 8 * i)) ^ (length >>> (24 - 8 * i));
  return frame;
}

for (const suite of suites.filter(({ cipher }) => cipher.includes('gcm'))) {
  test(`${suite.cipher}: the counter in the IV carries over all of its eight bytes and wraps, the fixed four stay`, () => {
    for (const from of providers) {
      for (const to of providers) {
        for (const tail of ['00000000000000fe', '00000000fffffffe', 'fffffffffffffffe']) {
          const iv = new Uint8Array(Buffer.from(`01fffffe${tail}`, 'hex'));
          const sealer = sealerOf(from, suite, 1, iv);
          const opener = openerOf(to, suite, 1, iv);
          const frames: Uint8Array[] = [];
          for (let i = 0; i < 5; i++) {
            frames.push(sealed(sealer, bytes(33), i));
            same(opened(opener, frames[i].slice(), i).payload, bytes(33));
          }
          // The third packet has the counter that follows from the first by two, computed here as a number.
          const third = Buffer.alloc(12);
          third.write('01fffffe', 'hex');
          third.writeBigUInt64BE(BigInt.asUintN(64, BigInt(`0x${tail}`) + 2n), 4);
          same(opened(openerOf(to, suite, 1, new Uint8Array(third)), frames[2], 2).payload, bytes(33));
          assert.is(Buffer.from(iv).toString('hex'), `01fffffe${tail}`, 'the IV given is not touched');
        }
      }
    }
  });
}

for (const provider of providers) {
  test(`${provider.name}: counter mode carries its counter over all of its bytes`, () => {
    const suite = { cipher: 'aes128-ctr', mac: 'hmac-sha2-256' };
    for (const iv of ['ff'.repeat(16), `00${'ff'.repeat(15)}`, `${'00'.repeat(12)}ffffffff`]) {
      const start = new Uint8Array(Buffer.from(iv, 'hex'));
      for (const other of providers) {
        const frame = sealed(sealerOf(provider, suite, 1, start), bytes(100), 0);
        same(opened(openerOf(other, suite, 1, start), frame, 0).payload, bytes(100));
      }
    }
  });
}

test('what is opened is an ordinary array, whatever the runtime gave: slice of a Buffer is no copy', () => {
  for (const provider of providers) {
    for (const suite of suites) {
      for (const length of [10, 5000]) {
        const frame = sealed(sealerOf(provider, suite), bytes(length), 0);
        const { payload } = opened(openerOf(provider, suite), frame, 0);
        assert.is(payload.constructor, Uint8Array, `${provider.name} ${suite.cipher} ${length}`);
      }
    }
  }
});

test('a cipher in counter mode asks for its MAC', () => {
  for (const provider of providers) {
    const cipher = provider.ciphers.find(({ name }) => name === 'aes128-ctr')!;
    assert.throws(() => cipher.opener(bytes(16), bytes(16)), /needs a MAC/);
    assert.throws(() => cipher.sealer(bytes(16), bytes(16), provider.random), /needs a MAC/);
  }
});

test.run();
