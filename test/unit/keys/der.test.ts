// DER: the one encoding that X.690 allows is read, every other is refused; what is written is read back.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DerReader, der } from '../../../src/crypto/keys/der.ts';
import { refuses } from './files.ts';

const reader = (...bytes: number[]) => new DerReader(Uint8Array.from(bytes), 'the thing');

test('numbers: minimal, not negative, not empty', () => {
  assert.equal(reader(2, 1, 0).integer(), new Uint8Array(0));
  assert.equal(reader(2, 1, 127).integer(), Uint8Array.of(127));
  assert.equal(reader(2, 2, 0, 128).integer(), Uint8Array.of(128));
  assert.is(reader(2, 5, 0, 255, 255, 255, 255).small(), 2 ** 32 - 1);
  refuses(() => reader(2, 5, 1, 0, 0, 0, 0).small(), /^the thing is damaged: a number is larger/);
  refuses(() => reader(2, 0).integer(), /no digits/);
  refuses(() => reader(2, 1, 128).integer(), /negative/);
  refuses(() => reader(2, 2, 0, 127).integer(), /leading zeros/);
  refuses(() => reader(2, 2, 0, 0).integer(), /leading zeros/);
  refuses(() => reader(4, 1, 0).integer(), /a number is missing/);
});

test('lengths: definite, minimal, within the bytes', () => {
  const long = (length: number, ...head: number[]) =>
    new DerReader(Uint8Array.from([4, ...head, ...new Array<number>(length).fill(7)]), 'the thing');
  assert.is(long(127, 127).octets().length, 127);
  assert.is(long(128, 0x81, 128).octets().length, 128);
  assert.is(long(256, 0x82, 1, 0).octets().length, 256);
  refuses(() => long(127, 0x81, 127).octets(), /longer than it needs to be/);
  refuses(() => long(128, 0x82, 0, 128).octets(), /longer than it needs to be/);
  refuses(() => long(5, 0x80).octets(), /impossible length/);
  refuses(() => long(5, 0x85, 0, 0, 0, 0, 5).octets(), /impossible length/);
  refuses(() => long(0, 0x84, 255, 255).octets(), /impossible length/);
  refuses(() => long(8, 0x84, 255, 255, 255, 255).octets(), /runs past the end/);
  refuses(() => long(4, 5).octets(), /runs past the end/);
  refuses(() => reader(4).octets(), /runs past the end/);
  refuses(() => reader().octets(), /missing/);
});

test('an inner element cannot reach beyond the outer one', () => {
  const outer = reader(0x30, 3, 4, 2, 1, 9);
  refuses(() => outer.sequence().octets(), /runs past the end/);
});

test('object identifiers', () => {
  for (const oid of [
    '1.2.840.113549.1.1.1',
    '1.3.101.112',
    '0.0',
    '2.16.840.1.101.3.4.1.42',
    '2.999.3',
    '1.3.132.0.34',
  ])
    assert.is(new DerReader(der.oid(oid), 'it').oid(), oid);
  refuses(() => reader(6, 0).oid(), /empty/);
  refuses(() => reader(6, 2, 0x2a, 0x86).oid(), /cut off/);
  refuses(() => reader(6, 3, 0x2a, 0x80, 1).oid(), /leading zeros/);
  refuses(() => reader(6, 7, 0x2a, 255, 255, 255, 255, 255, 1).oid(), /out of bounds/);
});

test('bit strings are of whole bytes, nulls empty', () => {
  assert.equal(reader(3, 2, 0, 5).bits(), Uint8Array.of(5));
  refuses(() => reader(3, 2, 1, 4).bits(), /whole bytes/);
  refuses(() => reader(3, 0).bits(), /whole bytes/);
  refuses(() => reader(5, 1, 0).optionalNull(), /null/);
  reader(4, 0).optionalNull();
});

test('what is written is read back, at the lengths where the form changes', () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65535, 65536]) {
    const bytes = new Uint8Array(length).fill(0x81);
    const both = der.sequence(
      der.octets(bytes),
      der.bits(bytes),
      der.integer(bytes),
      der.explicit(3, der.small(length)),
    );
    const inside = new DerReader(both, 'it').sequence();
    assert.equal(inside.octets(), bytes);
    assert.equal(inside.bits(), bytes);
    assert.equal(inside.integer(), bytes);
    assert.is(inside.explicit(2), undefined);
    assert.is(inside.explicit(3)?.small(), length);
    assert.is(inside.explicit(3), undefined);
    inside.finish();
  }
  refuses(() => reader(5, 0).finish(), /trailing/);
});

test.run();
