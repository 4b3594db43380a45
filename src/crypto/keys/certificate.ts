// OpenSSH certificates (PROTOCOL.certkeys, draft-ietf-sshm-ssh-cert): what is in one, and the line of a -cert.pub file.
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { concat, decodeLenient, Reader, Writer } from '../../protocol/wire/reader.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { inFormat, type KeyType, keyType, keyTypeNames } from './key-types.ts';
import { fingerprint, type PublicKey, parsePublicKeyBlob } from './public-key.ts';
import { cleanComment, shownComment, trimBlanks, unprintable } from './text.ts';

/** A certificate as plain data. Nothing of it has been verified: that is what `checkCertificate` is for. */
export interface Certificate {
  /** "ssh-ed25519-cert-v01@openssh.com". */
  readonly type: string;
  /** The whole certificate as it goes over the wire. */
  readonly blob: Uint8Array;
  /** The plain key that is certified. */
  readonly key: PublicKey;
  /** Random bytes of the authority's. */
  readonly nonce: Uint8Array;
  /** The authority's number for it; 0 if it does not number. */
  readonly serial: bigint;
  /** SSH_CERT_TYPE_USER or SSH_CERT_TYPE_HOST; one is never good for the other. */
  readonly kind: 'user' | 'host';
  /** Free text of the authority's, for logs; untrusted until the signature is verified. */
  readonly keyId: string;
  /** User names, or host names (which may be patterns with * and ?). Empty means nobody. */
  readonly principals: readonly string[];
  /** Seconds since 1970, uint64, from which on it is valid. */
  readonly validAfter: bigint;
  /** Seconds since 1970, uint64, from which on it is so no more; `FOREVER` for no end. */
  readonly validBefore: bigint;
  /** Restrictions by name; who does not know one must refuse the certificate. Values as they stand, see `optionText`. */
  readonly criticalOptions: ReadonlyMap<string, Uint8Array>;
  /** Permissions by name; who does not know one ignores it. */
  readonly extensions: ReadonlyMap<string, Uint8Array>;
  /** The authority's key. */
  readonly signatureKey: PublicKey;
  /** The authority's signature blob (string name ‖ string value), over `signed`. */
  readonly signature: Uint8Array;
  /** The bytes that it is over: `blob` up to the signature. */
  readonly signed: Uint8Array;
  /** Behind the key in a -cert.pub file. */
  readonly comment: string;
}

/** `validBefore` of a certificate that never expires. */
export const FOREVER = 2n ** 64n - 1n;
/** Most names in one certificate, as in OpenSSH (SSHKEY_CERT_MAX_PRINCIPALS). */
export const MAX_PRINCIPALS = 256;
/** Longest base64 of a certificate that we decode, in characters: what fits into a packet of 256 KiB. */
const MAX_BASE64 = 350_000;

/** The number in `type` (SSH_CERT_TYPE_…). */
export const kindNumbers = { user: 1, host: 2 } as const;

/** The name that a key type or a signature algorithm has with a certificate. */
export const certificateName = (plain: string): string =>
  plain.endsWith('@openssh.com')
    ? plain.replace(/@openssh\.com$/, '-cert-v01@openssh.com')
    : `${plain}-cert-v01@openssh.com`;

/** Certificate type → type of the key in it. */
const TYPES: ReadonlyMap<string, KeyType> = new Map(keyTypeNames.map(name => [certificateName(name), keyType(name)]));

/** Names of the certificate types we read, best first. */
export const certificateTypeNames: readonly string[] = [...TYPES.keys()];

/** Whether a public key blob is a certificate, of a type known here or not. */
export function isCertificate(blob: Uint8Array): boolean {
  try {
    return /-cert-v0\d@openssh\.com$/.test(new Reader(blob).name());
  } catch {
    return false;
  }
}

/** Takes a certificate apart; the result holds a copy of it. @throws KeyFormatError, one sentence */
export function parseCertificate(bytes: Uint8Array, comment = ''): Certificate {
  const blob = bytes.slice();
  return inFormat('the certificate', () => {
    const reader = new Reader(blob);
    const type = reader.name();
    const plain = TYPES.get(type);
    // Authentication: what the fields mean depends on it.
    if (plain === undefined)
      throw new KeyFormatError(
        isCertificate(blob)
          ? `certificates of type "${printable(type, 80)}" are not supported`
          : `a key of type "${printable(type, 80)}" is no certificate`,
      );
    const nonce = reader.string();
    const start = reader.at;
    plain.readPublic(reader);
    const fields = blob.subarray(start, reader.at);
    const key = { type: plain.name, blob: concat(new Writer(64).string(plain.name).finish(), fields), comment };
    const serial = reader.uint64();
    const kind = readKind(reader.uint32());
    // For people, in whatever encoding: compared only with what is revoked (a KRL's are UTF-8).
    const keyId = text(reader, "the certificate's key id", true);
    const principals = readPrincipals(new Reader(reader.string()));
    const validAfter = reader.uint64();
    const validBefore = reader.uint64();
    const criticalOptions = readOptions(new Reader(reader.string()), 'critical option');
    const extensions = readOptions(new Reader(reader.string()), 'extension');
    reader.string(); // reserved
    const signatureKey = readSignatureKey(reader.string());
    const signed = blob.subarray(0, reader.at);
    const signature = reader.string();
    reader.finish();
    return {
      ...{ type, blob, key, nonce, serial, kind, keyId, principals, validAfter, validBefore },
      ...{ criticalOptions, extensions, signatureKey, signature, signed, comment },
    };
  });
}

