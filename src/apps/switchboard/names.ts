// Names of lines: host names, aliases that are stable and cannot be guessed, the spelling `name~1` for older providers, codes of invitations.
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { formatAddress, parseAddress } from '../../crypto/keys/index.ts';
import { Writer } from '../../protocol/wire/reader.ts';

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz';
/** 10 × 36^9 is about 2^50: who may open channels can try some thousand aliases a second at best, and needs the name before it too. */
const SUFFIX = 10;
/** A host name label's limit (RFC 1035) less the suffix. */
const MAX_NAME = 50;

/** Characters of any text that people are shown. */
const MAX_SHOWN = 1000;

/** Whether people may be shown it as it is: without anything that a terminal would carry out, or that hides what it says. */
export const isShown = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= MAX_SHOWN && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(value);

/** A user name as it may stand in a host name: ssh lowercases what its user types, and colons, spaces and slashes would end the name. */
export function hostName(user: string): string {
  const name = user
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[-.]+/, '')
    .slice(0, MAX_NAME)
    // After the cut, or it would end in what `parseTarget` and the suffix take away, and could not be called.
    .replace(/[-.]+$/, '');
  return name === '' ? 'line' : name;
}

/** Whether `hostname=` or `alias=` may say this: a host name as it is called, in lower case, that nobody can take for somebody's alias. */
export const isName = (text: string): boolean => hostName(text) === text && !looksLikeAlias(text);

/**
 * The alias of an owner under a host name: `name-`, a digit and nine characters [0-9a-z] that follow from the server's secret,
 * the owner and the name, so that they survive reconnects and restarts and nobody else can compute them.
 * @param owner bytes that are the owner's alone: its key
 */
export function aliasOf(secret: Uint8Array, owner: Uint8Array, name: string): string {
  const digest = hmac(sha256, secret, new Writer().string(owner).string(name).finish());
  let number = 0n;
  for (const byte of digest.subarray(0, 16)) number = (number << 8n) | BigInt(byte);
  let suffix = '';
  for (let i = 0; i < SUFFIX; i++) {
    const base = i === 0 ? 10n : 36n;
    suffix += DIGITS[Number(number % base)];
    number /= base;
  }
  return `${name}-${suffix}`;
}

/** Whether it is the alias of somebody with this host name: see `aliasOf`. */
export const isAliasOf = (text: string, name: string): boolean =>
  text.startsWith(`${name}-`) && /^\d[0-9a-z]{9}$/.test(text.slice(name.length + 1));

/** Whether it has the form of an alias: then it cannot be had as a plain name, or who knows an alias could take its place. */
export const looksLikeAlias = (name: string): boolean => /-\d[0-9a-z]{9}$/.test(name);

/** Whether it means the machine itself: at a switchboard that is the connection that says so, whatever others call themselves. */
export function isLocalhost(host: string): boolean {
  const address = parseAddress(host);
  return ['localhost', '127.0.0.1', '::1'].includes(address ? formatAddress(address) : host);
}

/** Takes `name~2` apart: the name, and the index among its providers, newest first; undefined where none is given. */
export function parseTarget(host: string): { name: string; index: number | undefined } {
  const match = /^(.*)~(\d{1,6})$/.exec(host);
  const name = (match ? match[1] : host).toLowerCase().replace(/\.$/, '');
  return { name, index: match ? Number(match[2]) : undefined };
}

/** Takes `alice+code` apart, where `code` has the form of an invitation's; in capitals it is the same one, and comes out in lower case. */
export function parseUser(user: string): { user: string; code: string | undefined } {
  const match = /^(.*)\+([0-9a-hjkmnp-tv-z]{16})$/is.exec(user);
  return match ? { user: match[1], code: match[2].toLowerCase() } : { user, code: undefined };
}
