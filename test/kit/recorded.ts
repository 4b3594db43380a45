// Transcripts of sessions that never were: written by the real code, with a clock of the test's own.
import { join } from 'node:path';
import type { Entry, Heading } from '../../src/apps/once/entry.ts';
import { freshKey } from '../../src/apps/once/life.ts';
import { LogFile } from '../../src/apps/once/log-file.ts';
import { Transcript } from '../../src/apps/once/transcript.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';

/** What happened, and after how many seconds. */
export type Happened = readonly [seconds: number, ...entries: Entry[]];

export interface Recorded {
  readonly heading?: Partial<Omit<Heading, 'key' | 'began'>>;
  /** What happened before the session. */
  readonly before?: readonly string[];
  /** Whether it comes to its end and is signed. */
  readonly ends?: boolean;
  /** Whose seals it has; by default a key of its own. */
  readonly signer?: ReturnType<typeof freshKey>;
}

/** 2026-01-02T03:04:05.000Z */
const DATE = Date.UTC(2026, 0, 2, 3, 4, 5);

/** Writes a transcript into `directory`. @returns its file */
export function record(
  directory: string,
  name: string,
  happened: readonly Happened[],
  { heading, before = [], ends = true, signer = freshKey(accelerated) }: Recorded = {},
): string {
  const file = join(directory, name);
  const { key, publicKey } = signer;
  let now = 0;
  const log = LogFile.open(file);
  const transcript = new Transcript({
    ...{ log, key, publicKey, provider: accelerated },
    now: () => now,
    date: () => DATE,
  });
  for (const note of before) transcript.note(note);
  transcript.begin({ columns: 80, rows: 24, term: 'xterm-256color', command: '/bin/bash', ...heading });
  for (const [seconds, ...entries] of happened) {
    now = seconds * 1000;
    transcript.record(...entries);
  }
  if (ends) transcript.end();
  return file;
}

export const output = (text: string): Entry => ({ kind: 'output', bytes: Buffer.from(text) });
export const error = (text: string): Entry => ({ kind: 'error', bytes: Buffer.from(text) });
export const input = (text: string): Entry => ({ kind: 'input', bytes: Buffer.from(text) });
