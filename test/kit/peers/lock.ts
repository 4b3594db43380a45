// A program that holds the write lock of an SQLite file until its input ends: `lock.ts FILE IMMEDIATE|EXCLUSIVE`.
const [file, mode] = process.argv.slice(2);

interface Sqlite {
  exec(sql: string): void;
}

async function open(): Promise<Sqlite> {
  try {
    const { DatabaseSync } = (await import('node:sqlite' as string)) as { DatabaseSync: new (file: string) => Sqlite };
    return new DatabaseSync(file);
  } catch {
    const { default: Libsql } = (await import('libsql')) as unknown as { default: new (file: string) => Sqlite };
    return new Libsql(file);
  }
}

const database = await open();
database.exec(`PRAGMA busy_timeout = 10000; BEGIN ${mode}`);
process.stdout.write('held\n');
process.stdin.on('end', () => database.exec('COMMIT')).resume();
