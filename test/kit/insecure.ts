// A provider without any security, for tests that want to read or write packets rather than ciphertext, and seeded randomness.
import { sha256 } from '@noble/hashes/sha2.js';
import type { CipherAlgorithm, CryptoProvider, PrivateKey, Random } from '../../src/crypto/provider.ts';
import { checkLength, Padder, unpad } from '../../src/protocol/wire/framing.ts';
import { HEAD_ROOM, readUint32 } from '../../src/protocol/wire/packet.ts';
import { equalBytes, Reader, Writer } from '../../src/protocol/wire/reader.ts';

/** Numbers from a seed (mulberry32): the same seed, the same numbers, on every machine. */
export function seeded(seed: number): { next(): number; below(n: number): number; bytes: Random } {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(next() * n);
  return {
    next,
    below,
    bytes: into => {
      for (let i = 0; i < into.length; i++) into[i] = below(256);
      return into;
    },
  };
}

const none: CipherAlgorithm = {
  name: 'none',
  keyLength: 0,
  ivLength: 0,
  blockLength: 8,
  aead: true,
  opener: () => ({
    headLength: 4,
    copiesFrom: Infinity,
    frameLength: (bytes, at) => 4 + checkLength(readUint32(bytes, at), 8, 4),
    open: (bytes, start, end) => unpad(bytes, start + 4, end),
  }),
  sealer: (_key, _iv, random) => {
    const padder = new Padder(random);
    return {
      seal(packet, _sequence, out) {
        padder.pad(packet, 8, 4, 0);
        out.push(packet.bytes.subarray(packet.start - HEAD_ROOM, packet.end));
      },
    };
  },
};

/** Key exchange, signatures and ciphers that only go through the motions. */
export function insecure(random: Random): CryptoProvider {
  return {
    name: 'insecure',
    random,
    ciphers: [none],
    macs: [],
    kex: [
      {
        name: 'insecure-kex',
        hash: sha256,
        initiate: () => ({
          init: random(new Uint8Array(8)),
          finish: reply => new Writer().mpint(reply).finish(),
        }),
        respond: (_init, draw) => {
          const reply = draw(new Uint8Array(8));
          return { reply, secret: new Writer().mpint(reply).finish() };
        },
      },
    ],
    signatures: [
      {
        name: 'insecure-signature',
        keyType: 'insecure-signature',
        sign: (key, data) =>
          new Writer()
            .string('insecure-signature')
            .string(sha256(new Writer().string(key.blob).raw(data).finish()))
            .finish(),
        verify(blob, data, signature) {
          const reader = new Reader(signature);
          const name = reader.name();
          const value = reader.string();
          const right = sha256(new Writer().string(blob).raw(data).finish());
          return name === 'insecure-signature' && reader.remaining === 0 && equalBytes(value, right);
        },
        generate: (draw, comment = '') => insecureKey(draw(new Uint8Array(8)), comment),
      },
    ],
    sha256,
  };
}

export function insecureKey(id: Uint8Array, comment = ''): PrivateKey {
  return {
    type: 'insecure-signature',
    blob: new Writer().string('insecure-signature').string(id).finish(),
    fields: [id],
    comment,
  };
}
