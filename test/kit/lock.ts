// Another process that writes to a switchboard's file, and does not come to an end.
import { resolve } from 'node:path';
import { type Child, type Scope, soon } from './processes.ts';

/** Ends when its input does. */
export async function lock(scope: Scope, file: string, mode: 'IMMEDIATE' | 'EXCLUSIVE'): Promise<Child> {
  const script = resolve(import.meta.dirname, 'peers/lock.ts');
  const child = scope.start(process.execPath, ['--import', 'tsx', script, file, mode]);
  await soon('the lock', child.says(/^held$/m), 60);
  return child;
}
