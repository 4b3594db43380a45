// What we refuse by ourselves, before a runtime is asked: shown with runtimes that take everything, as some have.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { refuseZero } from '../../../src/crypto/curve25519.ts';
import { ecdsaSignature } from '../../../src/crypto/ecdsa.ts';
import { ed25519Signature } from '../../../src/crypto/ed25519.ts';
import { nistCurves } from '../../../src/crypto/nistp.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName, type SignatureAlgorithm } from '../../../src/crypto/provider.ts';
import { rsaSignature } from '../../../src/crypto/rsa.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { bytes, hex, refuses } from './kit.ts';

const never = () => {
  throw new Error('not to be called');
};
const lax = { verify: () => true, sign: never, generate: never };
const data = bytes(10);
const blobOf = (name: string, ...fields: Uint8Array[]): Uint8Array => {
  const writer = new Writer().string(name);
  for (const field of fields) writer.string(field);
  return writer.finish();
};
const takes = ({ name, verify }: SignatureAlgorithm, key: Uint8Array, value: Uint8Array): boolean =>
  verify(key, data, blobOf(name, value));

test('ssh-ed25519: S below L only, coordinates below p only, no public key of small order (RFC 8032 §5.1.7)', () => {
  const algorithm = ed25519Signature(lax);
  const { blob } = byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random);
  const [r, s] = [bytes(32, 2).fill(1, 31), bytes(32, 3).fill(1, 31)];
  const signature = (r: Uint8Array, s: Uint8Array) => Uint8Array.of(...r, ...s);
  assert.ok(takes(algorithm, blob, signature(r, s)), 'the runtime decides');
  const L = hex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');
  const below = L.map((byte, i) => (i === 0 ? byte - 1 : byte));
  assert.ok(takes(algorithm, blob, signature(r, below)), 'L - 1');
  for (const bad of [L, new Uint8Array(32).fill(0xff)]) assert.not(takes(algorithm, blob, signature(r, bad)), 'S');
  const p = hex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f');
  for (const bad of [p, new Uint8Array(32).fill(0xff)]) {
    assert.not(takes(algorithm, blob, signature(bad, s)), 'R');
    assert.not(takes(algorithm, blobOf('ssh-ed25519', bad), signature(r, s)), 'A');
  }
  for (const order of ['00'.repeat(32), `01${'00'.repeat(31)}`, `ec${'ff'.repeat(30)}7f`, `${'00'.repeat(31)}80`]) {
    assert.not(takes(algorithm, blobOf('ssh-ed25519', hex(order)), signature(r, s)), 'A of small order');
  }
  assert.not(takes(algorithm, blob, signature(r, s).subarray(1)));
});

for (const curve of nistCurves) {
  test(`ecdsa-sha2-${curve.name}: r and s from 1 to n - 1, not negative, uncompressed points`, () => {
    const algorithm = ecdsaSignature(curve, lax);
    const { blob, fields } = byName(noble.signatures, algorithm.name)!.generate(noble.random);
    const n = curve.order;
    const magnitude = (value: bigint) => hex(value.toString(16).padStart(2 * curve.length, '0'));
    const pair = (r: bigint, s: bigint) => new Writer().mpint(magnitude(r)).mpint(magnitude(s)).finish();
    for (const [r, s] of [
      [1n, 1n],
      [n - 1n, n - 1n],
      [1n, n / 2n + 1n],
    ])
      assert.ok(takes(algorithm, blob, pair(r, s)), 'the runtime decides');
    for (const bad of [0n, n, n + 1n]) {
      assert.not(takes(algorithm, blob, pair(bad, 1n)), `r = ${bad}`);
      assert.not(takes(algorithm, blob, pair(1n, bad)), `s = ${bad}`);
    }
    const strings = (...numbers: Uint8Array[]) => blobOf('', ...numbers).subarray(4);
    for (const bad of [Uint8Array.of(0x81), new Uint8Array(curve.length + 2).fill(1)]) {
      assert.not(takes(algorithm, blob, strings(bad, Uint8Array.of(1))));
      assert.not(takes(algorithm, blob, strings(Uint8Array.of(1), bad)));
    }
    assert.ok(takes(algorithm, blob, strings(Uint8Array.of(0, 1), Uint8Array.of(0, 0, 1))), 'needless zeros');
    const point = fields[1];
    const compressed = Uint8Array.of(2 + (point[point.length - 1] & 1), ...point.subarray(1, 1 + curve.length));
    assert.not(takes(algorithm, blobOf(algorithm.name, fields[0], compressed), pair(1n, 1n)));
  });
}

test('rsa-sha2: moduli from 2048 to 16384 bits, odd, with an odd exponent from 3 to 64 bits', () => {
  for (const name of ['rsa-sha2-256', 'rsa-sha2-512'] as const) {
    const algorithm = rsaSignature(name, lax);
    const number = (bits: number, odd = 1) => {
      const value = new Uint8Array(Math.ceil(bits / 8));
      value[0] = 1 << ((bits - 1) % 8);
      value[value.length - 1] |= odd;
      return value;
    };
    const key = (n: Uint8Array, e: Uint8Array) => new Writer().string('ssh-rsa').mpint(e).mpint(n).finish();
    const exponent = Uint8Array.of(1, 0, 1);
    const accepts = (n: Uint8Array, e = exponent) => takes(algorithm, key(n, e), bytes(256));
    for (const bits of [2048, 3072, 16384]) assert.ok(accepts(number(bits)), `${bits} bits`);
    for (const bits of [1024, 2040, 16385]) assert.not(accepts(number(bits)), `${bits} bits`);
    assert.not(accepts(number(2048, 0)), 'even');
    for (const e of [number(1), Uint8Array.of(2), number(64, 0), number(65)])
      assert.not(accepts(number(2048), e), `e = ${e}`);
    for (const e of [Uint8Array.of(3), number(64)]) assert.ok(accepts(number(2048), e), `e = ${e}`);
  }
});

test('X25519: a shared secret of zero is refused (RFC 8731 §3)', () => {
  refuses(() => refuseZero(new Uint8Array(32)), Disconnect.KEY_EXCHANGE_FAILED);
  const almost = Uint8Array.of(...new Uint8Array(31), 1);
  assert.is(refuseZero(almost), almost);
});

test.run();
