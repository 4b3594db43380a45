// Issuing certificates (PROTOCOL.certkeys): what `ssh-keygen -s` does, as a function; and joining one to its private key.
import { KeyFormatError, printable, UsageError } from '../../protocol/errors.ts';
import { equalBytes, Reader, Writer } from '../../protocol/wire/reader.ts';
import type { CryptoProvider, PrivateKey } from '../provider.ts';
import { parseNetworks } from './address-match.ts';
import { type Certificate, certificateName, kindNumbers, MAX_PRINCIPALS, parseCertificate } from './certificate.ts';
import { keyTypeNames } from './key-types.ts';
import type { PublicKey } from './public-key.ts';

/** What is to be certified. */
export interface CertificateRequest {
  /** The plain public key of the user or host. */
  readonly key: Pick<PublicKey, 'type' | 'blob'>;
  /** SSH_CERT_TYPE_USER or SSH_CERT_TYPE_HOST: to sign in with, or to be the host. */
  readonly kind: 'user' | 'host';
  /** Who it is, for logs of those who accept it. */
  readonly keyId: string;
  /** User names, or host names and patterns of them; at least one, because none would mean everybody to OpenSSH before 10.3. */
  readonly principals: readonly string[];
  /** Seconds since 1970, uint64, from which on it is valid. */
  readonly validAfter: bigint;
  /** Seconds since 1970, uint64, from which on it is so no more; `FOREVER` for no end. */
  readonly validBefore: bigint;
  /** The authority's number for this certificate, by which it can be revoked; 0 if it does not number. */
  readonly serial?: bigint;
  /**
   * Restrictions of a user's certificate: `force-command` (text), `source-address` (addresses and CIDR networks, separated by
   * commas), `verify-required` (true); and the authority's own, named name@domain. Bytes are taken as the value as it stands.
   */
  readonly criticalOptions?: CertificateOptions;
  /** Permissions of a user's certificate; `STANDARD_EXTENSIONS` are those that ssh-keygen gives. None, unless given. */
  readonly extensions?: CertificateOptions;
}

/** Option name → text, true for an option without a value, or the bytes of the value. */
export type CertificateOptions = Readonly<Record<string, string | true | Uint8Array>>;

/** What `ssh-keygen -s` permits by default: everything that an ordinary key may do. */
export const STANDARD_EXTENSIONS: CertificateOptions = {
  'permit-X11-forwarding': true,
  'permit-agent-forwarding': true,
  'permit-port-forwarding': true,
  'permit-pty': true,
  'permit-user-rc': true,
};

/** Random bytes at the beginning, against collisions in the signature's hash; as many as OpenSSH puts there. */
const NONCE = 32;

/**
 * A new certificate's blob, signed by `authority` under `algorithm` (by default the provider's first for its key).
 * `parseCertificate` reads it, `formatCertificate` makes the line of a -cert.pub file of it.
 * @throws UsageError if the request makes no sense, or the authority cannot sign
 */
export function issueCertificate(
  request: CertificateRequest,
  authority: PrivateKey,
  provider: Pick<CryptoProvider, 'signatures' | 'random'>,
  algorithm?: string,
): Uint8Array {
  checkRequest(request);
  const { key, kind, keyId, principals, validAfter, validBefore, serial = 0n } = request;
  const signer = provider.signatures.find(
    ({ name, keyType, plain }) =>
      keyType === authority.type && plain === undefined && (algorithm === undefined || name === algorithm),
  );
  if (signer === undefined)
    throw new UsageError(
      `a key of type ${printable(authority.type, 80)} cannot sign certificates${algorithm ? ` with ${printable(algorithm, 80)}` : ''}`,
    );
  const plain = new Reader(key.blob);
  plain.string(); // the type's name
  const names = new Writer();
  for (const principal of principals) names.string(principal);
  const writer = new Writer(1024)
    .string(certificateName(key.type))
    .string(provider.random(new Uint8Array(NONCE)))
    .raw(plain.rest())
    .uint64(serial)
    .uint32(kindNumbers[kind])
    .string(keyId)
    .string(names.finish())
    .uint64(validAfter)
    .uint64(validBefore)
    .string(writeOptions(request.criticalOptions))
    .string(writeOptions(request.extensions))
    .string('') // reserved
    .string(authority.blob);
  const signed = writer.finish();
  const signature = signer.sign(authority, signed, provider.random);
  const blob = new Writer(signed.length + signature.length + 4).raw(signed).string(signature).finish();
  return readBack(blob).blob;
}

