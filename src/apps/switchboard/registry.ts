// What the switchboard remembers beside keys: which name belongs to whom, invitations that nobody has used yet, and bans.
import { hashOf, newCode } from './codes.ts';
import { type Database, openDatabase, type Row } from './database.ts';
import { isMoment } from './measures.ts';
import { type Ban, type Invitation, isNewer, isPast, KEEP, over, type Rule } from './rules.ts';

/** Names that one owner may claim: a gateway has one or two, and each is a row that stays. */
const MAX_NAMES_EACH = 64;
/** Names in all; some 10 MB. */
const MAX_NAMES = 100_000;
/** A name in use is noted once in so many milliseconds, so that a fleet that comes back does not write for each. */
const DAY = 86_400_000;
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

const VERSIONS = [
  `CREATE TABLE names (name TEXT PRIMARY KEY, owner TEXT NOT NULL, claimed INTEGER NOT NULL, used INTEGER NOT NULL);
   CREATE INDEX names_by_owner ON names (owner);
   CREATE TABLE invitations (hash TEXT PRIMARY KEY, access TEXT NOT NULL, hostname TEXT, expires INTEGER NOT NULL,
     maker TEXT NOT NULL);
   CREATE TABLE bans (subject TEXT PRIMARY KEY, until INTEGER, reason TEXT NOT NULL, maker TEXT NOT NULL,
     made INTEGER NOT NULL);`,
  // Times that no Date has, and that node:sqlite cannot even read: who was to stay out for so long stays out.
  `UPDATE bans SET until = NULL WHERE typeof(until) <> 'integer' OR until > 8640000000000000;
   UPDATE bans SET made = 0 WHERE typeof(made) <> 'integer' OR made > 8640000000000000;
   DELETE FROM invitations WHERE typeof(expires) <> 'integer' OR expires > 8640000000000000;
   UPDATE names SET claimed = 0 WHERE typeof(claimed) <> 'integer' OR claimed > 8640000000000000;
   UPDATE names SET used = 0 WHERE typeof(used) <> 'integer' OR used > 8640000000000000;`,
];

export class Registry {
  /** Hears of each ban and invitation that is made, or ended, by this process. */
  ruled: (rule: Rule) => void = () => {};
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

