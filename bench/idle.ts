// The idle part: what memory a server needs for each client that is signed in and does nothing.
import { readFileSync } from 'node:fs';
import { pause, Scope } from '../test/kit/processes.ts';
import { comparison } from './comparison.ts';
import { ASIDE, type Contender } from './contenders.ts';
import { lightClients } from './light-clients.ts';
import { minus, sum, treeMemory, treeTime } from './process-cpu.ts';
import { interleaved, type Progress, type Series } from './rounds.ts';

export interface IdleOptions {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  readonly clients: number;
  /** Ours is measured with so many as well, once; 0: not. */
  readonly many: number;
  readonly progress: Progress;
}

export interface Idle {
  readonly clients: number;
  /** PSS of all the server's processes: KiB for each client more than without, and MiB in all. */
  readonly kibibytes: number;
  readonly total: number;
  /** CPU ms that the server needs for a second of nothing, where there are many. */
  readonly cpu?: number;
}

export interface IdleResult extends Pick<IdleOptions, 'rounds'> {
  readonly series: readonly Series<Idle>[];
}

/** Of a server that has processes for each. */
const FEW = 200;
/** Sign-ins of clients that leave again: what a server loads, compiles and makes room for at first does not come with each. */
const UNMEASURED = 300;
/** Sign-ins at once. Dropbear takes five from one address. */
const AT_ONCE = { threads: 16, forks: 4 };
/** Seconds between the last sign-in and the measurement. */
const SETTLE = 4;
/** Seconds for which CPU time is counted, where there are many clients. */
const WATCHED = 10;
/** Descriptors that a process needs besides its clients. */
const RESERVE = 100;

export async function measureIdle(options: IdleOptions): Promise<IdleResult> {
  const { rounds, clients, many, progress } = options;
  // Two of ssh2 differ from the third in nothing that an idle client has.
  const contenders = options.contenders.filter(({ name }) => !['tcp', 'ssh2', 'ssh2-plain'].includes(name));
  const some = contenders.map(contender => {
    const { name, title, aside, forks } = contender;
    const count = forks ? Math.min(FEW, clients) : clients;
    return { name, title, group: 'some', rounds: aside ? ASIDE : rounds, run: () => idle(contender, count) };
  });
  const series = await interleaved(some, rounds, [], progress);
  const most = Math.min(many, descriptors() - RESERVE);
  if (most < many)
    process.stderr.write(`bench: ${most} clients instead of ${many}: the limit on open files (ulimit -Hn)\n`);
  const ours = contenders
    .filter(each => each.ours && most > clients)
    .map(each => ({ name: each.name, title: each.title, group: 'many', run: () => idle(each, most, WATCHED) }));
  return { rounds, series: [...series, ...(await interleaved(ours, 1, [], progress))] };
}

/** A server of its own for each measurement: memory that it has had once it keeps. */
async function idle(contender: Contender, clients: number, watched = 0): Promise<Idle> {
  const scope = new Scope();
  try {
    const { child, target, user = 'alice' } = await contender.start(scope, 9);
    const tell = lightClients(scope);
    const common = {
      port: target!.port,
      user,
      kex: 'curve25519-sha256',
      atOnce: AT_ONCE[contender.forks ? 'forks' : 'threads'],
    };
    await tell({ do: 'sign in', ...common, count: UNMEASURED, seconds: 60 });
    await pause(SETTLE * 1000);
    const before = treeMemory(child.pid);
    await tell({ do: 'stay', ...common, count: clients });
    await pause(SETTLE * 1000);
    const after = treeMemory(child.pid);
    const used = treeTime(child.pid);
    if (watched > 0) await pause(watched * 1000);
    const cpu = watched > 0 ? (sum(minus(treeTime(child.pid), used)) * 1000) / watched : undefined;
    // They are all still there.
    const { count } = await tell({ do: 'leave' });
    if (count !== clients) throw new Error(`${count} of ${clients} clients were left`);
    return { clients, kibibytes: (after - before) / clients, total: after / 1024, cpu };
  } finally {
    await scope.end();
  }
}

/** How many files a process here may have open, at most; Node takes what it may. */
function descriptors(): number {
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
  return hard === 'unlimited' ? Infinity : Number(hard ?? 0);
}

export function idleReport({ rounds, series }: IdleResult): string {
  const report = comparison(series, {
    head: ['server', 'clients'],
    labels: ({ title }, [{ clients }]) => [title, String(clients)],
    columns: [
      { title: 'KiB per client', value: run => run.kibibytes },
      { title: 'MiB in all', value: run => run.total, brief: true },
      { title: 'server CPU ms per idle second', value: run => run.cpu, brief: true },
    ],
    ratioOf: run => run.kibibytes,
  });
  return `${report}\n\n${rounds} rounds; median (min–max). Servers that have processes for each client are measured with ${FEW}.`;
}
