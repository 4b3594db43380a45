// The bench's arithmetic: medians, how figures are printed, batches that find their size, CPU times of processes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { countsCpu, minus, sum, treeMemory, treeTime } from '../../../bench/process-cpu.ts';
import { cpuTime, type Sampling, sample } from '../../../bench/sampling.ts';
import { figure, figures, spread } from '../../../bench/statistics.ts';
import { bounded } from '../../kit/processes.ts';

test('spread: the middle of an odd number of values, the mean of the two middle ones of an even, by size and not by text', () => {
  assert.equal(spread([9, 100, 10]), { median: 10, min: 9, max: 100 });
  assert.equal(spread([4, 1, 100, 2]), { median: 3, min: 1, max: 100 });
  assert.equal(spread([7]), { median: 7, min: 7, max: 7 });
  const values = [3, 1, 2];
  spread(values);
  assert.equal(values, [3, 1, 2], 'what was measured keeps its order');
});

test('figure: three significant digits, never an exponent', () => {
  for (const [value, text] of [
    [1234.5, '1235'],
    [123.45, '123'],
    [12.345, '12.3'],
    [1.2345, '1.23'],
    [0.12345, '0.123'],
    [0.012345, '0.012'],
    [0.0000123, '0.000'],
    [-1.2345, '-1.23'],
    [0, '0'],
    [1e7, '10000000'],
    [Number.NaN, 'NaN'],
  ] as const) {
    assert.is(figure(value), text);
  }
});

test('figures: the median with its range; the range only where there is one', () => {
  assert.is(figures([2, 1, 4]), '2.00 (1.00–4.00)');
  assert.is(figures([2]), '2.00');
});

const sampling: Sampling = { samples: 5, target: 1000, warmUp: 5000, limit: 1e9 };

test('sample: batches grow until they take their time, and what one operation costs comes out', () => {
  const counts: number[] = [];
  const parts = sample(count => {
    counts.push(count);
    return [count * 2, count * 0.5];
  }, sampling);
  assert.equal(parts, [Array(5).fill(2), Array(5).fill(0.5)]);
  assert.is(counts[0], 1);
  assert.equal(counts.slice(-5), Array(5).fill(400), '400 operations of 2.5 µs take the 1000 µs that were asked for');
  for (let i = 1; i < counts.length; i++) assert.ok(counts[i] <= counts[i - 1] * 10, `${counts}`);
});

test('sample: the warm-up does not count, and ends although a batch may be too short for the clock', () => {
  let spent = 0;
  const parts = sample(
    count => {
      const cost = spent < 5000 ? 100 * count : count;
      spent += cost;
      return [cost];
    },
    { ...sampling, most: 50 },
  );
  assert.equal(parts, [Array(5).fill(1)]);
  assert.equal(
    sample(() => [0, 0], { ...sampling, most: 3 }),
    [Array(5).fill(0), Array(5).fill(0)],
  );
});

test('sample: no batch is larger than memory allows, and none is empty', () => {
  const counts: number[] = [];
  sample(
    count => {
      counts.push(count);
      return [count];
    },
    { ...sampling, most: 7 },
  );
  assert.is(Math.max(...counts), 7);
  const slow: number[] = [];
  sample(count => {
    slow.push(count);
    return [1e6 * count];
  }, sampling);
  assert.is(Math.max(...slow), 1);
  assert.is(Math.min(...slow), 1);
});

test('sample: what takes too long is left with fewer samples, but never without', () => {
  const costs = [400, 100, 300];
  const limited = (limit: number) => sample(() => costs, { ...sampling, warmUp: 1, limit });
  assert.equal(limited(2000), [Array(2).fill(400), Array(2).fill(100), Array(2).fill(300)]);
  assert.equal(limited(1), [[400], [100], [300]]);
});

/** Uses the processor until this process's own clock has counted so many µs. */
function burn(microseconds: number): void {
  const before = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(before);
    if (user + system >= microseconds) return;
  }
}

test('cpuTime: what the body has used', () => {
  assert.ok(cpuTime(() => burn(30_000)) >= 30_000);
});

if (countsCpu) {
  test('treeTime: a process, and each of its descendants once', () => {
    const before = treeTime(process.pid);
    burn(300_000);
    const used = sum(minus(treeTime(process.pid), before));
    // Ticks are of 10 ms, and user and system time are rounded each by itself.
    assert.ok(used >= 0.27, `${used} s`);
    const { user, system } = process.cpuUsage();
    const [all, twice] = [sum(treeTime(process.pid)), sum(treeTime(process.pid, process.pid))];
    assert.ok(all >= (user + system) / 1e6 - 0.03, 'no less than this process alone');
    assert.ok(twice < all + 0.2, 'named twice, counted once');
  });

  test(
    'treeTime: a child’s time is in its parent’s tree while it runs and after it has ended, and not in its own any more',
    bounded(180, async scope => {
      const before = sum(treeTime(process.pid));
      const program = `
        const end = () => process.cpuUsage().user + process.cpuUsage().system > 500_000;
        while (!end());
        console.log('used');
        process.stdin.resume().on('end', () => process.exit(0));
      `;
      const child = scope.start(process.execPath, ['-e', program]);
      await child.says(/used/);
      const own = sum(treeTime(child.pid));
      assert.ok(own >= 0.47, `${own} s`);
      const running = sum(treeTime(process.pid)) - before;
      assert.ok(running >= own - 0.02, `${running} s of the tree, ${own} s of the child`);
      child.endInput();
      await child.ended;
      const ended = sum(treeTime(process.pid)) - before;
      assert.ok(ended >= own - 0.02, `${ended} s after its end`);
      assert.is(sum(treeTime(child.pid)), 0);
    }),
  );

  test(
    'treeMemory: what a child holds is in its parent’s tree',
    bounded(60, async scope => {
      const child = scope.start(process.execPath, [
        '-e',
        "const held = Buffer.alloc(2 ** 26, 1); console.log('held'); process.stdin.resume().on('end', () => process.exit(held[0]));",
      ]);
      await child.says(/held/);
      const own = treeMemory(child.pid);
      assert.ok(own >= 65536 && own < 1024 * 1024, `${own} KiB`);
      assert.ok(treeMemory(process.pid) >= own + 10_000, 'this process and its child');
    }),
  );
}

test.run();
