// The header of the PROXY protocol, byte by byte as haproxy's text lays it out, in any pieces, and whatever else may
// come in its place.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { concat } from '../../../src/protocol/wire/reader.ts';
import { type ProxyHeader, proxyHeader } from '../../../src/server/proxy-header.ts';

const text = (line: string) => new Uint8Array(Buffer.from(line, 'latin1'));
const SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10);
const two = (command: number, family: number, body: Uint8Array, length = body.length) =>
  concat(SIGNATURE, Uint8Array.of(command, family, length >> 8, length & 255), body);
const v4 = Uint8Array.of(192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0, 22);
const six = (last: number) => Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last);
const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1);
const ends = { source: { address: '192.0.2.1', port: 56_324 }, destination: { address: '198.51.100.7', port: 22 } };
const ends6 = { source: { address: '2001:db8::1', port: 56_324 }, destination: { address: '2001:db8::2', port: 22 } };
const ports = Uint8Array.of(0xdc, 0x04, 0, 22);

const GOOD: [string, Uint8Array, Omit<ProxyHeader, 'length'>][] = [
  ['version 1, IPv4', text('PROXY TCP4 192.0.2.1 198.51.100.7 56324 22\r\n'), ends],
  ['version 1, IPv6', text('PROXY TCP6 2001:DB8::1 2001:db8:0::2 56324 22\r\n'), ends6],
  ['version 1, unknown', text('PROXY UNKNOWN\r\n'), {}],
  ['version 1, unknown with more', text('PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n'), {}],
  ['version 2, IPv4', two(0x21, 0x11, v4), ends],
  ['version 2, IPv6', two(0x21, 0x21, concat(six(1), six(2), ports)), ends6],
  [
    'version 2, IPv4 in IPv6',
    two(0x21, 0x21, concat(mapped, six(2), ports)),
    { ...ends6, source: { address: '192.0.2.1', port: 56_324 } },
  ],
  ['version 2 with TLVs', two(0x21, 0x11, concat(v4, Uint8Array.of(4, 0, 3, 1, 2, 3), new Uint8Array(900))), ends],
  ['version 2, LOCAL', two(0x20, 0, new Uint8Array(0)), {}],
  ['version 2, LOCAL with addresses that do not count', two(0x20, 0x11, v4), {}],
  ['version 2, a Unix socket', two(0x21, 0x31, new Uint8Array(216)), {}],
  ['version 2, unspecified', two(0x21, 0, new Uint8Array(5)), {}],
  ['version 2, datagrams', two(0x21, 0x12, v4), {}],
];
for (const [what, bytes, expected] of GOOD) {
  test(`${what}: needs all of its bytes, and no more`, () => {
    for (let length = 0; length < bytes.length; length++)
      assert.is(proxyHeader(bytes.subarray(0, length)), undefined, `${length} bytes`);
    for (const rest of ['', 'SSH-2.0-x\r\n'])
      assert.equal(proxyHeader(concat(bytes, text(rest))), { length: bytes.length, ...expected });
  });
}

const BAD: [string, Uint8Array, RegExp][] = [
  ['an SSH client', text('SSH-2.0-OpenSSH_9.2\r\n'), /does not begin/],
  ['another word', text('PROXIES'), /does not begin/],
  ['another case', text('proxy tcp4'), /does not begin/],
  ['a line feed', text('PR\n'), /does not begin/],
  ['no addresses', text('PROXY TCP4\r\n'), /makes no sense/],
  ['a name', text('PROXY TCP4 localhost 198.51.100.7 1 22\r\n'), /makes no sense/],
  ['the other family', text('PROXY TCP6 192.0.2.1 198.51.100.7 1 22\r\n'), /makes no sense/],
  ['octal', text('PROXY TCP4 010.0.0.1 198.51.100.7 1 22\r\n'), /makes no sense/],
  ['a zone', text('PROXY TCP6 fe80::1%eth0 fe80::2 1 22\r\n'), /makes no sense/],
  ['a port too large', text('PROXY TCP4 192.0.2.1 198.51.100.7 65536 22\r\n'), /makes no sense/],
  ['two blanks', text('PROXY TCP4  192.0.2.1 198.51.100.7 1 22\r\n'), /makes no sense/],
  ['no carriage return', text('PROXY TCP4 192.0.2.1 198.51.100.7 1 22\n'), /makes no sense/],
  ['more behind it', text('PROXY TCP4 192.0.2.1 198.51.100.7 1 22 x\r\n'), /makes no sense/],
  ['no end', text(`PROXY UNKNOWN ${'x'.repeat(200)}`), /too long/],
  ['an end too late', text(`PROXY UNKNOWN ${'x'.repeat(100)}\r\n`), /too long/],
  ['a damaged signature', Uint8Array.of(13, 10, 13, 11), /does not begin/],
  ['version 3', two(0x31, 0x11, v4), /unknown version/],
  ['an unknown command', two(0x22, 0x11, v4), /unknown version/],
  ['IPv4 cut short', two(0x21, 0x11, v4.subarray(0, 11)), /too short/],
  ['IPv6 cut short', two(0x21, 0x21, v4), /too short/],
  ['64 KiB', two(0x21, 0x11, v4, 65_535), /has 65535 bytes/],
];
for (const [what, bytes, reason] of BAD) {
  test(`${what}: is no header`, () => assert.match(proxyHeader(bytes) as string, reason));
}

test('random bytes in a header are read, or refused with a reason, and never fail', () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 20_000; round++) {
    const bytes = GOOD[random(GOOD.length)][1].slice();
    for (let i = random(4); i >= 0; i--) bytes[random(bytes.length)] = random(256);
    const found = proxyHeader(bytes.subarray(0, random(bytes.length + 1)));
    if (typeof found === 'object') assert.ok(found.length <= bytes.length && found.length >= 15);
  }
});

test.run();
