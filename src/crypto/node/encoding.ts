// What the node:crypto files share: base64url for JWK, the cheapest form in which node:crypto takes a key, hashes as functions, and Buffers made plain.
import { createHash } from 'node:crypto';

export const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');

/** The same memory as an ordinary array: `slice` of a Buffer is no copy, and everyone outside of this folder takes it for one. */
export const plain = (bytes: Buffer): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

export const nodeHash =
  (name: string) =>
  (data: Uint8Array): Uint8Array =>
    plain(createHash(name).update(data).digest());
