// Extensions (EXT_INFO, RFC 8308): what either side can do besides what is negotiated.
import type { CryptoProvider } from '../../crypto/provider.ts';
import { EXT_INFO } from '../messages.ts';
import { decode, encode } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { Reader, Writer } from '../wire/reader.ts';
import type { Role } from './negotiate.ts';

/** What our server announces: user authentication bound to the host key (OpenSSH PROTOCOL §3.1), and PING (§1.9). */
export const HOSTBOUND = 'publickey-hostbound@openssh.com';
export const PING_EXTENSION = 'ping@openssh.com';
/** And our client: the server may correct itself once it knows who signs in (OpenSSH PROTOCOL §1.11). */
const EXT_INFO_IN_AUTH = 'ext-info-in-auth@openssh.com';

/** Extensions that we remember of a peer; real ones send under ten. */
const MAX_EXTENSIONS = 64;
/** Bytes of all extensions that we remember of a peer; the list of signatures, the longest that is in use, has some 500. */
const MAX_EXTENSION_BYTES = 32 * 1024;

/** Adds the peer's to what is known of it, name to raw value, as far as there is room. @throws ProtocolError if they are cut short, or more follows */
export function readExtensions(packet: Packet, known: Map<string, Uint8Array>): void {
  const { count, extensions } = decode(EXT_INFO, packet);
  let bytes = 0;
  for (const [name, value] of known) bytes += name.length + value.length;
  const reader = new Reader(extensions);
  for (let i = 0; i < count; i++) {
    const name = reader.anyName();
    const value = reader.string();
    bytes += name.length + value.length;
    // Memory: what is too much is not remembered.
    if (bytes <= MAX_EXTENSION_BYTES && (known.size < MAX_EXTENSIONS || known.has(name)))
      known.set(name, value.slice());
  }
  reader.finish();
}

/** Ours: what an OpenSSH client needs to know to sign with RSA keys, and what else we speak. */
export function ourExtensions(role: Role, provider: CryptoProvider): Packet {
  const extensions =
    role === 'client'
      ? [[EXT_INFO_IN_AUTH, '0']]
      : [
          ['server-sig-algs', signatureNames(provider)],
          [HOSTBOUND, '0'],
          [PING_EXTENSION, '0'],
        ];
  const writer = new Writer();
  for (const [name, value] of extensions) writer.string(name).string(value);
  return encode(EXT_INFO, { count: extensions.length, extensions: writer.finish() });
}

/** Without the names for certificates: whoever has one signs under the plain name's hash, and OpenSSH lists no others. */
function signatureNames({ signatures }: CryptoProvider): string {
  return signatures
    .filter(({ plain }) => plain === undefined)
    .map(({ name }) => name)
    .join(',');
}
