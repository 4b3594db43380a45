// The table of key types: what the public blob (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, PROTOCOL.u2f) and the private fields (PROTOCOL.key) of each hold.
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { KeyFormatError, ProtocolError, printable } from '../../protocol/errors.ts';
import { equalBytes, type Reader, Writer } from '../../protocol/wire/reader.ts';
import { bitLength, toBigInt } from '../bigint.ts';
import { rsaProblem } from './rsa-numbers.ts';

/** What is to know about one type of key. */
export interface KeyType {
  /** Its name on the wire and in files: "ssh-ed25519". */
  readonly name: string;
  /** Its name in the listing of `ssh-keygen -l`: "ED25519". */
  readonly label: string;
  /** Reads and checks what follows the name in a public blob; the key's size in bits. @throws KeyFormatError, ProtocolError */
  readPublic(reader: Reader): number;
  /** The secret lies in a security token (FIDO, U2F): we verify with such keys, and cannot sign. */
  readonly token?: boolean;
  /** How openssh-key-v1 encodes each of `PrivateKey.fields`, in order. */
  readonly privateLayout: readonly FieldKind[];
  /** The public blob that belongs to these private fields. */
  publicBlob(fields: readonly Uint8Array[]): Uint8Array;
  /** Whether the secret fields are the other half of the public ones (whose form `readPublic` has checked). */
  agree(fields: readonly Uint8Array[]): boolean;
}

/** An encoding of a private field; a byte is a field of length 1. */
export type FieldKind = 'string' | 'mpint' | 'byte';

const ED25519: KeyType = {
  name: 'ssh-ed25519',
  label: 'ED25519',
  readPublic(reader) {
    const { length } = reader.string();
    // Authentication: a key of another length is none, and every verification would fail.
    if (length !== 32) throw new KeyFormatError(`an ssh-ed25519 key has 32 bytes, this one ${length}`);
    return 256;
  },
  privateLayout: ['string', 'string'],
  publicBlob: ([point]) => new Writer().string('ssh-ed25519').string(point).finish(),
  // The private field is seed ‖ public key. Signing with a public key that is not the seed's own gives the seed away.
  agree([point, secret]) {
    if (secret.length !== 64) return false;
    const seed = secret.subarray(0, 32);
    return equalBytes(secret.subarray(32), point) && equalBytes(ed25519.getPublicKey(seed), point);
  },
};

/** What we need of a curve of @noble/curves. */
interface Curve {
  readonly Point: { fromBytes(point: Uint8Array): { assertValidity(): void } };
  readonly utils: { isValidSecretKey(scalar: Uint8Array): boolean };
  getPublicKey(scalar: Uint8Array, compressed: boolean): Uint8Array;
}

/** An ECDSA type of RFC 5656 over the curve `id` whose coordinates have `bits` bits. */
function ecdsa(id: string, bits: number, curve: Curve): KeyType {
  const name = `ecdsa-sha2-${id}`;
  const coordinate = Math.ceil(bits / 8);
  return {
    name,
    label: 'ECDSA',
    readPublic(reader) {
      const inside = reader.name();
      // Authentication: one key has one blob, or whoever is revoked or banned could come back as another.
      if (inside !== id) throw new KeyFormatError(`an ${name} key is on the curve ${id}, this one on "${inside}"`);
      const point = reader.string();
      // The same; OpenSSH takes no other form either.
      if (point.length !== 1 + 2 * coordinate || point[0] !== 4)
        throw new KeyFormatError(`the point of an ${name} key is not ${1 + 2 * coordinate} bytes of uncompressed form`);
      // Authentication: with a point elsewhere a signature proves nothing.
      if (!isOn(curve, point)) throw new KeyFormatError(`the point of an ${name} key is not on its curve`);
      return bits;
    },
    privateLayout: ['string', 'string', 'mpint'],
    publicBlob: ([inside, point]) => new Writer().string(name).string(inside).string(point).finish(),
    agree([, point, magnitude]) {
      if (magnitude.length > coordinate) return false;
      const scalar = new Uint8Array(coordinate);
      scalar.set(magnitude, coordinate - magnitude.length);
      return curve.utils.isValidSecretKey(scalar) && equalBytes(curve.getPublicKey(scalar, false), point);
    },
  };
}

