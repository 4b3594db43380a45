// Hybrid key exchanges (draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh): how the halves are put together, and what is refused.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Kem } from '../../../src/crypto/kex.ts';
import { portableMlkem768 } from '../../../src/crypto/mlkem768x25519.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { pseudo } from '../../../src/crypto/self-test.ts';
import { sntrup761 } from '../../../src/crypto/sntrup761.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { providers, refuses, same } from './kit.ts';

const digest = (name: string) => (data: Uint8Array) => new Uint8Array(createHash(name).update(data).digest());

interface Hybrid {
  name: string;
  kem: Kem;
  hash: (data: Uint8Array) => Uint8Array;
  publicKey: number;
  ciphertext: number;
}

const sntrup = { kem: sntrup761(digest('sha512')), hash: digest('sha512'), publicKey: 1158, ciphertext: 1039 };
const hybrids: Hybrid[] = [
  {
    name: 'mlkem768x25519-sha256',
    kem: portableMlkem768,
    hash: digest('sha256'),
    publicKey: 1184,
    ciphertext: 1088,
  },
  { name: 'sntrup761x25519-sha512', ...sntrup },
  { name: 'sntrup761x25519-sha512@openssh.com', ...sntrup },
];

for (const { name, kem, hash, publicKey, ciphertext } of hybrids) {
  for (const provider of providers) {
    const kex = byName(provider.kex, name)!;
    const x25519 = byName(provider.kex, 'curve25519-sha256')!;

    test(`${name} (${provider.name}): K is the hash of both secrets, the post-quantum one first, as a string`, () => {
      // The client's half by hand.
      const key = kem.generate(provider.random);
      assert.is(key.publicKey.length, publicKey);
      const classical = x25519.initiate(provider.random);
      const { reply, secret } = kex.respond(Uint8Array.of(...key.publicKey, ...classical.init), provider.random);
      assert.is(reply.length, ciphertext + 32);
      const shared = key.decapsulate(reply.subarray(0, ciphertext));
      assert.is(shared.length, 32);
      const both = Uint8Array.of(...shared, ...unsigned(classical.finish(reply.subarray(ciphertext))));
      same(secret, new Writer().string(hash(both)).finish());

      // And the server's.
      const initiator = kex.initiate(provider.random);
      assert.is(initiator.init.length, publicKey + 32);
      const made = kem.encapsulate(initiator.init.subarray(0, publicKey), provider.random);
      const answer = x25519.respond(initiator.init.subarray(publicKey), provider.random);
      const theirs = Uint8Array.of(...made.secret, ...unsigned(answer.secret));
      same(
        initiator.finish(Uint8Array.of(...made.ciphertext, ...answer.reply)),
        new Writer().string(hash(theirs)).finish(),
      );
    });

    test(`${name} (${provider.name}): wrong lengths and points of low order are refused on both sides`, () => {
      const initiator = kex.initiate(pseudo(3));
      const { reply } = kex.respond(initiator.init, provider.random);
      for (const [message, take] of [
        [initiator.init, (bad: Uint8Array) => kex.respond(bad, provider.random)],
        [reply, (bad: Uint8Array) => initiator.finish(bad)],
      ] as const) {
        const cut = message.length - 32;
        const low = message.slice();
        low.fill(0, cut);
        const one = low.slice();
        one[cut] = 1;
        const bad = {
          nothing: new Uint8Array(0),
          'the KEM alone': message.subarray(0, cut),
          'X25519 alone': message.subarray(cut),
          'a byte less': message.subarray(0, -1),
          'a byte less in front': message.subarray(1),
          'a byte more': Uint8Array.of(...message, 0),
          zero: low,
          one: one,
        };
        for (const [what, value] of Object.entries(bad)) {
          refuses(() => take(value), Disconnect.KEY_EXCHANGE_FAILED, `${what} of ${message.length}`);
        }
      }
    });

    test(`${name} (${provider.name}): a changed ciphertext gives another K, and no exception`, () => {
      const initiator = kex.initiate(provider.random);
      const { reply, secret } = kex.respond(initiator.init, provider.random);
      same(initiator.finish(reply), secret);
      reply[ciphertext - 1] ^= 1;
      const other = initiator.finish(reply);
      assert.is(other.length, secret.length);
      assert.not.equal(Buffer.from(other), Buffer.from(secret));
    });
  }
}

test('mlkem768x25519-sha256: encapsulation keys with a coefficient that is not reduced are refused (FIPS 203 §7.2)', () => {
  for (const provider of providers) {
    const kex = byName(provider.kex, 'mlkem768x25519-sha256')!;
    const { init } = kex.initiate(provider.random);
    // Coefficients are of twelve bits, two in three bytes: in each of the three polynomials, even and odd, q and the largest.
    for (const at of [0, 381, 384, 600, 768, 1149]) {
      for (const value of [3329, 4095]) {
        const even = init.slice();
        even[at] = value & 0xff;
        even[at + 1] = (even[at + 1] & 0xf0) | (value >> 8);
        const odd = init.slice();
        odd[at + 1] = (odd[at + 1] & 0x0f) | ((value & 0x0f) << 4);
        odd[at + 2] = value >> 4;
        for (const bad of [even, odd]) {
          refuses(() => kex.respond(bad, provider.random), Disconnect.KEY_EXCHANGE_FAILED, `${provider.name} ${at}`);
        }
        // The largest that is reduced.
        even[at] = 3328 & 0xff;
        even[at + 1] = (even[at + 1] & 0xf0) | (3328 >> 8);
        assert.is(kex.respond(even, provider.random).reply.length, 1120);
      }
    }
  }
});

/** The 32 bytes of X25519 whose mpint this is. */
function unsigned(mpint: Uint8Array): Uint8Array {
  const value = mpint.subarray(4).filter((byte, i) => i > 0 || byte !== 0);
  return Uint8Array.of(...new Uint8Array(32 - value.length), ...value);
}

test.run();
