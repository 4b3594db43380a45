// What a line of the authorized_keys file gives: rights, names, limits; and which of several lines is the best for a user.
import { type AuthorizedKey, fingerprint, type KeyRules, permits } from '../../crypto/keys/index.ts';
import { printable } from '../../protocol/errors.ts';
import { Writer } from '../../protocol/wire/reader.ts';
import { type Admission, lineRules } from '../../server/authorized-keys.ts';
import type { ListenTarget } from '../../server/forwarding.ts';
import { hostName, isName } from './names.ts';
import { parseQuotas, type Quotas } from './quotas.ts';
import { COMMAND_NAMES, commandIn } from './shell/command-names.ts';

/** The rights that `access=` names, as in nuttssh, the weightiest first; `denied` beside them keeps the key out. */
export const RIGHTS = ['admin', 'listen', 'initiate', 'list'] as const;
export type Right = (typeof RIGHTS)[number];

/** Who calls, as far as a line may ask. */
export interface Caller {
  /** See `Grant`. */
  readonly owner: string;
  readonly fingerprint: string;
  readonly given: readonly string[];
  readonly principals: readonly string[];
}

/** What a signed-in key may do. */
export interface Grant extends Caller {
  /** The key itself, also of one that came with a certificate. */
  readonly key: Uint8Array;
  readonly fingerprint: string;
  /**
   * Whose the names and lines are: the fingerprint of the key, or, for a certificate, its authority's and the principal that
   * it signed in as, so that a new key of the same principal is the same owner.
   */
  readonly owner: string;
  /** The same in bytes, to derive aliases from. */
  readonly seed: Uint8Array;
  /** The user name that it signed in with. */
  readonly user: string;
  /** It lies in a security token that need not be touched. */
  readonly untouched: boolean;
  readonly rights: readonly Right[];
  /** The name in place of the user name. */
  readonly hostname?: string;
  /** Names that the file gives: `hostname` and `alias=`. */
  readonly given: readonly string[];
  /** All principals in the certificate. */
  readonly principals: readonly string[];
  /** Who may call its lines, if not everybody who may call: see `admits`. */
  readonly allow?: readonly string[];
  readonly pty: boolean;
  /** Runs in place of whatever the client asks for. */
  readonly command?: string;
  /** Milliseconds since 1970 from which on the key is not good any more. */
  readonly expires?: number;
  /** Where they differ from everybody's. */
  readonly quotas: Partial<Quotas>;
  mayListen(target: ListenTarget): boolean;
  mayOpen(target: ListenTarget): boolean;
}

/** What this program enforces; a key with any other option is refused, never let in with less than its line asks for. */
export const POLICY = {
  enforced: [
    ...['restrict', 'permitopen', 'permitlisten', 'command'],
    ...['no-port-forwarding', 'port-forwarding', 'no-pty', 'pty'],
    ...['no-agent-forwarding', 'agent-forwarding', 'no-x11-forwarding', 'x11-forwarding', 'no-user-rc', 'user-rc'],
  ],
  extra: ['access', 'hostname', 'alias', 'allow', 'quota'],
};

/** Whether the line keeps its key out. */
export const denies = ({ options }: AuthorizedKey): boolean =>
  options.some(({ name, value }) => name === 'access' && value === 'denied');

/** The names that a line gives to its key. */
export function namesIn({ options }: AuthorizedKey): string[] {
  const hostname = options.find(({ name }) => name === 'hostname');
  const aliases = options.filter(({ name }) => name === 'alias');
  return [...(hostname ? [hostname] : []), ...aliases].map(({ value = '' }) => value.toLowerCase());
}

/** Why a line's key is refused, if it is. */
export function problemOf(entry: AuthorizedKey): string | undefined {
  const rules = lineRules(entry, POLICY);
  if (typeof rules === 'string') return rules;
  const values = (name: string) => rules.extra.get(name) ?? [];
  const words: readonly string[] = [...RIGHTS, 'denied'];
  if (rules.command !== undefined && commandIn(rules.command) === undefined)
    return `its command="${printable(rules.command, 80)}" is not one of ${COMMAND_NAMES.join(', ')}`;
  for (const value of values('access'))
    if (!words.includes(value)) return `access="${printable(value, 40)}" is not one of ${words.join(', ')}`;
  if (values('hostname').length > 1) return 'it has more than one option hostname';
  for (const name of namesIn(entry))
    if (!isName(name)) return `"${printable(name, 80)}" cannot be a name: at most 50 of a-z, 0-9, ".", "-", "_"`;
  for (const value of values('allow'))
    if (value.split(',').some(part => part.trim() === '')) return 'its option allow has an empty part';
  for (const value of values('quota')) {
    const quotas = parseQuotas(value);
    if (typeof quotas === 'string')
      return `its quota="${printable(value, 80)}" makes no sense: ${printable(quotas, 80)}`;
  }
  return undefined;
}

