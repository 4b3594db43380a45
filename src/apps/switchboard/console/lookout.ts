// One process of a switchboard, as the console sees it.
import type { CircuitInfo, EventSource } from '../events.ts';
import type { CircuitView, JournalEntry, Part } from './exchange.ts';
import { Metrics } from './metrics.ts';
import { sentence } from './words.ts';

/** Entries that are kept until somebody looks; older ones are forgotten. */
const MAX_JOURNAL = 200;

export class Lookout {
  readonly metrics: Metrics;
  readonly #source: EventSource;
  /** The name of this process among several, so that numbers of circuits do not meet. */
  readonly #place: string;
  #journal: JournalEntry[] = [];
  #draining = false;

  constructor(source: EventSource, version: string, place = '') {
    this.#source = source;
    this.#place = place;
    this.metrics = new Metrics(source, version);
    source.subscribe(event => {
      if (event.type === 'draining') this.#draining = true;
      this.#journal.push({ at: event.at, type: event.type, text: sentence(event) });
      if (this.#journal.length > MAX_JOURNAL) this.#journal.shift();
    });
  }

  look(): Part {
    const { clients, lines, circuits } = this.#source.snapshot();
    const journal = this.#journal;
    this.#journal = [];
    return { clients, lines, circuits: circuits.map(one => this.#view(one)), journal, draining: this.#draining };
  }

  #view({ id, caller, ...circuit }: CircuitInfo): CircuitView {
    const { id: callerId, user, alias, address } = caller;
    return { ...circuit, id: `${this.#place}#${id}`, caller: { id: callerId, user, alias, address } };
  }
}
