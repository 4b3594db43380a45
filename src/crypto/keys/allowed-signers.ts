// The allowed signers file (ssh-keygen(1), ALLOWED SIGNERS): whose signature a key's counts as; lines of "principals [options] type base64".
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { equalBytes } from '../../protocol/wire/reader.ts';
import type { SignatureAlgorithm } from '../provider.ts';
import { matchGlob } from './address-match.ts';
import {
  type AuthorizedKey,
  type KeyFileProblem,
  MAX_KEY_FILE,
  MAX_PROBLEMS,
  parseAuthorizedKeys,
} from './authorized-keys.ts';
import { type Certificate, isCertificate, parseCertificate } from './certificate.ts';
import { checkCertificate } from './certificate-check.ts';
import { parseExpiry } from './key-options.ts';
import { matchPatternList } from './pattern-list.ts';
import { fingerprint, type PublicKey } from './public-key.ts';
import type { SshSignature } from './sshsig.ts';
import { trimBlanks } from './text.ts';

/** One line that holds a key. */
export interface AllowedSigner {
  /** A pattern list of names, "user@domain". */
  readonly principals: string;
  /** Whose signature counts; with `certAuthority`, whose certificates. */
  readonly key: PublicKey;
  /** The key does not sign itself, it certifies others that do. */
  readonly certAuthority: boolean;
  /** A pattern list of the namespaces for which it counts; undefined: all. */
  readonly namespaces?: string;
  /** Milliseconds since 1970 at and after which the key counts. */
  readonly validAfter?: number;
  /** Milliseconds since 1970 at and before which it counts. */
  readonly validBefore?: number;
  /** Counted from 1. */
  readonly line: number;
}

/** The circumstances of a verification. */
export interface SignerPolicy {
  /** When the signature is to have been valid, in milliseconds since 1970. */
  readonly now: number;
  /** Verifies certificates. */
  readonly provider: { readonly signatures: readonly SignatureAlgorithm[] };
}

/** All keys in the text of a file, and what is wrong with its other lines. Never throws; a bad line does not hide the others. */
export function parseAllowedSigners(text: string): { entries: AllowedSigner[]; problems: KeyFileProblem[] } {
  const entries: AllowedSigner[] = [];
  const problems: KeyFileProblem[] = [];
  if (text.length > MAX_KEY_FILE) {
    const message = `the file is longer than ${MAX_KEY_FILE} characters, so none of its keys is used`;
    return { entries, problems: [{ line: 0, message }] };
  }
  for (const [index, raw] of text.split('\n').entries()) {
    const line = trimBlanks(raw, ' \t\r');
    if (line === '' || line.startsWith('#')) continue;
    try {
      entries.push({ ...parseLine(line), line: index + 1 });
    } catch (error) {
      if (!(error instanceof KeyFormatError)) throw error;
      if (problems.length < MAX_PROBLEMS) problems.push({ line: index + 1, message: error.message });
    }
  }
  return { entries, problems };
}

/**
 * Whether the signature's key is one of `principal`'s, for the signature's namespace and at that time: undefined if it
 * is, else why not, as a sentence. As in `ssh-keygen -Y verify`; whether the signature is right is for `verifySignature`.
 */
export function checkSigner(
  entries: readonly AllowedSigner[],
  principal: string,
  signature: Pick<SshSignature, 'key' | 'namespace'>,
  policy: SignerPolicy,
): string | undefined {
  let reason: string | undefined;
  for (const entry of entries) {
    if (!matchPatternList(entry.principals, principal)) continue;
    const certificate = certificateFor(entry, signature.key);
    if (certificate === undefined) continue;
    const problem =
      (certificate && checkUse(certificate, entry, [principal], policy)) ??
      checkLimits(entry, signature.namespace, policy);
    if (problem === undefined) return undefined;
    reason ??= problem;
  }
  return reason ?? `no line allows ${printable(principal, 80)} to sign with the key ${shown(signature.key)}`;
}

/**
 * Whose signature it is, by the first line that has its key (`ssh-keygen -Y find-principals`): the patterns of the line,
 * or the names in the certificate that match them. Empty if there is none. The namespace is not looked at.
 */
