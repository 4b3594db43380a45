// The header of the PROXY protocol, versions 1 and 2: what a balancer says of the client before the client's own bytes
// (haproxy's proxy-protocol.txt).
import { formatAddress, parseAddress } from '../crypto/keys/ip-address.ts';
import { readUint32 } from '../protocol/wire/packet.ts';

/** Where a connection comes from, or goes to. */
export interface End {
  /** IP address. */
  readonly address: string;
  /** TCP port. */
  readonly port: number;
}

/** A header that has come whole. */
export interface ProxyHeader {
  /** Its bytes; what follows is the client's. */
  readonly length: number;
  /**
   * The client; undefined where the balancer speaks for itself (LOCAL, as in health checks), or does not know (UNKNOWN,
   * other families).
   */
  readonly source?: End;
  /** What the client has connected to; with `source`. */
  readonly destination?: End;
}

/** Version 1 is a line of 107 bytes at most, its CR LF included (§2.1). */
const MAX_LINE = 107;
/** Version 2: signature, version and command, family, length (§2.2). */
const HEAD = 16;
/**
 * Bytes behind that which are taken: addresses of Unix sockets, the longest, are 216, and TLVs such as a TLS name or
 * certificate may follow.
 */
const MAX_BODY = 4096;
const SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10);
const WORD = 'PROXY ';

/** What the bytes begin with; undefined if more are needed, or one sentence that says why they are no header. */
export function proxyHeader(bytes: Uint8Array): ProxyHeader | undefined | string {
  if (bytes.length === 0) return undefined;
  return bytes[0] === SIGNATURE[0] ? binaryHeader(bytes) : lineHeader(bytes);
}

/** "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443" CR LF. */
function lineHeader(bytes: Uint8Array): ProxyHeader | undefined | string {
  const end = bytes.subarray(0, MAX_LINE).indexOf(10);
  const text = String.fromCharCode(...bytes.subarray(0, end < 0 ? MAX_LINE : end + 1));
  if (!text.startsWith(WORD.slice(0, text.length))) return 'it does not begin with a PROXY header';
  if (end < 0) return text.length < MAX_LINE ? undefined : 'its PROXY line is too long';
  const length = end + 1;
  // What follows UNKNOWN is to be ignored (§2.1).
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/.test(text)) return { length };
  const [, family, from, to, fromPort, toPort] =
    /^PROXY (TCP4|TCP6) ([\da-fA-F.:]+) ([\da-fA-F.:]+) (\d{1,5}) (\d{1,5})\r\n$/.exec(text) ?? [];
  const source = endOf(from, Number(fromPort), family);
  const destination = endOf(to, Number(toPort), family);
  if (source === undefined || destination === undefined) return 'its PROXY line makes no sense';
  return { length, source, destination };
}

function endOf(address: string | undefined, port: number, family: string | undefined): End | undefined {
  const ip = address === undefined ? undefined : parseAddress(address);
  if (ip === undefined || port > 65_535 || address!.includes(':') !== (family === 'TCP6')) return undefined;
  return { address: formatAddress(ip), port };
}

function binaryHeader(bytes: Uint8Array): ProxyHeader | undefined | string {
  for (let i = 0; i < Math.min(bytes.length, SIGNATURE.length); i++)
    if (bytes[i] !== SIGNATURE[i]) return 'it does not begin with a PROXY header';
  if (bytes.length < HEAD) return undefined;
  const [version, command, family] = [bytes[12] >> 4, bytes[12] & 15, bytes[13]];
  if (version !== 2 || command > 1) return 'its PROXY header is of an unknown version';
  const body = (bytes[14] << 8) | bytes[15];
  if (body > MAX_BODY) return `its PROXY header has ${body} bytes`;
  const length = HEAD + body;
  // A stream over IPv4 or IPv6; of anything else the real connection counts (§2.2).
  const size = family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  if (command === 1 && body < 2 * size + (size && 4)) return 'its PROXY header is too short for its addresses';
  if (bytes.length < length) return undefined;
  if (command === 0 || size === 0) return { length };
  const ports = readUint32(bytes, HEAD + 2 * size);
  return {
    length,
    source: { address: addressAt(bytes, HEAD, size), port: ports >>> 16 },
    destination: { address: addressAt(bytes, HEAD + size, size), port: ports & 0xffff },
  };
}

/** IPv4 in IPv6's clothes is IPv4, as everywhere. */
function addressAt(bytes: Uint8Array, at: number, size: number): string {
  return formatAddress(parseAddress(formatAddress(bytes.subarray(at, at + size)))!);
}
