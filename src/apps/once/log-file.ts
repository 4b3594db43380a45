// Where a transcript goes: a new file that only its owner may read, or a stream. Each write is done when it returns.
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  type Stats,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { reason } from '../../server/runtime/reason.ts';
import { writeAll } from '../../server/runtime/write-all.ts';
import { OnceError } from './failure.ts';
import { FREE_PART, LEAST_TRANSCRIPT, MAX_TRANSCRIPT } from './limits.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, O_NOCTTY } = constants;
const STDOUT = 1;

/** What a transcript is written to. */
export interface Log {
  /** Undefined for a stream; otherwise it has a name, and its signature lies beside it. */
  readonly path: string | undefined;
  /** Bytes that a transcript may have in it. */
  readonly room: number;
  /** @throws OnceError */
  write(bytes: Uint8Array): void;
  /** Puts the signature where it belongs, beside the file or at the end of the stream, and closes. @throws OnceError */
  finish(signature: string): void;
}

/** An open log. What fails is an OnceError, "Could not write to log file …". */
export class LogFile implements Log {
  readonly path: string | undefined;
  readonly room: number;
  readonly #name: string;
  readonly #fd: number;
  /** Where the signature will be: made with the file, so that nobody else can make it meanwhile. */
  readonly #signature: number | undefined;

  private constructor(name: string, fd: number, room: number, signature?: number) {
    this.#name = name;
    this.#fd = fd;
    this.room = room;
    this.#signature = signature;
    if (signature !== undefined) this.path = name;
  }

  /**
   * Makes the file, and another one for its signature. What exists is refused, and so is a link to somewhere else: a transcript is
   * neither continued nor written over, and nobody else has a say in where it goes. A device or a named pipe is written to.
   * Without a name, or with "-", it is standard output.
   * @param most bytes that it may have; a file has no more than a part of what is free on its disk
   * @throws OnceError
   */
  static open(name: string | undefined, most = MAX_TRANSCRIPT): LogFile {
    if (name === undefined || name === '-' || name === '/dev/stdout')
      return new LogFile('standard output', STDOUT, most);
    try {
      const directory = dirname(resolve(name));
      const isStream = statSync(name, { throwIfNoEntry: false })?.isFile() === false;
      checkDirectory(directory);
      if (isStream) return new LogFile(name, openStream(name), most);
      const room = Math.min(most, free(directory) / FREE_PART);
      if (room < LEAST_TRANSCRIPT) throw new Error('the disk is almost full');
      const fd = newFile(name);
      try {
        return new LogFile(name, fd, room, newFile(signatureOf(name)));
      } catch (error) {
        closeSync(fd);
        unlinkSync(name);
        throw error;
      }
    } catch (error) {
      throw failed(name, error);
    }
  }

  write(bytes: Uint8Array): void {
    try {
      writeAll(this.#fd, bytes);
    } catch (error) {
      throw failed(this.#name, error);
    }
  }

  finish(signature: string): void {
    if (this.#signature === undefined) return this.write(Buffer.from(signature));
    try {
      fsyncSync(this.#fd);
      closeSync(this.#fd);
      writeAll(this.#signature, Buffer.from(signature));
      fsyncSync(this.#signature);
      closeSync(this.#signature);
    } catch (error) {
      throw failed(this.#name, error);
    }
  }
}

/** Where `ssh-keygen -Y sign` puts it, too. */
export const signatureOf = (path: string): string => `${path}.sig`;

/** Opens a new file for its owner only. @throws Error if there is something of that name; the system's error */
export function newFile(path: string): number {
  try {
    return openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Error(lstatSync(path).isSymbolicLink() ? `${path} is a symbolic link` : `${path} exists already`);
  }
}

/** A device or a pipe, by its own name or a link such as /dev/stderr. */
function openStream(name: string): number {
  const { uid } = lstatSync(name);
  if (!isTrusted(uid) && !statSync(name).isCharacterDevice()) throw new Error(`${name} belongs to user ${uid}`);
  return openSync(name, O_WRONLY | O_NOCTTY);
}

/**
 * Whoever can write to the directory can put another file in the transcript's place. The group is not asked for: on many systems it
 * is the user's own, or the one of the system's logs.
 */
function checkDirectory(path: string): void {
  const { uid, mode }: Stats = statSync(path);
  if (!isTrusted(uid)) throw new Error(`its directory ${path} belongs to user ${uid}, who could replace it`);
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0)
    throw new Error(`others can write to its directory ${path}: chmod o-w ${path}`);
}

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** We ourselves, and root, who could do anything. */
const isTrusted = (uid: number): boolean => uid === 0 || uid === process.geteuid?.();

/** Bytes on the disk that are free for us. */
function free(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

const failed = (name: string, error: unknown): OnceError =>
  new OnceError(`Could not write to log file: ${name}: ${reason(error)}`);
