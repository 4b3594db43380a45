// Whether a certificate is good for what somebody wants to do with it (PROTOCOL.certkeys; what sshd and ssh check).
import { printable } from '../../protocol/errors.ts';
import { Reader } from '../../protocol/wire/reader.ts';
import { byName, type SignatureAlgorithm } from '../provider.ts';
import { matchFrom, matchGlob, parseNetworks } from './address-match.ts';
import { type Certificate, FOREVER, optionText } from './certificate.ts';
import { fingerprint } from './public-key.ts';

/** What the certificate is wanted for. */
export interface CertificateUse {
  /** To sign in with, or to be the host. */
  readonly kind: 'user' | 'host';
  /**
   * One of these names must be among the certificate's: the user's, or the host's as it was asked for (there the
   * certificate's names may be patterns). Left out only by who has compared them in another way: an empty list of
   * names in the certificate is refused all the same.
   */
  readonly principals?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The client's IP address, for `source-address`; without it a certificate with that option is refused. */
  readonly address?: string;
  /** Whether this key (a public key blob) may sign such certificates. */
  authority(key: Uint8Array): boolean;
  /** Verifies the authority's signature. */
  readonly provider: { readonly signatures: readonly SignatureAlgorithm[] };
  /** Names of algorithms that authorities may sign with; by default all of the provider's (there is no SHA-1 among them). */
  readonly authorityAlgorithms?: readonly string[];
  /**
   * Critical options that the caller carries out, of `force-command` and `verify-required` (and its own). A certificate
   * with any other is refused. `source-address` is carried out here.
   */
  readonly enforced?: readonly string[];
}

/**
 * Undefined if the certificate may be used, else which rule it breaks, as a sentence without its subject:
 * "expired at 2026-01-01T00:00:00Z". That its owner holds the private key is another matter.
 */
export function checkCertificate(certificate: Certificate, use: CertificateUse): string | undefined {
  return (
    checkAuthority(certificate, use) ??
    checkKind(certificate, use) ??
    checkValidity(certificate, use) ??
    checkPrincipals(certificate, use) ??
    checkOptions(certificate, use)
  );
}

/** Flags among the options: they have no value. */
const FLAGS = [
  'verify-required',
  'no-touch-required',
  'permit-X11-forwarding',
  'permit-agent-forwarding',
  'permit-port-forwarding',
  'permit-pty',
  'permit-user-rc',
];

function checkAuthority(certificate: Certificate, { authority, provider, authorityAlgorithms }: CertificateUse) {
  const { signatureKey, signature, signed } = certificate;
  if (!authority(signatureKey.blob)) return `is signed by a foreign authority, ${fingerprint(signatureKey.blob)}`;
  const name = signatureName(signature);
  const algorithm = byName(provider.signatures, name);
  if (algorithm === undefined || !(authorityAlgorithms?.includes(name) ?? algorithm.plain === undefined))
    return `is signed with the algorithm "${printable(name, 80)}", which is not allowed for authorities`;
  if (!algorithm.verify(signatureKey.blob, signed, signature)) return 'has a wrong signature';
  return undefined;
}

function checkKind(certificate: Certificate, use: CertificateUse): string | undefined {
  if (certificate.kind === use.kind) return undefined;
  return `is for a ${certificate.kind}, not for a ${use.kind}`;
}

function checkValidity({ validAfter, validBefore }: Certificate, { now }: CertificateUse): string | undefined {
  const seconds = BigInt(Math.floor(now / 1000));
  if (seconds < validAfter) return `is not valid before ${formatTime(validAfter)}`;
  if (seconds >= validBefore) return `expired at ${formatTime(validBefore)}`;
  return undefined;
}

function checkPrincipals({ kind, principals }: Certificate, use: CertificateUse): string | undefined {
  // OpenSSH before 10.3 took this to mean everybody, and so every forgotten list became a master key (CVE-2024-7594).
  if (principals.length === 0) return 'has an empty list of principals';
  if (use.principals === undefined) return undefined;
  const matches = (name: string) =>
    principals.some(principal =>
      // Host names have no case; sshd compares user names as they stand.
      kind === 'host' ? matchGlob(principal.toLowerCase(), name.toLowerCase()) : principal === name,
    );
  if (use.principals.some(matches)) return undefined;
  const wanted = use.principals.map(name => `"${printable(name, 80)}"`).join(' or ');
  const has = principals.map(name => `"${printable(name, 80)}"`).join(', ');
  return `is not for ${wanted || 'anybody'}: its principals are ${has.length > 400 ? `${has.slice(0, 400)}…` : has}`;
}

function checkOptions({ kind, criticalOptions, extensions }: Certificate, use: CertificateUse): string | undefined {
  for (const [name, value] of criticalOptions) {
    const known = kind === 'user' && (name === 'source-address' || use.enforced?.includes(name));
    if (!known) return `has the critical option ${printable(name, 80)}, which is not supported`;
    const problem = checkValue(name, value) ?? (name === 'source-address' ? checkSource(value, use) : undefined);
    if (problem !== undefined) return problem;
  }
  for (const [name, value] of extensions) {
    const problem = kind === 'user' ? checkValue(name, value) : undefined;
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The form of the options that PROTOCOL.certkeys defines; others may hold what they like. */
function checkValue(name: string, value: Uint8Array): string | undefined {
  if (FLAGS.includes(name)) return value.length > 0 ? `has a value in its option ${name}, which takes none` : undefined;
  if (name !== 'force-command' && name !== 'source-address') return undefined;
  try {
    optionText(value);
    return undefined;
  } catch {
    return `has an option ${name} that is damaged`;
  }
}

function checkSource(value: Uint8Array, { address }: CertificateUse): string | undefined {
  const list = optionText(value);
  const networks = parseNetworks(list);
  if (typeof networks === 'string') return `has a source-address that makes no sense: ${networks}`;
  if (address === undefined) return 'has a source-address, and the address of the client is not known';
  if (matchFrom(networks, address)) return undefined;
  return `is not to be used from ${printable(address, 80)}: its source-address is ${printable(list)}`;
}

function signatureName(signature: Uint8Array): string {
  try {
    return new Reader(signature).name();
  } catch {
    return '';
  }
}

/** A time in a certificate as text; 2^64−1 is for ever, and Date ends in the year 275760. */
function formatTime(seconds: bigint): string {
  if (seconds === FOREVER) return 'the end of time';
  if (seconds > 8_640_000_000_000n) return `second ${seconds} of the epoch`;
  return new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z');
}
