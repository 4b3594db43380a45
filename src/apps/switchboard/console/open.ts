// `--console`: what it needs, and what the operator is told of it when the switchboard starts.
import { isLoopback } from '../../../server/penalties.ts';
import { reason } from '../../../server/runtime/reason.ts';
import type { Logger } from '../../../server/server.ts';
import { bracketed } from '../lines.ts';
import { StateError } from '../state.ts';
import { Console, type Where } from './console.ts';
import type { Exchange } from './exchange.ts';
import { newToken, tokenFrom } from './sign-ins.ts';

/** Opens it; `file` has the token. Returns lines for the operator. @throws StateError */
export async function openConsole(
  where: Where,
  file: string | undefined,
  exchange: Exchange,
  log: Logger,
): Promise<string[]> {
  const token = file === undefined ? newToken() : tokenFrom(file);
  const console = new Console({ exchange, token, log });
  const { host, port } = await console.listen(where).catch((error: unknown) => {
    const place = 'fd' in where ? 'the socket that it was given' : `${where.host} port ${where.port}`;
    throw new StateError(`the console cannot listen on ${place}: ${reason(error)}`);
  });
  if (!isLoopback(host)) {
    log.warn(
      { host, port },
      'the console is open to the network and speaks no TLS: put a proxy in front of it that does',
    );
  }
  const said = file === undefined ? `token ${token}` : `token in ${file}`;
  return [`Console: http://${bracketed(host)}:${port}/ (${said})`, ''];
}
