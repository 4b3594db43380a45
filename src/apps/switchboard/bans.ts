// Bans as they are kept: in the file, for all processes that have it open, and all of them in memory, where sign-ins look.
import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import { BanList, holds } from './ban-list.ts';
import type { Database, Row } from './database.ts';
import { isMoment } from './measures.ts';
import { type Ban, KEEP, over } from './rules.ts';

/** Bans, with those that are over and not forgotten yet; some 20 MB in memory. */
export const MAX_BANS = 100_000;

/** Scripts for `openDatabase`: the table, and, in its second version, what has changed of it, in order, so that a process reads no more than that. */
export const BANS_TABLE = `CREATE TABLE bans (subject TEXT PRIMARY KEY, until INTEGER, reason TEXT NOT NULL, maker TEXT NOT NULL,
     made INTEGER NOT NULL);`;
/** See BANS_TABLE. */
export const BANS_CHANGES = `
   CREATE TABLE ban_changes (number INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL UNIQUE);
   CREATE TRIGGER ban_made AFTER INSERT ON bans BEGIN
     INSERT OR REPLACE INTO ban_changes (subject) VALUES (NEW.subject); END;
   CREATE TRIGGER ban_altered AFTER UPDATE ON bans BEGIN
     INSERT OR REPLACE INTO ban_changes (subject) VALUES (OLD.subject), (NEW.subject); END;
   CREATE TRIGGER ban_removed AFTER DELETE ON bans BEGIN
     INSERT OR REPLACE INTO ban_changes (subject) VALUES (OLD.subject); END;`;

/** In the order of their making; one that was removed has no columns but the first two. */
const CHANGED = `SELECT number, ban_changes.subject AS changed, bans.* FROM ban_changes
  LEFT JOIN bans ON bans.subject = ban_changes.subject WHERE number > ? ORDER BY number`;

export class Bans {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #log: Logger | undefined;
  readonly #list = new BanList();
  /** The last change that is in memory, and what SQLite said of the file then. */
  #change = 0;
  #version: unknown;
  /** They could not be read when they were to be read last. */
  #failing = false;

  /** `now` in milliseconds since 1970. @throws if they cannot be read */
  constructor(database: Database, now: () => number, log?: Logger) {
    this.#database = database;
    this.#now = now;
    this.#log = log;
    this.#version = this.#fileVersion();
    this.#change = Number(database.get('SELECT max(number) AS n FROM ban_changes')!.n);
    for (const row of database.all('SELECT * FROM bans')) this.#list.put(asBan(row));
  }

  /** See `Registry.ban`; undefined if there are too many. @throws Busy */
  async put(ban: Omit<Ban, 'made'>): Promise<Ban | undefined> {
    return this.#write(() => {
      this.#database.run('DELETE FROM bans WHERE until <= ?', this.#now() - KEEP);
      return this.#hasRoom(ban.subject) ? { ...ban, made: this.#next(ban.subject) } : undefined;
    });
  }

  /** See `Registry.unban`; undefined if there is none. @throws Busy */
  async end(subject: string): Promise<Ban | undefined> {
    return this.#write(() => {
      const known = this.#list.of(subject);
      if (known === undefined || !holds(known, this.#now())) return undefined;
      return { ...known, until: over(this.#now()), made: this.#next(subject) };
    });
  }

  async #write(change: () => Ban | undefined): Promise<Ban | undefined> {
    const ban = await this.#database.write(() => {
      this.update();
      const changed = change();
      if (changed !== undefined) this.keep(changed);
      return changed;
    });
    if (ban !== undefined) this.kept([ban]);
    return ban;
  }

  /** Later than what there is, however the clock of whoever has made that goes. */
  #next(subject: string): number {
    return Math.max(this.#now(), (this.#list.of(subject)?.made ?? -1) + 1);
  }

  #hasRoom(subject: string): boolean {
    return this.#list.of(subject) !== undefined || this.#list.size < MAX_BANS;
  }

  // Within a transaction of somebody else

  /** Reads what other processes have changed: one question to SQLite, and more only if the file is another one. @throws if it cannot be read */
  update(): void {
    const version = this.#fileVersion();
    if (version === this.#version) return;
    for (const row of this.#database.all(CHANGED, this.#change)) {
      this.#change = Number(row.number);
      if (row.subject === null) this.#list.delete(String(row.changed));
      else this.#list.put(asBan(row));
    }
    this.#version = version;
  }

  /** The ban of the subject, be it over or not. */
  of(subject: string): Ban | undefined {
    return this.#list.of(subject);
  }

  /** Writes one down; false if there is no room. After the transaction `kept` is to be told. */
  keep({ subject, until, reason, by, made }: Ban): boolean {
    if (!this.#hasRoom(subject)) return false;
    const values = [subject, until ?? null, reason, by, made];
    return this.#database.run('INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?)', ...values);
  }

  /** They are in the file. */
  kept(bans: readonly Ban[]): void {
    for (const ban of bans) this.#list.put(ban);
    // With what was forgotten beside them.
    this.#version = undefined;
    this.#refresh();
  }

  // Questions

  /** See `Registry.banned`. */
  holding(subjects: readonly string[], address: string | undefined): Ban | undefined {
    this.#refresh();
    return this.#list.holding(subjects, address, this.#now());
  }

  /** All, in no order, with those that are over. */
  all(): Ban[] {
    this.#refresh();
    return [...this.#list.all()];
  }

  /** What cannot be read stays as it is: nobody's sign-in ends by it. */
  #refresh(): void {
    try {
      this.update();
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log?.error({ reason: reason(error) }, 'bans cannot be read; those that are known hold');
      this.#failing = true;
    }
  }

  #fileVersion(): unknown {
    return this.#database.get('PRAGMA data_version')!.data_version;
  }
}

/** One whose end makes no sense has none: somebody was to stay out. */
const asBan = ({ subject, until, reason, maker, made }: Row): Ban => ({
  subject: String(subject),
  ...(isMoment(until) && { until }),
  reason: String(reason),
  by: String(maker),
  made: isMoment(made) ? made : 0,
});
