// What the node:crypto files share: base64url for JWK, the cheapest form in which node:crypto takes a key, and hashes as functions.
import { createHash } from 'node:crypto';

export const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');

export const nodeHash =
  (name: string) =>
  (data: Uint8Array): Uint8Array =>
    createHash(name).update(data).digest();
