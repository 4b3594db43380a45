// The tables: all that the board shows, for those who read it, with what may be done about it.
/** @import { JournalEntry } from '../exchange.ts' */
/** @import { Ban } from '../../rules.ts' */
/** @import { ClientInfo, LineInfo } from '../../events.ts' */
/** @import { Circuit } from './state.js' */
import { buttons, unban } from './actions.js';
import { chart } from './chart.js';
import { byId, el, keyed, say, set } from './dom.js';
import { clock, day, duration, rate, size } from './format.js';
import { nameOf } from './layout.js';
import { age, lineId, lineOf, rateOf, state } from './state.js';

/** Rows of a table; nobody reads more, and browsers become slow. */
const MAX_ROWS = 200;

/** @type {(id: string) => void} */
let choose = () => {};

/** @param {(id: string) => void} chosen is told which circuit somebody wants to see */
export function start(chosen) {
  choose = chosen;
}

/** A cell; on a phone, where a row is a card, it bears its column's name. @param {string} label @param {string} [kind] @param {...Node} children */
const cell = (label, kind = '', ...children) => el('td', { 'data-label': label, class: kind }, ...children);

/**
 * @template T
 * @param {string} name @param {T[]} items @param {Map<string, any>} rows
 * @param {(item: T) => string} idOf @param {(item: T) => { node: Element, update(item: T): void }} make
 */
function table(name, items, rows, idOf, make) {
  keyed(byId(`${name}-rows`), rows, items.slice(0, MAX_ROWS), idOf, make);
  byId(`no-${name}s`).hidden = items.length > 0;
  /** @type {HTMLElement} */ (byId(`${name}-rows`).parentElement).hidden = items.length === 0;
}

/** @param {string} name @param {number} shown @param {number} all */
function more(name, shown, all) {
  const note = byId(`more-${name}`);
  note.hidden = all <= shown;
  say(note, `and ${all - shown} more`);
}

const rows = { circuits: new Map(), clients: new Map(), lines: new Map(), bans: new Map(), journal: new Map() };

/** @param {string | undefined} selected the circuit that is shown in detail */
export function draw(selected) {
  // Of very many the newest.
  const circuits = [...state.circuits.values()].slice(-MAX_ROWS);
  table('circuit', circuits, rows.circuits, ({ id }) => id, circuitRow);
  for (const [id, row] of rows.circuits) row.node.classList.toggle('selected', id === selected);
  more('circuits', Math.min(circuits.length, MAX_ROWS), state.totals.circuits);
  const clients = [...state.clients.values()].sort((a, b) => a.alias.localeCompare(b.alias));
  table('client', clients, rows.clients, ({ id }) => id, clientRow);
  more('clients', Math.min(clients.length, MAX_ROWS), state.totals.clients);
  const lines = [...state.lines.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  table('line', lines, rows.lines, lineId, lineRow);
  more('lines', Math.min(lines.length, MAX_ROWS), state.totals.lines);
  table('ban', [...state.bans], rows.bans, ({ subject }) => subject, banRow);
  keyed(byId('journal'), rows.journal, numbered(), ({ id }) => id, journalRow);
}

/** @param {Circuit} first */
function circuitRow({ id, colour, caller, target, provider, line }) {
  const [up, down, carried, time] = [0, 1, 2, 3].map(() => document.createTextNode(''));
  const minute = chart(`${caller.user} to ${target}`);
  const from = el('span', { title: `${caller.alias} from ${caller.address}` }, caller.user);
  const to = el('span', { title: `${provider.alias} line ${line}` }, target);
  const node = el(
    'tr',
    { 'data-circuit': id },
    cell('From', '', el('span', { class: `cord-mark colour-${colour}`, 'aria-hidden': 'true' }), from),
    cell('To', '', to),
    cell('To the line', 'number', up),
    cell('To the caller', 'number', down),
    cell('Last minute', 'minute', minute.node),
    cell('Carried', 'number', carried),
    cell('For', 'number', time),
    cell(
      '',
      'actions',
      el(
        'button',
        { class: 'small', 'aria-label': `Show ${caller.user} to ${target}`, click: () => choose(id) },
        'Show',
      ),
    ),
  );
  return {
    node,
    /** @param {Circuit} circuit */
    update(circuit) {
      const [toLine, toCaller] = rateOf(circuit);
      up.data = rate(toLine);
      down.data = rate(toCaller);
      carried.data = size(circuit.toProvider + circuit.toCaller);
      time.data = duration(age(circuit.since));
      minute.update(circuit.samples);
    },
  };
}

/** @param {ClientInfo} client */
function clientRow(client) {
  const { id, user, alias, address, port, key, rights, since } = client;
  const time = document.createTextNode('');
  const node = el(
    'tr',
    { 'data-client': id },
    cell('Who', '', el('strong', {}, user), el('small', { class: 'code', title: key }, alias)),
    cell('From', '', el('span', { class: 'code', title: `port ${port}` }, address)),
    cell('May', '', el('span', {}, rights.join(', ') || 'nothing')),
    cell('For', 'number', time),
    cell('', 'actions', buttons(client)),
  );
  return { node, update: () => void (time.data = duration(age(since))) };
}

/** @param {LineInfo} first */
function lineRow(first) {
  const [name, time, calls] = [0, 1, 2].map(() => document.createTextNode(''));
  const names = el('span');
  const id = lineId(first);
  const node = el(
    'tr',
    { 'data-line': id },
    cell('Line', '', el('strong', { class: 'code' }, name)),
    cell('Names', '', names),
    cell('Circuits', 'number', calls),
    cell('For', 'number', time),
  );
  return {
    node,
    /** @param {LineInfo} line */
    update(line) {
      name.data = `${nameOf(line)}:${line.line}`;
      const others = [line.alias, ...line.names].filter(one => one !== nameOf(line)).join(', ');
      const where = line.node ? `${others} (at ${line.node})` : others;
      say(names, line.doubted ? `${where} (it may be dead)` : where);
      calls.data = String([...state.circuits.values()].filter(circuit => lineOf(circuit) === id).length);
      time.data = duration(age(line.since));
    },
  };
}

/** @param {Ban} first */
function banRow({ subject, by }) {
  const [until, why] = [0, 1].map(() => document.createTextNode(''));
  const button = el(
    'button',
    { class: 'small', 'aria-label': `Let ${subject} in again`, click: () => unban(subject) },
    'Let in',
  );
  const node = el(
    'tr',
    {},
    cell('Who', '', el('span', { class: 'code' }, subject)),
    cell('Until', '', until),
    cell('Why', '', why),
    cell('', 'actions', button),
  );
  return {
    node,
    /** @param {Ban} ban */
    update(ban) {
      until.data = day(ban.until);
      why.data = ban.reason ? `${ban.reason} (${by})` : `(${by})`;
    },
  };
}

/** The newest first, each with a name that it keeps. @returns {{ id: string, entry: JournalEntry }[]} */
function numbered() {
  /** @type {Map<string, number>} */
  const seen = new Map();
  const all = state.journal.map(entry => {
    const key = `${entry.at} ${entry.text}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return { id: `${key} ${count}`, entry };
  });
  return all.reverse();
}

/** @param {{ entry: JournalEntry }} item */
function journalRow({ entry: { at, type, text } }) {
  const time = el('time', { datetime: new Date(at).toISOString() }, clock(at));
  const node = el('li', {}, time, el('span', {}, text));
  set(node, { 'data-type': type });
  return { node, update() {} };
}
