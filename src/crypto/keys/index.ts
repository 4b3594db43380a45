// Keys and the files that hold them: what the rest of the program uses of this folder.
export { type AddressPattern, matchFrom, matchGlob, parseFrom } from './address-match.ts';
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
export { formatAddress, parseAddress } from './ip-address.ts';
export { type KeyRules, type KnownOption, keyRules, type Permit, parseExpiry, permits } from './key-options.ts';
export { keyTypeNames } from './key-types.ts';
export { DEFAULT_ROUNDS, formatPrivateKey, isEncrypted, MAX_ROUNDS, parsePrivateKey, publicOf } from './private-key.ts';
export {
  describePublicKey,
  fingerprint,
  formatPublicKey,
  keySize,
  type PublicKey,
  parsePublicKey,
  parsePublicKeyBlob,
} from './public-key.ts';
