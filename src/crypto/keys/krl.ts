// Key revocation lists (OpenSSH's PROTOCOL.krl; `ssh-keygen -k`, RevokedKeys in sshd_config(5)): what they revoke, and reading them, plain lists of keys too.
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { encodeUtf8, equalBytes, Reader } from '../../protocol/wire/reader.ts';
import { encodeBase64 } from './base64.ts';
import { certificateTypeNames, isCertificate, parseCertificate, parseCertificateLine } from './certificate.ts';
import { inFormat, keyTypeNames } from './key-types.ts';
import { fingerprint, parsePublicKey } from './public-key.ts';
import { trimBlanks } from './text.ts';

/** A revocation list as plain data. Sets hold base64 (`encodeBase64`), so that one look tells whether something is in them. */
export interface Krl {
  /** Grows with each change, if whoever keeps the list counts. */
  readonly version: bigint;
  /** When it was made, in seconds since 1970. */
  readonly generated: bigint;
  /** Of whoever keeps it, for people; untrusted text. */
  readonly comment: string;
  /** Public key blobs, of plain keys. */
  readonly keys: ReadonlySet<string>;
  /** SHA-1 hashes of public key blobs, of plain keys. */
  readonly sha1: ReadonlySet<string>;
  /** SHA-256 hashes of public key blobs, of plain keys. */
  readonly sha256: ReadonlySet<string>;
  /** By authority; a certificate is revoked if any of them names it. */
  readonly certificates: readonly RevokedCertificates[];
}

/** Certificates of one authority that are revoked. */
export interface RevokedCertificates {
  /** Its public key blob in base64; undefined: whatever authority. */
  readonly authority: string | undefined;
  /** In ascending order, neither touching nor overlapping. */
  readonly serials: readonly SerialRange[];
  /** Compared to the letter; text, not base64. */
  readonly keyIds: ReadonlySet<string>;
}

/** Serial numbers, uint64. */
export interface SerialRange {
  /** The first, itself included; at least 1. */
  readonly from: bigint;
  /** The last, itself included. */
  readonly to: bigint;
}

/** Longest list that is read, in bytes: it is read again at each change. */
export const MAX_KRL = 16 * 1024 * 1024;
/** Most ranges of serial numbers: a bitmap of a few bytes can hold very many, and each costs some 100 bytes of memory. */
const MAX_RANGES = 1 << 20;
/** PROTOCOL.krl §1 and §2. */
export const KRL_MAGIC = encodeUtf8('SSHKRL\n\0');
export const KRL_VERSION = 1;
export const Section = { CERTIFICATES: 1, KEY: 2, SHA1: 3, SIGNATURE: 4, SHA256: 5, EXTENSION: 255 } as const;
export const CertSection = { LIST: 0x20, RANGE: 0x21, BITMAP: 0x22, KEY_ID: 0x23, EXTENSION: 0x39 } as const;
export const MAX_SERIAL = 2n ** 64n - 1n;

/**
 * Why the list forbids this public key or certificate, as a clause without its subject ("is revoked by its serial number,
 * 7"); undefined if it does not. Of a certificate the key in it and its authority's key must not be revoked either.
 * @throws KeyFormatError if the blob is a certificate that makes no sense
 */
export function checkRevoked(krl: Krl, blob: Uint8Array): string | undefined {
  if (!isCertificate(blob)) return checkKey(krl, blob);
  const certificate = parseCertificate(blob);
  const { key, signatureKey, keyId, serial } = certificate;
  const problem = checkKey(krl, key.blob);
  if (problem) return `${problem} (of the key in the certificate)`;
  const authority = encodeBase64(signatureKey.blob);
  for (const section of krl.certificates) {
    if (section.authority !== undefined && section.authority !== authority) continue;
    if (section.keyIds.has(keyId)) return `is revoked by its key id, "${printable(keyId, 80)}"`;
    // No range has 0, which authorities that do not number give to all.
    if (includesSerial(section.serials, serial)) return `is revoked by its serial number, ${serial}`;
  }
  if (checkKey(krl, signatureKey.blob)) return `is by an authority that is revoked, ${fingerprint(signatureKey.blob)}`;
  return undefined;
}

