// Sockets with much to say take turns; who says little is heard at any time.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK, Turns } from '../../../src/server/runtime/turns.ts';

/** A loop whose turns are made by hand. */
function loop() {
  const callbacks: (() => void)[] = [];
  const turns = new Turns(callback => void callbacks.push(callback));
  const turn = (): number => {
    const due = callbacks.splice(0);
    for (const callback of due) callback();
    return due.length;
  };
  return { turns, turn };
}

/** Somebody who always has `length` more to say, and how much of it was heard. */
function talker(turns: Turns, length: number) {
  let open = true;
  const goOn = () => {
    open = true;
  };
  return {
    heard: 0,
    get waits() {
      return !open;
    },
    /** What the loop does if there is something to read. */
    poll() {
      if (!open) return;
      this.heard += length;
      open = turns.read(length, goOn);
    },
  };
}

test('a full block is the end of a turn, and the next one comes with the next', () => {
  const { turns, turn } = loop();
  const only = talker(turns, BLOCK);
  only.poll();
  assert.ok(only.waits);
  turn();
  assert.not.ok(only.waits);
  only.poll();
  assert.ok(only.waits);
  assert.is(only.heard, 2 * BLOCK);
});

test('a loop is woken for nobody: not by who says little, and one turn after the last bytes there is nothing to do', () => {
  const { turns, turn } = loop();
  talker(turns, 1).poll();
  assert.is(turn(), 0);
  talker(turns, BLOCK).poll();
  assert.is(turn(), 1);
  assert.is(turn(), 0);
});

for (const length of [BLOCK, BLOCK - 1, 100_000, 32 * 1024]) {
  test(`fifty who say ${length} bytes at once get the same, in turns that are bounded, and one who says little is never stopped`, () => {
    const { turns, turn } = loop();
    const loud = Array.from({ length: 50 }, () => talker(turns, length));
    const quiet = talker(turns, 100);
    const total = () => loud.reduce((sum, { heard }) => sum + heard, 0);
    for (const each of loud) each.poll();
    const TURNS = 1000;
    for (let i = 1; i <= TURNS; i++) {
      turn();
      const before = total();
      // In whichever order the system has them.
      for (const each of i % 2 ? loud : loud.toReversed()) each.poll();
      quiet.poll();
      // In the first there are those, too, who were heard before there was a line.
      assert.ok(total() - before <= (i === 1 ? 4 : 2) * BLOCK, `${total() - before} bytes in turn ${i}`);
      assert.ok(total() > before, `somebody in turn ${i}`);
    }
    assert.is(quiet.heard, TURNS * 100);
    const heard = loud.map(each => each.heard);
    const [least, most] = [Math.min(...heard), Math.max(...heard)];
    assert.ok(most - least <= length, `${least} to ${most}`);
  });
}

test('many who say a little more do not make the others wait for all of them', () => {
  const { turns, turn } = loop();
  const crowd = Array.from({ length: 1000 }, () => talker(turns, 20_000));
  for (const each of crowd) each.poll();
  // They came at once; from now on they come by turns.
  assert.ok(crowd.filter(each => each.waits).length > 900);
  turn();
  for (const each of crowd) each.poll();
  assert.ok(crowd.filter(each => each.heard === 40_000).length < 100);
});

test('without a crowd, who has not filled his block goes on at once', () => {
  const { turns } = loop();
  const one = talker(turns, 400_000);
  one.poll();
  one.poll();
  assert.not.ok(one.waits);
  one.poll();
  assert.ok(one.waits, 'but not for ever');
});

test.run();
