// The circuits of this process: calls that have been put through, what they carry, and what one owner may have of them.
import { type Channel, type ChannelOpen, hold, type Mux } from '../../protocol/index.ts';
import type { CircuitInfo, CircuitProvider, ClientInfo, Events } from './events.ts';
import type { Quotas } from './quotas.ts';

/**
 * Milliseconds between two looks at rates. Circuits with a rate are held all the time but for a moment at each look, so that they
 * pass on a window each way between two of them at most; what is too much is waited for afterwards.
 */
const RATE_TICK = 100;

/** One end of a circuit that is connected to this process: who it is, and what it may have. */
export interface Party {
  readonly id: string;
  readonly owner: string;
  readonly quotas: Quotas;
}

/** What a circuit is said to be. */
export interface Call {
  /** Undefined for one that another process has passed on: that one tells of it. */
  readonly caller?: { readonly info: ClientInfo; readonly party: Party };
  readonly provider: CircuitProvider;
  /** Undefined for a provider of another process. */
  readonly peer?: Party;
  readonly target: string;
  readonly line: string;
}

interface Circuit {
  readonly call: Call;
  readonly id: number;
  readonly since: number;
  readonly near: Channel;
  readonly far: Channel;
  readonly ledgers: readonly Ledger[];
  /** Bytes both ways when its rate was looked at last, and when it was looked at for idleness; seconds since those have changed. */
  counted: number;
  seen: number;
  idle: number;
}

/** What one owner has. */
interface Ledger {
  readonly owner: string;
  /** Of the connection that came last. */
  quotas: Quotas;
  readonly circuits: Set<Circuit>;
  /** Bytes that it may pass on at once; below 0 it has to wait. */
  allowance: number;
}

export class Circuits {
  readonly #events: Events;
  readonly #open = new Set<Circuit>();
  readonly #ledgers = new Map<string, Ledger>();
  #lastId = 0;
  #ticker: NodeJS.Timeout | undefined;
  #looked = 0;

  constructor(events: Events) {
    this.#events = events;
  }

  get infos(): CircuitInfo[] {
    return [...this.#open].flatMap(circuit => infoOf(circuit) ?? []);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Clients that have circuits, as caller or as provider. */
  get busy(): Set<string> {
    return new Set([...this.#open].flatMap(({ call: { caller, peer } }) => [caller?.party.id ?? '', peer?.id ?? '']));
  }

  /** Why there may be no further circuit between these two, if there may not. */
  refusal(caller: Party | undefined, peer: Party | undefined): string | undefined {
    const full = (party: Party | undefined) =>
      party !== undefined &&
      party.quotas.circuits > 0 &&
      (this.#ledgers.get(party.owner)?.circuits.size ?? 0) >= party.quotas.circuits;
    if (full(caller)) return 'your key has too many circuits';
    return full(peer) ? 'the line has too many circuits' : undefined;
  }

  /** Puts a call through: `open` is joined with a channel of `type` that is opened on `to`. */
  put(open: ChannelOpen, to: Mux, type: string, data: Uint8Array, call: Call): void {
    open.forward(to, type, data, (near, far) => this.#add(near, far, call));
  }

  #add(near: Channel, far: Channel, call: Call): void {
    const parties = [call.caller?.party, call.peer].filter(party => party !== undefined);
    const ledgers = [...new Set(parties.map(party => this.#ledger(party)))];
    const numbers = { id: ++this.#lastId, since: Date.now(), counted: 0, seen: 0, idle: 0 };
    const circuit: Circuit = { call, near, far, ledgers, ...numbers };
    this.#open.add(circuit);
    for (const { circuits } of ledgers) circuits.add(circuit);
    if (isLimited(circuit)) {
      hold(near, true);
      this.#watch();
    }
    const info = infoOf(circuit);
    if (info) this.#events.tell({ type: 'opened', circuit: info });
    near.handler = { closed: () => this.#over(circuit) };
  }

  #over(circuit: Circuit): void {
    this.#open.delete(circuit);
    for (const ledger of circuit.ledgers) {
      ledger.circuits.delete(circuit);
      ledger.allowance -= passed(circuit) - circuit.counted;
      // One that owes is remembered until it has waited, or calling anew would be a way around.
      if (ledger.circuits.size === 0 && (ledger.quotas.rate === 0 || ledger.allowance >= 0)) {
        this.#ledgers.delete(ledger.owner);
      }
    }
    const info = infoOf(circuit);
    if (info) this.#events.tell({ type: 'closed', circuit: info });
  }

  #ledger({ owner, quotas }: Party): Ledger {
    let ledger = this.#ledgers.get(owner);
    if (ledger === undefined) {
      ledger = { owner, quotas, circuits: new Set(), allowance: quotas.rate };
      this.#ledgers.set(owner, ledger);
    }
    ledger.quotas = quotas;
    return ledger;
  }

  // Rates

  #watch(): void {
    if (this.#ticker !== undefined) return;
    this.#looked = performance.now();
    this.#ticker = setInterval(() => this.look(performance.now()), RATE_TICK);
    this.#ticker.unref();
  }

  /** Gives credit to the circuits of owners that have not had more than their rate. `now` in milliseconds. */
  look(now: number): void {
    const seconds = (now - this.#looked) / 1000;
    this.#looked = now;
    let limited = false;
    for (const circuit of this.#open) {
      const bytes = passed(circuit);
      for (const ledger of circuit.ledgers) ledger.allowance -= bytes - circuit.counted;
      circuit.counted = bytes;
    }
    for (const ledger of this.#ledgers.values()) {
      const { rate } = ledger.quotas;
      if (rate === 0) continue;
      limited = true;
      // What has not been used in a second is not saved up.
      ledger.allowance = Math.min(rate, ledger.allowance + rate * seconds);
      if (ledger.circuits.size === 0 && ledger.allowance >= 0) this.#ledgers.delete(ledger.owner);
    }
    for (const circuit of this.#open) {
      if (!isLimited(circuit) || circuit.ledgers.some(owes)) continue;
      hold(circuit.near, false);
      hold(circuit.near, true);
    }
    if (limited) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  // Idleness

  /** A second has passed: closes circuits that nothing has come through for too long. */
  tick(): void {
    for (const circuit of this.#open) {
      const bytes = passed(circuit);
      circuit.idle = bytes === circuit.seen ? circuit.idle + 1 : 0;
      circuit.seen = bytes;
      // The stricter of the two ends counts; 0 is none.
      const { caller, peer } = circuit.call;
      const limits = [caller?.party, peer].map(party => party?.quotas.circuitIdle ?? 0).filter(limit => limit > 0);
      if (limits.length === 0 || circuit.idle < Math.min(...limits)) continue;
      circuit.near.close();
      circuit.far.close();
    }
  }
}

const isLimited = ({ ledgers }: Circuit): boolean => ledgers.some(({ quotas }) => quotas.rate > 0);

const owes = ({ quotas, allowance }: Ledger): boolean => quotas.rate > 0 && allowance < 0;

/** Bytes both ways. */
const passed = ({ near, far }: Circuit): number => near.relayed + far.relayed;

function infoOf({ call, id, since, near, far }: Circuit): CircuitInfo | undefined {
  const { caller, provider, target, line } = call;
  if (caller === undefined) return undefined;
  return { id, caller: caller.info, provider, target, line, since, toProvider: near.relayed, toCaller: far.relayed };
}
