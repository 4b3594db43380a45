// What the switchboard remembers beside keys: which name belongs to whom, invitations that nobody has used yet, and bans.
import { createHash, randomBytes } from 'node:crypto';
import { formatAddress, matchFrom, parseAddress, parseNetworks } from '../../crypto/keys/index.ts';
import { type Database, openDatabase, type Row } from './database.ts';

/** Names that one owner may claim: a gateway has one or two, and each is a row that stays. */
const MAX_NAMES_EACH = 64;
/** Names in all; some 10 MB. */
const MAX_NAMES = 100_000;
/** A name in use is noted once in so many milliseconds, so that a fleet that comes back does not write for each. */
const DAY = 86_400_000;
/** Bytes of chance in an invitation: nobody guesses 80 bits over a network. */
const CODE_BYTES = 10;
/** Characters that cannot be taken for each other, and that need no quotes in a shell; 32 of them (Crockford). */
const CODE_DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
/** Invitations that nobody has used. */
const MAX_INVITATIONS = 10_000;
const MAX_BANS = 100_000;

/** A name that belongs to somebody. */
export interface Claim {
  readonly name: string;
  /** See `Grant.owner`. */
  readonly owner: string;
  /** Milliseconds since 1970: when it was claimed, and when it was last used (to the day). */
  readonly claimed: number;
  readonly used: number;
}

/** What an invitation gives to the key that is the first to come with its code. */
export interface Invitation {
  /** The values of `access=`. */
  readonly access: readonly string[];
  /** The value of `hostname=`, if it has one. */
  readonly hostname?: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
  /** Who made it. */
  readonly by: string;
}

/** Somebody, or some place, that stays out. */
export interface Ban {
  /** A key's fingerprint, an owner, or an address. */
  readonly subject: string;
  /** Milliseconds since 1970; undefined is for ever. */
  readonly until?: number;
  readonly reason: string;
  readonly by: string;
  readonly made: number;
}

const VERSIONS = [
  `CREATE TABLE names (name TEXT PRIMARY KEY, owner TEXT NOT NULL, claimed INTEGER NOT NULL, used INTEGER NOT NULL);
   CREATE INDEX names_by_owner ON names (owner);
   CREATE TABLE invitations (hash TEXT PRIMARY KEY, access TEXT NOT NULL, hostname TEXT, expires INTEGER NOT NULL,
     maker TEXT NOT NULL);
   CREATE TABLE bans (subject TEXT PRIMARY KEY, until INTEGER, reason TEXT NOT NULL, maker TEXT NOT NULL,
     made INTEGER NOT NULL);`,
];

export class Registry {
  readonly #database: Database;
  readonly #now: () => number;

  private constructor(database: Database, now: () => number) {
    this.#database = database;
    this.#now = now;
  }

  /** Any number of processes may have the file open. @throws StateError if it cannot be used */
  static async open(file: string, now: () => number = Date.now): Promise<Registry> {
    return new Registry(await openDatabase(file, VERSIONS), now);
  }

  close(): void {
    this.#database.close();
  }

  // Names

