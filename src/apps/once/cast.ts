// The format of asciinema, asciicast v3: plays in asciinema and its players; what it has no word for stands in comments, which they skip.
import { type Entry, type Format, type Heading, STARS, textOf } from './entry.ts';

/** Of an event that follows it: it was on standard error; it was hidden; these are its bytes, which are no UTF-8. */
const ERROR = '# error';
const HIDDEN = '# hidden';
const BYTES = '# bytes ';

const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** Newline-delimited JSON: a header, and events `[seconds since the one before, code, data]`. */
export const cast: Format = {
  head({ columns, rows, term, began, command }: Heading): string {
    const header = {
      version: 3,
      term: { cols: columns, rows, ...(term !== undefined && { type: term }) },
      timestamp: Math.floor(began / 1000),
      command,
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
        return event('r', `${entry.columns}x${entry.rows}`);
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
        if (!line.startsWith('# seal ')) before.push(line);
        return undefined;
      }
      const said = before;
      before = [];
      const event: unknown = JSON.parse(line);
      if (!Array.isArray(event)) return undefined;
      time += Math.round(Number(event[0]) * 1e6);
      const entry = entryOf(String(event[1]), String(event[2]), said);
      return entry && { time, entry };
    };
  },
};

function data(code: string, bytes: Uint8Array, event: (code: string, data: string) => string): string {
  const text = textOf(bytes);
  if (text !== undefined) return event(code, text);
  return `${BYTES}${Buffer.from(bytes).toString('base64')}\n${event(code, lenient.decode(bytes))}`;
}

function entryOf(code: string, data: string, said: readonly string[]): Entry | undefined {
  const exact = said.find(line => line.startsWith(BYTES))?.slice(BYTES.length);
  const bytes = Buffer.from(exact ?? data, exact === undefined ? 'utf8' : 'base64');
  switch (code) {
    case 'o':
      return { kind: said.includes(ERROR) ? 'error' : 'output', bytes };
    case 'i':
      return said.includes(HIDDEN) ? { kind: 'hidden' } : { kind: 'input', bytes };
    case 'r': {
      const [columns, rows] = data.split('x').map(Number);
      return { kind: 'size', columns, rows };
    }
    case 'm':
      return { kind: 'note', text: data };
    case 'x':
      return { kind: 'exit', status: Number(data) };
  }
  return undefined;
}

/** Microseconds as seconds, without more noughts than need be. */
const seconds = (microseconds: number): string => String(microseconds / 1e6);
