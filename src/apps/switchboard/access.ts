// Who may sign in and do what: an authorized_keys file, re-read when it changes, and enrolment of keys it does not know.
import { statSync } from 'node:fs';
import {
  type AuthorizedKey,
  fingerprint,
  formatAuthorizedKey,
  type KeyRules,
  keyRules,
  matchFrom,
  parseAuthorizedKeys,
  parsePublicKeyBlob,
  permits,
} from '../../crypto/keys/index.ts';
import { printable } from '../../protocol/errors.ts';
import { sourceOf } from '../../server/penalties.ts';
import type { Logger } from '../../server/server.ts';
import { readIfThere, reason, replaceFile, StateError } from './state.ts';

/** Keys that enrolment may add to the file; by then it is some 1.5 MB. */
const MAX_ENROLLED = 10_000;
/** Enrolments from one address within an hour, and addresses remembered for that. */
const MAX_PER_ADDRESS = 20;
const HOUR = 3_600_000;
const MAX_ADDRESSES = 10_000;

/** The rights that `access=` names, as in nuttssh. */
const RIGHTS = ['listen', 'initiate', 'list', 'admin', 'denied'];

/** What a signed-in key may do. */
export interface Grant {
  /** Plug lines in at all. */
  readonly listen: boolean;
  /** See other keys' lines. */
  readonly list: boolean;
  mayListen(host: string, port: number): boolean;
  mayOpen(host: string, port: number): boolean;
}

interface Rule {
  readonly rules: KeyRules;
  readonly access: ReadonlySet<string>;
}

export interface AccessOptions {
  /** The authorized_keys file. It need not exist: then it holds no keys. */
  readonly file: string;
  /** Take in keys that the file does not know, with the rights to listen and to call. */
  readonly enrol: boolean;
  readonly log: Logger;
  /** Milliseconds since 1970, for `expiry-time`. */
  readonly now?: () => number;
}

export class Access {
  readonly #options: AccessOptions;
  readonly #now: () => number;
  /** By the key's fingerprint, in the order of the file. */
  #rules = new Map<string, Rule[]>();
  /** Fingerprints in lines that cannot be used: known, so that they are not enrolled with more rights than their lines meant to give. */
  #refused = new Set<string>();
  /** Modification time and size of the file as we know it. */
  #version = '';
  readonly #enrolments = new Map<string, number[]>();

  /** @throws StateError if the file is there and cannot be read */
  constructor(options: AccessOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#load();
  }

  /** Keys that may sign in, from somewhere. */
  get size(): number {
    return this.#rules.size;
  }

