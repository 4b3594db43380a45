// The data types of RFC 4251 §5, by the RFC's own examples and at the ends of their ranges.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { Packet, readUint32, writeUint32 } from '../../../src/protocol/wire/packet.ts';
import {
  concat,
  decodeAscii,
  decodeUtf8,
  encodeUtf8,
  equalBytes,
  Reader,
  Writer,
} from '../../../src/protocol/wire/reader.ts';
import { seeded } from '../../kit/insecure.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/ /g, ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const string = (bytes: Uint8Array | string) => new Writer().string(bytes).finish();

function refused(body: () => unknown, what = ''): void {
  try {
    body();
  } catch (error) {
    assert.instance(error, ProtocolError, what);
    return;
  }
  assert.unreachable(`${what}: was taken`);
}

test('RFC 4251 §5: uint32 of the RFC, and the ends of the range', () => {
  for (const [value, bytes] of [
    [699921578, '29b7f4aa'],
    [0, '00000000'],
    [0x7fffffff, '7fffffff'],
    [0x80000000, '80000000'],
    [0xffffffff, 'ffffffff'],
  ] as const) {
    assert.is(toHex(new Writer().uint32(value).finish()), bytes);
    assert.is(new Reader(hex(bytes)).uint32(), value);
    const memory = new Uint8Array(6);
    writeUint32(memory, 1, value);
    assert.is(readUint32(memory, 1), value);
    assert.is(memory[0] + memory[5], 0);
  }
});

test('RFC 4251 §5: uint64', () => {
  for (const [value, bytes] of [
    [0n, '0000000000000000'],
    [1n, '0000000000000001'],
    [0xffffffffn, '00000000ffffffff'],
    [0x100000000n, '0000000100000000'],
    [0xffffffffffffffffn, 'ffffffffffffffff'],
  ] as const) {
    assert.is(toHex(new Writer().uint64(value).finish()), bytes);
    assert.is(new Reader(hex(bytes)).uint64(), value);
  }
});

test('RFC 4251 §5: a boolean is 1 or 0 when written, and anything but 0 when read', () => {
  assert.is(toHex(new Writer().boolean(true).boolean(false).finish()), '0100');
  const reader = new Reader(Uint8Array.of(0, 1, 2, 255));
  assert.equal([reader.boolean(), reader.boolean(), reader.boolean(), reader.boolean()], [false, true, true, true]);
});

test('RFC 4251 §5: the string "testing"', () => {
  assert.is(toHex(string('testing')), '0000000774657374696e67');
  assert.is(new Reader(hex('0000000774657374696e67')).text(), 'testing');
});

test('RFC 4251 §5: the mpints of the RFC', () => {
  for (const [magnitude, bytes] of [
    ['', '00000000'],
    ['09a378f9b2e332a7', '0000000809a378f9b2e332a7'],
    ['80', '000000020080'],
  ]) {
    assert.is(toHex(new Writer().mpint(hex(magnitude)).finish()), bytes);
    assert.is(toHex(new Reader(hex(bytes)).mpint()), magnitude);
  }
});

test('RFC 4251 §5: an mpint is written without needless zeros', () => {
  for (const [magnitude, bytes] of [
    ['00', '00000000'],
    ['000000', '00000000'],
    ['0001', '0000000101'],
    ['00007f', '000000017f'],
    ['0080', '000000020080'],
    ['00ff00', '0000000300ff00'],
  ]) {
    assert.is(toHex(new Writer().mpint(hex(magnitude)).finish()), bytes, magnitude);
  }
});

test('RFC 4251 §5: negative mpints (−1234, −deadbeef, of the RFC) and such with needless zeros are refused', () => {
  for (const bytes of [
    '00000002edcc',
    '00000005ff21524111',
    '0000000180',
    '0000000100',
    '000000020001',
    '00000003000080',
    '00000002007f',
  ]) {
    refused(() => new Reader(hex(bytes)).mpint(), bytes);
  }
});

