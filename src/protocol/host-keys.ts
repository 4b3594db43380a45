// Host key rotation (OpenSSH PROTOCOL §2.5): after sign-in a server names all its keys, and proves on demand that it has their private halves.
import { byName, type CryptoProvider, type PrivateKey, type SignatureAlgorithm } from '../crypto/provider.ts';
import type { Transport } from './transport/transport.ts';
import { equalBytes, Reader, Writer } from './wire/reader.ts';

/** The server's global request that names its keys; wants no reply. */
export const HOSTKEYS = 'hostkeys-00@openssh.com';
/** The client's, that asks for proof. */
export const HOSTKEYS_PROVE = 'hostkeys-prove-00@openssh.com';

/** Keys of one server that a client asks about; a server has one of each type. */
const MAX_ANNOUNCED = 32;

type Session = Pick<Transport, 'sessionId' | 'negotiated' | 'hostKey'>;

// The server's part

/** The blobs of all keys, a string each; those that only present another one with a certificate are left out. */
export function hostKeysAnnouncement(keys: readonly PrivateKey[], provider: CryptoProvider): Uint8Array {
  const writer = new Writer(1024);
  for (const { type, blob } of keys) if (plainAlgorithm(type, provider)) writer.string(blob);
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
  session: Session,
): Uint8Array | false {
  const left = [...keys];
  const proofs = new Writer(1024);
  for (const reader = new Reader(request); reader.remaining > 0; ) {
    const blob = reader.string();
    const at = left.findIndex(key => equalBytes(key.blob, blob));
    if (at < 0) return false;
    const [key] = left.splice(at, 1);
    const algorithm = proofAlgorithm(key.type, session.negotiated!.hostKey, provider);
    if (algorithm === undefined) return false;
    proofs.string(algorithm.sign(key, proofData(session.sessionId!, blob), provider.random));
  }
  return proofs.finish();
}

/** What a proof signs. */
export function proofData(sessionId: Uint8Array, blob: Uint8Array): Uint8Array {
  return new Writer(512).string(HOSTKEYS_PROVE).string(sessionId).string(blob).finish();
}

/** An RSA key has two algorithms: the one of the key exchange if that was by RSA, else the best. */
export function proofAlgorithm(
  keyType: string,
  negotiated: string,
  provider: CryptoProvider,
): SignatureAlgorithm | undefined {
  const used = byName(provider.signatures, negotiated);
  return used?.keyType === keyType ? used : provider.signatures.find(algorithm => algorithm.keyType === keyType);
}

// The client's part

/** The keys in an announcement that are of a type known here, each once. @throws ProtocolError if it is malformed */
export function announcedHostKeys(announcement: Uint8Array, provider: CryptoProvider): Uint8Array[] {
  const blobs: Uint8Array[] = [];
  for (const reader = new Reader(announcement); reader.remaining > 0; ) {
    const blob = reader.string();
    if (plainAlgorithm(typeOf(blob), provider) === undefined || blobs.length >= MAX_ANNOUNCED) continue;
    if (!blobs.some(other => equalBytes(other, blob))) blobs.push(blob.slice());
  }
  return blobs;
}

/** The request for proof of those keys. */
export function hostKeysRequest(blobs: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer(1024);
  for (const blob of blobs) writer.string(blob);
  return writer.finish();
}

/** Whether `answer` proves that the server has every one of the keys that it was asked for. @throws ProtocolError if it is malformed */
export function hostKeysProven(
  answer: Uint8Array,
  blobs: readonly Uint8Array[],
  provider: CryptoProvider,
  session: Session,
): boolean {
  const reader = new Reader(answer);
  const proven = blobs.every(blob => {
    const signature = reader.string();
    const algorithm = byName(provider.signatures, typeOf(signature));
    return (
      algorithm?.keyType === typeOf(blob) && algorithm.verify(blob, proofData(session.sessionId!, blob), signature)
    );
  });
  return proven && reader.remaining === 0;
}

/** What a blob begins with. */
const typeOf = (blob: Uint8Array): string => new Reader(blob).name();

/** An algorithm for plain keys of that type, not for certificates. */
const plainAlgorithm = (keyType: string, { signatures }: CryptoProvider): SignatureAlgorithm | undefined =>
  signatures.find(algorithm => algorithm.keyType === keyType && algorithm.plain === undefined);
