// The ChaCha20 of chacha20-poly1305@openssh.com on node:crypto, whose 'chacha20' takes a 16-byte IV: block counter (uint64, little-endian) ‖ nonce.
import { createCipheriv, createSecretKey } from 'node:crypto';
import { claim, writeUint32 } from '../../protocol/wire/packet.ts';
import type { ChaChaParts } from '../chacha20poly1305.ts';
import { plain } from './encoding.ts';

/** Below this many bytes the call into the runtime, a cipher object for each packet, costs more than the portable code (measured on Node 20). */
const FROM = 2048;

export const nodeStream: ChaChaParts['stream'] = {
  from: FROM,
  create(key) {
    const imported = createSecretKey(key);
    const iv = new Uint8Array(16);
    iv[0] = 1;
    return (sequence, bytes, start, end) => {
      writeUint32(iv, 12, sequence);
      return claim(plain(createCipheriv('chacha20', imported, iv).update(bytes.subarray(start, end))));
    };
  },
};
