// Who is at the other end of standard input: under inetd it is the client's connection itself.
import { Socket as NetSocket } from 'node:net';
import type { Readable } from 'node:stream';
import { plainAddress } from '../../server/runtime/net.ts';
import { libc } from './libc.ts';

export interface Peer {
  /** Empty if it is no connection of TCP. */
  readonly address: string;
  readonly port: number;
  /** Our end of it. */
  readonly localAddress?: string;
  readonly localPort?: number;
}

const NOBODY: Peer = { address: '', port: 0 };

const STDIN = 0;
/** struct sockaddr_in and sockaddr_in6 of Linux. */
const AF_INET = 2;
const AF_INET6 = 10;
const PORT = 2;
const ADDRESS = { [AF_INET]: 4, [AF_INET6]: 8 };

/** Streams of Node know it; where standard input is none of those (Bun), the system is asked. */
export async function peerOf(input: Readable): Promise<Peer> {
  if (input instanceof NetSocket && input.remoteAddress !== undefined) {
    const { remoteAddress, remotePort = 0, localAddress, localPort } = input;
    const local = localAddress !== undefined && { localAddress: plainAddress(localAddress), localPort };
    return { address: plainAddress(remoteAddress), port: remotePort, ...local };
  }
  if (process.versions.bun === undefined) return NOBODY;
  const { getpeername, getsockname } = await libc();
  const ask = (call: typeof getpeername): Peer => {
    const memory = Buffer.alloc(128);
    const length = new Uint8Array(Int32Array.of(memory.length).buffer);
    return call(STDIN, memory, length) < 0 ? NOBODY : parsePeer(memory);
  };
  const peer = ask(getpeername);
  if (peer.address === '') return NOBODY;
  const { address: localAddress, port: localPort } = ask(getsockname);
  return { ...peer, localAddress, localPort };
}

/** What getpeername(2) or getsockname(2) has written. */
export function parsePeer(memory: Buffer): Peer {
  const family = memory[0];
  const port = memory.readUInt16BE(PORT);
  if (family === AF_INET) return { address: memory.subarray(ADDRESS[AF_INET], ADDRESS[AF_INET] + 4).join('.'), port };
  if (family !== AF_INET6) return NOBODY;
  const bytes = memory.subarray(ADDRESS[AF_INET6], ADDRESS[AF_INET6] + 16);
  // IPv4 in IPv6, RFC 4291 §2.5.5.2.
  const v4 = bytes.subarray(0, 12).equals(Buffer.from('00000000000000000000ffff', 'hex'));
  if (v4) return { address: bytes.subarray(12).join('.'), port };
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  // As it is written: with the longest row of noughts left out.
  return { address: new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1), port };
}
