// What browsers are told: everything once, and then once a second, and as soon as something happens, what has changed.
import { faultFields } from '../../../server/detached.ts';
import type { Logger } from '../../../server/server.ts';
import type { ClientInfo, LineInfo } from '../events.ts';
import type { Ban } from '../rules.ts';
import { type CircuitView, type Exchange, type JournalEntry, type Look, lineId } from './exchange.ts';

/** Milliseconds between two samples of what circuits carry. */
const SAMPLE = 1000;
/** Things that happen within so many milliseconds are told together. */
const TOGETHER = 100;
/** Samples that are remembered of each circuit: a minute, in some 4 KB. */
export const SAMPLES = 60;
/** Circuits that browsers are told of, the newest; those beyond are only counted. 8 MB here, and some 4 MB for whoever comes. */
const MAX_CIRCUITS = 2000;
/** Entries of the journal for whoever comes. */
const MAX_JOURNAL = 100;

/** Milliseconds between two lines in the log that say that there is nothing to see: it is looked once a second at least. */
const LOG_EACH = 60_000;

/** Bytes a second, to the provider and to the caller. */
export type Sample = readonly [number, number];

/** A circuit, and what it has carried in each of the last seconds, the newest last. */
export interface CircuitState extends CircuitView {
  readonly samples: readonly Sample[];
}

export interface Totals {
  readonly clients: number;
  readonly lines: number;
  readonly circuits: number;
}

/** All there is; the first message. */
export interface State {
  readonly at: number;
  readonly totals: Totals;
  readonly clients: readonly ClientInfo[];
  readonly lines: readonly LineInfo[];
  readonly circuits: readonly CircuitState[];
  readonly bans: readonly Ban[];
  readonly journal: readonly JournalEntry[];
  readonly draining: boolean;
  /** What these circuits together have carried. */
  readonly samples: readonly Sample[];
}

/** What has changed since the last message. */
export interface Change {
  readonly at: number;
  readonly totals: Totals;
  readonly draining: boolean;
  /** New or changed. */
  readonly put: {
    readonly clients?: readonly ClientInfo[];
    readonly lines?: readonly LineInfo[];
    readonly circuits?: readonly CircuitState[];
  };
  /** Ids of what is gone; a line's is `lineId`. */
  readonly gone: {
    readonly clients?: readonly string[];
    readonly lines?: readonly string[];
    readonly circuits?: readonly string[];
  };
  readonly bans?: readonly Ban[];
  readonly journal?: readonly JournalEntry[];
  /** Once a second: for each circuit that has carried something, id, bytes in all each way, bytes a second each way; others have carried nothing. */
  readonly carried?: readonly (readonly [string, number, number, number, number])[];
  readonly sample?: Sample;
}

export type Message =
  | { readonly event: 'state'; readonly data: string }
  | { readonly event: 'change'; readonly data: string };

/** Somebody who is told. `deliver` resolves when he has taken it. */
interface Viewer {
  readonly deliver: (message: Message) => Promise<unknown>;
  busy: boolean;
  /** Something has passed him by: he is told everything anew. */
  missed: boolean;
}

interface Counted {
  circuit: CircuitView;
  readonly samples: Sample[];
  toProvider: number;
  toCaller: number;
}

export class Feed {
  readonly #exchange: Pick<Exchange, 'look' | 'watch'>;
  readonly #viewers = new Set<Viewer>();
  readonly #clients = new Map<string, ClientInfo>();
  readonly #lines = new Map<string, LineInfo>();
  readonly #circuits = new Map<string, Counted>();
  readonly #samples: Sample[] = [];
  #journal: JournalEntry[] = [];
  #bans: readonly Ban[] = [];
  #totals: Totals = { clients: 0, lines: 0, circuits: 0 };
  #draining = false;
  #sampled: number;
  #looking: Promise<void> | undefined;
  #due = { look: false, sample: false };
  #soon: NodeJS.Timeout | undefined;
  readonly #ticker: NodeJS.Timeout;
  readonly #unwatch: () => void;
  readonly #log: Logger;
  readonly #now: () => number;
  /** When a failure was logged last, and how many have not been since. */
  #failure = { at: Number.NEGATIVE_INFINITY, unsaid: 0 };

