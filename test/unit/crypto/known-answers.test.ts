// The building blocks against the vectors of the RFCs and of NIST, and the ciphers against a naive reference written from their specifications.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { counterBlock, expandKey, xorKeystream } from '../../../src/crypto/aes.ts';
import { chacha20, chachaKey } from '../../../src/crypto/chacha20.ts';
import { ghash, ghashTable } from '../../../src/crypto/ghash.ts';
import { poly1305, portablePoly1305 } from '../../../src/crypto/poly1305.ts';
import { wasmPoly1305 } from '../../../src/crypto/poly1305-wasm.ts';
import { byName, type CryptoProvider } from '../../../src/crypto/provider.ts';
import { equalBytes } from '../../../src/protocol/wire/reader.ts';
import { bytes, hex, opened, openerOf, providers, same, sealed, sealerOf, toHex } from './kit.ts';

// ---- ChaCha20 and Poly1305 (RFC 8439) ----

/** Keystreams of RFC 8439 appendix A.1, whose nonces are uint64s but for test 3's and 4's, which are zero as well. */
const chachaBlocks = [
  {
    key: '00'.repeat(32),
    sequence: 0,
    counter: 0,
    block:
      '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586',
  },
  {
    key: '00'.repeat(32),
    sequence: 0,
    counter: 1,
    block:
      '9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f',
  },
  {
    key: `${'00'.repeat(31)}01`,
    sequence: 0,
    counter: 1,
    block:
      '3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0',
  },
  {
    key: `00ff${'00'.repeat(30)}`,
    sequence: 0,
    counter: 2,
    block:
      '72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096',
  },
  {
    key: '00'.repeat(32),
    sequence: 2,
    counter: 0,
    block:
      'c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c78a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d',
  },
];

test('ChaCha20: blocks of RFC 8439 A.1', () => {
  for (const { key, sequence, counter, block } of chachaBlocks) {
    const out = new Uint8Array(64);
    chacha20(chachaKey(hex(key)), sequence, counter, out, 0, 64);
    same(out, hex(block));
  }
});

test('ChaCha20: a text of several blocks at any alignment (RFC 8439 A.2, test 3)', () => {
  const key = chachaKey(hex('1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0'));
  const text = new TextEncoder().encode(
    "'Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe:\nAll mimsy were the borogoves,\nAnd the mome raths outgrabe.",
  );
  const expected = hex(
    '62e6347f95ed87a45ffae7426f27a1df5fb69110044c0d73118effa95b01e5cf166d3df2d721caf9b21e5fb14c616871fd84c54f9d65b283196c7fe4f60553ebf39c6402c42234e32a356b3e764312a61a5532055716ead6962568f87d3f3f7704c6a8d1bcd1bf4d50d6154b6da731b187b58dfd728afa36757a797ac188d1',
  );
  for (let at = 0; at < 9; at++) {
    const chunk = new Uint8Array(at + text.length + 5);
    chunk.set(text, at);
    chacha20(key, 2, 42, chunk, at, at + text.length);
    same(chunk.subarray(at, at + text.length), expected);
    assert.ok(
      chunk.subarray(0, at).every(byte => byte === 0) && chunk.subarray(at + text.length).every(byte => byte === 0),
    );
  }
});

/** RFC 8439 §2.5.2 and appendix A.3; those whose messages are of four bytes at least, which all packets are. */
const macs: [key: string, message: string, tag: string][] = [
  [
    '85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b',
    '43727970746f6772617068696320466f72756d2052657365617263682047726f7570',
    'a8061dc1305136c6c22b8baf0c0127a9',
  ],
  ['00'.repeat(32), '00'.repeat(64), '00'.repeat(16)],
  [`02${'00'.repeat(31)}`, 'ff'.repeat(16), `03${'00'.repeat(15)}`],
  [`02${'00'.repeat(15)}${'ff'.repeat(16)}`, `02${'00'.repeat(15)}`, `03${'00'.repeat(15)}`],
  [`01${'00'.repeat(31)}`, `${'ff'.repeat(16)}f0${'ff'.repeat(15)}11${'00'.repeat(15)}`, `05${'00'.repeat(15)}`],
  [`01${'00'.repeat(31)}`, `${'ff'.repeat(16)}fb${'fe'.repeat(15)}${'01'.repeat(16)}`, '00'.repeat(16)],
  [`02${'00'.repeat(31)}`, `fd${'ff'.repeat(15)}`, `fa${'ff'.repeat(15)}`],
  [
    `0100000000000000040000000000000${'0'.repeat(33)}`,
    'e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000000000000000000000000001000000000000000000000000000000',
    '14000000000000005500000000000000',
  ],
  [
    `0100000000000000040000000000000${'0'.repeat(33)}`,
    'e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000',
    `13${'00'.repeat(15)}`,
  ],
];

