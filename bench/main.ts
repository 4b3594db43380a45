// `npm run bench`: measures, prints tables, and writes them into README.md when told to.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { rewriteBlock } from '../test/kit/table.ts';
import { which } from '../test/kit/tools.ts';
import { type Contender, contenders, RUNTIME_NAMES } from './contenders.ts';
import { cryptoReport, measureCrypto } from './crypto.ts';
import { goalsReport } from './goals.ts';
import { handshakeReport, measureHandshake } from './handshake.ts';
import { hotReport, measureHot } from './hot.ts';
import { idleReport, measureIdle } from './idle.ts';
import { latencyReport, measureLatency } from './latency.ts';
import { longReport, measureLong } from './long.ts';
import { describe, machine } from './machine.ts';
import { PARTS, type Part, type Results } from './parts.ts';
import { countsCpu } from './process-cpu.ts';
import { measureProfile, profileReport } from './profile.ts';
import { measureRelay, relayReport } from './relay.ts';

interface Flags {
  only?: string[];
  runtimes: string[];
  circuits: number;
  mib: number;
  seconds: number;
  rounds: number;
  clients: number;
  many: number;
  write?: boolean;
  json?: string;
  profile?: string;
}

const readme = join(import.meta.dirname, 'README.md');
const dist = join(import.meta.dirname, '..', 'dist', 'cli.js');
const names = contenders(RUNTIME_NAMES).map(({ name }) => name);

await new Command('npm run bench --')
  .description(
    'Measures what our switchboard costs beside others that do the same job, by turns, with the machine’s own ssh. ' +
      'Takes about a quarter of an hour; the machine should do nothing else.',
  )
  .addArgument(new Argument('[part]', 'only this part').choices(PARTS))
  .option('--only <names>', `only these contenders, of ${names.join(', ')}`, list(names))
  .option('--runtimes <names>', `ours on these runtimes too, of ${RUNTIME_NAMES.join(', ')}`, list(RUNTIME_NAMES), [
    'node24',
    'bun',
  ])
  .option('--rounds <number>', 'how often everything is measured', atLeast(1), 3)
  .option('--mib <number>', 'relay: MiB in one transfer', atLeast(1), 512)
  .option(
    '--seconds <number>',
    'relay, latency, handshake, long: seconds after which one measurement ends',
    atLeast(1),
    2,
  )
  .option('--circuits <number>', 'relay: so many circuits at once are measured too; 1: only single ones', atLeast(1), 8)
  .option('--clients <number>', 'idle: clients', atLeast(1), 1000)
  .option('--many <number>', 'idle: clients that ours is measured with once; 0: not', atLeast(0), 10_000)
  .option('--write', 'also put the figures into bench/README.md')
  .option('--json <file>', 'also write everything that was measured there')
  .addOption(new Option('--profile <directory>', 'profile: leave what perf has recorded there'))
  .addHelpText('after', '\nA quick look: npm run bench -- relay --only cordboard,sshd --circuits 1 --rounds 1')
  .showHelpAfterError('(--help shows what is possible)')
  .action(run)
  .parseAsync();

async function run(part: Part | undefined, flags: Flags): Promise<void> {
  if (!existsSync(dist)) {
    process.stderr.write('bench: measures what `npm run build` makes, and there is no dist yet\n');
    process.exit(1);
  }
  // What was started ends with this process, if it ends by `exit`.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  const results: Results = {};
  const here = machine();
  const chosen = contenders([
    ...flags.runtimes,
    ...RUNTIME_NAMES.filter(name => flags.only?.includes(`cordboard-${name}`)),
  ]).filter(({ name }) => flags.only?.includes(name) ?? true);
  const leftOut = chosen.flatMap(({ title, name, missing }) =>
    missing ? [`${title.trim() || name}: ${missing}`] : [],
  );
  const where = `${describe(here)}.${leftOut.length > 0 ? `\nLeft out: ${leftOut.join('; ')}.` : ''}`;
  console.log(where);
  const present = chosen.filter(({ missing }) => missing === undefined);
  for (const name of part ? [part] : PARTS) {
    const why = skipped(name);
    if (why) {
      console.log(`\n${name}: left out, because ${why}`);
      continue;
    }
    // A part that fails keeps its older figures, and does not stop the others.
    try {
      const report = await measure(name, present, flags, results);
      progress('');
      console.log(`\n## ${name}\n\n${report}`);
      if (flags.write) rewriteBlock(readme, name, `Measured on: ${where}\n\n${report}`);
    } catch (error) {
      progress('');
      process.exitCode = 1;
      process.stderr.write(`bench: ${name} failed: ${(error as Error).stack}\n`);
    }
  }
  const goals = goalsReport(results, present);
  if (goals) console.log(`\n## goals\n\n${goals}`);
  if (goals && flags.write && part === undefined) rewriteBlock(readme, 'goals', `Measured on: ${where}\n\n${goals}`);
  if (flags.json) writeFileSync(flags.json, `${JSON.stringify({ machine: here, leftOut, results }, undefined, 1)}\n`);
}

/** Measures one part into `results`. @returns its tables */
async function measure(part: Part, present: readonly Contender[], flags: Flags, results: Results): Promise<string> {
  const { rounds, seconds, circuits, clients, many } = flags;
  const common = { contenders: present, rounds, seconds, progress };
  switch (part) {
    case 'relay':
      return relayReport((results.relay = await measureRelay({ ...common, mebibytes: flags.mib, circuits })));
    case 'latency':
      return latencyReport(
        (results.latency = await measureLatency({ ...common, seconds: Math.min(seconds, 1), trips: 5000 })),
      );
    case 'handshake':
      return handshakeReport(
        (results.handshake = await measureHandshake({ ...common, seconds: Math.min(seconds, 1), count: 400 })),
      );
    case 'idle':
      return idleReport((results.idle = await measureIdle({ ...common, rounds: Math.min(rounds, 2), clients, many })));
    case 'long':
      return longReport((results.long = await measureLong({ ...common, rounds: Math.min(rounds, 2) })));
    case 'hot':
      return hotReport((results.hot = await measureHot(progress)));
    case 'crypto':
      return cryptoReport((results.crypto = await measureCrypto(progress)));
    case 'profile': {
      const contender = present.find(({ name }) => name === 'cordboard');
      if (contender === undefined) throw new Error('cordboard takes no part');
      const options = { contender, seconds: 5, directory: flags.profile, progress };
      return profileReport((results.profile = await measureProfile(options)));
    }
  }
}

/** Why a part cannot be measured here. */
function skipped(part: Part): string | undefined {
  if (part === 'crypto' || part === 'hot') return undefined;
  if (!countsCpu) return 'this system has no /proc to read from';
  const missing = ['ssh', 'ssh-keygen', ...(part === 'profile' ? ['perf'] : [])].filter(program => !which(program));
  return missing.length > 0 ? `${missing.join(', ')} not installed` : undefined;
}

/** One line that is written over again, for somebody who waits at a terminal. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function atLeast(least: number): (text: string) => number {
  return text => {
    if (!/^\d{1,6}$/.test(text) || Number(text) < least)
      throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
    return Number(text);
  };
}

function list(choices: readonly string[]): (text: string) => string[] {
  return text => {
    const chosen = text.split(',').filter(Boolean);
    const unknown = chosen.filter(name => !choices.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`There is no ${unknown.join(', ')}.`);
    return chosen;
  };
}