/**
 * The list in a RevokedKeys file: a KRL, or text with a public key (or certificate, of which the key counts) on each line.
 * Whoever cannot read it must let nobody in.
 * @throws KeyFormatError, one sentence
 */
export function parseRevokedKeys(bytes: Uint8Array): Krl {
  if (equalBytes(bytes.subarray(0, KRL_MAGIC.length), KRL_MAGIC)) return parseKrl(bytes);
  if (bytes.length > MAX_KRL) throw new KeyFormatError(`the file is longer than ${MAX_KRL} bytes`);
  const keys = new Set<string>();
  // Comments are in whatever encoding, and what is compared is base64.
  const text = new TextDecoder().decode(bytes);
  for (const [index, raw] of text.split('\n').entries()) {
    const line = trimBlanks(raw, ' \t\r');
    if (line === '' || line.startsWith('#')) continue;
    try {
      const blob = revokedBlob(line);
      if (blob) keys.add(encodeBase64(blob));
    } catch (error) {
      // A line that is skipped would be a key that is let in.
      if (error instanceof KeyFormatError)
        throw new KeyFormatError(`line ${index + 1} makes no sense: ${error.message}`);
      throw error;
    }
  }
  return { version: 0n, generated: 0n, comment: '', keys, sha1: new Set(), sha256: new Set(), certificates: [] };
}

/**
 * The list in the bytes of a KRL (PROTOCOL.krl). A signature in it is not verified: the list is trusted for where it lies.
 * @throws KeyFormatError, one sentence: also for what is unknown here and marked as critical, because it would be a hole */
export function parseKrl(bytes: Uint8Array): Krl {
  if (bytes.length > MAX_KRL) throw new KeyFormatError(`the revocation list is longer than ${MAX_KRL} bytes`);
  if (!equalBytes(bytes.subarray(0, KRL_MAGIC.length), KRL_MAGIC))
    throw new KeyFormatError('this is no revocation list: it does not begin with "SSHKRL"');
  return inFormat(WHAT, () => {
    const reader = new Reader(bytes, KRL_MAGIC.length);
    const format = reader.uint32();
    if (format !== KRL_VERSION) throw new KeyFormatError(`${WHAT} has format ${format}, and only 1 is supported`);
    const version = reader.uint64();
    const generated = reader.uint64();
    reader.uint64(); // flags: none are defined
    reader.string(); // reserved
    const comment = printable(reader.text(), 1024);
    const list = { keys: new Set<string>(), sha1: new Set<string>(), sha256: new Set<string>() };
    const authorities = new Map<string, Draft>();
    let signed = false;
    while (reader.remaining > 0) {
      const type = reader.byte();
      const section = new Reader(reader.string());
      if (signed && type !== Section.SIGNATURE) throw new KeyFormatError(`${WHAT} goes on after its signature`);
      if (type === Section.CERTIFICATES) readCertificates(section, authorities);
      else if (type === Section.KEY) readBlobs(section, list.keys);
      else if (type === Section.SHA1) readBlobs(section, list.sha1, 20);
      else if (type === Section.SHA256) readBlobs(section, list.sha256, 32);
      else if (type === Section.EXTENSION) readExtension(section);
      else if (type === Section.SIGNATURE) {
        // Not verified: the list is trusted for where it lies, as in OpenSSH, which recommends SSHSIG for the rest.
        reader.string();
        signed = true;
      } else throw new KeyFormatError(`${WHAT} has a section of an unknown type, ${type}`);
    }
    const certificates = [...authorities.values()].map(({ authority, ranges, keyIds }) => ({
      authority,
      serials: mergeRanges(ranges),
      keyIds,
    }));
    return { version, generated, comment, ...list, certificates };
  });
}

/** Ascending, and no two that touch or overlap. */
export function mergeRanges(ranges: readonly SerialRange[]): SerialRange[] {
  const merged: { from: bigint; to: bigint }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    const last = merged.at(-1);
    if (last && from <= last.to + 1n) {
      if (to > last.to) last.to = to;
    } else merged.push({ from, to });
  }
  return merged;
}

