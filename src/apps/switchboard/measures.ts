// How people write times and sizes: in flags, files and commands.

const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 };
const BYTES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** Seconds in "90", "90s", "15m", "24h", "7d" or "2w"; undefined if it is none of these. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,9}) ?(|s|m|min|h|d|w)$/.exec(text.toLowerCase()) ?? [];
  return number === undefined ? undefined : Number(number) * SECONDS[unit];
}

/** Bytes in "500000", "64k", "10M" or "1G", where K is 1024; undefined if it is none of these. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,12}) ?([kmg]?)(?:i?b)?$/.exec(text.toLowerCase()) ?? [];
  return number === undefined ? undefined : Number(number) * BYTES[unit];
}
