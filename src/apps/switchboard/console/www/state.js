// What the page knows: the first message tells everything, each further one what has changed.
/** @import { Change, CircuitState, Sample, State } from '../feed.ts' */
/** @import { JournalEntry } from '../exchange.ts' */
/** @import { Ban } from '../../rules.ts' */
/** @import { ClientInfo, LineInfo } from '../../events.ts' */

/** As many samples as the switchboard remembers: a minute. */
export const SAMPLES = 60;
const MAX_JOURNAL = 100;

/** @typedef {Omit<CircuitState, 'samples'> & { samples: Sample[], toProvider: number, toCaller: number, colour: number }} Circuit */

/** Colours of cords; style.css has them. */
const COLOURS = 8;
let cords = 0;

export const state = {
  at: 0,
  /** Milliseconds that the switchboard's clock is ahead of ours. */
  ahead: 0,
  totals: { clients: 0, lines: 0, circuits: 0 },
  draining: false,
  /** @type {Map<string, ClientInfo>} */
  clients: new Map(),
  /** @type {Map<string, LineInfo>} */
  lines: new Map(),
  /** @type {Map<string, Circuit>} */
  circuits: new Map(),
  /** @type {readonly Ban[]} */
  bans: [],
  /** @type {JournalEntry[]} the newest last */
  journal: [],
  /** @type {Sample[]} of all circuits together */
  samples: [],
};

/** @param {{ provider: string, line: string }} line */
export const lineId = ({ provider, line }) => `${provider} ${line}`;

/** The line that a circuit goes to. @param {Circuit} circuit */
export const lineOf = ({ provider, line }) => `${provider.id} ${line}`;

/** @param {Circuit} circuit @returns {Sample} bytes a second, to the provider and to the caller */
export const rateOf = ({ samples }) => samples.at(-1) ?? [0, 0];

/** Milliseconds since then, by the switchboard's clock. @param {number} since */
export const age = since => Date.now() + state.ahead - since;

/** @param {State} all */
export function begin(all) {
  state.clients = new Map(all.clients.map(client => [client.id, client]));
  state.lines = new Map(all.lines.map(line => [lineId(line), line]));
  const old = state.circuits;
  state.circuits = new Map();
  for (const circuit of all.circuits) put(circuit, old.get(circuit.id)?.colour);
  state.bans = all.bans;
  state.journal = [...all.journal];
  state.samples = [...all.samples];
  general(all);
}

/** @param {Change} change */
export function apply(change) {
  for (const client of change.put.clients ?? []) state.clients.set(client.id, client);
  for (const line of change.put.lines ?? []) state.lines.set(lineId(line), line);
  for (const circuit of change.put.circuits ?? []) put(circuit);
  for (const id of change.gone.clients ?? []) state.clients.delete(id);
  for (const id of change.gone.lines ?? []) state.lines.delete(id);
  for (const id of change.gone.circuits ?? []) state.circuits.delete(id);
  if (change.bans) state.bans = change.bans;
  if (change.journal) state.journal = [...state.journal, ...change.journal].slice(-MAX_JOURNAL);
  if (change.carried) sample(change.carried);
  if (change.sample) remember(state.samples, change.sample);
  general(change);
}

/** @param {State | Change} message */
function general({ at, totals, draining }) {
  state.at = at;
  state.ahead = at - Date.now();
  state.totals = totals;
  state.draining = draining;
}

/** @param {CircuitState} circuit @param {number} [colour] */
function put(circuit, colour = cords++ % COLOURS) {
  state.circuits.set(circuit.id, { ...circuit, samples: [...circuit.samples], colour });
}

/** @param {NonNullable<Change['carried']>} carried */
function sample(carried) {
  const moved = new Map(carried.map(([id, ...numbers]) => [id, numbers]));
  for (const [id, circuit] of state.circuits) {
    const [toProvider, toCaller, up, down] = moved.get(id) ?? [circuit.toProvider, circuit.toCaller, 0, 0];
    circuit.toProvider = toProvider;
    circuit.toCaller = toCaller;
    remember(circuit.samples, [up, down]);
  }
}

/** @param {Sample[]} samples @param {Sample} sample */
function remember(samples, sample) {
  samples.push(sample);
  if (samples.length > SAMPLES) samples.shift();
}
