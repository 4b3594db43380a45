// The circuits of this process: calls that have been put through, what they carry, and what one owner may have of them.
import { type Channel, type ChannelOpen, hold, type Mux } from '../../protocol/index.ts';
import { faultsLogged } from '../../server/detached.ts';
import type { Logger } from '../../server/server.ts';
import type { CircuitInfo, CircuitProvider, ClientInfo, Events } from './events.ts';
import { QUOTAS, type Quotas } from './quotas.ts';
import type { Counter } from './tally.ts';

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
  /** The owner of a provider of another process: where he is the caller, too, the circuit is counted there. */
  readonly farOwner?: string;
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
  /** Bytes that have been passed on here, and that other processes have not heard of. */
  untold: number;
}

/** Bytes that an owner with a rate has had in one process: in all others he has so much less. */
export interface Spent {
  readonly owner: string;
  readonly rate: number;
  readonly bytes: number;
}

export interface CircuitsOptions {
  readonly log?: Logger;
  readonly events: Events;
  readonly counter: Counter;
  /** Tells the other processes, if there are any. */
  spent?(spent: readonly Spent[]): void;
}

export class Circuits {
  readonly #options: CircuitsOptions;
  readonly #open = new Set<Circuit>();
  readonly #ledgers = new Map<string, Ledger>();
  #lastId = 0;
  #ticker: NodeJS.Timeout | undefined;
  #looked = 0;

  constructor(options: CircuitsOptions) {
    this.#options = options;
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

  /**
   * Counts a circuit that is to be put through, where it has to be counted; or returns why there may be none. Whoever gets no
   * reason calls `put`.
   */
  async reserve(call: Call): Promise<string | undefined> {
    const wishes = charged(call).map(({ owner, quotas }) => ({ owner, limit: quotas.circuits }));
    const full = await this.#options.counter.take('circuit', wishes);
    if (full === undefined) return undefined;
    return full === call.caller?.party.owner ? 'your key has too many circuits' : 'the line has too many circuits';
  }

  /** Puts a call through for which a circuit has been reserved: `open` is joined with a channel of `type` that is opened on `to`. */
  put(open: ChannelOpen, to: Mux, type: string, data: Uint8Array, call: Call): void {
    open.forward(
      ...([to, type, data] as const),
      (near, far) => this.#add(near, far, call),
      () => this.release(call),
    );
  }

  /** The circuit that was reserved is over, or there will be none. */
  release(call: Call): void {
    const owners = charged(call).map(({ owner }) => owner);
    if (owners.length > 0) this.#options.counter.give('circuit', owners);
  }

  #add(near: Channel, far: Channel, call: Call): void {
    const ledgers = [...new Set(charged(call).map(party => this.#ledger(party)))];
    const numbers = { id: ++this.#lastId, since: Date.now(), counted: 0, seen: 0, idle: 0 };
    const circuit: Circuit = { call, near, far, ledgers, ...numbers };
    this.#open.add(circuit);
    for (const { circuits } of ledgers) circuits.add(circuit);
    if (isLimited(circuit)) {
      hold(near, true);
      this.#watch();
    }
    const info = infoOf(circuit);
    if (info) this.#options.events.tell({ type: 'opened', circuit: info });
    near.handler = { closed: () => this.#over(circuit) };
  }

  #over(circuit: Circuit): void {
    this.#open.delete(circuit);
    this.#count(circuit);
    for (const ledger of circuit.ledgers) {
      ledger.circuits.delete(circuit);
      // One with a rate is remembered until it has waited, or calling anew would be a way around.
      if (ledger.circuits.size === 0 && ledger.quotas.rate === 0) this.#ledgers.delete(ledger.owner);
    }
    this.release(circuit.call);
    const info = infoOf(circuit);
    if (info) this.#options.events.tell({ type: 'closed', circuit: info });
  }

  #ledger({ owner, quotas }: Pick<Party, 'owner' | 'quotas'>): Ledger {
    let ledger = this.#ledgers.get(owner);
    if (ledger === undefined) {
      ledger = { owner, quotas, circuits: new Set(), allowance: quotas.rate, untold: 0 };
      this.#ledgers.set(owner, ledger);
    }
    ledger.quotas = quotas;
    return ledger;
  }

  // Rates

  #watch(): void {
    if (this.#ticker !== undefined) return;
    this.#looked = performance.now();
    const look = faultsLogged(() => this.look(performance.now()), this.#options.log, 'rates could not be looked at');
    this.#ticker = setInterval(look, RATE_TICK);
    this.#ticker.unref();
  }

  /** Gives credit to the circuits of owners that have not had more than their rate. `now` in milliseconds. */
  look(now: number): void {
    const seconds = (now - this.#looked) / 1000;
    this.#looked = now;
    let limited = false;
    for (const circuit of this.#open) this.#count(circuit);
    const spent: Spent[] = [];
    for (const ledger of this.#ledgers.values()) {
      const { owner, quotas, untold } = ledger;
      const { rate } = quotas;
      if (rate === 0) continue;
      limited = true;
      if (untold > 0) spent.push({ owner, rate, bytes: untold });
      ledger.untold = 0;
      // What has not been used in a second is not saved up.
      ledger.allowance = Math.min(rate, ledger.allowance + rate * seconds);
      if (ledger.circuits.size === 0 && ledger.allowance >= rate) this.#ledgers.delete(owner);
    }
    if (spent.length > 0) this.#options.spent?.(spent);
    for (const circuit of this.#open) {
      if (!isLimited(circuit) || circuit.ledgers.some(owes)) continue;
      hold(circuit.near, false);
      hold(circuit.near, true);
    }
    if (limited) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  /** What owners have had in another process: so every process has the same allowance for them, a look or two late. */
  charge(spent: readonly Spent[]): void {
    for (const { owner, rate, bytes } of spent) {
      const ledger = this.#ledgers.get(owner) ?? this.#ledger({ owner, quotas: { ...QUOTAS, rate } });
      ledger.allowance -= bytes;
      this.#watch();
    }
  }

  #count(circuit: Circuit): void {
    const bytes = passed(circuit);
    for (const ledger of circuit.ledgers) {
      ledger.allowance -= bytes - circuit.counted;
      ledger.untold += bytes - circuit.counted;
    }
    circuit.counted = bytes;
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

/** Who has one circuit less to have; of a circuit between two processes each charges the end that is its own. */
function charged({ caller, peer, farOwner }: Call): Party[] {
  const parties = [caller?.party.owner === farOwner ? undefined : caller?.party, peer];
  return parties.filter(party => party !== undefined);
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
