// What tests of several switchboards share: a real Redis, and nodes that have their directory in it.
import { freePort } from './loopback.ts';
import { type Child, eventually, type Scope, soon } from './processes.ts';
import { boardData, type Switchboard, ssh, switchboard } from './ssh.ts';

/** Seconds: short, so that the dead are given up soon, and long enough for a machine that is slow to beat. */
export const LEASE = process.env.CI === 'true' ? 6 : 4;

export interface Redis {
  readonly port: number;
  readonly url: string;
  child: Child;
}

/** Empty, on a port of its own. */
export async function startRedis(scope: Scope, port: number): Promise<Child> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = scope.start('redis-server', [...args, '--dir', scope.directory()], { input: '' });
  await soon('Redis to start', child.says(/Ready to accept connections/));
  return child;
}

export async function redis(scope: Scope): Promise<Redis> {
  const port = await freePort();
  return { port, url: `redis://127.0.0.1:${port}`, child: await startRedis(scope, port) };
}

/** A switchboard that shares the directory; all have the same host keys, unless `data` says otherwise. */
export const node = (scope: Scope, { url }: Redis, args: readonly string[] = [], data = boardData(scope)) =>
  switchboard(scope, { data, args: ['--directory', url, '--lease', String(LEASE), '--drain', '0', ...args] });

/** What `listeners` of a node shows, asked by somebody with the key of all providers. */
export async function listeners(scope: Scope, board: Switchboard, key: string): Promise<string> {
  const asked = ssh(scope, board, 'ask', ['--', 'listeners'], { input: '', key });
  return (await asked.ended).stdout.toString();
}

/** When a node knows of a line, or not any more. */
export const knows = (scope: Scope, board: Switchboard, alias: string, known = true, key = 'alice') =>
  eventually(`the node to ${known ? 'know of' : 'forget'} ${alias}`, async () => {
    return (await listeners(scope, board, key)).includes(alias) === known;
  });
