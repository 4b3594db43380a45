// The account that the program runs as, as the system has it.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

export interface Account {
  readonly name: string;
  /** Empty if it has none of its own. */
  readonly shell: string;
}

/** Bun's userInfo() repeats the environment, and is "unknown" where that says nothing: there the system's file is asked. */
export function account(): Account {
  const { uid, username: name, shell } = userInfo();
  if (process.versions.bun === undefined) return { name, shell: shell ?? '' };
  return findAccount(readFileSync('/etc/passwd', 'utf8'), uid) ?? { name, shell: '' };
}

/** In the text of passwd(5). */
export function findAccount(passwd: string, uid: number): Account | undefined {
  const fields = passwd.split('\n').map(line => line.split(':'));
  const found = fields.find(([, , id, , , , shell]) => id === String(uid) && shell !== undefined);
  return found && { name: found[0], shell: found[6] };
}
