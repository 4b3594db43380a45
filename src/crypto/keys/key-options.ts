// What the options of an authorized_keys line mean (sshd(8)): each is enforced by the caller or its key is refused, none is ever ignored.
import { printable, UsageError } from '../../protocol/errors.ts';
import { type AddressPattern, matchGlob, parseFrom } from './address-match.ts';
import type { KeyOption } from './authorized-keys.ts';

/** What a key may do. Plain data; without options everything is allowed. */
export interface KeyRules {
  /** `from`: each list must admit the client's address (`matchFrom`). */
  readonly from: readonly (readonly AddressPattern[])[];
  /** `expiry-time`, the earliest: milliseconds since 1970 from which on the key is refused. */
  readonly expiry?: number;
  /** `permitopen`: where forwardings may lead (`permits`); undefined: anywhere. */
  readonly permitOpen?: readonly Permit[];
  /** `permitlisten`: what may be listened on (`permits`); undefined: anything. */
  readonly permitListen?: readonly Permit[];
  /** Ports and sockets may be forwarded, in either direction: false with `restrict` or `no-port-forwarding`. */
  readonly portForwarding: boolean;
  /** `auth-agent-req@openssh.com` may be granted: false with `restrict` or `no-agent-forwarding`. */
  readonly agentForwarding: boolean;
  /** `x11-req` may be granted (RFC 4254 §6.3): false with `restrict` or `no-x11-forwarding`. */
  readonly x11Forwarding: boolean;
  /** `pty-req` may be granted (RFC 4254 §6.2): false with `restrict` or `no-pty`. */
  readonly pty: boolean;
  /** ~/.ssh/rc may be run: false with `restrict` or `no-user-rc`. */
  readonly userRc: boolean;
  /** `command`: runs in place of whatever the client asks for. */
  readonly command?: string;
  /** `tunnel`: the number of the tun device to use, whatever the client asks for. */
  readonly tunnel?: number | 'any';
  /** `environment`: name to value. */
  readonly environment: ReadonlyMap<string, string>;
  /** `cert-authority`: the key does not sign in, it signs certificates. */
  readonly certAuthority: boolean;
  /** `principals`: one of these names must be in the certificate; undefined: the user's. */
  readonly principals?: readonly string[];
  /** For keys in security tokens: false with `no-touch-required`. */
  readonly touchRequired: boolean;
  /** For keys in security tokens: true with `verify-required`. */
  readonly verifyRequired: boolean;
  /** Values of the application's own options, by name, in order; '' for one without a value. */
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

/** One `permitopen` or `permitlisten`. */
export interface Permit {
  /** A name or address without brackets; "*" is any. */
  readonly host: string;
  /** 1 to 65535; "*" is any. */
  readonly port: number | '*';
  /** `permitlisten` takes patterns and no notice of case, `permitopen` is literal: as in sshd. */
  readonly glob: boolean;
}

/** Names of the options that `keyRules` understands, in lower case. */
export type KnownOption = keyof typeof readers;

/**
 * The rules in the options of one line, or one sentence that says why its key must be refused: an option that is
 * neither in `enforced` nor in `extra`, or one whose value makes no sense.
 * @param policy.enforced options of sshd(8) whose effect on `KeyRules` the caller carries out. Whoever enforces
 *   `restrict` must know everything that it turns off: forwarding of ports, agent and X11, pty and ~/.ssh/rc.
 * @param policy.extra options of the application's own, handed through as text
 * @throws UsageError if `enforced` names an option that is not known here
 */
export function keyRules(
  entry: { readonly options: readonly KeyOption[] },
  policy: { readonly enforced?: readonly string[]; readonly extra?: readonly string[] } = {},
): KeyRules | string {
  const enforced = new Set(policy.enforced?.map(name => name.toLowerCase()));
  const extra = new Set(policy.extra?.map(name => name.toLowerCase()));
  for (const name of enforced)
    if (!Object.hasOwn(readers, name)) throw new UsageError(`there is no option ${name} to enforce`);
  const rules = noRules();
  for (const { name, value } of entry.options) {
    if (extra.has(name)) {
      const values = rules.extra.get(name) ?? [];
      rules.extra.set(name, [...values, value ?? '']);
      continue;
    }
    if (!enforced.has(name)) return `its option ${printable(name, 40)} is not supported`;
    const problem = readers[name as KnownOption](rules, value, name);
    if (problem) return problem;
  }
  return rules;
}

/** Whether a list of permits (undefined: no list, all is allowed) has one for this host and port. */
export function permits(list: readonly Permit[] | undefined, host: string, port: number): boolean {
  if (list === undefined) return true;
  return list.some(permit => {
    if (permit.port !== '*' && permit.port !== port) return false;
    if (permit.host === '*') return true;
    return permit.glob ? matchGlob(permit.host.toLowerCase(), host.toLowerCase()) : permit.host === host;
  });
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Draft = Omit<Mutable<KeyRules>, 'extra' | 'environment' | 'from' | 'permitOpen' | 'permitListen'> & {
  permitOpen?: Permit[];
  permitListen?: Permit[];
  from: AddressPattern[][];
  environment: Map<string, string>;
  extra: Map<string, string[]>;
};

function noRules(): Draft {
  return {
    from: [],
    portForwarding: true,
    agentForwarding: true,
    x11Forwarding: true,
    pty: true,
    userRc: true,
    environment: new Map(),
    certAuthority: false,
    touchRequired: true,
    verifyRequired: false,
    extra: new Map(),
  };
}

/** Writes what one option means into the rules, or says in a sentence what is wrong with it. Options apply in their order. */
type OptionReader = (rules: Draft, value: string | undefined, name: string) => string | undefined;

const readers = {
  restrict: flag(rules => {
    for (const feature of FEATURES) rules[feature] = false;
  }),
  'port-forwarding': feature('portForwarding', true),
  'no-port-forwarding': feature('portForwarding', false),
  'agent-forwarding': feature('agentForwarding', true),
  'no-agent-forwarding': feature('agentForwarding', false),
  'x11-forwarding': feature('x11Forwarding', true),
  'no-x11-forwarding': feature('x11Forwarding', false),
  pty: feature('pty', true),
  'no-pty': feature('pty', false),
  'user-rc': feature('userRc', true),
  'no-user-rc': feature('userRc', false),
  'cert-authority': flag(rules => {
    rules.certAuthority = true;
  }),
  'touch-required': flag(rules => {
    rules.touchRequired = true;
  }),
  'no-touch-required': flag(rules => {
    rules.touchRequired = false;
  }),
  'verify-required': flag(rules => {
    rules.verifyRequired = true;
  }),
  'no-verify-required': flag(rules => {
    rules.verifyRequired = false;
  }),
  from: valued((rules, value) => {
    const patterns = parseFrom(value);
    if (typeof patterns === 'string') return `in its option from, ${patterns}`;
    rules.from.push(patterns);
    return undefined;
  }),
  'expiry-time': valued((rules, value) => {
    const time = parseExpiry(value);
    if (time === undefined) return `its expiry-time "${printable(value, 40)}" is not of the form YYYYMMDD[HHMM[SS]][Z]`;
    rules.expiry = Math.min(time, rules.expiry ?? time);
    return undefined;
  }),
  permitopen: valued((rules, value, name) => {
    const permit = parsePermit(value, false);
    if (typeof permit === 'string') return `its ${name}="${printable(value, 80)}" ${permit}`;
    rules.permitOpen ??= [];
    rules.permitOpen.push(...permit);
    return undefined;
  }),
  permitlisten: valued((rules, value, name) => {
    const permit = parsePermit(value, true);
    if (typeof permit === 'string') return `its ${name}="${printable(value, 80)}" ${permit}`;
    rules.permitListen ??= [];
    rules.permitListen.push(...permit);
    return undefined;
  }),
  command: valued((rules, value) => {
    if (rules.command !== undefined) return 'it has more than one option command';
    rules.command = value;
    return undefined;
  }),
  tunnel: valued((rules, value) => {
    const number = /^\s*\+?\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
    if (value.toLowerCase() !== 'any' && !(number <= MAX_TUNNEL))
      return `its tunnel="${printable(value, 40)}" is not the number of a device`;
    // The last one counts, as in sshd.
    rules.tunnel = value.toLowerCase() === 'any' ? 'any' : number;
    return undefined;
  }),
  environment: valued((rules, value) => {
    const assignment = /^([A-Za-z0-9_]+)=(.*)$/s.exec(value);
    if (!assignment) return `its environment="${printable(value, 80)}" is not of the form NAME=value`;
    // The first one counts, as in sshd.
    if (!rules.environment.has(assignment[1])) rules.environment.set(assignment[1], assignment[2]);
    return undefined;
  }),
  principals: valued((rules, value) => {
    if (rules.principals !== undefined) return 'it has more than one option principals';
    const principals = value.split(',').map(name => name.trim());
    // An empty name ends the list, as in sshd.
    rules.principals = principals.slice(0, [...principals, ''].indexOf(''));
    return undefined;
  }),
} satisfies Record<string, OptionReader>;

/** Highest number of a tun device (SSH_TUNID_MAX in OpenSSH). */
const MAX_TUNNEL = 0x7ffffffd;

/** What `restrict` turns off, and a later option of the feature's name turns on again. */
const FEATURES = ['portForwarding', 'agentForwarding', 'x11Forwarding', 'pty', 'userRc'] as const;

function feature(name: (typeof FEATURES)[number], on: boolean): OptionReader {
  return flag(rules => {
    rules[name] = on;
  });
}

/** An option without a value. */
function flag(apply: (rules: Draft) => void): OptionReader {
  return (rules, value, name) => {
    if (value !== undefined) return `its option ${name} has a value, and takes none`;
    apply(rules);
    return undefined;
  };
}

/** An option that needs a value. */
function valued(read: (rules: Draft, value: string, name: string) => string | undefined): OptionReader {
  return (rules, value, name) => (value === undefined ? `its option ${name} has no value` : read(rules, value, name));
}

/** The permits in one value: none for "none", otherwise one. A string says why there is none. */
function parsePermit(value: string, listen: boolean): Permit[] | string {
  if (value === 'none') return [];
  const text = listen && /^(\d+|\*)$/.test(value) ? `*:${value}` : value;
  const parts = /^(?:\[([^[\]]+)\]|([^:/[\]]*))[:/]([^:/]+)$/.exec(text);
  if (!parts) return `is not of the form host:port or [address]:port`;
  const host = parts[1] ?? parts[2];
  if (parts[3] === '*') return [{ host, port: '*', glob: listen }];
  const port = /^\d{1,5}$/.test(parts[3]) ? Number(parts[3]) : 0;
  return port >= 1 && port <= 65535 ? [{ host, port, glob: listen }] : 'has no port from 1 to 65535 and no *';
}

/** YYYYMMDD[HHMM[SS]], local time or (with Z or UTC after it) UTC, as milliseconds since 1970. */
export function parseExpiry(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|UTC)?$/i.exec(text);
  if (!parts) return undefined;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(part => Number(part ?? 0));
  if (hour > 23 || minute > 59 || second > 60 || month < 1 || month > 12 || day < 1 || day > 31) return undefined;
  // The 30th of February is one in March, as in sshd.
  if (year < 1970) return undefined;
  if (parts[7]) return Date.UTC(year, month - 1, day, hour, minute, second);
  return new Date(year, month - 1, day, hour, minute, second).getTime();
}
