// `otssh` under test: the program on the runtime under test, or the binary that CORDBOARD_ONCE names, which then runs the same list.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, type Scope, type SpawnOptions, soon } from './processes.ts';
import { underTest } from './runtimes.ts';
import { keyLine, knownHost, type Target } from './ssh.ts';

const binary = process.env.CORDBOARD_ONCE;
const source = join(import.meta.dirname, '..', '..', 'src', 'otssh.ts');

/** Program and first arguments of the command under test. */
export const command: readonly [string, ...string[]] = binary ? [binary] : [...underTest, source];

/** Runs `otssh ARGS`. */
export function otssh(
  scope: Scope,
  args: readonly string[],
  options?: SpawnOptions & { readonly through?: readonly string[] },
): Child {
  const [program, ...first] = [...(options?.through ?? []), ...command];
  // What the account's own files make of a shell is not our matter.
  const env = { SHELL: '/bin/sh', HOME: scope.directory(), ...options?.env };
  return scope.start(program, [...first, ...args], { ...options, env });
}

/** A door that is open. */
export interface Door extends Target {
  readonly child: Child;
  /** "ssh-ed25519 AAAA…" */
  readonly publicKey: string;
  /** The file of the transcript. */
  readonly log: string;
}

export interface DoorOptions extends SpawnOptions {
  /** Lines of the file of keys; by default alice's. */
  readonly keys?: readonly string[];
  readonly args?: readonly string[];
  /** The name of the transcript in its directory; by default "log". */
  readonly log?: string;
  /** A program to start it with, and arguments of that. */
  readonly through?: readonly string[];
}

/** Starts it on a free port of loopback, and waits until it listens. */
export async function door(scope: Scope, options: DoorOptions = {}): Promise<Door> {
  const directory = scope.directory();
  const log = join(directory, options.log ?? 'log');
  const keys = join(directory, 'keys');
  writeFileSync(keys, `${(options.keys ?? [keyLine('alice')]).join('\n')}\n`);
  const child = otssh(
    scope,
    [`-authorized-keys=${keys}`, '-port=0', '-listen=127.0.0.1', `-log=${log}`, ...(options.args ?? [])],
    { input: '', ...options },
  );
  const port = Number((await soon('otssh to listen', child.says(/^listening on \S+ port (\d+)$/m, 'stderr'), 60))[1]);
  const [publicKey] = await child.says(/^ssh-ed25519 \S+$/m);
  return { child, host: '127.0.0.1', port, publicKey, known: [knownHost('127.0.0.1', port, publicKey)], log };
}

/** What `otssh verify` says. */
export async function verified(scope: Scope, file: string, ...args: string[]) {
  const { code, stdout } = await soon('verify', otssh(scope, ['verify', ...args, file], { input: '' }).ended, 90);
  return { code, text: stdout.toString() };
}

/** The records of a transcript without its comments: for what came and in which order. */
export const recorded = (file: string): string =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .join('\n');
