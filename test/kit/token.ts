// A security token in software (OpenSSH PROTOCOL.u2f, WebAuthn Level 2): makes the signatures that FIDO hardware makes, touched or not.
import { createHash } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import { concat, encodeUtf8, Writer } from '../../src/protocol/wire/reader.ts';

/** Bits of a token's flags. */
export const TOUCHED = 0x01;
export const VERIFIED = 0x04;
export const EXTENSIONS = 0x80;

/** What the token says with a signature. */
export interface Said {
  readonly flags?: number;
  readonly counter?: number;
}

/** What a browser adds. */
export interface Page {
  readonly origin?: string;
  /** In place of what a browser would write. */
  readonly clientData?: string;
  readonly extensions?: Uint8Array;
}

const sha256 = (data: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(data).digest());

export class Token {
  readonly type: string;
  /** Public key blob. */
  readonly blob: Uint8Array;
  readonly application: string;
  readonly #secret: Uint8Array;
  readonly #point: Uint8Array;
  #counter = 0;

  constructor(kind: 'ed25519' | 'ecdsa', application = 'ssh:') {
    this.application = application;
    if (kind === 'ed25519') {
      this.type = 'sk-ssh-ed25519@openssh.com';
      this.#secret = ed25519.utils.randomSecretKey();
      this.#point = ed25519.getPublicKey(this.#secret);
    } else {
      this.type = 'sk-ecdsa-sha2-nistp256@openssh.com';
      this.#secret = p256.utils.randomSecretKey();
      this.#point = p256.getPublicKey(this.#secret, false);
    }
    const writer = new Writer().string(this.type);
    if (kind === 'ecdsa') writer.string('nistp256');
    this.blob = writer.string(this.#point).string(application).finish();
  }

  /** As ssh-keygen keeps it in a file: the handle is of no use without the token. */
  get privateKey(): PrivateKey {
    const curve = this.type.startsWith('sk-ecdsa') ? [encodeUtf8('nistp256')] : [];
    return {
      type: this.type,
      blob: this.blob,
      fields: [
        ...curve,
        this.#point,
        encodeUtf8(this.application),
        Uint8Array.of(TOUCHED),
        encodeUtf8('handle of a token in software'),
        new Uint8Array(0),
      ],
      comment: 'token',
    };
  }

  /** The signature blob over `data`. */
  sign(data: Uint8Array, { flags = TOUCHED, counter = ++this.#counter }: Said = {}): Uint8Array {
    const value = this.#value(flags, counter, new Uint8Array(0), data);
    return new Writer().string(this.type).string(value).byte(flags).uint32(counter).finish();
  }

  /** The signature blob that a web page gets. */
  signOnPage(data: Uint8Array, said: Said = {}, page: Page = {}): Uint8Array {
    const { flags = TOUCHED, counter = ++this.#counter } = said;
    const { origin = 'https://example.org', extensions = new Uint8Array(0) } = page;
    const challenge = Buffer.from(data).toString('base64url');
    const clientData = encodeUtf8(
      page.clientData ??
        `{"type":"webauthn.get","challenge":"${challenge}","origin":"${origin}","crossOrigin":false,"other_keys_can_be_added_here":"…"}`,
    );
    const value = this.#value(flags, counter, extensions, clientData);
    return new Writer()
      .string(`webauthn-${this.type}`)
      .string(value)
      .byte(flags)
      .uint32(counter)
      .string(origin)
      .string(clientData)
      .string(extensions)
      .finish();
  }

  #value(flags: number, counter: number, extensions: Uint8Array, message: Uint8Array): Uint8Array {
    const said = new Writer().byte(flags).uint32(counter).finish();
    const signed = concat(sha256(encodeUtf8(this.application)), said, extensions, sha256(message));
    if (this.type.startsWith('sk-ssh-ed25519')) return ed25519.sign(signed, this.#secret);
    const signature = p256.sign(signed, this.#secret, { lowS: false });
    return new Writer().mpint(signature.subarray(0, 32)).mpint(signature.subarray(32)).finish();
  }
}

/** The provider of somebody who has tokens plugged in, of different types: it signs with them, also under certificates for their keys. */
export function plugged(provider: CryptoProvider, tokens: Token | readonly Token[], said?: Said): CryptoProvider {
  return {
    ...provider,
    signatures: provider.signatures.map(signature => {
      const token = [tokens].flat().find(({ type }) => signature.keyType.startsWith(type.replace('@openssh.com', '')));
      if (token === undefined) return signature;
      const page = signature.name.startsWith('webauthn-');
      return { ...signature, sign: (_key, data) => (page ? token.signOnPage(data, said) : token.sign(data, said)) };
    }),
  };
}
