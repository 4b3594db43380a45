// Files that come with a program: of this package, and of those that it needs. In the one binary they are inside.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/**
 * The text of a file. The binary is built with another function in this one's place.
 * @param specifier as one would import it: "cordboard/package.json"
 * @throws Error if the package is not installed
 */
export function packaged(specifier: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(specifier), 'utf8');
}
