// The armour of key files (RFC 7468, with the headers of RFC 1421 §4.6 that old encrypted keys have): BEGIN line, headers, base64, END line.
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { trimBlanks } from './text.ts';

/** What one armour holds. */
export interface Pem {
  /** The words between "BEGIN" and the dashes: "OPENSSH PRIVATE KEY". */
  readonly label: string;
  /** "Proc-Type: 4,ENCRYPTED" and the like, by name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: Uint8Array;
}

/** Longest file we look at, in characters: the limit of OpenSSH (MAX_KEY_FILE_SIZE). */
export const MAX_PEM = 1024 * 1024;

/** The label on the first line of `text`, or undefined if it is not armoured. */
export function pemLabel(text: string): string | undefined {
  return /^-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,60})-----/.exec(text)?.[1];
}

/**
 * Takes the one armour off that `text` consists of. `what` names the file in errors: "the private key file".
 * @throws KeyFormatError, one sentence
 */
export function readPem(text: string, what: string): Pem {
  const trimmed = trimBlanks(text, ' \t\r\n');
  const label = pemLabel(trimmed);
  if (label === undefined) throw new KeyFormatError(`${what} does not begin with a "-----BEGIN …-----" line`);
  const begin = `-----BEGIN ${label}-----`;
  const endLine = `-----END ${label}-----`;
  const end = trimmed.indexOf(endLine);
  if (end < 0) throw new KeyFormatError(`${what} is cut off: its END line is missing`);
  if (end + endLine.length !== trimmed.length)
    throw new KeyFormatError(`${what} goes on after its END line: it must hold one key and nothing else`);
  const { headers, body } = takeHeaders(trimmed.slice(begin.length, end), what);
  try {
    return { label, headers, bytes: decodeBase64(body.replace(/[\r\n]/g, '')) };
  } catch (error) {
    throw new KeyFormatError(`${what} is damaged: ${(error as Error).message}`);
  }
}

/** Bytes in an armour, with lines of `width` characters. */
export function formatPem(label: string, bytes: Uint8Array, width = 64): string {
  const lines = encodeBase64(bytes).replace(new RegExp(`.{1,${width}}`, 'g'), '$&\n');
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

/** Headers end at an empty line (RFC 1421 §4.4). base64 has no colon, so the first line tells whether there are any. */
function takeHeaders(content: string, what: string): { headers: Map<string, string>; body: string } {
  const headers = new Map<string, string>();
  const text = content.replaceAll('\r\n', '\n').replace(/^\n/, '');
  if (!text.slice(0, text.indexOf('\n')).includes(':')) return { headers, body: text };
  const gap = text.indexOf('\n\n');
  if (gap < 0) throw new KeyFormatError(`${what} is damaged: no empty line ends its headers`);
  for (const line of text.slice(0, gap).split('\n')) {
    const header = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line);
    if (!header) throw new KeyFormatError(`${what} is damaged: "${printable(line, 40)}" is not a header`);
    headers.set(header[1], header[2]);
  }
  return { headers, body: text.slice(gap + 2) };
}
