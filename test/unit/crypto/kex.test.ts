// Key exchanges (RFC 8731, RFC 5656 §4) between and across the providers, and public keys that must be refused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { bytes, fixed, hex, providers, refuses, same } from './kit.ts';

for (const { name } of noble.kex) {
  for (const client of providers) {
    for (const server of providers) {
      test(`${name}: ${client.name} and ${server.name} agree`, () => {
        for (let i = 0; i < 3; i++) {
          const initiator = byName(client.kex, name)!.initiate(client.random);
          const { reply, secret } = byName(server.kex, name)!.respond(initiator.init, server.random);
          same(initiator.finish(reply), secret);
          const reader = new Reader(secret);
          assert.ok(reader.mpint().length > 0, 'K is an mpint');
          reader.finish();
        }
      });
    }
  }

  test(`${name}: the same randomness gives the same key in either provider`, () => {
    const [one, two] = providers.map(provider => byName(provider.kex, name)!);
    const init = one.initiate(fixed(bytes(32, 8))).init;
    same(two.initiate(fixed(bytes(32, 8))).init, init);
    same(two.respond(init, fixed(bytes(32, 9))).secret, one.respond(init, fixed(bytes(32, 9))).secret);
    same(one.hash(bytes(77)), two.hash(bytes(77)));
  });
}

test('curve25519-sha256: RFC 7748 §6.1', () => {
  const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
  const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
  for (const provider of providers) {
    const kex = byName(provider.kex, 'curve25519-sha256')!;
    const initiator = kex.initiate(fixed(alice));
    same(initiator.init, hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'));
    const { reply, secret } = kex.respond(initiator.init, fixed(bob));
    same(reply, hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'));
    const shared = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
    same(secret, new Writer().mpint(shared).finish());
    same(initiator.finish(reply), secret);
  }
});

test('ecdh-sha2-nistp256: RFC 5903 §8.1', () => {
  const secrets = [
    'c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433',
    'c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53',
  ];
  for (const provider of providers) {
    const kex = byName(provider.kex, 'ecdh-sha2-nistp256')!;
    const initiator = kex.initiate(fixed(hex(secrets[0])));
    const { secret } = kex.respond(initiator.init, fixed(hex(secrets[1])));
    const shared = hex('d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de');
    same(secret, new Writer().mpint(shared).finish());
  }
});

/** Encodings of points of order 1, 2, 4 and 8 on the curve and its twist, reduced and not, with and without the ignored top bit. */
const lowOrder = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
];

test('curve25519-sha256: points of low order and keys of the wrong length are refused', () => {
  for (const provider of providers) {
    for (const name of ['curve25519-sha256', 'curve25519-sha256@libssh.org']) {
      const kex = byName(provider.kex, name)!;
      const good = kex.initiate(provider.random).init;
      const bad = [...lowOrder.map(hex), good.subarray(0, 31), Uint8Array.of(...good, 0), new Uint8Array(0)];
      for (const point of bad) {
        const what = `${provider.name} ${Buffer.from(point).toString('hex')}`;
        refuses(() => kex.respond(point, provider.random), Disconnect.KEY_EXCHANGE_FAILED, what);
        refuses(() => kex.initiate(provider.random).finish(point), Disconnect.KEY_EXCHANGE_FAILED, what);
      }
    }
  }
});

test('ecdh-sha2-nistp256: infinity, compressed, hybrid and wrong points and lengths are refused', () => {
  for (const provider of providers) {
    const kex = byName(provider.kex, 'ecdh-sha2-nistp256')!;
    const good = kex.initiate(provider.random).init;
    const change = (at: number, value: number) => good.map((byte, i) => (i === at ? value : byte));
    const bad = [
      Uint8Array.of(0),
      new Uint8Array(0),
      new Uint8Array(65),
      Uint8Array.of(4, ...new Uint8Array(64)),
      Uint8Array.of(2 + (good[64] & 1), ...good.subarray(1, 33)),
      change(0, 6 + (good[64] & 1)),
      change(0, 2),
      change(64, good[64] ^ 1),
      change(1, good[1] ^ 0x80),
      // x = p, y as it was: not reduced
      Uint8Array.of(
        4,
        ...hex('ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'),
        ...good.subarray(33),
      ),
      good.subarray(0, 64),
      Uint8Array.of(...good, 0),
      good.subarray(1),
    ];
    for (const [i, point] of bad.entries()) {
      refuses(() => kex.respond(point, provider.random), Disconnect.KEY_EXCHANGE_FAILED, `${provider.name} ${i}`);
      refuses(
        () => kex.initiate(provider.random).finish(point),
        Disconnect.KEY_EXCHANGE_FAILED,
        `${provider.name} ${i}`,
      );
    }
  }
});

test('ecdh-sha2-nistp256: a scalar out of range is drawn again', () => {
  const order = hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
  for (const provider of providers) {
    const draws = [new Uint8Array(32), order, new Uint8Array(32).fill(0xff), bytes(32, 3)];
    let drawn = 0;
    const kex = byName(provider.kex, 'ecdh-sha2-nistp256')!;
    const { init } = kex.initiate(into => fixed(draws[drawn++])(into));
    assert.is(drawn, 4);
    same(init, kex.initiate(fixed(bytes(32, 3))).init);
  }
});

test.run();
