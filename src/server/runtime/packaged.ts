// Files that come with a program: of this package, and of those that it needs. In the one binary they are its assets.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Node's module for single executables, where there is one. */
type Sea = Pick<typeof import('node:sea'), 'isSea' | 'getAsset'>;

/**
 * The text of a file.
 * @param specifier as one would import it: "cordboard/package.json"
 * @throws Error if the package is not installed
 */
export function packaged(specifier: string): string {
  const sea = process.getBuiltinModule?.('node:sea') as Sea | undefined;
  if (sea?.isSea()) return sea.getAsset(specifier, 'utf8');
  return readFileSync(createRequire(import.meta.url).resolve(specifier), 'utf8');
}
