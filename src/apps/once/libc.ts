// Functions of the system's C library that a terminal needs and no runtime has: posix_openpt(3), tcgetattr(3), posix_spawn(3). Linux, glibc or musl.
import { UsageError } from '../../protocol/errors.ts';
import { type Argument, foreign } from './ffi.ts';

/** Of Linux: a descriptor that programs do not inherit. */
export const O_CLOEXEC = 0o2000000;

/** The few functions, as C has them; a result of -1 is an error, see `errno`. Memory is lent for the call only. */
export interface Libc {
  posix_openpt(flags: number): number;
  grantpt(fd: number): number;
  unlockpt(fd: number): number;
  ptsname_r(fd: number, name: Uint8Array, size: number): number;
  tcgetattr(fd: number, termios: Uint8Array): number;
  tcsetattr(fd: number, when: number, termios: Uint8Array): number;
  tcsendbreak(fd: number, duration: number): number;
  tcflow(fd: number, action: number): number;
  tcgetpgrp(fd: number): number;
  getpeername(fd: number, address: Uint8Array, length: Uint8Array): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  /** TIOCSWINSZ with a struct winsize. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  posix_spawn_file_actions_init(actions: Uint8Array): number;
  posix_spawn_file_actions_addopen(actions: Uint8Array, fd: number, path: string, flags: number, mode: number): number;
  posix_spawn_file_actions_adddup2(actions: Uint8Array, from: number, to: number): number;
  posix_spawn_file_actions_destroy(actions: Uint8Array): number;
  posix_spawnattr_init(attributes: Uint8Array): number;
  posix_spawnattr_setflags(attributes: Uint8Array, flags: number): number;
  posix_spawnattr_setsigdefault(attributes: Uint8Array, signals: Uint8Array): number;
  posix_spawnattr_setsigmask(attributes: Uint8Array, signals: Uint8Array): number;
  posix_spawnattr_destroy(attributes: Uint8Array): number;
  /** Returns an error number, not -1. `pid` is one int32. */
  posix_spawn(
    pid: Int32Array,
    path: string,
    actions: Uint8Array,
    attributes: Uint8Array,
    argv: readonly (string | Uint8Array)[],
    envp: readonly (string | Uint8Array)[],
  ): number;
  /** `status` is one int32. */
  waitpid(pid: number, status: Int32Array, options: number): number;
  /** `fds` is two int32: the end to read from, and the one to write to. */
  pipe2(fds: Uint8Array, flags: number): number;
  /** Why the last call failed. */
  errno(): number;
}

/** What goes into each; sizes and the request of ioctl(2) are long. Its variadic argument is passed as any other on Linux. */
const SIGNATURES = {
  posix_openpt: ['int'],
  grantpt: ['int'],
  unlockpt: ['int'],
  ptsname_r: ['int', 'memory', 'long'],
  tcgetattr: ['int', 'memory'],
  tcsetattr: ['int', 'int', 'memory'],
  tcsendbreak: ['int', 'int'],
  tcflow: ['int', 'int'],
  tcgetpgrp: ['int'],
  getpeername: ['int', 'memory', 'memory'],
  getsockname: ['int', 'memory', 'memory'],
  ioctl: ['int', 'long', 'memory'],
  posix_spawn_file_actions_init: ['memory'],
  posix_spawn_file_actions_addopen: ['memory', 'int', 'string', 'int', 'int'],
  posix_spawn_file_actions_adddup2: ['memory', 'int', 'int'],
  posix_spawn_file_actions_destroy: ['memory'],
  posix_spawnattr_init: ['memory'],
  posix_spawnattr_setflags: ['memory', 'int'],
  posix_spawnattr_setsigdefault: ['memory', 'memory'],
  posix_spawnattr_setsigmask: ['memory', 'memory'],
  posix_spawnattr_destroy: ['memory'],
  posix_spawn: ['memory', 'string', 'memory', 'memory', 'strings', 'strings'],
  waitpid: ['int', 'memory', 'int'],
  pipe2: ['memory', 'int'],
} satisfies Record<Exclude<keyof Libc, 'errno'>, readonly Argument[]>;

let loaded: Libc | undefined;

/** The library of this process. @throws UsageError where there is none, or another one than we know the structures of */
export async function libc(): Promise<Libc> {
  if (loaded !== undefined) return loaded;
  if (process.platform !== 'linux')
    throw new UsageError(`there are no terminals on ${process.platform} yet, only on linux`);
  const { find, errno } = await foreign();
  const functions = Object.entries(SIGNATURES).map(([name, takes]) => [name, find(name, takes)]);
  loaded = { ...Object.fromEntries(functions), errno } as Libc;
  return loaded;
}
