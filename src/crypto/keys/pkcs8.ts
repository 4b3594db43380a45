// Private keys as OpenSSL writes them: PKCS#8 (RFC 5958) in the clear or encrypted (pbe.ts), and the older PEM with DEK-Info (RFC 1423 §1.1).
import { md5 } from '@noble/hashes/legacy.js';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { concat } from '../../protocol/wire/reader.ts';
import type { PrivateKey, Random } from '../provider.ts';
import { DerReader } from './der.ts';
import { readEcPrivateKey, readPrivateKeyInfo, readRsaPrivateKey, writePrivateKeyInfo } from './der-keys.ts';
import { type KeyCipher, keyCipher } from './key-ciphers.ts';
import { CONVERT, readEncryptedInfo, type Sealed, writeEncryptedInfo } from './pbe.ts';
import type { Pem } from './pem.ts';

/** The labels of armour that `readPemKey` takes. */
export const pemKeyLabels: readonly string[] = [
  'PRIVATE KEY',
  'ENCRYPTED PRIVATE KEY',
  'RSA PRIVATE KEY',
  'EC PRIVATE KEY',
];

const WHAT = 'the private key';

/** Whether only a passphrase gives the key. @throws KeyFormatError */
export function isPemEncrypted({ label, headers }: Pem): boolean {
  return label === 'ENCRYPTED PRIVATE KEY' || headers.has('Proc-Type') || headers.has('DEK-Info');
}

/**
 * The key in an armour with one of `pemKeyLabels`, without a comment (there is no room for one). Whether its parts
 * belong together is for the caller to check.
 * @throws KeyFormatError, one sentence
 */
export function readPemKey(pem: Pem, passphrase: Uint8Array): PrivateKey {
  const text = isPemEncrypted(pem) ? decrypt(pem, passphrase) : pem.bytes;
  const reader = new DerReader(text, WHAT);
  if (pem.label === 'RSA PRIVATE KEY') return readRsaPrivateKey(reader);
  if (pem.label === 'EC PRIVATE KEY') return readEcPrivateKey(reader);
  return readPrivateKeyInfo(reader);
}

/** The bytes of a PKCS#8 file, encrypted (`writeEncryptedInfo`) if there is a passphrase; a DER structure. @throws UsageError, KeyFormatError */
export function writePkcs8(
  key: PrivateKey,
  options: { readonly passphrase?: Uint8Array; readonly iterations?: number },
  random: Random,
): Uint8Array {
  const { passphrase, iterations } = options;
  const info = writePrivateKeyInfo(key);
  return passphrase === undefined ? info : writeEncryptedInfo(info, passphrase, iterations, random);
}

/** Ciphers of DEK-Info as OpenSSL names them. */
const DEK_CIPHERS: ReadonlyMap<string, KeyCipher> = new Map([
  ['AES-128-CBC', keyCipher('aes128-cbc')],
  ['AES-192-CBC', keyCipher('aes192-cbc')],
  ['AES-256-CBC', keyCipher('aes256-cbc')],
  ['DES-EDE3-CBC', keyCipher('3des-cbc')],
]);

function decrypt(pem: Pem, passphrase: Uint8Array): Uint8Array {
  const { cipher, derive, data } =
    pem.label === 'ENCRYPTED PRIVATE KEY' ? readEncryptedInfo(pem.bytes, WHAT) : readDekInfo(pem);
  if (passphrase.length === 0) throw new KeyFormatError(`${WHAT} is encrypted: a passphrase is needed`);
  if (data.length === 0 || data.length % cipher.blockLength !== 0)
    throw new KeyFormatError(`${WHAT} is damaged: its encrypted part is not of whole cipher blocks`);
  const { key, iv } = derive(passphrase);
  const text = cipher.decrypt(key, iv, data);
  const content = text && unpad(text, cipher.blockLength);
  if (content === undefined || !isOneSequence(content))
    throw new KeyFormatError(`the passphrase of the private key is wrong`);
  return content;
}

/** "DEK-Info: AES-128-CBC,HEX": the vector, whose first 8 bytes are also the salt. */
function readDekInfo({ headers, bytes }: Pem): Sealed {
  const type = headers.get('Proc-Type')?.replaceAll(' ', '');
  const info = headers.get('DEK-Info');
  if (type !== '4,ENCRYPTED' || info === undefined)
    throw new KeyFormatError(`${WHAT} is damaged: of its headers Proc-Type and DEK-Info one is missing or wrong`);
  const [, name, hex] = /^([A-Z0-9-]+),([0-9A-Fa-f]+)$/.exec(info) ?? [];
  const cipher = name && DEK_CIPHERS.get(name);
  if (!cipher)
    throw new KeyFormatError(`${WHAT} is encrypted with "${printable(info, 40)}", which is not supported: ${CONVERT}`);
  if (hex.length !== cipher.ivLength * 2)
    throw new KeyFormatError(`${WHAT} is damaged: its initialization vector has the wrong length`);
  const iv = Uint8Array.from(hex.match(/../g) as string[], byte => Number.parseInt(byte, 16));
  const salt = iv.subarray(0, 8);
  return {
    cipher,
    data: bytes,
    // EVP_BytesToKey of OpenSSL with MD5 and one round: next to no protection, which is why the format is given up.
    derive(passphrase) {
      let block = new Uint8Array(0);
      let key = new Uint8Array(0);
      while (key.length < cipher.keyLength) {
        block = new Uint8Array(md5(concat(block, passphrase, salt)));
        key = new Uint8Array(concat(key, block));
      }
      return { key: key.subarray(0, cipher.keyLength), iv };
    },
  };
}

/** Without the padding of RFC 8018 §6.1.1: n bytes of value n; undefined if there is none. */
function unpad(text: Uint8Array, blockLength: number): Uint8Array | undefined {
  const padding = text[text.length - 1];
  if (padding === 0 || padding > blockLength) return undefined;
  for (let i = text.length - padding; i < text.length; i++) if (text[i] !== padding) return undefined;
  return text.subarray(0, text.length - padding);
}

/** Under a wrong passphrase, one text in 256 has padding, but next to none is one DER sequence from end to end. */
function isOneSequence(text: Uint8Array): boolean {
  try {
    const reader = new DerReader(text, WHAT);
    reader.sequence();
    return reader.done;
  } catch {
    return false;
  }
}
