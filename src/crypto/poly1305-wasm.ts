// Poly1305 (RFC 8439 §2.5) as a WebAssembly kernel: 64-bit products, which JavaScript does not have, make it four times as fast and more.
// Five limbs of 26 bits; four blocks at a time by the powers r¹ … r⁴, so that one chain of carries serves 64 bytes. No branch and no
// address depends on secrets.
import type { Poly1305 } from './poly1305.ts';
import {
  add,
  and,
  type Code,
  get,
  i32,
  i32add,
  i32atLeast,
  i32sub,
  i64,
  instantiate,
  Locals,
  less,
  load,
  mul,
  or,
  set,
  shl,
  shr,
  store,
  sub,
  sum,
  when,
  whileTrue,
} from './wasm.ts';

/** Where things lie in the kernel's memory. The message begins four bytes, the head's, before a multiple of 16. */
const KEY = 0;
const TAG = 32;
const MESSAGE = 76;
/** The longest message: a packet of 256 KiB with its length field fits into five pages. */
const PAGES = 5;
const LIMIT = PAGES * 65536 - MESSAGE - 16;
/** From this many bytes on the higher powers of r are worth computing. */
const LONG = 192;

/**
 * Compiles the kernel. `longer` gets the messages that are too long for its memory, which no packet that a peer takes is.
 * @throws where WebAssembly cannot be had.
 */
export function wasmPoly1305(longer: Poly1305): Poly1305 {
  const {
    memory,
    run: { run },
  } = kernel();
  // hot
  return (key, head, headAt, bytes, start, end, tag, tagAt) => {
    const length = 4 + end - start;
    if (length > LIMIT) {
      longer(key, head, headAt, bytes, start, end, tag, tagAt);
      return;
    }
    memory.set(key, KEY);
    for (let i = 0; i < 4; i++) memory[MESSAGE + i] = head[headAt + i];
    memory.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), MESSAGE + 4);
    // The last block, if not full, ends with a 1 and zeros (§2.5.1).
    memory.fill(0, MESSAGE + length, MESSAGE + length + 16);
    memory[MESSAGE + length] = 1;
    run(MESSAGE, length);
    for (let i = 0; i < 16; i++) tag[tagAt + i] = memory[TAG + i];
    memory.fill(0, KEY, KEY + 32);
  };
}

const LIMB = 0x3ffffffn;
const limb = (value: Code): Code => and(value, i64(LIMB));

