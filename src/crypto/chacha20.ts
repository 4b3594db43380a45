// ChaCha20 (D. J. Bernstein's original with a 64-bit nonce, as OpenSSH uses it; the rounds of RFC 8439 §2.3), in place and at any alignment.

/** A key as eight words, made once per direction. */
export function chachaKey(key: Uint8Array): Uint32Array {
  const words = new Uint32Array(8);
  for (let i = 0; i < 32; i++) words[i >> 2] |= key[i] << (8 * (i & 3));
  return words;
}

const scratch = new Uint32Array(16);

/** // hot — XORs the keystream of packet `sequence` from block `counter` on into `bytes[start..end)`. */
export function chacha20(
  key: Uint32Array,
  sequence: number,
  counter: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const nonce = nonceWord(sequence);
  let at = start;
  if (end - at >= 64) {
    // A DataView writes unaligned words where four byte accesses each would double the time.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; end - at >= 64; at += 64) {
      chachaBlock(key, nonce, counter++, scratch);
      for (let i = 0; i < 16; i++) {
        const to = at + i * 4;
        view.setInt32(to, view.getInt32(to, true) ^ scratch[i], true);
      }
    }
  }
  if (at < end) {
    chachaBlock(key, nonce, counter, scratch);
    for (let i = 0; at < end; i++, at++) bytes[at] ^= scratch[i >> 2] >>> (8 * (i & 3));
  }
  scratch.fill(0);
}

/** The nonce is the packet's sequence number as a uint64, most significant byte first; of its two words only this one is not 0. */
export function nonceWord(sequence: number): number {
  return (sequence >>> 24) | ((sequence >>> 8) & 0xff00) | ((sequence << 8) & 0xff0000) | (sequence << 24);
}

