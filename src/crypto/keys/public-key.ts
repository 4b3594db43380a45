// Public keys: the blob of RFC 4253 §6.6 and the line "type base64 comment" of .pub and authorized_keys files (sshd(8)).
import { sha256 } from '@noble/hashes/sha2.js';
import { KeyFormatError } from '../../protocol/errors.ts';
import { Reader } from '../../protocol/wire/reader.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { inFormat, keyType } from './key-types.ts';
import { canonicalRsa, RSA_NAMES } from './rsa-numbers.ts';
import { cleanComment, shownComment, trimBlanks, unprintable } from './text.ts';

/** A public key as plain data. */
export interface PublicKey {
  /** "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", "sk-ssh-ed25519@openssh.com" …; never that of a certificate. */
  readonly type: string;
  /** RFC 4253 §6.6; it begins with `type`. */
  readonly blob: Uint8Array;
  /** Free text; empty if there is none. */
  readonly comment: string;
}

/** Longest base64 of a public key that we decode, in characters: RSA with 16384 bits has some 2,800. */
const MAX_BASE64 = 8192;

/**
 * The key in one line "type base64 [comment]", as in a .pub file; a final line end is allowed.
 * @throws KeyFormatError, one sentence
 */
export function parsePublicKey(line: string): PublicKey {
  const text = trimBlanks(line.replace(/\r?\n$/, ''));
  if (text === '') throw new KeyFormatError('there is no public key: the text is empty');
  if (text.startsWith('-----BEGIN ') && text.includes('PRIVATE KEY'))
    throw new KeyFormatError(
      'this is a private key where a public one is needed: its public half is in the file that ends in .pub',
    );
  if (text.startsWith('---- BEGIN SSH2') || text.startsWith('-----BEGIN '))
    throw new KeyFormatError(
      'the public key is not in OpenSSH form: convert it with ssh-keygen -i -f FILE (with -m PKCS8 or -m PEM if it begins with five dashes)',
    );
  if (/^[^ \t]+-cert-v0\d@openssh\.com[ \t]/.test(text))
    throw new KeyFormatError('this is a certificate where a plain public key is needed');
  const [, word, base64, comment] = /^([^ \t]+)(?:[ \t]+([^ \t]+))?(?:[ \t]+(.*))?$/s.exec(text) as RegExpExecArray;
  if (text.includes('\n')) throw new KeyFormatError("the public key's line contains a line end");
  const problem = unprintable(`${word} ${base64}`);
  if (problem) throw new KeyFormatError(`the public key's line contains ${problem}`);
  const type = RSA_NAMES.includes(word) ? 'ssh-rsa' : word;
  keyType(type);
  if (base64 === undefined) throw new KeyFormatError(`the public key's line ends after its type ${type}`);
  if (base64.length > MAX_BASE64) throw new KeyFormatError('the public key is too long to be one');
  const blob = canonicalRsa(decodeBase64(base64));
  const inside = checkBlob(blob).type;
  if (inside !== type) throw new KeyFormatError(`the line says ${type}, but the key in it is of type ${inside}`);
  return { type, blob, comment: shownComment(comment ?? '') };
}

/** The line "type base64 [comment]", without a line end. What a comment must not contain is replaced (`cleanComment`). */
export function formatPublicKey(key: PublicKey): string {
  const comment = cleanComment(key.comment);
  return `${key.type} ${encodeBase64(key.blob)}${comment && ` ${comment}`}`;
}

/**
 * A bare blob (as it comes over the wire), checked; the key holds a copy of it, in the one form that such a key has (`canonicalRsa`).
 * @throws KeyFormatError, one sentence
 */
export function parsePublicKeyBlob(given: Uint8Array, comment = ''): PublicKey {
  const blob = canonicalRsa(given).slice();
  return { type: checkBlob(blob).type, blob, comment };
}

/** "SHA256:…", as `ssh-keygen -l` prints it: base64 without padding. Takes any bytes. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${encodeBase64(sha256(blob)).replace(/=+$/, '')}`;
}

/** The key's size in bits and the short name of its type as `ssh-keygen -l` shows them: 256, "ED25519". @throws KeyFormatError */
export function keySize(blob: Uint8Array): { bits: number; label: string } {
  const { bits, type } = checkBlob(blob);
  return { bits, label: keyType(type).label };
}

/** The line that `ssh-keygen -l` prints: "256 SHA256:… comment (ED25519)". @throws KeyFormatError if the blob is none */
export function describePublicKey(key: PublicKey): string {
  const { bits, label } = keySize(key.blob);
  return `${bits} ${fingerprint(key.blob)} ${cleanComment(key.comment) || 'no comment'} (${label})`;
}

function checkBlob(blob: Uint8Array): { type: string; bits: number } {
  return inFormat('the public key', () => {
    const reader = new Reader(blob);
    const type = reader.name();
    const bits = keyType(type).readPublic(reader);
    // Authentication: what is appended would make of one key as many blobs as you like.
    reader.finish();
    return { type, bits };
  });
}