/** The certificate in one line "type base64 [comment]", as in a -cert.pub file. @throws KeyFormatError, one sentence */
export function parseCertificateLine(line: string): Certificate {
  const words = trimBlanks(line.replace(/\r?\n$/, ''));
  if (words === '') throw new KeyFormatError('there is no certificate: the text is empty');
  const [, type, base64, comment] = /^([^ \t]+)(?:[ \t]+([^ \t]+))?(?:[ \t]+(.*))?$/s.exec(words) as RegExpExecArray;
  if (words.includes('\n')) throw new KeyFormatError("the certificate's line contains a line end");
  const problem = unprintable(`${type} ${base64}`);
  if (problem) throw new KeyFormatError(`the certificate's line contains ${problem}`);
  if (keyTypeNames.includes(type))
    throw new KeyFormatError(
      'this is a plain public key where a certificate is needed: that is in the file that ends in -cert.pub',
    );
  if (!TYPES.has(type)) throw new KeyFormatError(`"${printable(type, 80)}" is no type of certificate that we know`);
  if (base64 === undefined) throw new KeyFormatError(`the certificate's line ends after its type ${type}`);
  if (base64.length > MAX_BASE64) throw new KeyFormatError('the certificate is too long to be one');
  const certificate = parseCertificate(decodeBase64(base64), shownComment(comment ?? ''));
  if (certificate.type !== type)
    throw new KeyFormatError(`the line says ${type}, but the certificate in it is of type ${certificate.type}`);
  return certificate;
}

/** The line "type base64 [comment]" of a -cert.pub file, without a line end. */
export function formatCertificate(certificate: Pick<Certificate, 'type' | 'blob' | 'comment'>): string {
  const comment = cleanComment(certificate.comment);
  return `${certificate.type} ${encodeBase64(certificate.blob)}${comment && ` ${comment}`}`;
}

/** What a log says of a certificate: 'certificate "id" (serial 7) signed by ED25519 CA SHA256:…'. */
export function describeCertificate({ keyId, serial, signatureKey }: Certificate): string {
  const { label } = keyType(signatureKey.type);
  return `certificate "${printable(keyId)}" (serial ${serial}) signed by ${label} CA ${fingerprint(signatureKey.blob)}`;
}

/** The value of an option that holds one text (force-command, source-address). @throws KeyFormatError if it is something else */
export function optionText(value: Uint8Array): string {
  return inFormat('the certificate', () => {
    const reader = new Reader(value);
    const content = text(reader, "the value of a certificate's option");
    reader.finish();
    return content;
  });
}

function readKind(number: number): 'user' | 'host' {
  if (number === kindNumbers.user) return 'user';
  if (number === kindNumbers.host) return 'host';
  // Authentication: one for hosts must not sign anybody in, so neither must one that is for something else.
  throw new KeyFormatError(`the certificate is neither for a user nor for a host (type ${number})`);
}

function readPrincipals(reader: Reader): string[] {
  const principals: string[] = [];
  while (reader.remaining > 0) {
    // Memory and time: they are compared one by one.
    if (principals.length >= MAX_PRINCIPALS)
      throw new KeyFormatError(`the certificate has more than ${MAX_PRINCIPALS} principals`);
    principals.push(text(reader, 'a principal of the certificate'));
  }
  return principals;
}

/** By name; PROTOCOL.certkeys wants them in order, which OpenSSH does not mind. */
function readOptions(reader: Reader, what: string): Map<string, Uint8Array> {
  const options = new Map<string, Uint8Array>();
  while (reader.remaining > 0) {
    const name = reader.name();
    // Authentication: which of two counts would be a matter of who reads it.
    if (options.has(name)) throw new KeyFormatError(`the certificate has the ${what} ${printable(name, 40)} twice`);
    options.set(name, reader.string());
  }
  return options;
}

function readSignatureKey(blob: Uint8Array): PublicKey {
  // Time: chains have no end.
  if (isCertificate(blob)) throw new KeyFormatError("the certificate's authority is itself a certificate");
  try {
    return parsePublicKeyBlob(blob);
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    throw new KeyFormatError(`the key of the certificate's authority cannot be used: ${error.message}`);
  }
}

/** Text that C programs read like we do: NUL would end it for them, and what is no UTF-8 could be taken for another name here (authentication). */
function text(reader: Reader, what: string, lenient = false): string {
  const content = lenient ? decodeLenient(reader.string()) : reader.text();
  if (content.includes('\0')) throw new KeyFormatError(`${what} contains a NUL character`);
  return content;
}