test('mpints of random length go there and back', () => {
  const random = seeded(11);
  for (let i = 0; i < 500; i++) {
    const magnitude = random.bytes(new Uint8Array(1 + random.below(40)));
    magnitude[0] ||= 1;
    assert.equal(new Reader(new Writer().mpint(magnitude).finish()).mpint(), magnitude);
  }
});

test('RFC 4251 §5: the name-lists of the RFC', () => {
  for (const [names, bytes] of [
    [[], '00000000'],
    [['zlib'], '000000047a6c6962'],
    [['zlib', 'none'], '000000097a6c69622c6e6f6e65'],
  ] as const) {
    assert.is(toHex(new Writer().nameList(names).finish()), bytes);
    assert.equal(new Reader(hex(bytes)).nameList(), names);
  }
});

test('as OpenSSH: empty names are skipped in name-lists, and a NUL at the very end does not count', () => {
  for (const [text, names] of [
    [',', []],
    ['a,', ['a']],
    [',a', ['a']],
    ['a,,,b', ['a', 'b']],
    ['a,b\0', ['a', 'b']],
    ['\0', []],
  ] as const)
    assert.equal(new Reader(string(text)).nameList(), names, JSON.stringify(text));
});

test('bytes that are no printable US-ASCII make a name that nobody knows, and that can be shown', () => {
  for (const text of ['a\x00b', '\x7f', 'é', 'a\n', '\x1b[2J', '\u202e']) {
    const name = new Reader(string(text)).anyName();
    assert.match(name, /^[ -~\ufffd]*\ufffd[ -~\ufffd]*$/, JSON.stringify(text));
    assert.equal(new Reader(string(`x,${text}`)).nameList(), ['x', name]);
  }
});

test('text for people is UTF-8 or else Latin-1, without what terminals act on in that', () => {
  const prose = (...bytes: number[]) => new Reader(string(Uint8Array.of(...bytes))).prose();
  assert.is(prose(0xc3, 0xa9), 'é');
  assert.is(prose(0x63, 0xe9), 'cé');
  assert.is(prose(0x63, 0xe9, 0x9b, 0x80, 0xa0, 0xff), 'cé\ufffd\ufffd\u00a0ÿ');
  assert.is(new Reader(new Uint8Array(0)).prose(), '', 'the message ends before it');
  refused(() => new Reader(Uint8Array.of(0, 0, 0, 2, 1)).prose());
});

test('a text that may be none says so, and the fields behind it are read', () => {
  const reader = new Reader(concat(string(Uint8Array.of(0xe9)), string('é')));
  assert.is(reader.textOrNot(), undefined);
  assert.is(reader.textOrNot(), 'é');
});

test('RFC 4251 §6: a name is printable US-ASCII', () => {
  assert.is(new Reader(string(' ~azAZ09@')).name(), ' ~azAZ09@');
  for (let byte = 0; byte < 256; byte++) {
    if (byte >= 0x20 && byte <= 0x7e) assert.is(decodeAscii(Uint8Array.of(byte)), String.fromCharCode(byte));
    else refused(() => decodeAscii(Uint8Array.of(byte)), `byte ${byte}`);
  }
});

test('RFC 3629: text is UTF-8, with NUL, byte order mark and all planes kept as they are', () => {
  for (const text of ['', 'zoë', '\0', '\ufeffx', 'x\ufeff', '🙂', '\u{10ffff}', '日本']) {
    assert.is(decodeUtf8(encodeUtf8(text)), text, JSON.stringify(text));
    assert.is(new Reader(string(text)).text(), text);
  }
});

test('RFC 3629: overlong forms, surrogates, stray and missing bytes are refused', () => {
  for (const bytes of [
    'ff',
    '80',
    'c3',
    'c080',
    'c1bf',
    'e08080',
    'eda080',
    'edbfbf',
    'f08080',
    'f4908080',
    'f8888080',
    '6180',
    'e29ca1e2',
  ]) {
    refused(() => decodeUtf8(hex(bytes)), bytes);
  }
});

