// A small assembler for WebAssembly (Core Specification 1.0, §5): one module, one memory, functions from numbers to nothing, i64 and v128 inside.
// It exists so that kernels too slow in JavaScript can be written down as readable expressions instead of shipped as opaque bytes.

/** Instructions that leave one value on the stack, or (a statement) none; nested, because joining arrays at each step takes milliseconds. */
export type Code = readonly (number | Code)[];

type Type = 0x7f | 0x7e | 0x7b;
const I32 = 0x7f;
const I64 = 0x7e;
const V128 = 0x7b;

/** Local variables of a function, parameters (i32) first. */
export class Locals {
  readonly parameters: number;
  readonly #types: Type[] = [];

  constructor(parameters: number) {
    this.parameters = parameters;
  }

  /** Those besides the parameters, in order. */
  get types(): readonly Type[] {
    return this.#types;
  }

  i32 = (): number => this.#add(I32);
  i64 = (): number => this.#add(I64);
  v128 = (): number => this.#add(V128);
  i64Array = (length: number): number[] => Array.from({ length }, this.i64);
  v128Array = (length: number): number[] => Array.from({ length }, this.v128);

  #add(type: Type): number {
    return this.parameters + this.#types.push(type) - 1;
  }
}

export const get = (local: number): Code => [0x20, ...leb(local)];
export const set = (local: number, value: Code): Code => [value, 0x21, ...leb(local)];
export const i32 = (value: number): Code => [0x41, ...signedLeb(BigInt(value))];
export const i64 = (value: bigint): Code => [0x42, ...signedLeb(value)];

const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, opcode];
export const add = binary(0x7c);
export const sub = binary(0x7d);
export const mul = binary(0x7e);
export const and = binary(0x83);
export const or = binary(0x84);
export const xor = binary(0x85);
export const shl = (a: Code, bits: number): Code => [a, i64(BigInt(bits)), 0x86];
/** Logical shift to the right. */
export const shr = (a: Code, bits: number): Code => [a, i64(BigInt(bits)), 0x88];
/** 1 or 0 as an i64: a < b, unsigned. */
export const less = (a: Code, b: Code): Code => [a, b, 0x54, 0xad];
export const sum = (terms: readonly Code[]): Code => terms.slice(1).reduce((all, term) => add(all, term), terms[0]);

export const i32add = binary(0x6a);
export const i32sub = binary(0x6b);
export const i32and = binary(0x71);
export const i32or = binary(0x72);
export const i32shl = (a: Code, bits: number): Code => [a, i32(bits), 0x74];
/** The number as an i64. */
export const i32extend = (a: Code): Code => [a, 0xad];
/** a < b, unsigned, as a condition. */
export const i32less = binary(0x49);
/** a ≥ b, unsigned, as a condition. */
export const i32atLeast = binary(0x4f);

/** The i64 at `address + offset`, little-endian, at any alignment. */
export const load = (address: Code, offset: number): Code => [address, 0x29, 0, ...leb(offset)];
export const store = (address: Code, offset: number, value: Code): Code => [address, value, 0x37, 0, ...leb(offset)];

