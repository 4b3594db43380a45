// Subjects of bans: owners, keys, addresses and networks, and whom they are about.
import { formatAddress, matchFrom, parseAddress, parseNetworks } from '../../crypto/keys/index.ts';

/** Somebody or something in the form that bans have: an owner, a key's fingerprint, an address or a network; undefined if it is none of these. */
export function parseSubject(who: string): string | undefined {
  const address = parseAddress(who);
  if (address !== undefined) return formatAddress(address);
  if (/^SHA256:[A-Za-z0-9+/]{43}( .+)?$/.test(who)) return who;
  if (!who.includes('/') || who.startsWith('SHA256:')) return undefined;
  return typeof parseNetworks(who) === 'string' ? undefined : who;
}

/** Whether a ban of this subject is about them. */
export const isSubjectOf = (
  { owner, key, address }: { owner: string; key: string; address: string },
  subject: string,
): boolean => owner === subject || key === subject || isWithin(address, subject);

/** Whether the address is in the network (or is the address) that a ban is about; false if that is about something else. */
export function isWithin(address: string, subject: string): boolean {
  const networks = parseNetworks(subject);
  return typeof networks !== 'string' && matchFrom(networks, address);
}
