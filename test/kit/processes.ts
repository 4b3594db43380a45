// What a test starts, its scope ends: child processes by their id, temporary directories, whatever else it defers.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UNHANDLED } from '../../src/server/detached.ts';
import { which } from './tools.ts';

/** How a program ended, and what it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed; undefined leaves it open. */
  readonly input?: Uint8Array | string;
  /** Leaves standard output unread, so that the program blocks once the pipe is full. */
  readonly unread?: boolean;
  /** File descriptors that it inherits as 3, 4, … */
  readonly descriptors?: readonly number[];
  /** Gives the program a session of its own, without a terminal to ask for passwords. */
  readonly detached?: boolean;
}

/** Milliseconds that a program gets to end by itself before it is killed. */
const GRACE = 2000;
/** Characters of a program's messages that an error quotes. */
const TAIL = 3000;

/** Everything that has not been stopped yet, for the case that the test process itself goes down. */
const running = new Set<Child>();
const directories = new Set<string>();
process.on('exit', () => {
  for (const child of running) child.signal('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** A program that was started. */
export class Child {
  readonly title: string;
  readonly process: ChildProcess;
  /** When the program has ended and its output has been read. */
  readonly ended: Promise<Ended>;
  over = false;
  readonly #stdout: Buffer[] = [];
  #stderr = '';
  #wake: () => void = () => {};
  #woken = new Promise<void>(resolve => (this.#wake = resolve));

  constructor(program: string, args: readonly string[], options: SpawnOptions = {}) {
    this.title = [program, ...args].join(' ');
    const { SSH_AUTH_SOCK: _agent, SSH_ASKPASS: _askpass, DISPLAY: _display, ...env } = process.env;
    for (const name of Object.keys(env)) if (name.startsWith('CORDBOARD_')) delete env[name];
    const child = spawn(which(program) ?? program, [...args], {
      stdio: ['pipe', 'pipe', 'pipe', ...(options.descriptors ?? [])] as ['pipe', 'pipe', 'pipe'],
      cwd: options.cwd,
      detached: options.detached,
      env: { ...env, LC_ALL: 'C', ...options.env },
    });
    this.process = child;
    running.add(this);
    // A program that ends before it has read its input is not this process's fault.
    child.stdin.on('error', () => {});
    if (options.input !== undefined) child.stdin.end(options.input);
    if (!options.unread) this.readStdout();
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#notify();
    });
    this.ended = new Promise(resolve => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        this.over = true;
        running.delete(this);
        this.#notify();
        resolve({ code, signal, stdout: this.stdoutBytes, stderr: this.#stderr });
      };
      child.on('error', error => {
        this.#stderr += `${error.message}\n`;
        end(null, null);
      });
      child.on('close', end);
    });
  }

  /** Starts to read what the program writes; by default this has happened. */
  readStdout(): void {
    this.process.stdout?.on('data', (bytes: Buffer) => {
      this.#stdout.push(bytes);
      this.#notify();
    });
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stdout(): string {
    return this.stdoutBytes.toString('utf8');
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** What the program has said so far, for error messages. */
  get report(): string {
    const tail = (text: string) => (text.length > TAIL ? `…${text.slice(-TAIL)}` : text);
    return `$ ${this.title}\n${tail(this.stdout)}\n${tail(this.#stderr)}`;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.over) this.process.kill(signal);
  }

  write(bytes: Uint8Array | string): void {
    this.process.stdin?.write(bytes);
  }

  endInput(): void {
    this.process.stdin?.end();
  }

  /** The first match in what it wrote to `stream`, as soon as there is one. @throws if it ends without */
  async says(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    for (;;) {
      const woken = this.#woken;
      const found = pattern.exec(this[stream]);
      if (found) return found;
      if (this.over) throw new Error(`ended without saying ${pattern}:\n${this.report}`);
      await woken;
    }
  }

  /** When it has written at least so many bytes to standard output. @throws if it ends without */
  async wrote(bytes: number): Promise<void> {
    for (;;) {
      const woken = this.#woken;
      if (this.#stdout.reduce((sum, part) => sum + part.length, 0) >= bytes) return;
      if (this.over) throw new Error(`ended before it wrote ${bytes} bytes:\n${this.report}`);
      await woken;
    }
  }

  /** Ends the program: asks it to, then kills it. */
  async stop(): Promise<void> {
    if (this.over) return;
    this.signal('SIGTERM');
    // A stopped program hears SIGTERM only when it goes on.
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), GRACE);
    // Unread output would keep the pipe, and so `ended`, open.
    this.process.stdout?.resume();
    await this.ended;
    clearTimeout(timer);
  }

  #notify(): void {
    this.#wake();
    this.#woken = new Promise(resolve => (this.#wake = resolve));
  }
}

/** What one test has started. */
export class Scope {
  readonly children: Child[] = [];
  readonly #cleanups: (() => void | Promise<void>)[] = [];

  /** Runs `body` when the test is over; the last one first. */
  defer(body: () => void | Promise<void>): void {
    this.#cleanups.push(body);
  }

  /** A new directory for this test. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'cordboard-'));
    directories.add(path);
    this.defer(() => {
      rmSync(path, { recursive: true, force: true });
      directories.delete(path);
    });
    return path;
  }

  /** Starts a program. */
  start(program: string, args: readonly string[], options?: SpawnOptions): Child {
    const child = new Child(program, args, options);
    this.children.push(child);
    this.defer(() => child.stop());
    return child;
  }

  /**
   * A program that goes on after a promise has failed that nobody catches says so in its log: a fault, even where the test passes.
   * @throws an error that quotes the line
   */
  checkLogs(): void {
    for (const { stderr, title } of this.children) {
      const line = stderr.split('\n').find(text => text.includes(UNHANDLED));
      if (line !== undefined) throw new Error(`$ ${title}\n${line}`);
    }
  }

  /** Runs a program to its end. */
  run(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
    return this.start(program, args, { input: '', ...options }).ended;
  }

  async end(): Promise<void> {
    const errors: unknown[] = [];
    for (const cleanup of this.#cleanups.reverse()) {
      try {
        await cleanup();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

/**
 * A test body that fails after `seconds`, and whose scope ends with it. The limit is there against hanging, so it is
 * generous: it says nothing about speed.
 */
export function bounded(seconds: number, body: (scope: Scope) => Promise<void>): () => Promise<void> {
  return async () => {
    const scope = new Scope();
    let timer: NodeJS.Timeout | undefined;
    try {
      await Promise.race([
        body(scope),
        new Promise<never>((_resolve, reject) => {
          timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000);
        }),
      ]);
      scope.checkLogs();
    } catch (error) {
      if (error instanceof Error && scope.children.length > 0) {
        // The newest first: what was going on when it failed.
        const reports = scope.children.toReversed().map(child => child.report);
        error.message += `\n${reports.join('\n')}`;
      }
      throw error;
    } finally {
      clearTimeout(timer);
      await scope.end();
    }
  };
}

/** Something that should come within `seconds`; the error says what was waited for. */
export async function soon<T>(what: string, promise: Promise<T>, seconds = 60): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${seconds} s for ${what}`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** When `condition` holds, asked again and again. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 60,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await pause(20);
  }
}

/** Resident memory of a process in bytes; Linux only. */
export function resident({ process: { pid } }: Child): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kib) * 1024;
}

export const pause = (milliseconds: number): Promise<void> => new Promise(resolve => setTimeout(resolve, milliseconds));