const implementations = {
  portable: portablePoly1305,
  kernel: wasmPoly1305(() => assert.unreachable('too long for the kernel')),
  chosen: poly1305,
};

test('Poly1305: RFC 8439 §2.5.2 and A.3', () => {
  for (const [name, mac] of Object.entries(implementations)) {
    for (const [key, message, tag] of macs) {
      const text = hex(message);
      const out = new Uint8Array(20);
      mac(hex(key), text, 0, text, 4, text.length, out, 3);
      same(out, hex(`000000${tag}00`), name);
    }
  }
});

/** Poly1305 as RFC 8439 §2.5.1 writes it down. */
function naivePoly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const p = 2n ** 130n - 5n;
  const r = fromLittleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let a = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16);
    a = ((a + fromLittleEndian(block) + 2n ** BigInt(8 * block.length)) * r) % p;
  }
  return toLittleEndian((a + fromLittleEndian(key.subarray(16))) % 2n ** 128n, 16);
}

function fromLittleEndian(value: Uint8Array): bigint {
  return value.length === 0 ? 0n : BigInt(`0x${toHex(value.slice().reverse())}`);
}

const toLittleEndian = (value: bigint, length: number): Uint8Array =>
  hex(value.toString(16).padStart(length * 2, '0')).reverse();

test('Poly1305: every length up to 300 and some long ones, as the naive reference has it', () => {
  const lengths = [...Array.from({ length: 297 }, (_, i) => i + 4), 4092, 4096, 65556, 262164];
  for (const [name, mac] of Object.entries(implementations)) {
    for (const length of lengths) {
      // High limbs and carries everywhere for some, arbitrary bytes for others.
      const fill = length % 3;
      const message = fill === 0 ? new Uint8Array(length).fill(0xff) : bytes(length, length);
      const key = fill === 1 ? new Uint8Array(32).fill(0xff) : bytes(32, length);
      const out = new Uint8Array(16);
      mac(key, message, 0, message, 4, length, out, 0);
      same(out, naivePoly1305(key, message), `${name}, ${length} bytes`);
    }
  }
});

/** ChaCha20 as RFC 8439 §2.3 writes it down, with the original's 64-bit counter and nonce. */
function naiveChaCha(key: Uint8Array, nonce: Uint8Array, counter: number, text: Uint8Array): Uint8Array {
  const words = (part: Uint8Array) =>
    Array.from({ length: part.length / 4 }, (_, i) => Number(fromLittleEndian(part.subarray(i * 4, i * 4 + 4))));
  const out = text.slice();
  for (let at = 0; at < text.length; at += 64) {
    const initial = [
      ...words(new TextEncoder().encode('expand 32-byte k')),
      ...words(key),
      counter + at / 64,
      0,
      ...words(nonce),
    ];
    const s = [...initial];
    const quarter = (a: number, b: number, c: number, d: number) => {
      for (const [x, y, z, by] of [
        [a, b, d, 16],
        [c, d, b, 12],
        [a, b, d, 8],
        [c, d, b, 7],
      ]) {
        s[x] = (s[x] + s[y]) >>> 0;
        s[z] = (s[z] ^ s[x]) >>> 0;
        s[z] = ((s[z] << by) | (s[z] >>> (32 - by))) >>> 0;
      }
    };
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i);
      for (let i = 0; i < 4; i++) quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
    }
    for (let i = 0; i < 64 && at + i < out.length; i++) {
      out[at + i] ^= ((s[i >> 2] + initial[i >> 2]) >>> 0) >>> (8 * (i & 3));
    }
  }
  return out;
}

/** A packet as OpenSSH's PROTOCOL.chacha20poly1305 describes it: K_2 first, K_1 behind it. */
function naiveFrame(key: Uint8Array, sequence: number, text: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(8);
  new DataView(nonce.buffer).setUint32(4, sequence);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length);
  const [k2, k1] = [key.subarray(0, 32), key.subarray(32)];
  const body = Uint8Array.of(...naiveChaCha(k1, nonce, 0, length), ...naiveChaCha(k2, nonce, 1, text));
  return Uint8Array.of(...body, ...naivePoly1305(naiveChaCha(k2, nonce, 0, new Uint8Array(32)), body));
}

