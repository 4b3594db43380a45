// Enrolment: how keys come into the authorized_keys file by themselves, how many of them, and how they are written.
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { formatAuthorizedKey, type KeyOption, parsePublicKeyBlob } from '../../crypto/keys/index.ts';
import { sourceOf } from '../../server/penalties.ts';
import { reason } from '../../server/runtime/reason.ts';
import { attempt, StateError } from './state.ts';

/** Keys that enrolment may add to the file; by then it is some 1.5 MB. */
export const MAX_ENROLLED = 10_000;
/** Enrolments within an hour: from one address, and from all, since addresses cost an attacker little. */
const MAX_PER_ADDRESS = 20;
const MAX_PER_HOUR = 1000;
const HOUR = 3_600_000;

/** How often keys may be enrolled. Whoever has an invitation is exempt: somebody has answered for him. */
export class EnrolmentRate {
  /** When and from where, the oldest first; MAX_PER_HOUR at most. */
  #recent: { readonly time: number; readonly source: string }[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether one more may come from the address now. */
  allows(address: string): boolean {
    const since = this.#now() - HOUR;
    this.#recent = this.#recent.filter(({ time }) => time > since);
    const source = sourceOf(address);
    const here = this.#recent.reduce((count, one) => count + (one.source === source ? 1 : 0), 0);
    return this.#recent.length < MAX_PER_HOUR && here < MAX_PER_ADDRESS;
  }

  count(address: string): void {
    this.#recent.push({ time: this.#now(), source: sourceOf(address) });
  }
}

/** The options of a key that enrols by itself. */
export const ENROLLED: readonly KeyOption[] = [
  { name: 'access', value: 'listen' },
  { name: 'access', value: 'initiate' },
];

/** The line for a key, without its end. */
export const lineFor = (key: Uint8Array, options: readonly KeyOption[], comment: string): string =>
  formatAuthorizedKey({ options, key: parsePublicKeyBlob(key), comment });

/**
 * Appends a line to the file, which need not be there: by one call to the system at its end, wherever that is then, so that
 * what others append at the same moment is neither lost nor mixed with it.
 * @returns whether nobody else has, as far as its size tells
 * @throws StateError
 */
export function appendLine(file: string, line: string): boolean {
  return attempt(`cannot write ${file}`, () => {
    const fd = openSync(file, 'a+', 0o600);
    try {
      // After a line without an end (somebody's editor, or a crash), ours must not become part of it.
      const { size } = fstatSync(fd);
      const last = new Uint8Array(1);
      const whole = size === 0 || readSync(fd, last, 0, 1, size - 1) < 1 || last[0] === 0x0a;
      const bytes = Buffer.from(`${whole ? '' : '\n'}${line}\n`);
      const written = writeSync(fd, bytes);
      const alone = fstatSync(fd).size === size + written;
      if (written < bytes.length) {
        // A full disk. Half a key must not stay; what others have appended meanwhile must.
        if (alone) ftruncateSync(fd, size);
        throw new Error('no space left on the device');
      }
      fsyncSync(fd);
      return alone;
    } finally {
      closeSync(fd);
    }
  });
}

/** What changes when somebody has written to the file; "none" if there is none. @throws StateError */
export function version(file: string): string {
  try {
    const { mtimeMs, size, ino, mode } = statSync(file);
    return `${mtimeMs} ${size} ${ino} ${mode}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
    throw new StateError(`cannot read ${file}: ${reason(error)}`);
  }
}
