// Files that the switchboard believes, and files that it keeps secret: read only if no other user of the machine can change the ones and read the others (StrictModes in sshd_config(5)).
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { reason } from '../../server/runtime/reason.ts';

/** A file or directory that cannot be used; the message is one sentence for the operator. */
export class StateError extends Error {}

/** What the system refuses becomes a StateError that begins with `what`. */
export function attempt<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof StateError) throw error;
    throw new StateError(`${what}: ${reason(error)}`);
  }
}

/** The file's text, or undefined if there is none. @throws StateError if it is there and cannot be read */
export const readIfThere = (file: string): string | undefined => read(file, () => {});

/**
 * The same of a file that nobody else may read: a private key, a token. As ssh and sshd have it, its owner alone may if that is us;
 * where it is somebody else's (a secret that a container is given) its group may, too.
 * @throws StateError also if others may
 */
export const readSecret = (file: string): string | undefined => read(file, status => checkSecret(file, status));

/**
 * The same of a file that decides something: who may sign in, what is to be done. Only its owner may write to it and to the directories
 * above it; that its group may as well, or that its owner is neither we nor root, is for `doubt`, one sentence.
 * @throws StateError also if everybody may
 */
export const readTrusted = (file: string, doubt?: (sentence: string) => void): string | undefined =>
  read(file, status => {
    checkWriters(file, status, doubt);
    checkAbove(file);
  });

/** @throws StateError if everybody may write to a file that is there, or to a directory above it */
export function checkTrusted(file: string): void {
  attempt(`cannot use ${file}`, () => {
    checkWriters(file, statSync(file));
    checkAbove(file);
  });
}

/** @throws StateError if others may read the file */
export function checkSecret(file: string, { mode, uid }: Stats = statSync(file)): void {
  if (!hasModes) return;
  const others = mode & (uid === process.geteuid?.() ? 0o077 : 0o007);
  if (others !== 0) throw new StateError(`${file} is not secret (mode ${octal(mode)}): chmod 600 ${file}`);
}

function read(file: string, check: (status: Stats) => void): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new StateError(`cannot read ${file}: ${reason(error)}`);
  }
  try {
    return attempt(`cannot read ${file}`, () => {
      check(fstatSync(fd));
      return readFileSync(fd, 'utf8');
    });
  } finally {
    closeSync(fd);
  }
}

function checkWriters(file: string, { mode, uid }: Stats, doubt?: (sentence: string) => void): void {
  if (!hasModes) return;
  if (mode & 0o002) throw new StateError(`every user can write to ${file} (mode ${octal(mode)}): chmod o-w ${file}`);
  if (mode & 0o020) doubt?.(`its group can write to ${file} (mode ${octal(mode)}): chmod g-w ${file}`);
  if (!isOurs(uid)) doubt?.(`${file} belongs to another user (uid ${uid}), who can change it`);
}

/**
 * Whoever can write to a directory can put another file in the place of ours, unless it is read-only. In one like /tmp (sticky) it cannot
 * be replaced by others; but it may be theirs from the beginning.
 */
function checkAbove(file: string): void {
  if (!hasModes) return;
  for (let path = realpathSync(file); path !== dirname(path); path = dirname(path)) {
    const directory = dirname(path);
    const { mode } = statSync(directory);
    if (!(mode & 0o002) || isReadOnly(directory)) continue;
    if (!(mode & 0o1000)) throw open(directory, mode);
    const { uid } = statSync(path);
    if (isOurs(uid)) continue;
    throw new StateError(
      `${path} belongs to another user (uid ${uid}), in ${directory}, to which every user can write`,
    );
  }
}

const isOurs = (uid: number): boolean => uid === 0 || uid === process.geteuid?.();

/** @throws StateError if everybody may put files into the directory */
export function checkDirectory(directory: string): void {
  if (!hasModes) return;
  const { mode } = statSync(directory);
  if (mode & 0o002) throw open(directory, mode);
  checkAbove(directory);
}

const open = (directory: string, mode: number): StateError =>
  new StateError(`every user can write to the directory ${directory} (mode ${octal(mode)}): chmod o-w ${directory}`);

function isReadOnly(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS';
  }
}

/** On Windows modes say nothing. */
const hasModes = process.platform !== 'win32';

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');
