// GHASH (SP 800-38D §6.4) with one table per key, where noble builds a new one for every message.
// Look-ups depend on the data: like noble's, not free of cache timing.

/**
 * Multiples of H by every value of each of the 32 nibbles of a block, 4 words each (8 KiB). The product with a block is
 * then 32 look-ups.
 */
export type GhashTable = Uint32Array;

export function ghashTable(h: Uint8Array): GhashTable {
  const table = new Uint32Array(32 * 16 * 4);
  // `v` is H · x^bit; in GCM's reflected order bit 0 is the most significant bit of byte 0.
  const v = new Uint32Array(4);
  for (let i = 0; i < 16; i++) v[i >> 2] = (v[i >> 2] << 8) | h[i];
  for (let bit = 0; bit < 128; bit++) {
    const weight = 8 >> (bit & 3);
    const base = (bit >> 2) * 64;
    for (let nibble = 0; nibble < 16; nibble++) {
      if (nibble & weight) for (let w = 0; w < 4; w++) table[base + nibble * 4 + w] ^= v[w];
    }
    const carry = v[3] & 1;
    v[3] = (v[3] >>> 1) | (v[2] << 31);
    v[2] = (v[2] >>> 1) | (v[1] << 31);
    v[1] = (v[1] >>> 1) | (v[0] << 31);
    v[0] = (v[0] >>> 1) ^ (carry * 0xe1000000);
  }
  return table;
}

/** // hot — Absorbs `bytes[start..end)`, the last block padded with zeros, into the state `y` (4 words). */
export function ghash(table: GhashTable, y: Uint32Array, bytes: Uint8Array, start: number, end: number): void {
  let y0 = y[0];
  let y1 = y[1];
  let y2 = y[2];
  let y3 = y[3];
  for (let at = start; at < end; at += 16) {
    if (end - at >= 16) {
      y0 ^= (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      y1 ^= (bytes[at + 4] << 24) | (bytes[at + 5] << 16) | (bytes[at + 6] << 8) | bytes[at + 7];
      y2 ^= (bytes[at + 8] << 24) | (bytes[at + 9] << 16) | (bytes[at + 10] << 8) | bytes[at + 11];
      y3 ^= (bytes[at + 12] << 24) | (bytes[at + 13] << 16) | (bytes[at + 14] << 8) | bytes[at + 15];
    } else {
      const last = new Uint32Array(4);
      for (let i = 0; at + i < end; i++) last[i >> 2] |= bytes[at + i] << (24 - 8 * (i & 3));
      y0 ^= last[0];
      y1 ^= last[1];
      y2 ^= last[2];
      y3 ^= last[3];
    }
    let z0 = 0;
    let z1 = 0;
    let z2 = 0;
    let z3 = 0;
    let base = 0;
    for (let w = 0; w < 4; w++) {
      const word = w === 0 ? y0 : w === 1 ? y1 : w === 2 ? y2 : y3;
      for (let shift = 28; shift >= 0; shift -= 4) {
        const index = base + ((word >>> shift) & 15) * 4;
        z0 ^= table[index];
        z1 ^= table[index + 1];
        z2 ^= table[index + 2];
        z3 ^= table[index + 3];
        base += 64;
      }
    }
    y0 = z0;
    y1 = z1;
    y2 = z2;
    y3 = z3;
  }
  y[0] = y0;
  y[1] = y1;
  y[2] = y2;
  y[3] = y3;
}
