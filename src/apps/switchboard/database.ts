// SQLite by whatever this runtime has: node:sqlite, or libsql where that is missing. The few calls that we make are the same in both.
import { closeSync, openSync } from 'node:fs';
import { reason } from '../../server/runtime/reason.ts';
import { StateError } from './state.ts';

/** What a statement takes and gives. */
export type Value = string | number | null;
export type Row = Readonly<Record<string, Value>>;

export interface Statement {
  run(...values: Value[]): { readonly changes: number | bigint };
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
}

export interface Database {
  /** One or several statements that give nothing. @throws if they cannot be carried out */
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

/** Milliseconds to wait for another process that writes. */
const PATIENCE = 5000;

/**
 * Opens the file, and brings its tables to the newest of `versions`, each of which is a script that builds on those before.
 * Any number of processes may have it open.
 * @throws StateError if it cannot be used, or comes from a newer version of this program
 */
export async function openDatabase(file: string, versions: readonly string[]): Promise<Database> {
  const open = await opener();
  try {
    // For its owner only; SQLite gives the files beside it the same mode.
    if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600));
    const database = open(file);
    database.exec(`PRAGMA busy_timeout = ${PATIENCE}`);
    database.exec('PRAGMA journal_mode = WAL');
    migrate(database, versions);
    return database;
  } catch (error) {
    throw error instanceof StateError ? error : new StateError(`cannot use ${file}: ${reason(error)}`);
  }
}

function migrate(database: Database, versions: readonly string[]): void {
  const version = () => Number(database.prepare('PRAGMA user_version').get()!.user_version);
  if (version() === versions.length) return;
  // Of several processes that start at once one makes the tables, and the others find them made.
  database.exec('BEGIN IMMEDIATE');
  try {
    const from = version();
    if (from > versions.length) throw new StateError('the database comes from a newer version of cordboard');
    for (const script of versions.slice(from)) database.exec(script);
    database.exec(`PRAGMA user_version = ${versions.length}`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

type Opener = (file: string) => Database;

async function opener(): Promise<Opener> {
  const own = await quietly(() => import('node:sqlite' as string).catch(() => undefined));
  if (own !== undefined) return file => new own.DatabaseSync(file);
  try {
    const { default: Libsql } = (await import('libsql')) as unknown as { default: new (file: string) => Database };
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
