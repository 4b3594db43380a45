// What comes from the directory and from other nodes, checked: whoever else may write there, or an older version of this program, must not make this one fail.
import { printable } from '../../protocol/errors.ts';
import type { CircuitInfo, CircuitProvider, ClientInfo, Snapshot } from './events.ts';
import {
  isAlias,
  isBetween,
  isConnectionId,
  isCount,
  isFingerprint,
  isHostName,
  isIp,
  isLine,
  isLineKey,
  isListOf,
  isNodeAddress,
  isObject,
  isOwner,
  isPlaceId,
  isPort,
  isRight,
  isSince,
  isText,
  isVersion,
} from './fields.ts';
import { type News, nodeName, type Place, type Provider } from './lines.ts';
import { isAliasOf, isName, isShown } from './names.ts';
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
/** Characters of what is said to somebody who has to go. */
const MAX_REASON = 200;
/** Number of the last worker that anybody may have. */
const MAX_WORKER = 999;

/** `now`: milliseconds since 1970. Undefined for what makes no sense. */
export function parseNote(text: string, now: number): Note | undefined {
  const note = text.length > MAX_NOTE ? undefined : parse(text);
  if (!isObject(note)) return undefined;
  const { rule, sealed, claimed, owner, gone, released, node, beat, place, version, news } = note;
  if (rule !== undefined) return isShown(rule) && isText(sealed) ? { rule, sealed } : undefined;
  if (claimed !== undefined) return isClaim([claimed, owner]) ? ({ claimed, owner } as Note) : undefined;
  if (gone !== undefined) return isPlaceId(gone) ? { gone } : undefined;
  if (released !== undefined) return isText(released) && isName(released) ? { released } : undefined;
  if (beat !== undefined) return isPlaceId(node) && isListOf(beat, isVersionOfPlace) ? { node, beat } : undefined;
  if (!isPlaceId(place) || !isVersion(version)) return undefined;
  if (news === undefined) return { place, version };
  const known = isListOf(news, isObject) ? news.map(item => parseNews(item, now)) : [undefined];
  return known.includes(undefined) ? undefined : { place, version, news: known as News[] };
}

const isVersionOfPlace = (value: unknown): value is [place: string, version: number] =>
  Array.isArray(value) && value.length === 2 && isPlaceId(value[0]) && isVersion(value[1]);

/** Whether it is a name, and somebody who may have it. */
export const isClaim = (claim: readonly unknown[]): claim is [name: string, owner: string] =>
  isText(claim[0]) && isName(claim[0]) && isOwner(claim[1]);

/** The place `id` as its hash in the directory has it, with those of its providers that make sense; undefined if it does not. */
export function parseRecord(
  id: string,
  fields: Readonly<{ [field: string]: string }>,
  now: number,
): Record | undefined {
  const { place: placeText, version: versionText, ...rest } = fields;
  const place = parsePlace(parse(placeText ?? ''));
  const version = /^\d{1,15}$/.test(versionText ?? '') ? Number(versionText) : undefined;
  if (place?.id !== id || version === undefined) return undefined;
  const providers = Object.values(rest).map(text => parseProvider(parse(text), now));
  return { place, version, providers: providers.filter(one => one?.place === id) as Provider[] };
}

/** What a process says of its own providers, or another node of its; undefined if it makes no sense. */
export function parseNews(item: unknown, now: number): News | undefined {
  if (!isObject(item)) return undefined;
  if ('provider' in item) {
    const provider = parseProvider(item.provider, now);
    return provider && { provider };
  }
  const up = parsePlace(item.up);
  return up && { up };
}

/** Only that of another node: a path would lead to one of our own sockets. */
function parsePlace(value: unknown): Place | undefined {
  if (!isObject(value) || 'path' in value) return undefined;
  const { id, worker, node } = value;
  if (!isPlaceId(id) || !isBetween(worker, 1, MAX_WORKER) || !isNodeAddress(node)) return undefined;
  return { id, worker, node: { host: node.host, port: node.port } };
}

