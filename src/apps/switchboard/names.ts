// Aliases: stable, unguessable names of lines, and the spelling `alias~1` for older providers of one alias.
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { Writer } from '../../protocol/wire/reader.ts';

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz';
/** 36^10 is about 2^52: who may open channels can try some thousand aliases a second at best, and needs the name before it too. */
const SUFFIX = 10;
/** A host name label's limit (RFC 1035) less the suffix. */
const MAX_NAME = 50;

/** A user name as it may stand in a host name: ssh lowercases what its user types, and colons, spaces and slashes would end the name. */
export function hostName(user: string): string {
  const name = user
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(0, MAX_NAME);
  return name === '' ? 'line' : name;
}

/**
 * The alias of a key under a host name: `name-` and ten characters [0-9a-z] that follow from the server's secret,
 * the key and the name, so that they survive reconnects and restarts and nobody else can compute them.
 */
export function aliasOf(secret: Uint8Array, key: Uint8Array, name: string): string {
  const digest = hmac(sha256, secret, new Writer().string(key).string(name).finish());
  let number = 0n;
  for (const byte of digest.subarray(0, 16)) number = (number << 8n) | BigInt(byte);
  let suffix = '';
  for (let i = 0; i < SUFFIX; i++) {
    suffix += DIGITS[Number(number % 36n)];
    number /= 36n;
  }
  return `${name}-${suffix}`;
}

/** Takes `alias~2` apart: the name, and the index among its providers, newest first. */
export function parseTarget(host: string): { name: string; index: number } {
  const match = /^(.*)~(\d{1,6})$/.exec(host);
  const name = (match ? match[1] : host).toLowerCase().replace(/\.$/, '');
  return { name, index: match ? Number(match[2]) : 0 };
}
