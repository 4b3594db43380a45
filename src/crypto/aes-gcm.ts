// aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647, names and negotiation from OpenSSH's PROTOCOL §1.6), portable.
// The length field is additional data in the clear; the 12-byte IV is 4 fixed bytes and a 64-bit counter of packets.
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { checkLength, Padder, unpad } from '../protocol/wire/framing.ts';
import { HEAD_ROOM, type Packet, readUint32, writeUint32 } from '../protocol/wire/packet.ts';
import { expandKey, type RoundKeys, xorKeystream } from './aes.ts';
import { type GhashTable, ghash, ghashTable } from './ghash.ts';
import type { CipherAlgorithm, Opener, Output, Random, Sealer } from './provider.ts';

export const GCM_BLOCK = 16;
export const GCM_TAG = 16;

/** The algorithm around one implementation of its two directions. `keyLength` in bytes. */
export function aesGcm(
  name: string,
  keyLength: 16 | 32,
  opener: (key: Uint8Array, iv: Uint8Array) => Opener,
  sealer: (key: Uint8Array, iv: Uint8Array, random: Random) => Sealer,
): CipherAlgorithm {
  return { name, keyLength, ivLength: 12, blockLength: GCM_BLOCK, aead: true, opener, sealer };
}

/** AES-GCM on noble's AES. */
export const portableAesGcm = (name: string, keyLength: 16 | 32): CipherAlgorithm =>
  aesGcm(
    name,
    keyLength,
    (key, iv) => new GcmOpener(key, iv),
    (key, iv, random) => new GcmSealer(key, iv, random),
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

export const wrongTag = (): ProtocolError => new ProtocolError('a packet has a wrong tag', Disconnect.MAC_ERROR);

class GcmOpener implements Opener {
  readonly headLength = 4;
  readonly copiesFrom = Infinity;
  readonly #gcm: Gcm;

  constructor(key: Uint8Array, iv: Uint8Array) {
    this.#gcm = new Gcm(key, iv);
  }

  frameLength(bytes: Uint8Array, at: number): number {
    return gcmFrameLength(bytes, at);
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number): Packet {
    const frame = bytes.subarray(start, end);
    const tagAt = frame.length - GCM_TAG;
    const tag = this.#gcm.tag(frame, tagAt);
    let difference = 0;
    for (let i = 0; i < GCM_TAG; i++) difference |= tag[i] ^ frame[tagAt + i];
    if (difference !== 0) throw wrongTag();
    this.#gcm.crypt(frame, tagAt);
    return unpad(frame, 4, tagAt);
  }
}

class GcmSealer implements Sealer {
  readonly #gcm: Gcm;
  readonly #padder: Padder;

  constructor(key: Uint8Array, iv: Uint8Array, random: Random) {
    this.#gcm = new Gcm(key, iv);
    this.#padder = new Padder(random);
  }

  // hot
  seal(packet: Packet, _sequence: number, out: Output): void {
    this.#padder.pad(packet, GCM_BLOCK, 0, GCM_TAG);
    const frame = packet.bytes.subarray(packet.start - HEAD_ROOM, packet.end + GCM_TAG);
    const tagAt = frame.length - GCM_TAG;
    // The tag's mask belongs to the IV that crypt() moves on from, so it is drawn first.
    const mask = this.#gcm.mask();
    this.#gcm.crypt(frame, tagAt);
    frame.set(this.#gcm.authenticate(frame, tagAt, mask), tagAt);
    out.push(frame);
  }
}

/** AES-GCM (SP 800-38D §7) under one key, over frames `[length(4) ‖ text ‖ tag]`. */
class Gcm {
  readonly #keys: RoundKeys;
  readonly #table: GhashTable;
  readonly #iv: Uint8Array;
  /** The counter block J0 and what follows it: IV ‖ uint32. */
  readonly #counter = new Uint32Array(4);
  readonly #y = new Uint32Array(4);
  readonly #mask = new Uint8Array(16);
  readonly #lengths = new Uint8Array(16);
  readonly #tag = new Uint8Array(16);

  constructor(key: Uint8Array, iv: Uint8Array) {
    this.#keys = expandKey(key);
    const h = new Uint8Array(16);
    xorKeystream(this.#keys, new Uint32Array(4), h, 0, 16);
    this.#table = ghashTable(h);
    this.#iv = iv.slice();
  }

  /** E(J0) of the current IV, which hides the tag. */
  mask(): Uint8Array {
    this.#seek(1);
    this.#mask.fill(0);
    xorKeystream(this.#keys, this.#counter, this.#mask, 0, 16);
    return this.#mask;
  }

  /** The tag of a frame whose text is encrypted already. */
  tag(frame: Uint8Array, end: number): Uint8Array {
    return this.authenticate(frame, end, this.mask());
  }

  authenticate(frame: Uint8Array, end: number, mask: Uint8Array): Uint8Array {
    const y = this.#y.fill(0);
    writeUint32(this.#lengths, 4, 32);
    writeUint32(this.#lengths, 12, (end - 4) * 8);
    ghash(this.#table, y, frame, 0, 4);
    ghash(this.#table, y, frame, 4, end);
    ghash(this.#table, y, this.#lengths, 0, 16);
    for (let i = 0; i < 16; i++) this.#tag[i] = (y[i >> 2] >>> (24 - 8 * (i & 3))) ^ mask[i];
    return this.#tag;
  }

  /** Encrypts or decrypts the text `frame[4..end)` in place and moves on to the next packet's IV. */
  crypt(frame: Uint8Array, end: number): void {
    this.#seek(2);
    xorKeystream(this.#keys, this.#counter, frame, 4, end);
    nextIv(this.#iv);
  }

  #seek(block: number): void {
    this.#counter[0] = readUint32(this.#iv, 0);
    this.#counter[1] = readUint32(this.#iv, 4);
    this.#counter[2] = readUint32(this.#iv, 8);
    this.#counter[3] = block;
  }
}
