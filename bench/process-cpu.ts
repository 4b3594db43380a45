// CPU time of process trees and of the whole machine, as Linux counts it in /proc (proc(5)).
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

/** All that a process and its descendants have used so far. */
export function treeTime(...roots: readonly number[]): CpuTime {
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
  let user = 0;
  let system = 0;
  for (const pid of wanted) {
    const found = all.get(pid);
    user += found?.user ?? 0;
    system += found?.system ?? 0;
  }
  return { user: user / ticksPerSecond(), system: system / ticksPerSecond() };
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
