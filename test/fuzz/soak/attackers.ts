// All attackers, in a process of their own: `attackers.ts GROUND SEED` goes on until standard input ends, and then prints what each has done, as JSON.
// Each attack has a loop of its own; they wait between their rounds, so that two cores are busy with being attacked rather than with attacking.
import { once } from 'node:events';
import { seeded } from '../../kit/insecure.ts';
import { pause } from '../../kit/processes.ts';
import { MEMBERS } from './members.ts';
import { POISON } from './poison.ts';
import { type Attack, type Ground, Round } from './round.ts';
import { STRANGERS } from './strangers.ts';
import { WATCHERS } from './watchers.ts';

/** What became of one attack. */
export interface Tally {
  readonly name: string;
  /** Rounds that came to their end. */
  made: number;
  /** Rounds that could not be made: the switchboard has refused a connection or a sign-in, for instance. */
  failed: number;
  /** Why the last of those could not. */
  why?: string;
}

/** Milliseconds after the end in which those may go on that have not come to anything: a machine may be slow. */
const OVERTIME = 60_000;
/** And in which a round that is going on may come to its end. */
const LAST = 5000;

const ATTACKS: readonly Attack[] = [...STRANGERS, ...MEMBERS, ...WATCHERS, ...POISON];

const [ground, seed] = process.argv.slice(2);
const only = process.env.SOAK_ONLY;
const tallies: Tally[] = [];
let over = Number.POSITIVE_INFINITY;

async function repeat(attack: Attack, index: number): Promise<void> {
  const tally: Tally = { name: attack.name, made: 0, failed: 0 };
  tallies.push(tally);
  const dice = seeded(Number(seed) * 1000 + index);
  const goesOn = () => performance.now() < (tally.made > 0 ? over : over + OVERTIME);
  // Not all at the same moment.
  await pause(dice.below(Math.min(attack.every, 2000)));
  while (goesOn()) {
    const began = performance.now();
    const round = new Round(JSON.parse(ground) as Ground, dice);
    try {
      await attack.run(round);
      tally.made++;
    } catch (error) {
      tally.failed++;
      tally.why = String(error).slice(0, 300);
    } finally {
      await round.scope.end();
    }
    for (const end = began + attack.every; goesOn() && performance.now() < end; ) await pause(50);
  }
}

process.stdin.resume();
const ended = once(process.stdin, 'end').then(() => (over = performance.now()));
// A peer that hangs up in the middle of something makes promises fail that nobody waits for any more: that is no end of the attack.
process.on('unhandledRejection', () => {});
process.on('uncaughtException', error => process.stderr.write(`${error.stack}\n`));
process.stdout.write('ready\n');
const chosen = ATTACKS.filter(({ name }) => only === undefined || name.includes(only));
const all = Promise.all(chosen.map(repeat));
await ended;
const enough = async () => {
  do await Promise.race([all, pause(LAST)]);
  while (tallies.some(({ made }) => made === 0) && performance.now() < over + OVERTIME);
};
await enough();
process.stdout.write(`${JSON.stringify(tallies)}\n`, () => process.exit());
