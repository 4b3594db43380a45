// Medians with their spread, and how figures are printed.

/** The middle of some measured values, and how far apart they lie. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/** Three significant digits, without an exponent: more would pretend that the measurement is that exact. */
export function figure(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const digits = Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return value.toFixed(digits);
}

/** `median (min–max)`, or the only value. */
export function figures(values: readonly number[]): string {
  if (values.length === 1) return figure(values[0]);
  const { median, min, max } = spread(values);
  return `${figure(median)} (${figure(min)}–${figure(max)})`;
}
