// The pattern lists of from= and the addresses they are compared with (sshd(8), PATTERNS in ssh_config(5), RFC 4291, RFC 5952).
import { isIP } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatAddress, matchFrom, matchGlob, parseAddress, parseFrom } from '../../../src/crypto/keys/index.ts';
import { seeded } from './files.ts';

function from(list: string, address: string, hostName?: string): boolean {
  const patterns = parseFrom(list);
  if (typeof patterns === 'string') throw new Error(patterns);
  return matchFrom(patterns, address, hostName);
}

test('globs match with * and ?, from end to end', () => {
  for (const [glob, text, verdict] of [
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['?', '', false],
    ['?', 'a', true],
    ['a*', 'a', true],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'axxbyycd', false],
    ['*ab', 'aab', true],
    ['*aab', 'aaaab', true],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['10.0.0.*', '10.0.0.255', true],
    ['10.0.0.*', '10.0.00.1', false],
    ['127.0.0.1', '127.0.0.10', false],
  ] as const)
    assert.is(matchGlob(glob, text), verdict, `${glob} ${text}`);
  // Exponential in a naive matcher.
  assert.not.ok(matchGlob('*a'.repeat(50), 'a'.repeat(1000).concat('b')));
});

test('addresses and networks, IPv4 and IPv6', () => {
  for (const [list, address, verdict] of [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', '127.0.0.1', false],
    ['127.0.0.*', '127.0.0.1', true],
    ['192.0.2.128/25', '192.0.2.128', true],
    ['192.0.2.128/25', '192.0.2.127', false],
    ['192.0.2.1/32', '192.0.2.1', true],
    ['192.0.2.1/32', '192.0.2.0', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.10', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '192.0.2.1', false],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['2001:DB8:0:0::1', '2001:db8::1', true],
    ['2001:db8:*', '2001:db8::1', true],
    ['2001:db8:*', '2001:0DB8::1', true],
    ['2001:db9:*', '2001:db8::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['fe80::1', 'fe80::1%eth0', true],
    ['*', '::1', true],
    ['10.0.0.0/8, 192.0.2.1', '192.0.2.1', true],
  ] as const)
    assert.is(from(list, address), verdict, `${list} ${address}`);
});

test('an IPv4-mapped address is the IPv4 address, on either side', () => {
  for (const address of ['::ffff:10.1.2.3', '::FFFF:a01:203', '0:0:0:0:0:ffff:10.1.2.3', '10.1.2.3']) {
    for (const list of ['10.0.0.0/8', '10.1.*', '10.1.2.3', '::ffff:10.0.0.0/104', '::ffff:10.1.2.3', '::ffff:10.1.*'])
      assert.ok(from(list, address), `${list} ${address}`);
    assert.not.ok(from('!10.0.0.0/8,*', address));
    assert.not.ok(from('!10.1.*,*', address));
    assert.not.ok(from('::/0', address));
  }
});

test('a negated match refuses in whatever order, and negation alone admits nobody', () => {
  assert.ok(from('10.0.0.0/8,!10.1.0.0/16', '10.2.0.1'));
  assert.not.ok(from('10.0.0.0/8,!10.1.0.0/16', '10.1.0.1'));
  assert.not.ok(from('!10.1.0.0/16,10.0.0.0/8', '10.1.0.1'));
  assert.not.ok(from('!10.1.0.0/16', '10.2.0.1'));
  assert.not.ok(from('!10.1.2.3,*', '10.1.2.3'));
  assert.not.ok(from('!fe80:*,*', 'fe80::1'));
  assert.ok(from('!fe80:*,*', '10.1.2.3'));
  assert.ok(from('!fe80*,*', '10.1.2.3'));
});

test('what is no address is admitted by nothing', () => {
  for (const address of ['', 'localhost', '10.0.0', '010.0.0.1', '10.0.0.1 ', '1.2.3.4.5', ':::', 'UNKNOWN'])
    for (const list of ['*', '!192.0.2.1,*', '::/0,0.0.0.0/0'])
      assert.not.ok(from(list, address), `${list} ${address}`);
});

test('host names match only if the caller gives one', () => {
  assert.ok(from('*.example.org', '192.0.2.1', 'gate.example.org'));
  assert.ok(from('*.Example.org', '192.0.2.1', 'GATE.example.ORG.'));
  assert.not.ok(from('*.example.org', '192.0.2.1'));
  assert.not.ok(from('*.example.org', '192.0.2.1', 'example.org.evil.net'));
  assert.ok(from('!bad.example.org,*.example.org', '192.0.2.1', 'good.example.org'));
  assert.not.ok(from('!bad.example.org,*', '192.0.2.1', 'bad.example.org'));
});

test('names that are excluded exclude everybody while names are unknown', () => {
  for (const list of ['!bad.example.org,*', '!bad-host,*', '!cafe,*', '!*.de,*', '!gate*,*'])
    assert.not.ok(from(list, '192.0.2.1'), list);
});

test('a host name made to look like an address is not taken for one', () => {
  assert.not.ok(from('10.0.0.*', '192.0.2.1', '10.0.0.example.org'));
  assert.not.ok(from('10.0.0.?', '192.0.2.1', '10.0.0.1'));
  assert.not.ok(from('!10.0.0.*,*', '192.0.2.1', '10.0.0.example.org'));
});

test('lists that make no sense are refused with a sentence', () => {
  for (const [list, message] of [
    ['', /empty/],
    ['10.0.0.0/8,', /empty/],
    ['!', /empty/],
    ['10.0.0.0/33', /prefix length/],
    ['::/129', /prefix length/],
    ['10.0.0.0/', /prefix length/],
    ['10.0.0.0/-1', /prefix length/],
    ['10.0.0.0/8/8', /prefix length/],
    ['10.0.0.0/255.0.0.0', /prefix length/],
    ['10.0.0.1/8', /bits set beyond/],
    ['2001:db8::1/64', /bits set beyond/],
    ['::ffff:10.0.0.0/95', /prefix length/],
    ['host/24', /not a network/],
    ['10.*/8', /not a network/],
    ['10.1', /not an address/],
    ['!010.0.0.1', /not an address/],
    ['!10.0.0.256', /not an address/],
    ['!2001:db8::1::', /not an address/],
  ] as const) {
    const result = parseFrom(list);
    assert.type(result, 'string', list);
    assert.match(result as string, message);
  }
});

test('addresses: the same texts as node:net knows, and only those (seeded)', () => {
  const next = seeded(5);
  const pieces = [
    '0',
    '1',
    '25',
    '255',
    '256',
    '01',
    'a',
    'ffff',
    'fffff',
    'DB8',
    ':',
    ':',
    '::',
    '.',
    '.',
    '1.2.3.4',
    'g',
    ' ',
  ];
  let valid = 0;
  for (let round = 0; round < 60_000; round++) {
    let text = '';
    for (let n = 1 + next() * 15; n > 0; n--) text += pieces[Math.floor(next() * pieces.length)];
    if (next() < 0.5)
      text = Array.from({ length: next() < 0.3 ? 4 : 8 }, () => Math.floor(next() ** 4 * 300)).join(
        text.length % 2 ? '.' : ':',
      );
    const ip = parseAddress(text);
    assert.is(ip !== undefined, isIP(text) !== 0, text);
    if (!ip) continue;
    valid++;
    assert.equal(parseAddress(formatAddress(ip)), ip);
    assert.ok(from(text, formatAddress(ip)));
  }
  assert.ok(valid > 1000, `${valid}`);
});

test('"::" stands for one group at least', () => {
  for (const text of [
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6::1.2.3.4',
    '1:2:3:4:5:6:7',
  ])
    assert.is(parseAddress(text), undefined, text);
  assert.ok(parseAddress('1:2:3::5:6:7:8'));
});

test('IPv6 is written in its canonical form', () => {
  for (const [text, canonical] of [
    ['2001:0DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
  ])
    assert.is(formatAddress(parseAddress(text)!), canonical);
});

test.run();
