// CPU time and memory of process trees, and CPU time of the whole machine, as Linux counts them in /proc (proc(5)).
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Seconds. */
export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

/** Whether this machine tells. */
export const countsCpu = existsSync('/proc/self/stat');

let ticks: number | undefined;

/** Clock ticks a second: the unit of /proc, 100 on practically every Linux. */
function ticksPerSecond(): number {
  if (ticks === undefined) {
    try {
      ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) || 100;
    } catch {
      ticks = 100;
    }
  }
  return ticks;
}

interface Stat extends CpuTime {
  readonly parent: number;
}

/** One process with the children it has waited for, so that a tree's sum never falls when one of them ends. */
function stat(pid: number | string): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses, and may contain spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number);
  return { parent: Number(fields[1]), user: user + childrenUser, system: system + childrenSystem };
}

/** Processes and their descendants, as they are now. */
function tree(roots: readonly number[]): Map<number, Stat> {
  const all = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    const found = /^\d+$/.test(name) ? stat(name) : undefined;
    if (found) all.set(Number(name), found);
  }
  const wanted = new Set(roots);
  // A child may have a lower number than its parent once numbers have wrapped around, hence until nothing is new.
  for (let size = -1; size !== wanted.size; ) {
    size = wanted.size;
    for (const [pid, { parent }] of all) if (wanted.has(parent)) wanted.add(pid);
  }
  for (const pid of all.keys()) if (!wanted.has(pid)) all.delete(pid);
  return all;
}

/** All that processes and their descendants have used so far. */
export function treeTime(...roots: readonly number[]): CpuTime {
  let user = 0;
  let system = 0;
  for (const used of tree(roots).values()) {
    user += used.user;
    system += used.system;
  }
  return { user: user / ticksPerSecond(), system: system / ticksPerSecond() };
}

/** KiB of memory of a process and its descendants; what several share counts in parts (PSS). */
export function treeMemory(root: number): number {
  let kibibytes = 0;
  for (const pid of tree([root]).keys()) {
    try {
      kibibytes += Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return kibibytes;
}

/** What all processes of the machine together have used so far, in seconds. */
export function machineTime(): number {
  const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1')
    .split('\n', 1)[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) / ticksPerSecond();
}

export const sum = ({ user, system }: CpuTime): number => user + system;

export const minus = (a: CpuTime, b: CpuTime): CpuTime => ({ user: a.user - b.user, system: a.system - b.system });
