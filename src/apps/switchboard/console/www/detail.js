// One circuit in detail: a chart, its two ends, and what may be done about them.
/** @import { Circuit } from './state.js' */
import { buttons } from './actions.js';
import { chart } from './chart.js';
import { byId, el, say } from './dom.js';
import { duration, rate, size } from './format.js';
import { age, rateOf, state } from './state.js';

const place = byId('detail');
/** @type {{ id: string, ends: string, update(circuit: Circuit): void } | undefined} */
let shown;

/** @param {string | undefined} id the circuit to show @param {() => void} close */
export function draw(id, close) {
  const circuit = state.circuits.get(id ?? '');
  if (circuit === undefined) {
    if (shown !== undefined) place.replaceChildren();
    shown = undefined;
    place.hidden = true;
    return;
  }
  // A client that has gone takes its buttons with it.
  const ends = [circuit.caller, circuit.provider].map(({ id }) => state.clients.has(id)).join();
  if (shown?.id !== circuit.id || shown.ends !== ends) shown = { id: circuit.id, ends, update: build(circuit, close) };
  place.hidden = false;
  shown.update(circuit);
}

/** @param {Circuit} first @param {() => void} close */
function build({ colour, caller, provider, target, line }, close) {
  const minute = chart(`${caller.user} to ${target}`, { scale: true });
  const numbers = ['To the line', 'To the caller', 'Carried', 'For'].map(name => ({ name, value: el('dd') }));
  /** @param {string} title @param {{ id: string, alias: string, address: string, user?: string }} end @param {string} [more] */
  const end = (title, { id, alias, address, user }, more) => {
    const client = state.clients.get(id);
    return el(
      'div',
      { class: 'end' },
      el('h3', {}, title),
      el('p', {}, el('strong', {}, user ?? client?.user ?? alias), more),
      el('p', { class: 'code muted' }, `${alias} · ${address}`),
      client && el('p', { class: 'code muted key' }, client.key),
      client ? buttons(client) : el('p', { class: 'muted' }, 'connected elsewhere'),
    );
  };
  place.replaceChildren(
    el(
      'header',
      {},
      el('span', { class: `cord-mark colour-${colour}`, 'aria-hidden': 'true' }),
      el('h2', { id: 'detail-title' }, `${caller.user} → ${target}`),
      el('button', { class: 'quiet', 'aria-label': 'Close', click: close }, '✕'),
    ),
    minute.node,
    el('dl', { class: 'numbers' }, ...numbers.map(({ name, value }) => el('div', {}, el('dt', {}, name), value))),
    el('div', { class: 'ends' }, end('Caller', caller), end('Provider', provider, ` line ${line}`)),
  );
  return (/** @type {Circuit} */ circuit) => {
    const [up, down] = rateOf(circuit);
    const texts = [rate(up), rate(down), size(circuit.toProvider + circuit.toCaller), duration(age(circuit.since))];
    for (const [i, { value }] of numbers.entries()) say(value, texts[i]);
    minute.update(circuit.samples);
  };
}
