// Functions of the system's C library that a terminal needs and no runtime has: posix_openpt(3), tcgetattr(3), posix_spawn(3). Linux, glibc or musl.
import { UsageError } from '../../protocol/errors.ts';

/** The few functions, as C has them; a result of -1 is an error, see `errno`. Memory is lent for the call only. */
export interface Libc {
  posix_openpt(flags: number): number;
  grantpt(fd: number): number;
  unlockpt(fd: number): number;
  ptsname_r(fd: number, name: Uint8Array, size: number): number;
  tcgetattr(fd: number, termios: Uint8Array): number;
  tcsetattr(fd: number, when: number, termios: Uint8Array): number;
  tcsendbreak(fd: number, duration: number): number;
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
  /** Returns an error number, not -1. `pid` is one int32; the two lists end with null. */
  posix_spawn(
    pid: Int32Array,
    path: string,
    actions: Uint8Array,
    attributes: Uint8Array,
    argv: readonly (string | null)[],
    envp: readonly (string | null)[],
  ): number;
  /** `status` is one int32. */
  waitpid(pid: number, status: Int32Array, options: number): number;
  /** Why the last call failed. */
  errno(): number;
}

const PROTOTYPES = [
  'int posix_openpt(int flags)',
  'int grantpt(int fd)',
  'int unlockpt(int fd)',
  'int ptsname_r(int fd, void *name, size_t size)',
  'int tcgetattr(int fd, void *termios)',
  'int tcsetattr(int fd, int when, const void *termios)',
  'int tcsendbreak(int fd, int duration)',
  'int posix_spawn_file_actions_init(void *actions)',
  'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, uint32_t mode)',
  'int posix_spawn_file_actions_adddup2(void *actions, int from, int to)',
  'int posix_spawn_file_actions_destroy(void *actions)',
  'int posix_spawnattr_init(void *attributes)',
  'int posix_spawnattr_setflags(void *attributes, short flags)',
  'int posix_spawnattr_setsigdefault(void *attributes, const void *signals)',
  'int posix_spawnattr_setsigmask(void *attributes, const void *signals)',
  'int posix_spawnattr_destroy(void *attributes)',
  'int posix_spawn(void *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **envp)',
  'int waitpid(int pid, void *status, int options)',
];

let loaded: Libc | undefined;

/** The library of this process. @throws UsageError where there is none, or another one than we know the structures of */
export async function libc(): Promise<Libc> {
  if (loaded !== undefined) return loaded;
  if (process.platform !== 'linux')
    throw new UsageError(`there are no terminals on ${process.platform} yet, only on linux`);
  const { default: koffi } = await import('koffi').catch((error: Error) => {
    throw new UsageError(`terminals need the optional package koffi, which cannot be loaded: ${error.message}`);
  });
  const library = koffi.load(null);
  const functions: Record<string, unknown> = { errno: () => koffi.errno() };
  for (const prototype of PROTOTYPES) functions[/(\w+)\(/.exec(prototype)![1]] = library.func(prototype);
  // Variadic: what comes behind the dots says its type in each call.
  const ioctl = library.func('int ioctl(int fd, unsigned long request, ...)');
  functions.ioctl = (fd: number, request: number, argument: Uint8Array) => ioctl(fd, request, 'void *', argument);
  loaded = functions as unknown as Libc;
  return loaded;
}
