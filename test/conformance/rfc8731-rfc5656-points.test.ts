// RFC 8731 §3, RFC 7748 §6.1 and RFC 5656 §4: public keys of a key exchange that must be refused, seen by server and client, with both providers.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import { byName } from '../../src/crypto/provider.ts';
import { Disconnect } from '../../src/protocol/errors.ts';
import { NEWKEYS } from '../../src/protocol/messages.ts';
import { RawPeer } from '../kit/raw-peer.ts';

const hostKey = noble.signatures[0].generate(noble.random);
const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const p256 = byName(noble.kex, 'ecdh-sha2-nistp256')!.initiate(noble.random).init;
const x25519 = byName(noble.kex, 'curve25519-sha256')!.initiate(noble.random).init;
const replace = (bytes: Uint8Array, at: number, value: number) => bytes.map((byte, i) => (i === at ? value : byte));

const x25519Bad: [string, Uint8Array][] = [
  ['0', new Uint8Array(32)],
  ['1', replace(new Uint8Array(32), 0, 1)],
  ['of order 8', hex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800')],
  ['the other one of order 8', hex('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157')],
  ['p - 1', hex('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')],
  ['p', hex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')],
  ['p + 1', hex('eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')],
  ['0 with the top bit set', replace(new Uint8Array(32), 31, 0x80)],
  ['empty', new Uint8Array(0)],
  ['31 bytes long', x25519.subarray(0, 31)],
  ['33 bytes long', Uint8Array.of(...x25519, 0)],
  ['a point of another curve', p256],
];

const p256Bad: [string, Uint8Array][] = [
  ['off the curve', replace(p256, 64, p256[64] ^ 1)],
  ['(0, 0)', Uint8Array.of(4, ...new Uint8Array(64))],
  ['infinity', Uint8Array.of(0)],
  ['compressed', Uint8Array.of(2 + (p256[64] & 1), ...p256.subarray(1, 33))],
  ['hybrid', replace(p256, 0, 6 + (p256[64] & 1))],
  ['empty', new Uint8Array(0)],
  ['one byte short', p256.subarray(0, 64)],
  ['one byte long', Uint8Array.of(...p256, 0)],
  ['without the format byte', p256.subarray(1)],
  ['of a coordinate beyond p', Uint8Array.of(4, ...new Uint8Array(32).fill(0xff), ...p256.subarray(33))],
  ['a point of another curve', x25519],
];

const exchanges: [string, string, [string, Uint8Array][]][] = [
  ['RFC 8731 §3', 'curve25519-sha256', x25519Bad],
  ['RFC 8731 §3', 'curve25519-sha256@libssh.org', x25519Bad],
  ['RFC 5656 §4', 'ecdh-sha2-nistp256', p256Bad],
];

for (const provider of [noble, accelerated]) {
  for (const [section, kex, bad] of exchanges) {
    for (const [what, point] of bad) {
      test(`${section}: ${kex} with a public key ${what} is refused by our server (${provider.name})`, () => {
        const peer = RawPeer.started({ provider, hostKey });
        peer.sendKexInit({ kex: [kex] });
        peer.sendInit(point);
        assert.not(peer.heard.some(({ number }) => number === NEWKEYS.number));
        peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED);
      });

      test(`${section}: ${kex} with a public key ${what} is refused by our client (${provider.name})`, () => {
        let asked = 0;
        const peer = RawPeer.started({ role: 'server', provider, hostKey, events: { hostKey: () => asked++ } });
        peer.sendKexInit({ kex: [kex] });
        peer.sendReply({ reply: point });
        assert.not(peer.heard.some(({ number }) => number === NEWKEYS.number));
        peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED);
        assert.is(asked, 0);
      });
    }

    test(`${section}: ${kex} with right public keys agrees, on both sides (${provider.name})`, () => {
      for (const role of ['client', 'server'] as const) {
        const peer = RawPeer.ready({ role, provider, hostKey }, { kex: [kex] });
        assert.is(peer.core.transport.negotiated!.kex, kex);
      }
    });
  }
}

test.run();
