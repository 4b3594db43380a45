// SSHSIG: signatures over files and messages with SSH keys (OpenSSH's PROTOCOL.sshsig; `ssh-keygen -Y sign`, git).
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { KeyFormatError, ProtocolError, printable, UsageError } from '../../protocol/errors.ts';
import { encodeUtf8, equalBytes, Reader, Writer } from '../../protocol/wire/reader.ts';
import type { CryptoProvider, PrivateKey, SignatureAlgorithm } from '../provider.ts';
import { isCertificate, parseCertificate } from './certificate.ts';
import { inFormat } from './key-types.ts';
import { formatPem, MAX_PEM, readPem } from './pem.ts';
import { parsePublicKeyBlob } from './public-key.ts';

/** What the message is hashed with before it is signed (PROTOCOL.sshsig §3). */
export type SshsigHash = 'sha256' | 'sha512';

/** A signature as plain data. */
export interface SshSignature {
  /** The signer's public key blob, or certificate. Nobody has vouched for it: see allowed-signers.ts. */
  readonly key: Uint8Array;
  /** What the signature is for: "file", "git", "name@example.org". Keeps one made for one purpose from counting for another. */
  readonly namespace: string;
  /** Under which the message was signed. */
  readonly hash: SshsigHash;
  /** RFC 4253 §6.6: string algorithm ‖ string value. */
  readonly signature: Uint8Array;
}

/** What is signed: its bytes, or, for what is too large for memory, a function that gives its digest under a hash. */
export type SignedMessage = Uint8Array | ((hash: SshsigHash) => Uint8Array);

/** The signature in the text of a file, with BEGIN and END lines; nothing of it is verified. @throws KeyFormatError, one sentence */
export function parseSignature(text: string): SshSignature {
  if (text.length > MAX_PEM) throw new KeyFormatError('the file is too large to be a signature');
  const { label, headers, bytes } = readPem(text, '', 'the signature');
  if (label !== LABEL) throw new KeyFormatError(`this is no signature: it begins with "-----BEGIN ${label}-----"`);
  if (headers.size > 0) throw new KeyFormatError('the signature is damaged: it has headers, and must have none');
  return inFormat('the signature', () => {
    if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC))
      throw new KeyFormatError('the signature is damaged: it does not begin with "SSHSIG"');
    const reader = new Reader(bytes, MAGIC.length);
    const version = reader.uint32();
    if (version !== VERSION) throw new KeyFormatError(`the signature has version ${version}, and only 1 is supported`);
    const key = reader.string();
    const namespace = reader.text();
    reader.string(); // reserved
    const hash = reader.name();
    const signature = reader.string();
    reader.finish();
    if (namespace === '') throw new KeyFormatError('the signature has an empty namespace');
    if (namespace.includes('\0')) throw new KeyFormatError('the namespace of the signature contains a NUL character');
    if (hash !== 'sha256' && hash !== 'sha512')
      throw new KeyFormatError(`the signature is over a hash that is not supported: "${printable(hash, 40)}"`);
    if (isCertificate(key)) parseCertificate(key);
    else parsePublicKeyBlob(key);
    return { key: key.slice(), namespace, hash, signature: signature.slice() };
  });
}

/** The text of a signature file. */
export function formatSignature({ key, namespace, hash, signature }: SshSignature): string {
  const blob = new Writer(512)
    .raw(MAGIC)
    .uint32(VERSION)
    .string(key)
    .string(namespace)
    .string('') // reserved
    .string(hash)
    .string(signature)
    .finish();
  return formatPem(LABEL, blob, 70);
}

/** The bytes that a key signs (PROTOCOL.sshsig §3): for signers that are not in this process, like an agent. @throws UsageError if the namespace is empty or the digest of the wrong length */
export function signatureInput(message: SignedMessage, namespace: string, hash: SshsigHash): Uint8Array {
  if (namespace === '' || namespace.includes('\0'))
    throw new UsageError('the namespace of a signature must not be empty, nor contain NUL');
  const digest = typeof message === 'function' ? message(hash) : HASHES[hash](message);
  if (digest.length !== HASHES[hash].outputLen) throw new UsageError(`a digest under ${hash} has another length`);
  const reserved = '';
  return new Writer(256).raw(MAGIC).string(namespace).string(reserved).string(hash).string(digest).finish();
}

/**
 * The text of a signature file over the message, as `ssh-keygen -Y sign -n NAMESPACE` makes it. RSA keys sign with
 * rsa-sha2-512. `hash` is what the message is digested with, sha512 if not given.
 * @throws UsageError if the key cannot sign or the namespace is empty
 */
export function signMessage(
  key: PrivateKey,
  message: SignedMessage,
  options: { readonly namespace: string; readonly hash?: SshsigHash },
  provider: Pick<CryptoProvider, 'signatures' | 'random'>,
): string {
  const { namespace, hash = 'sha512' } = options;
  // Best first: of RSA's, rsa-sha2-512.
  const algorithm = provider.signatures.find(({ keyType }) => keyType === key.type);
  if (algorithm === undefined) throw new UsageError(`there is no way to sign with a ${printable(key.type, 80)} key`);
  const signature = algorithm.sign(key, signatureInput(message, namespace, hash), provider.random);
  return formatSignature({ key: key.blob, namespace, hash, signature });
}

/**
 * Whether the signature is one over this message by the key in it, for `namespace`: undefined if it is, else why not, as
 * a sentence. Who owns the key is another matter: see `checkSigner`.
 * @param options.untouched accepts signatures that a security token has made without being touched
 */
export function verifySignature(
  signature: SshSignature,
  message: SignedMessage,
  namespace: string,
  provider: { readonly signatures: readonly SignatureAlgorithm[] },
  options: { readonly untouched?: boolean } = {},
): string | undefined {
  if (signature.namespace !== namespace)
    return `the signature is for "${printable(signature.namespace, 80)}", not for "${printable(namespace, 80)}"`;
  const name = nameOf(signature.signature);
  const type = nameOf(signature.key);
  const algorithm = provider.signatures.find(
    ({ name: own, plain, keyType }) => keyType === type && (plain ?? own) === name,
  );
  if (algorithm === undefined)
    return `the signature was made with "${printable(name, 80)}", which is not supported for keys of type "${printable(type, 80)}"`;
  const signed = signatureInput(message, namespace, signature.hash);
  if (!algorithm.verify(signature.key, signed, signature.signature)) return 'the signature is wrong';
  if (algorithm.presence?.(signature.signature).touched === false && !options.untouched)
    return 'the signature was made by a security token that nobody has touched';
  return undefined;
}

const LABEL = 'SSH SIGNATURE';
const MAGIC = encodeUtf8('SSHSIG');
const VERSION = 1;
const HASHES = { sha256, sha512 };

/** The name at the beginning of a blob; empty if there is none. */
function nameOf(blob: Uint8Array): string {
  try {
    return new Reader(blob).name();
  } catch (error) {
    if (error instanceof ProtocolError) return '';
    throw error;
  }
}
