// The relay's part: the same job through everyone by turns, with several ciphers and with several circuits at once.
import { Scope } from '../test/kit/processes.ts';
import { type Column, comparison } from './comparison.ts';
import { ASIDE, type Contender, helper } from './contenders.ts';
import { sum } from './process-cpu.ts';
import { interleaved, type Progress, type Series, started, unless } from './rounds.ts';
import { type Measurement, transfer } from './transfer.ts';

export interface RelayOptions {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** One transfer ends after so many MiB or seconds. */
  readonly mebibytes: number;
  readonly seconds: number;
  /** So many circuits at once are measured as well; 1: only single ones. */
  readonly circuits: number;
  readonly progress: Progress;
}

export interface RelayResult extends Pick<RelayOptions, 'rounds' | 'mebibytes' | 'seconds'> {
  readonly series: readonly RelaySeries[];
}

export interface RelaySeries extends Series<Measurement> {
  /** undefined: what a client takes that is told nothing. */
  readonly asked?: string;
  readonly circuits: number;
}

const GCM = 'aes128-gcm@openssh.com';
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Through each server once before anything counts: a server that has run for a day is compiled. */
const UNMEASURED = 256 * MIB;

const group = (asked: string | undefined, circuits: number): string =>
  `${asked ?? 'no option'}${circuits > 1 ? `, ${circuits} circuits` : ''}`;

export async function measureRelay(options: RelayOptions): Promise<RelayResult> {
  const { contenders, rounds, mebibytes, seconds, progress } = options;
  const scope = new Scope();
  try {
    const { child, port } = await helper(scope, 'source.ts');
    const source = { port, pid: child.pid };
    const entrants = await started(scope, contenders, port);
    const ssh = ({ name }: Contender) => name !== 'tcp';
    const closely = (each: Contender) => !each.aside && ssh(each);
    // Two ciphers show where everyone stands; the others do not depend on how a runtime treats sockets and memory.
    const once = (each: Contender) => closely(each) && !each.name.startsWith('cordboard-');
    const kinds = [
      { asked: undefined, circuits: 1, of: () => true },
      { asked: GCM, circuits: 1, of: ssh },
      { asked: 'chacha20-poly1305@openssh.com', circuits: 1, of: once },
      { asked: 'aes128-ctr', circuits: 1, of: once },
      ...(options.circuits > 1 ? [{ asked: GCM, circuits: options.circuits, of: closely }] : []),
    ];
    const tasks = kinds.flatMap(({ asked, circuits, of }) =>
      entrants
        .filter(({ contender }) => of(contender))
        .map(({ contender: { name, title, aside }, server }) => ({
          name,
          title,
          asked,
          circuits,
          rounds: aside ? ASIDE : rounds,
          group: group(asked, circuits),
          // Not everyone has every cipher.
          run: () =>
            transfer(server, source, { cipher: asked, circuits, bytes: mebibytes * MIB, seconds }).catch(
              unless(/no matching cipher/),
            ),
          warmUp: () =>
            transfer(server, source, { cipher: asked, bytes: Math.min(UNMEASURED, mebibytes * MIB), seconds: 1 }),
        })),
    );
    const warmUp = tasks.filter(({ circuits }) => circuits === 1).map(each => ({ ...each, run: each.warmUp }));
    const series = await interleaved(tasks, rounds, warmUp, progress);
    return {
      rounds,
      mebibytes,
      seconds,
      series: series.map((one, i) => ({ ...one, asked: tasks[i].asked, circuits: tasks[i].circuits })),
    };
  } finally {
    await scope.end();
  }
}

/** CPU seconds of all the server's processes for each GiB. */
export const cost = (run: Measurement): number => perGib(run, sum(run.cpu));

/** CPU seconds for each GiB, and how it compares. */
export function relayReport({ rounds, mebibytes, seconds, series }: RelayResult): string {
  const columns: Column<Measurement>[] = [
    { title: 'server CPU s/GiB', value: cost },
    { title: 'user', value: run => perGib(run, run.cpu.user), brief: true },
    { title: 'system', value: run => perGib(run, run.cpu.system), brief: true },
    { title: 'MiB/s', value: run => run.bytes / MIB / run.seconds, brief: true },
    { title: 'clients CPU s/GiB', value: run => run.clients && perGib(run, sum(run.clients)), brief: true },
    { title: 'other cores busy', value: run => run.others, brief: true },
  ];
  const report = comparison(series, {
    head: ['cipher', 'server'],
    labels: (each, [{ cipher, clients }]) => {
      const { asked, circuits } = each as RelaySeries;
      const text = asked === undefined && clients ? `no option: ${cipher}` : cipher;
      return [circuits > 1 ? `${text}, ${circuits} circuits` : text, each.title];
    },
    columns,
    // The floor does less work: it is not compared.
    ratioOf: run => (run.clients ? cost(run) : undefined),
  });
  const caption = `${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${mebibytes} MiB or ${seconds} s each; median (min–max).`;
  return `${report}\n\n${caption}`;
}

const perGib = ({ bytes }: Measurement, seconds: number): number => (seconds / bytes) * GIB;
