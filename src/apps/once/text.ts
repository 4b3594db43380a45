// A transcript to be read as it stands: a line for each line of output, "seconds what text", with everything that is not seen written out.
import { asBytes, utf8OrNot } from '../../protocol/wire/reader.ts';
import { asGiven, type Entry, type Format, microseconds, pixelsOf, STARS, sizeIn, statusIn, UNSEEN } from './entry.ts';

/** The word in the second column. */
const WORDS = {
  ...{ output: 'out', error: 'err', input: 'in', hidden: 'hidden', size: 'size', note: 'note', exit: 'exit' },
  ...{ runs: 'runs', asked: 'asked', env: 'env', modes: 'modes' },
};
const KINDS = new Map(Object.entries(WORDS).map(([kind, word]) => [word, kind as Entry['kind']]));

/** "12.345678 out $ ls\\r\\n"; further lines of the same entry begin with a blank. */
export const text: Format = {
  head: () => '',

  entry(entry: Entry, time: number): string {
    const start = `${(time / 1e6).toFixed(6)} ${WORDS[entry.kind]} `;
    switch (entry.kind) {
      case 'output':
      case 'error':
      case 'input':
        return `${start}${escapeBytes(entry.bytes)}\n`;
      case 'hidden':
        return `${start}${STARS}\n`;
      case 'size':
        return `${start}${[`${entry.columns}x${entry.rows}`, pixelsOf(entry)].join(' ').trim()}\n`;
      case 'runs':
      case 'asked':
      case 'env':
      case 'modes':
      case 'note':
        return `${start}${escapeText(entry.text)}\n`;
      case 'exit':
        return `${start}${entry.status}\n`;
    }
  },

  reader() {
    let time = 0;
    let kind: Entry['kind'] | undefined;
    return line => {
      if (line.startsWith('#')) return undefined;
      const parts = line.startsWith(' ') ? undefined : /^(\d+\.\d+) (\w+) /.exec(line);
      if (parts) {
        time = microseconds(Number(parts[1]));
        kind = KINDS.get(parts[2]);
      }
      if (parts === null || kind === undefined) return undefined;
      return { time, entry: entryOf(kind, line.slice(parts?.[0].length ?? 1)) };
    };
  },
};

function entryOf(kind: Entry['kind'], text: string): Entry {
  switch (kind) {
    case 'output':
    case 'error':
    case 'input':
      return { kind, bytes: unescaped(text) };
    case 'hidden':
      return { kind };
    case 'size':
      return { kind, ...sizeIn(text) };
    case 'runs':
    case 'asked':
    case 'env':
    case 'modes':
      return { kind, text: asGiven(unescaped(text)) };
    case 'note':
      return { kind, text: Buffer.from(unescaped(text)).toString() };
    case 'exit':
      return { kind, status: statusIn(text) };
  }
}

const NAMED: Readonly<Record<string, string>> = {
  ...{ '\\': '\\\\', '\r': '\\r', '\t': '\\t', '\x1b': '\\e' },
  // Where the program begins a line, so does the transcript.
  '\n': '\\n\n ',
};
const MEANT: Readonly<Record<string, number>> = { '\\': 0x5c, n: 0x0a, r: 0x0d, t: 0x09, e: 0x1b };

/** What is written for each byte, by itself; no more than LONGEST bytes. */
const WRITTEN = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  const seen = byte >= 0x20 && byte < 0x7f;
  return Buffer.from(NAMED[character] ?? (seen ? character : `\\x${byte.toString(16).padStart(2, '0')}`));
});
const LONGEST = 4;

/** In one line. */
const escapeText = (given: string | Uint8Array): string => escapeBytes(asBytes(given)).replaceAll('\n ', '');

/** Of bytes that are UTF-8, those above ASCII stay as they are as far as they are seen. */
function escapeBytes(bytes: Uint8Array): string {
  const isText = utf8OrNot(bytes) !== undefined;
  const into = Buffer.allocUnsafe(bytes.length * LONGEST);
  let at = 0;
  for (const byte of bytes) {
    if (isText && byte >= 0x80) into[at++] = byte;
    else for (const each of WRITTEN[byte]) into[at++] = each;
  }
  const escaped = into.toString(isText ? 'utf8' : 'latin1', 0, at);
  // There is no further line behind the last line end.
  const whole = escaped.endsWith('\n ') ? escaped.slice(0, -2) : escaped;
  const isPlain = at === escaped.length;
  return isPlain ? whole : whole.replace(UNSEEN, found => `\\u{${found.codePointAt(0)!.toString(16)}}`);
}

function unescaped(text: string): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [whole, byte, point, named] of text.matchAll(/\\x([0-9a-f]{2})|\\u\{([0-9a-f]+)\}|\\(.)|[^\\]+/gs)) {
    if (byte !== undefined) parts.push(Uint8Array.of(Number.parseInt(byte, 16)));
    else if (point !== undefined) parts.push(Buffer.from(String.fromCodePoint(Number.parseInt(point, 16))));
    else if (named !== undefined) parts.push(Uint8Array.of(MEANT[named] ?? named.charCodeAt(0)));
    else parts.push(Buffer.from(whole));
  }
  return new Uint8Array(Buffer.concat(parts));
}
