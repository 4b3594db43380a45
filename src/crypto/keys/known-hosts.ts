// The known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): lines of "[@marker] hosts type base64 [comment]", and what they say about a host's key.
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { KeyFormatError, printable, UsageError } from '../../protocol/errors.ts';
import { encodeUtf8, equalBytes } from '../../protocol/wire/reader.ts';
import type { Random, SignatureAlgorithm } from '../provider.ts';
import { type KeyFileProblem, MAX_KEY_FILE, MAX_KEY_LINE, MAX_PROBLEMS } from './authorized-keys.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { isCertificate, parseCertificate, parseCertificateLine } from './certificate.ts';
import { checkCertificate } from './certificate-check.ts';
import { matchPatternList } from './pattern-list.ts';
import { formatPublicKey, type PublicKey, parsePublicKey } from './public-key.ts';
import { trimBlanks, unprintable } from './text.ts';

/** One line that holds a key. */
export interface KnownHost {
  /** "@cert-authority": the key signs the hosts' certificates. "@revoked": the key is never to be accepted. */
  readonly marker?: 'cert-authority' | 'revoked';
  /** The names and patterns as they stand, separated by commas; or one hashed name, "|1|salt|hash". */
  readonly hosts: string;
  /** The host's, or with `cert-authority` that of the authority over its certificates. */
  readonly key: PublicKey;
  /** Which file it stands in, if the caller has said so, for messages. */
  readonly file?: string;
  /** Counted from 1. */
  readonly line: number;
}

/** A host as it was asked for. */
export interface HostName {
  /** A name or address without brackets. */
  readonly host: string;
  /** 22 if not given. */
  readonly port?: number;
}

/** What known_hosts says about a key that a host has shown. */
export type HostKeyVerdict =
  /** `entry` has this very key. */
  | { readonly result: 'match'; readonly entry: KnownHost }
  /** The host has shown a certificate, in order, by the authority in `entry`. */
  | { readonly result: 'certificate'; readonly entry: KnownHost }
  /** The host is known, by other keys: those in `entries`. */
  | { readonly result: 'changed'; readonly entries: readonly KnownHost[]; readonly reason?: string }
  /** Nothing is known of the host. */
  | { readonly result: 'unknown'; readonly reason?: string }
  /** The key, or the authority of the certificate, is marked so by `entry`. */
  | { readonly result: 'revoked'; readonly entry: KnownHost };
// `reason`: why a certificate that the host has shown does not count, as a sentence without its subject.

/**
 * All keys in the text of a file, and what is wrong with its other lines. Never throws; a bad line does not hide the
 * others. `file` is put into each entry.
 */
export function parseKnownHosts(text: string, file?: string): { entries: KnownHost[]; problems: KeyFileProblem[] } {
  const entries: KnownHost[] = [];
  const problems: KeyFileProblem[] = [];
  if (text.length > MAX_KEY_FILE) {
    const message = `the file is longer than ${MAX_KEY_FILE} characters, so none of its keys is used`;
    return { entries, problems: [{ line: 0, message }] };
  }
  let unlisted = 0;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = trimBlanks(raw, ' \t\r');
    if (line === '' || line.startsWith('#')) continue;
    try {
      entries.push({ ...parseLine(line), ...(file === undefined ? {} : { file }), line: index + 1 });
    } catch (error) {
      if (!(error instanceof KeyFormatError)) throw error;
      if (problems.length < MAX_PROBLEMS) problems.push({ line: index + 1, message: error.message });
      else unlisted++;
    }
  }
  if (unlisted > 0) problems.push({ line: 0, message: `${unlisted} more lines are not understood` });
  return { entries, problems };
}

/**
 * What the lines of one or several files say about the key (a blob; a certificate too) that a host has shown. As in ssh:
 * a certificate that does not count (no authority, expired, for another name …) is taken for the plain key in it. A host
 * on another port than 22 of which no line with that port has a key is also known by a line without a port that has its
 * key. An authority, or what is revoked, under the plain name counts for all ports.
 * @param policy.now milliseconds since 1970, for certificates
 * @throws KeyFormatError if a certificate makes no sense
 */
