// Signatures (RFC 8709, RFC 5656, RFC 8332) by and across both providers, and the many things that are not signatures.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { fromBigInt, modPow, toBigInt } from '../../../src/crypto/bigint.ts';
import { signed, signedData } from '../../../src/crypto/known-answers.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName, type CryptoProvider, type PrivateKey } from '../../../src/crypto/provider.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { bytes, fixed, hex, implemented, providers, same } from './kit.ts';

const names = implemented(noble).map(({ name }) => name);
const of = (provider: CryptoProvider, name: string) => byName(provider.signatures, name)!;

/** The order n of each curve's group (FIPS 186-4 D.1.2), and the length of a coordinate. */
const curves = [
  { curve: 'nistp256', length: 32, n: 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551' },
  {
    curve: 'nistp384',
    length: 48,
    n: 'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
  },
  {
    curve: 'nistp521',
    length: 66,
    n:
      '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8' +
      '899c47aebb6fb71e91386409',
  },
];

/** One key for each type; RSA's is a fixed one, because making one takes long. */
const keys = new Map<string, PrivateKey>(
  names.map(name => [name, name.startsWith('rsa') ? signed[name]().key : of(accelerated, name).generate(noble.random)]),
);

for (const name of names) {
  const key = keys.get(name)!;
  const { keyType } = of(noble, name);

  for (const signer of providers) {
    for (const verifier of providers) {
      test(`${name}: ${signer.name} signs, ${verifier.name} verifies`, () => {
        for (const length of [0, 1, 100, 1000]) {
          const signature = of(signer, name).sign(key, bytes(length), signer.random);
          const { verify } = of(verifier, name);
          assert.is(verify(key.blob, bytes(length), signature), true);
          assert.is(verify(key.blob, bytes(length + 1), signature), false);
          // A key parsed again is another object: what was remembered for the first must not be needed.
          assert.is(verify(key.blob.slice(), bytes(length), signature.slice()), true);
        }
      });
    }
  }

  for (const provider of providers) {
    const { verify, sign, generate } = of(provider, name);

    test(`${name} (${provider.name}): known answer`, () => {
      const answer = signed[name]();
      assert.is(verify(answer.key.blob, signedData, answer.signature), true);
      if (answer.deterministic) same(sign(answer.key, signedData, provider.random), answer.signature);
    });

    test(`${name} (${provider.name}): any changed bit of key or signature is refused, without an exception`, () => {
      const signature = sign(key, bytes(20), provider.random);
      // Portable RSA, P-384 and P-521 take their time.
      const step = name.startsWith('rsa') ? 13 : /384|521/.test(name) ? 7 : 1;
      for (let at = 0; at < signature.length; at += at < 32 ? 1 : step) {
        const bad = signature.slice();
        bad[at] ^= 1 << (at & 7);
        assert.is(verify(key.blob, bytes(20), bad), false, `signature byte ${at}`);
      }
      for (let at = 0; at < key.blob.length; at += at < 32 ? 1 : step) {
        const bad = key.blob.slice();
        bad[at] ^= 1 << (at & 7);
        assert.is(verify(bad, bytes(20), signature), false, `key byte ${at}`);
      }
    });

    test(`${name} (${provider.name}): truncated, prolonged and misnamed blobs are refused`, () => {
      const data = bytes(20);
      const signature = sign(key, data, provider.random);
      for (let length = 0; length < signature.length; length += 7) {
        assert.is(verify(key.blob, data, signature.subarray(0, length)), false);
      }
      for (let length = 0; length < key.blob.length; length += 7) {
        assert.is(verify(key.blob.subarray(0, length), data, signature), false);
      }
      assert.is(verify(key.blob, data, Uint8Array.of(...signature, 0)), false);
      assert.is(verify(Uint8Array.of(...key.blob, 0), data, signature), false);
      const value = contentOf(signature);
      for (const other of [...names, 'ssh-rsa', '', `${name}\0`].filter(other => other !== name)) {
        assert.is(verify(key.blob, data, blobOf(other, value)), false, other);
      }
      for (const other of names.filter(other => of(noble, other).keyType !== keyType)) {
        assert.is(verify(keys.get(other)!.blob, data, signature), false, `a key for ${other}`);
        assert.throws(() => sign(keys.get(other)!, data, provider.random), /does not sign with/);
      }
      // The value with something before or behind it.
      assert.is(verify(key.blob, data, blobOf(name, Uint8Array.of(0, ...value))), false);
      assert.is(verify(key.blob, data, blobOf(name, Uint8Array.of(...value, 0))), false);
    });

    if (name === 'rsa-sha2-256') continue;
    test(`${name} (${provider.name}): a generated key has the fields of openssh-key-v1 and works everywhere`, () => {
      const made = generate(provider.random, 'who@where');
      assert.is(made.type, keyType);
      assert.is(made.comment, 'who@where');
      for (const other of providers) {
        const signature = of(other, name).sign(made, bytes(9), other.random);
        for (const third of providers) assert.is(of(third, name).verify(made.blob, bytes(9), signature), true);
      }
      const blob = new Reader(made.blob);
      assert.is(blob.name(), keyType);
      if (keyType === 'ssh-rsa') {
        const [n, e, d, iqmp, p, q] = made.fields.map(toBigInt);
        assert.is(toBigInt(blob.mpint()), e);
        assert.is(toBigInt(blob.mpint()), n);
        assert.is(n.toString(2).length, 3072);
        assert.is(e, 65537n);
        assert.is(p * q, n);
        assert.is((iqmp * q) % p, 1n);
        assert.is((d * e) % (p - 1n), 1n);
        assert.is((d * e) % (q - 1n), 1n);
        for (const field of made.fields) assert.is.not(field[0], 0);
      } else if (keyType === 'ssh-ed25519') {
        assert.equal(
          made.fields.map(field => field.length),
          [32, 64],
        );
        same(blob.string(), made.fields[0]);
        same(made.fields[1].subarray(32), made.fields[0]);
      } else {
        const { curve, length } = curves.find(({ curve }) => name.endsWith(curve))!;
        assert.equal(
          made.fields.map(field => field.length),
          [8, 1 + 2 * length, length],
        );
        assert.is(blob.name(), curve);
        same(blob.string(), made.fields[1]);
      }
      blob.finish();
    });
  }
}

const contentOf = (signature: Uint8Array): Uint8Array => {
  const reader = new Reader(signature);
  reader.name();
  return reader.string();
};
const blobOf = (name: string, value: Uint8Array): Uint8Array => new Writer().string(name).string(value).finish();

test('ssh-ed25519: RFC 8032 §7.1, tests 1 to 3', () => {
  const vectors = [
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ];
  for (const provider of providers) {
    for (const [seed, publicKey, message, signature] of vectors) {
      const made = of(provider, 'ssh-ed25519').generate(fixed(hex(seed)));
      same(made.blob, blobOf('ssh-ed25519', hex(publicKey)));
      const expected = blobOf('ssh-ed25519', hex(signature));
      same(of(provider, 'ssh-ed25519').sign(made, hex(message), provider.random), expected);
      assert.is(of(provider, 'ssh-ed25519').verify(made.blob, hex(message), expected), true);
    }
  }
});

test('ssh-ed25519: S not reduced, points not canonical and public keys of small order are refused', () => {
  const L = 2n ** 252n + 27742317777372353535851937790883648493n;
  const key = keys.get('ssh-ed25519')!;
  const data = bytes(10);
  const value = contentOf(of(noble, 'ssh-ed25519').sign(key, data, noble.random));
  const s = toBigInt(value.slice(32).reverse());
  const malleable = Uint8Array.of(...value.subarray(0, 32), ...fromBigInt(s + L, 32).reverse());
  // With A and R of small order, and S = 0, [8][S]B = [8]R + [8][k]A whatever was signed.
  const small = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    // The same again, y not reduced modulo p.
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  ];
  for (const provider of providers) {
    const { verify } = of(provider, 'ssh-ed25519');
    assert.is(verify(key.blob, data, blobOf('ssh-ed25519', malleable)), false, 'S + L');
    for (const a of small) {
      for (const r of small) {
        const forged = Uint8Array.of(...hex(r), ...new Uint8Array(32));
        for (const text of ['a', 'b', 'c', 'd']) {
          const refused = verify(
            blobOf('ssh-ed25519', hex(a)),
            bytes(4, text.charCodeAt(0)),
            blobOf('ssh-ed25519', forged),
          );
          assert.is(refused, false, `${provider.name} A ${a} R ${r}`);
        }
      }
    }
  }
});

