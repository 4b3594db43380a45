// What may stand in one line of a key file: no character that could forge a second line or disturb a terminal.
import { printable } from '../../protocol/errors.ts';

/** `text` without blanks at its ends. A loop, because a regular expression takes quadratic time on many blanks. */
export function trimBlanks(text: string, blanks = ' \t'): string {
  let start = 0;
  let end = text.length;
  while (start < end && blanks.includes(text[start])) start++;
  while (end > start && blanks.includes(text[end - 1])) end--;
  return text.slice(start, end);
}

/** What in a line is neither text nor tab and could forge a second line in an editor, a log or another parser; undefined if nothing. */
export function unprintable(line: string): string | undefined {
  const found = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]/u.exec(line);
  if (!found) return undefined;
  const code = found[0].charCodeAt(0);
  if (code === 0) return 'a NUL character';
  if (code === 0x0a || code === 0x0d) return 'a line end';
  if (code === 0x2028 || code === 0x2029) return `a Unicode line separator (U+${code.toString(16)})`;
  if (code >= 0xd800) return 'half of a Unicode surrogate pair';
  return `a control character (U+${code.toString(16).toUpperCase().padStart(4, '0')})`;
}

/** A comment fit for a line of a file or a terminal: what is not printable becomes U+FFFD, and its ends are trimmed. */
export function cleanComment(comment: string): string {
  return printable(comment.replaceAll('\t', ' '), MAX_COMMENT).trim();
}

/** A comment that was read: as it stands, unless it could forge a line or disturb a terminal. Whatever was typed in whatever encoding is no reason to refuse a key. */
export const shownComment = (comment: string): string => (unprintable(comment) ? cleanComment(comment) : comment);

/** Characters of a comment that we write. It is whatever a user typed, and the line must stay readable. */
const MAX_COMMENT = 1024;