test('fields that run past the end are refused, whatever they claim', () => {
  const fields: ((reader: Reader) => unknown)[] = [
    reader => reader.byte(),
    reader => reader.boolean(),
    reader => reader.uint32(),
    reader => reader.uint64(),
    reader => reader.raw(1),
    reader => reader.string(),
    reader => reader.text(),
    reader => reader.name(),
    reader => reader.nameList(),
    reader => reader.mpint(),
  ];
  for (const [i, read] of fields.entries()) {
    refused(() => read(new Reader(new Uint8Array(0))), `field ${i} of nothing`);
    refused(() => read(new Reader(new Uint8Array(20), 8, 8)), `field ${i} with bytes beyond the end`);
  }
  for (const length of [5, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc]) {
    refused(() => new Reader(new Writer().uint32(length).raw(new Uint8Array(4)).finish()).string(), `${length}`);
  }
});

test('what has been refused is not read: the place stays', () => {
  const reader = new Reader(Uint8Array.of(1, 2));
  refused(() => reader.uint32());
  assert.is(reader.remaining, 2);
  assert.is(reader.byte(), 1);
});

test('a Reader keeps to its bounds, and says what is left', () => {
  const reader = new Reader(Uint8Array.of(9, 0, 0, 0, 7, 5, 9), 1, 6);
  assert.is(reader.remaining, 5);
  assert.is(reader.uint32(), 7);
  refused(() => reader.finish(), 'a byte is left');
  assert.equal(reader.rest(), Uint8Array.of(5));
  assert.is(reader.remaining, 0);
  reader.finish();
  assert.equal(reader.rest(), new Uint8Array(0));
});

test('a Writer grows as far as it must, from any size', () => {
  for (const capacity of [0, 1, 3, 64]) {
    const writer = new Writer(capacity);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < 50; i++) {
      const part = new Uint8Array(i * 3).fill(i);
      parts.push(part);
      writer.raw(part);
    }
    assert.is(writer.length, concat(...parts).length);
    assert.equal(writer.finish(), concat(...parts));
  }
});

test('concat makes new memory', () => {
  const one = Uint8Array.of(1);
  const both = concat(one, new Uint8Array(0), Uint8Array.of(2, 3));
  assert.equal(both, Uint8Array.of(1, 2, 3));
  one[0] = 9;
  assert.is(both[0], 1);
  assert.equal(concat(), new Uint8Array(0));
});

test('equalBytes: every single bit counts', () => {
  const a = seeded(2).bytes(new Uint8Array(40));
  assert.ok(equalBytes(a, a.slice()));
  assert.ok(equalBytes(new Uint8Array(0), new Uint8Array(0)));
  assert.not(equalBytes(a, a.subarray(0, 39)));
  for (let i = 0; i < 40 * 8; i++) {
    const b = a.slice();
    b[i >> 3] ^= 1 << (i & 7);
    assert.not(equalBytes(a, b), `bit ${i}`);
  }
});

test('a Packet is a window on memory; alloc and from leave the same room', () => {
  const packet = Packet.from(Uint8Array.of(94, 1, 2));
  assert.is(packet.number, 94);
  assert.is(packet.length, 3);
  assert.equal(packet.payload, Uint8Array.of(94, 1, 2));
  assert.is(packet.payload.buffer, packet.bytes.buffer);
  const empty = Packet.alloc(3);
  assert.is(empty.start, packet.start);
  assert.is(empty.bytes.length, packet.bytes.length);
  assert.equal(empty.payload, new Uint8Array(3));
  const source = Uint8Array.of(1);
  const copy = Packet.from(source);
  source[0] = 2;
  assert.is(copy.number, 1);
});

test.run();