/** Vectors of 128 bits (fixed-width SIMD, Core Specification 2.0). */
const vector = (opcode: number): Code => [0xfd, ...leb(opcode)];
const vectorBinary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, vector(opcode)];
export const vand = vectorBinary(0x4e);
export const vor = vectorBinary(0x50);
export const vxor = vectorBinary(0x51);
/** Each byte all ones where those of `a` and `b` are equal, else zero. */
export const vequal = vectorBinary(0x23);
/** Shifts of both halves. */
export const vshl = (a: Code, bits: number): Code => [a, i32(bits), vector(0xcb)];
export const vshr = (a: Code, bits: number): Code => [a, i32(bits), vector(0xcd)];
/** The byte, sixteen times. */
export const vbytes = (byte: number): Code => [vector(0x0c), new Array<number>(16).fill(byte)];
/** Byte i is byte `order[i]` of `a`, which is the local's. */
export const vshuffle = (local: number, order: readonly number[]): Code => [
  get(local),
  get(local),
  vector(0x0d),
  order,
];
export const vload = (address: Code, offset: number): Code => [address, vector(0x00), 0, ...leb(offset)];
export const vstore = (address: Code, offset: number, value: Code): Code => [
  address,
  value,
  vector(0x0b),
  0,
  ...leb(offset),
];
/** One half as an i64, the first in memory being 0. */
export const vhalf = (a: Code, half: 0 | 1): Code => [a, vector(0x1d), half];
export const vfromHalves = (first: Code, second: Code): Code => [first, vector(0x12), second, vector(0x1e), 1];
/** `a` with an i32 as its last four bytes. */
export const vwithLast = (a: Code, value: Code): Code => [a, value, vector(0x1c), 3];

export const when = (condition: Code, body: Code): Code => [condition, 0x04, 0x40, body, 0x0b];
export const either = (condition: Code, body: Code, other: Code): Code => [
  condition,
  0x04,
  0x40,
  body,
  0x05,
  other,
  0x0b,
];
export const whileTrue = (condition: Code, body: Code): Code =>
  // block { loop { if not condition, leave the block; body; again } }
  [0x02, 0x40, 0x03, 0x40, condition, 0x45, 0x0d, 1, body, 0x0c, 0, 0x0b, 0x0b];

/** A function by its name: its parameters and locals, and what it does. */
export interface Kernel {
  readonly name: string;
  readonly locals: Locals;
  readonly body: Code;
}

/** A compiled kernel. */
export type Run = (...parameters: number[]) => void;

interface Instance {
  readonly exports: Record<string, Run> & {
    readonly memory: { readonly buffer: ArrayBuffer };
  };
}
/** What we use of WebAssembly, which is no part of TypeScript's library without a browser's. */
interface WebAssembly {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => Instance;
}

/** A module with these functions and `pages` of 64 KiB of memory, compiled and ready. @throws where there is no WebAssembly, or a policy forbids it. */
export function instantiate(
  kernels: readonly Kernel[],
  pages: number,
): { memory: Uint8Array; run: Record<string, Run> } {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssembly };
  const bytes = flat([
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, list(kernels.map(({ locals: { parameters } }) => [0x60, list(fill(parameters, 0x7f)), 0]))),
    section(3, list(kernels.map((_, i) => i))),
    section(5, [1, 1, leb(pages), leb(pages)]),
    section(7, list([[name('memory'), 2, 0], ...kernels.map((kernel, i) => [name(kernel.name), 0, i])])),
    section(
      10,
      list(kernels.map(({ locals, body }) => sized([list(locals.types.map(type => [1, type])), body, 0x0b]))),
    ),
  ]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes)));
  return { memory: new Uint8Array(exports.memory.buffer), run: exports };
}

/** What `compile` makes of kernels, if it can and if that `knows` the right answers; else there must be something portable. */
export function compiled<T>(compile: () => T, knows: (made: T) => boolean): T | undefined {
  try {
    const made = compile();
    if (knows(made)) return made;
  } catch {
    // No WebAssembly, no vectors in it, or a policy forbids to compile it.
  }
  return undefined;
}

const fill = (count: number, byte: number): number[] => new Array<number>(count).fill(byte);
const list = (items: Code): Code => [leb(items.length), items];
const sized = (content: Code): Code => {
  const bytes = flat(content);
  return [leb(bytes.length), bytes];
};
const section = (id: number, content: Code): Code => [id, sized(content)];
const name = (text: string): Code => list(Array.from(text, char => char.charCodeAt(0)));

function flat(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') into.push(part);
    else flat(part, into);
  }
  return into;
}

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

function signedLeb(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value < -64n || value > 63n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value & 0x7fn)];
}
