// Numbers as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** @param {number} bytes @returns {string} "12.5 MiB" */
export function size(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes >= 100 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${UNITS[unit]}`;
}

/** @param {number} bytes a second @returns {string} */
export const rate = bytes => (bytes === 0 ? '–' : `${size(bytes)}/s`);

/** @param {number} milliseconds @returns {string} "3 m 12 s": the two largest units */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** @param {number} at milliseconds since 1970 */
export const clock = at => CLOCK.format(at);
/** @param {number | undefined} at milliseconds since 1970 */
export const day = at => (at === undefined ? 'for ever' : DAY.format(at));

/** @param {string} text @param {number} length in characters @returns {string} its beginning and its end, if it is longer */
export function shortened(text, length) {
  if (text.length <= length) return text;
  const end = Math.floor((length - 1) / 3);
  return `${text.slice(0, length - 1 - end)}…${end > 0 ? text.slice(-end) : ''}`;
}
