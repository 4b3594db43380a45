// The format of asciinema, asciicast v3: plays in asciinema and its players; what it has no word for stands in comments, which they skip.
import { decodeLenient, utf8OrNot } from '../../protocol/wire/reader.ts';
import {
  type Entry,
  type Format,
  type Heading,
  microseconds,
  pixelsOf,
  type Said,
  STARS,
  shown,
  sizeIn,
  statusIn,
  UNSEEN,
} from './entry.ts';

/** Of an event that follows it: it was on standard error; it was hidden; these are its bytes, which are no UTF-8. */
const ERROR = '# error';
const HIDDEN = '# hidden';
const BYTES = '# bytes ';
/** Of a size that follows it: the same in pixels. */
const PIXELS = '# pixels ';

/** What a program is started with: a comment of its own, because players would show it as a marker, however long it is. */
const SAID = /^# (runs|asked|env|modes) (".*")$/;

/** Comments on one event: no more than three belong together. */
const MOST = 3;

/** Newline-delimited JSON: a header, and events `[seconds since the one before, code, data]`. */
export const cast: Format = {
  head({ columns, rows, term, began, command }: Heading): string {
    const header = {
      version: 3,
      term: { cols: columns, rows, ...(term !== undefined && { type: term }) },
      timestamp: Math.floor(began / 1000),
      command: shown(command),
    };
    return `${JSON.stringify(header)}\n`;
  },

  entry(entry: Entry, time: number, after: number): string {
    const event = (code: string, data: string) => `[${seconds(time - after)}, "${code}", ${JSON.stringify(data)}]\n`;
    switch (entry.kind) {
      case 'output':
        return data('o', entry.bytes, event);
      case 'error':
        return `${ERROR}\n${data('o', entry.bytes, event)}`;
      case 'input':
        return data('i', entry.bytes, event);
      case 'hidden':
        return `${HIDDEN}\n${event('i', STARS)}`;
      case 'size':
        return `${pixelsOf(entry) && `${PIXELS}${pixelsOf(entry)}\n`}${event('r', `${entry.columns}x${entry.rows}`)}`;
      case 'runs':
      case 'asked':
      case 'env':
      case 'modes':
        return `${exact(entry.text)}# ${entry.kind} ${JSON.stringify(shown(entry.text)).replace(UNSEEN, escaped).replaceAll('\x7f', escaped)}\n`;
      case 'note':
        return event('m', entry.text);
      case 'exit':
        return event('x', String(entry.status));
    }
  },

  reader() {
    let time = 0;
    let before: string[] = [];
    return line => {
      if (line.startsWith('#')) {
        const [, kind, text] = SAID.exec(line) ?? [];
        if (kind !== undefined) {
          const bytes = exactIn(before);
          before = [];
          return { time, entry: { kind: kind as Said['kind'], text: bytes ?? String(JSON.parse(text)) } };
        }
        if (line === ERROR || line === HIDDEN || line.startsWith(BYTES) || line.startsWith(PIXELS)) before.push(line);
        if (before.length > MOST) throw new Error('it has comments on an event that is not there');
        return undefined;
      }
      const said = before;
      before = [];
      const event: unknown = JSON.parse(line);
      if (!Array.isArray(event)) return undefined;
      const [after, code, data] = event as readonly unknown[];
      if (typeof code !== 'string' || typeof data !== 'string') throw new Error('it is no event of asciicast');
      time = microseconds((time + microseconds(after)) / 1e6);
      const entry = entryOf(code, data, said);
      return entry && { time, entry };
    };
  },
};

function data(code: string, bytes: Uint8Array, event: (code: string, data: string) => string): string {
  const text = utf8OrNot(bytes);
  if (text !== undefined) return event(code, text);
  return `${exact(bytes)}${event(code, decodeLenient(bytes))}`;
}

/** The comment on bytes that are no UTF-8. */
const exact = (given: string | Uint8Array): string =>
  typeof given === 'string' ? '' : `${BYTES}${Buffer.from(given).toString('base64')}\n`;

function exactIn(said: readonly string[]): Uint8Array | undefined {
  const base64 = said.find(line => line.startsWith(BYTES))?.slice(BYTES.length);
  return base64 === undefined ? undefined : new Uint8Array(Buffer.from(base64, 'base64'));
}

function entryOf(code: string, data: string, said: readonly string[]): Entry | undefined {
  const bytes = exactIn(said) ?? Buffer.from(data);
  switch (code) {
    case 'o':
      return { kind: said.includes(ERROR) ? 'error' : 'output', bytes };
    case 'i':
      return said.includes(HIDDEN) ? { kind: 'hidden' } : { kind: 'input', bytes };
    case 'r':
      return { kind: 'size', ...sizeIn([data, ...pixelsIn(said)].join(' ')) };
    case 'm':
      return { kind: 'note', text: data };
    case 'x':
      return { kind: 'exit', status: statusIn(data) };
  }
  return undefined;
}

const pixelsIn = (said: readonly string[]): string[] =>
  said.filter(line => line.startsWith(PIXELS)).map(line => line.slice(PIXELS.length));

/** As JSON has it, each half of a pair by itself. */
const escaped = (found: string): string =>
  Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');

/** Microseconds as seconds, without more noughts than need be. */
const seconds = (microseconds: number): string => String(microseconds / 1e6);
