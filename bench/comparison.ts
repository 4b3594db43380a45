// Tables of what several contenders did, with ratios to those that count.
import { table } from '../test/kit/table.ts';
import type { Series } from './rounds.ts';
import { figure, figures, spread } from './statistics.ts';

/** Whom everyone is compared with: names, and what the column says. */
const RIVALS = [
  { name: 'sshd', title: 'ratio to sshd' },
  { name: 'ssh2-nodelay', title: 'to ssh2 + add-on + setNoDelay' },
] as const;

export interface Column<T> {
  readonly title: string;
  /** undefined where there is none. */
  value(run: T): number | undefined;
  /** Only the median. */
  readonly brief?: boolean;
}

export interface Comparison<T> {
  /** Titles of the texts on the left, and the texts. */
  readonly head: readonly string[];
  labels(series: Series<T>, runs: readonly T[]): readonly string[];
  readonly columns: readonly Column<T>[];
  /** What the ratios are of; the series without have none. */
  ratioOf(run: T): number | undefined;
}

/**
 * A row for each series: medians with their range, and ratios taken within each round, from runs a few seconds apart.
 * What failed stands below.
 */
export function comparison<T>(all: readonly Series<T>[], { head, labels, columns, ratioOf }: Comparison<T>): string {
  const rivals = RIVALS.filter(({ name }) => all.some(series => series.name === name));
  const rows = all.flatMap(series => {
    const runs = present(series);
    if (runs.length === 0) return [];
    return [
      [
        ...labels(series, runs),
        ...columns.map(({ value, brief }) => cell(runs.map(value), brief)),
        ...rivals.map(({ name }) => cell(ratios(series, rivalOf(all, series, name), ratioOf))),
      ],
    ];
  });
  const failures = all.flatMap(({ title, group, failure }) =>
    failure ? [`- ${title}, ${group}: ${summary(failure)}`] : [],
  );
  const titles = [...head, ...columns.map(({ title }) => title), ...rivals.map(({ title }) => title)];
  return [
    ...(rows.length > 0 ? [table(titles, rows, head.length)] : []),
    ...(failures.length > 0 ? ['Failed:', failures.join('\n')] : []),
  ].join('\n\n');
}

/** The series of the same group by `name`, unless that is this one. */
export function rivalOf<T>(all: readonly Series<T>[], series: Series<T>, name: string): Series<T> | undefined {
  return series.name === name ? undefined : all.find(other => other.name === name && other.group === series.group);
}

/** `value` here by `value` there, for each round in which both have one. */
export function ratios<T>(
  series: Series<T>,
  rival: Series<T> | undefined,
  value: (run: T) => number | undefined,
): number[] {
  return series.runs.flatMap((run, round) => {
    const other = rival?.runs[round];
    const [own, theirs] = [run && value(run), other && value(other)];
    return own !== undefined && theirs !== undefined && theirs > 0 ? [own / theirs] : [];
  });
}

/** The runs that did not fail. */
export const present = <T>(series: Series<T> | undefined): T[] =>
  (series?.runs.filter(run => run !== undefined) ?? []) as T[];

function cell(values: readonly (number | undefined)[], brief = false): string {
  const there = values.filter(value => value !== undefined) as number[];
  if (there.length === 0) return '–';
  return brief ? figure(spread(there).median) : figures(there);
}

const summary = (failure: string): string => failure.split('\n', 1)[0].slice(0, 200);
