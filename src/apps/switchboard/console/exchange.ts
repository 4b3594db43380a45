// What the console sees of a switchboard, in however many processes it runs, and what an operator may do to it.
import { printable } from '../../../protocol/index.ts';
import type { BoardEvent, CircuitInfo, ClientInfo, LineInfo } from '../events.ts';
import { momentText } from '../measures.ts';
import type { Registry } from '../registry.ts';
import type { Ban } from '../rules.ts';
import { isSubjectOf, parseSubject } from '../subjects.ts';

/** A circuit, with as much of its caller as tells him apart. */
export interface CircuitView extends Omit<CircuitInfo, 'id' | 'caller'> {
  /** Of all circuits of all processes. */
  readonly id: string;
  readonly caller: Pick<ClientInfo, 'id' | 'user' | 'alias' | 'address'>;
}

/** Something that has happened, in words. */
export interface JournalEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly type: BoardEvent['type'];
  readonly text: string;
}

/** What one process shows; small enough to be sent to another one each second. */
export interface Part {
  readonly clients: readonly ClientInfo[];
  readonly lines: readonly LineInfo[];
  readonly circuits: readonly CircuitView[];
  /** What has happened since it was asked last. */
  readonly journal: readonly JournalEntry[];
  readonly draining: boolean;
}

/** Everything at one moment. */
export interface Look extends Part {
  readonly bans: readonly Ban[];
}

/** The processes of a switchboard, one or several. */
export interface Processes {
  /** One part of each process that answers. */
  look(): Promise<Part[]>;
  /** Prometheus' text format, of all processes together. */
  metrics(): Promise<string>;
  /** `stirred` is called when there is something new to see; ends with the function that is returned. */
  watch(stirred: () => void): () => void;
  /** Ends connections, wherever they are. */
  kick(ids: readonly string[], reason: string): void;
  /** Ends connections of those who would not be let in any more, wherever they are. */
  recheck(): void;
  /** Notes down who has done what. */
  note(by: ClientInfo, what: string): void;
}

/** Whoever sits at the console, among those who may do something. */
const operator = (address: string): ClientInfo => ({
  ...{ id: 'console', address, port: 0, user: 'console', name: 'console', alias: 'console', key: '', owner: 'console' },
  ...{ rights: ['admin'], since: 0 },
});

export class Exchange {
  readonly #processes: Processes;
  readonly #registry: Registry;

  constructor(processes: Processes, registry: Registry) {
    this.#processes = processes;
    this.#registry = registry;
  }

  async look(): Promise<Look> {
    const parts = await this.#processes.look();
    // Each process knows the lines of all.
    const lines = new Map(parts.flatMap(part => part.lines.map(line => [lineId(line), line])));
    return {
      clients: parts.flatMap(({ clients }) => clients),
      lines: [...lines.values()],
      circuits: parts.flatMap(({ circuits }) => circuits),
      journal: parts.flatMap(({ journal }) => journal).sort((one, other) => one.at - other.at),
      draining: parts.some(({ draining }) => draining),
      bans: this.#registry.bans(),
    };
  }

  metrics(): Promise<string> {
    return this.#processes.metrics();
  }

  watch(stirred: () => void): () => void {
    return this.#processes.watch(stirred);
  }

  /** Ends a connection, for an operator at this address. False if there is none of that id. */
  async kick(address: string, id: string): Promise<boolean> {
    const client = (await this.#clients()).find(one => one.id === id);
    if (client === undefined) return false;
    this.#processes.note(operator(address), `kicked ${client.alias} (client ${id})`);
    this.#processes.kick([id], 'disconnected by an operator');
    return true;
  }

  /** Keeps an owner, a key, an address or a network out, and ends its connections; `seconds` undefined is for ever. False if that cannot be. */
  async ban(address: string, who: string, seconds: number | undefined, reason: string): Promise<boolean> {
    const subject = parseSubject(who);
    if (subject === undefined) return false;
    const until = seconds === undefined ? undefined : Date.now() + seconds * 1000;
    const by = operator(address);
    if (!(await this.#registry.ban({ subject, until, reason: printable(reason, 200), by: by.user }))) return false;
    const time = until === undefined ? '' : ` until ${momentText(until)}`;
    this.#processes.note(by, `banned ${subject}${time}`);
    const out = (await this.#clients()).filter(client => isSubjectOf(client, subject));
    this.#processes.kick(
      out.map(({ id }) => id),
      'you are banned',
    );
    // Somebody may be signing in meanwhile, or come from elsewhere with a certificate of the authority.
    this.#processes.recheck();
    return true;
  }

  /** False if it was not banned. */
  async unban(address: string, subject: string): Promise<boolean> {
    if (!(await this.#registry.unban(subject))) return false;
    this.#processes.note(operator(address), `let ${subject} in again`);
    return true;
  }

  async #clients(): Promise<ClientInfo[]> {
    return (await this.#processes.look()).flatMap(({ clients }) => clients);
  }
}

export const lineId = ({ provider, line }: LineInfo): string => `${provider} ${line}`;
