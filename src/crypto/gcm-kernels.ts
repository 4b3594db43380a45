// AES in counter mode and GHASH as WebAssembly kernels. No branch and no address depends on secrets. AES is bit-sliced, eight blocks at a
// time: eight vectors, of which vector b holds bit b of every byte, block k's as bit k of the byte at that place (Käsper and
// Schwabe, "Faster and Timing-Attack Resistant AES-GCM").
import {
  and,
  type Code,
  either,
  get,
  i32,
  i32add,
  i32and,
  i32atLeast,
  i32extend,
  i32less,
  i32or,
  i32shl,
  i64,
  type Kernel,
  Locals,
  mul,
  or,
  set,
  shl,
  shr,
  store,
  vand,
  vbytes,
  vequal,
  vfromHalves,
  vhalf,
  vload,
  vor,
  vshl,
  vshr,
  vshuffle,
  vstore,
  vwithLast,
  vxor,
  whileTrue,
  xor,
} from './wasm.ts';

/** Where things lie in the kernels' memory: round keys (15 at most), H, the IV with room for the counter, the sum, the length field as a block, the tag's mask, the text. */
export const KEYS = 0;
export const H = 240;
export const IV = 256;
export const SUM = 272;
export const HEAD = 288;
export const MASK = 304;
export const TEXT = 320;
/** A packet of 256 KiB, the block of lengths behind it, and a batch of blocks that ends beyond it. */
export const PAGES = 5;

export const BLOCK = 16;

/** What AES adds at the end of its S-box: here it is a part of the round keys. */
export const AFFINE = 0x63;

/**
 * AES's S-box but for its constant, as straight-line program: x0 is the highest bit of the input, s0 of the output (Boyar and Peralta,
 * "A new combinational logic minimization technique with applications to cryptology").
 */
const S_BOX = `
  y14=x3^x5 y13=x0^x6 y9=x0^x3 y8=x0^x5 t0=x1^x2 y1=t0^x7 y4=y1^x3 y12=y13^y14 y2=y1^x0 y5=y1^x6 y3=y5^y8 t1=x4^y12
  y15=t1^x5 y20=t1^x1 y6=y15^x7 y10=y15^t0 y11=y20^y9 y7=x7^y11 y17=y10^y11 y19=y10^y8 y16=t0^y11 y21=y13^y16 y18=x0^y16
  t2=y12&y15 t3=y3&y6 t4=t3^t2 t5=y4&x7 t6=t5^t2 t7=y13&y16 t8=y5&y1 t9=t8^t7 t10=y2&y7 t11=t10^t7 t12=y9&y11 t13=y14&y17
  t14=t13^t12 t15=y8&y10 t16=t15^t12 t17=t4^t14 t18=t6^t16 t19=t9^t14 t20=t11^t16 t21=t17^y20 t22=t18^y19 t23=t19^y21
  t24=t20^y18 t25=t21^t22 t26=t21&t23 t27=t24^t26 t28=t25&t27 t29=t28^t22 t30=t23^t24 t31=t22^t26 t32=t31&t30 t33=t32^t24
  t34=t23^t33 t35=t27^t33 t36=t24&t35 t37=t36^t34 t38=t27^t36 t39=t29&t38 t40=t25^t39 t41=t40^t37 t42=t29^t33 t43=t29^t40
  t44=t33^t37 t45=t42^t41 z0=t44&y15 z1=t37&y6 z2=t33&x7 z3=t43&y16 z4=t40&y1 z5=t29&y7 z6=t42&y11 z7=t45&y17 z8=t41&y10
  z9=t44&y12 z10=t37&y3 z11=t33&y4 z12=t43&y13 z13=t40&y5 z14=t29&y2 z15=t42&y9 z16=t45&y14 z17=t41&y8
  t46=z15^z16 t47=z10^z11 t48=z5^z13 t49=z9^z10 t50=z2^z12 t51=z2^z5 t52=z7^z8 t53=z0^z3 t54=z6^z7 t55=z16^z17 t56=z12^t48
  t57=t50^t53 t58=z4^t46 t59=z3^t54 t60=t46^t57 t61=z14^t57 t62=t52^t58 t63=t49^t58 t64=z4^t59 t65=t61^t62 t66=z1^t63
  s0=t59^t63 s6=t56^t62 s7=t48^t60 t67=t64^t65 s3=t53^t66 s4=t51^t66 s5=t47^t65 s1=t64^s3 s2=t55^t67`;

