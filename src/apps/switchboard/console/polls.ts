// A switchboard that is several processes, for the console: the primary process asks each worker, and puts together what they answer.
import { detached } from '../../../server/detached.ts';
import type { Logger } from '../../../server/server.ts';
import type { Switchboard } from '../app.ts';
import type { ClientInfo } from '../events.ts';
import type { Kick } from '../ipc.ts';
import { Surveys } from '../surveys.ts';
import type { Part, Processes } from './exchange.ts';
import { Lookout } from './lookout.ts';
import { together } from './metrics.ts';

/** What the primary process asks and tells a worker. */
export type PollWorker =
  | { readonly poll: number; readonly what: 'look' | 'measure' }
  | { readonly note: { readonly by: ClientInfo; readonly what: string } };

/** What a worker answers, or says by itself: there is something new to see. */
export type PollPrimary =
  | { readonly polled: number; readonly look: Part }
  | { readonly polled: number; readonly measured: object }
  | { readonly stirred: true };

/** A worker that serves, as the primary process sees it. */
export interface Polled {
  readonly id: string;
  tell(message: PollWorker | { readonly kick: Kick } | { readonly recheck: true }): void;
}

export class Polls implements Processes {
  readonly #workers: () => Polled[];
  readonly #looks: Surveys<Part>;
  readonly #measures: Surveys<object>;
  /** What each has shown last: one that hangs is shown as it was. */
  readonly #last = new Map<string, Part>();
  readonly #watchers = new Set<() => void>();

  /** `workers` are those that serve just now; `patience` as in Surveys. */
  constructor(workers: () => Polled[], patience?: number) {
    this.#workers = workers;
    this.#looks = new Surveys(patience);
    this.#measures = new Surveys(patience);
  }

  async look(): Promise<Part[]> {
    const workers = this.#workers();
    const parts = await this.#looks.take(asking(workers, 'look'));
    for (const id of this.#last.keys()) if (!workers.some(worker => worker.id === id)) this.#last.delete(id);
    const all = workers.map(({ id }) => parts.get(id) ?? this.#last.get(id));
    for (const [id, part] of parts) this.#last.set(id, { ...part, journal: [] });
    return all.filter(part => part !== undefined);
  }

  async metrics(): Promise<string> {
    const all = await this.#measures.take(asking(this.#workers(), 'measure'));
    return together([...all.values()]);
  }

  watch(stirred: () => void): () => void {
    this.#watchers.add(stirred);
    return () => void this.#watchers.delete(stirred);
  }

  kick(ids: readonly string[], reason: string): void {
    for (const { tell } of this.#workers()) tell({ kick: { ids, reason } });
  }

  recheck(): void {
    for (const { tell } of this.#workers()) tell({ recheck: true });
  }

  note(by: ClientInfo, what: string): void {
    // One of them writes it down; it is in the journal and the audit of all.
    this.#workers()[0]?.tell({ note: { by, what } });
  }

  /** Something that a worker says. */
  hear(id: string, message: PollPrimary): void {
    if ('look' in message) this.#looks.hear(id, message.polled, message.look);
    else if ('measured' in message) this.#measures.hear(id, message.polled, message.measured);
    else this.#stir();
  }

  /** A worker that has died answers nothing any more. */
  gone(id: string): void {
    this.#looks.gone(id);
    this.#measures.gone(id);
    this.#last.delete(id);
    this.#stir();
  }

  #stir(): void {
    for (const stirred of this.#watchers) stirred();
  }
}

const asking = (workers: readonly Polled[], what: 'look' | 'measure') =>
  workers.map(({ id, tell }) => ({ id, ask: (poll: number) => tell({ poll, what }) }));

/** The worker's side: returns what hears the primary process. `place` is the worker's id, `say` tells the primary. */
export function answering(
  switchboard: Switchboard,
  version: string,
  place: string,
  say: (message: PollPrimary) => void,
  log: Logger,
): (message: PollWorker) => void {
  const lookout = new Lookout(switchboard, version, place);
  // Said once; until it is asked, there is nothing to add.
  let stirred = false;
  switchboard.subscribe(() => {
    if (stirred) return;
    stirred = true;
    say({ stirred: true });
  });
  return message => {
    if ('note' in message) return switchboard.events.tell({ type: 'command', ...message.note });
    const { poll: polled, what } = message;
    if (what === 'measure') {
      const measured = lookout.metrics.measure().then(all => say({ polled, measured: all }));
      return detached(measured, log, 'nothing could be measured');
    }
    stirred = false;
    say({ polled, look: lookout.look() });
  };
}
