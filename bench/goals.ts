// What we want to reach, and what was measured: one table that says where we stand.
import { table } from '../test/kit/table.ts';
import { present, ratios } from './comparison.ts';
import type { Contender } from './contenders.ts';
import { AWAKE, SLEEPS } from './latency.ts';
import { speed } from './long.ts';
import type { Results } from './parts.ts';
import { cost, type RelayResult } from './relay.ts';
import type { Series } from './rounds.ts';
import { figure, spread } from './statistics.ts';

interface Goal {
  readonly title: string;
  /** On Node, on Bun; on other runtimes nothing is asked. */
  readonly node: number;
  readonly bun: number;
  /** It is to be reached from below. */
  readonly least?: boolean;
  /** One value for each round, of our contender of that name. */
  measured(results: Results, name: string): number[];
}

const find = <T>(all: readonly Series<T>[] | undefined, name: string, group: string | RegExp): Series<T> | undefined =>
  all?.find(one => one.name === name && (typeof group === 'string' ? one.group === group : group.test(one.group)));

const GCM = 'aes128-gcm@openssh.com';

const beside =
  <P extends 'relay' | 'latency' | 'long', T>(part: P, group: string, rival: string, value: (run: T) => number) =>
  (results: Results, name: string): number[] => {
    const all = results[part]?.series as readonly Series<T>[] | undefined;
    const own = find(all, name, group);
    return own ? ratios(own, find(all, rival, group), value) : [];
  };

const handshake =
  (kex: RegExp) =>
  (results: Results, name: string): number[] =>
    present(find(results.handshake?.series, name, kex)).map(({ cpu }) => cpu);

const more = ({ relay }: Results, name: string): number[] => {
  const all: RelayResult['series'] = relay?.series ?? [];
  const several = all.find(one => one.name === name && one.circuits > 1);
  return several ? ratios(several, find(all, name, GCM), cost) : [];
};

const GOALS: readonly Goal[] = [
  { title: 'relay, aes128-gcm, beside sshd', node: 0.85, bun: 0.5, measured: beside('relay', GCM, 'sshd', cost) },
  {
    title: 'relay, aes128-gcm, beside ssh2 + add-on + setNoDelay',
    node: 1,
    bun: 0.65,
    measured: beside('relay', GCM, 'ssh2-nodelay', cost),
  },
  {
    title: 'relay, client without options, beside sshd',
    node: 0.5,
    bun: 0.3,
    measured: beside('relay', 'no option', 'sshd', cost),
  },
  {
    title: 'relay, client without options, beside ssh2 + add-on + setNoDelay',
    node: 1,
    bun: 0.6,
    measured: beside('relay', 'no option', 'ssh2-nodelay', cost),
  },
  { title: 'relay, several circuits beside one', node: 1, bun: 1, measured: more },
  ...[AWAKE, SLEEPS].map(group => ({
    title: `64 bytes there and back, p50, beside sshd; processors ${group}`,
    node: 0.85,
    bun: 0.85,
    measured: beside('latency', group, 'sshd', (run: { p50: number }) => run.p50),
  })),
  { title: 'sign-in, curve25519 and ed25519, CPU ms', node: 2, bun: 2, measured: handshake(/^curve25519-sha256$/) },
  {
    title: 'memory of an idle client, KiB',
    node: 32,
    bun: 32,
    measured: ({ idle }, name) => present(find(idle?.series, name, 'some')).map(run => run.kibibytes),
  },
  {
    title: 'idle clients in one process',
    node: 10_000,
    bun: 10_000,
    least: true,
    measured: ({ idle }, name) =>
      (idle?.series ?? [])
        .filter(one => one.name === name && one.group === 'many')
        .flatMap(present)
        .map(run => run.clients)
        .sort((a, b) => b - a)
        .slice(0, 1),
  },
  ...['the caller', 'the provider', 'both'].map(far => ({
    title: `100 ms to ${far}, MiB/s, beside sshd`,
    node: 1,
    bun: 1,
    least: true,
    measured: beside('long', far, 'sshd', speed),
  })),
];

/** Medians, and whether they are within their bound; nothing if nothing of this was measured. */
export function goalsReport(results: Results, contenders: readonly Contender[]): string {
  const ours = contenders.filter(({ ours }) => ours);
  const rows = GOALS.flatMap(({ title, node, bun, least, measured }) => {
    const cells = ours.map(({ name, title }) => {
      const values = measured(results, name);
      if (values.length === 0) return '–';
      const value = spread(values).median;
      const bound = /bun/i.test(title) ? bun : node;
      const reached = least ? value >= bound : value <= bound;
      return `${figure(value)} ${least ? '≥' : '≤'} ${figure(bound)} ${reached ? '✓' : '✗'}`;
    });
    return cells.some(cell => cell !== '–') ? [[title, ...cells]] : [];
  });
  return rows.length === 0 ? '' : table(['goal', ...ours.map(({ title }) => title)], rows);
}
