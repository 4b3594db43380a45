// Cryptography and keys: what `cordboard/crypto` exports. A browser gets portable.ts alone, because there is no node:crypto.
export { accelerated, implementations, type Origin } from './accelerated.ts';
export * from './portable.ts';
