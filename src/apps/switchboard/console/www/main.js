// The page: hears what happens on the switchboard, and draws it.
import * as board from './board.js';
import { chart } from './chart.js';
import * as detail from './detail.js';
import { byId, say } from './dom.js';
import { rate } from './format.js';
import { apply, begin, state } from './state.js';
import * as tables from './tables.js';

/** The circuit that is shown in detail, and what had the focus before it was. @type {string | undefined} */
let selected;
/** @type {Element | null} */
let before = null;

/** @param {string | undefined} id */
function choose(id) {
  if (id !== undefined && selected === undefined) before = document.activeElement;
  selected = id;
  draw();
  if (id !== undefined) byId('detail').focus();
  else if (before instanceof HTMLElement || before instanceof SVGElement) before.focus();
}

const total = chart('All circuits');
byId('total-chart').append(total.node);

function draw() {
  // A circuit that ends while it is shown takes the focus with it, if it had it.
  if (selected !== undefined && !state.circuits.has(selected)) {
    if (byId('detail').contains(document.activeElement)) byId('circuits').focus();
    selected = undefined;
  }
  for (const name of /** @type {const} */ (['clients', 'lines', 'circuits']))
    say(byId(`total-${name}`), String(state.totals[name]));
  const [up, down] = state.samples.at(-1) ?? [0, 0];
  say(byId('total-rate'), rate(up + down));
  total.update(state.samples);
  board.draw(selected);
  tables.draw(selected);
  detail.draw(selected, () => choose(undefined));
}

/** @param {'live' | 'draining' | 'waiting'} how @param {string} text */
function status(how, text) {
  byId('status').dataset.state = how;
  say(byId('status'), text);
}

/** Drawn once for all that comes before the next picture. */
let due = false;
function drawSoon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    draw();
  });
}

function listen() {
  const source = new EventSource('api/events');
  const live = () => status(state.draining ? 'draining' : 'live', state.draining ? 'going down' : 'live');
  source.addEventListener('state', ({ data }) => {
    begin(JSON.parse(data));
    live();
    drawSoon();
  });
  source.addEventListener('change', ({ data }) => {
    apply(JSON.parse(data));
    live();
    drawSoon();
  });
  source.addEventListener('error', async () => {
    status('waiting', 'reconnecting');
    if (source.readyState !== EventSource.CLOSED) return;
    // It was refused: signed out, or too many watch.
    const answer = await fetch('api/session').catch(() => undefined);
    if (answer?.status === 401) location.assign('sign-in');
    else setTimeout(listen, 3000);
  });
}

addEventListener('keydown', event => {
  const asked = /** @type {HTMLDialogElement} */ (byId('ask')).open;
  if (event.key === 'Escape' && selected !== undefined && !asked) choose(undefined);
});
board.start(choose);
tables.start(choose);
draw();
listen();
