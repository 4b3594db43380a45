// What makes a transcript tamper-evident: a line after each write that signs everything above it, the seals before it included,
// with the session's own host key; and a signature over the whole in SSHSIG form, which stock ssh-keygen verifies.
import { createHash } from 'node:crypto';
import {
  type PublicKey,
  type SignedMessage,
  type SshSignature,
  signatureInput,
  signMessage,
  verifySignature,
} from '../../crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import { equalBytes, Writer } from '../../protocol/wire/reader.ts';

/** What the signature over the whole is for (`ssh-keygen -Y verify -n`). */
export const NAMESPACE = 'transcript@cordboard';
/** Another one, so that a seal half-way can never be taken for the signature over a whole transcript. */
const SEAL_NAMESPACE = 'seal@cordboard';
/** The words with which a seal's line begins; a number and a signature follow. */
export const SEAL = '# seal ';
/** The comment behind which there is nothing more but its seal. */
export const END = '# end\n';

const KEY_TYPE = 'ssh-ed25519';
const SIGNATURE_BYTES = 64;

/** Seals what is written, and in the end signs it. */
export class Sealing {
  readonly #key: PrivateKey;
  readonly #provider: CryptoProvider;
  readonly #hash = createHash('sha512');
  #count = 0;

  /** @param key of type ssh-ed25519 */
  constructor(key: PrivateKey, provider: CryptoProvider) {
    this.#key = key;
    this.#provider = provider;
  }

  /** The bytes of the lines with their seal behind them. */
  seal(lines: string): Uint8Array {
    const written = Buffer.from(lines);
    this.#hash.update(written);
    const algorithm = this.#provider.signatures.find(({ keyType }) => keyType === KEY_TYPE)!;
    const signed = signatureInput(this.#above, SEAL_NAMESPACE, 'sha512');
    const blob = algorithm.sign(this.#key, signed, this.#provider.random);
    // The name of the algorithm goes without saying.
    const value = Buffer.from(blob.subarray(blob.length - SIGNATURE_BYTES)).toString('base64');
    const line = Buffer.from(`${SEAL}${this.#count++} ${value}\n`);
    this.#hash.update(line);
    return Buffer.concat([written, line]);
  }

  /** The text of a signature file over all that has been sealed. */
  sign(): string {
    return signMessage(this.#key, this.#above, { namespace: NAMESPACE }, this.#provider);
  }

  /** What is signed: all so far. */
  readonly #above: SignedMessage = () => this.#hash.copy().digest();
}

/** Checks what `Sealing` has made, given line by line. */
export class SealCheck {
  readonly #key: PublicKey;
  readonly #provider: Pick<CryptoProvider, 'signatures'>;
  readonly #hash = createHash('sha512');
  /** Seals that were right so far. */
  count = 0;

  constructor(key: PublicKey, provider: Pick<CryptoProvider, 'signatures'>) {
    this.#key = key;
    this.#provider = provider;
  }

  /** Lines that are no seals. */
  add(lines: Uint8Array): void {
    this.#hash.update(lines);
  }

  /** A seal, with its line end: whether it is the one that belongs here. */
  seal(bytes: Uint8Array): boolean {
    const line = Buffer.from(bytes).toString('latin1');
    const parts = /^# seal (\d+) ([A-Za-z0-9+/]{86}==)\n$/.exec(line);
    if (parts === null || parts[1] !== String(this.count)) return false;
    const value = Buffer.from(parts[2], 'base64');
    // Base64 has more than one way to write the last bits.
    if (value.toString('base64') !== parts[2]) return false;
    const signature = new Writer(128).string(KEY_TYPE).string(value).finish();
    const seal: SshSignature = { key: this.#key.blob, namespace: SEAL_NAMESPACE, hash: 'sha512', signature };
    const good = verifySignature(seal, this.#above, SEAL_NAMESPACE, this.#provider) === undefined;
    if (good) this.count++;
    this.#hash.update(bytes);
    return good;
  }

  /** What is wrong with a signature over everything so far, as a sentence; undefined if nothing is. */
  signature(signature: SshSignature): string | undefined {
    if (signature.hash !== 'sha512')
      return `the signature is over ${signature.hash}, and those of transcripts are over sha512`;
    if (!equalBytes(signature.key, this.#key.blob))
      return 'the signature is by another key than the one in the transcript';
    return verifySignature(signature, this.#above, NAMESPACE, this.#provider);
  }

  /** What is signed: all so far. */
  readonly #above: SignedMessage = () => this.#hash.copy().digest();
}
