// PerSourcePenalties and MaxStartups, by a clock of the test's own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dropsEarly, isLoopback, PENALTIES, Penalties, STARTUPS, sourceOf } from '../../../src/server/penalties.ts';
import { seeded } from '../../kit/insecure.ts';

const HOST = '192.0.2.1';

test('penalties add up, and nothing is refused before they reach the minimum', () => {
  const penalties = new Penalties();
  penalties.add(HOST, 'authfail', 100);
  penalties.add(HOST, 'authfail', 100);
  assert.is(penalties.remaining(HOST, 100), 0);
  penalties.add(HOST, 'authfail', 100);
  assert.is(penalties.remaining(HOST, 100), 15);
  // Once reached, it counts to its end.
  assert.is(penalties.remaining(HOST, 114), 1);
  assert.is(penalties.remaining(HOST, 115), 0);
});

test('time wears penalties off', () => {
  const penalties = new Penalties();
  for (let now = 0; now < 1000; now += 5) penalties.add(HOST, 'authfail', now);
  assert.is(penalties.remaining(HOST, 1000), 0);
});

test('a penalty has a maximum', () => {
  const penalties = new Penalties();
  for (let i = 0; i < 100; i++) penalties.add(HOST, 'crash', 0);
  assert.is(penalties.remaining(HOST, 0), PENALTIES.max);
});

test('each offence counts as configured, and 0 switches it off', () => {
  for (const offence of ['noauth', 'authfail', 'grace', 'crash'] as const) {
    const penalties = new Penalties({ ...PENALTIES, min: 0, [offence]: 7 });
    penalties.add(HOST, offence, 0);
    assert.is(penalties.remaining(HOST, 0), 7, offence);
    const off = new Penalties({ ...PENALTIES, min: 0, [offence]: 0 });
    off.add(HOST, offence, 0);
    assert.is(off.remaining(HOST, 0), 0, offence);
  }
});

test('sources are IPv4 addresses and IPv6 /64s; others do not suffer', () => {
  const penalties = new Penalties();
  penalties.add(HOST, 'crash', 0);
  penalties.add('2001:db8:1:2::3', 'crash', 0);
  assert.is(penalties.remaining('192.0.2.2', 0), 0);
  assert.is(penalties.remaining('::ffff:192.0.2.1', 0), 90);
  assert.is(penalties.remaining('2001:db8:1:2:ffff::1', 0), 90);
  assert.is(penalties.remaining('2001:db8:1:3::3', 0), 0);
  assert.is.not(sourceOf('2001:db8::1'), sourceOf('192.0.2.1'));
});

test('loopback is exempt', () => {
  const penalties = new Penalties();
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    assert.ok(isLoopback(address), address);
    penalties.add(address, 'crash', 0);
    assert.is(penalties.remaining(address, 0), 0, address);
  }
  for (const address of ['128.0.0.1', '::2', '1::1', '', 'localhost']) assert.not.ok(isLoopback(address), address);
  assert.is(penalties.size, 0);
});

test('memory is bounded: what is over goes first, then the oldest', () => {
  const penalties = new Penalties();
  const address = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
  for (let i = 0; i < 65_536; i++) penalties.add(address(i), 'crash', i < 10 ? 0 : 50);
  assert.is(penalties.size, 65_536);
  penalties.add('192.0.2.1', 'crash', 95);
  assert.is(penalties.size, 65_527);
  for (let i = 0; i < 10; i++) penalties.add(`192.0.3.${i}`, 'crash', 95);
  assert.is(penalties.size, 65_536);
  assert.is(penalties.remaining(address(10), 95), 0);
  assert.is(penalties.remaining(address(11), 95), 45);
  assert.is(penalties.remaining('192.0.3.9', 95), 90);
});

test('random early drop: none below begin, all from full, and a rising share between', () => {
  const { bytes } = seeded(1);
  const share = (count: number) => {
    let dropped = 0;
    for (let i = 0; i < 4000; i++) if (dropsEarly(count, STARTUPS, bytes)) dropped++;
    return dropped / 4000;
  };
  assert.is(share(9), 0);
  assert.is(share(100), 1);
  assert.is(share(1000), 1);
  assert.ok(Math.abs(share(10) - 0.3) < 0.05, 'at begin: rate');
  assert.ok(Math.abs(share(55) - 0.65) < 0.05, 'half way');
  assert.ok(share(99) > 0.95, 'just before full');
});

test('begin and full may be the same: a plain limit', () => {
  const { bytes } = seeded(1);
  const limits = { begin: 5, rate: 30, full: 5 };
  assert.not.ok(dropsEarly(4, limits, bytes));
  assert.ok(dropsEarly(5, limits, bytes));
});

test.run();