const eight = [0, 1, 2, 3, 4, 5, 6, 7] as const;
/** A state's bytes lie column by column; where each comes from if row r turns by `turn(r)` columns, and columns by `by` rows. */
const moved = (turn: (row: number) => number, by: number): number[] =>
  Array.from({ length: BLOCK }, (_, i) => {
    const row = ((i & 3) + by) & 3;
    return (((i >> 2) + turn(row)) & 3) * 4 + row;
  });
const SHIFT_ROWS = moved(row => row, 0);
const SHIFT_ROWS_NEXT = moved(row => row, 1);
const SECOND_NEXT = moved(() => 0, 2);

/** encrypt(last, counter, end): with the last round key at `last`, XORs the keystream from that block on into what lies between MASK and `end`, eight blocks at a time. */
export function encryptKernel(): Kernel {
  const locals = new Locals(3);
  const [last, counter, end] = [0, 1, 2];
  const [at, key] = [locals.i32(), locals.i32()];
  const q = locals.v128Array(8);
  const n = locals.v128Array(8);
  const [t, roundKey] = locals.v128Array(2);

  /** Exchanges the bits of `a` under the mask, moved up by `bits`, with those of `b` under it. */
  const exchange = (a: number, b: number, bits: number, mask: number): Code => [
    ...set(t, vand(vxor(vshr(get(a), bits), get(b)), vbytes(mask))),
    ...set(b, vxor(get(b), get(t))),
    ...set(a, vxor(get(a), vshl(get(t), bits))),
  ];
  /** Blocks to slices, and back: each byte's bits change places with the vectors. */
  const transpose: Code = [
    [1, 0x55],
    [2, 0x33],
    [4, 0x0f],
  ].flatMap(([step, mask]) =>
    eight.filter(i => (i & step) === 0).flatMap(i => exchange(q[i], q[i + step], step, mask)),
  );
  const nextRoundKey: Code = [...set(roundKey, vload(get(key), 0)), ...set(key, i32add(get(key), i32(BLOCK)))];
  /** Bit b of the round key, for all blocks. */
  const keySlice = (b: number): Code => vequal(vand(get(roundKey), vbytes(1 << b)), vbytes(1 << b));

  const names = new Map(eight.map(i => [`x${i}`, q[7 - i]]));
  const subBytes: Code = S_BOX.trim()
    .split(/\s+/)
    .flatMap(step => {
      const [, target, a, gate, b] = /^(\w+)=(\w+)([&^])(\w+)$/.exec(step)!;
      const local = locals.v128();
      names.set(target, local);
      return set(local, (gate === '&' ? vand : vxor)(get(names.get(a)!), get(names.get(b)!)));
    });
  /** Bit b of the S-boxes' outputs. */
  const s = (b: number): number => names.get(`s${7 - b}`)!;

  /** ShiftRows; MixColumns, twice the sum t of a byte and the next, plus the next, plus t of the two after that; AddRoundKey. */
  const fullRound: Code = [
    ...eight.flatMap(b => [
      ...set(n[b], vshuffle(s(b), SHIFT_ROWS_NEXT)),
      ...set(q[b], vxor(vshuffle(s(b), SHIFT_ROWS), get(n[b]))),
    ]),
    ...eight.flatMap(b => set(n[b], vxor(get(n[b]), vxor(vshuffle(q[b], SECOND_NEXT), keySlice(b))))),
    // Twice is one bit up, and 0x1b where a bit fell out.
    ...eight.flatMap(b => set(n[b], vxor(get(n[b]), get(q[(b + 7) & 7])))),
    ...[1, 3, 4].flatMap(b => set(n[b], vxor(get(n[b]), get(q[7])))),
    ...eight.flatMap(b => set(q[b], get(n[b]))),
  ];
  const lastRound: Code = eight.flatMap(b => set(q[b], vxor(vshuffle(s(b), SHIFT_ROWS), keySlice(b))));

  /** The counter's four bytes, most significant first; a packet has fewer than 2^16 blocks. */
  const counterOf = (block: Code): Code =>
    i32or(i32shl(i32and(block, i32(0xff)), 24), i32shl(i32and(block, i32(0xff00)), 8));

  const body: Code = [
    ...set(at, i32(MASK)),
    ...whileTrue(i32less(get(at), get(end)), [
      ...eight.flatMap(k => set(q[k], vwithLast(vload(i32(IV), 0), counterOf(i32add(get(counter), i32(k)))))),
      ...transpose,
      ...set(key, i32(KEYS)),
      ...nextRoundKey,
      ...eight.flatMap(b => set(q[b], vxor(get(q[b]), keySlice(b)))),
      ...whileTrue(i32atLeast(get(last), get(key)), [
        ...nextRoundKey,
        ...subBytes,
        ...either(i32atLeast(get(last), get(key)), fullRound, lastRound),
      ]),
      ...transpose,
      ...eight.flatMap(k => vstore(get(at), k * BLOCK, vxor(vload(get(at), k * BLOCK), get(q[k])))),
      ...set(at, i32add(get(at), i32(8 * BLOCK))),
      ...set(counter, i32add(get(counter), i32(8))),
    ]),
  ];
  return { name: 'encrypt', locals, body };
}

