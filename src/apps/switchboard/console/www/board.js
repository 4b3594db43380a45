// The board: jacks with lamps, and a cord for each circuit that hangs between two of them and carries its rate.
/** @import { Cord, Jack, Plate } from './layout.js' */
import { byId, el, keyed, say, set, svg } from './dom.js';
import { rate, shortened } from './format.js';
import { layout } from './layout.js';
import { rateOf, state } from './state.js';

/** Cords up to which each has its rate beside it; with more only those that are pointed at. */
const MAX_LABELS = 14;
/** Pixels of a letter on a plate, and on the small line below. */
const LETTER = 7.9;
const SMALL = 6.6;
/** Pixels up to which the board is a narrow one, see narrow.css. */
const NARROW = 600;

const room = byId('board');
const picture = svg('svg', { class: 'board' });
const plates = svg('g', { 'aria-hidden': 'true' });
const jacks = svg('g', { 'aria-hidden': 'true' });
const cords = svg('g');
const labels = svg('g', { 'aria-hidden': 'true' });
const heads = ['Calling', 'Lines'].map(text => svg('text', { class: 'head', 'aria-hidden': 'true' }, text));
const nothing = el('p', { class: 'nothing' });
picture.append(plates, ...heads, jacks, cords, labels);
room.append(picture, nothing);

/** @type {Map<string, ReturnType<typeof plateNode>>} */
const plateNodes = new Map();
/** @type {Map<string, ReturnType<typeof jackNode>>} */
const jackNodes = new Map();
/** @type {Map<string, ReturnType<typeof cordNode>>} */
const cordNodes = new Map();
/** @type {Map<string, ReturnType<typeof labelNode>>} */
const labelNodes = new Map();

/** The cord that Tab leads to. @type {string | undefined} */
let current;
/** @type {(id: string) => void} */
let choose = () => {};

/** @param {(id: string) => void} chosen is told which cord somebody wants to see */
export function start(chosen) {
  choose = chosen;
  new ResizeObserver(() => draw()).observe(room);
  room.addEventListener('keydown', walk);
}

/** @type {string | undefined} */
let selected;

/** @param {string | undefined} [chosen] the circuit that is shown in detail */
export function draw(chosen = selected) {
  selected = chosen;
  const width = room.clientWidth;
  if (width === 0) return;
  const plan = layout(state, width);
  set(picture, { viewBox: `0 0 ${plan.width} ${plan.height}`, width: plan.width, height: plan.height });
  set(heads[0], { x: plan.side - 4, y: 26, 'text-anchor': 'end' });
  set(heads[1], { x: plan.width - plan.side + 8, y: 26 });
  keyed(plates, plateNodes, plan.plates, ({ id, x }) => `${id} ${x < 20}`, plateNode);
  const sides = /** @type {const} */ (['left', 'right']);
  const all = sides.flatMap((side, i) => [plan.callers, plan.lines][i].map(jack => ({ jack, side, room: plan.side })));
  keyed(jacks, jackNodes, all, ({ jack, side }) => `${side} ${jack.id}`, jackNode);
  if (!plan.cords.some(({ circuit }) => circuit.id === current)) current = plan.cords[0]?.circuit.id;
  keyed(cords, cordNodes, plan.cords, ({ circuit }) => circuit.id, cordNode);
  keyed(labels, labelNodes, plan.cords, ({ circuit }) => circuit.id, labelNode);
  picture.classList.toggle(
    'chosen',
    plan.cords.some(({ circuit }) => circuit.id === selected),
  );
  picture.classList.toggle('many', plan.cords.length > MAX_LABELS);
  const empty = plan.lines.length === 0 && plan.callers.length === 0;
  say(nothing, empty ? 'Nobody is here. Plug in a line: ssh -R 6379:localhost:6379 …' : '');
  const hidden = [
    plan.left > 0 ? `${plan.left} jacks more` : '',
    plan.cut > 0 ? `${plan.cut} circuits more, in the table below` : '',
  ];
  say(byId('board-note'), hidden.filter(text => text !== '').join(', '));
}

/** Arrow keys go from cord to cord. @param {KeyboardEvent} event */
function walk(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const ids = [...cordNodes.keys()].filter(id => state.circuits.has(id));
  if (step === undefined || ids.length === 0) return;
  event.preventDefault();
  const at = ids.indexOf(current ?? '');
  current = ids[(at + step + ids.length) % ids.length];
  draw();
  /** @type {SVGElement} */ (cordNodes.get(current)?.node)?.focus();
}

