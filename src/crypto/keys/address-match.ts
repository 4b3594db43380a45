// Address patterns of `from=` (sshd(8), PATTERNS in ssh_config(5)): globs, CIDR networks and negation in a comma-separated list.
import { printable } from '../../protocol/errors.ts';
import { formatAddress, type IpAddress, parseAddress } from './ip-address.ts';

/** One element of a pattern list: a network, or a glob in lower case. */
export interface AddressPattern {
  /** Written with "!": whoever it matches is kept out, whatever else does. */
  readonly negated: boolean;
  /** Matches addresses whose first `bits` bits are those of `bytes` (4 or 16 of them). */
  readonly network?: { readonly bytes: IpAddress; readonly bits: number };
  /** `*` any number of characters, `?` exactly one. */
  readonly glob?: string;
  /** The glob can match host names only, never an address. */
  readonly nameOnly?: boolean;
}

/** A pattern list, or one sentence that says why it is none. */
export function parseFrom(list: string): AddressPattern[] | string {
  const patterns: AddressPattern[] = [];
  for (const element of list.split(',')) {
    const text = element.trim().toLowerCase();
    const negated = text.startsWith('!');
    const pattern = parsePattern(negated ? text.slice(1) : text, negated);
    if (typeof pattern === 'string') return pattern;
    patterns.push(pattern);
  }
  return patterns;
}

/** A list of addresses and networks in CIDR form and nothing else, as in a certificate's `source-address`; or one sentence that says why it is none. */
export function parseNetworks(list: string): AddressPattern[] | string {
  const networks: AddressPattern[] = [];
  for (const text of list.split(',')) {
    if (!/^[\da-fA-F.:/]+$/.test(text)) return `"${printable(text, 80)}" is not an address or network`;
    const pattern = parsePattern(text.toLowerCase(), false);
    if (typeof pattern === 'string') return pattern;
    if (pattern.network === undefined) return `"${printable(text, 80)}" is not an address or network`;
    networks.push(pattern);
  }
  return networks;
}

/**
 * Whether a client at `address` (IPv4, IPv6, IPv4-mapped IPv6; a zone "%eth0" is allowed) may use the key: some
 * pattern matches and no negated one does, in whatever order. `hostName` is the client's verified name, if the caller
 * looks names up; without it, a list that excludes names admits nobody, because we cannot know whom it excludes.
 * Globs see the address in its canonical text (RFC 5952): "fe80::*", not "FE80:0:*".
 */
export function matchFrom(patterns: readonly AddressPattern[], address: string, hostName?: string): boolean {
  const ip = parseAddress(address);
  if (ip === undefined) return false;
  const texts = [formatAddress(ip), address.toLowerCase()];
  const name = hostName?.toLowerCase().replace(/\.$/, '');
  let admitted = false;
  for (const pattern of patterns) {
    if (pattern.negated && pattern.nameOnly && name === undefined) return false;
    if (!matches(pattern, ip, texts, name)) continue;
    if (pattern.negated) return false;
    admitted = true;
  }
  return admitted;
}

/** Whether `text` matches the glob. Takes at most the product of both lengths, however many stars there are. */
export function matchGlob(glob: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < text.length; ) {
    if (glob[at] === '*') {
      star = at++;
      resume = i;
    } else if (at < glob.length && (glob[at] === '?' || glob[at] === text[i])) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else return false;
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}

function parsePattern(text: string, negated: boolean): AddressPattern | string {
  if (text === '') return 'a pattern is empty';
  const slash = text.indexOf('/');
  const wild = /[*?]/.test(text);
  const ip = wild ? undefined : parseAddress(slash < 0 ? text : text.slice(0, slash));
  const shown = `"${printable(text, 80)}"`;
  if (slash >= 0) {
    if (ip === undefined) return `${shown} is not a network`;
    const written = text.slice(slash + 1);
    const mapped = ip.length === 4 && text.includes(':');
    const bits = /^\d{1,3}$/.test(written) ? Number(written) - (mapped ? 96 : 0) : -1;
    if (bits < 0 || bits > ip.length * 8) return `${shown} has no valid prefix length`;
    const bytes = masked(ip, bits);
    if (bytes.some((byte, i) => byte !== ip[i])) return `${shown} has bits set beyond its prefix length`;
    return { negated, network: { bytes, bits } };
  }
  if (ip) return { negated, network: { bytes: ip, bits: ip.length * 8 } };
  // What looks like an address and is none would never match: harmless in itself, a hole when it is negated.
  if (!wild && /^[\d.]+$|:/.test(text)) return `${shown} is not an address`;
  const glob = text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text;
  const letters = /[a-z]/.test(glob) && (glob.includes('.') || !wild);
  return { negated, glob, nameOnly: !glob.includes(':') && (letters || /[^\d.a-f*?]/.test(glob)) };
}

function matches(pattern: AddressPattern, ip: IpAddress, texts: string[], name: string | undefined): boolean {
  const { network, glob } = pattern;
  if (network) {
    if (network.bytes.length !== ip.length) return false;
    return masked(ip, network.bits).every((byte, i) => byte === network.bytes[i]);
  }
  if (glob === undefined) return false;
  if (texts.some(text => matchGlob(glob, text))) return true;
  // "10.0.0.*" must not admit whoever names his host "10.0.0.example.org", but may well exclude him.
  return name !== undefined && (pattern.nameOnly === true || pattern.negated) && matchGlob(glob, name);
}

/** The address with all but its first `bits` bits zero. */
function masked(ip: IpAddress, bits: number): Uint8Array {
  return ip.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))));
}
