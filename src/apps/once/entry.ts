// What a transcript is made of, whatever its format: entries with times, and comments that both formats have in common.
import { printable } from '../../protocol/errors.ts';

/** Something that happened. */
export type Entry =
  /** Bytes that the program wrote (`output`, `error`), or got as if typed (`input`). */
  | { readonly kind: 'output' | 'error' | 'input'; readonly bytes: Uint8Array }
  /** Something was typed that the terminal did not show: what, and how much, is not in the transcript. */
  | { readonly kind: 'hidden' }
  /** The terminal has this size from now on. */
  | { readonly kind: 'size'; readonly columns: number; readonly rows: number }
  /** For people: what was asked for, what was refused. */
  | { readonly kind: 'note'; readonly text: string }
  /** The program has ended; by a signal n, it is 128 + n, as in shells. */
  | { readonly kind: 'exit'; readonly status: number };

/** Those that consist of bytes. */
export type Stream = Extract<Entry, { bytes: Uint8Array }>;

/** What a transcript says of itself at its beginning. */
export interface Heading {
  /** The host key of this one session, as "ssh-ed25519 AAAA…": all seals are by it. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly began: number;
  readonly columns: number;
  readonly rows: number;
  /** TERM; undefined where there is no terminal. */
  readonly term?: string;
  /** What runs: a shell, or a command. */
  readonly command: string;
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

/** Characters of a command that are in the first comments; a note has it whole. */
const MAX_COMMAND = 500;

/** The first comments. */
export function comments({ key, began, columns, rows, term, command }: Heading): string {
  const terminal = term === undefined ? 'none' : `${columns}x${rows} ${printable(term, 80)}`;
  const lines = [
    MAGIC,
    `# key ${key}`,
    `# began ${new Date(began).toISOString()}`,
    `# terminal ${terminal}`,
    `# command ${printable(command, MAX_COMMAND)}`,
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

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text, if the bytes are UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
