// Diffie-Hellman (RFC 8268): the groups of RFC 3526, values that must be refused, and numbers as mpints.
import { getDiffieHellman } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromBigInt, modPow, toBigInt } from '../../../src/crypto/bigint.ts';
import { dhGroup14, dhGroup16, dhGroup18, prime } from '../../../src/crypto/dh.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { concat, Writer } from '../../../src/protocol/wire/reader.ts';
import { bytes, fixed, hex, providers, refuses, same } from './kit.ts';

/** The last 64 bits before the final run of ones, from the RFC's hexadecimal dumps. */
const groups = [
  { group: dhGroup14, tail: '15728e5a8aacaa68ffffffffffffffff' },
  { group: dhGroup16, tail: '934063199ffffffffffffffff' },
  { group: dhGroup18, tail: '60c980dd98edd3dfffffffffffffffff' },
];

for (const { group, tail } of groups) {
  const { name, bits } = group;
  const p = prime(group);
  const content = (value: bigint) => new Writer().mpint(fromBigInt(value)).finish().slice(4);

  test(`${name}: the prime is RFC 3526's, as the runtime has it too`, () => {
    assert.is(p.toString(16), getDiffieHellman(group.openssl).getPrime('hex'));
    assert.ok(p.toString(16).endsWith(tail));
    assert.is(p.toString(2).length, bits);
    // 2 is a square modulo p (p is 7 modulo 8), so that it generates the subgroup of prime order.
    assert.is(p % 8n, 7n);
  });

  test(`${name}: e = 2^x and K = f^x modulo p, as mpints of minimal length`, () => {
    for (const provider of providers) {
      const kex = byName(provider.kex, name)!;
      for (const seed of [1, 2, 3]) {
        const secret = bytes(group.exponentLength, seed);
        // The highest bit is set for us, so that all exponents are of one length.
        secret[0] &= 0x7f;
        const x = toBigInt(secret) | (1n << BigInt(8 * group.exponentLength - 1));
        const initiator = kex.initiate(fixed(secret));
        same(initiator.init, content(modPow(2n, x, p)), provider.name);
        for (const peer of [2n, 3n, 2n ** 200n, p - 2n, toBigInt(bytes(bits / 8 - 1, 7))]) {
          const k = new Writer().mpint(fromBigInt(modPow(peer, x, p))).finish();
          same(initiator.finish(content(peer)), k, provider.name);
          const { reply, secret: own } = kex.respond(content(peer), fixed(secret));
          same(reply, initiator.init, provider.name);
          same(own, k, provider.name);
        }
      }
    }
  });

  test(`${name}: 0, 1, p-1, p and more, negative numbers and longer encodings are refused`, () => {
    const good = content(5n);
    const bad = {
      ...Object.fromEntries(
        [0n, 1n, p - 1n, p, p + 1n, p + 5n, 2n ** BigInt(bits) - 1n, 2n ** BigInt(bits), 2n ** 16400n].map(value => [
          value.toString(16).slice(-20),
          content(value),
        ]),
      ),
      negative: hex('ff'),
      'p without its sign byte': content(p - 2n).subarray(1),
      'zero as a byte': Uint8Array.of(0),
    };
    for (const provider of providers) {
      const kex = byName(provider.kex, name)!;
      const initiator = kex.initiate(provider.random);
      for (const [what, value] of Object.entries(bad)) {
        refuses(() => initiator.finish(value), Disconnect.KEY_EXCHANGE_FAILED, `${provider.name} ${what}`);
        refuses(() => kex.respond(value, provider.random), Disconnect.KEY_EXCHANGE_FAILED, `${provider.name} ${what}`);
      }
      // As sshd: the number is what counts.
      const secret = initiator.finish(good);
      for (const zeros of [1, bits / 8]) assert.equal(initiator.finish(concat(new Uint8Array(zeros), good)), secret);
    }
  });
}

test.run();
