// How much of what this host has sent on a TCP connection its peer has not acknowledged: Linux says so in /proc/net/tcp.
import { readFileSync } from 'node:fs';
import { parseAddress } from '../../crypto/keys/ip-address.ts';

/** Milliseconds for which what was read counts: everyone who wants to know in one tick reads once. */
const FRESH = 200;

let table = new Map<string, number>();
let readAt = Number.NEGATIVE_INFINITY;

/** Bytes in the system's queue, sent or not, that the peer has not acknowledged; undefined where the system does not say. */
export function unacknowledged(localPort: number, address: string, port: number): number | undefined {
  if (performance.now() - readAt > FRESH) {
    table = read();
    readAt = performance.now();
  }
  return table.get(key(localPort, parseAddress(address), port));
}

function read(): Map<string, number> {
  const queues = new Map<string, number>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let text: string;
    try {
      text = readFileSync(file, 'latin1');
    } catch {
      continue; // another system, or no IPv6
    }
    for (const line of text.split('\n').slice(1)) {
      const words = line.trim().split(/\s+/, 5);
      if (words.length < 5) continue;
      const [remote, port] = words[2].split(':');
      const local = Number.parseInt(words[1].split(':')[1], 16);
      queues.set(key(local, addressOf(remote), Number.parseInt(port, 16)), Number.parseInt(words[4].split(':')[0], 16));
    }
  }
  return queues;
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

const key = (local: number, address: Uint8Array | undefined, port: number) => `${local} ${address?.join('.')} ${port}`;
