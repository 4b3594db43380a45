// Finds out which ciphers cost this runtime the least, by letting them seal and open some packets.
import { Packet } from '../protocol/wire/packet.ts';
import { concat } from '../protocol/wire/reader.ts';
import type { CipherAlgorithm, Random } from './provider.ts';

/** Payload bytes of a packet: what OpenSSH fills its packets with. */
const PAYLOAD = 32 * 1024;
/** Packets for each: the first ones are spent on the compiler, the least of the others counts. */
const PACKETS = 24;
/** How much more the preferred ones may seem to cost: so short a race is uncertain, and GCM is cheaper for the client too. */
const MARGIN = 1.25;

/** Milliseconds that sealing and opening one packet take at the least. */
function time({ keyLength, ivLength, opener, sealer }: CipherAlgorithm, random: Random, now: () => number): number {
  const key = random(new Uint8Array(keyLength));
  const iv = random(new Uint8Array(ivLength));
  const seals = sealer(key, iv, random);
  const opens = opener(key, iv);
  let best = Infinity;
  for (let sequence = 0; sequence < PACKETS; sequence++) {
    const packet = Packet.alloc(PAYLOAD);
    const chunks: Uint8Array[] = [];
    let start = now();
    seals.seal(packet, sequence, chunks);
    let spent = now() - start;
    const frame = concat(...chunks);
    start = now();
    opens.frameLength(frame, 0, sequence);
    opens.open(frame, 0, frame.length, sequence);
    spent += now() - start;
    best = Math.min(best, spent);
  }
  return best;
}

/** Names of `some` unless the first of them costs clearly more than `rival` does; none then. All of them are AEADs. */
export function race(
  some: readonly CipherAlgorithm[],
  rival: CipherAlgorithm,
  random: Random,
  now: () => number,
): string[] {
  const [first] = some;
  return time(first, random, now) < time(rival, random, now) * MARGIN ? some.map(({ name }) => name) : [];
}
