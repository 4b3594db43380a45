// IP addresses as text: strict IPv4, IPv6 with "::" and embedded IPv4 (RFC 4291 §2.2), canonical form (RFC 5952).

/** 4 bytes (IPv4) or 16 (IPv6). */
export type IpAddress = Uint8Array;

/**
 * An address, or undefined. IPv4-mapped IPv6 ("::ffff:192.0.2.1", what a dual-stack socket calls an IPv4 client)
 * becomes IPv4; a zone ("%eth0") is dropped. No leading zeros in IPv4: "010.0.0.1" is 8.0.0.1 to some programs.
 */
export function parseAddress(text: string): IpAddress | undefined {
  if (!text.includes(':')) return parseIpv4(text);
  const percent = text.indexOf('%');
  const bytes = parseIpv6(percent < 0 ? text : text.slice(0, percent));
  return bytes && isMapped(bytes) ? bytes.slice(12) : bytes;
}

/** The canonical text of an address: "192.0.2.1", "2001:db8::1". */
export function formatAddress(ip: IpAddress): string {
  if (ip.length === 4) return ip.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((ip[i * 2] << 8) | ip[i * 2 + 1]).toString(16));
  let from = 0;
  let run = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (groups[i + length] === '0') length++;
    if (length > run) [from, run] = [i, length];
  }
  if (run < 2) return groups.join(':');
  return `${groups.slice(0, from).join(':')}::${groups.slice(from + run).join(':')}`;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  if (!parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => parseGroups(half, i === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  if (halves.length === 1) return head.length === 16 ? Uint8Array.from(head) : undefined;
  // "::" stands for at least one group.
  if (head.length + tail!.length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail!, 16 - tail!.length);
  return bytes;
}

/** The bytes of "a:b:c"; the last group of an address may be an IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [i, group] of groups.entries()) {
    if (/^[\da-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const ipv4 = last && i === groups.length - 1 ? parseIpv4(group) : undefined;
    if (!ipv4) return undefined;
    bytes.push(...ipv4);
  }
  return bytes;
}

const isMapped = (ip: Uint8Array): boolean =>
  ip.subarray(0, 10).every(byte => byte === 0) && ip[10] === 0xff && ip[11] === 0xff;
