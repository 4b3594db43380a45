// A transcript as a player takes it: what was on the screen and what was typed, with times; and the moments that one may want to see.
import { type Entry, shown as legible, STARS } from './entry.ts';
import { OnceError } from './failure.ts';
import { SHOWN, SHOWN_EVENT, SHOWN_LABEL, SHOWN_MOMENTS, SHOWN_SIDE } from './limits.ts';
import { linesOf } from './parts.ts';
import { entriesOf } from './play.ts';

/** `o` and `i` are what was written and typed, `r` is a size ("80x24"), `m` has the label of a moment. */
export type PlayedEvent = readonly [milliseconds: number, code: 'o' | 'i' | 'r' | 'm', data: string];

/** Of what a transcript says of itself in its first comments, what it does say. */
export interface Stated {
  readonly key?: string;
  readonly began?: string;
  readonly command?: string;
  /** "80x24 xterm", or "none". */
  readonly terminal?: string;
  /** What happened before the session, each with its date in front. */
  readonly notes: readonly string[];
}

export interface Recording {
  readonly stated: Stated;
  readonly columns: number;
  readonly rows: number;
  readonly events: readonly PlayedEvent[];
  /** The same as the events of code `m`, in their order. */
  readonly moments: readonly { readonly milliseconds: number; readonly label: string }[];
  /** Undefined if the session has no end. */
  readonly status?: number;
}

/** @throws OnceError if it is no transcript; the system's error if it cannot be read */
export function recordingOf(file: string): Recording {
  const stated = statedIn(file);
  const hasTerminal = stated.terminal !== 'none';
  const [columns, rows] = sides(stated.terminal ?? '');
  const events: PlayedEvent[] = [];
  const moments: { milliseconds: number; label: string }[] = [];
  let status: number | undefined;
  let shown = 0;
  let last = 0;
  const moment = (label: string) => {
    if (moments.length === SHOWN_MOMENTS) label = 'further moments are not listed';
    if (moments.length > SHOWN_MOMENTS) return;
    const short = label.slice(0, SHOWN_LABEL);
    moments.push({ milliseconds: last, label: short });
    events.push([last, 'm', short]);
  };
  for (const { time, entry } of readable(file, moment)) {
    // The player wants them in order; a transcript that was changed may have any.
    last = Math.max(last, time / 1000);
    shown += SHOWN_EVENT + ('bytes' in entry ? entry.bytes.length : 0);
    if (shown > SHOWN) {
      moment(`this page ends here, after ${SHOWN / 2 ** 20} MiB: the transcript goes on`);
      return { stated, columns, rows, events, moments, status };
    }
    const data = played(entry, hasTerminal);
    if (data !== undefined) events.push([last, ...data]);
    if (entry.kind === 'size') moment(`size ${sides(`${entry.columns}x${entry.rows}`).join('x')}`);
    if (entry.kind === 'note') moment(entry.text);
    if (entry.kind === 'runs' || entry.kind === 'asked') moment(`${entry.kind} ${legible(entry.text)}`);
    if (entry.kind === 'exit') {
      status = entry.status;
      moment(`exit ${status}`);
    }
  }
  if (status === undefined) moment('the transcript has no more');
  return { stated, columns, rows, events, moments, status };
}

/** Entries up to the first that cannot be read, which is told. @throws OnceError if there is none before */
function* readable(file: string, tell: (label: string) => void): ReturnType<typeof entriesOf> {
  let found = false;
  try {
    for (const each of entriesOf(file)) {
      found = true;
      yield each;
    }
  } catch (error) {
    if (!(error instanceof OnceError) || !found) throw error;
    tell(`cannot be read any further: ${error.message}`);
  }
}

const text = new TextDecoder();

function played(entry: Entry, hasTerminal: boolean): [PlayedEvent[1], string] | undefined {
  switch (entry.kind) {
    case 'output':
      return ['o', hasTerminal ? text.decode(entry.bytes) : onScreen(entry.bytes)];
    case 'error':
      return ['o', hasTerminal ? text.decode(entry.bytes) : `\x1b[31m${onScreen(entry.bytes)}\x1b[39m`];
    case 'input':
      return ['i', text.decode(entry.bytes)];
    case 'hidden':
      return ['i', STARS];
    case 'size':
      return ['r', sides(`${entry.columns}x${entry.rows}`).join('x')];
  }
  return undefined;
}

/** Without a terminal nobody has put the carriage returns in that a screen needs. */
const onScreen = (bytes: Uint8Array): string => text.decode(bytes).replaceAll(/\r?\n/g, '\r\n');

/** The two numbers in "80x24 xterm", as far as a screen can have them. */
function sides(size: string): [columns: number, rows: number] {
  const [, columns, rows] = /^(\d+)x(\d+)/.exec(size) ?? ['', '80', '24'];
  return [bounded(columns), bounded(rows)];
}

const bounded = (side: string): number => Math.min(Math.max(Number(side), 1), SHOWN_SIDE);

const STATED = new Set(['key', 'began', 'command', 'terminal']);

function statedIn(file: string): Stated {
  const stated = new Map<string, string>();
  const notes: string[] = [];
  for (const bytes of linesOf(file)) {
    const line = Buffer.from(bytes).toString('utf8').trimEnd();
    const [, word, rest] = /^# (\w+) (.*)$/s.exec(line) ?? [];
    // Where entries begin: of a .cast that one line has all but the comments, of a log the first.
    if (/^(?:\[|\d+\.)/.test(line)) break;
    if (word === 'note' && notes.length < SHOWN_MOMENTS) notes.push(rest.slice(0, SHOWN_LABEL));
    else if (STATED.has(word) && !stated.has(word)) stated.set(word, rest.slice(0, SHOWN_LABEL));
  }
  const terminal = stated.get('terminal') ?? headerSize(file);
  return { key: stated.get('key'), began: stated.get('began'), command: stated.get('command'), terminal, notes };
}

/** Of a recording that somebody else has made: the size is in the header. */
function headerSize(file: string): string | undefined {
  for (const bytes of linesOf(file)) {
    try {
      const { term } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { term?: { cols?: number; rows?: number } };
      return term && `${term.cols}x${term.rows}`;
    } catch {
      return undefined;
    }
  }
  return undefined;
}
