// AES-GCM as WebAssembly kernels, and with tables: against OpenSSL, at the edges of batches, and which of the two is chosen.
// The specification's own vectors are in known-answers.test.ts.
import { createCipheriv } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelGcm, type MakeGcm, tableGcm, tested } from '../../../src/crypto/gcm.ts';
import { wasmGcm } from '../../../src/crypto/gcm-wasm.ts';
import { bytes, same, toHex } from './kit.ts';

const TAG = 16;
const kernel = wasmGcm();
const makers: [string, MakeGcm][] = [
  ['kernel', kernel],
  ['tables', tableGcm],
];
const ones = (length: number) => new Uint8Array(length).fill(0xff);

/** The frame `[length ‖ text ‖ tag]` as OpenSSL makes it. */
function sealed(key: Uint8Array, iv: Uint8Array, head: Uint8Array, text: Uint8Array): Uint8Array {
  const cipher = createCipheriv(key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm', key, iv);
  cipher.setAAD(head);
  const encrypted = cipher.update(text);
  cipher.final();
  return new Uint8Array(Buffer.concat([head, encrypted, cipher.getAuthTag()]));
}

/** Both ways. */
function check(make: MakeGcm, key: Uint8Array, iv: Uint8Array, head: Uint8Array, text: Uint8Array): void {
  const what = `key ${toHex(key)}, ${text.length} bytes`;
  const gcm = make(key);
  const before = iv.slice();
  const frame = new Uint8Array(Buffer.concat([head, text, bytes(TAG, 9)]));
  gcm.seal(iv, frame, 0, frame.length);
  same(frame, sealed(key, iv, head, text), what);
  assert.ok(gcm.open(iv, frame, 0, frame.length), what);
  same(frame.subarray(0, 4 + text.length), new Uint8Array(Buffer.concat([head, text])), what);
  same(iv, before);
}

for (const [name, make] of makers) {
  test(`${name}: texts of every length up to 60 blocks, as OpenSSL has it`, () => {
    for (let blocks = 1; blocks <= 60; blocks++) {
      for (const keyLength of [16, 32]) {
        const seed = blocks * 3 + keyLength;
        check(make, bytes(keyLength, seed), bytes(12, seed + 1), bytes(4, seed + 2), bytes(16 * blocks, seed + 3));
      }
    }
  });

  test(`${name}: keys, IVs and texts of all zeros, all ones, and one bit`, () => {
    const bits = Array.from({ length: 16 }, (_, i) =>
      Uint8Array.from({ length: 16 }, (_, at) => (at === i ? 1 << (i & 7) : 0)),
    );
    for (const key of [new Uint8Array(16), ones(16), new Uint8Array(32), ones(32), ...bits]) {
      for (const iv of [new Uint8Array(12), ones(12)]) {
        for (const text of [new Uint8Array(144), ones(144), ...bits]) check(make, key, iv, ones(4), text);
      }
    }
  });

  test(`${name}: packets as long as may be, whose counters carry`, () => {
    for (const length of [4080, 4096, 4112, 32768, 65536, 262144])
      check(make, bytes(32, 4), bytes(12), bytes(4), bytes(length, 5));
  });

  test(`${name}: the frame anywhere, and nothing else touched; what an earlier, longer one left does not count`, () => {
    const key = bytes(16, 2);
    const gcm = make(key);
    for (let at = 0; at < 18; at++) {
      for (const length of [16, 112, 128]) {
        const [head, text] = [bytes(4, at), bytes(length, at)];
        const memory = ones(at + 4 + length + TAG + 9);
        memory.set(head, at);
        memory.set(text, at + 4);
        const end = at + 4 + length + TAG;
        gcm.seal(bytes(12, at), memory, at, end);
        same(memory, Uint8Array.of(...ones(at), ...sealed(key, bytes(12, at), head, text), ...ones(9)));
        assert.ok(gcm.open(bytes(12, at), memory, at, end));
        same(memory.subarray(0, at + 4 + length), Uint8Array.of(...ones(at), ...head, ...text));
        same(memory.subarray(end), ones(9));
        gcm.seal(ones(12), ones(1044), 0, 1044);
      }
    }
  });

  test(`${name}: one wrong bit anywhere, or another IV, and nothing is decrypted`, () => {
    const [key, iv] = [bytes(16, 3), bytes(12, 3)];
    const gcm = make(key);
    const good = sealed(key, iv, bytes(4, 3), bytes(32, 3));
    for (let bit = 0; bit < good.length * 8; bit++) {
      const frame = good.slice();
      frame[bit >> 3] ^= 1 << (bit & 7);
      const before = frame.slice();
      assert.not.ok(gcm.open(iv, frame, 0, frame.length), `bit ${bit}`);
      same(frame, before, `bit ${bit}`);
    }
    for (let bit = 0; bit < 96; bit++) {
      const other = iv.slice();
      other[bit >> 3] ^= 1 << (bit & 7);
      assert.not.ok(gcm.open(other, good.slice(), 0, good.length), `bit ${bit} of the IV`);
    }
    assert.ok(gcm.open(iv, good, 0, good.length));
  });

  test(`${name}: keys by turns do not disturb each other`, () => {
    const keys = [bytes(16, 1), bytes(32, 2), bytes(16, 3)];
    const gcms = keys.map(make);
    for (let round = 0; round < 9; round++) {
      const [key, gcm] = [keys[round % 3], gcms[round % 3]];
      const frame = new Uint8Array(4 + 48 + TAG);
      gcm.seal(bytes(12, round), frame, 0, frame.length);
      same(frame, sealed(key, bytes(12, round), new Uint8Array(4), new Uint8Array(48)));
    }
  });
}

test('the kernel is chosen where it is right, and only there', () => {
  assert.ok(kernelGcm(), 'this runtime has it');
  assert.is(
    tested(() => kernel),
    kernel,
  );
  const refuses = () => {
    throw new Error('no code generation from strings');
  };
  assert.is(tested(refuses), undefined);
  assert.is(
    tested(() => refuses),
    undefined,
  );
  // Wrong in the last byte of the tag, or glad to open anything.
  const sloppy: MakeGcm = key => ({
    ...{ open: (...frame) => kernel(key).open(...frame) },
    seal(iv, frame, start, end) {
      kernel(key).seal(iv, frame, start, end);
      frame[end - 1] ^= 1;
    },
  });
  const glad: MakeGcm = key => ({
    ...{ seal: (...frame) => kernel(key).seal(...frame) },
    open(...frame) {
      kernel(key).open(...frame);
      return true;
    },
  });
  // Right with AES-128 only.
  const partial: MakeGcm = key => (key.length === 16 ? kernel(key) : sloppy(key));
  for (const wrong of [sloppy, glad, partial]) {
    assert.is(
      tested(() => wrong),
      undefined,
    );
  }
});

test.run();
