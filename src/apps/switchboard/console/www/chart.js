// A minute of a circuit as a chart: up is what goes to the line, down what comes back.
/** @import { Sample } from '../feed.ts' */
import { el, say, set, svg } from './dom.js';
import { rate } from './format.js';
import { SAMPLES } from './state.js';

const WIDTH = 600;
const HEIGHT = 100;

/** The outline of an area over or under the middle. @param {readonly Sample[]} samples @param {0 | 1} way @param {number} most */
function area(samples, way, most) {
  const middle = HEIGHT / 2;
  const step = WIDTH / (SAMPLES - 1);
  const first = SAMPLES - samples.length;
  const points = samples.map((sample, i) => {
    const y = middle - (way === 0 ? 1 : -1) * (sample[way] / most) * (middle - 2);
    return `${((first + i) * step).toFixed(1)},${y.toFixed(1)}`;
  });
  if (points.length === 0) return { line: '', filled: '' };
  const [left, right] = [(first * step).toFixed(1), WIDTH];
  return { line: `M${points.join('L')}`, filled: `M${left},${middle}L${points.join('L')}L${right},${middle}Z` };
}

/**
 * A chart that is drawn anew with each `update`. With a scale it says what its height is.
 * @param {string} what for those who cannot see it
 * @param {{ scale?: boolean }} [options]
 */
export function chart(what, { scale = false } = {}) {
  const ways = /** @type {const} */ ([0, 1]).map(way => ({
    way,
    filled: svg('path', { class: `area way-${way}` }),
    line: svg('path', { class: `edge way-${way}`, 'vector-effect': 'non-scaling-stroke' }),
  }));
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('path', { class: 'middle', d: `M0,${HEIGHT / 2}H${WIDTH}`, 'vector-effect': 'non-scaling-stroke' }),
    ...ways.flatMap(({ filled, line }) => [filled, line]),
  );
  const [up, down] = [el('span', { class: 'scale up' }), el('span', { class: 'scale down' })];
  const spoken = el('span', { class: 'hidden' });
  const node = el('div', { class: 'chart' }, picture, spoken, ...(scale ? [up, down] : []));
  return {
    node,
    /** @param {readonly Sample[]} samples */
    update(samples) {
      const most = Math.max(1, ...samples.flat());
      for (const { way, filled, line } of ways) {
        const path = area(samples, way, most);
        set(filled, { d: path.filled });
        set(line, { d: path.line });
      }
      const [toLine, toCaller] = [0, 1].map(way => Math.max(0, ...samples.map(sample => sample[way])));
      say(up, toLine > 0 ? `${rate(toLine)} to the line, at most` : 'nothing to the line');
      say(down, toCaller > 0 ? `${rate(toCaller)} to the caller, at most` : 'nothing to the caller');
      say(spoken, `${what}: in the last minute at most ${rate(toLine)} to the line, ${rate(toCaller)} to the caller`);
    },
  };
}
