// Writing key revocation lists (OpenSSH's PROTOCOL.krl), as `ssh-keygen -k` does: the smallest form for each run of serial numbers.
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { KeyFormatError, UsageError } from '../../protocol/errors.ts';
import { Writer } from '../../protocol/wire/reader.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { isCertificate } from './certificate.ts';
import {
  CertSection,
  KRL_MAGIC,
  KRL_VERSION,
  type Krl,
  MAX_SERIAL,
  mergeRanges,
  type RevokedCertificates,
  Section,
  type SerialRange,
} from './krl.ts';

/** What is to be revoked. Keys are public key blobs, of plain keys: revoke the key that is in a certificate, or the certificate by number or id. */
export interface Revocations {
  /** The keys as they are: the list shows whose they were. */
  readonly keys?: readonly Uint8Array[];
  /** The keys by their hashes, which is shorter. */
  readonly sha256?: readonly Uint8Array[];
  /** The same under SHA-1, for OpenSSH before 7.9 only. */
  readonly sha1?: readonly Uint8Array[];
  /** Keys by what `ssh-keygen -l` prints, "SHA256:…". */
  readonly fingerprints?: readonly string[];
  /** Certificates by number or id, which says nothing of the keys in them. */
  readonly certificates?: readonly {
    /** Public key blob; absent: of whatever authority. */
    readonly authority?: Uint8Array;
    /** From 1 on; 0 is the number of those that have none. */
    readonly serials?: readonly (bigint | SerialRange)[];
    readonly keyIds?: readonly string[];
  }[];
}

/**
 * A list of these, or with `base` one that has these besides (`ssh-keygen -k -u`).
 * @param header.generated seconds since 1970
 * @throws UsageError if a serial number makes no sense or a key is a certificate, KeyFormatError if a fingerprint is none
 */
export function makeKrl(
  revocations: Revocations,
  header: { readonly version?: bigint; readonly generated: bigint; readonly comment?: string },
  base?: Krl,
): Krl {
  const { keys = [], sha256: hashed = [], sha1: hashed1 = [], fingerprints = [], certificates = [] } = revocations;
  for (const blob of [...keys, ...hashed, ...hashed1])
    if (isCertificate(blob)) throw new UsageError('a certificate is revoked by the key in it, its number or its id');
  const add = (to: ReadonlySet<string> | undefined, blobs: readonly Uint8Array[]) =>
    new Set([...(to ?? []), ...blobs.map(encodeBase64)]);
  const sections = new Map<string | undefined, RevokedCertificates>();
  const given = certificates.map(({ authority, serials = [], keyIds = [] }) => ({
    authority: authority && encodeBase64(authority),
    serials: serials.map(serial => checkRange(typeof serial === 'bigint' ? { from: serial, to: serial } : serial)),
    keyIds: new Set(keyIds),
  }));
  for (const { authority, serials, keyIds } of [...(base?.certificates ?? []), ...given]) {
    const before = sections.get(authority);
    sections.set(authority, {
      authority,
      serials: mergeRanges([...(before?.serials ?? []), ...serials]),
      keyIds: new Set([...(before?.keyIds ?? []), ...keyIds]),
    });
  }
  return {
    version: header.version ?? base?.version ?? 0n,
    generated: header.generated,
    comment: header.comment ?? base?.comment ?? '',
    keys: add(base?.keys, keys),
    sha256: add(base?.sha256, [...hashed.map(blob => sha256(blob)), ...fingerprints.map(hashOf)]),
    sha1: add(
      base?.sha1,
      hashed1.map(blob => sha1(blob)),
    ),
    certificates: [...sections.values()],
  };
}

/** The bytes of a KRL file. */
export function formatKrl(krl: Krl): Uint8Array {
  const writer = new Writer(4096)
    .raw(KRL_MAGIC)
    .uint32(KRL_VERSION)
    .uint64(krl.version)
    .uint64(krl.generated)
    .uint64(0n) // flags
    .string('') // reserved
    .string(krl.comment);
  for (const certificates of krl.certificates)
    writer.byte(Section.CERTIFICATES).string(formatCertificates(certificates));
  writeBlobs(writer, Section.KEY, krl.keys);
  writeBlobs(writer, Section.SHA1, krl.sha1);
  writeBlobs(writer, Section.SHA256, krl.sha256);
  return writer.finish();
}

