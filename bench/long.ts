// The long part: one circuit whose ends are far away, by a proxy in between that holds everything back.
import { Scope } from '../test/kit/processes.ts';
import { comparison } from './comparison.ts';
import { type Contender, helper } from './contenders.ts';
import { interleaved, type Progress, type Series, started } from './rounds.ts';
import { type Measurement, transfer } from './transfer.ts';

export interface LongOptions {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** Of one transfer. */
  readonly seconds: number;
  readonly progress: Progress;
}

export interface LongResult extends Pick<LongOptions, 'rounds' | 'seconds'> {
  readonly series: readonly Series<Measurement>[];
}

/** ms that a byte is under way; there and back it is twice that. */
const DELAY = 50;
const MIB = 1024 * 1024;

export async function measureLong(options: LongOptions): Promise<LongResult> {
  const { rounds, seconds, progress } = options;
  const scope = new Scope();
  try {
    const { child, port } = await helper(scope, 'source.ts');
    // Windows are the same on each runtime.
    const contenders = options.contenders.filter(({ name }) => ['cordboard', 'sshd', 'ssh2-nodelay'].includes(name));
    const tasks = [];
    for (const { contender, server } of await started(scope, contenders, port)) {
      const far = (await helper(scope, 'delay.ts', server.target!.port, DELAY)).port;
      for (const [group, ways] of [
        ['the caller', { caller: far }],
        ['the provider', { provider: far }],
        ['both', { caller: far, provider: far }],
      ] as const) {
        const run = () =>
          transfer(
            server,
            { port, pid: child.pid },
            { cipher: 'aes128-gcm@openssh.com', ways, bytes: Infinity, seconds },
          );
        tasks.push({ name: contender.name, title: contender.title, group, run });
      }
    }
    tasks.sort((a, b) => a.group.localeCompare(b.group));
    return { rounds, seconds, series: await interleaved(tasks, rounds, [], progress) };
  } finally {
    await scope.end();
  }
}

/** MiB per second. */
export const speed = (run: Measurement): number => run.bytes / MIB / run.seconds;

export function longReport({ rounds, seconds, series }: LongResult): string {
  const report = comparison(series, {
    head: ['far away', 'server'],
    labels: ({ group, title }) => [group, title],
    columns: [{ title: 'MiB/s', value: speed }],
    ratioOf: speed,
  });
  return `${report}\n\n${rounds} rounds of ${seconds} s each, ${2 * DELAY} ms there and back; the higher the ratio the better; median (min–max).`;
}
