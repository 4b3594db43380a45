// The audit: a file with a line of JSON for each sign-in, line and circuit, who, from where, to what, how many bytes and how long. It is only ever appended to.
import { closeSync, openSync } from 'node:fs';
import { writeAll } from '../../server/runtime/write-all.ts';
import type { Logger } from '../../server/server.ts';
import type { BoardEvent, CircuitInfo, ClientInfo, EventSource } from './events.ts';
import { momentText } from './measures.ts';
import { attempt } from './state.ts';

export class Audit {
  readonly #file: string;
  readonly #log: Logger;
  #fd: number;

  /** Several processes may write to one file. @throws StateError if it cannot be opened */
  constructor(file: string, source: EventSource, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#fd = this.#open();
    source.subscribe(event => this.#write(event));
  }

  /** Goes on in a new file, if somebody has moved the old one away. @throws StateError */
  reopen(): void {
    const fd = this.#open();
    closeSync(this.#fd);
    this.#fd = fd;
  }

  #open(): number {
    return attempt(`cannot write the audit ${this.#file}`, () => openSync(this.#file, 'a', 0o600));
  }

  /** One call to the system for one line, as a rule, so that lines of several processes are not mixed. */
  #write(event: BoardEvent): void {
    const { at, type } = event;
    const record = { time: momentText(at), event: type, ...recordOf(event) };
    try {
      writeAll(this.#fd, Buffer.from(`${JSON.stringify(record)}\n`));
    } catch (error) {
      this.#log.error({ file: this.#file, error: String(error), record }, 'the audit cannot be written');
    }
  }
}

function recordOf(event: BoardEvent): object {
  switch (event.type) {
    case 'signed-in':
      return { ...who(event.client), rights: event.client.rights };
    case 'signed-out':
      return { ...who(event.client), reason: event.reason, seconds: (event.at - event.client.since) / 1000 };
    case 'sign-in-refused':
      return { ...event.stranger, reason: event.reason };
    case 'enrolled':
      return { ...event.stranger, ...(event.invitedBy && { invitedBy: event.invitedBy }) };
    case 'plugged':
      return { ...who(event.client), line: event.line.line, names: event.line.names, ...over(event) };
    case 'unplugged':
      return { ...who(event.client), line: event.line.line };
    case 'line-refused':
      return { ...who(event.client), line: event.line, reason: event.reason };
    case 'opened':
      return circuit(event.circuit);
    case 'closed': {
      const { toProvider, toCaller, since } = event.circuit;
      const carried = { bytesToProvider: toProvider, bytesToCaller: toCaller };
      return { ...circuit(event.circuit), ...carried, seconds: (event.at - since) / 1000 };
    }
    case 'call-refused':
      return { ...who(event.client), target: event.target, reason: event.reason };
    case 'command':
      return { ...who(event.by), what: event.what };
    case 'draining':
      return {};
  }
}

const who = ({ id, address, port, user, key, owner, alias }: ClientInfo) => ({
  ...{ client: id, address, port, user, key, alias },
  ...(owner !== key && { owner }),
});

const over = (event: BoardEvent & { type: 'plugged' }) => (event.over === undefined ? {} : { over: event.over });

const circuit = ({ id, caller, provider, target, line }: CircuitInfo) => ({
  ...who(caller),
  ...{ circuit: id, target, line },
  provider: provider.id,
  providerAlias: provider.alias,
  providerAddress: provider.address,
});