/** With the fields that we know, and no other. */
function parseProvider(value: unknown, now: number): Provider | undefined {
  if (!isObject(value) || 'client' in value) return undefined;
  const { id, place, owner, name, alias, names, given, allow, address, since, doubted, lines } = value;
  if (!isConnectionId(id) || !isPlaceId(place) || !id.startsWith(`${place}/`)) return undefined;
  if (!isOwner(owner) || !isIp(address) || !isSince(since, now) || typeof doubted !== 'boolean') return undefined;
  if (!isHostName(name) || !isText(alias) || !isAliasOf(alias, name)) return undefined;
  if (!isListOf(names, isPlainName) || !isListOf(given, isPlainName) || !isListOf(lines, isLine)) return undefined;
  if (allow !== undefined && !isListOf(allow, isShown)) return undefined;
  return {
    ...{ id, place, owner, name, alias, names, given, address, since, doubted },
    ...(allow !== undefined && { allow }),
    lines: lines.map(line =>
      line.kind === 'unix' ? { kind: 'unix', path: line.path } : { kind: 'tcp', host: line.host, port: line.port },
    ),
  };
}

const isPlainName = (value: unknown): value is string => isText(value) && isName(value);

// What another node says over its own connection: one of a newer version may say it differently

/** What another node asks; undefined if it makes no sense. */
export function parseQuestion(text: string): NodeQuestion | undefined {
  const question = parse(text);
  if (!isObject(question)) return undefined;
  if (question.survey === true) return { survey: true };
  const { kick } = question;
  if (!isObject(kick) || !isListOf(kick.ids, isConnectionId) || !isText(kick.reason)) return undefined;
  return { kick: { ids: kick.ids, reason: printable(kick.reason, MAX_REASON) } };
}

/** What another node has. @throws if it makes no sense */
export function parseSnapshot(text: string, now: number): Pick<Snapshot, 'clients' | 'circuits'> {
  const parts = parse(text);
  if (!isObject(parts) || !Array.isArray(parts.clients) || !Array.isArray(parts.circuits)) {
    throw new Error('its answer makes no sense');
  }
  return {
    clients: parts.clients.flatMap(one => parseClient(one, now) ?? []),
    circuits: parts.circuits.flatMap(one => parseCircuit(one, now) ?? []),
  };
}

function parseClient(value: unknown, now: number): ClientInfo | undefined {
  if (!isObject(value)) return undefined;
  const { id, address, port, user, name, alias, key, owner, rights, since } = value;
  if (!isConnectionId(id) || !isIp(address) || !isShown(user) || !isSince(since, now)) return undefined;
  if (!isHostName(name) || !isText(alias) || !isAliasOf(alias, name)) return undefined;
  if (!isFingerprint(key) || !isOwner(owner) || !isListOf(rights, isText)) return undefined;
  return {
    ...{ id, address, port: isPort(port) ? port : 0, user, name, alias, key, owner },
    ...{ rights: rights.filter(isRight), since },
  };
}

function parseCircuit(value: unknown, now: number): CircuitInfo | undefined {
  if (!isObject(value)) return undefined;
  const { id, target, line, since, toProvider, toCaller } = value;
  const caller = parseClient(value.caller, now);
  const provider = parseCircuitProvider(value.provider);
  if (caller === undefined || provider === undefined || !isCount(id)) return undefined;
  if (!isShown(target) || !isLineKey(line) || !isSince(since, now)) return undefined;
  if (!isCount(toProvider) || !isCount(toCaller)) return undefined;
  return { id, caller, provider, target, line, since, toProvider, toCaller };
}

function parseCircuitProvider(value: unknown): CircuitProvider | undefined {
  if (!isObject(value)) return undefined;
  const { id, alias, address, worker, node } = value;
  if (!isConnectionId(id) || !isAlias(alias) || !isIp(address)) return undefined;
  return {
    ...{ id, alias, address },
    ...(isBetween(worker, 1, MAX_WORKER) && { worker }),
    ...(isNodeName(node) && { node }),
  };
}

/** See `nodeName`. */
function isNodeName(value: unknown): value is string {
  const [, host, port] = (isText(value) && /^(?:\[?)([^\]]*)\]?:(\d{1,5})$/.exec(value)) || [];
  const address = { host, port: Number(port) };
  return isNodeAddress(address) && nodeName(address) === value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
