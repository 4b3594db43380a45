// Where a socket that the process was given listens, before anybody listens on it: Linux says so in /proc/net/tcp.
import { fstatSync, readFileSync } from 'node:fs';
import { formatAddress } from '../../crypto/keys/ip-address.ts';
import { addressOf } from './unacknowledged.ts';

/** The IP address; undefined where the system does not say, as of a socket of another network namespace. */
export function listeningAddress(fd: number): string | undefined {
  for (const file of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    try {
      const inode = String(fstatSync(fd).ino);
      for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
        const words = line.trim().split(/\s+/, 10);
        const address = words[9] === inode ? addressOf(words[1].split(':')[0]) : undefined;
        if (address !== undefined) return formatAddress(address);
      }
    } catch {
      // Another system, no IPv6, or no such file descriptor.
    }
  }
  return undefined;
}
