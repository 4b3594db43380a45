// Writing to a file descriptor until all of it is written: files, pipes, terminals.
import { writeSync } from 'node:fs';

/** Milliseconds to wait for a reader of a pipe that is full and does not block. */
const RETRY = 5;

/** Writes everything, however long that takes. @throws the system's error */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY);
    }
  }
}
