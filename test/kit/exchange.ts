// A switchboard for the console's tests: clients, lines and circuits that are only data, and what is done to it, written down.
import type { Look } from '../../src/apps/switchboard/console/exchange.ts';
import type { ClientInfo, LineInfo } from '../../src/apps/switchboard/events.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type There = Pick<Look, 'clients' | 'lines' | 'circuits' | 'bans' | 'journal' | 'draining'>;

export const aClient = (id: string, user = `user${id}`): ClientInfo => ({
  ...{ id, user, name: user, alias: `${user}-0123456789`, address: `192.0.2.${Number(id) % 256}`, port: 50_000 },
  ...{ key: `SHA256:${id.padEnd(43, 'k')}`, owner: `SHA256:${id.padEnd(43, 'k')}`, rights: ['listen'], since: 0 },
});

export const aLine = ({ id, alias, address, since }: ClientInfo, line: string): LineInfo => ({
  ...{ provider: id, alias, address, names: [], line, doubted: false, since },
});

export const aCircuit = (id: string, caller: ClientInfo, provider: ClientInfo, line: string) => ({
  ...{ id, caller, target: `${provider.alias}:${line}`, line, since: 0, toProvider: 0, toCaller: 0 },
  provider: { id: provider.id, alias: provider.alias, address: provider.address },
});

export class FakeExchange {
  there: Writable<There> = { clients: [], lines: [], circuits: [], bans: [], journal: [], draining: false };
  /** "kick 7", "ban SHA256:… 3600 loud", … */
  readonly done: string[] = [];
  readonly watchers = new Set<() => void>();
  /** How often somebody has asked for the metrics. */
  measured = 0;

  async look(): Promise<Look> {
    const { journal, ...rest } = structuredClone(this.there) as Look;
    this.there.journal = [];
    return { ...rest, journal };
  }

  watch(stirred: () => void): () => void {
    this.watchers.add(stirred);
    return () => void this.watchers.delete(stirred);
  }

  async metrics(): Promise<string> {
    return `measured ${++this.measured}\n`;
  }

  async kick(_address: string, id: string): Promise<boolean> {
    this.done.push(`kick ${id}`);
    return this.there.clients.some(client => client.id === id);
  }

  async ban(_address: string, ...what: unknown[]): Promise<boolean> {
    this.done.push(`ban ${what.join(' ')}`);
    return what[0] !== 'nonsense';
  }

  async unban(_address: string, subject: string): Promise<boolean> {
    this.done.push(`unban ${subject}`);
    return subject !== 'nobody';
  }
}
