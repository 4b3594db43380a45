// `--console`: what it needs, and what the operator is told of it when the switchboard starts.
import { isLoopback } from '../../../server/penalties.ts';
import { reason } from '../../../server/runtime/reason.ts';
import type { Logger } from '../../../server/server.ts';
import { bracketed } from '../lines.ts';
import type { Settings } from '../settings.ts';
import { StateError } from '../state.ts';
import { Console, type Where } from './console.ts';
import type { Exchange } from './exchange.ts';
import { newToken, tokenFrom } from './sign-ins.ts';

/** A console whose port is open: lines for the operator, and what to call once clients are served. */
export interface Opened {
  readonly lines: readonly string[];
  ready(): void;
}

/** Opens it, before anybody is served: what cannot be listened on ends the start. @throws StateError */
export async function openConsole(
  where: Where,
  { consoleTokenFile: file, proxyProtocol: proxies }: Pick<Settings, 'consoleTokenFile' | 'proxyProtocol'>,
  exchange: Exchange,
  log: Logger,
): Promise<Opened> {
  const token = file === undefined ? newToken() : tokenFrom(file);
  const console = new Console({ exchange, token, log, proxies });
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
  const lines = [`Console: http://${bracketed(host)}:${port}/ (${said})`, ''];
  return { lines, ready: () => console.ready() };
}
