// What a transcript is made of, whatever its format: entries with times, and comments that both formats have in common.
import { printable } from '../../protocol/errors.ts';
import { utf8OrNot } from '../../protocol/wire/reader.ts';

/** What a terminal is like. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
  /** In pixels; left out where that is not known. */
  readonly width?: number;
  readonly height?: number;
}

/** Something that happened. */
export type Entry =
  /** Bytes that the program wrote (`output`, `error`), or got as if typed (`input`). */
  | { readonly kind: 'output' | 'error' | 'input'; readonly bytes: Uint8Array }
  /** Something was typed that the terminal did not show: what, and how much, is not in the transcript. */
  | { readonly kind: 'hidden' }
  /** The terminal has this size from now on. */
  | ({ readonly kind: 'size' } & Size)
  /**
   * What a program is started with, whole, as it came, bytes where it is not UTF-8: the command that runs, the one that was asked for where another runs in its
   * place, a variable ("NAME=value") that the session adds, the client's terminal modes (RFC 4254 §8) in hexadecimal.
   */
  | { readonly kind: 'runs' | 'asked' | 'env' | 'modes'; readonly text: string | Uint8Array }
  /** For people: what was asked for, what was refused. */
  | { readonly kind: 'note'; readonly text: string }
  /** The program has ended; by a signal n, it is 128 + n, as in shells. */
  | { readonly kind: 'exit'; readonly status: number };

/** Those that say what a program is started with. Formats may leave out their time, which is that of the entry before. */
export type Said = Extract<Entry, { kind: 'runs' | 'asked' | 'env' | 'modes' }>;

/** Those that consist of bytes. */
export type Stream = Extract<Entry, { bytes: Uint8Array }>;

/** What a transcript says of itself at its beginning. */
export interface Heading extends Size {
  /** The host key of this one session, as "ssh-ed25519 AAAA…": all seals are by it. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly began: number;
  /** TERM; undefined where there is no terminal. */
  readonly term?: string;
  /** What runs: a shell, or a command; bytes where it is not UTF-8. */
  readonly command: string | Uint8Array;
}

/** A format: turns entries into whole lines, each with its line end. Lines of a format do not begin with "#". */
export interface Format {
  /** The first lines, without what `comments` has. */
  head(heading: Heading): string;
  /** @param time microseconds since the session began; `after` the same of the entry before */
  entry(entry: Entry, time: number, after: number): string;
  /** A reader for the lines of one transcript from behind its first comments, to be given each in turn; undefined for a comment. */
  reader(): (line: string) => { readonly time: number; readonly entry: Entry } | undefined;
}

/** The first comment; says that this is a transcript, and which version of its rules. */
export const MAGIC = '# cordboard once transcript 1';
/** What stands in for something hidden, whatever its length. */
export const STARS = '********';

/** Characters of a command that are in the first comments; an entry has it whole. */
const MAX_COMMAND = 500;

/** The first comments. */
export function comments({ key, began, term, command, ...size }: Heading): string {
  const pixels = pixelsOf(size);
  const terminal =
    term === undefined
      ? 'none'
      : `${size.columns}x${size.rows} ${printable(term, 80)}${pixels && `, ${pixels} pixels`}`;
  const lines = [
    MAGIC,
    `# key ${key}`,
    `# began ${new Date(began).toISOString()}`,
    `# terminal ${terminal}`,
    `# command ${printable(shown(command), MAX_COMMAND)}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** How many bytes at the end begin a character in UTF-8 that is not whole yet. */
export function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/**
 * Above ASCII: characters that are not seen or turn the line around (Unicode's categories Cc, Cf, Zl, Zp and Co), so that a
 * line shows what is in it.
 */
export const UNSEEN = /(?!\p{ASCII})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu;

/** The text that bytes are, or themselves where they are none. */
export const asGiven = (bytes: Uint8Array): string | Uint8Array => utf8OrNot(bytes) ?? bytes;

/** For people: bytes that are no UTF-8 as "\\xe9". */
export function shown(given: string | Uint8Array): string {
  if (typeof given === 'string') return given;
  const written = (found: string) => `\\x${found.charCodeAt(0).toString(16)}`;
  return (
    utf8OrNot(given) ??
    Buffer.from(given)
      .toString('latin1')
      .replace(/[\x80-\xff]/g, written)
  );
}

/** "960x552", the size in pixels; empty where that is not known. */
export const pixelsOf = ({ width = 0, height = 0 }: Size): string => (width || height ? `${width}x${height}` : '');

/** Microseconds that a reader takes for a time: 100 years, which is a whole number and no pause that anybody waits for. */
const LONGEST = 100 * 365.25 * 86_400 * 1e6;

/** Seconds as they are in a transcript, in microseconds. @throws Error if no session can have taken so long */
export function microseconds(seconds: unknown): number {
  const time = typeof seconds === 'number' ? Math.round(seconds * 1e6) : Number.NaN;
  if (!(time >= 0 && time <= LONGEST)) throw new Error('it has a time that cannot be');
  return time;
}

/** "80x24", or "80x24 960x552" with pixels: as a terminal may have it. @throws Error */
export function sizeIn(text: string): Size {
  const [, columns, rows, width, height] = /^(\d{1,5})x(\d{1,5})(?: (\d{1,5})x(\d{1,5}))?$/.exec(text) ?? [];
  const numbers = [columns, rows, width ?? '1', height ?? '1'].map(Number);
  if (!numbers.every((side, at) => side >= (at < 2 ? 1 : 0) && side <= 0xffff))
    throw new Error('it has a size that no terminal has');
  const size = { columns: numbers[0], rows: numbers[1] };
  return width === undefined ? size : { ...size, width: numbers[2], height: numbers[3] };
}

/** 0 to 255. @throws Error */
export function statusIn(text: string): number {
  if (!/^\d{1,3}$/.test(text) || Number(text) > 255) throw new Error('it has a status that no program has');
  return Number(text);
}