const RSA: KeyType = {
  name: 'ssh-rsa',
  label: 'RSA',
  readPublic(reader) {
    const exponent = reader.mpint();
    const modulus = reader.mpint();
    const problem = rsaProblem(modulus, exponent);
    // Authentication (too short, e = 1) and time (a modulus or exponent without end).
    if (problem !== undefined) throw new KeyFormatError(problem);
    return bitLength(modulus);
  },
  privateLayout: ['mpint', 'mpint', 'mpint', 'mpint', 'mpint', 'mpint'],
  publicBlob: ([n, e]) => new Writer().string('ssh-rsa').mpint(e).mpint(n).finish(),
  agree(fields) {
    // Sizes first: what follows multiplies, and only n and e are bounded by now.
    if (fields.some(field => field.length > fields[0].length)) return false;
    const [n, e, d, iqmp, p, q] = fields.map(toBigInt);
    if (p < 3n || q < 3n || p * q !== n || d >= n) return false;
    const inverse = e * d - 1n;
    return inverse % (p - 1n) === 0n && inverse % (q - 1n) === 0n && iqmp < p && (iqmp * q) % p === 1n;
  },
};

/**
 * The form of `plain` whose secret lies in a security token: the application ("ssh:", or a web origin) stands behind the
 * public fields, and in place of the secret there are flags, the handle by which the token finds it, and a reserved string.
 */
function inToken(plain: KeyType, name: string, label: string, publicFields: number): KeyType {
  return {
    name,
    label,
    token: true,
    readPublic(reader) {
      const bits = plain.readPublic(reader);
      const application = reader.text();
      // Authentication: OpenSSH would read it up to the NUL, and the signature is over all of it.
      if (application.includes('\0'))
        throw new KeyFormatError(`the application of an ${name} key contains a NUL character`);
      return bits;
    },
    privateLayout: [...plain.privateLayout.slice(0, publicFields), 'string', 'byte', 'string', 'string'],
    publicBlob(fields) {
      const writer = new Writer().string(name);
      for (const field of fields.slice(0, publicFields + 1)) writer.string(field);
      return writer.finish();
    },
    // Only the token knows.
    agree: () => true,
  };
}

const NISTP256 = ecdsa('nistp256', 256, p256);

const TYPES: ReadonlyMap<string, KeyType> = new Map(
  [
    ED25519,
    NISTP256,
    ecdsa('nistp384', 384, p384),
    ecdsa('nistp521', 521, p521),
    inToken(ED25519, 'sk-ssh-ed25519@openssh.com', 'ED25519-SK', 1),
    inToken(NISTP256, 'sk-ecdsa-sha2-nistp256@openssh.com', 'ECDSA-SK', 2),
    RSA,
  ].map(type => [type.name, type]),
);

/** Names of the types we read, best first. */
export const keyTypeNames: readonly string[] = [...TYPES.keys()];

/** The type of that name. @throws KeyFormatError that names the type if we do not know it. */
export function keyType(name: string): KeyType {
  const type = TYPES.get(name);
  if (type) return type;
  throw new KeyFormatError(`keys of type "${printable(name, 80)}" are not supported (${keyTypeNames.join(', ')} are)`);
}

/** The private fields of a key of `type`, as openssh-key-v1 (and the agent protocol) have them; views. */
export function readPrivateFields(reader: Reader, type: KeyType): Uint8Array[] {
  return type.privateLayout.map(kind =>
    kind === 'mpint' ? reader.mpint() : kind === 'byte' ? reader.raw(1) : reader.string(),
  );
}

/** The other way round. The number of fields must be that of the type. */
export function writePrivateFields(writer: Writer, type: KeyType, fields: readonly Uint8Array[]): void {
  type.privateLayout.forEach((kind, i) => {
    if (kind === 'mpint') writer.mpint(fields[i]);
    else if (kind === 'byte') writer.raw(fields[i]);
    else writer.string(fields[i]);
  });
}

/** Whether the secret of such a key lies in a security token. */
export const isTokenType = (name: string): boolean => TYPES.get(name)?.token === true;

/** Runs `read`; what the Reader finds wrong is the fault of `what`, a key or file, not of a peer. @throws KeyFormatError */
export function inFormat<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) throw new KeyFormatError(`${what} is damaged: ${error.message}`);
    throw error;
  }
}

function isOn(curve: Curve, point: Uint8Array): boolean {
  try {
    curve.Point.fromBytes(point).assertValidity();
    return true;
  } catch {
    return false;
  }
}
