// What tests of the switchboard share: one for a fleet, providers that are greeted, calls.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tcpServer } from './loopback.ts';
import type { Child, Scope } from './processes.ts';
import { type SshOptions, type Switchboard, ssh, switchboard } from './ssh.ts';

/** A switchboard for a fleet: only keys in the file, names for everybody. */
export async function fleet(scope: Scope, lines: readonly string[], args: readonly string[] = []) {
  const file = join(scope.directory(), 'keys');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return { board: await switchboard(scope, { args: ['--no-enrol', '--authorized-keys', file, ...args] }), file };
}

/** What comes back over `ssh -W target`, or what ssh says instead. */
export async function call(
  scope: Scope,
  board: Switchboard,
  target: string,
  options: SshOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await ssh(scope, board, 'bob', ['-W', target], { input: '', ...options }).ended;
  return code === 0 ? stdout.toString() : stderr;
}

/** The port of a service that says something and ends. */
export const says = async (scope: Scope, text: string): Promise<number> =>
  (await tcpServer(scope, socket => void socket.end(text))).port;

/** `ssh -T -R`: a provider without a terminal that is greeted. */
export const greeted = (scope: Scope, board: Switchboard, user: string, forward: string, options?: SshOptions): Child =>
  ssh(scope, board, user, ['-T', '-R', forward], options);

/** `ssh board COMMAND` */
export const execute = (scope: Scope, board: Switchboard, user: string, command: string, options?: SshOptions) =>
  ssh(scope, board, user, ['--', command], { input: '', ...options }).ended;
