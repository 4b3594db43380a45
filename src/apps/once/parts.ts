// A transcript's file as it is read: line by line, or in parts that a seal ends.
import { closeSync, openSync, readSync } from 'node:fs';
import { LINE } from './limits.ts';
import { SEAL } from './seals.ts';

const BLOCK = 1024 * 1024;
const NEWLINE = 0x0a;

/** Whole lines of a file, many at a time; only the very last may lack its end. @throws the system's error; Error for a line longer than any */
function* blocksOf(file: string): Generator<Buffer> {
  const fd = openSync(file, 'r');
  try {
    const block = Buffer.alloc(BLOCK);
    let rest: Buffer = Buffer.alloc(0);
    for (let length = readSync(fd, block); length > 0; length = readSync(fd, block)) {
      const bytes = Buffer.concat([rest, block.subarray(0, length)]);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      if (bytes.length - end > LINE)
        throw new Error(`it has a line of more than ${LINE / 2 ** 20} MiB, as no transcript has`);
      if (end > 0) yield bytes.subarray(0, end);
      rest = bytes.subarray(end);
    }
    if (rest.length > 0) yield rest;
  } finally {
    closeSync(fd);
  }
}

/** Each line with its end. @throws the system's error */
export function* linesOf(file: string): Generator<Uint8Array> {
  for (const block of blocksOf(file)) {
    for (let start = 0; start < block.length; ) {
      const at = block.indexOf(NEWLINE, start);
      const end = at < 0 ? block.length : at + 1;
      yield block.subarray(start, end);
      start = end;
    }
  }
}

const seal = Buffer.from(SEAL);
const nextSeal = Buffer.from(`\n${SEAL}`);

/** Lines without a seal among them, and seals. @throws the system's error */
export function* partsOf(file: string): Generator<{ readonly bytes: Uint8Array; readonly isSeal: boolean }> {
  for (const block of blocksOf(file)) {
    for (let start = 0; start < block.length; ) {
      const isSeal = seal.equals(block.subarray(start, start + seal.length));
      const at = block.indexOf(isSeal ? '\n' : nextSeal, start);
      const end = at < 0 ? block.length : at + 1;
      yield { bytes: block.subarray(start, end), isSeal };
      start = end;
    }
  }
}

/** How many lines begin in whole lines. */
export function linesIn(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === NEWLINE) count++;
  return bytes.length > 0 && bytes[bytes.length - 1] !== NEWLINE ? count + 1 : count;
}
