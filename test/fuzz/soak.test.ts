// All attacks at once on one switchboard, beside circuits of the stock ssh: those pass their bytes unaltered, memory stays flat, nothing fails inside.
// `SOAK_SECONDS=1800 node --import tsx test/fuzz/soak.test.ts` is the half hour, with 1 GiB; SOAK_SEED repeats a run, SOAK_ONLY=WORD runs the attacks
// whose names have it, SOAK_JSON=FILE keeps the figures.
import { writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bounded } from '../kit/processes.ts';
import { table } from '../kit/table.ts';
import { needs, skip } from '../kit/tools.ts';
import { besiege, type Siege } from './soak/stage.ts';

const MIB = 1024 * 1024;
const SECONDS = Number(process.env.SOAK_SECONDS ?? 45);
const SEED = Number(process.env.SOAK_SEED ?? Math.floor(Math.random() * 1e6));
/** 1 GiB in half an hour, and at the same pace or a little faster what a short run has time for. */
const BYTES = SECONDS >= 600 ? 1024 * MIB : Math.ceil(SECONDS * 2) * MIB;
/** Part of the samples that is warming up: engines grow to what they need. */
const WARM = 0.25;
/**
 * Memory may differ by that much between the first third and the last without being a leak: how much is garbage at a moment, and
 * which attacks overlap. Without bounds, one flood of those that started this list took a gigabyte in four seconds.
 */
const NOISE = (SECONDS >= 600 ? 64 : 128) * MIB;
/**
 * At no time is it more than that: what DESIGN.md bounds for each peer, times the peers that there are here at once, most of
 * which have nothing.
 */
const MOST = 640 * MIB;

const of = (part: number, values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
};
const mebibytes = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`;

/** Medians of the first third and the last of what comes after warming up, and the most of all. */
function memoryOf({ memory }: Siege) {
  const warm = memory.slice(Math.floor(memory.length * WARM));
  const third = Math.floor(warm.length / 3);
  return { first: of(0.5, warm.slice(0, third)), last: of(0.5, warm.slice(-third)), most: Math.max(...memory) };
}

function summary(siege: Siege): string {
  const { bulk, quiet, newcomers, attacks } = siege;
  const { first, last, most } = memoryOf(siege);
  const ms = (part: number) => `${of(part, quiet).toFixed(1)} ms`;
  const figures = [
    ['seconds, seed', `${siege.seconds}, ${SEED}`],
    [
      'bulk circuit, there and back',
      `${mebibytes(bulk.bytes)}, checksum ${bulk.sent === bulk.received ? 'equal' : 'DIFFERS'}`,
    ],
    ['quiet circuit, median / p95 / most', `${ms(0.5)} / ${ms(0.95)} / ${ms(1)} of ${quiet.length}`],
    ['memory, first third / last / most', [first, last, most].map(mebibytes).join(' / ')],
    ['newcomers served / refused', `${newcomers.served} / ${newcomers.refused.length}`],
    ['rounds of attacks', String(attacks.reduce((sum, { made }) => sum + made, 0))],
  ];
  return table(['the siege', ''], figures);
}

const name =
  'all attacks at once: circuits pass their bytes, memory is flat, newcomers are served, nothing fails inside';
if (process.platform !== 'linux') skip(test, name, 'the memory of a process is read from /proc');
else
  needs(
    test,
    'ssh',
    'ssh-keygen',
    'redis-server',
  )(
    name,
    bounded(SECONDS * 3 + 240, async scope => {
      console.log(`\nnote: SOAK_SEED=${SEED}`);
      const siege = await besiege(scope, { seconds: SECONDS, seed: SEED, bytes: BYTES });
      console.log(summary(siege));
      const rows = siege.attacks.map(({ name, made, failed, why }) => [name, String(made), String(failed), why ?? '']);
      if (process.env.SOAK_JSON) writeFileSync(process.env.SOAK_JSON, JSON.stringify({ seed: SEED, ...siege }));
      if (SECONDS >= 600 || process.env.SOAK_VERBOSE) console.log(table(['attack', 'made', 'not made', 'why'], rows));
      const { first, last, most } = memoryOf(siege);
      assert.equal(siege.faults, [], 'it has logged no fault of its own');
      assert.is(siege.bulk.received, siege.bulk.sent, 'what has been passed is unaltered');
      assert.ok(siege.quiet.length > 0, 'the quiet circuit was answered');
      assert.ok(
        siege.newcomers.served > siege.newcomers.refused.length,
        `newcomers get in: ${siege.newcomers.refused.join('\n')}`,
      );
      assert.ok(
        last < first + Math.max(NOISE, first / 4),
        `memory grew from ${mebibytes(first)} to ${mebibytes(last)}`,
      );
      assert.ok(most < MOST, `memory was ${mebibytes(most)}`);
      const unmade = siege.attacks.filter(({ made }) => made === 0);
      assert.equal(unmade, [], 'each attack has been made');
    }),
  );

test.run();