  /** Whether the name is this owner's now: it was already, or it was nobody's and may be claimed. */
  claim(name: string, owner: string): boolean {
    const known = this.#row('SELECT owner, used FROM names WHERE name = ?', name);
    const now = this.#now();
    if (known !== undefined) {
      if (known.owner !== owner) return false;
      if (now - Number(known.used) > DAY) this.#run('UPDATE names SET used = ? WHERE name = ?', now, name);
      return true;
    }
    const { mine, all } = this.#row(
      'SELECT (SELECT count(*) FROM names WHERE owner = ?) AS mine, (SELECT count(*) FROM names) AS "all"',
      owner,
    )!;
    if (Number(mine) >= MAX_NAMES_EACH || Number(all) >= MAX_NAMES) return false;
    this.#run('INSERT INTO names VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING', name, owner, now, now);
    return this.ownerOf(name) === owner;
  }

  /** Undefined for a name that nobody has claimed. */
  ownerOf(name: string): string | undefined {
    return this.#row('SELECT owner FROM names WHERE name = ?', name)?.owner as string | undefined;
  }

  /** All claims, or one owner's, by name. */
  names(owner?: string): Claim[] {
    const rows =
      owner === undefined
        ? this.#database.prepare('SELECT * FROM names ORDER BY name').all()
        : this.#database.prepare('SELECT * FROM names WHERE owner = ? ORDER BY name').all(owner);
    return rows.map(({ name, owner, claimed, used }) => ({ name, owner, claimed, used }) as Claim);
  }

  /** From now on the next who comes with the name has it. False if it was nobody's. */
  release(name: string): boolean {
    return this.#run('DELETE FROM names WHERE name = ?', name);
  }

  // Invitations

  /** Makes one, and returns its code; only a hash of that is kept. Undefined if there are too many already. */
  invite({ access, hostname, expires, by }: Invitation): string | undefined {
    this.#run('DELETE FROM invitations WHERE expires <= ?', this.#now());
    if (Number(this.#row('SELECT count(*) AS n FROM invitations')!.n) >= MAX_INVITATIONS) return undefined;
    const code = newCode();
    this.#run(
      'INSERT INTO invitations VALUES (?, ?, ?, ?, ?)',
      ...[hashOf(code), access.join(','), hostname ?? null, expires, by],
    );
    return code;
  }

  /** What the code gives; it may still be used. */
  invitation(code: string): Invitation | undefined {
    return asInvitation(
      this.#row('SELECT * FROM invitations WHERE hash = ? AND expires > ?', hashOf(code), this.#now()),
    );
  }

  /** The same, and it has been used: of several processes that ask, one is given it. */
  redeem(code: string): Invitation | undefined {
    return asInvitation(
      this.#row('DELETE FROM invitations WHERE hash = ? AND expires > ? RETURNING *', hashOf(code), this.#now()),
    );
  }

  /** Those that nobody has used, by the day they end; without their codes, which nobody knows any more. */
  invitations(): (Invitation & { readonly id: string })[] {
    const rows = this.#database
      .prepare('SELECT * FROM invitations WHERE expires > ? ORDER BY expires')
      .all(this.#now());
    return rows.map(row => ({ id: String(row.hash).slice(0, ID), ...asInvitation(row)! }));
  }

  /** Nobody can use it any more; `id` as `invitations` tells it. False if there is none. */
  withdraw(id: string): boolean {
    return this.#run('DELETE FROM invitations WHERE substr(hash, 1, ?) = ?', ID, id);
  }

  // Bans

  /** Keeps a subject out from now on; one that is banned already gets this in place of what it has. False if there are too many. */
  ban(ban: Omit<Ban, 'made'>): boolean {
    const now = this.#now();
    this.#run('DELETE FROM bans WHERE until <= ?', now);
    if (Number(this.#row('SELECT count(*) AS n FROM bans')!.n) >= MAX_BANS) return false;
    this.#run(
      'INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?)',
      ...[ban.subject, ban.until ?? null, ban.reason, ban.by, now],
    );
    return true;
  }

  /** False if it was not banned. */
  unban(subject: string): boolean {
    return this.#run('DELETE FROM bans WHERE subject = ?', subject);
  }

  /** Why one of the subjects has to stay out, if one has. */
  banned(subjects: readonly string[]): Ban | undefined {
    for (const subject of subjects) {
      const row = this.#row('SELECT * FROM bans WHERE subject = ?', subject);
      if (row !== undefined && (row.until === null || Number(row.until) > this.#now())) return asBan(row);
    }
    return undefined;
  }

  /** Of addresses and networks, that hold. */
  networkBans(): Ban[] {
    const rows = this.#database.prepare(
      "SELECT * FROM bans WHERE subject NOT LIKE 'SHA256:%' AND (until IS NULL OR until > ?)",
    );
    return rows.all(this.#now()).map(asBan);
  }

  /** All that hold, the newest first. */
  bans(): Ban[] {
    const rows = this.#database.prepare('SELECT * FROM bans WHERE until IS NULL OR until > ? ORDER BY made DESC');
    return rows.all(this.#now()).map(asBan);
  }

  #row(sql: string, ...values: (string | number)[]): Row | undefined {
    return this.#database.prepare(sql).get(...values) ?? undefined;
  }

  #run(sql: string, ...values: (string | number | null)[]): boolean {
    return Number(this.#database.prepare(sql).run(...values).changes) > 0;
  }
}

/** Somebody or something in the form that bans have: an owner, a key's fingerprint, an address or a network; undefined if it is none of these. */
export function parseSubject(who: string): string | undefined {
  const address = parseAddress(who);
  if (address !== undefined) return formatAddress(address);
  if (/^SHA256:[A-Za-z0-9+/]{43}( .+)?$/.test(who)) return who;
  if (!who.includes('/') || who.startsWith('SHA256:')) return undefined;
  return typeof parseNetworks(who) === 'string' ? undefined : who;
}

/** Whether a ban of this subject is about them. */
export const isSubjectOf = (
  { owner, key, address }: { owner: string; key: string; address: string },
  subject: string,
): boolean => owner === subject || key === subject || isWithin(address, subject);

/** Whether the address is in the network (or is the address) that a ban is about; false if that is about something else. */
export function isWithin(address: string, subject: string): boolean {
  const networks = parseNetworks(subject);
  return typeof networks !== 'string' && matchFrom(networks, address);
}

/** Hexadecimal digits of an invitation's hash that are its name. */
const ID = 8;

function newCode(): string {
  let number = 0n;
  for (const byte of randomBytes(CODE_BYTES)) number = (number << 8n) | BigInt(byte);
  let code = '';
  for (let i = 0; i < (CODE_BYTES * 8) / 5; i++) {
    code += CODE_DIGITS[Number(number & 31n)];
    number >>= 5n;
  }
  return code;
}

/** Nobody who reads the file can use what is in it. As the code is drawn at random, a plain hash is as good as a slow one. */
const hashOf = (code: string): string => createHash('sha256').update(code).digest('hex');

const asInvitation = (row: Row | undefined): Invitation | undefined =>
  row && {
    access: String(row.access).split(','),
    ...(row.hostname !== null && { hostname: String(row.hostname) }),
    expires: Number(row.expires),
    by: String(row.maker),
  };

const asBan = ({ subject, until, reason, maker, made }: Row): Ban => ({
  subject: String(subject),
  ...(until !== null && { until: Number(until) }),
  reason: String(reason),
  by: String(maker),
  made: Number(made),
});
