// The ciphers that key files are under: those of openssh-key-v1 (PROTOCOL.key; `ssh-keygen -Z`) and, of them, the CBC ones of PEM and PKCS#8.
import { poly1305 } from '@noble/ciphers/_poly1305.js';
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js';
import { chacha20orig } from '@noble/ciphers/chacha.js';
import { concat, equalBytes } from '../../protocol/wire/reader.ts';
import { tripleDesCbcDecrypt } from './des.ts';

/** One cipher; lengths in bytes. Each key encrypts one text only, so there is no state. */
export interface KeyCipher {
  readonly keyLength: number;
  /** The initialization vector, or for counter mode the first counter. */
  readonly ivLength: number;
  /** The text is padded to whole blocks of this size before. */
  readonly blockLength: number;
  /** Authenticated ciphers put a tag behind the text; 0 for the others. */
  readonly tagLength: number;
  /** The text of `data`, which includes the tag; undefined if the tag does not fit. */
  decrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array | undefined;
  /** The encrypted text and its tag. Absent where nothing should be encrypted with it any more. */
  encrypt?(key: Uint8Array, iv: Uint8Array, text: Uint8Array): Uint8Array;
}

const AES_BLOCK = 16;
const TAG = 16;

/** The ciphers by the names of openssh-key-v1. */
export const keyCiphers: ReadonlyMap<string, KeyCipher> = new Map<string, KeyCipher>([
  ...[16, 24, 32].flatMap((length): [string, KeyCipher][] => [
    [`aes${length * 8}-ctr`, aes(length, ctr)],
    [`aes${length * 8}-cbc`, aes(length, (key, iv) => cbc(key, iv, { disablePadding: true }))],
  ]),
  ['aes128-gcm@openssh.com', aesGcm(16)],
  ['aes256-gcm@openssh.com', aesGcm(32)],
  ['chacha20-poly1305@openssh.com', chacha20Poly1305()],
  [
    '3des-cbc',
    {
      keyLength: 24,
      ivLength: 8,
      blockLength: 8,
      tagLength: 0,
      decrypt: tripleDesCbcDecrypt,
    },
  ],
]);

/** One of these, which must be among them. */
export const keyCipher = (name: string): KeyCipher => keyCiphers.get(name)!;

type AesMode = (
  key: Uint8Array,
  iv: Uint8Array,
) => { encrypt(text: Uint8Array): Uint8Array; decrypt(data: Uint8Array): Uint8Array };

function aes(keyLength: number, mode: AesMode): KeyCipher {
  return {
    keyLength,
    ivLength: AES_BLOCK,
    blockLength: AES_BLOCK,
    tagLength: 0,
    decrypt: (key, iv, data) => mode(key, iv).decrypt(data),
    encrypt: (key, iv, text) => mode(key, iv).encrypt(text),
  };
}

function aesGcm(keyLength: number): KeyCipher {
  return {
    keyLength,
    ivLength: 12,
    blockLength: AES_BLOCK,
    tagLength: TAG,
    decrypt(key, iv, data) {
      try {
        return gcm(key, iv).decrypt(data);
      } catch {
        return undefined;
      }
    },
    encrypt: (key, iv, text) => gcm(key, iv).encrypt(text),
  };
}

/** PROTOCOL.chacha20poly1305 as if for packet 0, without a length: of the 64 bytes of key only the first 32 matter. */
function chacha20Poly1305(): KeyCipher {
  const nonce = new Uint8Array(8);
  const stream = (key: Uint8Array, data: Uint8Array, block: number) =>
    chacha20orig(key.subarray(0, 32), nonce, data, undefined, block);
  const tagOf = (key: Uint8Array, data: Uint8Array) => poly1305(data, stream(key, new Uint8Array(32), 0));
  return {
    keyLength: 64,
    ivLength: 0,
    blockLength: 8,
    tagLength: TAG,
    decrypt(key, _iv, data) {
      const body = data.subarray(0, data.length - TAG);
      return equalBytes(tagOf(key, body), data.subarray(data.length - TAG)) ? stream(key, body, 1) : undefined;
    },
    encrypt(key, _iv, text) {
      const body = stream(key, text, 1);
      return concat(body, tagOf(key, body));
    },
  };
}