/** A line without `access=` is an ordinary authorized_keys line: it may plug in and call, like any ssh user may forward. */
function rightsIn({ portForwarding, extra }: KeyRules): Right[] {
  const access = extra.get('access') ?? ['listen', 'initiate'];
  return RIGHTS.filter(right => {
    if (!portForwarding && (right === 'listen' || right === 'initiate')) return false;
    return access.includes('admin') || access.includes(right);
  });
}

/**
 * Which of two lines that let the key in is the better one for its user: the one that gives the name he wants, or else the one
 * with more rights, or else the one that restricts them less. Those that are alike count in the order of the file.
 */
export function prefer(one: Admission, other: Admission): number {
  const named = ({ user, entry }: Admission) => (namesIn(entry).includes(hostName(user)) ? 1 : 0);
  const weight = ({ rules }: Admission) =>
    rightsIn(rules).reduce((sum, right) => sum + 8 / 2 ** RIGHTS.indexOf(right), 0);
  const free = ({ rules }: Admission) => (rules.permitListen ? 0 : 1) + (rules.permitOpen ? 0 : 1);
  return named(other) - named(one) || weight(other) - weight(one) || free(other) - free(one);
}

export function grantOf(admission: Admission): Grant {
  const { user, key, certificate, entry, rules } = admission;
  const rights = rightsIn(rules);
  const has = (right: Right) => rights.includes(right);
  const values = (name: string) => (rules.extra.get(name) ?? []).flatMap(value => value.split(','));
  const allow = values('allow').map(part => part.trim());
  const hostname = rules.extra.get('hostname')?.[0].toLowerCase();
  return {
    ...ownerOf(admission),
    key,
    fingerprint: fingerprint(key),
    user,
    untouched: !rules.touchRequired,
    rights,
    ...(hostname !== undefined && { hostname }),
    given: namesIn(entry),
    principals: certificate?.principals ?? [],
    ...(allow.length > 0 && { allow }),
    pty: rules.pty,
    ...(rules.command !== undefined && { command: rules.command }),
    ...(rules.expiry !== undefined && { expires: rules.expiry }),
    quotas: Object.assign({}, ...(rules.extra.get('quota') ?? []).map(parseQuotas)) as Partial<Quotas>,
    // A path cannot be in a list of ports: where there is one, sockets are not on it.
    mayListen: target =>
      has('listen') &&
      (target.kind === 'tcp'
        ? permits(rules.permitListen, target.host, target.port)
        : rules.permitListen === undefined),
    mayOpen: target =>
      has('initiate') &&
      (target.kind === 'tcp' ? permits(rules.permitOpen, target.host, target.port) : rules.permitOpen === undefined),
  };
}

/** See `Grant.owner`. Where the line, not the certificate, lets the user have the name, nobody vouches for it but the key. */
function ownerOf({ user, key, certificate }: Admission): Pick<Grant, 'owner' | 'seed'> {
  if (!certificate?.principals.includes(user)) return { owner: fingerprint(key), seed: key };
  const authority = certificate.signatureKey.blob;
  return {
    owner: `${fingerprint(authority)} ${user}`,
    seed: new Writer().string(authority).string(user).finish(),
  };
}

/**
 * Whether `allow=` lets a caller in: by the fingerprint of his key, by a name that the file gives him, or by a principal in
 * his certificate ("principal:ops"). A name that somebody merely was the first to use counts for nothing here.
 */
export function admits(allow: readonly string[] | undefined, caller: Caller): boolean {
  if (allow === undefined) return true;
  return allow.some(
    who =>
      who === caller.fingerprint ||
      caller.given.includes(who.toLowerCase()) ||
      (who.startsWith('principal:') && caller.principals.includes(who.slice('principal:'.length))),
  );
}