/**
 * A private key that presents itself with its certificate: give it to a Server as a host key, or to `dial` as a
 * credential. The plain key stays usable beside it.
 * @throws UsageError if the certificate is for another key
 */
export function certifiedKey(key: PrivateKey, certificate: Certificate): PrivateKey {
  if (!equalBytes(key.blob, certificate.key.blob))
    throw new UsageError(`the certificate "${printable(certificate.keyId)}" is for another key`);
  return { ...key, type: certificate.type, blob: certificate.blob };
}

/** Whoever is to read the certificate must find in it what was asked for. */
function checkRequest(request: CertificateRequest): void {
  const { key, kind, keyId, principals, validAfter, validBefore, serial = 0n, criticalOptions = {} } = request;
  if (!keyTypeNames.includes(key.type))
    throw new UsageError(`keys of type "${printable(key.type, 80)}" cannot be certified`);
  if (kind !== 'user' && kind !== 'host') throw new UsageError('a certificate is for a user or for a host');
  if (principals.length === 0) throw new UsageError('a certificate needs at least one principal');
  if (principals.length > MAX_PRINCIPALS)
    throw new UsageError(`a certificate may have ${MAX_PRINCIPALS} principals, not ${principals.length}`);
  // A comma would make two of one in an authorized_keys line or ssh-keygen's -n.
  for (const text of principals)
    if (text === '' || printable(text, Number.POSITIVE_INFINITY) !== text || /[, ]/.test(text))
      throw new UsageError(`"${printable(text, 80)}" cannot be a principal`);
  if (printable(keyId, Number.POSITIVE_INFINITY) !== keyId)
    throw new UsageError("a certificate's key id may hold printable characters only");
  for (const number of [serial, validAfter, validBefore])
    if (number < 0n || number >= 2n ** 64n) throw new UsageError(`${number} does not fit into 64 bits`);
  if (validAfter >= validBefore) throw new UsageError('a certificate that ends before it begins is never valid');
  if (kind === 'host') {
    if (Object.keys(criticalOptions).length > 0 || Object.keys(request.extensions ?? {}).length > 0)
      throw new UsageError('there are no options for host certificates: OpenSSH refuses or ignores them');
    return;
  }
  const { 'source-address': source, 'force-command': command, 'verify-required': verify } = criticalOptions;
  if (source !== undefined) {
    const networks = typeof source === 'string' ? parseNetworks(source) : 'its value is not text';
    if (typeof networks === 'string')
      throw new UsageError(`a certificate cannot have this source-address: ${networks}`);
  }
  if (command !== undefined && typeof command !== 'string')
    throw new UsageError('the value of force-command is the command');
  if (verify !== undefined && verify !== true) throw new UsageError('verify-required has no value');
}

/** In the order of their names, as all who read them demand. */
function writeOptions(options: CertificateOptions = {}): Uint8Array {
  const writer = new Writer();
  for (const [name, value] of Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))) {
    writer.string(name);
    if (value === true) writer.string('');
    else writer.string(typeof value === 'string' ? new Writer().string(value).finish() : value);
  }
  return writer.finish();
}

function readBack(blob: Uint8Array): Certificate {
  try {
    return parseCertificate(blob);
  } catch (error) {
    if (error instanceof KeyFormatError) throw new UsageError(`no certificate can be made of this: ${error.message}`);
    throw error;
  }
}