/** @param {Plate} first */
function plateNode(first) {
  const title = svg('text', { class: 'title', x: 14, y: 19 });
  const tip = svg('title', {}, first.title);
  const back = svg('rect', { rx: 8 });
  const node = svg('g', { class: 'plate' }, tip, back, title);
  return {
    node,
    /** @param {Plate} plate */
    update({ x, y, width, height, title: text }) {
      set(node, { transform: `translate(${x},${y})` });
      set(back, { width, height });
      say(title, shortened(text, Math.floor((width - 22) / LETTER)));
      say(tip, text);
    },
  };
}

/** @param {{ jack: Jack, side: 'left' | 'right', room: number }} first */
function jackNode({ side }) {
  const [x, anchor] = side === 'left' ? [-20, 'end'] : [20, 'start'];
  const text = svg('text', { class: 'name', x, 'text-anchor': anchor });
  const under = svg('text', { class: 'under', x, y: 14, 'text-anchor': anchor });
  const tip = svg('title');
  const node = svg(
    'g',
    { class: 'jack' },
    tip,
    svg('circle', { class: 'seat', r: 13 }),
    svg('circle', { class: 'ring', r: 10 }),
    svg('circle', { class: 'hole', r: 5 }),
    text,
    under,
  );
  return {
    node,
    /** @param {{ jack: Jack, room: number }} item */
    update({ jack, room: space }) {
      set(node, { transform: `translate(${jack.x},${jack.y})` });
      node.classList.toggle('used', jack.used);
      node.classList.toggle('doubted', jack.doubted);
      say(text, shortened(jack.text, Math.floor((space - 44) / LETTER)));
      say(under, shortened(jack.under, Math.floor((space - 44) / SMALL)));
      set(text, { y: jack.under === '' ? 5 : -2 });
      say(tip, jack.doubted ? `${jack.full}; it may be dead` : jack.full);
    },
  };
}

/** @param {Cord} first */
function cordNode({ circuit: { id, colour } }) {
  const paths = ['shadow', 'rope', 'sheen', 'flow up', 'flow down', 'touch'].map(name => svg('path', { class: name }));
  const plugs = ['from', 'to'].map(end =>
    svg(
      'g',
      { class: `plug ${end}` },
      svg('circle', { class: 'collar', r: 8.5 }),
      svg('circle', { class: 'tip', r: 3.5 }),
    ),
  );
  const open = () => choose(id);
  const node = svg(
    'g',
    {
      ...{ class: `cord colour-${colour} new`, role: 'button', 'data-circuit': id },
      click: open,
      keydown(/** @type {KeyboardEvent} */ event) {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        open();
      },
      focus: () => (current = id),
      pointerenter: () => labelNodes.get(id)?.node.classList.add('pointed'),
      pointerleave: () => labelNodes.get(id)?.node.classList.remove('pointed'),
    },
    ...paths,
    ...plugs,
  );
  setTimeout(() => node.classList.remove('new'), 800);
  return {
    node,
    /** @param {Cord} cord */
    update({ circuit, d, from, to }) {
      const [up, down] = rateOf(circuit);
      for (const path of paths) set(path, { d });
      set(plugs[0], { transform: `translate(${from.x},${from.y})` });
      set(plugs[1], { transform: `translate(${to.x},${to.y})` });
      node.style.setProperty('--thick', `${thickness(up + down)}px`);
      set(paths[3], { class: `flow up speed-${speed(up)}` });
      set(paths[4], { class: `flow down speed-${speed(down)}` });
      node.classList.toggle('selected', id === selected);
      set(node, {
        tabindex: id === current ? 0 : -1,
        'aria-label': `Cord from ${circuit.caller.user} to ${circuit.target}: ${rate(up)} to the line, ${rate(down)} to the caller`,
      });
    },
  };
}

/** @param {Cord} first */
function labelNode({ circuit: { colour } }) {
  const text = svg('text', { 'text-anchor': 'middle', y: 4 });
  const back = svg('rect', { height: 20, y: -10, rx: 10 });
  const node = svg('g', { class: `label colour-${colour}` }, back, text);
  return {
    node,
    /** @param {Cord} cord */
    update({ circuit, label }) {
      const [up, down] = rateOf(circuit);
      const said = up + down > 0 ? rate(up + down) : '';
      const width = said.length * (room.clientWidth < NARROW ? 6 : 6.8) + 18;
      set(node, { transform: `translate(${label.x.toFixed(1)},${label.y.toFixed(1)})` });
      set(back, { width, x: -width / 2 });
      say(text, said);
      node.classList.toggle('quiet', said === '');
      node.classList.toggle('selected', circuit.id === selected);
    },
  };
}

/** Pixels of a cord: one more for each factor of ten. @param {number} bytes a second */
const thickness = bytes => Math.min(9, 4 + 0.9 * Math.log10(1 + bytes / 300)).toFixed(1);

/** 0 stands still. @param {number} bytes a second */
const speed = bytes => (bytes === 0 ? 0 : Math.min(5, Math.max(1, Math.floor(Math.log10(bytes)) - 1)));
