// Counters of security tokens: what a token counts passes once, whatever comes late; what only a copy can have counted does not.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TokenCounters } from '../../../src/server/index.ts';

/** What `note` says of each number in turn. */
function noted(...counters: number[]): boolean[] {
  const tokens = new TokenCounters();
  return counters.map(counter => tokens.note('key', counter));
}

test('numbers that go up pass, in whatever steps', () => {
  assert.equal(noted(1, 2, 3, 40, 1000, 0xffffffff), [true, true, true, true, true, true]);
});

test('a number that comes again, or is far behind, does not', () => {
  assert.equal(noted(5, 5), [true, false]);
  assert.equal(noted(5, 6, 7, 6, 5, 7), [true, true, true, false, false, false]);
  assert.equal(noted(100, 1), [true, false]);
  assert.equal(noted(100, 69, 68), [true, true, false], '31 behind and 32 behind');
  assert.equal(noted(0xffffffff, 1, 0xffffffff), [true, false, false]);
});

test('numbers that come late pass once', () => {
  assert.equal(noted(5, 7, 6, 6), [true, true, true, false]);
  assert.equal(noted(10, 41, 10, 11, 12, 11), [true, true, false, true, true, false]);
  assert.equal(
    noted(10, 42, 11, 10),
    [true, true, true, false],
    'what was seen is forgotten, what is far behind is refused',
  );
});

test('a token that does not count passes; one that begins again at 0 does not', () => {
  assert.equal(noted(0, 0, 0), [true, true, true]);
  assert.equal(noted(0, 3, 0), [true, true, false]);
});

test('what was refused changes nothing', () => {
  assert.equal(noted(50, 1, 51, 51), [true, false, true, false]);
});

test('keys do not disturb each other, and memory is bounded', () => {
  const tokens = new TokenCounters();
  assert.ok(tokens.note('old', 9));
  assert.ok(tokens.note('used', 9));
  for (let i = 0; i < 65_534; i++) tokens.note(`key ${i}`, 9);
  assert.ok(tokens.note('used', 10));
  assert.not(tokens.note('old', 9));
  assert.ok(tokens.note('one more', 1));
  assert.ok(tokens.note('old', 9), 'has been forgotten');
  assert.not(tokens.note('used', 10), 'has not');
});

test.run();