const REVERSED = Array.from({ length: BLOCK }, (_, i) => BLOCK - 1 - i);

/**
 * sum(length): GHASH (SP 800-38D §6.4) over the head, `length` bytes of text and the lengths. Products without carries are made of
 * those with carries, of every fourth bit, so that what is carried falls into holes; their upper halves of the factors' mirror
 * images (Pornin, BearSSL's "ctmul64").
 */
export function sumKernel(): Kernel {
  const locals = new Locals(1);
  const length = 0;
  const [at, step] = [locals.i32(), locals.i32()];
  const [y, v] = locals.v128Array(2);
  const x = locals.i64Array(4);
  /** Per factor (low, high, their sum, and the mirror images of these) of H its every fourth bits. */
  const h = Array.from({ length: 6 }, () => locals.i64Array(4));
  const factors = locals.i64Array(6);
  const z = locals.i64Array(6);
  const out = locals.i64Array(4);

  const FOURTH = [0x1111111111111111n, 0x2222222222222222n, 0x4444444444444444n, -0x7777777777777778n];
  const fourths = (into: readonly number[], value: number): Code =>
    into.flatMap((local, i) => set(local, and(get(value), i64(FOURTH[i]))));

  /** Each byte's bits the other way round. */
  const mirrorBits: Code = [
    [1, 0x55],
    [2, 0x33],
    [4, 0x0f],
  ].flatMap(([bits, mask]) =>
    set(v, vor(vand(vshr(get(v), bits), vbytes(mask)), vshl(vand(get(v), vbytes(mask)), bits))),
  );
  /** The six factors of the block in y: its halves as numbers are the other way round in memory, and so is a mirror image's order of bytes. */
  const factorsOfY: Code = [
    ...set(v, vshuffle(y, REVERSED)),
    ...set(factors[0], vhalf(get(v), 0)),
    ...set(factors[1], vhalf(get(v), 1)),
    ...set(v, get(y)),
    ...mirrorBits,
    ...set(factors[3], vhalf(get(v), 1)),
    ...set(factors[4], vhalf(get(v), 0)),
    ...set(factors[2], xor(get(factors[0]), get(factors[1]))),
    ...set(factors[5], xor(get(factors[3]), get(factors[4]))),
  ];
  const product = (i: number): Code => [
    ...fourths(x, factors[i]),
    ...set(
      z[i],
      [0, 1, 2, 3]
        .map(rest => {
          const terms = [0, 1, 2, 3].map(j => mul(get(x[j]), get(h[i][(rest - j + 4) & 3])));
          return and(terms.slice(1).reduce(xor, terms[0]), i64(FOURTH[rest]));
        })
        .reduce(or),
    ),
  ];
  /** A product of mirror images is that of the factors, one bit down and mirrored. */
  const mirrored = (a: number, b: number): Code => [
    ...set(v, vfromHalves(get(a), get(b))),
    ...mirrorBits,
    ...set(v, vshuffle(v, REVERSED)),
    ...set(a, shr(vhalf(get(v), 1), 1)),
    ...set(b, shr(vhalf(get(v), 0), 1)),
  ];
  /** out[to], out[to + 1] += what x^128 = x^7 + x^2 + x + 1 makes of out[from], in GCM's order of bits. */
  const fold = (from: number): Code => [
    ...set(
      out[from + 2],
      xor(
        xor(get(out[from + 2]), get(out[from])),
        xor(shr(get(out[from]), 1), xor(shr(get(out[from]), 2), shr(get(out[from]), 7))),
      ),
    ),
    ...set(
      out[from + 1],
      xor(get(out[from + 1]), xor(shl(get(out[from]), 63), xor(shl(get(out[from]), 62), shl(get(out[from]), 57)))),
    ),
  ];
  /** y = y · H */
  const multiply: Code = [
    ...factorsOfY,
    ...[0, 1, 2, 3, 4, 5].flatMap(product),
    // Karatsuba, for both halves of the products
    ...set(z[2], xor(get(z[2]), xor(get(z[0]), get(z[1])))),
    ...set(z[5], xor(get(z[5]), xor(get(z[3]), get(z[4])))),
    ...mirrored(z[3], z[4]),
    ...mirrored(z[5], z[5]),
    // One bit up: products of mirrored polynomials have one bit less.
    ...set(out[0], get(z[0])),
    ...set(out[1], xor(get(z[3]), get(z[2]))),
    ...set(out[2], xor(get(z[1]), get(z[5]))),
    ...set(out[3], get(z[4])),
    ...[3, 2, 1].flatMap(i => set(out[i], or(shl(get(out[i]), 1), shr(get(out[i - 1]), 63)))),
    ...set(out[0], shl(get(out[0]), 1)),
    ...fold(0),
    ...fold(1),
    ...set(v, vfromHalves(get(out[2]), get(out[3]))),
    ...set(y, vshuffle(v, REVERSED)),
  ];
  /** A length in bits, most significant byte first; it has three bytes at most. */
  const bits = i32extend(get(length));
  const bigEndian = or(
    shl(and(shl(bits, 3), i64(0xffn)), 56),
    or(shl(and(shr(bits, 5), i64(0xffn)), 48), shl(shr(bits, 13), 40)),
  );
  const body: Code = [
    // 32 bits of additional data
    ...store(i32add(i32(TEXT), get(length)), 0, i64(0x20n << 56n)),
    ...store(i32add(i32(TEXT), get(length)), 8, bigEndian),
    ...set(y, vload(i32(H), 0)),
    ...factorsOfY,
    ...factors.flatMap((factor, i) => fourths(h[i], factor)),
    ...set(y, vbytes(0)),
    ...set(at, i32(HEAD)),
    // The mask, behind the head, is left out.
    ...set(step, i32(2 * BLOCK)),
    ...whileTrue(i32atLeast(i32add(i32(TEXT), get(length)), get(at)), [
      ...set(y, vxor(get(y), vload(get(at), 0))),
      ...multiply,
      ...set(at, i32add(get(at), get(step))),
      ...set(step, i32(BLOCK)),
    ]),
    ...vstore(i32(SUM), 0, get(y)),
  ];
  return { name: 'sum', locals, body };
}
