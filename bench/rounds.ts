// Contenders take turns, A B A B: what disturbs the machine for a while then disturbs all of them.
import type { Scope } from '../test/kit/processes.ts';
import type { Contender, Running, StartOptions } from './contenders.ts';

/** What one contender did, round by round. */
export interface Series<T> {
  /** The contender's name and title. */
  readonly name: string;
  readonly title: string;
  /** What of it was measured, such as a cipher; series of one group compare. */
  readonly group: string;
  /** undefined where it failed, or has no part. */
  readonly runs: (T | undefined)[];
  /** Why. */
  failure?: string;
}

export interface Task<T> extends Pick<Series<T>, 'name' | 'title' | 'group'> {
  /** In so many rounds only, the first ones. */
  readonly rounds?: number;
  /** undefined: this contender has no part in it. */
  run(): Promise<T | undefined>;
}

export type Progress = (text: string) => void;

/** Each task once per round; one that fails is not tried again, and does not keep the others. */
export async function interleaved<T>(
  tasks: readonly Task<T>[],
  rounds: number,
  warmUp: readonly Task<unknown>[],
  progress: Progress,
): Promise<Series<T>[]> {
  const all = tasks.map(({ name, title, group }): Series<T> => ({ name, title, group, runs: [] }));
  for (const { title, group, run } of warmUp) {
    progress(`warming up: ${title}, ${group}`);
    // It will fail once more where it counts.
    await run().catch(() => {});
  }
  for (let round = 0; round < rounds; round++) {
    for (const [i, { title, group, run, rounds: limit }] of tasks.entries()) {
      const series = all[i];
      if (series.failure !== undefined || round >= (limit ?? rounds)) {
        series.runs.push(undefined);
        continue;
      }
      progress(`round ${round + 1} of ${rounds}: ${title}, ${group}`);
      try {
        series.runs.push(await run());
      } catch (error) {
        series.failure = (error as Error).message;
        series.runs.push(undefined);
        progress('');
        process.stderr.write(`bench: ${title}, ${group}: ${series.failure}\n`);
      }
    }
  }
  return all;
}

/** For `catch`: what has that message means that the contender has no part in this. */
export const unless =
  (message: RegExp) =>
  (error: Error): undefined => {
    if (!message.test(error.message)) throw error;
    return undefined;
  };

export interface Entrant {
  readonly contender: Contender;
  readonly server: Running;
}

/** Starts them; one that does not start is said and left out. */
export async function started(
  scope: Scope,
  contenders: readonly Contender[],
  backend: number,
  options?: StartOptions,
): Promise<Entrant[]> {
  const entrants: Entrant[] = [];
  for (const contender of contenders) {
    try {
      entrants.push({ contender, server: await contender.start(scope, backend, options) });
    } catch (error) {
      process.stderr.write(`bench: ${contender.title} did not start: ${(error as Error).message}\n`);
    }
  }
  return entrants;
}