export function lookupHost(
  entries: readonly KnownHost[],
  name: HostName,
  blob: Uint8Array,
  policy: { readonly now: number; readonly provider: { readonly signatures: readonly SignatureAlgorithm[] } },
): HostKeyVerdict {
  const here = matching(entries, hostText(name));
  const plainName = matching(entries, hostText({ host: name.host }));
  const known = [...here, ...plainName];
  const certificate = isCertificate(blob) ? parseCertificate(blob) : undefined;
  const key = certificate?.key.blob ?? blob;
  const bad = known.find(
    ({ marker, key: { blob } }) =>
      marker === 'revoked' &&
      (equalBytes(blob, key) || (certificate !== undefined && equalBytes(blob, certificate.signatureKey.blob))),
  );
  if (bad) return { result: 'revoked', entry: bad };
  let reason: string | undefined;
  if (certificate) {
    const { signatureKey } = certificate;
    const entry = known.find(
      entry => entry.marker === 'cert-authority' && equalBytes(entry.key.blob, signatureKey.blob),
    );
    reason = checkCertificate(certificate, {
      kind: 'host',
      principals: [name.host],
      now: policy.now,
      authority: () => entry !== undefined,
      provider: policy.provider,
    });
    if (reason === undefined && entry) return { result: 'certificate', entry };
  }
  const plain = (list: readonly KnownHost[]) => list.filter(({ marker }) => marker === undefined);
  const others = plain(here);
  // Whoever lists a key for this port means this one, and no other that the host has.
  const same = (others.length > 0 ? others : plain(plainName)).find(entry => equalBytes(entry.key.blob, key));
  if (same) return { result: 'match', entry: same };
  const because = reason === undefined ? {} : { reason };
  return others.length > 0 ? { result: 'changed', entries: others, ...because } : { result: 'unknown', ...because };
}

/**
 * Names of host key algorithms in the order in which a client should ask for them (as ssh does): first those for which
 * the host's lines have a key or an authority, so that a host with several keys shows one that can be checked.
 */
export function orderHostKeyAlgorithms(
  entries: readonly KnownHost[],
  name: HostName,
  algorithms: readonly Pick<SignatureAlgorithm, 'name' | 'keyType' | 'plain'>[],
): string[] {
  const here = matching(entries, hostText(name));
  const known = here.some(({ marker }) => marker !== 'revoked')
    ? here
    : matching(entries, hostText({ host: name.host }));
  const authority = known.some(({ marker }) => marker === 'cert-authority');
  const types = new Set(known.filter(({ marker }) => marker === undefined).map(({ key }) => key.type));
  const rank = ({ keyType, plain }: (typeof algorithms)[number]) => {
    if (plain !== undefined) return authority ? 0 : 2;
    return types.has(keyType) ? 1 : 2;
  };
  return [0, 1, 2].flatMap(wanted =>
    algorithms.filter(algorithm => rank(algorithm) === wanted).map(({ name }) => name),
  );
}

/** The name under which known_hosts lists a host: "host" on port 22, "[host]:port" on another, in lower case. */
export function hostText({ host, port = 22 }: HostName): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** Whether a line is about the host of that name (as `hostText` makes it): some pattern of it matches, and no negated one. */
export function matchesHost({ hosts }: Pick<KnownHost, 'hosts'>, text: string): boolean {
  if (hosts.startsWith('|')) {
    const [, , salt, hash] = hosts.split('|');
    return equalBytes(hmac(sha1, decodeBase64(salt), encodeUtf8(text)), decodeBase64(hash));
  }
  return matchPatternList(hosts.toLowerCase(), text);
}

/**
 * A line for a file, without its line end.
 * @param host names as `hostText` makes them, or patterns; exactly one plain name if it is to be hashed
 * @param options.hash hides the name, as ssh does with HashKnownHosts
 * @throws UsageError if a name cannot stand in the file
 */
