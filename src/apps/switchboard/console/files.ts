// The files that browsers get: read once, so that no request opens a file, and no path leads to another one.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { attempt } from '../state.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface StaticFile {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Changes with the body. */
  readonly etag: string;
}

/** By name: all files of `www` that have one of these types. @throws StateError if they are not there */
export function staticFiles(directory = join(import.meta.dirname, 'www')): ReadonlyMap<string, StaticFile> {
  return attempt(`cannot read the console's files in ${directory}`, () => read(directory));
}

function read(directory: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  for (const name of readdirSync(directory)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = new Uint8Array(readFileSync(join(directory, name)));
    files.set(name, { type, body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` });
  }
  return files;
}
