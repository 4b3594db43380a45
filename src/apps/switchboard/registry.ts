// What the switchboard remembers beside keys: which name belongs to whom, invitations that nobody has used yet, and bans.
import type { Logger } from '../../server/server.ts';
import { holds } from './ban-list.ts';
import { BANS_CHANGES, BANS_TABLE, Bans } from './bans.ts';
import { hashOf, newCode } from './codes.ts';
import { Busy, type Database, openDatabase, type Row } from './database.ts';
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
/** Invitations that other switchboards have told of, with those that are over; some 20 MB in the file. */
const MAX_KNOWN = 100_000;
/** Milliseconds that somebody who plugs in a line waits for the file: then he has the alias only, and tries again with the next. */
export const PATIENCE_FOR_NAMES = 500;

/** A name that belongs to somebody. */
export interface Claim {
  readonly name: string;
  /** See `Grant.owner`. */
  readonly owner: string;
  /** Milliseconds since 1970: when it was claimed, and when it was last used (to the day). */
  readonly claimed: number;
  readonly used: number;
}

/** The tables, version by version. */
export const VERSIONS = [
  `CREATE TABLE names (name TEXT PRIMARY KEY, owner TEXT NOT NULL, claimed INTEGER NOT NULL, used INTEGER NOT NULL);
   CREATE INDEX names_by_owner ON names (owner);
   CREATE TABLE invitations (hash TEXT PRIMARY KEY, access TEXT NOT NULL, hostname TEXT, expires INTEGER NOT NULL,
     maker TEXT NOT NULL);
   ${BANS_TABLE}`,
  // Times that no Date has, and that node:sqlite cannot even read: who was to stay out for so long stays out.
  `UPDATE bans SET until = NULL WHERE typeof(until) <> 'integer' OR until > 8640000000000000;
   UPDATE bans SET made = 0 WHERE typeof(made) <> 'integer' OR made > 8640000000000000;
   DELETE FROM invitations WHERE typeof(expires) <> 'integer' OR expires > 8640000000000000;
   UPDATE names SET claimed = 0 WHERE typeof(claimed) <> 'integer' OR claimed > 8640000000000000;
   UPDATE names SET used = 0 WHERE typeof(used) <> 'integer' OR used > 8640000000000000;`,
  BANS_CHANGES,
];

export class Registry {
  /** Hears of each ban and invitation that is made, or ended, by this process. */
  ruled: (rule: Rule) => void = () => {};
  readonly #database: Database;
  readonly #now: () => number;
  readonly #bans: Bans;

  private constructor(database: Database, now: () => number, log: Logger | undefined) {
    this.#database = database;
    this.#now = now;
    this.#bans = new Bans(database, now, log);
  }

  /** Any number of processes may have the file open. @throws StateError if it cannot be used */
  static async open(file: string, now: () => number = Date.now, log?: Logger): Promise<Registry> {
    return new Registry(await openDatabase(file, VERSIONS), now, log);
  }

  /** No more will be asked. */
  close(): void {
    this.#database.close();
  }

  // Names

