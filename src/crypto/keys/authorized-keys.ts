// The authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT): lines of "[options] type base64 [comment]".
import { KeyFormatError, printable, UsageError } from '../../protocol/errors.ts';
import { keyTypeNames } from './key-types.ts';
import { formatPublicKey, type PublicKey, parsePublicKey } from './public-key.ts';
import { RSA_NAMES } from './rsa-numbers.ts';
import { trimBlanks, unprintable } from './text.ts';

/** One option of a line. */
export interface KeyOption {
  /** In lower case. */
  readonly name: string;
  /** Without its quotes; undefined where there is no "=". */
  readonly value?: string;
}

/** One line that holds a key. */
export interface AuthorizedKey {
  /** In the order of the line; names may repeat. */
  readonly options: readonly KeyOption[];
  /** With `cert-authority` among the options it certifies others, and does not sign in itself. */
  readonly key: PublicKey;
  /** What stands behind the key, for people; may be empty. */
  readonly comment: string;
  /** Counted from 1. */
  readonly line: number;
}

/** One line that was not understood and therefore admits nobody. */
export interface KeyFileProblem {
  /** Counted from 1; 0 if it concerns the whole file. */
  readonly line: number;
  /** What is wrong, one sentence without the line number. */
  readonly message: string;
  /**
   * The key in that line, if one can be made out in spite of the problem: whoever takes in unknown keys must not
   * take in one that an administrator has written down with options he mistyped.
   */
  readonly key?: PublicKey;
}

/** Longest file, in characters: 12,000 lines of RSA-3072 keys with options. It is read again at each change, and takes a second when full. */
export const MAX_KEY_FILE = 8 * 1024 * 1024;
/**
 * Longest line, in characters. sshd knows no limit, and lists of networks in `from` are long (a cloud's 5,000 are 100 KB); each is read
 * again whenever somebody names the key, which takes some 20 ms at this length.
 */
export const MAX_KEY_LINE = 256 * 1024;
/** Problems that are listed one by one; nobody reads more, and a file of another kind would give millions. */
export const MAX_PROBLEMS = 1000;

/**
 * All keys in the text of a file, and what is wrong with its other lines. Never throws; a bad line does not hide the
 * others. Beyond MAX_PROBLEMS only lines with a key in them are listed, and a last problem counts the rest.
 */
export function parseAuthorizedKeys(text: string): { entries: AuthorizedKey[]; problems: KeyFileProblem[] } {
  const entries: AuthorizedKey[] = [];
  const problems: KeyFileProblem[] = [];
  if (text.length > MAX_KEY_FILE) {
    const message = `the file is longer than ${MAX_KEY_FILE} characters, so none of its keys is used`;
    return { entries, problems: [{ line: 0, message }] };
  }
  let unlisted = 0;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = trimBlanks(raw.endsWith('\r') ? raw.slice(0, -1) : raw);
    if (line === '' || line.startsWith('#')) continue;
    if (problems.length >= MAX_PROBLEMS && line.length < SHORTEST_KEY) {
      unlisted++;
      continue;
    }
    try {
      entries.push({ ...parseLine(line), line: index + 1 });
    } catch (error) {
      if (!(error instanceof KeyFormatError)) throw error;
      const key = anyKey(line);
      if (key || problems.length < MAX_PROBLEMS) problems.push({ line: index + 1, message: error.message, key });
      else unlisted++;
    }
  }
  if (unlisted > 0) problems.push({ line: 0, message: `${unlisted} more lines are not understood` });
  return { entries, problems };
}

/**
 * One line for a file, without its line end. Unprintable characters in the comment are replaced.
 * @throws UsageError if an option's name or value cannot be written (control characters, a backslash at the end), or the line gets too long
 */
export function formatAuthorizedKey(entry: {
  readonly options?: readonly KeyOption[];
  readonly key: PublicKey;
  readonly comment?: string;
}): string {
  const options = (entry.options ?? []).map(formatOption).join(',');
  const key = formatPublicKey({ ...entry.key, comment: entry.comment ?? entry.key.comment });
  const line = options === '' ? key : `${options} ${key}`;
  if (line.length > MAX_KEY_LINE) throw new UsageError(`a line of authorized_keys may have ${MAX_KEY_LINE} characters`);
  return line;
}

