// aes128-ctr, aes192-ctr and aes256-ctr (RFC 4344 §4) with a MAC, encrypt-and-MAC (RFC 4253 §6.4) or encrypt-then-MAC (OpenSSH's PROTOCOL §1.5).
import { UsageError } from '../protocol/errors.ts';
import { checkLength, Padder, unpad } from '../protocol/wire/framing.ts';
import { HEAD_ROOM, type Packet, readUint32, sent } from '../protocol/wire/packet.ts';
import { counterBlock, expandKey, xorKeystream } from './aes.ts';
import { wrongTag } from './aes-gcm.ts';
import type { CipherAlgorithm, Mac, MacAlgorithm, Opener, Output, Random, Sealer } from './provider.ts';

const BLOCK = 16;

/** A keystream of one direction, used up in order: XORs its next bytes into `bytes[start..end)`. Always asked for whole blocks. */
export type Keystream = (bytes: Uint8Array, start: number, end: number) => void;

/** The algorithm around one implementation of AES-CTR. `keyLength` in bytes. */
export function aesCtr(
  name: string,
  keyLength: 16 | 24 | 32,
  keystream: (key: Uint8Array, iv: Uint8Array) => Keystream,
): CipherAlgorithm {
  return {
    name,
    keyLength,
    ivLength: BLOCK,
    blockLength: BLOCK,
    aead: false,
    opener(key, iv, mac, macKey) {
      const Opener = required(mac).etm ? EtmOpener : PlainOpener;
      return new Opener(keystream(key, iv), required(mac).create(required(macKey)));
    },
    sealer(key, iv, random, mac, macKey) {
      const Sealer = required(mac).etm ? EtmSealer : PlainSealer;
      return new Sealer(keystream(key, iv), required(mac).create(required(macKey)), random);
    },
  };
}

/** AES-CTR on noble's AES. */
export const portableAesCtr = (name: string, keyLength: 16 | 24 | 32): CipherAlgorithm =>
  aesCtr(name, keyLength, (key, iv) => {
    const keys = expandKey(key);
    const counter = counterBlock(iv);
    return (bytes, start, end) => xorKeystream(keys, counter, bytes, start, end);
  });

function required<T extends MacAlgorithm | Uint8Array>(value: T | undefined): T {
  if (value === undefined) throw new UsageError('a cipher in counter mode needs a MAC');
  return value;
}

/** Compares the tag at `bytes[at..]` in constant time. */
function checkTag(mac: Mac, sequence: number, bytes: Uint8Array, start: number, at: number): void {
  const tag = mac.compute(sequence, bytes, start, at);
  let difference = 0;
  for (let i = 0; i < tag.length; i++) difference |= tag[i] ^ bytes[at + i];
  if (difference !== 0) throw wrongTag();
}

/** Length in the clear, tag over the ciphertext. */
class EtmOpener implements Opener {
  readonly headLength = 4;
  readonly copiesFrom = Infinity;
  readonly #keystream: Keystream;
  readonly #mac: Mac;

  constructor(keystream: Keystream, mac: Mac) {
    this.#keystream = keystream;
    this.#mac = mac;
  }

  frameLength(bytes: Uint8Array, at: number): number {
    return 4 + checkLength(readUint32(bytes, at), BLOCK, 0) + this.#mac.tagLength;
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number, sequence: number): Packet {
    const frame = bytes.subarray(start, end);
    const tagAt = frame.length - this.#mac.tagLength;
    checkTag(this.#mac, sequence, frame, 0, tagAt);
    this.#keystream(frame, 4, tagAt);
    return unpad(frame, 4, tagAt);
  }
}

/** Everything encrypted, length included; tag over the plaintext. */
class PlainOpener implements Opener {
  readonly headLength = BLOCK;
  readonly copiesFrom = Infinity;
  readonly #keystream: Keystream;
  readonly #mac: Mac;

  constructor(keystream: Keystream, mac: Mac) {
    this.#keystream = keystream;
    this.#mac = mac;
  }

  frameLength(bytes: Uint8Array, at: number): number {
    this.#keystream(bytes, at, at + BLOCK);
    return 4 + checkLength(readUint32(bytes, at), BLOCK, 4) + this.#mac.tagLength;
  }

  // hot
  open(bytes: Uint8Array, start: number, end: number, sequence: number): Packet {
    const frame = bytes.subarray(start, end);
    const tagAt = frame.length - this.#mac.tagLength;
    if (tagAt > BLOCK) this.#keystream(frame, BLOCK, tagAt);
    checkTag(this.#mac, sequence, frame, 0, tagAt);
    return unpad(frame, 4, tagAt);
  }
}

class EtmSealer implements Sealer {
  readonly #keystream: Keystream;
  readonly #mac: Mac;
  readonly #padder: Padder;

  constructor(keystream: Keystream, mac: Mac, random: Random) {
    this.#keystream = keystream;
    this.#mac = mac;
    this.#padder = new Padder(random);
  }

  // hot
  seal(packet: Packet, sequence: number, out: Output): void {
    this.#padder.pad(packet, BLOCK, 0, this.#mac.tagLength);
    const { bytes, end } = packet;
    const start = packet.start - HEAD_ROOM;
    this.#keystream(bytes, start + 4, end);
    bytes.set(this.#mac.compute(sequence, bytes, start, end), end);
    out.push(sent(packet, start, end + this.#mac.tagLength));
  }
}

class PlainSealer implements Sealer {
  readonly #keystream: Keystream;
  readonly #mac: Mac;
  readonly #padder: Padder;

  constructor(keystream: Keystream, mac: Mac, random: Random) {
    this.#keystream = keystream;
    this.#mac = mac;
    this.#padder = new Padder(random);
  }

  // hot
  seal(packet: Packet, sequence: number, out: Output): void {
    this.#padder.pad(packet, BLOCK, 4, this.#mac.tagLength);
    const { bytes, end } = packet;
    const start = packet.start - HEAD_ROOM;
    const tag = this.#mac.compute(sequence, bytes, start, end);
    this.#keystream(bytes, start, end);
    bytes.set(tag, end);
    out.push(sent(packet, start, end + tag.length));
  }
}
