// aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647) on node:crypto: one cipher object and one update() per packet.
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
import { type Packet, release, writeUint32 } from '../../protocol/wire/packet.ts';
import { aesGcm, GCM_BLOCK, GCM_TAG, gcmFrameLength, nextIv, wrongTag } from '../aes-gcm.ts';
import type { CipherAlgorithm, Opener, Output, Random, Sealer } from '../provider.ts';
import { plain } from './encoding.ts';

/** Frames up to this many bytes go out as one chunk: copying them is cheaper than two more entries of a writev. */
const MERGE = 2048;
const options = { authTagLength: GCM_TAG };

export const nodeAesGcm = (name: string, keyLength: 16 | 32): CipherAlgorithm => {
  const type: CipherGCMTypes = keyLength === 16 ? 'aes-128-gcm' : 'aes-256-gcm';
  return aesGcm(
    name,
    keyLength,
    (key, iv) => new GcmOpener(type, key, iv),
    (key, iv, random) => new GcmSealer(type, key, iv, random),
  );
};

class GcmOpener implements Opener {
  readonly headLength = 4;
  readonly copiesFrom = 0;
  readonly #type: CipherGCMTypes;
  /** A KeyObject, because Node 24 spends 17 µs a packet on a raw key. */
  readonly #key: KeyObject;
  readonly #iv: Uint8Array;

  constructor(type: CipherGCMTypes, key: Uint8Array, iv: Uint8Array) {
    this.#type = type;
    this.#key = createSecretKey(key);
    this.#iv = iv.slice();
  }

  frameLength(bytes: Uint8Array, at: number): number {
    return gcmFrameLength(bytes, at);
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number): Packet {
    const decipher: DecipherGCM = createDecipheriv(this.#type, this.#key, this.#iv, options);
    nextIv(this.#iv);
    decipher.setAAD(bytes.subarray(start, start + 4));
    decipher.setAuthTag(bytes.subarray(end - GCM_TAG, end));
    const text = plain(decipher.update(bytes.subarray(start + 4, end - GCM_TAG)));
    try {
      decipher.final();
    } catch {
      throw wrongTag();
    }
    return unpad(text, 0, text.length);
  }
}

class GcmSealer implements Sealer {
  readonly #type: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #iv: Uint8Array;
  readonly #padder: Padder;
  readonly #head = new Uint8Array(4);

  constructor(type: CipherGCMTypes, key: Uint8Array, iv: Uint8Array, random: Random) {
    this.#type = type;
    this.#key = createSecretKey(key);
    this.#iv = iv.slice();
    this.#padder = new Padder(random);
  }

  // hot
  seal(packet: Packet, _sequence: number, out: Output): void {
    const length = this.#padder.pad(packet, GCM_BLOCK, 0, 0, true);
    const head = this.#head;
    writeUint32(head, 0, length);
    const cipher: CipherGCM = createCipheriv(this.#type, this.#key, this.#iv, options);
    nextIv(this.#iv);
    cipher.setAAD(head);
    const text = cipher.update(packet.bytes.subarray(packet.start - 1, packet.end));
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
