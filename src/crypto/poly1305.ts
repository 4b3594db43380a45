// Poly1305 (RFC 8439 §2.5) over the two pieces of a frame, as chacha20-poly1305@openssh.com needs it.
import { poly1305 as noblePoly1305 } from '@noble/ciphers/_poly1305.js';

/**
 * // hot — Writes the tag over `head[headAt .. headAt + 4) ‖ bytes[start..end)` to `tag[tagAt .. tagAt + 16)`. `key` is the one-time
 * key, 32 bytes. Any implementation of this shape can be put into the cipher; its time must not depend on the contents.
 */
export type Poly1305 = (
  key: Uint8Array,
  head: Uint8Array,
  headAt: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  tag: Uint8Array,
  tagAt: number,
) => void;

/** By noble, in 13-bit limbs; copies its input. */
export const portablePoly1305: Poly1305 = (key, head, headAt, bytes, start, end, tag, tagAt) => {
  const mac = noblePoly1305.create(key);
  mac.update(head.subarray(headAt, headAt + 4)).update(bytes.subarray(start, end));
  tag.set(mac.digest(), tagAt);
};

/** The fastest on this runtime. */
export const poly1305: Poly1305 = portablePoly1305;