export function formatKnownHost(
  host: string | readonly string[],
  key: PublicKey,
  options: { readonly marker?: KnownHost['marker']; readonly hash?: Random } = {},
): string {
  const names = typeof host === 'string' ? [host] : host;
  for (const name of names)
    if (!/^[!-~]+$/.test(name) || /^[@#|]|,/.test(name))
      throw new UsageError(`"${printable(name, 80)}" cannot be the name of a host in known_hosts`);
  if (names.length === 0) throw new UsageError('a line of known_hosts needs the name of a host');
  let hosts = names.join(',');
  if (options.hash) {
    if (names.length > 1 || /[*?!]/.test(hosts)) throw new UsageError('only one name without wildcards can be hashed');
    const salt = options.hash(new Uint8Array(SALT));
    hosts = `|1|${encodeBase64(salt)}|${encodeBase64(hmac(sha1, salt, encodeUtf8(hosts.toLowerCase())))}`;
  }
  const line = `${options.marker ? `@${options.marker} ` : ''}${hosts} ${formatPublicKey(key)}`;
  if (line.length > MAX_KEY_LINE) throw new UsageError(`a line of known_hosts may have ${MAX_KEY_LINE} characters`);
  return line;
}

/** Length of salt and hash in hashed names, that of SHA-1; the only form there is ("|1|"). */
const SALT = 20;

const matching = (entries: readonly KnownHost[], text: string) => entries.filter(entry => matchesHost(entry, text));

function parseLine(line: string): Omit<KnownHost, 'line'> {
  if (line.length > MAX_KEY_LINE) throw new KeyFormatError(`the line is longer than ${MAX_KEY_LINE} characters`);
  if (line.startsWith('\ufeff')) throw new KeyFormatError('the line begins with a byte order mark');
  const { marker, rest } = takeMarker(line);
  const [, hosts, key] = /^([^ \t]+)[ \t]+(.+)$/s.exec(rest) ?? [];
  if (hosts === undefined) throw new KeyFormatError(`the line holds no key after "${printable(line, 40)}"`);
  const problem = unprintable(hosts);
  if (problem) throw new KeyFormatError(`the line contains ${problem}`);
  if (hosts.startsWith('|')) checkHash(hosts);
  // SSH protocol 1 had bits, exponent and modulus there.
  if (/^\d+[ \t]/.test(key)) throw new KeyFormatError('the key is of the long broken SSH protocol 1');
  return { ...(marker ? { marker } : {}), hosts, key: readKey(key, marker) };
}

function takeMarker(line: string): { marker?: KnownHost['marker']; rest: string } {
  if (!line.startsWith('@')) return { rest: line };
  const [, word, rest] = /^@([^ \t]*)[ \t]*(.*)$/s.exec(line) as RegExpExecArray;
  if (word !== 'cert-authority' && word !== 'revoked')
    throw new KeyFormatError(`"@${printable(word, 40)}" is no marker (@cert-authority and @revoked are)`);
  if (rest.startsWith('@')) throw new KeyFormatError('the line has more than one marker');
  return { marker: word, rest };
}

function checkHash(hosts: string): void {
  const parts = hosts.split('|');
  if (parts.length !== 4 || parts[1] !== '1')
    throw new KeyFormatError('its hashed host name is not of the form |1|salt|hash');
  for (const part of parts.slice(2))
    if (decodeBase64(part).length !== SALT)
      throw new KeyFormatError(`salt and hash of a hashed host name have ${SALT} bytes each, and here they do not`);
}

function readKey(text: string, marker: KnownHost['marker']): PublicKey {
  // Whoever revokes a certificate revokes the key in it, as in ssh.
  if (marker === 'revoked' && /^\S+-cert-v01@openssh\.com[ \t]/.test(text)) return parseCertificateLine(text).key;
  return parsePublicKey(text);
}
