// Tables for terminals: columns as wide as what is in them, and cut where the window is too narrow for all.

/** What is between two columns. */
const GAP = '  ';
/** A column is not cut to fewer characters. */
const LEAST = 5;

/**
 * Rows under their headings, a line each. `width`: characters of the window; without, nothing is cut. Cells hold what one
 * character each is wide: names, addresses and numbers.
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], width?: number): string {
  const all = [headings, ...rows];
  const widths = headings.map((_heading, i) => Math.max(...all.map(row => row[i].length)));
  // A line that is as wide as the window wraps on some terminals.
  let over = width === undefined ? 0 : widths.reduce((sum, one) => sum + one + GAP.length, 0) - GAP.length - width + 1;
  while (over > 0) {
    const widest = Math.max(...widths);
    if (widest <= LEAST) break;
    // The widest give first, down to the next one.
    const next = Math.max(LEAST, ...widths.filter(one => one < widest));
    const given = Math.min(over, widest - next);
    widths[widths.indexOf(widest)] -= given;
    over -= given;
  }
  const line = (row: readonly string[]) => row.map((cell, i) => cut(cell, widths[i])).join(GAP);
  return all.map(row => `${line(row).trimEnd()}\n`).join('');
}

const cut = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);

/** Bytes in a few characters: "1.5 MiB". */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A time that has passed, in two units at most: "3 h 20 min". */
export function durationText(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}
