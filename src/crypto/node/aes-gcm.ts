// aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647) on node:crypto: one cipher object and one update() per packet, but for small ones.
import {
  type CipherGCM,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type DecipherGCM,
  type KeyObject,
} from 'node:crypto';
import { Padder, unpad } from '../../protocol/wire/framing.ts';
import { claim, type Packet, release, writeUint32 } from '../../protocol/wire/packet.ts';
import { aesGcm, GCM_BLOCK, GCM_TAG, GcmOpener, GcmSealer, gcmFrameLength, nextIv, wrongTag } from '../aes-gcm.ts';
import { kernelGcm } from '../gcm.ts';
import type { CipherAlgorithm, Opener, Output, Random, Sealer } from '../provider.ts';
import { plain } from './encoding.ts';

/** Frames up to this many bytes go out as one chunk: copying them is cheaper than two more entries of a writev. */
const MERGE = 2048;
/**
 * Below this many bytes a packet is not worth a cipher object of the runtime's, which is made for each: those are 3 to 4 µs on Node,
 * where the kernel needs 0.7 for a keystroke. Bun's cost less than that (measured on Node 20 to 26, Bun 1.4, Deno 2.9).
 */
const SMALL = process.versions.bun === undefined ? 512 : 0;
const options = { authTagLength: GCM_TAG };

export const nodeAesGcm = (name: string, keyLength: 16 | 32): CipherAlgorithm => {
  const type: CipherGCMTypes = keyLength === 16 ? 'aes-128-gcm' : 'aes-256-gcm';
  return aesGcm(
    name,
    keyLength,
    (key, iv) => new NodeOpener(type, key, iv),
    (key, iv, random) => new NodeSealer(type, key, iv, random),
  );
};

/** What does small packets, if it is to. */
const smallGcm = (key: Uint8Array) => (SMALL > 0 ? kernelGcm()?.(key) : undefined);

class NodeOpener implements Opener {
  readonly headLength = 4;
  readonly copiesFrom: number;
  readonly #type: CipherGCMTypes;
  /** A KeyObject, because Node 24 spends 17 µs a packet on a raw key. */
  readonly #key: KeyObject;
  readonly #iv: Uint8Array;
  /** With the same IV. */
  readonly #small: GcmOpener | undefined;

  constructor(type: CipherGCMTypes, key: Uint8Array, iv: Uint8Array) {
    const small = smallGcm(key);
    this.#type = type;
    this.#key = createSecretKey(key);
    this.#iv = iv;
    this.#small = small && new GcmOpener(small, iv);
    this.copiesFrom = small ? SMALL : 0;
  }

  frameLength(bytes: Uint8Array, at: number): number {
    return gcmFrameLength(bytes, at);
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number): Packet {
    if (end - start < this.copiesFrom) return this.#small!.open(bytes, start, end);
    const decipher: DecipherGCM = createDecipheriv(this.#type, this.#key, this.#iv, options);
    nextIv(this.#iv);
    decipher.setAAD(bytes.subarray(start, start + 4));
    decipher.setAuthTag(bytes.subarray(end - GCM_TAG, end));
    const text = claim(plain(decipher.update(bytes.subarray(start + 4, end - GCM_TAG))));
    try {
      decipher.final();
    } catch {
      throw wrongTag();
    }
    return unpad(text, 0, text.length);
  }
}

class NodeSealer implements Sealer {
  readonly #type: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #iv: Uint8Array;
  readonly #padder: Padder;
  readonly #head = new Uint8Array(4);
  /** With the same IV. */
  readonly #small: GcmSealer | undefined;

  constructor(type: CipherGCMTypes, key: Uint8Array, iv: Uint8Array, random: Random) {
    const small = smallGcm(key);
    this.#type = type;
    this.#key = createSecretKey(key);
    this.#iv = iv;
    this.#padder = new Padder(random);
    this.#small = small && new GcmSealer(small, iv, this.#padder);
  }

  // hot
  seal(packet: Packet, sequence: number, out: Output): void {
    if (this.#small !== undefined && packet.length < SMALL) return this.#small.seal(packet, sequence, out);
    const length = this.#padder.pad(packet, GCM_BLOCK, 0, 0, true);
    const head = this.#head;
    writeUint32(head, 0, length);
    const cipher: CipherGCM = createCipheriv(this.#type, this.#key, this.#iv, options);
    nextIv(this.#iv);
    cipher.setAAD(head);
    const text = claim(cipher.update(packet.bytes.subarray(packet.start - 1, packet.end)));
    if (packet.owned) release(packet.bytes);
    cipher.final();
    const tag = cipher.getAuthTag();
    if (length <= MERGE) {
      const frame = new Uint8Array(4 + length + GCM_TAG);
      frame.set(head);
      frame.set(text, 4);
      frame.set(tag, 4 + length);
      out.push(frame);
    } else {
      out.push(head.slice());
      out.push(text);
      out.push(tag);
    }
  }
}
