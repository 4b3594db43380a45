// The tally: one count for all processes, exact however they take and give, and without what a dead one had.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tally, type Wish } from '../../../src/apps/switchboard/tally.ts';

const wish = (owner: string, limit: number): Wish => ({ owner, limit });

test('an owner has so many of a thing, whichever processes have them', () => {
  const tally = new Tally();
  const [one, two] = [tally.for('1'), tally.for('2')];
  assert.is(one.take('client', [wish('A', 2)]), undefined);
  assert.is(two.take('client', [wish('A', 2)]), undefined);
  assert.is(one.take('client', [wish('A', 2)]), 'A');
  assert.is(one.take('client', [wish('A', 0)]), undefined, 'no limit');
  assert.is(one.take('circuit', [wish('A', 1)]), undefined, 'another thing');
  assert.is(one.take('client', [wish('B', 1)]), undefined, 'somebody else');
  one.give('client', ['A']);
  assert.is(two.take('client', [wish('A', 2)]), 'A');
  two.give('client', ['A']);
  assert.is(two.take('client', [wish('A', 2)]), undefined);
});

test('two owners get it together or not at all, and one who is both has one', () => {
  const tally = new Tally();
  const one = tally.for('1');
  assert.is(one.take('circuit', [wish('A', 1), wish('A', 1)]), undefined);
  assert.is(one.take('circuit', [wish('B', 1), wish('A', 1)]), 'A');
  assert.is(one.take('circuit', [wish('B', 1)]), undefined, 'nothing was taken');
  one.give('circuit', ['A', 'A']);
  assert.is(one.take('circuit', [wish('A', 1)]), undefined);
});

test('what a process had that has died is nobody’s, and nobody gives what he has not', () => {
  const tally = new Tally();
  for (let i = 0; i < 5; i++) tally.take('dead', 'circuit', [wish('A', 0)]);
  tally.take('alive', 'circuit', [wish('A', 0)]);
  assert.is(tally.take('alive', 'circuit', [wish('A', 6)]), 'A');
  tally.gone('dead');
  tally.give('dead', 'circuit', ['A']);
  assert.is(tally.take('alive', 'circuit', [wish('A', 2)]), undefined);
  assert.is(tally.take('alive', 'circuit', [wish('A', 2)]), 'A');
});

test.run();