test('chacha20-poly1305@openssh.com: frames of the naive reference are opened, and made, byte for byte', () => {
  assert.is(
    toHex(naiveChaCha(hex(chachaBlocks[4].key), hex('0000000000000002'), 0, new Uint8Array(64))),
    chachaBlocks[4].block,
    'the reference itself',
  );
  const suite = { cipher: 'chacha20-poly1305@openssh.com', mac: undefined };
  const key = bytes(64, 1);
  for (const provider of providers) {
    for (const sequence of [0, 1, 255, 256, 0x01020304, 0xffffffff]) {
      for (const size of [1, 16, 100, 700, 5000]) {
        const payload = bytes(size, size);
        const frame = sealed(sealerOf(provider, suite, 1), payload, sequence);
        const packet = opened(openerOf(provider, suite, 1), frame.slice(), sequence);
        same(packet.payload, payload);
        const text = new Uint8Array(frame.length - 20);
        text[0] = text.length - 1 - size;
        text.set(payload, 1);
        // Padding is random; once known, the whole frame is determined.
        const nonce = new Uint8Array(8);
        new DataView(nonce.buffer).setUint32(4, sequence);
        const plain = naiveChaCha(key.subarray(0, 32), nonce, 1, frame.subarray(4, frame.length - 16));
        text.set(plain.subarray(1 + size), 1 + size);
        same(frame, naiveFrame(key, sequence, text), `${provider.name}, ${size} bytes, ${sequence}`);
        same(opened(openerOf(provider, suite, 1), naiveFrame(key, sequence, text), sequence).payload, payload);
      }
    }
  }
});

// ---- AES (SP 800-38A, SP 800-38D) ----

