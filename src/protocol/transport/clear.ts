// The packets before the first key exchange: framed, neither encrypted nor authenticated (RFC 4253 §6, cipher and MAC "none").

import type { Opener, Output, Random, Sealer } from '../../crypto/provider.ts';
import { checkLength, Padder, unpad } from '../wire/framing.ts';
import { HEAD_ROOM, type Packet, readUint32 } from '../wire/packet.ts';

/** RFC 4253 §6: packets are padded to 8 bytes where the cipher has no larger block. */
const BLOCK = 8;

export const clearOpener: Opener = {
  headLength: 4,
  copiesFrom: Infinity,
  frameLength: (bytes, at) => 4 + checkLength(readUint32(bytes, at), BLOCK, 4),
  open: (bytes, start, end) => unpad(bytes, start + 4, end),
};

export function clearSealer(random: Random): Sealer {
  const padder = new Padder(random);
  return {
    seal(packet: Packet, _sequence: number, out: Output): void {
      padder.pad(packet, BLOCK, 4, 0);
      out.push(packet.bytes.subarray(packet.start - HEAD_ROOM, packet.end));
    },
  };
}
