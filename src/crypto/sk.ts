// Signatures of security tokens (OpenSSH PROTOCOL.u2f; WebAuthn Level 2 §6.3.3): sk-ssh-ed25519, sk-ecdsa-sha2-nistp256 and the latter's webauthn form.
import { sha256 } from '@noble/hashes/sha2.js';
import { UsageError } from '../protocol/errors.ts';
import { concat, encodeUtf8, equalBytes, Reader, Writer } from '../protocol/wire/reader.ts';
import { encodeBase64 } from './keys/base64.ts';
import type { SignatureAlgorithm } from './provider.ts';

const SK_ED25519 = 'sk-ssh-ed25519@openssh.com';
const SK_ECDSA = 'sk-ecdsa-sha2-nistp256@openssh.com';
const WEBAUTHN = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com';
/** The type of such a signature with a certificate, since OpenSSH 10.3. */
const WEBAUTHN_CERTIFIED = 'webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com';

/**
 * The algorithms of security tokens, best first. They verify with the plain algorithms; a token signs by itself, so
 * `sign` and `generate` throw UsageError.
 */
export function tokenSignatures(ed25519: SignatureAlgorithm, nistp256: SignatureAlgorithm): SignatureAlgorithm[] {
  return [
    tokenSignature(SK_ED25519, SK_ED25519, ed25519),
    tokenSignature(SK_ECDSA, SK_ECDSA, nistp256),
    tokenSignature(WEBAUTHN, SK_ECDSA, nistp256),
  ];
}

/** WebAuthn Level 2 §6.1: what the token says of its user, and what else lies in the authenticator data. */
const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const ATTESTED_DATA = 0x40;
const EXTENSION_DATA = 0x80;

function tokenSignature(name: string, keyType: string, plain: SignatureAlgorithm): SignatureAlgorithm {
  return {
    name,
    keyType,
    verify(blob, data, signature) {
      try {
        const { key, application } = readKey(blob, keyType, plain.keyType);
        const { value, flags, counter, wrapper } = readSignature(signature, keyType);
        const challenge = wrapper === undefined ? data : clientData(wrapper, data, flags);
        if (challenge === undefined) return false;
        const signed = new Writer(128)
          .raw(sha256(application))
          .byte(flags)
          .uint32(counter)
          .raw(wrapper?.extensions ?? new Uint8Array(0))
          .raw(sha256(challenge))
          .finish();
        return plain.verify(key, signed, new Writer(128).string(plain.name).string(value).finish());
      } catch {
        // A field that runs past the end or a point off the curve: not a signature.
        return false;
      }
    },
    sign() {
      throw new UsageError(`a key of type ${keyType} signs in its security token`);
    },
    generate() {
      throw new UsageError(`a key of type ${keyType} is made by its security token`);
    },
    presence(signature) {
      const { flags, counter } = readSignature(signature, keyType);
      return { touched: (flags & USER_PRESENT) !== 0, verified: (flags & USER_VERIFIED) !== 0, counter };
    },
  };
}

/** The key without its application, as a plain one. */
function readKey(blob: Uint8Array, type: string, plainType: string): { key: Uint8Array; application: Uint8Array } {
  const reader = new Reader(blob);
  if (reader.name() !== type) throw new UsageError('a key of another type');
  const start = reader.at;
  if (type === SK_ECDSA) reader.string(); // the curve's name; the plain algorithm checks it
  reader.string();
  const fields = blob.subarray(start, reader.at);
  const application = reader.string();
  reader.finish();
  return { key: concat(new Writer(64).string(plainType).finish(), fields), application };
}

/** What a browser puts around the challenge. */
interface Wrapper {
  readonly origin: Uint8Array;
  readonly clientData: Uint8Array;
  readonly extensions: Uint8Array;
}

/**
 * What a signature says. As in OpenSSH its own type decides whether a browser has wrapped the challenge, and not the
 * name under which it was asked for: servers whose list has the plain name only take passkeys so.
 */
function readSignature(
  signature: Uint8Array,
  keyType: string,
): { value: Uint8Array; flags: number; counter: number; wrapper: Wrapper | undefined } {
  const reader = new Reader(signature);
  const type = reader.name();
  const webauthn = keyType === SK_ECDSA && (type === WEBAUTHN || type === WEBAUTHN_CERTIFIED);
  if (!webauthn && type !== keyType) throw new UsageError('a signature of another algorithm');
  const value = reader.string();
  const flags = reader.byte();
  const counter = reader.uint32();
  const wrapper = webauthn
    ? { origin: reader.string(), clientData: reader.string(), extensions: reader.string() }
    : undefined;
  reader.finish();
  return { value, flags, counter, wrapper };
}

/**
 * The client data if it is about `data`. Browsers write it in one fixed way (WebAuthn Level 2 §5.8.1.1), so comparing
 * its beginning does what taking JSON apart would do; what follows the origin is of no concern here.
 */
function clientData({ origin, clientData, extensions }: Wrapper, data: Uint8Array, flags: number) {
  // A quote in the origin could end its member early and put another challenge or type after it.
  if (origin.includes(QUOTE) || origin.includes(0)) return undefined;
  if (flags & ATTESTED_DATA || ((flags & EXTENSION_DATA) !== 0) !== extensions.length > 0) return undefined;
  const start = concat(
    encodeUtf8(`{"type":"webauthn.get","challenge":"${base64url(data)}","origin":"`),
    origin,
    encodeUtf8('"'),
  );
  return equalBytes(clientData.subarray(0, start.length), start) ? clientData : undefined;
}

const QUOTE = 0x22;

/** RFC 4648 §5 without padding. */
const base64url = (bytes: Uint8Array): string =>
  encodeBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
