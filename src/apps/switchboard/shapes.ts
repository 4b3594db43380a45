// What comes from the directory and from other nodes, checked: whoever else may write there, or an older version of this program, must not make this one fail.
import { printable } from '../../protocol/errors.ts';
import type { CircuitInfo, ClientInfo, Snapshot } from './events.ts';
import type { News, Place, Provider } from './lines.ts';
import { isName } from './names.ts';
import type { NodeQuestion } from './other-nodes.ts';
import type { Message, Record } from './replica.ts';

/** What nodes tell each other by the directory's channel. */
export type Note =
  /** A change of a place. */
  | Message
  /** Each place of a node, with its version, is there; to be said again and again. */
  | { readonly node: string; readonly beat: readonly (readonly [place: string, version: number])[] }
  /** A place is gone. */
  | { readonly gone: string }
  /** Somebody's name from now on, and nobody's any more. */
  | { readonly claimed: string; readonly owner: string }
  | { readonly released: string }
  /** What a ban or an invitation is about, and what it says now: see `Seal`. */
  | { readonly rule: string; readonly sealed: string };

/** Characters of a note; what is in a longer one is found when the place is read. */
const MAX_NOTE = 4 * 1024 * 1024;
/** Characters of a name, an address, whatever there is. */
const MAX_SHOWN = 1000;
/** Characters of what is said to somebody who has to go. */
const MAX_REASON = 200;

/** Undefined for what makes no sense. */
export function parseNote(text: string): Note | undefined {
  const note = text.length > MAX_NOTE ? undefined : parse(text);
  if (!isObject(note)) return undefined;
  if ('rule' in note) return isText(note.rule) && isText(note.sealed) ? (note as Note) : undefined;
  if ('claimed' in note) return isClaim([note.claimed, note.owner]) ? (note as Note) : undefined;
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

/** Whether it is a name, and somebody who may have it. */
export function isClaim([name, owner]: readonly unknown[]): boolean {
  return isText(name) && isName(name) && isShown(owner) && String(owner).startsWith('SHA256:');
}

/** The place `id` as its hash in the directory has it; undefined if that makes no sense. */
export function parseRecord(id: string, fields: Readonly<{ [field: string]: string }>): Record | undefined {
  const { place: placeText, version, ...rest } = fields;
  const place = parse(placeText ?? '');
  const providers = Object.values(rest).map(parse);
  if (!isPlace(place) || place.id !== id || !/^\d{1,15}$/.test(version ?? '')) return undefined;
  return { place, version: Number(version), providers: providers.filter(isProvider) };
}

// What another node says over its own connection: one of a newer version may say it differently

/** What another node asks; undefined if it makes no sense. */
export function parseQuestion(text: string): NodeQuestion | undefined {
  const question = parse(text);
  if (!isObject(question)) return undefined;
  if (question.survey === true) return { survey: true };
  const { kick } = question;
  if (!isObject(kick) || !isTexts(kick.ids) || !isText(kick.reason)) return undefined;
  return { kick: { ids: kick.ids as string[], reason: printable(kick.reason, MAX_REASON) } };
}

/** What another node has. @throws if it makes no sense */
export function parseSnapshot(text: string): Pick<Snapshot, 'clients' | 'circuits'> {
  const parts = parse(text);
  if (!isObject(parts) || !Array.isArray(parts.clients) || !Array.isArray(parts.circuits)) {
    throw new Error('its answer makes no sense');
  }
  return { clients: parts.clients.filter(isClient), circuits: parts.circuits.filter(isCircuit) };
}

function isClient(value: unknown): value is ClientInfo {
  if (!isObject(value)) return false;
  const { id, address, user, name, alias, key, owner, rights, since } = value;
  return [id, address, user, name, alias, key, owner].every(isShown) && isTexts(rights) && Number.isSafeInteger(since);
}

function isCircuit(value: unknown): value is CircuitInfo {
  if (!isObject(value) || !isClient(value.caller) || !isObject(value.provider)) return false;
  const { id, provider, target, line, since, toProvider, toCaller } = value;
  return (
    [provider.id, provider.alias, provider.address, target, line].every(isShown) &&
    [id, since, toProvider, toCaller].every(Number.isSafeInteger)
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const isObject = (value: unknown): value is { [name: string]: unknown } =>
  typeof value === 'object' && value !== null;
export const isText = (value: unknown): value is string => typeof value === 'string';
/** What people are shown: without anything that a terminal would carry out. */
const isShown = (value: unknown): boolean =>
  isText(value) && value.length <= MAX_SHOWN && !/[\p{Cc}\p{Cf}]/u.test(value);
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isShown);
const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;

const isNews = (value: unknown): value is News =>
  isObject(value) && ('provider' in value ? isProvider(value.provider) : isPlace(value.up));

/** Only that of another node: a path would lead to one of our own sockets. */
function isPlace(value: unknown): value is Place {
  if (!isObject(value) || 'path' in value || !isObject(value.node)) return false;
  const { host, port } = value.node;
  return isShown(value.id) && Number.isSafeInteger(value.worker) && isShown(host) && isPort(port);
}

function isProvider(value: unknown): value is Provider {
  if (!isObject(value) || 'client' in value) return false;
  const { id, place, owner, name, alias, names, given, allow, address, since, doubted, lines } = value;
  const isLine = (line: unknown) =>
    isObject(line) &&
    (line.kind === 'unix' ? isShown(line.path) : line.kind === 'tcp' && isText(line.host) && isPort(line.port));
  return (
    [id, place, owner, name, alias, address].every(isShown) &&
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
