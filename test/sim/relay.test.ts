// Thousands of seeds of a whole relay. `SEED=n node --import tsx test/sim/relay.test.ts` replays one with a trace; SEEDS=from-to runs a range.
import { test } from 'uvu';
import { run } from './run.ts';

const SEEDS = 2000;

const wanted = process.env.SEED;
if (wanted !== undefined) {
  test(`seed ${wanted}`, async () => {
    console.log(`${await run(Number(wanted), line => console.log(line))} steps`);
  });
} else {
  const [from, to] = (process.env.SEEDS ?? `0-${SEEDS}`).split('-').map(Number);
  test(`seeds from ${from} to below ${to}`, async () => {
    const failed: string[] = [];
    let steps = 0;
    for (let seed = from; seed < to && failed.length < 10; seed++) {
      try {
        steps += await run(seed);
      } catch (error) {
        failed.push(`SEED=${seed}: ${(error as Error).stack}`);
      }
    }
    console.log(`${steps} steps`);
    if (failed.length > 0) throw new Error(`${failed.length} seeds failed\n${failed.join('\n')}`);
  });
}

test.run();
