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
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: '' };
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw new StateError('a directory is redis://host[:port] or rediss://host[:port]');
  }
  try {
    return (await import('@redis/client')).createClient as unknown as Create;
  } catch {
    throw new StateError('the directory cannot be used: the package @redis/client is not installed');
  }
}

/** Databases of one Redis share its channels. */
export const channelOf = (url: string): string => `cordboard:news${new URL(url).pathname}`;

export const note = (message: Note): string => JSON.stringify(message);

/** @throws if it takes longer */
export function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the directory does not answer')), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