/** // hot — One block of keystream as 16 little-endian words. */
export function chachaBlock(key: Uint32Array, nonce: number, counter: number, out: Uint32Array): void {
  const k0 = key[0] | 0;
  const k1 = key[1] | 0;
  const k2 = key[2] | 0;
  const k3 = key[3] | 0;
  const k4 = key[4] | 0;
  const k5 = key[5] | 0;
  const k6 = key[6] | 0;
  const k7 = key[7] | 0;
  // "expand 32-byte k"
  let a0 = 0x61707865;
  let a1 = 0x3320646e;
  let a2 = 0x79622d32;
  let a3 = 0x6b206574;
  let b0 = k0;
  let b1 = k1;
  let b2 = k2;
  let b3 = k3;
  let c0 = k4;
  let c1 = k5;
  let c2 = k6;
  let c3 = k7;
  let d0 = counter | 0;
  let d1 = 0;
  let d2 = 0;
  let d3 = nonce | 0;
  for (let round = 0; round < 20; round += 2) {
    a0 = (a0 + b0) | 0;
    d0 ^= a0;
    d0 = (d0 << 16) | (d0 >>> 16);
    c0 = (c0 + d0) | 0;
    b0 ^= c0;
    b0 = (b0 << 12) | (b0 >>> 20);
    a0 = (a0 + b0) | 0;
    d0 ^= a0;
    d0 = (d0 << 8) | (d0 >>> 24);
    c0 = (c0 + d0) | 0;
    b0 ^= c0;
    b0 = (b0 << 7) | (b0 >>> 25);
    a1 = (a1 + b1) | 0;
    d1 ^= a1;
    d1 = (d1 << 16) | (d1 >>> 16);
    c1 = (c1 + d1) | 0;
    b1 ^= c1;
    b1 = (b1 << 12) | (b1 >>> 20);
    a1 = (a1 + b1) | 0;
    d1 ^= a1;
    d1 = (d1 << 8) | (d1 >>> 24);
    c1 = (c1 + d1) | 0;
    b1 ^= c1;
    b1 = (b1 << 7) | (b1 >>> 25);
    a2 = (a2 + b2) | 0;
    d2 ^= a2;
    d2 = (d2 << 16) | (d2 >>> 16);
    c2 = (c2 + d2) | 0;
    b2 ^= c2;
    b2 = (b2 << 12) | (b2 >>> 20);
    a2 = (a2 + b2) | 0;
    d2 ^= a2;
    d2 = (d2 << 8) | (d2 >>> 24);
    c2 = (c2 + d2) | 0;
    b2 ^= c2;
    b2 = (b2 << 7) | (b2 >>> 25);
    a3 = (a3 + b3) | 0;
    d3 ^= a3;
    d3 = (d3 << 16) | (d3 >>> 16);
    c3 = (c3 + d3) | 0;
    b3 ^= c3;
    b3 = (b3 << 12) | (b3 >>> 20);
    a3 = (a3 + b3) | 0;
    d3 ^= a3;
    d3 = (d3 << 8) | (d3 >>> 24);
    c3 = (c3 + d3) | 0;
    b3 ^= c3;
    b3 = (b3 << 7) | (b3 >>> 25);
    a0 = (a0 + b1) | 0;
    d3 ^= a0;
    d3 = (d3 << 16) | (d3 >>> 16);
    c2 = (c2 + d3) | 0;
    b1 ^= c2;
    b1 = (b1 << 12) | (b1 >>> 20);
    a0 = (a0 + b1) | 0;
    d3 ^= a0;
    d3 = (d3 << 8) | (d3 >>> 24);
    c2 = (c2 + d3) | 0;
    b1 ^= c2;
    b1 = (b1 << 7) | (b1 >>> 25);
    a1 = (a1 + b2) | 0;
    d0 ^= a1;
    d0 = (d0 << 16) | (d0 >>> 16);
    c3 = (c3 + d0) | 0;
    b2 ^= c3;
    b2 = (b2 << 12) | (b2 >>> 20);
    a1 = (a1 + b2) | 0;
    d0 ^= a1;
    d0 = (d0 << 8) | (d0 >>> 24);
    c3 = (c3 + d0) | 0;
    b2 ^= c3;
    b2 = (b2 << 7) | (b2 >>> 25);
    a2 = (a2 + b3) | 0;
    d1 ^= a2;
    d1 = (d1 << 16) | (d1 >>> 16);
    c0 = (c0 + d1) | 0;
    b3 ^= c0;
    b3 = (b3 << 12) | (b3 >>> 20);
    a2 = (a2 + b3) | 0;
    d1 ^= a2;
    d1 = (d1 << 8) | (d1 >>> 24);
    c0 = (c0 + d1) | 0;
    b3 ^= c0;
    b3 = (b3 << 7) | (b3 >>> 25);
    a3 = (a3 + b0) | 0;
    d2 ^= a3;
    d2 = (d2 << 16) | (d2 >>> 16);
    c1 = (c1 + d2) | 0;
    b0 ^= c1;
    b0 = (b0 << 12) | (b0 >>> 20);
    a3 = (a3 + b0) | 0;
    d2 ^= a3;
    d2 = (d2 << 8) | (d2 >>> 24);
    c1 = (c1 + d2) | 0;
    b0 ^= c1;
    b0 = (b0 << 7) | (b0 >>> 25);
  }
  out[0] = (a0 + 0x61707865) | 0;
  out[1] = (a1 + 0x3320646e) | 0;
  out[2] = (a2 + 0x79622d32) | 0;
  out[3] = (a3 + 0x6b206574) | 0;
  out[4] = (b0 + k0) | 0;
  out[5] = (b1 + k1) | 0;
  out[6] = (b2 + k2) | 0;
  out[7] = (b3 + k3) | 0;
  out[8] = (c0 + k4) | 0;
  out[9] = (c1 + k5) | 0;
  out[10] = (c2 + k6) | 0;
  out[11] = (c3 + k7) | 0;
  out[12] = (d0 + counter) | 0;
  out[13] = d1 | 0;
  out[14] = d2 | 0;
  out[15] = (d3 + nonce) | 0;
}
