// Poly1305 (RFC 8439 §2.5) as a WebAssembly kernel: against BigInt and noble, at the edges of its arithmetic, and when the portable one takes over.
// The RFC's own vectors, and every length up to 300 in all implementations, are in known-answers.test.ts.
import { createCipheriv } from 'node:crypto';
import { test as suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { choosePoly1305, type Poly1305, portablePoly1305 } from '../../../src/crypto/poly1305.ts';
import { wasmPoly1305 } from '../../../src/crypto/poly1305-wasm.ts';
import { equalBytes } from '../../../src/protocol/wire/reader.ts';
import { skip } from '../../kit/tools.ts';
import { bytes, hex, same, toHex, wycheproof } from './kit.ts';

const test: Test = suite;

const kernel = wasmPoly1305(() => assert.unreachable('too long for the kernel'));
const P = 2n ** 130n - 5n;
const ones = (length: number) => new Uint8Array(length).fill(0xff);

function tagOf(mac: Poly1305, key: Uint8Array, message: Uint8Array): Uint8Array {
  const tag = new Uint8Array(16);
  mac(key, message, 0, message, 4, message.length, tag, 0);
  return tag;
}

/** Little-endian. */
function toBytes(value: bigint, length: number): Uint8Array {
  return hex(value.toString(16).padStart(length * 2, '0')).reverse();
}

test('kernel: arbitrary keys and messages of every length up to 300, as noble has it', () => {
  for (let length = 4; length <= 300; length++) {
    for (let seed = 0; seed < 20; seed++) {
      const key = bytes(32, seed * 331 + length);
      const message = bytes(length, seed * 17 + 5);
      same(tagOf(kernel, key, message), tagOf(portablePoly1305, key, message), `${length} bytes, seed ${seed}`);
    }
  }
});

test('kernel: large messages at lengths around a block and around four, as noble has it', () => {
  for (const size of [1024, 4096, 32768, 262144]) {
    for (const more of [-65, -64, -63, -17, -16, -1, 0, 1, 15, 16, 17, 63, 64]) {
      const message = bytes(size + more, size);
      const key = bytes(32, more + 100);
      same(tagOf(kernel, key, message), tagOf(portablePoly1305, key, message), `${size + more} bytes`);
    }
  }
});

test('kernel: keys and messages that fill every limb', () => {
  const keys: Uint8Array[] = [
    ones(32),
    // r as large as clamping leaves it, with s of zeros and of ones
    hex(`ffffff0ffcffff0ffcffff0ffcffff0f${'00'.repeat(16)}`),
    hex(`ffffff0ffcffff0ffcffff0ffcffff0f${'ff'.repeat(16)}`),
    // only the bits that clamping takes away: r is 0, and the tag is s
    hex(`000000f0030000f0030000f0030000f0${'ab'.repeat(16)}`),
    // r of one bit each
    ...Array.from({ length: 128 }, (_, bit) => hex(toHex(toBytes(1n << BigInt(bit), 16)) + 'ff'.repeat(16))),
  ];
  for (const key of keys) {
    for (const length of [4, 15, 16, 17, 48, 64, 128, 176, 191, 192, 193, 208, 240, 255, 256, 257, 1000, 4096]) {
      for (const message of [ones(length), new Uint8Array(length), bytes(length, 3)]) {
        const expected = tagOf(portablePoly1305, key, message);
        same(tagOf(kernel, key, message), expected, `key ${toHex(key)}, ${length} times ${message[0]}`);
      }
    }
  }
  same(tagOf(kernel, keys[3], ones(500)), hex('ab'.repeat(16)));
});

test('kernel: sums that end just below, at and above the prime', () => {
  // With r = 1 the sum of the blocks, each with its 2^128, is all there is; the last block brings it where it is wanted.
  const one = Uint8Array.of(1, ...new Uint8Array(15));
  for (let blocks = 3; blocks <= 40; blocks++) {
    for (const fill of [0n, 2n ** 128n - 1n]) {
      const before = BigInt(blocks - 1) * (2n ** 128n + fill);
      for (let residue = -8n; residue <= 8n; residue++) {
        const last = (((P + residue - before - 2n ** 128n) % P) + P) % P;
        // Not every sum can be reached in one block.
        if (last >= 2n ** 128n) continue;
        const message = new Uint8Array(blocks * 16);
        for (let i = 0; i < blocks - 1; i++) message.set(toBytes(fill, 16), i * 16);
        message.set(toBytes(last, 16), message.length - 16);
        for (const s of [0n, 1n, 2n ** 128n - 1n]) {
          const expected = toBytes((((P + residue) % P) + s) % 2n ** 128n, 16);
          const key = Uint8Array.of(...one, ...toBytes(s, 16));
          same(tagOf(kernel, key, message), expected, `${blocks} blocks, p + ${residue}, s = ${s}`);
        }
      }
    }
  }
});

test('kernel: a product whose carries run on through every limb', () => {
  // With an r below 2^26 a block B is multiplied limb by limb and nothing wraps before the carries. B is chosen such that
  // the product's bits 26 to 129 are all ones: what lies above 2^130 comes back times five and runs to the top once more.
  const carrying: [r: bigint, message: bigint][] = [];
  for (const r of [8n, 23n, 64n, 1000n, 65537n, 2n ** 26n - 1n]) {
    for (let above = r / 4n; above < r / 2n; above += 1n + r / 50n) {
      carrying.push([r, ((above + 1n) * 2n ** 130n - 1n) / r - 2n ** 128n]);
    }
  }
  for (const [r, message] of carrying) {
    if (message < 0n || message >= 2n ** 128n) continue;
    const expected = toBytes((((message + 2n ** 128n) * r) % P) % 2n ** 128n, 16);
    same(tagOf(kernel, toBytes(r, 32), toBytes(message, 16)), expected, `r = ${r}, message ${message}`);
  }
});

test('kernel: head, text and tag anywhere, the tag right behind the text, and nothing else touched', () => {
  const key = bytes(32, 2);
  for (const length of [0, 1, 12, 60, 188, 700]) {
    for (let at = 0; at < 18; at++) {
      const message = bytes(4 + length, length);
      const memory = new Uint8Array(at + length + 16 + 9).fill(0xee);
      memory.set(message.subarray(4), at);
      const head = Uint8Array.of(0xee, ...message.subarray(0, 4), 0xee);
      const before = key.slice();
      kernel(key, head, 1, memory, at, at + length, memory, at + length);
      const expected = tagOf(portablePoly1305, key, message);
      same(memory, Uint8Array.of(...ones(at).fill(0xee), ...message.subarray(4), ...expected, ...ones(9).fill(0xee)));
      same(head, Uint8Array.of(0xee, ...message.subarray(0, 4), 0xee));
      same(key, before);
    }
  }
});

test('kernel: what an earlier, longer message left behind does not count', () => {
  tagOf(kernel, ones(32), ones(5000));
  for (let length = 4; length < 300; length++) {
    const message = bytes(length, 1);
    const expected = tagOf(portablePoly1305, bytes(32), message);
    same(tagOf(kernel, bytes(32), message), expected, `${length} bytes`);
    tagOf(kernel, ones(32), ones(length + 100));
  }
});

test('kernel: a message beyond its memory goes to the other implementation', () => {
  let calls = 0;
  const mac = wasmPoly1305((...parameters) => {
    calls++;
    portablePoly1305(...parameters);
  });
  const lengths = [300_000, 5 * 65536 - 92, 5 * 65536 - 91, 5 * 65536, 1_000_000];
  for (const length of lengths) {
    const message = bytes(length, 3);
    same(tagOf(mac, bytes(32), message), tagOf(portablePoly1305, bytes(32), message), `${length} bytes`);
  }
  assert.is(calls, 3);
});

const vectors = wycheproof('chacha20_poly1305');
if (vectors === undefined) skip(test, 'Wycheproof chacha20_poly1305', 'the vectors are not beside the repository');
else {
  test('Wycheproof chacha20_poly1305', () => {
    let count = 0;
    for (const group of vectors.testGroups) {
      if (group.ivSize !== 96) continue;
      for (const vector of group.tests) {
        // The AEAD of RFC 8439 §2.8: its one-time key is from block 0, which OpenSSL's first four bytes of IV count.
        const iv = Buffer.concat([Buffer.alloc(4), hex(vector.iv)]);
        const key = createCipheriv('chacha20', hex(vector.key), iv).update(Buffer.alloc(32));
        const [aad, text] = [hex(vector.aad), hex(vector.ct)];
        const lengths = new Uint8Array(16);
        new DataView(lengths.buffer).setUint32(0, aad.length, true);
        new DataView(lengths.buffer).setUint32(8, text.length, true);
        const filled = (part: Uint8Array) => [part, new Uint8Array(-part.length & 15)];
        const message = new Uint8Array(Buffer.concat([...filled(aad), ...filled(text), lengths]));
        for (const mac of [kernel, portablePoly1305]) {
          const right = equalBytes(tagOf(mac, key, message), hex(vector.tag));
          assert.is(right, vector.result === 'valid', `case ${vector.tcId}: ${vector.comment}`);
        }
        count++;
      }
    }
    assert.ok(count >= 250, `${count} vectors`);
  });
}

test('the kernel is chosen where it is right', () => {
  assert.is(
    choosePoly1305(() => kernel),
    kernel,
  );
});

test('the portable one is chosen where there is no WebAssembly, and where a kernel is wrong anywhere', () => {
  const real = Object.getOwnPropertyDescriptor(globalThis, 'WebAssembly')!;
  Object.defineProperty(globalThis, 'WebAssembly', { ...real, value: undefined });
  try {
    assert.is(
      choosePoly1305(() => wasmPoly1305(portablePoly1305)),
      portablePoly1305,
    );
  } finally {
    Object.defineProperty(globalThis, 'WebAssembly', real);
  }
  const wrong: Record<string, Poly1305> = {
    'does nothing': () => {},
    'forgets the head': (key, _head, _headAt, ...rest) => portablePoly1305(key, new Uint8Array(4), 0, ...rest),
    'loses a carry of all ones': (key, ...rest) =>
      portablePoly1305(key[31] === 0xff ? key.slice().fill(0xfe) : key, ...rest),
    'is wrong from 192 bytes on': (key, head, headAt, text, start, end, ...rest) =>
      portablePoly1305(key, head, headAt, text, start, end >= 192 ? end - 1 : end, ...rest),
    'is wrong for less than a block': (key, head, headAt, text, start, end, ...rest) =>
      portablePoly1305(key, head, headAt, text, start, end < 16 ? start : end, ...rest),
  };
  for (const [what, mac] of Object.entries(wrong)) {
    assert.is(
      choosePoly1305(() => mac),
      portablePoly1305,
      what,
    );
  }
});

test.run();