function parseLine(line: string): Omit<AuthorizedKey, 'line'> {
  if (line.length > MAX_KEY_LINE) throw new KeyFormatError(`the line is longer than ${MAX_KEY_LINE} characters`);
  if (line.startsWith('\ufeff')) throw new KeyFormatError('the line begins with a byte order mark');
  const [word] = line.split(/[ \t]/, 1);
  const { options, rest } = isKeyTypeName(word) ? { options: [], rest: line } : parseOptions(line);
  // What cannot be seen in an option is not what its writer meant. A comment is only for people: parsePublicKey cleans it.
  const problem = unprintable(line.slice(0, line.length - rest.length));
  if (problem) throw new KeyFormatError(`the line contains ${problem}`);
  if (rest === '') throw new KeyFormatError(`the line holds no key after "${printable(line, 40)}"`);
  const key = parsePublicKey(rest);
  return { options, key, comment: key.comment };
}

/** The options at the start of a line, up to the first blank outside quotes, and what follows the blanks. Commas too many mean nothing, as in sshd. */
function parseOptions(line: string): { options: KeyOption[]; rest: string } {
  const options: KeyOption[] = [];
  let at = 0;
  for (;;) {
    while (line[at] === ',') at++;
    if (at > 0 && (at === line.length || line[at] === ' ' || line[at] === '\t'))
      return { options, rest: trimBlanks(line.slice(at)) };
    const start = at;
    while (at < line.length && NAME.test(line[at])) at++;
    const name = line.slice(start, at).toLowerCase();
    if (name === '') throw new KeyFormatError(`there is no key and no option at column ${start + 1}`);
    if (line[at] === '=') {
      const value = parseValue(line, at + 1, name);
      options.push({ name, value: value.text });
      at = value.end;
    } else options.push({ name });
    if (at < line.length && !', \t'.includes(line[at]))
      throw new KeyFormatError(`option ${shown(name)} is followed by something that is no option`);
  }
}

/** A value in double quotes, in which \" stands for a quote and every other backslash for itself. */
function parseValue(line: string, at: number, name: string): { text: string; end: number } {
  if (line[at] !== '"') throw new KeyFormatError(`the value of option ${shown(name)} is not in double quotes`);
  let text = '';
  for (let i = at + 1; i < line.length; i++) {
    if (line[i] === '"') return { text, end: i + 1 };
    if (line[i] === '\\' && line[i + 1] === '"') i++;
    text += line[i];
  }
  throw new KeyFormatError(`the value of option ${shown(name)} has no closing quote`);
}

function formatOption({ name, value }: KeyOption): string {
  if (name === '' || [...name].some(character => !NAME.test(character)) || isKeyTypeName(name))
    throw new UsageError(`"${printable(name, 40)}" cannot be the name of an option`);
  if (value === undefined) return name;
  const problem = unprintable(value);
  if (problem) throw new UsageError(`the value of option ${shown(name)} contains ${problem}`);
  // The format has no way to write it: \" is a quote, and \\ is two backslashes.
  if (value.endsWith('\\')) throw new UsageError(`the value of option ${shown(name)} ends with a backslash`);
  return `${name}="${value.replaceAll('"', '\\"')}"`;
}

/** Characters of the shortest line with a key: "ssh-ed25519", a blank and 51 bytes in base64. */
const SHORTEST_KEY = 11 + 1 + 68;

/** Characters of an option's name; sshd's own have letters, digits and hyphens. */
const NAME = /[A-Za-z0-9._@-]/;

const shown = (name: string): string => printable(name, 40);

/** Whether a word is in the form of a key type, known to us or not, so that a line with a strange type is not taken for options. */
function isKeyTypeName(word: string): boolean {
  return (
    keyTypeNames.includes(word) ||
    RSA_NAMES.includes(word) ||
    /^(ssh|ecdsa|(webauthn-)?sk-ssh|(webauthn-)?sk-ecdsa)-[a-z0-9@.-]+$/.test(word)
  );
}

/** A key somewhere in a line that as a whole makes no sense. */
function anyKey(line: string): PublicKey | undefined {
  const words = line.split(/[ \t",]+/, 1000);
  for (let i = 0; i + 1 < words.length; i++) {
    if (!keyTypeNames.includes(words[i])) continue;
    try {
      return parsePublicKey(`${words[i]} ${words[i + 1]}`);
    } catch (error) {
      if (!(error instanceof KeyFormatError)) throw error;
    }
  }
  return undefined;
}
