// Redis, as far as the directory needs it: its client, which is loaded only where one is named, and how long one waits for an answer.
import type { createClient } from '@redis/client';
import type { Note } from './shapes.ts';
import { StateError } from './state.ts';

/** Milliseconds for a command, and for a connection. */
export const PATIENCE = 3000;

export type Create = (options: NonNullable<Parameters<typeof createClient>[0]>) => ReturnType<typeof createClient>;
export type Client = ReturnType<Create>;

/** @throws StateError if the URL is none, or without the package */
export async function load(url: string): Promise<Create> {
  // Not the whole of it: there may be a password in it.
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: url.slice(0, 20) };
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw new StateError(`--directory is redis://host[:port] or rediss://host[:port], and not "${protocol}"`);
  }
  try {
    return (await import('@redis/client')).createClient as unknown as Create;
  } catch {
    throw new StateError('the directory cannot be used: the package @redis/client is not installed');
  }
}

/** Databases of one Redis share its channels. */
export const channelOf = (url: string): string => `cordboard:news${new URL(url).pathname}`;

/** Bytes of a key that is read: a place with 10,000 lines has some 5 MB. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Fields that are read or written at a time. */
export const PAGE = 500;

/** What somebody has filled up is not read. @throws if the key is larger than any of ours */
export async function fits(client: Client, key: string): Promise<void> {
  const bytes = await within(PATIENCE, client.memoryUsage(key, { SAMPLES: 0 }));
  if (Number(bytes ?? 0) > MAX_BYTES) throw new Error(`${key} is too large`);
}

/** The fields of a hash with their values, some at a time; one may come twice. @throws as `within` and `fits` */
export async function* pages(client: Client, key: string): AsyncGenerator<[field: string, value: string][]> {
  await fits(client, key);
  let cursor = '0';
  do {
    const page = await within(PATIENCE, client.hScan(key, cursor, { COUNT: PAGE }));
    yield page.entries.map(({ field, value }) => [String(field), String(value)]);
    cursor = String(page.cursor);
  } while (cursor !== '0');
}

export const note = (message: Note): string => JSON.stringify(message);

/** @throws if it takes longer */
export function within<T>(milliseconds: number, promise: Promise<T>, who = 'the directory'): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${who} does not answer`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
