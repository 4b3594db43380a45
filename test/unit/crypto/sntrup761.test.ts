// sntrup761 by the known answers of the reference implementation, and what it must do with keys and ciphertexts that nobody made honestly.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Random } from '../../../src/crypto/provider.ts';
import { sntrup761 } from '../../../src/crypto/sntrup761.ts';
import { bytes, hex, providers, same } from './kit.ts';

const sha512 = (data: Uint8Array): Uint8Array => createHash('sha512').update(data).digest();
const kem = sntrup761(sha512);
const [{ random }] = providers;

/** SHA-512(seed ‖ 0), SHA-512(seed ‖ 1) …, counted in four bytes, little-endian. */
function stream(seed: string) {
  const drawn = { bytes: 0, random };
  let block: Uint8Array = new Uint8Array(0);
  drawn.random = into => {
    for (let i = 0; i < into.length; i++, drawn.bytes++) {
      if (drawn.bytes % 64 === 0) {
        const text = Buffer.concat([Buffer.from(seed), Buffer.alloc(4)]);
        text.writeUInt32LE(drawn.bytes / 64, seed.length);
        block = new Uint8Array(sha512(text));
      }
      into[i] = block[drawn.bytes % 64];
    }
    return into;
  };
  return drawn;
}

/**
 * What the sntrup761.c of OpenSSH 10.0 gives with this stream for its randombytes(): SHA-512 of the public key and of the
 * ciphertext, the secret, and what comes out of the ciphertext with its first bit changed.
 */
const answers = [
  {
    publicKey:
      '597101fee410d1a3303ba897b42c1dd145792e5aa203c868771718f865d57880aa4f1322aabc6516e1a500a9062c67ede5042ea5bc15813a9b4b192d59b1a568',
    ciphertext:
      '9d4bd929677894720d751523be604764cd9a119a7e10c056a6e0833fe78bc2ab4aa567dbe2b9fc42a36ecd5e26276116662186350cb4ad38dfb061307e614d7f',
    secret: '83efc9cc0a60166f3e38fc3f13f062e284d0cb3047fa6d26319b9a99a254b27f',
    rejected: '459b8fda2a5d122baaab2944c2918cfda5858c97dd56381257eac7a9549c597d',
  },
  {
    publicKey:
      '79861eb4d22015a6d4a52657e378a7ff506db3dc455183d2ccdb6b4ac24c82013aac26cf12ecfada27db2be2e5f7628e241ca64c44fa82b8bc4e431bd2d86a04',
    ciphertext:
      'a61938b191e55b7e7e6016da728966e7a30cdc40c0aa948e74a5e68c6d0429fef2e0875596fb20ea2fd93bedc722c2754fe4a0b8e1cf69c6177b50aae03686d4',
    secret: '0420fab273dda98b20380b8796f3506d5e21c6c2cdee527ebb1e6e0643b715b4',
    rejected: 'df42ead65c9856239863607526c55a08714a69cc060f2237430aef7dcd623094',
  },
  {
    publicKey:
      'd548cae841ff02186aa2340ab6e9520adf6866713626437724adbaa66aeff86ff3d2e5dd776d13125c43e5c835a7becd02cdd66993a4a8de4115559f09e131e9',
    ciphertext:
      '75f21ec11753cf13b274c4d98fc2689f398b980b90e150e155d9d9fe5d6759489d4ddb4149feb06b311d29e3d0f0a18b531bbb06d73c29ef211fb86b0e0f16c2',
    secret: '1aaac89948e8a96c1cd3dc0c5d25a7c5b50707a082fa440f844b2110a97e29e2',
    rejected: '743eefb1fb612372ba8a7ebda507f44ce56b48fbddf53894178e4769dbd02da4',
  },
];

for (const [n, answer] of answers.entries()) {
  test(`known answer ${n}: keys, ciphertext, secret, and the secret of a changed ciphertext`, () => {
    const drawn = stream(`reach sntrup761 kat ${n}`);
    const { publicKey, decapsulate } = kem.generate(drawn.random);
    assert.is(publicKey.length, 1158);
    same(sha512(publicKey), hex(answer.publicKey));
    // Two polynomials of 761 words, and 191 bytes for rejections.
    assert.is(drawn.bytes, 2 * 4 * 761 + 191);
    const { ciphertext, secret } = kem.encapsulate(publicKey, drawn.random);
    assert.is(ciphertext.length, 1039);
    same(sha512(ciphertext), hex(answer.ciphertext));
    same(secret, hex(answer.secret));
    same(decapsulate(ciphertext), hex(answer.secret));
    ciphertext[0] ^= 1;
    same(decapsulate(ciphertext), hex(answer.rejected));
  });
}

test('both sides agree, time after time', () => {
  for (let i = 0; i < 10; i++) {
    const { publicKey, decapsulate } = kem.generate(random);
    const { ciphertext, secret } = kem.encapsulate(publicKey, random);
    same(decapsulate(ciphertext), secret);
  }
});

test('a ciphertext changed anywhere, and one made of anything, gives another secret, always the same for it', () => {
  const { publicKey, decapsulate } = kem.generate(random);
  const { ciphertext, secret } = kem.encapsulate(publicKey, random);
  const others: Uint8Array[] = [0, 500, 1006, 1007, 1038].map(at =>
    ciphertext.map((byte, i) => (i === at ? byte ^ 0x80 : byte)),
  );
  others.push(new Uint8Array(1039), new Uint8Array(1039).fill(0xff), bytes(1039));
  const seen = new Set([Buffer.from(secret).toString('hex')]);
  for (const other of others) {
    const rejected = decapsulate(other);
    same(decapsulate(other), rejected);
    seen.add(Buffer.from(rejected).toString('hex'));
  }
  assert.is(seen.size, others.length + 1);
  same(decapsulate(ciphertext), secret, 'nothing has changed the key');
});

test('any public key of the right length is taken, as in the specification', () => {
  for (const publicKey of [new Uint8Array(1158), new Uint8Array(1158).fill(0xff), bytes(1158)]) {
    const { ciphertext, secret } = kem.encapsulate(publicKey, random);
    assert.is(ciphertext.length, 1039);
    assert.is(secret.length, 32);
  }
});

test('a polynomial that has no inverse is drawn again', () => {
  const good = stream('again');
  const expected = kem.generate(good.random).publicKey;
  const again = stream('again');
  let draws = 0;
  // 1/3 of the largest word makes a coefficient 0: the zero polynomial.
  const zero: Random = into => into.fill(0x20);
  same(kem.generate(into => (draws++ === 0 ? zero(into) : again.random(into))).publicKey, expected);
  assert.is(draws, 4);
});

test.run();
