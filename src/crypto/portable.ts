// Cryptography and keys that run wherever JavaScript does: what `cordboard/crypto` exports in a browser.
export * from './keys/index.ts';
export { noble } from './noble.ts';
export {
  byName,
  type CipherAlgorithm,
  type CompressionAlgorithm,
  type CryptoProvider,
  type KexAlgorithm,
  type KexInitiator,
  type Mac,
  type MacAlgorithm,
  type Opener,
  type Output,
  type Presence,
  type PrivateKey,
  type Random,
  type Sealer,
  type SignatureAlgorithm,
} from './provider.ts';
export { zlib } from './zlib.ts';
