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

/** The label of the first armour in `text` whose label ends in `kind`, and where its BEGIN line starts; undefined if there is none. */
export function findPem(text: string, kind: string): { label: string; at: number } | undefined {
  // At the start of a line, as OpenSSL wants it: "-----BEGIN" may stand in a sentence, too. Editors put a byte order mark in front.
  for (const found of text.matchAll(/^\ufeff?[ \t]*-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,60})-----/gm))
    if (found[1].endsWith(kind)) return { label: found[1], at: found.index };
  return undefined;
}

/**
 * Takes the first armour off whose label ends in `kind`. Whatever is in front of it (Bag Attributes, comments, certificates)
 * and behind it is not looked at, and blanks in it mean nothing, as in OpenSSL. `what` names the file in errors: "the
 * private key file".
 * @throws KeyFormatError, one sentence
 */
export function readPem(text: string, kind: string, what: string): Pem {
  const found = findPem(text, kind);
  if (found === undefined) throw new KeyFormatError(`${what} has no "-----BEGIN ${kind || '…'}-----" line`);
  const { label, at } = found;
  const from = text.indexOf(`-----BEGIN ${label}-----`, at) + `-----BEGIN ${label}-----`.length;
  const end = text.indexOf(`-----END ${label}-----`, from);
  if (end < 0) throw new KeyFormatError(`${what} is cut off: its END line is missing`);
  const { headers, body } = takeHeaders(text.slice(from, end), what);
  try {
    return { label, headers, bytes: decodeBase64(body.replace(/[ \t\r\n]/g, '')) };
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
  const lines = content.split(/\r\n|[\r\n]/).map(line => trimBlanks(line));
  let at = lines.findIndex(line => line !== '');
  if (!lines[at]?.includes(':')) return { headers, body: lines.join('') };
  for (; lines[at] !== ''; at++) {
    const header = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(lines[at]);
    // Not shown: without a colon it is base64, and that may be a secret in the clear.
    if (!lines[at]?.includes(':')) throw new KeyFormatError(`${what} is damaged: no empty line ends its headers`);
    if (!header) throw new KeyFormatError(`${what} is damaged: "${printable(lines[at], 40)}" is not a header`);
    headers.set(header[1], header[2]);
  }
  return { headers, body: lines.slice(at).join('') };
}
