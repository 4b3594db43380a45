// What the tests of keys share: the committed fixtures, a seeded source of "random" bytes, a directory that goes away.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { KeyFormatError } from '../../../src/protocol/errors.ts';

const fixtures = join(import.meta.dirname, '../../../test-vectors/keys');

/** The text of a file in test-vectors/keys. */
export const fixture = (name: string): string => readFileSync(join(fixtures, name), 'utf8');

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A `Random` that is none. */
export function seededRandom(seed: number): (into: Uint8Array) => Uint8Array {
  const next = seeded(seed);
  return into => into.map((_, i) => (into[i] = next() * 256));
}

/** Runs `body` with a directory of its own. */
export function inDirectory(body: (path: (name: string) => string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'keys-'));
  try {
    body(name => join(directory, name));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Asserts that `body` throws a KeyFormatError: one sentence that matches. */
export function refuses(body: () => unknown, sentence: RegExp): void {
  try {
    body();
  } catch (error) {
    assert.instance(error, KeyFormatError, `not a KeyFormatError: ${(error as Error).stack}`);
    assert.match((error as Error).message, sentence);
    assert.not.match((error as Error).message, /\n|\.$|undefined|NaN/);
    return;
  }
  assert.unreachable(`nothing thrown, expected ${sentence}`);
}
