// Host key rotation (OpenSSH PROTOCOL §2.5): after sign-in the server names all its keys, and proves on demand that it has their private halves.
import { byName, type CryptoProvider, type PrivateKey } from '../crypto/provider.ts';
import type { Connection } from '../protocol/connection.ts';
import { equalBytes, Reader, Writer } from '../protocol/wire/reader.ts';

export const HOSTKEYS = 'hostkeys-00@openssh.com';
export const HOSTKEYS_PROVE = 'hostkeys-prove-00@openssh.com';

/** The blobs of all keys, a string each. */
export function hostKeysAnnouncement(keys: readonly PrivateKey[]): Uint8Array {
  const writer = new Writer(1024);
  for (const { blob } of keys) writer.string(blob);
  return writer.finish();
}

/**
 * The answer to a request for proof: a signature for each key named, in order, as strings; false if one is not ours or
 * is named twice (each signature costs us more than the asking). @throws ProtocolError if the request is malformed
 */
export function proveHostKeys(
  request: Uint8Array,
  keys: readonly PrivateKey[],
  provider: CryptoProvider,
  { transport }: Connection,
): Uint8Array | false {
  const left = [...keys];
  const proofs = new Writer(1024);
  for (const reader = new Reader(request); reader.remaining > 0; ) {
    const blob = reader.string();
    const at = left.findIndex(key => equalBytes(key.blob, blob));
    if (at < 0) return false;
    const [key] = left.splice(at, 1);
    const algorithm = proofAlgorithm(key.type, transport.negotiated!.hostKey, provider);
    if (algorithm === undefined) return false;
    proofs.string(algorithm.sign(key, proofData(transport.sessionId!, blob), provider.random));
  }
  return proofs.finish();
}

/** What a proof signs. */
export function proofData(sessionId: Uint8Array, blob: Uint8Array): Uint8Array {
  return new Writer(512).string(HOSTKEYS_PROVE).string(sessionId).string(blob).finish();
}

/** An RSA key has two algorithms: the one of the key exchange if that was by RSA, else the best. */
export function proofAlgorithm(keyType: string, negotiated: string, provider: CryptoProvider) {
  const used = byName(provider.signatures, negotiated);
  return used?.keyType === keyType ? used : provider.signatures.find(algorithm => algorithm.keyType === keyType);
}