/** run(at, length): the tag of `length` bytes at `at`. */
function kernel() {
  const locals = new Locals(2);
  const [at, length] = [0, 1];
  const h = locals.i64Array(5);
  const d = locals.i64Array(5);
  const m = locals.i64Array(5);
  const [low, high, carry, top] = locals.i64Array(4);
  // powers[k]: the limbs of r^(k+1); fives[k]: five times its upper four, for what wraps around 2^130.
  const powers = Array.from({ length: 4 }, () => locals.i64Array(5));
  const fives = Array.from({ length: 4 }, () => locals.i64Array(5));

  /**
   * d = or += the product of the limbs `x` with r^(k+1), not carried. Limbs are below 2^27 and their fives below 2^29, so
   * that the twenty products of four blocks stay below 2^61.
   */
  const product = (x: readonly number[], k: number, first: boolean): Code =>
    d.flatMap((target, i) => {
      const terms = x.map((limb, j) => mul(get(limb), get(j <= i ? powers[k][i - j] : fives[k][5 + i - j])));
      return set(target, sum(first ? terms : [get(target), ...terms]));
    });

  /** Carries d into `x`; its limbs then fit into 26 bits, the second into a little more. */
  const reduce = (x: readonly number[]): Code => [
    ...[0, 1, 2, 3].flatMap(i => [
      ...set(d[i + 1], add(get(d[i + 1]), shr(get(d[i]), 26))),
      ...set(x[i], limb(get(d[i]))),
    ]),
    ...set(x[4], limb(get(d[4]))),
    ...set(x[0], add(get(x[0]), mul(shr(get(d[4]), 26), i64(5n)))),
    ...set(x[1], add(get(x[1]), shr(get(x[0]), 26))),
    ...set(x[0], limb(get(x[0]))),
  ];

  /** Splits the 16 bytes at `at + offset` into limbs and adds them to `into`, or puts them into m; `bit` is 2^128 as a part of the fifth. */
  const block = (offset: number, into: readonly number[] | undefined, bit: Code): Code => {
    const put = (i: number, value: Code) => set((into ?? m)[i], into ? add(get(into[i]), value) : value);
    return [
      ...set(low, load(get(at), offset)),
      ...set(high, load(get(at), offset + 8)),
      ...put(0, limb(get(low))),
      ...put(1, limb(shr(get(low), 26))),
      ...put(2, limb(or(shr(get(low), 52), shl(get(high), 12)))),
      ...put(3, limb(shr(get(high), 14))),
      ...put(4, or(shr(get(high), 40), bit)),
    ];
  };
  const full = i64(1n << 24n);
  const advance = (count: number): Code => [
    ...set(at, i32add(get(at), i32(count))),
    ...set(length, i32sub(get(length), i32(count))),
  ];
  const setFives = (k: number): Code => [1, 2, 3, 4].flatMap(i => set(fives[k][i], mul(get(powers[k][i]), i64(5n))));

  const body: Code = [
    // r, clamped (§2.5.1)
    ...set(low, and(load(i32(KEY), 0), i64(0x0ffffffc0fffffffn))),
    ...set(high, and(load(i32(KEY), 8), i64(0x0ffffffc0ffffffcn))),
    ...set(powers[0][0], limb(get(low))),
    ...set(powers[0][1], limb(shr(get(low), 26))),
    ...set(powers[0][2], limb(or(shr(get(low), 52), shl(get(high), 12)))),
    ...set(powers[0][3], limb(shr(get(high), 14))),
    ...set(powers[0][4], shr(get(high), 40)),
    ...setFives(0),
    ...when(i32atLeast(get(length), i32(LONG)), [
      ...[1, 2, 3].flatMap(k => [...product(powers[k - 1], 0, true), ...reduce(powers[k]), ...setFives(k)]),
      ...whileTrue(i32atLeast(get(length), i32(64)), [
        ...block(0, h, full),
        ...product(h, 3, true),
        ...[1, 2, 3].flatMap(i => [...block(16 * i, undefined, full), ...product(m, 3 - i, false)]),
        ...reduce(h),
        ...advance(64),
      ]),
    ]),
    ...whileTrue(i32atLeast(get(length), i32(16)), [
      ...block(0, h, full),
      ...product(h, 0, true),
      ...reduce(h),
      ...advance(16),
    ]),
    ...when(i32atLeast(get(length), i32(1)), [...block(0, h, i64(0n)), ...product(h, 0, true), ...reduce(h)]),
    // h fully carried: the fifth limb may take the sum to 2^130 and little more, …
    ...[1, 2, 3].flatMap(i => [
      ...set(h[i + 1], add(get(h[i + 1]), shr(get(h[i]), 26))),
      ...set(h[i], limb(get(h[i]))),
    ]),
    // … then h - p if that is not negative: h + 5 carries into bit 130 exactly then, and the sum's low 130 bits are the difference.
    ...set(carry, i64(5n)),
    ...[0, 1, 2, 3, 4].flatMap(i => [
      ...set(m[i], add(get(h[i]), get(carry))),
      ...set(carry, shr(get(m[i]), 26)),
      ...set(m[i], limb(get(m[i]))),
    ]),
    ...set(top, sub(i64(0n), get(carry))),
    ...h.flatMap((x, i) => set(x, or(and(get(m[i]), get(top)), and(get(x), sub(sub(i64(0n), i64(1n)), get(top)))))),
    // tag = h + s modulo 2^128
    ...set(low, or(or(get(h[0]), shl(get(h[1]), 26)), shl(get(h[2]), 52))),
    ...set(high, or(or(shr(get(h[2]), 12), shl(get(h[3]), 14)), shl(get(h[4]), 40))),
    ...set(low, add(get(low), load(i32(KEY), 16))),
    ...set(carry, less(get(low), load(i32(KEY), 16))),
    ...set(high, add(add(get(high), load(i32(KEY), 24)), get(carry))),
    ...store(i32(TAG), 0, get(low)),
    ...store(i32(TAG), 8, get(high)),
  ];
  return instantiate([{ name: 'run', locals, body }], PAGES);
}