test('AES-CTR: SP 800-38A F.5', () => {
  const plain = hex(
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
  );
  const vectors = [
    [
      '2b7e151628aed2a6abf7158809cf4f3c',
      '874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee',
    ],
    [
      '8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b',
      '1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e941e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050',
    ],
    [
      '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4',
      '601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6',
    ],
  ];
  for (const [key, cipher] of vectors) {
    for (const at of [0, 1, 6]) {
      const chunk = new Uint8Array(80);
      chunk.set(plain, at);
      xorKeystream(expandKey(hex(key)), counterBlock(hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff')), chunk, at, at + 64);
      same(chunk.subarray(at, at + 64), hex(cipher));
    }
  }
});

/** AES-GCM of our parts, for a 96-bit IV and any additional data. */
function gcm(
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  text: Uint8Array,
): { text: Uint8Array; tag: Uint8Array } {
  const keys = expandKey(key);
  const h = new Uint8Array(16);
  xorKeystream(keys, new Uint32Array(4), h, 0, 16);
  const counter = counterBlock(Uint8Array.of(...iv, 0, 0, 0, 1));
  const mask = new Uint8Array(16);
  xorKeystream(keys, counter, mask, 0, 16);
  const out = text.slice();
  xorKeystream(keys, counter, out, 0, out.length);
  const lengths = new Uint8Array(16);
  new DataView(lengths.buffer).setUint32(4, aad.length * 8);
  new DataView(lengths.buffer).setUint32(12, text.length * 8);
  const y = new Uint32Array(4);
  const table = ghashTable(h);
  for (const part of [aad, out, lengths]) ghash(table, y, part, 0, part.length);
  return { text: out, tag: mask.map((byte, i) => byte ^ (y[i >> 2] >>> (24 - 8 * (i & 3)))) };
}

test('AES-GCM: test cases 1, 2, 4 and 16 of the GCM specification', () => {
  const key = 'feffe9928665731c6d6a8f9467308308';
  const iv = 'cafebabefacedbaddecaf888';
  const aad = 'feedfacedeadbeeffeedfacedeadbeefabaddad2';
  const text =
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39';
  const vectors = [
    ['00'.repeat(16), '00'.repeat(12), '', '', '', '58e2fccefa7e3061367f1d57a4e7455a'],
    [
      '00'.repeat(16),
      '00'.repeat(12),
      '',
      '00'.repeat(16),
      '0388dace60b6a392f328c2b971b2fe78',
      'ab6e47d42cec13bdf53a67b21257bddf',
    ],
    [
      key,
      iv,
      aad,
      text,
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091',
      '5bc94fbc3221a5db94fae95ae7121a47',
    ],
    [
      key + key,
      iv,
      aad,
      text,
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
      '76fc6ece0f4e1768cddf8853bb2d551b',
    ],
  ];
  for (const [k, n, a, p, c, t] of vectors) {
    const result = gcm(hex(k), hex(n), hex(a), hex(p));
    same(result.text, hex(c));
    same(result.tag, hex(t));
  }
});

test('aes128-gcm@openssh.com and aes256-gcm@openssh.com: a frame is AES-GCM with its length as additional data', () => {
  for (const provider of providers) {
    for (const [cipher, keyLength] of [
      ['aes128-gcm@openssh.com', 16],
      ['aes256-gcm@openssh.com', 32],
    ] as const) {
      for (const size of [1, 40, 3000]) {
        const frame = sealed(sealerOf(provider, { cipher, mac: undefined }, 1), bytes(size), 0);
        const body = frame.subarray(4, frame.length - 16);
        const plain = gcm(bytes(keyLength, 1), bytes(12, 2), new Uint8Array(0), body).text;
        same(plain.subarray(1, 1 + size), bytes(size));
        const { tag } = gcm(bytes(keyLength, 1), bytes(12, 2), frame.subarray(0, 4), plain);
        same(frame.subarray(frame.length - 16), tag);
      }
    }
  }
});

test('aes128-ctr: the keystream runs on from packet to packet, over the length unless encrypt-then-MAC', () => {
  for (const provider of providers) {
    for (const mac of ['hmac-sha2-256', 'hmac-sha2-256-etm@openssh.com']) {
      const sealer = sealerOf(provider, { cipher: 'aes128-ctr', mac }, 1);
      const frames = [sealed(sealer, bytes(10), 0), sealed(sealer, bytes(300), 1)];
      const from = mac.includes('etm') ? 4 : 0;
      const stream = frames.map(frame => frame.slice(from, frame.length - 32));
      const all = Uint8Array.of(...stream[0], ...stream[1]);
      xorKeystream(expandKey(bytes(16, 1)), counterBlock(bytes(16, 2)), all, 0, all.length);
      same(all.subarray(5 - from, 15 - from), bytes(10));
      same(all.subarray(stream[0].length + 5 - from, stream[0].length + 305 - from), bytes(300));
    }
  }
});

// ---- HMAC (RFC 4231, RFC 6668) ----

/** The tag of a message of four bytes at least, of which the first four go in as the sequence number. */
function hmac(provider: CryptoProvider, name: string, key: Uint8Array, message: Uint8Array): Uint8Array {
  const sequence = new DataView(message.buffer, message.byteOffset).getUint32(0);
  return byName(provider.macs, name)!.create(key).compute(sequence, message, 4, message.length);
}

test('HMAC: RFC 4231', () => {
  const vectors = [
    [
      '0b'.repeat(20),
      '4869205468657265',
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
      '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854',
    ],
    [
      '4a656665',
      '7768617420646f2079612077616e7420666f72206e6f7468696e673f',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
    ],
    [
      'aa'.repeat(20),
      'dd'.repeat(50),
      '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
      'fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb',
    ],
  ];
  for (const provider of providers) {
    for (const [key, message, sha256, sha512] of vectors) {
      same(hmac(provider, 'hmac-sha2-256', hex(key), hex(message)), hex(sha256), provider.name);
      same(hmac(provider, 'hmac-sha2-512-etm@openssh.com', hex(key), hex(message)), hex(sha512), provider.name);
    }
    same(provider.sha256(hex('616263')), hex('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'));
  }
});

test('HMAC: a tag belongs to the caller, and the key can be used again', () => {
  for (const provider of providers) {
    for (const { name, keyLength, tagLength } of provider.macs) {
      const mac = byName(provider.macs, name)!.create(bytes(keyLength));
      const first = mac.compute(1, bytes(100), 0, 100);
      const copy = first.slice();
      assert.is(first.length, tagLength);
      assert.not(equalBytes(mac.compute(2, bytes(100), 0, 100), copy));
      same(first, copy);
      same(mac.compute(1, bytes(100), 0, 100), copy);
    }
  }
});

test.run();
