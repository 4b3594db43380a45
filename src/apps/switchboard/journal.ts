// The operator's log of what happens, from the same events that everybody else reads. Who signs in and leaves is in the server's own.
import type { Logger } from '../../server/server.ts';
import type { BoardEvent, CircuitInfo, ClientInfo, EventSource } from './events.ts';

/** Writes down what a source tells, until the function that is returned is called. */
export function journal(source: EventSource, log: Logger): () => void {
  return source.subscribe(event => {
    switch (event.type) {
      case 'plugged': {
        const { client, line, over } = event;
        return log.info({ ...who(client), line: line.line, ...(over && { over: numberOf(over) }) }, 'line plugged in');
      }
      case 'unplugged':
        return log.info({ ...who(event.client), line: event.line.line }, 'line unplugged');
      case 'line-refused':
        return log.warn({ ...who(event.client), line: event.line }, `line refused: ${event.reason}`);
      case 'opened':
        return log.info(circuit(event.circuit), 'circuit opened');
      case 'closed':
        return log.info({ ...circuit(event.circuit), ...carried(event) }, 'circuit closed');
      case 'call-refused':
        return log.info({ ...who(event.client), target: event.target }, `call refused: ${event.reason}`);
      case 'command':
        return log.info(who(event.by), event.what);
      case 'draining':
        return log.info({}, 'going down: no new connections, lines and calls; open circuits may end');
    }
  });
}

const who = ({ id, address, user, alias }: ClientInfo) => ({ client: numberOf(id), address, user, alias });

/** The number that the server's own lines have for a client; the process stands beside it where there are several. The console has none. */
const numberOf = (id: string) => (/\d$/.test(id) ? Number(id.slice(id.lastIndexOf('/') + 1)) : id);

const circuit = ({ id, caller, provider, target }: CircuitInfo) => ({
  ...who(caller),
  ...{ circuit: id, target, provider: numberOf(provider.id), providerAlias: provider.alias },
  ...(provider.worker && { providerWorker: provider.worker }),
});

const carried = ({ at, circuit: { since, toProvider, toCaller } }: BoardEvent & { type: 'closed' }) => ({
  ...{ bytesToProvider: toProvider, bytesToCaller: toCaller, seconds: (at - since) / 1000 },
});
