// Plays a transcript in a terminal, at the pace at which it was recorded.

import { reason } from '../../server/runtime/reason.ts';
import { cast } from './cast.ts';
import { type Entry, MAGIC } from './entry.ts';
import { OnceError } from './failure.ts';
import { print, say } from './output.ts';
import { linesOf } from './parts.ts';
import { Screen } from './screen.ts';
import { text } from './text.ts';
import { report } from './verify.ts';

export interface PlayOptions {
  /** How much faster than it was. */
  readonly speed: number;
  /** The longest pause, in seconds; 0 keeps them as they were. */
  readonly idleLimit: number;
  /** As for `report`. */
  readonly key?: string;
  /** Every byte goes to the terminal, whatever it does there. */
  readonly raw?: boolean;
}

/** Milliseconds that a timer takes. */
const LONGEST_PAUSE = 2 ** 31 - 1;

/** Entries with their times in microseconds, of a transcript in either format. @throws OnceError if it is none */
export function* entriesOf(file: string): Generator<{ time: number; entry: Entry }> {
  let number = 0;
  let read: ReturnType<typeof text.reader> | undefined;
  try {
    for (const bytes of linesOf(file)) {
      number++;
      const line = Buffer.from(bytes).toString('utf8').replace(/\n$/, '');
      read ??= line.startsWith('{') ? cast.reader() : line === MAGIC ? text.reader() : undefined;
      if (line.startsWith('-----BEGIN')) return;
      const found = read?.(line);
      if (found) yield found;
    }
  } catch (error) {
    throw new OnceError(`${file}: line ${number}: ${reason(error)}`);
  }
  if (read === undefined) throw new OnceError(`${file}: this is no transcript`);
}

/** To its end, or until Ctrl-C. */
export async function play(file: string, { speed, idleLimit, key, raw = false }: PlayOptions): Promise<void> {
  const { status, text } = report(file, key);
  say(text);
  if (status === 1) throw new OnceError(`${file}: not played: what was changed may do to a terminal what it likes`);
  const screen = new Screen();
  let before = 0;
  for (const { time, entry } of entriesOf(file)) {
    const pause = (time - before) / 1000;
    before = time;
    const kept = Math.min((idleLimit > 0 ? Math.min(pause, idleLimit * 1000) : pause) / speed, LONGEST_PAUSE);
    if (kept > 1) await new Promise(resolve => setTimeout(resolve, kept));
    if (entry.kind === 'output' || entry.kind === 'error') print(raw ? entry.bytes : screen.pass(entry.bytes));
  }
  print(screen.end());
  if (screen.left > 0)
    say(`${file}: ${screen.left} sequences were left out that do more than show (-raw sends them, too)`);
}