  /** `log` hears when it cannot be looked; `now` is in milliseconds since 1970. */
  constructor(exchange: Pick<Exchange, 'look' | 'watch'>, log: Logger, now: () => number = Date.now) {
    this.#exchange = exchange;
    this.#log = log;
    this.#now = now;
    this.#sampled = now();
    this.#ticker = setInterval(() => this.#refresh(true), SAMPLE);
    this.#ticker.unref();
    this.#unwatch = exchange.watch(() => {
      // While nobody watches it is enough to look once a second.
      if (this.#viewers.size === 0) return;
      this.#soon ??= setTimeout(() => {
        this.#soon = undefined;
        this.#refresh(false);
      }, TOGETHER).unref();
    });
  }

  close(): void {
    clearInterval(this.#ticker);
    clearTimeout(this.#soon);
    this.#unwatch();
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Tells somebody everything, and then what changes; whoever takes it too slowly is spared what lies between. Ends with the function that is returned. */
  view(deliver: Viewer['deliver']): () => void {
    const viewer: Viewer = { deliver, busy: false, missed: false };
    this.#viewers.add(viewer);
    this.#send(viewer, this.#state());
    if (this.#viewers.size === 1) this.#refresh(false);
    return () => {
      this.#viewers.delete(viewer);
    };
  }

  /** The same as `refresh`; what fails is logged, once a minute, and tried again with the next second. */
  #refresh(sample: boolean): void {
    this.refresh(sample).catch((error: unknown) => {
      const { at, unsaid } = this.#failure;
      const now = this.#now();
      if (now - at < LOG_EACH) {
        this.#failure.unsaid++;
        return;
      }
      this.#failure = { at: now, unsaid: 0 };
      this.#log.error({ ...faultFields(error), ...(unsaid > 0 && { unsaid }) }, 'the console cannot see what there is');
    });
  }

  /** Looks, and tells what is new; `sample` when it is time to count what circuits carry. Rejects if it cannot be looked. */
  async refresh(sample: boolean): Promise<void> {
    this.#due.sample ||= sample;
    this.#due.look = true;
    // Processes that are busy may need longer than a second to answer: one look at a time.
    await (this.#looking ??= this.#look());
  }

  async #look(): Promise<void> {
    try {
      while (this.#due.look) {
        const { sample } = this.#due;
        this.#due = { look: false, sample: false };
        this.#take(await this.#exchange.look(), sample);
      }
    } finally {
      this.#looking = undefined;
    }
  }

  #take(look: Look, sample: boolean): void {
    const { draining } = look;
    const circuits = look.circuits.length > MAX_CIRCUITS ? newest(look.circuits) : look.circuits;
    const clients = difference(this.#clients, look.clients, ({ id }) => id);
    const lines = difference(this.#lines, look.lines, lineId);
    const calls = this.#difference(circuits);
    const counted = sample ? this.#count() : {};
    const bans = JSON.stringify(look.bans) === JSON.stringify(this.#bans) ? undefined : look.bans;
    this.#bans = look.bans;
    this.#draining = draining;
    this.#totals = { clients: look.clients.length, lines: look.lines.length, circuits: look.circuits.length };
    this.#journal = [...this.#journal, ...look.journal].slice(-MAX_JOURNAL);
    if (this.#viewers.size === 0) return;
    const change: Change = {
      ...{ at: this.#now(), totals: this.#totals, draining, bans, ...counted },
      put: { clients: filled(clients.put), lines: filled(lines.put), circuits: filled(calls.put) },
      gone: { clients: filled(clients.gone), lines: filled(lines.gone), circuits: filled(calls.gone) },
      journal: filled(look.journal.slice(-MAX_JOURNAL)),
    };
    const message: Message = { event: 'change', data: JSON.stringify(change) };
    for (const viewer of this.#viewers) this.#send(viewer, message);
  }

  #difference(circuits: readonly CircuitView[]): { put: CircuitState[]; gone: string[] } {
    const put: CircuitState[] = [];
    const there = new Set<string>();
    for (const circuit of circuits) {
      there.add(circuit.id);
      const known = this.#circuits.get(circuit.id);
      if (known !== undefined) {
        known.circuit = circuit;
        continue;
      }
      // What it carried before it was seen is part of its first sample.
      this.#circuits.set(circuit.id, { circuit, samples: [], toProvider: 0, toCaller: 0 });
      put.push({ ...circuit, samples: [] });
    }
    const gone = [...this.#circuits.keys()].filter(id => !there.has(id));
    for (const id of gone) this.#circuits.delete(id);
    return { put, gone };
  }

  /** A sample of each circuit that is told of, and of all together. */
  #count(): Pick<Change, 'carried' | 'sample'> {
    const now = this.#now();
    const seconds = Math.max(0.001, (now - this.#sampled) / 1000);
    this.#sampled = now;
    const carried: [string, number, number, number, number][] = [];
    let [up, down] = [0, 0];
    for (const [id, counted] of this.#circuits) {
      const { toProvider, toCaller } = counted.circuit;
      const sample: Sample = [
        Math.round((toProvider - counted.toProvider) / seconds),
        Math.round((toCaller - counted.toCaller) / seconds),
      ];
      counted.toProvider = toProvider;
      counted.toCaller = toCaller;
      remember(counted.samples, sample);
      up += sample[0];
      down += sample[1];
      if (sample[0] > 0 || sample[1] > 0) carried.push([id, toProvider, toCaller, ...sample]);
    }
    const sample: Sample = [up, down];
    remember(this.#samples, sample);
    return { carried, sample };
  }

  #state(): Message {
    const state: State = {
      ...{ at: this.#now(), totals: this.#totals, draining: this.#draining, bans: this.#bans },
      clients: [...this.#clients.values()],
      lines: [...this.#lines.values()],
      circuits: Array.from(this.#circuits.values(), ({ circuit, samples }) => ({ ...circuit, samples })),
      journal: this.#journal,
      samples: this.#samples,
    };
    return { event: 'state', data: JSON.stringify(state) };
  }

  /** One who cannot be told any more is gone; whoever has brought him hears that by itself. */
  #send(viewer: Viewer, message: Message): void {
    if (viewer.busy) viewer.missed = true;
    else this.#deliver(viewer, message).catch(() => this.#viewers.delete(viewer));
  }

  async #deliver(viewer: Viewer, message: Message): Promise<void> {
    viewer.busy = true;
    await viewer.deliver(message);
    while (viewer.missed && this.#viewers.has(viewer)) {
      viewer.missed = false;
      await viewer.deliver(this.#state());
    }
    viewer.busy = false;
  }
}

function remember(samples: Sample[], sample: Sample): void {
  samples.push(sample);
  if (samples.length > SAMPLES) samples.shift();
}

const filled = <T>(list: readonly T[]): readonly T[] | undefined => (list.length > 0 ? list : undefined);

const newest = (circuits: readonly CircuitView[]): CircuitView[] =>
  [...circuits].sort((a, b) => b.since - a.since).slice(0, MAX_CIRCUITS);

/** Makes `known` what there is now, and tells how it differed. */
function difference<T>(
  known: Map<string, T>,
  now: readonly T[],
  idOf: (item: T) => string,
): { put: T[]; gone: string[] } {
  const there = new Set<string>();
  const put: T[] = [];
  for (const item of now) {
    const id = idOf(item);
    there.add(id);
    const old = known.get(id);
    if (old !== undefined && (old === item || JSON.stringify(old) === JSON.stringify(item))) continue;
    known.set(id, item);
    put.push(item);
  }
  const gone = [...known.keys()].filter(id => !there.has(id));
  for (const id of gone) known.delete(id);
  return { put, gone };
}
