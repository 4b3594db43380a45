// How much of what this host has sent on a TCP connection its peer has not acknowledged: Linux says so in /proc/net/tcp.
import { readFile } from 'node:fs/promises';
import { parseAddress } from '../../crypto/keys/ip-address.ts';

/** Milliseconds for which what was read counts: everyone who wants to know in one tick reads once. */
const FRESH = 200;

/** How the peer's system takes what is sent to it. */
export interface Unacknowledged {
  /** Bytes in the system's queue, sent or not, that it has not acknowledged. */
  readonly bytes: number;
  /** How often in a row the system has sent something again, or probed whether the peer is there, and heard nothing; 0 after each word. */
  readonly tries: number;
}

let table = new Map<string, Unacknowledged>();
let readAt = Number.NEGATIVE_INFINITY;
let reading: Promise<void> | undefined;

/** Of the connection from this host's port to that of a peer; undefined where the system does not say. Reads in the background. */
export async function unacknowledged(
  localPort: number,
  address: string,
  port: number,
): Promise<Unacknowledged | undefined> {
  if (performance.now() - readAt > FRESH) await (reading ??= refresh());
  return table.get(key(localPort, parseAddress(address), port));
}

/** Never fails. */
async function refresh(): Promise<void> {
  const queues = new Map<string, Unacknowledged>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    // Another system, or no IPv6, has no such file.
    parse(await readFile(file, 'latin1').catch(() => ''), queues);
  }
  table = queues;
  readAt = performance.now();
  reading = undefined;
}

/** Adds what a file of that form says. Words: number, local, remote, state, queues, timer, retransmissions, user, probes (see proc(5), tcp_ipv4.c). */
export function parse(text: string, queues: Map<string, Unacknowledged>): void {
  for (const line of text.split('\n').slice(1)) {
    const words = line.trim().split(/\s+/, 9);
    if (words.length < 9) continue;
    const [remote, port] = words[2].split(':');
    const local = Number.parseInt(words[1].split(':')[1], 16);
    const bytes = Number.parseInt(words[4].split(':')[0], 16);
    const tries = Math.max(Number.parseInt(words[6], 16), Number(words[8]));
    queues.set(key(local, addressOf(remote), Number.parseInt(port, 16)), { bytes, tries });
  }
}

/** An address as those files have it, in words of 32 bits, each as the machine writes numbers: little end first where Node runs. */
export function addressOf(hex: string): Uint8Array | undefined {
  const bytes = Buffer.from(hex, 'hex');
  bytes.swap32();
  if (bytes.length === 16 && bytes.subarray(0, 12).equals(MAPPED)) return new Uint8Array(bytes.subarray(12));
  return new Uint8Array(bytes);
}

/** The prefix of an IPv4 address on a socket for both families. */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** By what a connection is found. */
export const key = (local: number, address: Uint8Array | undefined, port: number): string =>
  `${local} ${address?.join('.')} ${port}`;
