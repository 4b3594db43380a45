// What a session runs, whether it has a terminal (pty.ts) or pipes (pipes.ts): one face for both.
import { constants } from 'node:os';
import type { Size } from './entry.ts';
import type { Echo } from './termios.ts';

/** What to run. */
export interface Command {
  /** The program's file. */
  readonly file: string;
  /** What it is called by (argv[0]), and its arguments; bytes where they may be something else than UTF-8. */
  readonly argv: readonly (string | Uint8Array)[];
  readonly env: Variables;
}

/** Variables by their names; a value that is no UTF-8 is bytes. */
export type Variables = Readonly<Record<string, string | Uint8Array>>;

/** "NAME=value". */
export const assignment = (name: string, value: string | Uint8Array): string | Uint8Array =>
  typeof value === 'string' ? `${name}=${value}` : Buffer.concat([Buffer.from(`${name}=`), value]);

/** How a program ended: with a status, or by a signal (named without "SIG"). */
export interface Exit {
  readonly status?: number;
  readonly signal?: string;
  readonly coreDumped?: boolean;
}

/** A terminal that a program runs in. */
export interface ProgramTerminal {
  resize(size: Size): void;
  /** What it does with input at this moment. */
  echo(): Echo;
  sendBreak(): void;
}

/** A program that runs, leader of a session of its own. */
export interface Program {
  readonly pid: number;
  /** What it writes, to the end. Who does not ask stops it. */
  readonly stdout: AsyncIterable<Uint8Array>;
  /** The same for errors; of a program in a terminal there are none. */
  readonly stderr: AsyncIterable<Uint8Array>;
  readonly terminal: ProgramTerminal | undefined;
  /** When it has ended and all of its output is there. */
  readonly ended: Promise<Exit>;
  /** Resolves when the bytes have been taken, or nobody is there to take them. */
  write(bytes: Uint8Array): Promise<void>;
  /** There is no more input. */
  end(): void;
  /** To its process group. @param name without "SIG" */
  signal(name: string): void;
  /** To its process group, and to the one that has the terminal now. */
  signalAll(name: string): void;
  /** Lets go of it: nothing more is read. */
  abandon(): void;
}

/** What a program is called that begins as a login shell: "-bash" (login(1)). */
export const loginName = (shell: string): string => `-${shell.replace(/^.*\//, '')}`;

/** Sends a signal, named without "SIG", to a process group. One that is gone already is no error. */
export function signalGroup(pid: number, name: string): void {
  try {
    process.kill(-pid, `SIG${name}` as NodeJS.Signals);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A signal's name without "SIG". */
export function signalName(number: number): string {
  for (const [name, value] of Object.entries(constants.signals)) if (value === number) return name.slice(3);
  return String(number);
}

/** The status that a shell would say the program has. */
export const statusOf = ({ status, signal }: Exit): number =>
  signal === undefined ? (status ?? 1) : 128 + (constants.signals[`SIG${signal}` as NodeJS.Signals] ?? 0);
