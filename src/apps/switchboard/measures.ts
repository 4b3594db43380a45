// How people write times and sizes: in flags, files and commands; and times as they are shown, whatever has been stored.

/** Seconds that any time may have: 100 years of 365 days. What is longer is meant to be for ever. */
const LONGEST = 100 * 365 * 86_400;
/** What a time is that can be read, in words for messages. */
export const DURATION = 'a time such as 90s, 15m, 2h or 7d';
/** Milliseconds before and after 1970 that a Date has (ECMA-262 §21.4.1.1): beyond, it throws when it is written down. */
const MAX_DATE = 8.64e15;

const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 };
const BYTES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** Seconds in "90", "90s", "15m", "24h", "7d" or "2w"; undefined if it is none of these, or longer than 100 years. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,9}) ?(|s|m|min|h|d|w)$/.exec(text.toLowerCase()) ?? [];
  const seconds = number === undefined ? undefined : Number(number) * SECONDS[unit];
  return seconds !== undefined && seconds <= LONGEST ? seconds : undefined;
}

/** Whether it is a moment, in milliseconds since 1970, that can be written down. */
export const isMoment = (time: unknown): time is number =>
  Number.isSafeInteger(time) && Math.abs(Number(time)) <= MAX_DATE;

/** "2026-11-30T19:43:43.000Z"; "unknown" for what is no moment: a row that makes no sense must be shown, or nobody could delete it. */
export const momentText = (time: number): string => (isMoment(time) ? new Date(time).toISOString() : 'unknown');

/** Bytes in "500000", "64k", "10M" or "1G", where K is 1024; undefined if it is none of these. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,12}) ?([kmg]?)(?:i?b)?$/.exec(text.toLowerCase()) ?? [];
  return number === undefined ? undefined : Number(number) * BYTES[unit];
}
