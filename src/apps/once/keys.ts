// Who may sign in: a file of authorized keys, or standard input, that is taken as a whole or not at all.
import { readFileSync } from 'node:fs';
import { type AuthorizedKey, parseAuthorizedKeys } from '../../crypto/keys/index.ts';
import { lineRules } from '../../server/authorized-keys.ts';
import { OnceError } from './failure.ts';

/**
 * Options of authorized_keys lines that this program carries out. Forwarding of every kind is refused to everybody, so what
 * restricts it is carried out, too.
 */
export const ENFORCED = [
  ...['command', 'environment', 'restrict', 'pty', 'no-pty', 'user-rc', 'no-user-rc'],
  ...['port-forwarding', 'no-port-forwarding', 'permitopen', 'permitlisten'],
  ...['agent-forwarding', 'no-agent-forwarding', 'x11-forwarding', 'no-x11-forwarding'],
];

const STDIN = 0;

/**
 * The keys in a file; "-" is standard input.
 * @throws OnceError in the words of the specification: a line that is not understood must not be overlooked
 */
export function readKeys(file: string): readonly AuthorizedKey[] {
  const { entries, problems } = parseAuthorizedKeys(readText(file));
  for (const entry of entries) {
    const rules = lineRules(entry, { enforced: ENFORCED });
    if (typeof rules === 'string') problems.push({ line: entry.line, message: rules });
    // Something else would run than what is written there.
    else if ([rules.command ?? '', ...[...rules.environment].flat()].some(text => text.includes('\ufffd')))
      problems.push({ line: entry.line, message: 'command or environment is not UTF-8' });
  }
  if (problems.length > 0) {
    const details = problems.map(({ line, message }) => (line > 0 ? `line ${line}: ${message}` : message));
    throw invalid(
      file,
      `contains unparseable data (${details.slice(0, 3).join('; ')}${details.length > 3 ? '; …' : ''})`,
    );
  }
  if (entries.length === 0) throw invalid(file, 'contained no keys');
  return entries;
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? STDIN : file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw invalid(file, missing ? 'does not exist' : 'is not readable');
  }
}

const invalid = (file: string, why: string): OnceError => new OnceError(`authorized keys invalid: ${file} ${why}`);
