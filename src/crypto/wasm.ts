// A small assembler for WebAssembly (Core Specification 1.0, §5): one module, one memory, functions from numbers to nothing.
// It exists so that kernels too slow in JavaScript can be written down as readable expressions instead of shipped as opaque bytes.

/** Instructions that leave one value on the stack, or (a statement) none; nested, because joining arrays at each step takes milliseconds. */
export type Code = readonly (number | Code)[];

/** Local variables of a function, parameters (i32) first. */
export class Locals {
  readonly parameters: number;
  #count: number;

  constructor(parameters: number) {
    this.parameters = parameters;
    this.#count = parameters;
  }

  /** How many i64 locals there are besides the parameters. */
  get i64s(): number {
    return this.#count - this.parameters;
  }

  i64(): number {
    return this.#count++;
  }

  i64Array(length: number): number[] {
    return Array.from({ length }, () => this.i64());
  }
}

export const get = (local: number): Code => [0x20, ...leb(BigInt(local))];
export const set = (local: number, value: Code): Code => [value, 0x21, ...leb(BigInt(local))];
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
export const shl = (a: Code, bits: number): Code => [a, i64(BigInt(bits)), 0x86];
/** Logical shift to the right. */
export const shr = (a: Code, bits: number): Code => [a, i64(BigInt(bits)), 0x88];
/** 1 or 0 as an i64: a < b, unsigned. */
export const less = (a: Code, b: Code): Code => [a, b, 0x54, 0xad];
export const sum = (terms: readonly Code[]): Code => terms.slice(1).reduce((all, term) => add(all, term), terms[0]);

export const i32add = binary(0x6a);
export const i32sub = binary(0x6b);
/** a ≥ b, unsigned, as a condition. */
export const i32atLeast = binary(0x4f);

/** The i64 at `address + offset`, little-endian, at any alignment. */
export const load = (address: Code, offset: number): Code => [address, 0x29, 0, ...leb(BigInt(offset))];
export const store = (address: Code, offset: number, value: Code): Code => [
  address,
  value,
  0x37,
  0,
  ...leb(BigInt(offset)),
];

export const when = (condition: Code, body: Code): Code => [condition, 0x04, 0x40, body, 0x0b];
export const whileTrue = (condition: Code, body: Code): Code =>
  // block { loop { if not condition, leave the block; body; again } }
  [0x02, 0x40, 0x03, 0x40, condition, 0x45, 0x0d, 1, body, 0x0c, 0, 0x0b, 0x0b];

interface Instance {
  readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; run(...parameters: number[]): void };
}
/** What we use of WebAssembly, which is no part of TypeScript's library without a browser's. */
interface WebAssembly {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => Instance;
}

/** A module with one function and `pages` of 64 KiB of memory, compiled and ready. @throws where there is no WebAssembly, or a policy forbids it. */
export function instantiate(
  locals: Locals,
  body: Code,
  pages: number,
): { memory: Uint8Array; run: Instance['exports']['run'] } {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssembly };
  const bytes = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, locals.parameters, ...new Array<number>(locals.parameters).fill(0x7f), 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 1, ...leb(BigInt(pages)), ...leb(BigInt(pages))]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('run'), 0, 0]),
    ...section(10, [1, ...sized([1, ...leb(BigInt(locals.i64s)), 0x7e, ...flat(body), 0x0b])]),
  ]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  return { memory: new Uint8Array(exports.memory.buffer), run: exports.run };
}

const sized = (content: readonly number[]): number[] => [...leb(BigInt(content.length)), ...content];
const section = (id: number, content: readonly number[]): number[] => [id, ...sized(content)];
const name = (text: string): number[] => [text.length, ...Array.from(text, char => char.charCodeAt(0))];

function flat(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') into.push(part);
    else flat(part, into);
  }
  return into;
}

function leb(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value > 0x7fn; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value)];
}

function signedLeb(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value < -64n || value > 63n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value & 0x7fn)];
}
