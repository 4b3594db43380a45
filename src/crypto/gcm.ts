// AES-GCM (SP 800-38D §7) of frames `[length(4) ‖ text ‖ tag(16)]`, in place: the length is additional data, the text a whole number of blocks.
import { readUint32, writeUint32 } from '../protocol/wire/packet.ts';
import { equalBytes } from '../protocol/wire/reader.ts';
import { expandKey, type RoundKeys, xorKeystream } from './aes.ts';
import { wasmGcm } from './gcm-wasm.ts';
import { type GhashTable, ghash, ghashTable } from './ghash.ts';
import { compiled } from './wasm.ts';

/** One key. `iv` has 12 bytes, and the frame is `bytes[start..end)`. */
export interface Gcm {
  /** Encrypts the text, and writes the tag. */
  seal(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): void;
  /** Decrypts the text, if the tag is right. @returns whether it is */
  open(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean;
}

/** Of a key of 16 or 32 bytes. */
export type MakeGcm = (key: Uint8Array) => Gcm;

const TAG = 16;

let kernel: { make: MakeGcm | undefined } | undefined;

/** That of WebAssembly, whose time does not depend on contents, where it can be had; found out at the first call, which takes some milliseconds. */
export function kernelGcm(): MakeGcm | undefined {
  kernel ??= { make: tested(wasmGcm) };
  return kernel.make;
}

/** The best there is without the runtime's cryptography. */
export const portableGcm: MakeGcm = key => (kernelGcm() ?? tableGcm)(key);

/** With tables, noble's and ours: they are not free of cache timing. */
export const tableGcm: MakeGcm = key => new TableGcm(key);

/** What `compile` makes, if it can, and if that passes a known-answer test. */
export const tested = (compile: () => MakeGcm): MakeGcm | undefined => compiled(compile, knows);

/** Text lengths around a batch of eight blocks, of which one is the tag's mask, and with more than one. */
const LENGTHS = [16, 32, 96, 112, 128, 240, 256, 1024];

/** Compares it with the tables, both ways and with a wrong tag. */
function knows(make: MakeGcm): boolean {
  for (const keyLength of [16, 32]) {
    const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => i * 73 + keyLength + length);
    const [ours, theirs] = [make, tableGcm].map(of => of(pattern(keyLength)));
    const iv = pattern(12);
    for (const length of LENGTHS) {
      const [frame, expected] = [pattern(4 + length + TAG), pattern(4 + length + TAG)];
      ours.seal(iv, frame, 0, frame.length);
      theirs.seal(iv, expected, 0, expected.length);
      if (!equalBytes(frame, expected)) return false;
      frame[length] ^= 1;
      if (ours.open(iv, frame, 0, frame.length)) return false;
      frame[length] ^= 1;
      if (!ours.open(iv, frame, 0, frame.length) || !theirs.open(iv, expected, 0, expected.length)) return false;
      if (!equalBytes(frame, expected)) return false;
    }
  }
  return true;
}

class TableGcm implements Gcm {
  readonly #keys: RoundKeys;
  readonly #table: GhashTable;
  /** The counter block: IV ‖ uint32. */
  readonly #counter = new Uint32Array(4);

  constructor(key: Uint8Array) {
    this.#keys = expandKey(key);
    const h = new Uint8Array(16);
    xorKeystream(this.#keys, new Uint32Array(4), h, 0, 16);
    this.#table = ghashTable(h);
  }

  // hot
  seal(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const tagAt = end - TAG;
    const mask = this.#mask(iv);
    xorKeystream(this.#keys, this.#counter, bytes, start + 4, tagAt);
    bytes.set(this.#tag(mask, bytes, start, tagAt), tagAt);
  }

  // hot
  open(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
    const tagAt = end - TAG;
    const tag = this.#tag(this.#mask(iv), bytes, start, tagAt);
    let difference = 0;
    for (let i = 0; i < TAG; i++) difference |= tag[i] ^ bytes[tagAt + i];
    if (difference !== 0) return false;
    xorKeystream(this.#keys, this.#counter, bytes, start + 4, tagAt);
    return true;
  }

  /** E(J0) of this IV, which hides the tag; the counter is then that of the text. */
  #mask(iv: Uint8Array): Uint8Array {
    for (let i = 0; i < 3; i++) this.#counter[i] = readUint32(iv, 4 * i);
    this.#counter[3] = 1;
    const mask = new Uint8Array(16);
    xorKeystream(this.#keys, this.#counter, mask, 0, 16);
    return mask;
  }

  /** The tag over the encrypted text; takes its mask's place. */
  #tag(mask: Uint8Array, bytes: Uint8Array, start: number, tagAt: number): Uint8Array {
    const y = new Uint32Array(4);
    const lengths = new Uint8Array(16);
    writeUint32(lengths, 4, 32);
    writeUint32(lengths, 12, (tagAt - start - 4) * 8);
    ghash(this.#table, y, bytes, start, start + 4);
    ghash(this.#table, y, bytes, start + 4, tagAt);
    ghash(this.#table, y, lengths, 0, 16);
    for (let i = 0; i < 16; i++) mask[i] ^= y[i >> 2] >>> (24 - 8 * (i & 3));
    return mask;
  }
}