for (const { curve, length, n: order } of curves) {
  test(`ecdsa-sha2-${curve}: r and s have to be positive and in 1..n-1, with zeros in front or without; s may lie in either half`, () => {
    const name = `ecdsa-sha2-${curve}`;
    const n = toBigInt(hex(order));
    const key = keys.get(name)!;
    const reader = new Reader(contentOf(of(noble, name).sign(key, bytes(5), noble.random)));
    const r = toBigInt(reader.mpint());
    const s = toBigInt(reader.mpint());
    const number = (value: bigint) => fromBigInt(value);
    const blob = (a: bigint, b: bigint) => blobOf(name, new Writer().mpint(number(a)).mpint(number(b)).finish());
    for (const provider of providers) {
      const verify = (signature: Uint8Array) => of(provider, name).verify(key.blob, bytes(5), signature);
      assert.is(verify(blob(r, s)), true);
      assert.is(verify(blob(r, n - s)), true, 'the other half');
      for (const [a, b] of [
        [0n, s],
        [r, 0n],
        [r + n, s],
        [r, s + n],
        [n, s],
        [r, n],
        [2n ** 600n, s],
        [r, 2n ** 600n],
      ]) {
        assert.is(verify(blob(a, b)), false);
      }
      const padded = new Writer().string(Uint8Array.of(0, 0, ...number(r))).mpint(number(s));
      assert.is(verify(blobOf(name, padded.finish())), true, 'needless zeros, as some devices leave them');
      const negative = new Writer().string(Uint8Array.of(0xff, ...number(r))).mpint(number(s));
      assert.is(verify(blobOf(name, negative.finish())), false, 'negative');
      const three = new Writer().mpint(number(r)).mpint(number(s)).mpint(number(s));
      assert.is(verify(blobOf(name, three.finish())), false, 'three numbers');
    }
  });

  test(`ecdsa-sha2-${curve}: keys with another curve name or a point that is not one are refused`, () => {
    const name = `ecdsa-sha2-${curve}`;
    const key = keys.get(name)!;
    const signature = of(noble, name).sign(key, bytes(5), noble.random);
    const point = key.fields[1];
    const blob = (inside: string, q: Uint8Array) => new Writer().string(name).string(inside).string(q).finish();
    for (const provider of providers) {
      const { verify } = of(provider, name);
      assert.is(verify(blob(curve, point), bytes(5), signature), true);
      assert.is(verify(blob(curves.find(other => other.curve !== curve)!.curve, point), bytes(5), signature), false);
      const compressed = Uint8Array.of(2 + (point[2 * length] & 1), ...point.subarray(1, 1 + length));
      for (const q of [
        compressed,
        Uint8Array.of(0),
        new Uint8Array(1 + 2 * length),
        point.map((b, i) => (i === 2 * length ? b ^ 1 : b)),
      ]) {
        assert.is(verify(blob(curve, q), bytes(5), signature), false);
      }
    }
  });
}

