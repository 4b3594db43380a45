// Who may sign in and do what: an authorized_keys file, re-read when it changes, and enrolment of keys it does not know.
import { statSync } from 'node:fs';
import {
  type AuthorizedKey,
  fingerprint,
  formatAuthorizedKey,
  isCertificate,
  parseAuthorizedKeys,
  parseCertificate,
  parsePublicKeyBlob,
  permits,
} from '../../crypto/keys/index.ts';
import type { CryptoProvider, Presence } from '../../crypto/provider.ts';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import type { Eventually } from '../../protocol/index.ts';
import { type Admission, copied, judgeKey, type KeyPolicy, lineRules } from '../../server/authorized-keys.ts';
import { sourceOf } from '../../server/penalties.ts';
import type { Logger } from '../../server/server.ts';
import { TokenCounters } from '../../server/token-counters.ts';
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
  /** The key itself, also of one that came with a certificate. */
  readonly key: Uint8Array;
  /** It lies in a security token that need not be touched. */
  readonly untouched: boolean;
  /** Plug lines in at all. */
  readonly listen: boolean;
  /** See other keys' lines. */
  readonly list: boolean;
  mayListen(host: string, port: number): boolean;
  mayOpen(host: string, port: number): boolean;
}

/** What there may be one of only: who writes the file, and who remembers what security tokens have counted. */
export interface Keeper {
  /** Enrols a key whose owner has proved to be one. False if it may not, or cannot, be. */
  enrol(key: Uint8Array, user: string, address: string): Eventually<boolean>;
  /** Notes the number in a signature; `key` is a fingerprint. False if there must be a copy of the token. */
  count(key: string, counter: number): Eventually<boolean>;
}

/** A line that enrolment has appended to the file, and the file's version before and after. */
export interface Appended {
  readonly line: string;
  readonly before: string;
  readonly after: string;
}

export interface AccessOptions {
  /** The authorized_keys file. It need not exist: then it holds no keys. */
  readonly file: string;
  /** Take in keys that the file does not know, with the rights to listen and to call. */
  readonly enrol: boolean;
  /** Verifies the signatures of certificates' authorities. */
  readonly provider: CryptoProvider;
  readonly log: Logger;
  /** Another process that keeps for all; by default this one does. */
  readonly keeper?: Keeper;
  /** Hears of each line that is enrolled here, so that the other processes can keep up by `heard`. */
  readonly appended?: (appended: Appended) => void;
  /** Milliseconds since 1970, for `expiry-time`. */
  readonly now?: () => number;
}

export class Access implements Keeper {
  readonly #options: AccessOptions;
  readonly #keeper: Keeper;
  readonly #policy: KeyPolicy;
  readonly #now: () => number;
  /** By the fingerprint of the key in the line, in the order of the file. */
  #entries = new Map<string, AuthorizedKey[]>();
  /** Fingerprints in lines that cannot be used: known, so that they are not enrolled with more rights than their lines meant to give. */
  #refused = new Set<string>();
  /** Modification time and size of the file as we know it. */
  #version = '';
  readonly #enrolments = new Map<string, number[]>();
  readonly #counters = new TokenCounters();

  /** @throws StateError if the file is there and cannot be read */
  constructor(options: AccessOptions) {
    this.#options = options;
    this.#keeper = options.keeper ?? this;
    this.#policy = { ...POLICY, provider: options.provider };
    this.#now = options.now ?? Date.now;
    this.#load();
  }

