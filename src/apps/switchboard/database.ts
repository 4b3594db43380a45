// SQLite by whatever this runtime has: node:sqlite, or libsql where that is missing. Nothing here waits for another process while the event loop stands still.
import { closeSync, openSync } from 'node:fs';
import { reason } from '../../server/runtime/reason.ts';
import { checkTrusted, StateError } from './files.ts';

/** What a statement takes and gives. */
export type Value = string | number | null;
/** A row, by the names of its columns. */
export type Row = Readonly<Record<string, Value>>;

/** Another process has been writing for as long as we could wait. The message is for whoever wanted something, operator or client. */
export class Busy extends StateError {}

/** What both drivers have, and we use. */
interface Driver {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

interface Statement {
  run(...values: Value[]): { readonly changes: number | bigint };
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
}

/** Milliseconds that a write may wait for another process, all its tries together: somebody waits for the answer. */
export const PATIENCE = 3000;
/** Milliseconds between two tries, at first and at most. A write of ours takes some 5, with the disk's part. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 50;

/** A file of tables that any number of processes have open. */
export class Database {
  readonly #driver: Driver;
  /** Statements that were prepared once, by their text. */
  readonly #kept = new Map<string, Statement>();

  /** See `openDatabase`. */
  constructor(driver: Driver) {
    this.#driver = driver;
  }

  /** The first row; undefined if there is none. Readers wait for nobody. @throws if it cannot be carried out */
  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#statement(sql).get(...values) ?? undefined;
  }

  /** All rows. @throws as `get` */
  all(sql: string, ...values: Value[]): Row[] {
    return this.#statement(sql).all(...values);
  }

  /** Whether anything has changed. To be called in the body of `write`. @throws as `get` */
  run(sql: string, ...values: Value[]): boolean {
    return Number(this.#statement(sql).run(...values).changes) > 0;
  }

  /**
   * Carries `body` out as one transaction, all of it or nothing. If nobody else writes that is done when this function returns; else
   * it is tried again for `patience` milliseconds (0: not at all), and the process serves others meanwhile. `body` may be called
   * once only, but decides when it is called: what was read before may have changed.
   * @throws Busy, and whatever `body` throws
   */
  async write<T>(body: () => T, patience = PATIENCE): Promise<T> {
    const end = performance.now() + patience;
    for (let pause = FIRST_PAUSE; !this.#begin(); pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      if (performance.now() >= end) throw new Busy('another process is writing to the database; try again');
      // Not all at the same moment, if several wait.
      await new Promise(resolve => setTimeout(resolve, pause * (0.5 + Math.random())));
    }
    try {
      const value = body();
      this.#driver.exec('COMMIT');
      return value;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** One or several statements that give nothing. To be called in the body of `write`. @throws as `get` */
  exec(sql: string): void {
    this.#driver.exec(sql);
  }

  /** No more will be asked. */
  close(): void {
    this.#kept.clear();
    this.#driver.close();
  }

  /** False if another process writes. */
  #begin(): boolean {
    try {
      this.#driver.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }

  #rollBack(): void {
    try {
      this.#driver.exec('ROLLBACK');
    } catch {
      // SQLite has done so by itself, as it does when the disk is full.
    }
  }

  #statement(sql: string): Statement {
    let statement = this.#kept.get(sql);
    if (statement === undefined) {
      statement = this.#driver.prepare(sql);
      this.#kept.set(sql, statement);
    }
    return statement;
  }
}

/** SQLITE_BUSY with all its kinds, as node:sqlite and libsql call its number. */
const isBusy = (error: unknown): boolean => {
  const { errcode, rawCode } = error as { errcode?: number; rawCode?: number };
  return ((errcode ?? rawCode ?? 0) & 0xff) === 5;
};

/**
 * Opens the file, and brings its tables to the newest of `versions`, each of which is a script that builds on those before.
 * @throws StateError if it cannot be used, or comes from a newer version of this program
 */
export async function openDatabase(file: string, versions: readonly string[]): Promise<Database> {
  const open = await opener();
  let driver: Driver | undefined;
  try {
    // For its owner only; SQLite gives the files beside it the same mode.
    if (file !== ':memory:') {
      closeSync(openSync(file, 'a', 0o600));
      checkTrusted(file);
    }
    driver = open(file);
    // SQLite would wait by itself, and everybody in this process with it.
    driver.exec('PRAGMA busy_timeout = 0');
    const database = new Database(driver);
    await logAhead(driver);
    await migrate(database, versions);
    return database;
  } catch (error) {
    driver?.close();
    if (error instanceof StateError && !(error instanceof Busy)) throw error;
    throw new StateError(`cannot use ${file}: ${reason(error)}`);
  }
}

/** Write-ahead logging, so that nobody who reads waits for who writes. The file remembers it; the first who opens it has to be alone. */
async function logAhead(driver: Driver): Promise<void> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    try {
      return driver.exec('PRAGMA journal_mode = WAL');
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() >= end) throw new Busy('another process has the database to itself');
      await new Promise(resolve => setTimeout(resolve, LONGEST_PAUSE * Math.random()));
    }
  }
}

async function migrate(database: Database, versions: readonly string[]): Promise<void> {
  const version = () => Number(database.get('PRAGMA user_version')!.user_version);
  if (version() === versions.length) return;
  // Of several processes that start at once one makes the tables, and the others find them made.
  await database.write(() => {
    const from = version();
    if (from > versions.length) throw new StateError('the database comes from a newer version of cordboard');
    for (const script of versions.slice(from)) database.exec(script);
    database.exec(`PRAGMA user_version = ${versions.length}`);
  });
}

type Opener = (file: string) => Driver;

async function opener(): Promise<Opener> {
  const own = await quietly(() => import('node:sqlite' as string).catch(() => undefined));
  if (own !== undefined) return file => new own.DatabaseSync(file);
  try {
    const { default: Libsql } = (await import('libsql')) as unknown as { default: new (file: string) => Driver };
    return file => new Libsql(file);
  } catch {
    throw new StateError(
      'names cannot be kept: this runtime has no node:sqlite, and the package libsql is not installed',
    );
  }
}

/** Without node's warning that its own SQLite is new: it is on the terminal of people who cannot do anything about it. */
async function quietly<T>(body: () => Promise<T>): Promise<T> {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: []) => {
    if (!String(warning).includes('SQLite')) emitWarning.call(process, warning, ...rest);
  }) as typeof emitWarning;
  try {
    return await body();
  } finally {
    process.emitWarning = emitWarning;
  }
}
