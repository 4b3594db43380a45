// The grammar and the range of each thing that comes from elsewhere: from the directory, from other nodes, from other processes. What is accepted can be shown, ordered and forgotten.
import { parseAddress } from '../../crypto/keys/index.ts';
import { RIGHTS, type Right } from './grants.ts';
import { isListenHost, isPath, type Line, MAX_HOST } from './line.ts';
import { isMoment } from './measures.ts';
import { hostName, isAliasOf, isShown } from './names.ts';
import type { NodeAddress } from './providers.ts';

/** Things in any list: the ports of a machine, which is more than there ever are of anything else. */
const MAX_LIST = 65_536;
/** Milliseconds that another clock may be ahead of ours. */
export const SKEW = 86_400_000;

/** Something with fields; lists are not. */
export const isObject = (value: unknown): value is { [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Any text. */
export const isText = (value: unknown): value is string => typeof value === 'string';

/** A list of bounded length, all of whose items are what `is` says. */
export const isListOf = <T>(value: unknown, is: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.length <= MAX_LIST && value.every(is);

/** A whole number in a range; -0 is none, since it is shown and written as another one. */
export const isBetween = (value: unknown, low: number, high: number): value is number =>
  Number.isSafeInteger(value) && Number(value) >= low && Number(value) <= high && !Object.is(value, -0);

/** A count of anything, such as bytes. */
export const isCount = (value: unknown): value is number => isBetween(value, 0, Number.MAX_SAFE_INTEGER);

/** A count of changes; the directory writes no more than 15 digits. */
export const isVersion = (value: unknown): value is number => isBetween(value, 0, 1e15 - 1);

/** A port that can be called. */
export const isPort = (value: unknown): value is number => isBetween(value, 1, 65_535);

/** When something began, in milliseconds since 1970: whoever says a later time than a clock can be wrong would be first for ever. */
export const isSince = (value: unknown, now: number): value is number =>
  isMoment(value) && isBetween(value, 0, now + SKEW);

/** The id of a place, or of a node. */
export const isPlaceId = (value: unknown): value is string => isText(value) && /^[0-9a-z]{1,32}$/.test(value);

/** The id of a connection: its place, and its number there. */
export const isConnectionId = (value: unknown): value is string =>
  isText(value) && /^[0-9a-z]{1,32}\/\d{1,15}$/.test(value);

/** A key as it is shown. */
export const isFingerprint = (value: unknown): value is string =>
  isText(value) && /^SHA256:[A-Za-z0-9+/]{43}$/.test(value);

/** See `Grant.owner`: a key, or an authority and a principal of its. */
export const isOwner = (value: unknown): value is string =>
  isShown(value) && isFingerprint(value.slice(0, 50)) && (value.length === 50 || /^ ./.test(value.slice(50)));

/** A host name that a client has: what `hostName` makes of a user name. */
export const isHostName = (value: unknown): value is string => isText(value) && hostName(value) === value;

/** An alias, whoever has it: see `aliasOf`. */
export const isAlias = (value: unknown): value is string => {
  const name = isText(value) ? value.slice(0, value.lastIndexOf('-')) : '';
  return isText(value) && isHostName(name) && isAliasOf(value, name);
};

/** An IP address, without brackets or zone. */
export const isIp = (value: unknown): value is string =>
  isText(value) && /^[\da-fA-F.:]+$/.test(value) && parseAddress(value) !== undefined;

/** Where a node can be reached: an IP address, or a host name that no program takes for an option. */
export const isHost = (value: unknown): value is string =>
  isText(value) &&
  value.length <= MAX_HOST &&
  (isIp(value) || /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(value));

/** The address of a node. */
export const isNodeAddress = (value: unknown): value is NodeAddress =>
  isObject(value) && isHost(value.host) && isPort(value.port);

/** Something that is plugged in, as `choose` lets it. */
export const isLine = (value: unknown): value is Line => {
  if (!isObject(value)) return false;
  if (value.kind === 'unix') return isPath(value.path);
  return value.kind === 'tcp' && isListenHost(value.host) && isPort(value.port);
};

/** See `lineKey`. */
export const isLineKey = (value: unknown): value is string =>
  isText(value) && (isPath(value) || (/^[1-9]\d{0,4}$/.test(value) && isPort(Number(value))));

/** A right of ours. */
export const isRight = (value: unknown): value is Right =>
  isText(value) && (RIGHTS as readonly string[]).includes(value);
