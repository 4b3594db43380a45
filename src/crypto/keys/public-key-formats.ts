// Public key files that are not OpenSSH's line: "---- BEGIN SSH2 PUBLIC KEY ----" (RFC 4716), "BEGIN PUBLIC KEY" (RFC 7468 §13), "BEGIN RSA PUBLIC KEY" (RFC 8017 §A.1.1).
import { KeyFormatError } from '../../protocol/errors.ts';
import { encodeUtf8 } from '../../protocol/wire/reader.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { DerReader } from './der.ts';
import { readPublicKeyInfo, readRsaPublicKey, writePublicKeyInfo } from './der-keys.ts';
import { findPem, formatPem, MAX_PEM, readPem } from './pem.ts';
import { type PublicKey, parsePublicKey, parsePublicKeyBlob } from './public-key.ts';
import { cleanComment, trimBlanks } from './text.ts';

/**
 * The first public key in the text of a file in any form: OpenSSH's line, RFC 4716, SubjectPublicKeyInfo ("BEGIN PUBLIC
 * KEY") or PKCS#1 ("BEGIN RSA PUBLIC KEY"). Comments in front of it and whatever is behind it are not looked at.
 * @throws KeyFormatError, one sentence
 */
export function parsePublicKeyFile(text: string): PublicKey {
  if (text.length > MAX_PEM) throw new KeyFormatError('the file is too large to be a public key');
  const lines = text.split(/\r\n|[\r\n]/).map(line => trimBlanks(line, ' \t\ufeff'));
  const ssh2 = lines.indexOf(SSH2_BEGIN);
  if (ssh2 >= 0) return parseSsh2(lines.slice(ssh2 + 1));
  const label = findPem(text, 'PUBLIC KEY')?.label;
  if (label !== 'PUBLIC KEY' && label !== 'RSA PUBLIC KEY')
    return parsePublicKey(lines.find(line => line !== '' && !line.startsWith('#')) ?? '');
  const { bytes, headers } = readPem(text, 'PUBLIC KEY', 'the public key file');
  if (headers.size > 0) throw new KeyFormatError('the public key file is damaged: it has headers, and must have none');
  const reader = new DerReader(bytes, 'the public key');
  return parsePublicKeyBlob(label === 'PUBLIC KEY' ? readPublicKeyInfo(reader) : readRsaPublicKey(reader));
}

/** The key as `ssh-keygen -e` writes it (RFC 4716), with its comment if it has one and it fits into a header. */
export function formatSsh2PublicKey(key: PublicKey): string {
  const comment = cleanComment(key.comment).replaceAll('"', "'");
  const header = `Comment: "${comment}"`;
  // RFC 4716 §3.3: a value has at most 1024 bytes, and a line at most 72; a backslash continues it.
  const lines = comment === '' || encodeUtf8(comment).length > 1000 ? '' : folded(header);
  return `${SSH2_BEGIN}\n${lines}${encodeBase64(key.blob).replace(/.{1,70}/g, '$&\n')}${SSH2_END}\n`;
}

/** The key as `ssh-keygen -e -m PKCS8` writes it ("BEGIN PUBLIC KEY"). @throws KeyFormatError for types that have no such form */
export function formatPkcs8PublicKey(key: PublicKey): string {
  return formatPem('PUBLIC KEY', writePublicKeyInfo(parsePublicKeyBlob(key.blob).blob));
}

const SSH2_BEGIN = '---- BEGIN SSH2 PUBLIC KEY ----';
const SSH2_END = '---- END SSH2 PUBLIC KEY ----';

/** RFC 4716 §3.1: bytes of a line, without its end. */
const WIDTH = 72;

function folded(header: string): string {
  let lines = '';
  let line = '';
  for (const character of header) {
    if (encodeUtf8(line + character).length >= WIDTH) {
      lines += `${line}\\\n`;
      line = '';
    }
    line += character;
  }
  return `${lines}${line}\n`;
}

/** From the lines after BEGIN, without blanks at their ends. */
function parseSsh2(lines: readonly string[]): PublicKey {
  const end = lines.indexOf(SSH2_END);
  if (end < 0) throw new KeyFormatError('the public key file is cut off: its END line is missing');
  let comment = '';
  let at = 0;
  // RFC 4716 §3.3: headers come first; base64 has no colon.
  while (at < end && lines[at].includes(':')) {
    let header = lines[at++];
    while (header.endsWith('\\') && at < end) header = header.slice(0, -1) + lines[at++];
    const colon = header.indexOf(':');
    if (header.slice(0, colon).toLowerCase() !== 'comment') continue;
    const value = trimBlanks(header.slice(colon + 1));
    comment = cleanComment(/^".*"$/s.test(value) ? value.slice(1, -1) : value);
  }
  let blob: Uint8Array;
  try {
    blob = decodeBase64(lines.slice(at, end).join('').replace(/[ \t]/g, ''));
  } catch (error) {
    throw new KeyFormatError(`the public key file is damaged: ${(error as Error).message}`);
  }
  return parsePublicKeyBlob(blob, comment);
}