  /** Whether the name is this owner's now: it was already, or it was nobody's and may be claimed. @throws Busy if that cannot be said now */
  async claim(name: string, owner: string, patience = PATIENCE_FOR_NAMES): Promise<boolean> {
    const known = this.#database.get('SELECT owner, used FROM names WHERE name = ?', name);
    if (known === undefined) return this.#database.write(() => this.#claim(name, owner), patience);
    if (known.owner !== owner) return false;
    if (this.#now() - Number(known.used) > DAY) await this.#use(name);
    return true;
  }

  /** Notes that a name is in use, if that can be done at once: whoever has it has it in any case. */
  async #use(name: string): Promise<void> {
    try {
      await this.#database.write(
        () => this.#database.run('UPDATE names SET used = ? WHERE name = ?', this.#now(), name),
        0,
      );
    } catch (error) {
      if (!(error instanceof Busy)) throw error;
    }
  }

  #claim(name: string, owner: string): boolean {
    const known = this.ownerOf(name);
    if (known !== undefined) return known === owner;
    const { mine, all } = this.#database.get(
      'SELECT (SELECT count(*) FROM names WHERE owner = ?) AS mine, (SELECT count(*) FROM names) AS "all"',
      owner,
    )!;
    if (Number(mine) >= MAX_NAMES_EACH || Number(all) >= MAX_NAMES) return false;
    const now = this.#now();
    return this.#database.run('INSERT INTO names VALUES (?, ?, ?, ?)', name, owner, now, now);
  }

  /** Undefined for a name that nobody has claimed. */
  ownerOf(name: string): string | undefined {
    return this.#database.get('SELECT owner FROM names WHERE name = ?', name)?.owner as string | undefined;
  }

  /** All claims, or one owner's, by name. */
  names(owner?: string): Claim[] {
    const rows =
      owner === undefined
        ? this.#database.all('SELECT * FROM names ORDER BY name')
        : this.#database.all('SELECT * FROM names WHERE owner = ? ORDER BY name', owner);
    return rows.map(({ name, owner, claimed, used }) => ({ name, owner, claimed, used }) as Claim);
  }

  /** From now on the next who comes with the name has it. False if it was nobody's. @throws Busy */
  release(name: string, patience?: number): Promise<boolean> {
    return this.#database.write(() => this.#release(name), patience);
  }

  #release(name: string): boolean {
    return this.#database.run('DELETE FROM names WHERE name = ?', name);
  }

  /** Names as the directory has them, where it has the last word. @throws Busy, at once */
  async learnNames(claims: readonly (readonly [name: string, owner: string])[]): Promise<void> {
    const news = claims.filter(([name, owner]) => this.ownerOf(name) !== owner);
    if (news.length === 0) return;
    await this.#database.write(() => {
      for (const [name, owner] of news) {
        this.#release(name);
        this.#claim(name, owner);
      }
    }, 0);
  }

  // Invitations

  /** Makes one, and returns its code; only a hash of that is kept. Undefined if there are too many already. @throws Busy */
  async invite({ access, hostname, expires, by }: Invitation): Promise<string | undefined> {
    const code = newCode();
    const hash = hashOf(code);
    const made = await this.#database.write(() => {
      this.#database.run('DELETE FROM invitations WHERE expires <= ?', this.#now() - KEEP);
      const open = this.#database.get('SELECT count(*) AS n FROM invitations WHERE expires > ?', this.#now())!;
      if (Number(open.n) >= MAX_INVITATIONS) return false;
      this.#insert({ hash, access, hostname, expires, by });
      return true;
    });
    if (made) this.#tell(hash);
    return made ? code : undefined;
  }

  /** What the code gives; it may still be used. */
  invitation(code: string): Invitation | undefined {
    return asInvitation(
      this.#database.get('SELECT * FROM invitations WHERE hash = ? AND expires > ?', hashOf(code), this.#now()),
    );
  }

  /**
   * The same, and nobody else is given it from now on: of several processes that ask, one is. Other switchboards hear of it by `spent`,
   * and `giveBack` makes it good again. @throws Busy
   */
  async redeem(code: string): Promise<Invitation | undefined> {
    const invitation = this.invitation(code);
    return invitation !== undefined && (await this.#end(hashOf(code))) ? invitation : undefined;
  }

  /** It has been redeemed for good. */
  spent(code: string): void {
    this.#tell(hashOf(code));
  }

  /** It has been redeemed for nothing: our fault, so it is as good as it was. @throws Busy */
  async giveBack(code: string, { expires }: Invitation): Promise<void> {
    const sql = 'UPDATE invitations SET expires = ? WHERE hash = ?';
    await this.#database.write(() => this.#database.run(sql, expires, hashOf(code)));
  }

  /** Those that nobody has used, by the day they end; without their codes, which nobody knows any more. */
  invitations(): (Invitation & { readonly id: string })[] {
    const rows = this.#database.all('SELECT * FROM invitations WHERE expires > ? ORDER BY expires', this.#now());
    return rows.map(row => ({ id: String(row.hash).slice(0, ID), ...asInvitation(row)! }));
  }

  /** Nobody can use it any more; `id` as `invitations` tells it. False if there is none. @throws Busy */
  async withdraw(id: string): Promise<boolean> {
    const sql = 'SELECT hash FROM invitations WHERE substr(hash, 1, ?) = ? AND expires > ?';
    const found = this.#database.all(sql, ID, id, this.#now()).map(({ hash }) => String(hash));
    for (const hash of found) if (await this.#end(hash)) this.#tell(hash);
    return found.length > 0;
  }

  /** One that is over stays for a while, so that no other switchboard brings it back. */
  #end(hash: string): Promise<boolean> {
    const sql = 'UPDATE invitations SET expires = ? WHERE hash = ? AND expires > ?';
    return this.#database.write(() => this.#database.run(sql, over(this.#now()), hash, this.#now()));
  }

  #insert({ hash, access, hostname, expires, by }: Invitation & { readonly hash: string }): void {
    const values = [hash, access.join(','), hostname ?? null, expires, by];
    this.#database.run('INSERT OR REPLACE INTO invitations VALUES (?, ?, ?, ?, ?)', ...values);
  }

  #tell(hash: string): void {
    this.ruled({ invitation: asStored(this.#database.get('SELECT * FROM invitations WHERE hash = ?', hash)!) });
  }

  // Bans

  /** Keeps a subject out from now on; one that is banned already gets this in place of what it has. False if there are too many. @throws Busy */
  async ban(ban: Omit<Ban, 'made'>): Promise<boolean> {
    return this.#announce(await this.#bans.put(ban));
  }

  /** False if it was not banned. The ban stays for a while, as one that is over, so that no other switchboard brings it back. @throws Busy */
  async unban(subject: string): Promise<boolean> {
    return this.#announce(await this.#bans.end(subject));
  }

  #announce(ban: Ban | undefined): boolean {
    if (ban !== undefined) this.ruled({ ban });
    return ban !== undefined;
  }

  /** Why one of the subjects, or whoever comes from the address, has to stay out, if one has. Costs the same however many bans there are. */
  banned(subjects: readonly string[], address?: string): Ban | undefined {
    return this.#bans.holding(subjects, address);
  }

  /** All that hold, the newest first. */
  bans(): Ban[] {
    const now = this.#now();
    const holding = this.#bans.all().filter(ban => holds(ban, now));
    return holding.sort((one, other) => other.made - one.made);
  }

  // Both, as other switchboards are told of them

  /** All of them, with those that are over and not forgotten yet. */
  rules(): Rule[] {
    const bans = this.#bans.all().map(ban => ({ ban }));
    const invitations = this.#database.all('SELECT * FROM invitations').map(row => ({ invitation: asStored(row) }));
    return [...bans, ...invitations].filter(rule => !isPast(rule, this.#now()));
  }

  /** What other switchboards say. Returns what is new of it; beyond the most that there may be, nothing is. @throws Busy, at once */
  async learn(rules: readonly Rule[]): Promise<Rule[]> {
    if (rules.length === 0) return [];
    const news = await this.#database.write(() => {
      this.#bans.update();
      return rules.filter(rule => this.#learn(rule));
    }, 0);
    this.#bans.kept(news.flatMap(rule => ('ban' in rule ? [rule.ban] : [])));
    return news;
  }

  #learn(rule: Rule): boolean {
    if (isPast(rule, this.#now())) return false;
    if ('ban' in rule) {
      const ban = this.#bans.of(rule.ban.subject);
      return (ban === undefined || isNewer(rule, { ban })) && this.#bans.keep(rule.ban);
    }
    const { invitation } = rule;
    const row = this.#database.get('SELECT * FROM invitations WHERE hash = ?', invitation.hash);
    if (row !== undefined && !isNewer(rule, { invitation: asStored(row) })) return false;
    if (row === undefined && this.#count() >= MAX_KNOWN) return false;
    this.#insert(invitation);
    return true;
  }

  #count(): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM invitations')!.n);
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
