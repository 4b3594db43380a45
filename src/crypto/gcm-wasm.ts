// AES-GCM by kernels in WebAssembly: for packets that are not worth a call into the runtime, and where there is no AES in it.
import { expandKey } from './aes.ts';
import type { Gcm, MakeGcm } from './gcm.ts';
import { AFFINE, BLOCK, encryptKernel, H, HEAD, IV, KEYS, MASK, PAGES, SUM, sumKernel, TEXT } from './gcm-kernels.ts';
import { instantiate, type Run } from './wasm.ts';

const TAG = 16;

/**
 * Compiles the kernels, and returns what makes a `Gcm` of a key. Frames may be as long as packets may be, and a little longer.
 * @throws where WebAssembly with vectors cannot be had
 */
export function wasmGcm(): MakeGcm {
  const { memory, run } = instantiate([encryptKernel(), sumKernel()], PAGES);
  return key => new KernelGcm(memory, run.encrypt, run.sum, key);
}

class KernelGcm implements Gcm {
  readonly #memory: Uint8Array;
  readonly #encrypt: Run;
  readonly #sum: Run;
  /** Round keys and H, as they lie in the memory. */
  readonly #key: Uint8Array;
  /** Where the last round key is. */
  readonly #last: number;

  constructor(memory: Uint8Array, encrypt: Run, sum: Run, key: Uint8Array) {
    this.#memory = memory;
    this.#encrypt = encrypt;
    this.#sum = sum;
    const words = expandKey(key);
    const keys = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    for (let i = BLOCK; i < keys.length; i++) keys[i] ^= AFFINE;
    this.#last = KEYS + keys.length - BLOCK;
    // H is the encrypted block of zeros.
    memory.fill(0, KEYS, TEXT);
    memory.set(keys, KEYS);
    encrypt(this.#last, 0, TEXT);
    memory.copyWithin(H, MASK, TEXT);
    this.#key = memory.slice(KEYS, H + BLOCK);
  }

  // hot
  seal(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const memory = this.#memory;
    const length = this.#load(iv, bytes, start, end);
    this.#encrypt(this.#last, 1, TEXT + length);
    this.#sum(length);
    bytes.set(memory.subarray(TEXT, TEXT + length), start + 4);
    for (let i = 0; i < TAG; i++) bytes[end - TAG + i] = memory[SUM + i] ^ memory[MASK + i];
  }

  // hot
  open(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
    const memory = this.#memory;
    const length = this.#load(iv, bytes, start, end);
    this.#sum(length);
    this.#encrypt(this.#last, 1, TEXT + length);
    let difference = 0;
    for (let i = 0; i < TAG; i++) difference |= memory[SUM + i] ^ memory[MASK + i] ^ bytes[end - TAG + i];
    if (difference !== 0) return false;
    bytes.set(memory.subarray(TEXT, TEXT + length), start + 4);
    return true;
  }

  /** @returns the text's length in bytes */
  #load(iv: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
    const memory = this.#memory;
    memory.set(this.#key, KEYS);
    memory.set(iv, IV);
    for (let i = 0; i < 4; i++) memory[HEAD + i] = bytes[start + i];
    memory.fill(0, MASK, TEXT);
    memory.set(bytes.subarray(start + 4, end - TAG), TEXT);
    return end - TAG - start - 4;
  }
}
