// aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647, names and negotiation from OpenSSH's PROTOCOL §1.6), portable.
// The length field is additional data in the clear; the 12-byte IV is 4 fixed bytes and a 64-bit counter of packets.
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { checkLength, Padder, unpad } from '../protocol/wire/framing.ts';
import { HEAD_ROOM, type Packet, readUint32 } from '../protocol/wire/packet.ts';
import { type Gcm, portableGcm } from './gcm.ts';
import type { CipherAlgorithm, Opener, Output, Random, Sealer } from './provider.ts';

export const GCM_BLOCK = 16;
export const GCM_TAG = 16;

/** The algorithm around one implementation of its two directions, which get an IV of their own. `keyLength` in bytes. */
export function aesGcm(
  name: string,
  keyLength: 16 | 32,
  opener: (key: Uint8Array, iv: Uint8Array) => Opener,
  sealer: (key: Uint8Array, iv: Uint8Array, random: Random) => Sealer,
): CipherAlgorithm {
  return {
    ...{ name, keyLength, ivLength: 12, blockLength: GCM_BLOCK, aead: true },
    opener: (key, iv) => opener(key, iv.slice()),
    sealer: (key, iv, random) => sealer(key, iv.slice(), random),
  };
}

/** AES-GCM without the runtime's. */
export const portableAesGcm = (name: string, keyLength: 16 | 32): CipherAlgorithm =>
  aesGcm(
    name,
    keyLength,
    (key, iv) => new GcmOpener(portableGcm(key), iv),
    (key, iv, random) => new GcmSealer(portableGcm(key), iv, new Padder(random)),
  );

/** The whole frame's length, from its first four bytes. */
export function gcmFrameLength(bytes: Uint8Array, at: number): number {
  return 4 + checkLength(readUint32(bytes, at), GCM_BLOCK, 0) + GCM_TAG;
}

/** RFC 5647 §7.1: the invocation counter, the last 8 bytes of the IV, goes up by one a packet, modulo 2^64. */
export function nextIv(iv: Uint8Array): void {
  for (let i = 11; i >= 4; i--) {
    iv[i]++;
    if (iv[i] !== 0) return;
  }
}

/** What a peer is told of a packet that is not from it. Authentication. */
export const wrongTag = (): ProtocolError => new ProtocolError('a packet has a wrong tag', Disconnect.MAC_ERROR);

/** Opens frames in place, and moves the IV on. */
export class GcmOpener implements Opener {
  readonly headLength = 4;
  readonly copiesFrom = Infinity;
  readonly #gcm: Gcm;
  readonly #iv: Uint8Array;

  constructor(gcm: Gcm, iv: Uint8Array) {
    this.#gcm = gcm;
    this.#iv = iv;
  }

  frameLength(bytes: Uint8Array, at: number): number {
    return gcmFrameLength(bytes, at);
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number): Packet {
    // Whoever seals the packet again may use the room of its frame, and nothing beyond.
    const frame = bytes.subarray(start, end);
    if (!this.#gcm.open(this.#iv, frame, 0, frame.length)) throw wrongTag();
    nextIv(this.#iv);
    return unpad(frame, 4, frame.length - GCM_TAG);
  }
}

/** Seals frames in place, and moves the IV on. */
export class GcmSealer implements Sealer {
  readonly #gcm: Gcm;
  readonly #iv: Uint8Array;
  readonly #padder: Padder;

  constructor(gcm: Gcm, iv: Uint8Array, padder: Padder) {
    this.#gcm = gcm;
    this.#iv = iv;
    this.#padder = padder;
  }

  // hot
  seal(packet: Packet, _sequence: number, out: Output): void {
    this.#padder.pad(packet, GCM_BLOCK, 0, GCM_TAG);
    const start = packet.start - HEAD_ROOM;
    const end = packet.end + GCM_TAG;
    this.#gcm.seal(this.#iv, packet.bytes, start, end);
    nextIv(this.#iv);
    out.push(packet.bytes.subarray(start, end));
  }
}
