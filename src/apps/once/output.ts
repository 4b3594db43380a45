// What the program says: on standard output what was asked for, on standard error the rest.
import { reason } from '../../server/runtime/reason.ts';
import { writeAll } from '../../server/runtime/write-all.ts';
import { OnceError } from './failure.ts';

const STDOUT = 1;
const STDERR = 2;

/** Writes to standard output. @throws OnceError if it cannot be written to: `otssh play FILE | head` */
export function print(what: string | Uint8Array): void {
  try {
    writeAll(STDOUT, typeof what === 'string' ? Buffer.from(what) : what);
  } catch (error) {
    throw new OnceError(`Could not write to standard output: ${reason(error)}`);
  }
}

/** A line for standard error. */
export function say(line: string): void {
  try {
    writeAll(STDERR, Buffer.from(`${line}\n`));
  } catch {
    // Nobody listens; the transcript and the exit code have what counts.
  }
}
