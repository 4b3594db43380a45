// What Prometheus is told. Numbers only: no names, addresses or keys, so that whoever may read them learns nothing to call or attack anybody by.
import {
  type Aggregator,
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  Registry,
} from 'prom-client';
import type { BoardEvent, CircuitInfo, EventSource } from '../events.ts';

/** Bounds of how long a circuit was open, in seconds: from a request to a day at a terminal. */
const DURATIONS = [0.1, 1, 10, 60, 600, 3600, 8 * 3600, 24 * 3600];

/** What several processes measured, added up; `all` is what `Metrics.measure` of each gave. */
export function together(all: readonly object[]): Promise<string> {
  return AggregatorRegistry.aggregate([...all]).metrics();
}

/** One process' metrics, in a registry of their own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #source: EventSource;
  /** Bytes of circuits that have ended. */
  readonly #ended = { provider: 0, caller: 0 };
  readonly #draining;
  readonly #signIns;
  readonly #enrolments;
  readonly #lines;
  readonly #calls;
  readonly #durations;

  constructor(source: EventSource, version: string) {
    this.#source = source;
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const metric = (name: string, help: string) => ({ name: `cordboard_${name}`, help, registers });
    const now = (name: string, help: string, count: () => number, aggregator: Aggregator = 'sum') =>
      new Gauge({
        ...metric(name, help),
        aggregator,
        collect() {
          this.set(count());
        },
      });
    const info = new Gauge({
      ...metric('info', 'Always 1; the version is a label.'),
      ...{ labelNames: ['version'] as const, aggregator: 'max' as const },
    });
    info.set({ version }, 1);
    now('clients', 'Clients that are signed in.', () => source.snapshot().clients.length);
    // Each process knows the lines of all, so they are not added up.
    now('lines', 'Lines that are plugged in.', () => source.snapshot().lines.length, 'max');
    now('circuits', 'Circuits that are open.', () => source.snapshot().circuits.length);
    this.#draining = new Gauge({ ...metric('draining', '1 when the switchboard goes down.'), aggregator: 'max' });
    this.#signIns = new Counter({
      ...metric('sign_ins_total', 'Proven keys that wanted to sign in.'),
      labelNames: ['result'],
    });
    this.#enrolments = new Counter(metric('enrolments_total', 'Keys that were taken into the file.'));
    this.#lines = new Counter({
      ...metric('lines_total', 'Lines that clients wanted to plug in.'),
      labelNames: ['result'],
    });
    this.#calls = new Counter({ ...metric('calls_total', 'Calls, put through or not.'), labelNames: ['result'] });
    for (const counter of [this.#signIns, this.#lines, this.#calls]) {
      for (const result of ['accepted', 'refused']) counter.inc({ result }, 0);
    }
    this.#durations = new Histogram({
      ...metric('circuit_duration_seconds', 'How long circuits were open that have ended.'),
      buckets: DURATIONS,
    });
    const bytes = () => this.#bytes();
    new Counter({
      ...metric('circuit_bytes_total', 'Bytes that circuits have carried.'),
      labelNames: ['to'],
      collect() {
        this.reset();
        const { provider, caller } = bytes();
        this.inc({ to: 'provider' }, provider);
        this.inc({ to: 'caller' }, caller);
      },
    });
    source.subscribe(event => this.#count(event));
  }

  /** Plain data, for `together`. */
  measure(): Promise<object> {
    return this.registry.getMetricsAsJSON();
  }

  #bytes(): { provider: number; caller: number } {
    const sum = { ...this.#ended };
    for (const circuit of this.#source.snapshot().circuits) add(sum, circuit);
    return sum;
  }

  #count(event: BoardEvent): void {
    switch (event.type) {
      case 'signed-in':
        return this.#signIns.inc({ result: 'accepted' });
      case 'sign-in-refused':
        return this.#signIns.inc({ result: 'refused' });
      case 'enrolled':
        return this.#enrolments.inc();
      case 'plugged':
        return this.#lines.inc({ result: 'accepted' });
      case 'line-refused':
        return this.#lines.inc({ result: 'refused' });
      case 'opened':
        return this.#calls.inc({ result: 'accepted' });
      case 'call-refused':
        return this.#calls.inc({ result: 'refused' });
      case 'closed':
        add(this.#ended, event.circuit);
        return this.#durations.observe(Math.max(0, event.at - event.circuit.since) / 1000);
      case 'draining':
        return this.#draining.set(1);
    }
  }
}

function add(sum: { provider: number; caller: number }, { toProvider, toCaller }: CircuitInfo): void {
  sum.provider += toProvider;
  sum.caller += toCaller;
}
