// Attacks by packet on a server and a client, in every stage. `SEED=n node --import tsx test/fuzz/packets.test.ts` replays one; SEEDS=from-to runs a range.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { attack, replay } from './attack.ts';
import type { Case } from './victim.ts';

const SEEDS = 12_000;
const corpus = join(import.meta.dirname, 'corpus');

for (const name of readdirSync(corpus).filter(name => name.endsWith('.json'))) {
  test(`kept: ${name}`, async () => {
    await replay(JSON.parse(readFileSync(join(corpus, name), 'utf8')) as Case);
  });
}

const wanted = process.env.SEED;
const [from, to] = wanted
  ? [Number(wanted), Number(wanted) + 1]
  : (process.env.SEEDS ?? `0-${SEEDS}`).split('-').map(Number);
test(`attacks from ${from} to below ${to}`, async () => {
  const ends = new Map<string, number>();
  for (let seed = from; seed < to; seed++) {
    const kept: Case = { role: 'server', app: 0, packets: [] };
    try {
      const end = await attack(seed, kept);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    } catch (error) {
      // Saved as test/fuzz/corpus/NAME.json, the case is replayed before all others from then on.
      throw new Error(`SEED=${seed}: ${(error as Error).stack}\n${JSON.stringify(kept)}`);
    }
  }
  if (wanted || process.env.TRACE) console.log(ends);
});

test.run();
