// aes128-ctr, aes192-ctr and aes256-ctr (RFC 4344 §4) on node:crypto: one cipher object for the life of the keys.
import { createCipheriv } from 'node:crypto';
import { claim, release } from '../../protocol/wire/packet.ts';
import { aesCtr } from '../aes-ctr.ts';
import type { CipherAlgorithm } from '../provider.ts';

/** Counter mode encrypts and decrypts by the same operation, so both directions use a cipher object. */
export const nodeAesCtr = (name: string, keyLength: 16 | 24 | 32): CipherAlgorithm =>
  aesCtr(name, keyLength, (key, iv) => {
    const cipher = createCipheriv(`aes-${keyLength * 8}-ctr`, key, iv);
    // Copied back so that frame, length and tag stay together for the MAC and go out as one chunk: 1 µs for 32 KiB.
    return (bytes, start, end) => {
      const text = cipher.update(bytes.subarray(start, end));
      bytes.set(text, start);
      release(claim(text));
    };
  });
