// Starts programs by posix_spawn(3) of the C library, with arguments and variables that are bytes, and waits for them. Linux.
import { constants } from 'node:os';
import type { Libc } from './libc.ts';
import { assignment, type Command, type Exit, signalName } from './program.ts';

// Linux, glibc and musl alike.
const WNOHANG = 1;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
/** Room for structures whose size differs from library to library: the largest, posix_spawnattr_t, has 336 bytes. */
const STRUCTURE = 512;
const SIGNAL_SET = 128;

/**
 * The program begins a session. Signals are as the system has them by default; the runtime ignores some.
 * @param descriptors adds the file actions that make its descriptors 0, 1 and 2
 * @returns its process id
 * @throws the system's error if it cannot be started
 */
export function spawn(c: Libc, { file, argv, env }: Command, descriptors: (actions: Uint8Array) => void): number {
  const actions = new Uint8Array(STRUCTURE);
  const attributes = new Uint8Array(STRUCTURE);
  c.posix_spawn_file_actions_init(actions);
  c.posix_spawnattr_init(attributes);
  try {
    descriptors(actions);
    c.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    c.posix_spawnattr_setsigdefault(attributes, allSignals());
    c.posix_spawnattr_setsigmask(attributes, new Uint8Array(SIGNAL_SET));
    const pid = new Int32Array(1);
    const variables = Object.entries(env).map(([name, value]) => assignment(name, value));
    const error = c.posix_spawn(pid, file, actions, attributes, argv, variables);
    if (error !== 0) throw systemError(`cannot run ${file}`, error);
    return pid[0];
  } finally {
    c.posix_spawn_file_actions_destroy(actions);
    c.posix_spawnattr_destroy(attributes);
  }
}

/** All but SIGKILL and SIGSTOP, which nobody may ask about, and those that the C library keeps for itself (32 to 34). */
function allSignals(): Uint8Array {
  const signals = new Uint8Array(SIGNAL_SET);
  for (let number = 1; number <= 31; number++) {
    if (number !== 9 && number !== 19) signals[(number - 1) >> 3] |= 1 << ((number - 1) & 7);
  }
  return signals;
}

/** How the process has ended, once it has. */
export function reaped(c: Libc, pid: number): Promise<Exit> {
  return new Promise(resolve => {
    const status = new Int32Array(1);
    const look = () => {
      if (c.waitpid(pid, status, WNOHANG) !== pid) return;
      process.off('SIGCHLD', look);
      resolve(exitOf(status[0]));
    };
    process.on('SIGCHLD', look);
    // It may have ended before we listened.
    look();
  });
}

/** wait(2): the low seven bits have the signal, the eighth says that memory was dumped, the next byte is the status. */
function exitOf(status: number): Exit {
  const signal = status & 0x7f;
  if (signal === 0) return { status: (status >> 8) & 0xff };
  return { signal: signalName(signal), coreDumped: (status & 0x80) !== 0 };
}

/** The result. @throws the system's error if it is negative */
export function check(c: Libc, what: string, result: number): number {
  if (result < 0) throw systemError(`${what} failed`, c.errno());
  return result;
}

/** With the code that it has in Node: "ENOENT". */
function systemError(what: string, number: number): Error {
  const code = Object.entries(constants.errno).find(([, value]) => value === number)?.[0];
  return Object.assign(new Error(`${what}: ${code ?? `error ${number}`}`), { errno: number, code });
}
