// How much one key may have of what is everybody's.
import { parseBytes, parseDuration } from './measures.ts';

/** 0 is no limit. */
export interface Quotas {
  /** Connections of one owner at once. */
  readonly clients: number;
  /** Lines of one connection. */
  readonly lines: number;
  /** Circuits of one owner at once, called or provided. */
  readonly circuits: number;
  /** Bytes a second through all circuits of one owner, both ways together, on average. */
  readonly rate: number;
  /** Seconds without a byte after which a circuit is closed. */
  readonly circuitIdle: number;
  /** Seconds without lines and circuits after which a connection is closed. */
  readonly clientIdle: number;
}

/** What holds unless something else is said: enough for a fleet that shares one key, and not for one key to fill the server. */
export const QUOTAS: Quotas = { clients: 1000, lines: 64, circuits: 4096, rate: 0, circuitIdle: 0, clientIdle: 0 };

/** What `quota=` may say, and how its value is read. */
const PARTS: Readonly<Record<string, readonly [keyof Quotas, (text: string) => number | undefined]>> = {
  clients: ['clients', parseCount],
  lines: ['lines', parseCount],
  circuits: ['circuits', parseCount],
  rate: ['rate', parseBytes],
  'circuit-idle': ['circuitIdle', parseDuration],
  'client-idle': ['clientIdle', parseDuration],
};

/** The quotas in "circuits=10,rate=1M", or one sentence that says why they are none. */
export function parseQuotas(text: string): Partial<Quotas> | string {
  const quotas: Partial<Record<keyof Quotas, number>> = {};
  for (const part of text.split(',')) {
    const [name, value] = part.trim().split('=', 2);
    if (!Object.hasOwn(PARTS, name)) return `"${name}" is not one of ${Object.keys(PARTS).join(', ')}`;
    const [key, read] = PARTS[name];
    const number = value === undefined ? undefined : read(value.trim());
    if (number === undefined) return `${name} has no value that can be read`;
    quotas[key] = number;
  }
  return quotas;
}

function parseCount(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
