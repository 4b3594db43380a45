// Keys and the files that hold them: what the rest of the program uses of this folder.
export { type AddressPattern, matchFrom, matchGlob, parseFrom, parseNetworks } from './address-match.ts';
export {
  type AllowedSigner,
  checkSigner,
  findPrincipals,
  parseAllowedSigners,
  type SignerPolicy,
} from './allowed-signers.ts';
export {
  type AuthorizedKey,
  formatAuthorizedKey,
  type KeyFileProblem,
  type KeyOption,
  MAX_KEY_FILE,
  MAX_KEY_LINE,
  MAX_PROBLEMS,
  parseAuthorizedKeys,
} from './authorized-keys.ts';
export { decodeBase64, encodeBase64 } from './base64.ts';
export {
  type Certificate,
  certificateName,
  certificateTypeNames,
  describeCertificate,
  FOREVER,
  formatCertificate,
  isCertificate,
  MAX_PRINCIPALS,
  optionText,
  parseCertificate,
  parseCertificateLine,
} from './certificate.ts';
export { type CertificateUse, checkCertificate } from './certificate-check.ts';
export {
  type CertificateOptions,
  type CertificateRequest,
  certifiedKey,
  issueCertificate,
  STANDARD_EXTENSIONS,
} from './certificate-issue.ts';
export { formatAddress, parseAddress } from './ip-address.ts';
export { type KeyRules, type KnownOption, keyRules, type Permit, parseExpiry, permits } from './key-options.ts';
export { isTokenType, keyTypeNames } from './key-types.ts';
export {
  formatKnownHost,
  type HostKeyVerdict,
  type HostName,
  hostText,
  type KnownHost,
  lookupHost,
  matchesHost,
  orderHostKeyAlgorithms,
  parseKnownHosts,
} from './known-hosts.ts';
export {
  checkRevoked,
  type Krl,
  MAX_KRL,
  parseKrl,
  parseRevokedKeys,
  type RevokedCertificates,
  type SerialRange,
} from './krl.ts';
export { formatKrl, makeKrl, type Revocations } from './krl-write.ts';
export {
  DEFAULT_ROUNDS,
  formatPkcs8,
  formatPrivateKey,
  isEncrypted,
  MAX_ROUNDS,
  parsePrivateKey,
  publicOf,
} from './private-key.ts';
export {
  describePublicKey,
  fingerprint,
  formatPublicKey,
  keySize,
  type PublicKey,
  parsePublicKey,
  parsePublicKeyBlob,
} from './public-key.ts';
export { formatPkcs8PublicKey, formatSsh2PublicKey, parsePublicKeyFile } from './public-key-formats.ts';
export {
  formatSignature,
  parseSignature,
  type SignedMessage,
  type SshSignature,
  type SshsigHash,
  signatureInput,
  signMessage,
  verifySignature,
} from './sshsig.ts';
