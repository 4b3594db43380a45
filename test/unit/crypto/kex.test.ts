// Key exchanges between and across the providers, those over curves by their known answers (RFC 8731, RFC 5656 §4), and public keys that must be refused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { implementations } from '../../../src/crypto/accelerated.ts';
import { fromBigInt } from '../../../src/crypto/bigint.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { pseudo } from '../../../src/crypto/self-test.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { bytes, fixed, hex, providers, refuses, same } from './kit.ts';

for (const { name } of noble.kex) {
  const hybrid = name.startsWith('mlkem') || name.startsWith('sntrup');
  for (const client of providers) {
    for (const server of providers) {
      test(`${name}: ${client.name} and ${server.name} agree`, () => {
        for (let i = 0; i < 3; i++) {
          const initiator = byName(client.kex, name)!.initiate(client.random);
          const { reply, secret } = byName(server.kex, name)!.respond(initiator.init, server.random);
          same(initiator.finish(reply), secret);
          const reader = new Reader(secret);
          if (hybrid) assert.is(reader.string().length, server.kex.find(kex => kex.name === name)!.hash(reply).length);
          else assert.ok(reader.mpint().length > 0, 'K is an mpint');
          reader.finish();
        }
      });
    }
  }

  test(`${name}: the same randomness gives the same key in either provider`, () => {
    const [one, two] = providers.map(provider => byName(provider.kex, name)!);
    const initiator = one.initiate(pseudo(8));
    same(two.initiate(pseudo(8)).init, initiator.init);
    same(one.hash(bytes(77)), two.hash(bytes(77)));
    // The runtime's ML-KEM takes the responder's randomness from nobody.
    if (implementations()[name.split('x25519')[0]] === 'node') return;
    const { reply, secret } = one.respond(initiator.init, pseudo(9));
    const other = two.respond(initiator.init, pseudo(9));
    same(other.reply, reply);
    same(other.secret, secret);
    same(two.initiate(pseudo(8)).finish(reply), secret);
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

/** RFC 5903 §8: both private keys and the shared secret; and the field's prime and the group's order (FIPS 186-4 D.1.2). */
const nist = [
  {
    name: 'ecdh-sha2-nistp256',
    length: 32,
    secrets: [
      'c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433',
      'c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53',
    ],
    shared: 'd6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de',
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    order: 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
  },
  {
    name: 'ecdh-sha2-nistp384',
    length: 48,
    secrets: [
      '099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194',
      '41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc',
    ],
    shared: '11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746',
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    order: 'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
  },
  {
    name: 'ecdh-sha2-nistp521',
    length: 66,
    secrets: [
      '0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639ba' +
        'b072462f68c27a57382d4a52',
      '0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869cca7458a' +
        'a4a4effc311f5cb151685eb9',
    ],
    shared:
      '01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc' +
      '3151f2bee417996d19f3ddea',
    p: 2n ** 521n - 1n,
    order:
      '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8' +
      '899c47aebb6fb71e91386409',
  },
];

for (const { name, secrets, shared } of nist) {
  test(`${name}: RFC 5903 §8`, () => {
    for (const provider of providers) {
      const kex = byName(provider.kex, name)!;
      const initiator = kex.initiate(fixed(hex(secrets[0])));
      const { secret, reply } = kex.respond(initiator.init, fixed(hex(secrets[1])));
      same(secret, new Writer().mpint(hex(shared)).finish());
      same(initiator.finish(reply), secret);
    }
  });
}

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

for (const { name, length, p, order } of nist) {
  test(`${name}: infinity, compressed, hybrid and wrong points and lengths are refused`, () => {
    const last = 2 * length;
    for (const provider of providers) {
      const kex = byName(provider.kex, name)!;
      const good = kex.initiate(provider.random).init;
      const change = (at: number, value: number) => good.map((byte, i) => (i === at ? value : byte));
      const bad = [
        Uint8Array.of(0),
        new Uint8Array(0),
        new Uint8Array(1 + last),
        Uint8Array.of(4, ...new Uint8Array(last)),
        Uint8Array.of(2 + (good[last] & 1), ...good.subarray(1, 1 + length)),
        change(0, 6 + (good[last] & 1)),
        change(0, 2),
        change(last, good[last] ^ 1),
        change(2, good[2] ^ 0x80),
        // x = p, y as it was: not reduced
        Uint8Array.of(4, ...fromBigInt(p, length), ...good.subarray(1 + length)),
        good.subarray(0, last),
        Uint8Array.of(...good, 0),
        good.subarray(1),
      ];
      for (const [i, point] of bad.entries()) {
        const what = `${provider.name} ${i}`;
        refuses(() => kex.respond(point, provider.random), Disconnect.KEY_EXCHANGE_FAILED, what);
        refuses(() => kex.initiate(provider.random).finish(point), Disconnect.KEY_EXCHANGE_FAILED, what);
      }
    }
  });

  test(`${name}: a scalar out of range is drawn again`, () => {
    const good = bytes(length, 3);
    good[0] = 0;
    for (const provider of providers) {
      const draws = [new Uint8Array(length), hex(order), new Uint8Array(length).fill(0xff), good];
      let drawn = 0;
      const kex = byName(provider.kex, name)!;
      const { init } = kex.initiate(into => fixed(draws[drawn++])(into));
      assert.is(drawn, 4);
      same(init, kex.initiate(fixed(good)).init);
    }
  });
}

test.run();
