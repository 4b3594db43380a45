// The account that the program runs as, as the system has it (passwd(5)), and the variables that follow from it.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { utf8OrNot } from '../../protocol/wire/reader.ts';
import type { Variables } from './program.ts';

/** What is empty the system does not say: an image may be run as a uid that has no line in its passwd file. */
export interface Account {
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

const UNKNOWN: Account = { name: '', home: '', shell: '' };

/** Bun's userInfo() repeats the environment, and is "unknown" or fails where that says nothing: there the system's file is asked. */
export function account(): Account {
  try {
    if (process.versions.bun !== undefined) {
      return findAccount(readFileSync('/etc/passwd', 'utf8'), process.geteuid!()) ?? UNKNOWN;
    }
    const { username: name, homedir: home, shell } = userInfo();
    return { name, home, shell: shell ?? '' };
  } catch {
    return UNKNOWN;
  }
}

/** In the text of passwd(5). */
export function findAccount(passwd: string, uid: number): Account | undefined {
  const fields = passwd.split('\n').map(line => line.split(':'));
  const found = fields.find(([, , id, , , , shell]) => id === String(uid) && shell !== undefined);
  return found && { name: found[0], home: found[5], shell: found[6] };
}

/** Debian's sshd, for root and for others: what is in there, a container has, too, if it has it at all. */
const ROOT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const USER_PATH = '/usr/local/bin:/usr/bin:/bin:/usr/games';

/**
 * The variables that sshd gives to every session, as far as `env` lacks them: those of the container win.
 * @param shell the one that is started
 */
export function missingVariables(
  env: Variables,
  { name, home }: Account,
  shell: string,
  isRoot = process.getuid?.() === 0,
): Record<string, string> {
  const all = {
    ...(name && { USER: name, LOGNAME: name }),
    HOME: home || '/',
    PATH: isRoot ? ROOT_PATH : USER_PATH,
    ...(name && { MAIL: `/var/mail/${name}` }),
    SHELL: shell,
  };
  return Object.fromEntries(Object.entries(all).filter(([variable]) => !env[variable]?.length));
}

/** Our own variables. The runtime makes text of them, so those that are not UTF-8 are read from the system. */
export function ownVariables(): Variables {
  const all: Record<string, string | Uint8Array> = {};
  let isText = true;
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined) continue;
    all[name] = value;
    isText &&= !value.includes('\ufffd');
  }
  if (isText || process.platform !== 'linux') return all;
  const environ = readFileSync('/proc/self/environ');
  for (let at = 0, end = 0; (end = environ.indexOf(0, at)) >= 0; at = end + 1) {
    const equals = environ.indexOf(0x3d, at);
    const value = environ.subarray(equals + 1, end);
    if (equals < end && utf8OrNot(value) === undefined) {
      all[environ.toString('utf8', at, equals)] = new Uint8Array(value);
    }
  }
  return all;
}