/** Longest bitmap in bytes: OpenSSH reads mpints of up to 16384 bits. */
const MAX_BITMAP = 2048;
/** Bytes that a section costs besides its content, and that a range's content and a bitmap's offset and length take. */
const HEADER = 5;
const RANGE = HEADER + 16;
const BITMAP = HEADER + 12;
const SERIAL = 8;

/** In ascending order, as the format wants it for hashes. */
function writeBlobs(writer: Writer, type: number, blobs: ReadonlySet<string>): void {
  if (blobs.size === 0) return;
  const section = new Writer(4096);
  const hex = (bytes: Uint8Array) => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
  const sorted = [...blobs].map(text => decodeBase64(text)).map(bytes => ({ bytes, order: hex(bytes) }));
  for (const { bytes } of sorted.sort((a, b) => (a.order < b.order ? -1 : 1))) section.string(bytes);
  writer.byte(type).string(section.finish());
}

function formatCertificates({ authority, serials, keyIds }: RevokedCertificates): Uint8Array {
  const writer = new Writer(1024).string(decodeBase64(authority ?? '')).string(''); // reserved
  let list = new Writer(256);
  const flush = () => {
    if (list.length > 0) writer.byte(CertSection.LIST).string(list.finish());
    list = new Writer(256);
  };
  for (let i = 0; i < serials.length; ) {
    const run = bitmapRun(serials, i);
    if (run > i) {
      flush();
      writer.byte(CertSection.BITMAP).string(formatBitmap(serials.slice(i, run)));
      i = run;
      continue;
    }
    const { from, to } = serials[i++];
    if (from === to) {
      list.uint64(from);
      continue;
    }
    flush();
    writer.byte(CertSection.RANGE).string(new Writer(16).uint64(from).uint64(to).finish());
  }
  flush();
  if (keyIds.size > 0) {
    const ids = new Writer(1024);
    for (const id of [...keyIds].sort()) ids.string(id);
    writer.byte(CertSection.KEY_ID).string(ids.finish());
  }
  return writer.finish();
}

/** Where the ranges from `start` on end that together are shorter as a bitmap; `start` itself if there are none. */
function bitmapRun(serials: readonly SerialRange[], start: number): number {
  const { from } = serials[start];
  let saved = 0;
  let best = start;
  for (let end = start; end < serials.length; end++) {
    const range = serials[end];
    // One byte less than may be: an mpint whose highest bit is set begins with a zero byte.
    const bytes = Number((range.to - from) / 8n) + 2;
    if (bytes >= MAX_BITMAP) break;
    saved += range.from === range.to ? SERIAL : RANGE;
    // A gap that costs more than all that comes before it saves will not be made up for.
    if (bytes + BITMAP > saved + 2 * RANGE) break;
    if (bytes + BITMAP < saved) best = end + 1;
  }
  return best;
}

function formatBitmap(ranges: readonly SerialRange[]): Uint8Array {
  const offset = ranges[0].from;
  const bits = new Uint8Array(Number((ranges[ranges.length - 1].to - offset) / 8n) + 1);
  for (const { from, to } of ranges)
    for (let n = Number(from - offset); n <= Number(to - offset); n++) bits[bits.length - 1 - (n >> 3)] |= 1 << (n & 7);
  return new Writer(bits.length + 16).uint64(offset).mpint(bits).finish();
}

function checkRange({ from, to }: SerialRange): SerialRange {
  if (from < 1n || to > MAX_SERIAL || from > to)
    throw new UsageError(`serial numbers from ${from} to ${to} cannot be revoked: they go from 1 to 2^64-1`);
  return { from, to };
}

function hashOf(fingerprint: string): Uint8Array {
  const [, base64] = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(fingerprint) ?? [];
  if (base64 === undefined) throw new KeyFormatError('a fingerprint has the form SHA256: and 43 characters of base64');
  return decodeBase64(`${base64}=`);
}