export function findPrincipals(
  entries: readonly AllowedSigner[],
  signature: Pick<SshSignature, 'key'>,
  policy: SignerPolicy,
): string[] {
  for (const entry of entries) {
    const certificate = certificateFor(entry, signature.key);
    if (certificate === undefined || checkLimits(entry, undefined, policy) !== undefined) continue;
    const patterns = entry.principals.split(',').filter(pattern => pattern !== '');
    if (certificate === null) return patterns;
    if (checkUse(certificate, entry, undefined, policy) !== undefined) continue;
    const names = certificate.principals.filter(name => patterns.some(pattern => matchGlob(pattern, name)));
    if (names.length > 0) return names;
  }
  return [];
}

/** Null if the line has this very key, the certificate if the line's key is to have signed it, undefined if it is about something else. */
function certificateFor(entry: AllowedSigner, key: Uint8Array): Certificate | null | undefined {
  if (!entry.certAuthority) return equalBytes(entry.key.blob, key) ? null : undefined;
  if (!isCertificate(key)) return undefined;
  const certificate = parseCertificate(key);
  return equalBytes(certificate.signatureKey.blob, entry.key.blob) ? certificate : undefined;
}

function checkUse(
  certificate: Certificate,
  entry: AllowedSigner,
  principals: string[] | undefined,
  policy: SignerPolicy,
) {
  const problem = checkCertificate(certificate, {
    kind: 'user',
    principals,
    now: policy.now,
    authority: key => equalBytes(key, entry.key.blob),
    provider: policy.provider,
    // A command is for sign-in; whoever may sign under one may sign.
    enforced: ['force-command'],
  });
  return problem && `the certificate of line ${entry.line}'s authority ${problem}`;
}

function checkLimits(entry: AllowedSigner, namespace: string | undefined, { now }: SignerPolicy): string | undefined {
  const { line, namespaces, validAfter, validBefore } = entry;
  if (namespaces !== undefined && namespace !== undefined && !matchPatternList(namespaces, namespace))
    return `the key in line ${line} is not for "${printable(namespace, 80)}"`;
  if (validAfter !== undefined && now < validAfter)
    return `the key in line ${line} is not valid before ${new Date(validAfter).toISOString()}`;
  // To the second: the whole of the last one counts.
  if (validBefore !== undefined && now >= validBefore + 1000)
    return `the key in line ${line} is not valid after ${new Date(validBefore).toISOString()}`;
  return undefined;
}

const shown = (key: Uint8Array): string => fingerprint(isCertificate(key) ? parseCertificate(key).key.blob : key);

function parseLine(line: string): Omit<AllowedSigner, 'line'> {
  const [, quoted, bare, rest] = /^(?:"([^"]*)"|([^ \t"]+))(?:[ \t]+(.*))?$/s.exec(line) ?? [];
  const principals = quoted ?? bare;
  if (principals === undefined) throw new KeyFormatError('the line does not begin with principals');
  if (rest === undefined) throw new KeyFormatError(`the line holds no key after "${printable(principals, 40)}"`);
  // What follows has the form of a line of authorized_keys.
  const { entries, problems } = parseAuthorizedKeys(rest);
  if (problems.length > 0) throw new KeyFormatError(problems[0].message);
  if (entries.length !== 1) throw new KeyFormatError('the line holds no key');
  return { principals, key: entries[0].key, ...readOptions(entries[0].options) };
}

function readOptions(
  options: AuthorizedKey['options'],
): Pick<AllowedSigner, 'certAuthority' | 'namespaces' | 'validAfter' | 'validBefore'> {
  let certAuthority = false;
  const values = new Map<string, string>();
  for (const { name, value } of options) {
    if (name === 'cert-authority' && value === undefined) certAuthority = true;
    else if (!['namespaces', 'valid-after', 'valid-before'].includes(name) || value === undefined)
      throw new KeyFormatError(`its option ${printable(name, 40)} is not supported`);
    else if (values.has(name)) throw new KeyFormatError(`it has more than one option ${name}`);
    else values.set(name, value);
  }
  const time = (name: string): number | undefined => {
    const text = values.get(name);
    const at = text === undefined ? undefined : parseExpiry(text);
    if (text !== undefined && !at)
      throw new KeyFormatError(`its ${name} "${printable(text, 40)}" is not of the form YYYYMMDD[HHMM[SS]][Z]`);
    return at;
  };
  const validAfter = time('valid-after');
  const validBefore = time('valid-before');
  if (validAfter !== undefined && validBefore !== undefined && validBefore <= validAfter)
    throw new KeyFormatError('its valid-before is not after its valid-after');
  const namespaces = values.get('namespaces');
  return {
    certAuthority,
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(validAfter === undefined ? {} : { validAfter }),
    ...(validBefore === undefined ? {} : { validBefore }),
  };
}
