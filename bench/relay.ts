// The relay's part: the same job through our switchboard and through sshd, by turns, and a plain TCP relay as the floor.
import { Scope } from '../test/kit/processes.ts';
import { table } from '../test/kit/table.ts';
import { which } from '../test/kit/tools.ts';
import { countsCpu, sum } from './process-cpu.ts';
import { type Contender, helper, startSshd, startSwitchboard, startTcpRelay } from './servers.ts';
import { figure, figures, spread } from './statistics.ts';
import { type Measurement, transfer } from './transfer.ts';

export interface RelayOptions {
  /** undefined: what a client takes that is told nothing. */
  readonly ciphers: readonly (string | undefined)[];
  readonly rounds: number;
  /** Size of one transfer. */
  readonly mebibytes: number;
  /** Where the switchboard is to leave a CPU profile; the profiler costs time itself. */
  readonly profile?: string;
  readonly progress: (text: string) => void;
}

export interface RelayResult {
  readonly mebibytes: number;
  /** By round, in the order in which they were taken. */
  readonly rounds: readonly (readonly Measurement[])[];
  readonly skipped?: string;
}

export const CIPHERS = [undefined, 'aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr'];

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Through each server once before anything counts: a server that has run for a day is compiled. */
const UNMEASURED = 256 * MIB;

export async function measureRelay(options: RelayOptions): Promise<RelayResult> {
  const { ciphers, mebibytes, progress } = options;
  if (!countsCpu) return { mebibytes, rounds: [], skipped: 'this system has no /proc to read CPU times from' };
  const missing = ['ssh', 'ssh-keygen'].filter(program => which(program) === undefined);
  if (missing.length > 0) return { mebibytes, rounds: [], skipped: `${missing.join(', ')} not installed` };
  const skipped = which('sshd') === undefined ? 'sshd is not installed, so nothing to compare with' : undefined;
  if (skipped) progress(`skipped: ${skipped}`);
  const scope = new Scope();
  try {
    const total = mebibytes * MIB;
    const source = await helper(scope, 'source.ts', total);
    const profiling = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : [];
    const ours = await startSwitchboard(scope, source.port, profiling);
    const rivals = skipped ? [ours] : [ours, await startSshd(scope, source.port)];
    const floor = await startTcpRelay(scope, source.port);
    let state = 'warming up';
    const run = async (contender: Contender, cipher?: string, bytes = total) => {
      progress(`${state}: ${contender.name}, ${cipher ?? 'no cipher asked for'}`);
      return transfer(contender, cipher, bytes, source.child.pid);
    };
    for (const cipher of ciphers) {
      for (const contender of rivals) {
        await run(contender, cipher, Math.min(UNMEASURED, total));
      }
    }
    const rounds: Measurement[][] = [];
    for (let round = 0; round < options.rounds; round++) {
      state = `round ${round + 1} of ${options.rounds}`;
      const measured: Measurement[] = [];
      for (const cipher of ciphers) for (const contender of rivals) measured.push(await run(contender, cipher));
      measured.push(await run(floor));
      rounds.push(measured);
    }
    return { mebibytes, rounds, skipped };
  } finally {
    await scope.end();
  }
}

/** CPU seconds for each GiB, and how it compares. */
export function relayReport({ mebibytes, rounds, skipped }: RelayResult): string {
  const note = skipped ? [`Skipped: ${skipped}.`] : [];
  if (rounds.length === 0) return note.join('\n');
  const rows = rounds[0].map(({ server, asked, cipher }, i) => {
    const runs = rounds.map(round => round[i]);
    const clients = runs.flatMap(run => (run.clients ? [perGib(run, sum(run.clients))] : []));
    const ratios = rounds.flatMap(round => {
      const rival = round.find(other => other.server === 'sshd' && other.asked === asked);
      const own = perGib(round[i], sum(round[i].cpu));
      return rival && clients.length > 0 && server !== 'sshd' ? [own / perGib(rival, sum(rival.cpu))] : [];
    });
    return [
      asked === undefined && clients.length > 0 ? `no option: ${cipher}` : cipher,
      server,
      figures(runs.map(run => perGib(run, sum(run.cpu)))),
      `${middle(runs.map(run => perGib(run, run.cpu.user)))} + ${middle(runs.map(run => perGib(run, run.cpu.system)))}`,
      ratios.length > 0 ? figures(ratios) : '–',
      figures(runs.map(run => run.bytes / MIB / run.seconds)),
      clients.length > 0 ? figures(clients) : '–',
      middle(runs.map(run => run.others)),
    ];
  });
  const head = [
    'cipher',
    'server',
    'server CPU s/GiB',
    'user + system',
    'ratio to sshd',
    'MiB/s',
    'clients CPU s/GiB',
    'other cores busy',
  ];
  const caption = `${rounds.length} ${rounds.length === 1 ? 'round' : 'rounds'} of ${mebibytes} MiB each; median (min–max).`;
  return [table(head, rows, 2), '', caption, ...note].join('\n');
}

const perGib = ({ bytes }: Measurement, seconds: number): number => (seconds / bytes) * GIB;

const middle = (values: readonly number[]): string => figure(spread(values).median);
