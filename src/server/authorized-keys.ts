// Sign-in by the lines of authorized_keys files (sshd(8)): plain keys, certificates of their cert-authority lines, and keys in security tokens.
import {
  type AuthorizedKey,
  type Certificate,
  checkCertificate,
  describeCertificate,
  fingerprint,
  isCertificate,
  isTokenType,
  type KeyRules,
  keyRules,
  matchFrom,
  optionText,
  type PublicKey,
  parseCertificate,
  parsePublicKeyBlob,
} from '../crypto/keys/index.ts';
import type { Presence, SignatureAlgorithm } from '../crypto/provider.ts';
import type { Eventually } from '../protocol/channels/answers.ts';
import { KeyFormatError, printable } from '../protocol/errors.ts';
import type { AuthAnswer } from '../protocol/userauth/questions.ts';
import { equalBytes } from '../protocol/wire/reader.ts';
import type { Authenticator } from './authenticators.ts';
import { type Logger, unfailing } from './logger.ts';
import { type Client, describe } from './server.ts';
import { TokenCounters } from './token-counters.ts';

/** Somebody who wants to sign in with a key. */
export interface KeyUse {
  /** The name to sign in with; untrusted text. */
  readonly user: string;
  /** Public key blob or certificate. */
  readonly key: Uint8Array;
  /** Of a verified signature by a security token; undefined as long as there is no signature. */
  readonly presence?: Presence;
  /** The client's IP address. */
  readonly address: string;
  /** The client's verified name, if names are looked up. */
  readonly hostName?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What the caller carries out. A key that asks for more is refused by name, never let in with less than its line asks for. */
export interface KeyPolicy {
  /** Verifies the signatures of certificates' authorities. */
  readonly provider: { readonly signatures: readonly SignatureAlgorithm[] };
  /**
   * Options whose effect on `Admission.rules` the caller carries out: command, environment, permitopen, permitlisten, tunnel,
   * restrict, and pty, port-forwarding, agent-forwarding, x11-forwarding, user-rc with their no- forms. Those that concern
   * sign-in itself are carried out here: from, expiry-time, cert-authority, principals, touch-required, verify-required and their no- forms.
   */
  readonly enforced?: readonly string[];
  /** Options of the application's own; their values are in `Admission.rules.extra`. */
  readonly extra?: readonly string[];
  /** Algorithms that authorities may sign certificates with; by default all of the provider's. */
  readonly authorityAlgorithms?: readonly string[];
  /** Negative if the first is to count where both lines let the key in; by default the one that comes first in the file does. */
  prefer?(one: Admission, other: Admission): number;
}

/** Somebody who may sign in, and what he may do. */
export interface Admission {
  /** The name to sign in with, which the line or the certificate lets this key have. */
  readonly user: string;
  /** The plain key, of which the certificate (if there is one) is. */
  readonly key: Uint8Array;
  /** By which the key was let in; verified. */
  readonly certificate?: Certificate;
  /** The line that lets him in. */
  readonly entry: AuthorizedKey;
  /** Of the line and the certificate together; what both must grant is granted. */
  readonly rules: KeyRules;
}

/** Somebody who may not. */
export interface Refusal {
  /** Why, as a clause for a log: "the key in line 3 expired". */
  readonly refused: string;
  /** Some line is about this key, or it is a certificate; a key that nobody has heard of is no news. */
  readonly known: boolean;
}

/**
 * Whether some line admits the key now and from there; of several that do, the one that `policy.prefer` likes best counts, or
 * else the first. A line that cannot be used (an option that is not enforced) refuses its key altogether, even if another
 * line would admit it.
 */
export function judgeKey(entries: readonly AuthorizedKey[], use: KeyUse, policy: KeyPolicy): Admission | Refusal {
  let certificate: Certificate | undefined;
  let plain: PublicKey;
  try {
    certificate = isCertificate(use.key) ? parseCertificate(use.key) : undefined;
    plain = certificate?.key ?? parsePublicKeyBlob(use.key);
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    return { refused: error.message, known: true };
  }
  const subject = certificate === undefined ? 'the key' : describeCertificate(certificate);
  const wanted = (certificate?.signatureKey ?? plain).blob;
  const lines = entries.filter(
    ({ key, options }) =>
      equalBytes(key.blob, wanted) &&
      options.some(({ name }) => name === 'cert-authority') === (certificate !== undefined),
  );
  if (lines.length === 0) return { refused: `no line admits ${subject}`, known: certificate !== undefined };

  const judged = lines.map(entry => ({ entry, rules: lineRules(entry, policy) }));
  const reasons: string[] = [];
  for (const { entry, rules } of judged)
    if (typeof rules === 'string') reasons.push(`the key in line ${entry.line} cannot be used: ${rules}`);
  if (reasons.length > 0) return { refused: reasons.join('; '), known: true };

  const admissions: Admission[] = [];
  for (const { entry, rules } of judged) {
    if (typeof rules === 'string') continue;
    const problem = checkLine(rules, use);
    if (problem !== undefined) {
      reasons.push(`the ${certificate === undefined ? 'key' : 'cert-authority'} in line ${entry.line} ${problem}`);
      continue;
    }
    const whole = certificate === undefined ? rules : withCertificate(certificate, rules, use, policy);
    const refused = typeof whole === 'string' ? whole : checkPresence(whole, plain.type, use.presence);
    if (refused === undefined && typeof whole !== 'string')
      admissions.push({ user: use.user, key: plain.blob, ...(certificate && { certificate }), entry, rules: whole });
    else reasons.push(`${certificate === undefined ? `the key in line ${entry.line}` : subject} ${refused}`);
  }
  if (policy.prefer !== undefined) admissions.sort(policy.prefer);
  return admissions[0] ?? { refused: reasons.join('; '), known: true };
}

/** The rules in a line by itself, or why it cannot be used under this policy: for those who want to say so when they read a file. */
export function lineRules(entry: AuthorizedKey, policy: Pick<KeyPolicy, 'enforced' | 'extra'>): KeyRules | string {
  return keyRules(entry, { ...policy, enforced: enforced(policy) });
}

/** Where the lines come from, and who hears of those who are let in. */
export interface AuthorizedKeysOptions extends KeyPolicy {
  /**
   * The lines that hold for this user, as `parseAuthorizedKeys` gives them, or `authorizedKeysFile`, which parses a file once for each
   * version. Asked for each key that anybody names, so it must cost little.
   */
  keys(user: string, client: Client): Eventually<readonly AuthorizedKey[]>;
  /**
   * Whether a public key or certificate (its blob) is revoked: true, or why in the words of `checkRevoked`. Asked for the key
   * or certificate that is offered, the key in the certificate, and the certificate's authority. What it throws keeps out.
   */
  revoked?(blob: Uint8Array, client: Client): Eventually<boolean | string | undefined>;
  /**
   * The client has proved that it owns the key, and `admission.rules` are what holds for it: keep them, and carry them out.
   * May still refuse (false), or answer in another way. Not called for those who only ask.
   */
  admitted(admission: Admission, client: Client): Eventually<boolean | AuthAnswer | undefined>;
  /**
   * The counters of security tokens so far, if several authenticators are to share them; by default this one's own. A number that
   * has come already keeps out, because there must be a copy of the token. False: they are not looked at.
   */
  readonly counters?: TokenCounters | false;
  /** Hears who was let in by which line, and who was not, with the rule that kept him out. */
  readonly log?: Logger;
  /** Milliseconds since 1970; by default the system's clock. */
  readonly now?: () => number;
}

/** Sign-in by public key or certificate, as the lines say. What keeps somebody out is in the log, one sentence that names the rule. */
export function authorizedKeys(options: AuthorizedKeysOptions): Authenticator {
  const { now = Date.now, counters = new TokenCounters() } = options;
  const log = unfailing(options.log);
  return {
    method: 'publickey',
    async answer(question, client) {
      if (question.method !== 'publickey' && question.method !== 'publickey-query') return { result: 'reject' };
      const { user, key, presence } = question;
      const { address } = client;
      const fields = { ...describe(client), user: printable(user), key: fingerprint(key) };
      const verdict = judgeKey(await options.keys(user, client), { user, key, presence, address, now: now() }, options);
      if ('refused' in verdict) {
        log[verdict.known ? 'info' : 'debug'](fields, `sign-in refused: ${verdict.refused}`);
        return { result: 'reject' };
      }
      const { certificate, entry, rules } = verdict;
      const subject = certificate === undefined ? 'the key' : describeCertificate(certificate);
      const revoked = await revocation(verdict, subject, blob => options.revoked?.(blob, client));
      if (revoked !== undefined) {
        log.info(fields, `sign-in refused: ${revoked}`);
        return { result: 'reject' };
      }
      const untouched = !rules.touchRequired;
      if (question.method === 'publickey-query') return { result: 'accept', untouched };
      if (presence !== undefined && counters && !counters.note(fingerprint(verdict.key), presence.counter)) {
        log.warn(fields, `sign-in refused: ${copied(subject, presence)}`);
        return { result: 'reject' };
      }
      log.info(fields, `${subject} is accepted by line ${entry.line}`);
      const answer = (await options.admitted(verdict, client)) ?? true;
      if (typeof answer === 'boolean') return answer ? { result: 'accept', untouched } : { result: 'reject' };
      return answer.result === 'accept' || answer.result === 'partial' ? { ...answer, untouched } : answer;
    },
  };
}

/** What is carried out here, whoever calls. */
const OWN = [
  ...['from', 'expiry-time', 'cert-authority', 'principals'],
  ...['touch-required', 'no-touch-required', 'verify-required', 'no-verify-required'],
];

const enforced = ({ enforced = [] }: Pick<KeyPolicy, 'enforced'>): string[] => [...OWN, ...enforced];

/** What a line asks for itself. */
function checkLine(rules: KeyRules, { address, hostName, now }: KeyUse): string | undefined {
  if (rules.principals !== undefined && !rules.certAuthority) return 'has principals, but is no cert-authority';
  if (rules.expiry !== undefined && now >= rules.expiry) return `expired at ${new Date(rules.expiry).toISOString()}`;
  if (!rules.from.every(patterns => matchFrom(patterns, address, hostName)))
    return `may not be used from ${printable(address, 80)}`;
  return undefined;
}

/** The extension that grants what a line grants by itself, and the option that a caller enforces who can do without it. */
const GRANTS = [
  ['portForwarding', 'permit-port-forwarding', 'no-port-forwarding'],
  ['agentForwarding', 'permit-agent-forwarding', 'no-agent-forwarding'],
  ['x11Forwarding', 'permit-X11-forwarding', 'no-x11-forwarding'],
  ['pty', 'permit-pty', 'no-pty'],
  ['userRc', 'permit-user-rc', 'no-user-rc'],
] as const;

/** The rules of line and certificate together, or why the certificate does not do. */
function withCertificate(certificate: Certificate, rules: KeyRules, use: KeyUse, policy: KeyPolicy): KeyRules | string {
  const { criticalOptions, extensions, validBefore } = certificate;
  const carriedOut = new Set(enforced(policy).map(name => name.toLowerCase()));
  const problem = checkCertificate(certificate, {
    kind: 'user',
    principals: rules.principals ?? [use.user],
    now: use.now,
    address: use.address,
    authority: () => true, // the line was found by it
    provider: policy.provider,
    authorityAlgorithms: policy.authorityAlgorithms,
    enforced: ['verify-required', ...(carriedOut.has('command') ? ['force-command'] : [])],
  });
  if (problem !== undefined) return problem;
  const granted = { ...rules };
  for (const [feature, extension, option] of GRANTS) {
    if (extensions.has(extension)) continue;
    if (!carriedOut.has(option)) return `does not ${extension.replace('-', ' ')}, and ${option} is not supported`;
    granted[feature] = false;
  }
  const forced = criticalOptions.get('force-command');
  const command = forced === undefined ? undefined : optionText(forced);
  if (command !== undefined && rules.command !== undefined && command !== rules.command)
    return 'has another force-command than the line has command';
  const end = Number(validBefore) * 1000;
  return {
    ...granted,
    command: command ?? rules.command,
    touchRequired: rules.touchRequired || !extensions.has('no-touch-required'),
    verifyRequired: rules.verifyRequired || criticalOptions.has('verify-required'),
    ...(end <= MAX_TIME && { expiry: Math.min(end, rules.expiry ?? end) }),
  };
}

/** The last moment that Date knows. */
const MAX_TIME = 8.64e15;

/** Whether somebody was there, as far as the rules want that. */
function checkPresence(rules: KeyRules, type: string, presence: Presence | undefined): string | undefined {
  if (!isTokenType(type))
    return rules.verifyRequired ? 'has verify-required, which is for keys in security tokens' : undefined;
  if (presence === undefined) return undefined;
  if (rules.touchRequired && !presence.touched) return 'is in a security token that nobody touched';
  if (rules.verifyRequired && !presence.verified)
    return 'is in a security token that did not verify its user, which verify-required asks for';
  return undefined;
}

/** What to say of a key whose token's counter has gone back. */
export const copied = (subject: string, { counter }: Presence): string =>
  `${subject} is in a security token of which there must be a copy: its counter, ${counter}, has gone by already`;

/** Which part of what was offered is revoked, and why. */
async function revocation(
  { key, certificate }: Admission,
  subject: string,
  revoked: (blob: Uint8Array) => Eventually<boolean | string | undefined>,
): Promise<string | undefined> {
  const parts: [string, Uint8Array][] =
    certificate === undefined
      ? [[subject, key]]
      : [
          [subject, certificate.blob],
          [`${subject}: its key`, key],
          [`${subject}: its authority`, certificate.signatureKey.blob],
        ];
  for (const [what, blob] of parts) {
    const why = await revoked(blob);
    if (why) return `${what} ${why === true ? 'is revoked' : why}`;
  }
  return undefined;
}
