// Triple DES in CBC mode, decryption only (FIPS 46-3, SP 800-67): old key files are under it, and nothing new ever is.
import { readUint32, writeUint32 } from '../../protocol/wire/packet.ts';

/**
 * The text of `data`, whole blocks of 8 bytes, under three keys (24 bytes); padding stays on. Tables are looked up by
 * secret bytes: the time may tell a watcher on the same machine something about the key, once, as its file is read.
 */
export function tripleDesCbcDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const [first, second, third] = [0, 8, 16].map(at => schedule(key.subarray(at, at + 8)));
  // The inverse of E(k3, D(k2, E(k1, text))); a DES runs backwards when its round keys do.
  const rounds = [...third].reverse().concat([...second], [...first].reverse());
  const text = new Uint8Array(data.length);
  let left = readUint32(iv, 0);
  let right = readUint32(iv, 4);
  for (let at = 0; at < data.length; at += 8) {
    const block: Block = [readUint32(data, at), readUint32(data, at + 4)];
    const plain = crypt(block, rounds);
    writeUint32(text, at, plain[0] ^ left);
    writeUint32(text, at + 4, plain[1] ^ right);
    [left, right] = block;
  }
  return text;
}

type Block = [left: number, right: number];

/** Six bits for each of eight S-boxes. */
type RoundKey = readonly number[];

/** Three times sixteen rounds; the final and initial permutations between them cancel out. */
function crypt(block: Block, rounds: readonly RoundKey[]): Block {
  let [left, right] = permute(block, INITIAL);
  rounds.forEach((key, i) => {
    [left, right] = [right, left ^ feistel(right, key)];
    // After its last round each DES swaps the halves back.
    if (i % 16 === 15) [left, right] = [right, left];
  });
  return permute([left, right], FINAL);
}

function feistel(half: number, key: RoundKey): number {
  let out = 0;
  for (let i = 0; i < 8; i++) {
    // The expansion E: box i sees its four bits and one neighbour on each side, around the ends.
    const turn = (4 * i + 5) & 31;
    const six = ((half << turn) | (half >>> (32 - turn))) & 0x3f;
    out |= BOXES[i][six ^ key[i]];
  }
  return out;
}

/** Sixteen round keys (FIPS 46-3, appendix 1). */
function schedule(key: Uint8Array): RoundKey[] {
  const bit = (n: number) => (key[(n - 1) >> 3] >> (7 - ((n - 1) & 7))) & 1;
  const chosen = CHOICE_1.map(bit);
  let c = chosen.slice(0, 28);
  let d = chosen.slice(28);
  return SHIFTS.map(shift => {
    c = [...c.slice(shift), ...c.slice(0, shift)];
    d = [...d.slice(shift), ...d.slice(0, shift)];
    const both = [...c, ...d];
    const bits = CHOICE_2.map(n => both[n - 1]);
    return Array.from({ length: 8 }, (_, i) => bits.slice(i * 6, i * 6 + 6).reduce((six, b) => six * 2 + b, 0));
  });
}

/** Bit n of the result is bit `table[n]` of the block, counted from 1 at the left as in the standard. */
function permute([left, right]: Block, table: readonly number[]): Block {
  const out: Block = [0, 0];
  table.forEach((from, i) => {
    const bit = from <= 32 ? left >>> (32 - from) : right >>> (64 - from);
    out[i >> 5] |= (bit & 1) << (31 - (i & 31));
  });
  return out;
}

const SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/** The permutations IP and its inverse, by their regularity. */
const INITIAL = Array.from({ length: 64 }, (_, i) => {
  const row = i >> 3;
  return 64 - 8 * (i & 7) - (row < 4 ? 6 - 2 * row : 7 - 2 * (row - 4));
});
const FINAL = INITIAL.map((_, i) => INITIAL.indexOf(i + 1) + 1);

const CHOICE_1 = [
  57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
  47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];
const CHOICE_2 = [
  14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
  40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
/** The permutation P behind the S-boxes. */
const P = [
  16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
];
/** The S-boxes, four rows of sixteen hexadecimal digits each. */
const S = [
  'e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d',
  'f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9',
  'a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c',
  '7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e',
  '2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453',
  'c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d',
  '4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c',
  'd2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b',
];

/** Each S-box followed by P: 64 words, by the six bits as they come. */
const BOXES = S.map((rows, box) => {
  const digits = rows.split(' ').map(row => [...row].map(digit => Number.parseInt(digit, 16)));
  return Int32Array.from({ length: 64 }, (_, six) => {
    // The outer two bits choose the row, the inner four the column.
    const value = digits[((six >> 4) & 2) | (six & 1)][(six >> 1) & 15];
    return P.reduce((word, from, i) => {
      const at = from - 1 - box * 4;
      return at < 0 || at > 3 ? word : word | (((value >> (3 - at)) & 1) << (31 - i));
    }, 0);
  });
});
