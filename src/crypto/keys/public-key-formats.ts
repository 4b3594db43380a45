// Public key files that are not OpenSSH's line: "---- BEGIN SSH2 PUBLIC KEY ----" (RFC 4716), "BEGIN PUBLIC KEY" (RFC 7468 §13), "BEGIN RSA PUBLIC KEY" (RFC 8017 §A.1.1).
import { KeyFormatError } from '../../protocol/errors.ts';
import { encodeUtf8 } from '../../protocol/wire/reader.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { DerReader } from './der.ts';
import { readPublicKeyInfo, readRsaPublicKey, writePublicKeyInfo } from './der-keys.ts';
import { formatPem, MAX_PEM, pemLabel, readPem } from './pem.ts';
import { type PublicKey, parsePublicKey, parsePublicKeyBlob } from './public-key.ts';
import { cleanComment, trimBlanks } from './text.ts';

/**
 * The one public key in the text of a file in any form: OpenSSH's line, RFC 4716, SubjectPublicKeyInfo ("BEGIN PUBLIC
 * KEY") or PKCS#1 ("BEGIN RSA PUBLIC KEY").
 * @throws KeyFormatError, one sentence
 */
export function parsePublicKeyFile(text: string): PublicKey {
  if (text.length > MAX_PEM) throw new KeyFormatError('the file is too large to be a public key');
  const trimmed = trimBlanks(text, ' \t\r\n');
  if (trimmed.startsWith(SSH2_BEGIN)) return parseSsh2(trimmed);
  const label = pemLabel(trimmed);
  if (label !== 'PUBLIC KEY' && label !== 'RSA PUBLIC KEY') return parsePublicKey(trimmed);
  const { bytes, headers } = readPem(trimmed, 'the public key file');
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

function parseSsh2(text: string): PublicKey {
  const lines = text.split(/\r\n|[\r\n]/);
  if (trimBlanks(lines[0]) !== SSH2_BEGIN)
    throw new KeyFormatError('the public key file is damaged: its first line goes on after the dashes');
  const end = lines.findIndex(line => trimBlanks(line) === SSH2_END);
  if (end < 0) throw new KeyFormatError('the public key file is cut off: its END line is missing');
  if (end !== lines.length - 1)
    throw new KeyFormatError('the public key file goes on after its END line: it must hold one key and nothing else');
  let comment = '';
  let at = 1;
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
    blob = decodeBase64(
      lines
        .slice(at, end)
        .map(line => trimBlanks(line))
        .join(''),
    );
  } catch (error) {
    throw new KeyFormatError(`the public key file is damaged: ${(error as Error).message}`);
  }
  return parsePublicKeyBlob(blob, comment);
}
