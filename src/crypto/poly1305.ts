// Poly1305 (RFC 8439 §2.5) over the two pieces of a frame, as chacha20-poly1305@openssh.com needs it.
import { poly1305 as noblePoly1305 } from '@noble/ciphers/_poly1305.js';
import { encodeUtf8, equalBytes } from '../protocol/wire/reader.ts';
import { wasmPoly1305 } from './poly1305-wasm.ts';
import { compiled } from './wasm.ts';

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

/** // hot — The fastest on this runtime, found out at the first call: compiling takes some milliseconds, which a start without chacha20-poly1305 saves. */
export const poly1305: Poly1305 = (key, head, headAt, bytes, start, end, tag, tagAt) => {
  chosen ??= choosePoly1305(() => wasmPoly1305(portablePoly1305));
  chosen(key, head, headAt, bytes, start, end, tag, tagAt);
};

let chosen: Poly1305 | undefined;

/** What `make` makes if it can and if that passes a known-answer test, else the portable one. */
export const choosePoly1305 = (make: () => Poly1305): Poly1305 => compiled(make, knows) ?? portablePoly1305;

/** Message lengths around every change of ways: less than a block, whole blocks, and from where four go at a time, with and without a rest. */
const LENGTHS = [4, 15, 16, 17, 63, 64, 191, 192, 193, 255, 256, 1000];

/** RFC 8439 §2.5.2, and the portable one's tags for arbitrary bytes and for all ones, which carry everywhere. */
function knows(candidate: Poly1305): boolean {
  const key = hex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b');
  const text = encodeUtf8('Cryptographic Forum Research Group');
  if (!equalBytes(tagOf(candidate, key, text), hex('a8061dc1305136c6c22b8baf0c0127a9'))) return false;
  const ones = new Uint8Array(32).fill(0xff);
  for (const length of LENGTHS) {
    for (const message of [Uint8Array.from({ length }, (_, i) => i * 31 + length), new Uint8Array(length).fill(0xff)]) {
      if (!equalBytes(tagOf(candidate, key, message), tagOf(portablePoly1305, key, message))) return false;
      if (!equalBytes(tagOf(candidate, ones, message), tagOf(portablePoly1305, ones, message))) return false;
    }
  }
  return true;
}

function tagOf(mac: Poly1305, key: Uint8Array, message: Uint8Array): Uint8Array {
  const tag = new Uint8Array(16);
  mac(key, message, 0, message, 4, message.length, tag, 0);
  return tag;
}

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g)!, byte => Number.parseInt(byte, 16));
