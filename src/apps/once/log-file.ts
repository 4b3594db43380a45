// Where a transcript goes: a new file that only its owner may read, or a stream. Each write is done when it returns.
import { closeSync, constants, fchmodSync, fsyncSync, openSync, type Stats, statSync } from 'node:fs';
import { reason } from '../../server/runtime/reason.ts';
import { writeAll } from '../../server/runtime/write-all.ts';
import { OnceError } from './failure.ts';

const { O_CREAT, O_EXCL, O_WRONLY } = constants;
const STDOUT = 1;

/** An open transcript. What fails is an OnceError, "Could not write to log file …". */
export class LogFile {
  /** Not a stream: it has a name, and a signature can lie beside it. */
  readonly path: string | undefined;
  readonly #fd: number;
  readonly #name: string;

  private constructor(fd: number, name: string, path?: string) {
    this.#fd = fd;
    this.#name = name;
    this.path = path;
  }

  /**
   * Opens a log for writing, and makes the file. One with something in it is refused: a transcript is neither continued nor
   * written over. Without a name, or with "-", it is standard output.
   * @throws OnceError
   */
  static open(name: string | undefined): LogFile {
    if (name === undefined || name === '-' || name === '/dev/stdout') return new LogFile(STDOUT, 'standard output');
    try {
      const there = statIfThere(name);
      if (there !== undefined && !there.isFile()) return new LogFile(openSync(name, O_WRONLY), name);
      for (const file of [name, signatureOf(name)]) {
        if ((file === name ? there : statIfThere(file))?.size) throw new Error(`${file} exists already`);
      }
      const fd = openSync(name, there === undefined ? O_WRONLY | O_CREAT | O_EXCL : O_WRONLY, 0o600);
      fchmodSync(fd, 0o600);
      return new LogFile(fd, name, name);
    } catch (error) {
      throw failed(name, error);
    }
  }

  /** @throws OnceError */
  write(bytes: Uint8Array): void {
    try {
      writeAll(this.#fd, bytes);
    } catch (error) {
      throw failed(this.#name, error);
    }
  }

  /** Puts the signature where it belongs, beside the file or at the end of the stream, and closes. @throws OnceError */
  finish(signature: string): void {
    if (this.path === undefined) return this.write(Buffer.from(signature));
    try {
      fsyncSync(this.#fd);
      closeSync(this.#fd);
      const fd = openSync(signatureOf(this.path), 'w', 0o600);
      writeAll(fd, Buffer.from(signature));
      fsyncSync(fd);
      closeSync(fd);
    } catch (error) {
      throw failed(this.#name, error);
    }
  }
}

/** Where `ssh-keygen -Y sign` puts it, too. */
export const signatureOf = (path: string): string => `${path}.sig`;

function statIfThere(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

const failed = (name: string, error: unknown): OnceError =>
  new OnceError(`Could not write to log file: ${name}: ${reason(error)}`);
