// What a session runs, whether it has a terminal or pipes: one face for both; and the one with pipes.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { ENTRY } from './limits.ts';
import type { Echo } from './termios.ts';

/** What to run. */
export interface Command {
  /** The program's file. */
  readonly file: string;
  /** What it is called by (argv[0]), and its arguments. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** How a program ended: with a status, or by a signal (named without "SIG"). */
export interface Exit {
  readonly status?: number;
  readonly signal?: string;
  readonly coreDumped?: boolean;
}

/** A terminal that a program runs in. */
export interface ProgramTerminal {
  resize(columns: number, rows: number): void;
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

/** Starts a program with three pipes. @throws the system's error if it cannot be started */
export async function startWithPipes({ file, argv, env }: Command): Promise<Program> {
  const child = spawn(file, argv.slice(1), { argv0: argv[0], env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  // A number that is free again may be somebody else's.
  let over = false;
  child.on('exit', () => (over = true));
  const ended = new Promise<Exit>(resolve =>
    child.on('close', (code, signal) => resolve(signal ? { signal: signal.slice(3) } : { status: code ?? 1 })),
  );
  // A program that reads no more is no fault.
  child.stdin.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => resolve());
  });
  child.on('error', () => {});
  const pid = child.pid!;
  return {
    pid,
    stdout: bytesOf(child.stdout),
    stderr: bytesOf(child.stderr),
    terminal: undefined,
    ended,
    write: bytes => new Promise(resolve => child.stdin.write(bytes, () => resolve())),
    end: () => void child.stdin.end(),
    signal: name => over || signalGroup(pid, name),
    signalAll: name => over || signalGroup(pid, name),
    abandon() {
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    },
  };
}

/** Plain bytes, as far as they come, in pieces that make an entry each, for Bun reads a MiB at once: a stream that is destroyed has ended. */
async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    for await (const { buffer, byteOffset, length } of stream as AsyncIterable<Buffer>)
      for (let at = 0; at < length; at += ENTRY)
        yield new Uint8Array(buffer, byteOffset + at, Math.min(ENTRY, length - at));
  } catch (error) {
    if (!stream.destroyed) throw error;
  }
}