test('RSA: a signature without its leading zeros is accepted, a longer one is not', () => {
  for (const name of ['rsa-sha2-512', 'rsa-sha2-256']) {
    const key = keys.get(name)!;
    // One signature in 256 begins with a zero.
    for (let i = 0; ; i++) {
      const value = contentOf(of(accelerated, name).sign(key, bytes(4, i), accelerated.random));
      if (value[0] !== 0) continue;
      for (const provider of providers) {
        const verify = (v: Uint8Array) => of(provider, name).verify(key.blob, bytes(4, i), blobOf(name, v));
        assert.is(verify(value), true);
        assert.is(verify(value.subarray(1)), true, 'stripped');
        assert.is(verify(Uint8Array.of(0, ...value)), false, 'prolonged');
        assert.is(verify(new Uint8Array(0)), false, 'empty');
        same(contentOf(of(provider, name).sign(key, bytes(4, i), provider.random)), value, 'all of its length');
      }
      break;
    }
  }
});

test('RSA: a signature that is the right one plus the modulus is refused', () => {
  const name = 'rsa-sha2-512';
  const key = keys.get(name)!;
  const n = toBigInt(key.fields[0]);
  for (let i = 0; ; i++) {
    const s = toBigInt(contentOf(of(accelerated, name).sign(key, bytes(4, i), accelerated.random))) + n;
    if (s >= 2n ** 2048n) continue;
    for (const provider of providers) {
      assert.is(of(provider, name).verify(key.blob, bytes(4, i), blobOf(name, fromBigInt(s, 256))), false);
    }
    break;
  }
});