  /** Whether a signature by this key would be taken. Changes nothing: whoever asks need not own the key. */
  acceptable(key: Uint8Array, address: string): boolean {
    if (!this.#refresh()) return false;
    return this.#known(key) ? this.#rule(key, address) !== undefined : this.#mayEnrol(address);
  }

  /** The rights of a key whose owner has proved to be one; enrols it if that is on and the file does not know it. */
  admit(key: Uint8Array, user: string, address: string): Grant | undefined {
    if (!this.#refresh()) return undefined;
    if (!this.#known(key)) {
      if (!this.#mayEnrol(address)) return undefined;
      this.#enrol(key, user, address);
    }
    const rule = this.#rule(key, address);
    return rule && grant(rule);
  }

  #known(key: Uint8Array): boolean {
    return this.#rules.has(fingerprint(key)) || this.#refused.has(fingerprint(key));
  }

  /** The first entry for the key that lets it in from this address now; an entry that denies it, or that cannot be used, wins over all. */
  #rule(key: Uint8Array, address: string): Rule | undefined {
    const rules = this.#rules.get(fingerprint(key));
    if (rules === undefined || this.#refused.has(fingerprint(key))) return undefined;
    if (rules.some(({ access }) => access.has('denied'))) return undefined;
    return rules.find(
      ({ rules: { from, expiry } }) =>
        from.every(patterns => matchFrom(patterns, address)) && (expiry === undefined || this.#now() < expiry),
    );
  }

  /** Reads the file again if it has changed. False if it cannot be read: then nobody gets in, and the log says why. */
  #refresh(): boolean {
    try {
      if (version(this.#options.file) !== this.#version) this.#load();
      return true;
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      this.#options.log.error({ file: this.#options.file }, `nobody can sign in: ${error.message}`);
      return false;
    }
  }

  #load(): void {
    const { file, log } = this.#options;
    const before = version(file);
    const { entries, problems } = parseAuthorizedKeys(readIfThere(file) ?? '');
    this.#rules = new Map();
    this.#refused = new Set();
    for (const { line, message, key } of problems) {
      if (key) this.#refused.add(fingerprint(key.blob));
      log.warn({ file, line }, `line ${line} of ${file} is ignored: ${message}`);
    }
    for (const entry of entries) {
      const rule = readRule(entry);
      if (typeof rule !== 'string') this.#add(entry, rule);
      else {
        this.#refused.add(fingerprint(entry.key.blob));
        log.warn({ file, line: entry.line }, `the key in line ${entry.line} of ${file} is refused: ${rule}`);
      }
    }
    this.#version = before;
  }

  #add({ key }: AuthorizedKey, rule: Rule): void {
    const id = fingerprint(key.blob);
    const rules = this.#rules.get(id);
    if (rules) rules.push(rule);
    else this.#rules.set(id, [rule]);
  }

  #mayEnrol(address: string): boolean {
    if (!this.#options.enrol || this.#rules.size >= MAX_ENROLLED) return false;
    return this.#recent(address).length < MAX_PER_ADDRESS;
  }

  #recent(address: string): number[] {
    const since = this.#now() - HOUR;
    return (this.#enrolments.get(sourceOf(address)) ?? []).filter(time => time > since);
  }

  /** Appends the key to the file, keeping what is there byte for byte. */
  #enrol(key: Uint8Array, user: string, address: string): void {
    const { file, log } = this.#options;
    const asKnown = version(file) === this.#version;
    const text = readIfThere(file) ?? '';
    const line = formatAuthorizedKey({
      options: [
        { name: 'access', value: 'listen' },
        { name: 'access', value: 'initiate' },
      ],
      key: parsePublicKeyBlob(key),
      comment: `${user}@${address}`,
    });
    const gap = text === '' || text.endsWith('\n') ? '' : '\n';
    replaceFile(file, `${text}${gap}${line}\n`);
    if (this.#enrolments.size >= MAX_ADDRESSES) this.#enrolments.clear();
    this.#enrolments.set(sourceOf(address), [...this.#recent(address), this.#now()]);
    log.info({ user: printable(user), address, key: fingerprint(key) }, `key enrolled in ${file}`);
    // Reading thousands of lines again for one that we know is left to the case that someone else has written, too.
    const entry = parseAuthorizedKeys(line).entries[0];
    const rule = asKnown && entry !== undefined && readRule(entry);
    if (rule && typeof rule !== 'string') {
      this.#add(entry, rule);
      this.#version = version(file);
    } else this.#load();
  }
}

function version(file: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(file);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
    throw new StateError(`cannot read ${file}: ${reason(error)}`);
  }
}

/** The rule in one line of the file, or why its key is refused. */
function readRule(entry: AuthorizedKey): Rule | string {
  // Options that this program enforces; a key with any other is refused, never let in with less than its line asks for.
  const rules = keyRules(entry, {
    enforced: [
      'from',
      'expiry-time',
      'restrict',
      'permitopen',
      'permitlisten',
      'no-port-forwarding',
      'port-forwarding',
      'no-pty',
      'pty',
      'no-agent-forwarding',
      'agent-forwarding',
      'no-x11-forwarding',
      'x11-forwarding',
      'no-user-rc',
      'user-rc',
    ],
    extra: ['access'],
  });
  if (typeof rules === 'string') return rules;
  const access = rules.extra.get('access') ?? [];
  const unknown = access.find(value => !RIGHTS.includes(value));
  if (unknown !== undefined) return `access="${printable(unknown, 40)}" is not one of ${RIGHTS.join(', ')}`;
  return { rules, access: new Set(access) };
}

/** A line without `access=` is an ordinary authorized_keys line: it may plug in and call, like any ssh user may forward. */
function grant({ rules, access }: Rule): Grant {
  const plain = access.size === 0;
  const admin = access.has('admin');
  const listen = rules.portForwarding && (plain || admin || access.has('listen'));
  const initiate = rules.portForwarding && (plain || admin || access.has('initiate'));
  return {
    listen,
    list: admin || access.has('list'),
    mayListen: (host, port) => listen && permits(rules.permitListen, host, port),
    mayOpen: (host, port) => initiate && permits(rules.permitOpen, host, port),
  };
}