const WHAT = 'the revocation list';

interface Draft {
  readonly authority: string | undefined;
  readonly ranges: SerialRange[];
  readonly keyIds: Set<string>;
}

function checkKey(krl: Krl, blob: Uint8Array): string | undefined {
  const revoked =
    krl.keys.has(encodeBase64(blob)) ||
    krl.sha256.has(encodeBase64(sha256(blob))) ||
    // Most lists have none, and SHA-1 costs as much as the rest.
    (krl.sha1.size > 0 && krl.sha1.has(encodeBase64(sha1(blob))));
  return revoked ? `is revoked by its key, ${fingerprint(blob)}` : undefined;
}

function includesSerial(ranges: readonly SerialRange[], serial: bigint): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle].to < serial) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low].from <= serial;
}

/** The plain key of one line; undefined if it is of a type that nobody can sign in with here. */
function revokedBlob(line: string): Uint8Array | undefined {
  const [type] = line.split(/[ \t]/, 1);
  if (certificateTypeNames.includes(type)) return parseCertificateLine(line).key.blob;
  if (keyTypeNames.includes(type) || !/^(ssh|ecdsa|sk|webauthn)-[a-z0-9@.-]+$/.test(type))
    return parsePublicKey(line).blob;
  return undefined;
}

function readBlobs(section: Reader, into: Set<string>, length?: number): void {
  while (section.remaining > 0) {
    const blob = section.string();
    if (length !== undefined && blob.length !== length)
      throw new KeyFormatError(`${WHAT} is damaged: a hash has ${blob.length} bytes where ${length} are right`);
    into.add(encodeBase64(blob));
  }
}

function readExtension(section: Reader): void {
  const name = section.text();
  const critical = section.boolean();
  section.string();
  section.finish();
  if (critical)
    throw new KeyFormatError(`${WHAT} has the critical extension "${printable(name, 80)}", which is not supported`);
}

function readCertificates(section: Reader, authorities: Map<string, Draft>): void {
  const key = encodeBase64(section.string());
  section.string(); // reserved
  let draft = authorities.get(key);
  if (draft === undefined) {
    draft = { authority: key === '' ? undefined : key, ranges: [], keyIds: new Set() };
    authorities.set(key, draft);
  }
  while (section.remaining > 0) {
    const type = section.byte();
    const content = new Reader(section.string());
    if (type === CertSection.LIST) {
      while (content.remaining > 0) {
        const serial = content.uint64();
        addRange(draft, serial, serial);
      }
    } else if (type === CertSection.RANGE) addRange(draft, content.uint64(), content.uint64());
    else if (type === CertSection.BITMAP) readBitmap(content, draft);
    else if (type === CertSection.KEY_ID) while (content.remaining > 0) draft.keyIds.add(content.text());
    else if (type === CertSection.EXTENSION) readExtension(content);
    else throw new KeyFormatError(`${WHAT} has a section on certificates of an unknown type, ${type}`);
    content.finish();
  }
}

function addRange({ ranges }: Draft, from: bigint, to: bigint): void {
  if (from > to || from === 0n)
    throw new KeyFormatError(`${WHAT} is damaged: it has serial numbers from ${from} to ${to}`);
  if (ranges.length >= MAX_RANGES)
    throw new KeyFormatError(`${WHAT} has more than ${MAX_RANGES} ranges of serial numbers`);
  ranges.push({ from, to });
}

/** Bit N of the number stands for the serial offset + N. */
function readBitmap(content: Reader, draft: Draft): void {
  const offset = content.uint64();
  const bytes = content.mpint();
  const count = bytes.length * 8;
  const isSet = (n: number) => (bytes[bytes.length - 1 - (n >> 3)] >> (n & 7)) & 1;
  for (let n = 0; n < count; n++) {
    if (!isSet(n)) continue;
    const first = n;
    while (n + 1 < count && isSet(n + 1)) n++;
    if (offset + BigInt(n) > MAX_SERIAL)
      throw new KeyFormatError(`${WHAT} is damaged: a serial number has more than 64 bits`);
    addRange(draft, offset + BigInt(first), offset + BigInt(n));
  }
}