  /** Keys that may sign in, from somewhere. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether a signature by this key (or certificate) would be taken. Changes nothing: whoever asks need not own the key. */
  acceptable(key: Uint8Array, user: string, address: string): boolean {
    if (!this.#refresh()) return false;
    return this.#known(key) ? this.#judge(key, user, address) !== undefined : this.#mayEnrol(address);
  }

  /** The rights of a key whose owner has proved to be one; enrols it if that is on and the file does not know it. */
  async admit(key: Uint8Array, user: string, address: string, presence?: Presence): Promise<Grant | undefined> {
    if (!this.#refresh()) return undefined;
    if (!this.#known(key)) {
      if (!this.#mayEnrol(address) || !(await this.#keeper.enrol(key, user, address)) || !this.#refresh())
        return undefined;
    }
    const admission = this.#judge(key, user, address, presence);
    if (admission === undefined || presence === undefined) return admission && grant(admission);
    if (await this.#keeper.count(fingerprint(admission.key), presence.counter)) return grant(admission);
    const fields = { user: printable(user), address, key: fingerprint(key) };
    this.#options.log.warn(fields, `sign-in refused: ${copied('the key', presence)}`);
    return undefined;
  }

  enrol(key: Uint8Array, user: string, address: string): boolean {
    if (!this.#refresh()) return false;
    if (this.#known(key)) return true;
    if (!this.#mayEnrol(address)) return false;
    this.#append(key, user, address);
    return true;
  }

  count(key: string, counter: number): boolean {
    return this.#counters.note(key, counter);
  }

  /** Certificates count as known: it is their authority that a line knows, and they are not enrolled. */
  #known(key: Uint8Array): boolean {
    return isCertificate(key) || this.#entries.has(fingerprint(key)) || this.#refused.has(fingerprint(key));
  }

  /** By the first line that lets the key in from this address now; a line that denies it, or that cannot be used, wins over all. */
  #judge(key: Uint8Array, user: string, address: string, presence?: Presence): Admission | undefined {
    const ids = new Set(keysOf(key).map(fingerprint));
    const lines = [...ids].flatMap(id => this.#entries.get(id) ?? []);
    if ([...ids].some(id => this.#refused.has(id)) || lines.some(denies)) return undefined;
    const verdict = judgeKey(lines, { key, user, address, presence, now: this.#now() }, this.#policy);
    if (!('refused' in verdict)) return verdict;
    const fields = { user: printable(user), address, key: fingerprint(key) };
    this.#options.log.info(fields, `sign-in refused: ${verdict.refused}`);
    return undefined;
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
    this.#entries = new Map();
    this.#refused = new Set();
    for (const { line, message, key } of problems) {
      if (key) this.#refused.add(fingerprint(key.blob));
      log.warn({ file, line }, `line ${line} of ${file} is ignored: ${message}`);
    }
    for (const entry of entries) {
      const problem = problemOf(entry);
      if (problem === undefined) this.#add(entry);
      else {
        this.#refused.add(fingerprint(entry.key.blob));
        log.warn({ file, line: entry.line }, `the key in line ${entry.line} of ${file} is refused: ${problem}`);
      }
    }
    this.#version = before;
  }

  #add(entry: AuthorizedKey): void {
    const id = fingerprint(entry.key.blob);
    const entries = this.#entries.get(id);
    if (entries) entries.push(entry);
    else this.#entries.set(id, [entry]);
  }

  #mayEnrol(address: string): boolean {
    if (!this.#options.enrol || this.#entries.size >= MAX_ENROLLED) return false;
    return this.#recent(address).length < MAX_PER_ADDRESS;
  }

  #recent(address: string): number[] {
    const since = this.#now() - HOUR;
    return (this.#enrolments.get(sourceOf(address)) ?? []).filter(time => time > since);
  }

  /** Appends the key to the file, keeping what is there byte for byte. */
  #append(key: Uint8Array, user: string, address: string): void {
    const { file, log } = this.#options;
    const before = version(file);
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
    const appended = { line, before, after: version(file) };
    if (!this.heard(appended)) this.#load();
    this.#options.appended?.(appended);
  }

  /**
   * The file has grown by a line. Reading thousands of lines again for one that we know is left to the case that someone else
   * has written, too; then this is false, and the next who signs in finds the file changed.
   */
  heard({ line, before, after }: Appended): boolean {
    const [entry] = parseAuthorizedKeys(line).entries;
    if (before !== this.#version || entry === undefined) return false;
    this.#add(entry);
    this.#version = after;
    return true;
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

/** What this program enforces; a key with any other option is refused, never let in with less than its line asks for. */
const POLICY = {
  enforced: [
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
};

/** The keys that lines may be about: the key, or that in a certificate and its authority's. */
function keysOf(key: Uint8Array): Uint8Array[] {
  if (!isCertificate(key)) return [key];
  try {
    const certificate = parseCertificate(key);
    return [certificate.key.blob, certificate.signatureKey.blob];
  } catch (error) {
    if (error instanceof KeyFormatError) return [];
    throw error;
  }
}

const denies = ({ options }: AuthorizedKey): boolean =>
  options.some(({ name, value }) => name === 'access' && value === 'denied');

/** Why a line's key is refused, if it is. */
function problemOf(entry: AuthorizedKey): string | undefined {
  const rules = lineRules(entry, POLICY);
  if (typeof rules === 'string') return rules;
  const unknown = rules.extra.get('access')?.find(value => !RIGHTS.includes(value));
  return unknown === undefined ? undefined : `access="${printable(unknown, 40)}" is not one of ${RIGHTS.join(', ')}`;
}

/** A line without `access=` is an ordinary authorized_keys line: it may plug in and call, like any ssh user may forward. */
function grant({ key, rules }: Admission): Grant {
  const access = rules.extra.get('access') ?? [];
  const plain = access.length === 0;
  const admin = access.includes('admin');
  const listen = rules.portForwarding && (plain || admin || access.includes('listen'));
  const initiate = rules.portForwarding && (plain || admin || access.includes('initiate'));
  return {
    key,
    untouched: !rules.touchRequired,
    listen,
    list: admin || access.includes('list'),
    mayListen: (host, port) => listen && permits(rules.permitListen, host, port),
    mayOpen: (host, port) => initiate && permits(rules.permitOpen, host, port),
  };
}
