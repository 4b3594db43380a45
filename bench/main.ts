// `npm run bench`: measures, prints tables, and writes them into README.md when told to.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { rewriteBlock } from '../test/kit/table.ts';
import { cryptoReport, measureCrypto } from './crypto.ts';
import { describe, machine } from './machine.ts';
import { CIPHERS, measureRelay, relayReport } from './relay.ts';

type Part = 'crypto' | 'relay';

interface Flags {
  mib: number;
  rounds: number;
  write?: boolean;
  profile?: string;
}

const readme = join(import.meta.dirname, 'README.md');
const dist = join(import.meta.dirname, '..', 'dist', 'cli.js');

await new Command('npm run bench --')
  .description(
    'Measures in CPU time: what cryptography costs per packet, by provider; and one circuit through our ' +
      'switchboard beside the machine’s own sshd doing the same job. Takes about five minutes; the machine should do nothing else.',
  )
  .addArgument(new Argument('[part]', 'only this part').choices(['crypto', 'relay']))
  .option('--mib <number>', 'relay: MiB in one transfer', atLeastOne, 512)
  .option('--rounds <number>', 'relay: how often everything is measured', atLeastOne, 5)
  .option('--write', 'also put the figures into bench/README.md')
  .option('--profile <directory>', 'relay: leave a CPU profile of the switchboard there (costs time itself)')
  .addHelpText('after', '\nA quick look: npm run bench -- relay --mib 128 --rounds 1')
  .showHelpAfterError('(--help shows what is possible)')
  .action(run)
  .parseAsync();

async function run(part: Part | undefined, flags: Flags): Promise<void> {
  if (!existsSync(dist)) {
    process.stderr.write('bench: measures what `npm run build` makes, and there is no dist yet\n');
    process.exit(1);
  }
  const where = describe(machine());
  console.log(where);
  if (part !== 'relay') {
    const report = cryptoReport(await measureCrypto(progress));
    publish('crypto', report, where, flags);
  }
  if (part !== 'crypto') {
    const { mib, rounds, profile } = flags;
    const result = await measureRelay({ ciphers: CIPHERS, rounds, mebibytes: mib, profile, progress });
    publish('relay', relayReport(result), where, { write: flags.write && result.rounds.length > 0 });
  }
}

/** A part that was skipped is not written: older figures are better than none. */
function publish(part: Part, report: string, where: string, { write }: Pick<Flags, 'write'>): void {
  progress('');
  console.log(`\n${report}`);
  if (write) rewriteBlock(readme, part, `Measured on: ${where}.\n\n${report}`);
}

/** One line that is written over again, for somebody who waits at a terminal. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function atLeastOne(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return Number(text);
}
