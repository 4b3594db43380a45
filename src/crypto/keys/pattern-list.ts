// Pattern lists (PATTERNS in ssh_config(5)): globs separated by commas, of which those with "!" in front exclude.
import { matchGlob } from './address-match.ts';

/** Whether some pattern of the list matches the text and no negated one does, in whatever order. Case counts. */
export function matchPatternList(list: string, text: string): boolean {
  let found = false;
  for (const pattern of list.split(',')) {
    const negated = pattern.startsWith('!');
    if (!matchGlob(negated ? pattern.slice(1) : pattern, text)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}
