// The handshake's part: what one sign-in costs a server, by key exchange, one at a time and four at once.
import { pause, Scope } from '../test/kit/processes.ts';
import { comparison, present } from './comparison.ts';
import { ASIDE, type Contender, type Running } from './contenders.ts';
import { lightClients, type Tell } from './light-clients.ts';
import { minus, sum, treeTime } from './process-cpu.ts';
import { interleaved, type Progress, type Series, started, unless } from './rounds.ts';
import { figure, spread } from './statistics.ts';

export interface HandshakeOptions {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** One measurement ends after so many sign-ins or seconds. */
  readonly count: number;
  readonly seconds: number;
  readonly progress: Progress;
}

export interface SignInCost {
  /** CPU ms of all the server's processes for each sign-in. */
  readonly cpu: number;
  readonly perSecond: number;
}

export interface HandshakeResult extends Pick<HandshakeOptions, 'rounds' | 'count' | 'seconds'> {
  readonly series: readonly Series<SignInCost>[];
}

/**
 * Key exchange and how many at once. All with ed25519 keys. A stock client's first choice is sntrup761x25519 up to
 * OpenSSH 9.9, and mlkem768x25519 since 10.0.
 */
const KINDS = [
  { kex: 'curve25519-sha256', atOnce: 1, times: 1 },
  { kex: 'curve25519-sha256', atOnce: 4, times: 1 },
  // It takes a light client longer.
  { kex: 'sntrup761x25519-sha512@openssh.com', atOnce: 1, times: 3 },
  { kex: 'mlkem768x25519-sha256', atOnce: 1, times: 1 },
];
const group = ({ kex, atOnce }: (typeof KINDS)[number]): string => (atOnce > 1 ? `${kex}, ${atOnce} at once` : kex);

/** ms that a server's processes get to end: only then their time is counted. */
const SETTLE = 300;
const UNMEASURED = 100;

export async function measureHandshake(options: HandshakeOptions): Promise<HandshakeResult> {
  const { rounds, count, seconds, progress } = options;
  const scope = new Scope();
  try {
    const tell = lightClients(scope);
    const contenders = options.contenders.filter(({ name }) => name !== 'tcp');
    const entrants = await started(scope, contenders, 9);
    const tasks = KINDS.flatMap(kind =>
      entrants.map(({ contender: { name, title, aside }, server }) => {
        const measure = (most: number) => signIns(tell, server, kind, most, seconds);
        // Not everyone has every key exchange.
        const run = () => measure(count).catch(unless(/no common key exchange/));
        return {
          name,
          title,
          group: group(kind),
          rounds: aside ? ASIDE : rounds,
          run,
          warmUp: () => measure(UNMEASURED),
        };
      }),
    );
    const warmUp = tasks.map(task => ({ ...task, run: task.warmUp }));
    return { rounds, count, seconds, series: await interleaved(tasks, rounds, warmUp, progress) };
  } finally {
    await scope.end();
  }
}

async function signIns(
  tell: Tell,
  { child, target, user = 'alice' }: Running,
  { times, ...kind }: (typeof KINDS)[number],
  most: number,
  limit: number,
): Promise<SignInCost> {
  const before = treeTime(child.pid);
  const { count, seconds } = await tell({
    do: 'sign in',
    port: target!.port,
    user,
    ...kind,
    count: most,
    seconds: limit * times,
  });
  await pause(SETTLE);
  const cpu = sum(minus(treeTime(child.pid), before));
  return { cpu: (cpu * 1000) / count, perSecond: count / seconds };
}

export function handshakeReport({ rounds, count, seconds, series }: HandshakeResult): string {
  const report = comparison(series, {
    head: ['key exchange', 'server'],
    labels: ({ group, title }) => [group, title],
    columns: [
      { title: 'server CPU ms per sign-in', value: run => run.cpu },
      { title: 'sign-ins per second', value: run => run.perSecond, brief: true },
    ],
    ratioOf: run => run.cpu,
  });
  return `${report}\n\n${extra(series)}\n\n${rounds} rounds of ${count} sign-ins or ${seconds} s each; median (min–max). A server that lacks a key exchange has no row.`;
}

/** What a stock client's default costs more than curve25519 alone, in medians. */
function extra(series: readonly Series<SignInCost>[]): string {
  const cpu = (name: string, kex: string): number | undefined => {
    const runs = present(series.find(each => each.name === name && each.group === kex));
    return runs.length > 0 ? spread(runs.map(run => run.cpu)).median : undefined;
  };
  const lines = series.flatMap(({ name, title, group }) => {
    const plain = cpu(name, KINDS[0].kex);
    if (group !== KINDS[0].kex || plain === undefined) return [];
    const more = KINDS.slice(2).flatMap(({ kex }) => {
      const cost = cpu(name, kex);
      return cost === undefined ? [] : [`${kex.replace(/x25519.*/, '')} ${figure(cost - plain)} ms`];
    });
    return more.length > 0 ? [`- ${title}: ${more.join(', ')}`] : [];
  });
  return ['What the post-quantum exchange of a client without options adds:', '', ...lines].join('\n');
}