  /** Names as the directory has them, where it has the last word. */
  learnNames(claims: readonly (readonly [name: string, owner: string])[]): void {
    const news = claims.filter(([name, owner]) => this.ownerOf(name) !== owner);
    this.#together(news.length, () => {
      for (const [name, owner] of news) {
        this.release(name);
        this.claim(name, owner);
      }
    });
  }

  // Invitations

  /** Makes one, and returns its code; only a hash of that is kept. Undefined if there are too many already. */
  invite({ access, hostname, expires, by }: Invitation): string | undefined {
    this.#run('DELETE FROM invitations WHERE expires <= ?', this.#now() - KEEP);
    const open = this.#row('SELECT count(*) AS n FROM invitations WHERE expires > ?', this.#now())!;
    if (Number(open.n) >= MAX_INVITATIONS) return undefined;
    const code = newCode();
    this.#insert({ hash: hashOf(code), access, hostname, expires, by });
    this.#tell(hashOf(code));
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
    const invitation = this.invitation(code);
    return invitation !== undefined && this.#end(hashOf(code)) ? invitation : undefined;
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
    const sql = 'SELECT hash FROM invitations WHERE substr(hash, 1, ?) = ? AND expires > ?';
    const found = this.#database.prepare(sql).all(ID, id, this.#now());
    return found.filter(({ hash }) => this.#end(String(hash))).length > 0;
  }

  /** One that is over stays for a while, so that no other switchboard brings it back. */
  #end(hash: string): boolean {
    const now = this.#now();
    const done = this.#run('UPDATE invitations SET expires = ? WHERE hash = ? AND expires > ?', over(now), hash, now);
    if (done) this.#tell(hash);
    return done;
  }

  #insert({ hash, access, hostname, expires, by }: Invitation & { readonly hash: string }): void {
    const values = [hash, access.join(','), hostname ?? null, expires, by];
    this.#run('INSERT OR REPLACE INTO invitations VALUES (?, ?, ?, ?, ?)', ...values);
  }

  #tell(hash: string): void {
    this.ruled({ invitation: asStored(this.#row('SELECT * FROM invitations WHERE hash = ?', hash)!) });
  }

  // Bans

  /** Keeps a subject out from now on; one that is banned already gets this in place of what it has. False if there are too many. */
  ban(ban: Omit<Ban, 'made'>): boolean {
    this.#run('DELETE FROM bans WHERE until <= ?', this.#now() - KEEP);
    if (this.#count('bans') >= MAX_BANS) return false;
    this.#put({ ...ban, made: this.#next(ban.subject) });
    return true;
  }

  /** False if it was not banned. The ban stays for a while, as one that is over, so that no other switchboard brings it back. */
  unban(subject: string): boolean {
    const known = this.banned([subject]);
    if (known === undefined) return false;
    this.#put({ ...known, until: over(this.#now()), made: this.#next(subject) });
    return true;
  }

  /** Later than what there is, however the clock of whoever has made that goes. */
  #next(subject: string): number {
    const known = this.#row('SELECT made FROM bans WHERE subject = ?', subject);
    return Math.max(this.#now(), Number(known?.made ?? -1) + 1);
  }

  #put(ban: Ban): void {
    this.#keep(ban);
    this.ruled({ ban });
  }

  #keep({ subject, until, reason, by, made }: Ban): void {
    this.#run('INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?)', subject, until ?? null, reason, by, made);
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

  // Both, as other switchboards are told of them

  /** All of them, with those that are over and not forgotten yet. */
  rules(): Rule[] {
    const all = (table: string) => this.#database.prepare(`SELECT * FROM ${table}`).all();
    const bans = all('bans').map(row => ({ ban: asBan(row) }));
    const rules: Rule[] = [...bans, ...all('invitations').map(row => ({ invitation: asStored(row) }))];
    return rules.filter(rule => !isPast(rule, this.#now()));
  }

  /** What other switchboards say. Returns what is new of it; beyond the most that there may be, nothing is. */
  learn(rules: readonly Rule[]): Rule[] {
    return this.#together(rules.length, () => rules.filter(rule => this.#learn(rule)));
  }

  #learn(rule: Rule): boolean {
    if (isPast(rule, this.#now())) return false;
    const table = 'ban' in rule ? 'bans' : 'invitations';
    const known = this.#known(rule);
    if (known === undefined ? this.#count(table) >= MAX_BANS : !isNewer(rule, known)) return false;
    if ('ban' in rule) this.#keep(rule.ban);
    else this.#insert(rule.invitation);
    return true;
  }

  #known(rule: Rule): Rule | undefined {
    if ('ban' in rule) {
      const row = this.#row('SELECT * FROM bans WHERE subject = ?', rule.ban.subject);
      return row && { ban: asBan(row) };
    }
    const row = this.#row('SELECT * FROM invitations WHERE hash = ?', rule.invitation.hash);
    return row && { invitation: asStored(row) };
  }

  #count(table: 'bans' | 'invitations'): number {
    return Number(this.#row(`SELECT count(*) AS n FROM ${table}`)!.n);
  }

  /** Writes many at once, for one wait until they are on the disk. */
  #together<T>(count: number, body: () => T): T {
    if (count < 2) return body();
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      return body();
    } finally {
      this.#database.exec('COMMIT');
    }
  }

  #row(sql: string, ...values: (string | number)[]): Row | undefined {
    return this.#database.prepare(sql).get(...values) ?? undefined;
  }

  #run(sql: string, ...values: (string | number | null)[]): boolean {
    return Number(this.#database.prepare(sql).run(...values).changes) > 0;
  }
}

/** Hexadecimal digits of an invitation's hash that are its name. */
const ID = 8;

const asInvitation = (row: Row | undefined): Invitation | undefined =>
  row && {
    access: String(row.access).split(','),
    ...(row.hostname !== null && { hostname: String(row.hostname) }),
    expires: isMoment(row.expires) ? row.expires : 0,
    by: String(row.maker),
  };

const asStored = (row: Row) => ({ hash: String(row.hash), ...asInvitation(row)! });

/** One whose end makes no sense has none: somebody was to stay out. */
const asBan = ({ subject, until, reason, maker, made }: Row): Ban => ({
  subject: String(subject),
  ...(isMoment(until) && { until }),
  reason: String(reason),
  by: String(maker),
  made: isMoment(made) ? made : 0,
});
