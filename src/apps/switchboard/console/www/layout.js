// Where things are on the board: callers on the left, lines on the right, and how a cord hangs between two jacks. Numbers only.
/** @import { Circuit } from './state.js' */
/** @import { ClientInfo, LineInfo } from '../../events.ts' */
import { lineId, lineOf } from './state.js';

/** Jacks on each side, and cords; beyond that a picture says less than a table. */
export const MAX_JACKS = 32;
export const MAX_CORDS = 64;

const ROW = 48;
const TOP = 44;
/** Between the plates of two providers. */
const GAP = 10;
/** Below the lowest jack, or the lowest cord. */
const BOTTOM = 28;
/** A cord's rate, beside it. */
const LABEL = { width: 92, height: 24 };
/** Where along a cord its rate may stand, best first. */
const PLACES = [0.5, 0.4, 0.6, 0.32, 0.68, 0.25, 0.75];

/**
 * @typedef {{ id: string, text: string, under: string, full: string, x: number, y: number, used: boolean, doubted: boolean }} Jack
 * @typedef {{ id: string, title: string, x: number, y: number, width: number, height: number }} Plate one provider's lines, or one caller
 * @typedef {{ circuit: Circuit, d: string, label: { x: number, y: number }, from: Jack, to: Jack }} Cord
 * @typedef {{ width: number, height: number, side: number, callers: Jack[], lines: Jack[], plates: Plate[], cords: Cord[], left: number, cut: number }} Layout
 */

/**
 * @param {{ clients: Map<string, ClientInfo>, lines: Map<string, LineInfo>, circuits: Map<string, Circuit> }} state
 * @param {number} width of the picture
 * @returns {Layout}
 */
export function layout({ clients, lines, circuits }, width) {
  const side = Math.round(Math.min(270, Math.max(112, width * 0.3)));
  const calls = [...circuits.values()];
  const calling = new Map(calls.map(({ caller }) => [caller.id, caller]));
  const called = new Set(calls.map(lineOf));
  const providers = new Set(Array.from(lines.values(), ({ provider }) => provider));

  // Whoever calls has a jack, and so has whoever is here for no other reason.
  const waiting = [...clients.values()].filter(({ id }) => !providers.has(id) && !calling.has(id));
  const people = [...calling.values(), ...waiting].map(({ id, alias, user, address }) => ({
    ...{ id, text: user, under: address, full: `${user} (${alias}) from ${address}`, used: calling.has(id) },
    ...{ group: id, title: user, doubted: false },
  }));
  const sockets = [...lines.values()].map(line => ({
    ...{ id: lineId(line), text: port(line.line), under: '', used: called.has(lineId(line)) },
    full: `${nameOf(line)}:${line.line}, provided from ${line.address}`,
    ...{ group: line.provider, title: nameOf(line), doubted: line.doubted },
  }));

  const left = column(people, side, 8, side - 14);
  const right = column(sockets, width - side, width - side - 14 + 20, side - 14);
  const room = Math.max(left.height, right.height, 150);
  for (const one of [left, right]) {
    for (const thing of [...one.jacks, ...one.plates]) thing.y += (room - one.height) / 2;
  }
  const from = new Map(left.jacks.map(jack => [jack.id, jack]));
  const to = new Map(right.jacks.map(jack => [jack.id, jack]));
  const { cords, lowest } = hang(calls, from, to);
  const height = Math.max(room, lowest) + BOTTOM;
  return {
    ...{
      width,
      height,
      side,
      callers: left.jacks,
      lines: right.jacks,
      plates: [...left.plates, ...right.plates],
      cords,
    },
    left: people.length - left.jacks.length + (sockets.length - right.jacks.length),
    cut: calls.length - cords.length,
  };
}

/** @param {LineInfo} line */
export const nameOf = ({ names, alias }) => names[0] ?? alias;

/** A port with its colon, a path as it is. @param {string} line */
const port = line => (/^\d+$/.test(line) ? `:${line}` : line);

/**
 * One below the other, those of a group on one plate; if there are too many, those in use come before others.
 * @param {{ id: string, text: string, under: string, full: string, used: boolean, doubted: boolean, group: string, title: string }[]} all
 * @param {number} x of the jacks
 * @param {number} plateX
 * @param {number} plateWidth
 */
function column(all, x, plateX, plateWidth) {
  const byName = (/** @type {typeof all[0]} */ a, /** @type {typeof all[0]} */ b) =>
    a.title.localeCompare(b.title) ||
    a.group.localeCompare(b.group) ||
    a.text.localeCompare(b.text, undefined, { numeric: true });
  const few =
    all.length <= MAX_JACKS ? all : [...all].sort((a, b) => Number(b.used) - Number(a.used)).slice(0, MAX_JACKS);
  /** @type {Jack[]} */
  const jacks = [];
  /** @type {Plate[]} */
  const plates = [];
  let y = TOP;
  for (const item of [...few].sort(byName)) {
    let plate = plates.at(-1);
    if (plate?.id !== item.group) {
      if (plate !== undefined) y += GAP;
      // Lines of one provider stand under its name; a caller's name is all there is.
      const head = item.under === '' ? 22 : 0;
      plate = { id: item.group, title: head > 0 ? item.title : '', x: plateX, y, width: plateWidth, height: head };
      plates.push(plate);
      y += head;
    }
    const row = item.under === '' ? 34 : ROW;
    jacks.push({ ...item, x, y: y + row / 2 });
    y += row;
    plate.height += row;
  }
  return { jacks, plates, height: y + 12 };
}

/**
 * Cords between jacks that are shown; each hangs a little lower than the one before it, so that two never lie in one place.
 * @param {Circuit[]} calls
 * @param {Map<string, Jack>} from
 * @param {Map<string, Jack>} to
 */
function hang(calls, from, to) {
  /** @type {Cord[]} */
  const cords = [];
  let lowest = 0;
  for (const circuit of calls) {
    const [a, b] = [from.get(circuit.caller.id), to.get(lineOf(circuit))];
    if (a === undefined || b === undefined || cords.length >= MAX_CORDS) continue;
    const dx = b.x - a.x;
    const sag = 46 + dx * 0.06 + (cords.length % 6) * 13;
    const points = /** @type {const} */ ([a.x, a.y, a.x + dx * 0.24, a.y + sag, b.x - dx * 0.24, b.y + sag, b.x, b.y]);
    for (const t of PLACES) lowest = Math.max(lowest, along(points, t).y);
    const label = free(
      PLACES.map(t => along(points, t)),
      cords,
    );
    cords.push({ circuit, d: `M${points.slice(0, 2)}C${points.slice(2)}`, label, from: a, to: b });
  }
  return { cords, lowest };
}

/** The first of these places where no other rate stands; if there is none, the first. @param {{ x: number, y: number }[]} places @param {Cord[]} cords */
function free(places, cords) {
  const taken = (/** @type {{ x: number, y: number }} */ { x, y }) =>
    cords.some(({ label }) => Math.abs(label.x - x) < LABEL.width && Math.abs(label.y - y) < LABEL.height);
  return places.find(place => !taken(place)) ?? places[0];
}

/** A point of a Bézier curve. @param {readonly number[]} points @param {number} t from 0 to 1 */
function along(points, t) {
  const u = 1 - t;
  const weights = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
  const sum = (/** @type {0 | 1} */ axis) =>
    weights.reduce((total, weight, i) => total + weight * points[2 * i + axis], 0);
  return { x: sum(0), y: sum(1) };
}
