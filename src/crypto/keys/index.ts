// Keys and the files that hold them: what the rest of the program uses of this folder.
export { decodeBase64, encodeBase64 } from './base64.ts';
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
