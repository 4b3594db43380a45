// What comes from the directory, checked: whoever else may write there, or an older version of this program, must not make this one fail.
import type { News, Place, Provider } from './lines.ts';
import type { Message, Record } from './replica.ts';

/** What nodes tell each other by the directory's channel. */
export type Note =
  /** A change of a place. */
  | Message
  /** Each place of a node, with its version, is there; to be said again and again. */
  | { readonly node: string; readonly beat: readonly (readonly [place: string, version: number])[] }
  /** A place is gone. */
  | { readonly gone: string }
  /** Nobody's name any more. */
  | { readonly released: string };

/** Undefined for what makes no sense. */
export function parseNote(text: string): Note | undefined {
  const note = parse(text);
  if (!isObject(note)) return undefined;
  if ('gone' in note) return isText(note.gone) ? (note as Note) : undefined;
  if ('released' in note) return isText(note.released) ? (note as Note) : undefined;
  if ('beat' in note) {
    const isPair = (pair: unknown) => Array.isArray(pair) && isText(pair[0]) && Number.isSafeInteger(pair[1]);
    return isText(note.node) && Array.isArray(note.beat) && note.beat.every(isPair) ? (note as Note) : undefined;
  }
  if (!isText(note.place) || !Number.isSafeInteger(note.version)) return undefined;
  const { news } = note;
  return news === undefined || (Array.isArray(news) && news.every(isNews)) ? (note as unknown as Note) : undefined;
}

/** The place `id` as its hash in the directory has it; undefined if that makes no sense. */
export function parseRecord(id: string, fields: Readonly<{ [field: string]: string }>): Record | undefined {
  const { place: placeText, version, ...rest } = fields;
  const place = parse(placeText ?? '');
  const providers = Object.values(rest).map(parse);
  if (!isPlace(place) || place.id !== id || !/^\d{1,15}$/.test(version ?? '')) return undefined;
  return { place, version: Number(version), providers: providers.filter(isProvider) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is { [name: string]: unknown } => typeof value === 'object' && value !== null;
const isText = (value: unknown): value is string => typeof value === 'string';
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;

const isNews = (value: unknown): value is News =>
  isObject(value) && ('provider' in value ? isProvider(value.provider) : isPlace(value.up));

/** Only that of another node: a path would lead to one of our own sockets. */
function isPlace(value: unknown): value is Place {
  if (!isObject(value) || 'path' in value || !isObject(value.node)) return false;
  const { host, port } = value.node;
  return isText(value.id) && Number.isSafeInteger(value.worker) && isText(host) && isPort(port);
}

function isProvider(value: unknown): value is Provider {
  if (!isObject(value) || 'client' in value) return false;
  const { id, place, owner, name, alias, names, given, allow, address, since, doubted, lines } = value;
  const isLine = (line: unknown) =>
    isObject(line) &&
    (line.kind === 'unix' ? isText(line.path) : line.kind === 'tcp' && isText(line.host) && isPort(line.port));
  return (
    [id, place, owner, name, alias, address].every(isText) &&
    (id as string).startsWith(`${place}/`) &&
    isTexts(names) &&
    isTexts(given) &&
    (allow === undefined || isTexts(allow)) &&
    Number.isFinite(since) &&
    typeof doubted === 'boolean' &&
    Array.isArray(lines) &&
    lines.every(isLine)
  );
}