test('RSA: keys too short, too long, even or with a bad exponent are refused', () => {
  const name = 'rsa-sha2-256';
  const data = bytes(6);
  const blob = (e: bigint, n: bigint) =>
    new Writer().string('ssh-rsa').mpint(fromBigInt(e)).mpint(fromBigInt(n)).finish();
  const key = keys.get(name)!;
  const [n, , d] = key.fields.map(toBigInt);
  const right = of(noble, name).sign(key, data, noble.random);
  // With e = 1 the encoded message would be its own signature: everybody could make one.
  const encoded = fromBigInt(modPow(toBigInt(contentOf(right)), 65537n, n), 256);
  for (const provider of providers) {
    const { verify, sign } = of(provider, name);
    assert.is(verify(blob(65537n, n), data, right), true);
    assert.is(verify(blob(1n, n), data, blobOf(name, encoded)), false, 'e = 1');
    for (const e of [0n, 2n, 65536n, 65537n + 2n ** 64n]) assert.is(verify(blob(e, n), data, right), false, `e = ${e}`);
    for (const bits of [512, 1024, 2040, 16385]) {
      const modulus = 2n ** BigInt(bits) - 1n;
      assert.is(verify(blob(65537n, modulus), data, blobOf(name, encoded)), false, `${bits} bits`);
    }
    assert.is(verify(blob(65537n, n - 1n), data, right), false, 'even');
    const short = { ...key, fields: [fromBigInt(2n ** 1024n - 1n), ...key.fields.slice(1)] };
    assert.throws(() => sign(short, data, provider.random), /too weak/);
    const wrong = { ...key, fields: [...key.fields.slice(0, 2), fromBigInt(d ^ 2n), ...key.fields.slice(3)] };
    assert.throws(() => {
      // A key that does not fit together gives no signature, or one that is not valid: never one that gives p away.
      if (!verify(key.blob, data, sign(wrong, data, provider.random))) throw new Error('not valid');
    });
  }
});

test('RSA: fields with the zero in front that an mpint may have are the same key', () => {
  const name = 'rsa-sha2-512';
  const key = keys.get(name)!;
  const padded = { ...key, fields: key.fields.map(field => Uint8Array.of(0, ...field)) };
  for (const provider of providers) {
    same(of(provider, name).sign(padded, bytes(3), provider.random), of(noble, name).sign(key, bytes(3), noble.random));
  }
});

test('a key whose fields are missing or malformed is a usage error', () => {
  for (const provider of providers) {
    for (const name of names) {
      const key = keys.get(name)!;
      const cut = { ...key, fields: key.fields.slice(0, 1) };
      assert.throws(
        () => of(provider, name).sign(cut, bytes(3), provider.random),
        (error: Error) => error.name === 'UsageError',
      );
    }
  }
});

test.run();
