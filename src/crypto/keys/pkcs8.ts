// Private keys as OpenSSL writes them: PKCS#8 (RFC 5958) in the clear or under PBES2 (RFC 8018 §6.2), and the older PEM with DEK-Info (RFC 1423 §1.1).
import { md5, sha1 } from '@noble/hashes/legacy.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import type { CHash } from '@noble/hashes/utils.js';
import { KeyFormatError, printable, UsageError } from '../../protocol/errors.ts';
import { concat } from '../../protocol/wire/reader.ts';
import type { PrivateKey, Random } from '../provider.ts';
import { DerReader, der } from './der.ts';
import { readEcPrivateKey, readPrivateKeyInfo, readRsaPrivateKey, writePrivateKeyInfo } from './der-keys.ts';
import { type KeyCipher, keyCiphers } from './key-ciphers.ts';
import type { Pem } from './pem.ts';

/** Iterations of PBKDF2 for new files: OWASP's advice for HMAC-SHA-256 (2023), some 1.5 s here and 0.2 s in OpenSSL. */
const DEFAULT_ITERATIONS = 600_000;
/** Most iterations that we run for a file: half a minute of computing, with SHA-512 a minute and a half. Advice stops at 1.3 million; a planted file must not stop a program for days. */
const MAX_ITERATIONS = 10_000_000;

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

/** The bytes of a PKCS#8 file, under PBES2 (PBKDF2 with HMAC-SHA-256, AES-256-CBC) if there is a passphrase; a DER structure. @throws UsageError, KeyFormatError */
export function writePkcs8(
  key: PrivateKey,
  options: { readonly passphrase?: Uint8Array; readonly iterations?: number },
  random: Random,
): Uint8Array {
  const { passphrase, iterations = DEFAULT_ITERATIONS } = options;
  const info = writePrivateKeyInfo(key);
  if (passphrase === undefined) return info;
  if (!Number.isInteger(iterations) || iterations < 1 || iterations > MAX_ITERATIONS)
    throw new UsageError(`the number of PBKDF2 iterations must be from 1 to ${MAX_ITERATIONS}`);
  const salt = random(new Uint8Array(16));
  const iv = random(new Uint8Array(16));
  const secret = pbkdf2(sha256, passphrase, salt, { c: iterations, dkLen: 32 });
  const padding = 16 - (info.length % 16);
  const padded = concat(info, new Uint8Array(padding).fill(padding));
  const parameters = der.sequence(
    der.octets(salt),
    der.small(iterations),
    der.sequence(der.oid(HMAC_SHA256), der.null()),
  );
  return der.sequence(
    der.sequence(
      der.oid(PBES2),
      der.sequence(der.sequence(der.oid(PBKDF2), parameters), der.sequence(der.oid(AES256_CBC), der.octets(iv))),
    ),
    der.octets(cipher('aes256-cbc').encrypt!(secret, iv, padded)),
  );
}

const cipher = (name: string): KeyCipher => keyCiphers.get(name)!;

const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const HMAC_SHA1 = '1.2.840.113549.2.7';
const HMAC_SHA256 = '1.2.840.113549.2.9';
const AES256_CBC = '2.16.840.1.101.3.4.1.42';

/** Pseudorandom functions of PBKDF2 (RFC 8018 §B.1). */
const HASHES: ReadonlyMap<string, CHash> = new Map<string, CHash>([
  [HMAC_SHA1, sha1],
  ['1.2.840.113549.2.8', sha224],
  [HMAC_SHA256, sha256],
  ['1.2.840.113549.2.10', sha384],
  ['1.2.840.113549.2.11', sha512],
]);

/** Encryption schemes of PBES2 (RFC 8018 §B.2). */
const SCHEMES: ReadonlyMap<string, KeyCipher> = new Map([
  ['2.16.840.1.101.3.4.1.2', cipher('aes128-cbc')],
  ['2.16.840.1.101.3.4.1.22', cipher('aes192-cbc')],
  [AES256_CBC, cipher('aes256-cbc')],
  ['1.2.840.113549.3.7', cipher('3des-cbc')],
]);

/** Ciphers of DEK-Info as OpenSSL names them. */
const DEK_CIPHERS: ReadonlyMap<string, KeyCipher> = new Map([
  ['AES-128-CBC', cipher('aes128-cbc')],
  ['AES-192-CBC', cipher('aes192-cbc')],
  ['AES-256-CBC', cipher('aes256-cbc')],
  ['DES-EDE3-CBC', cipher('3des-cbc')],
]);

const CONVERT = 'change that with ssh-keygen -p -f FILE';

function decrypt(pem: Pem, passphrase: Uint8Array): Uint8Array {
  const { cipher, key, iv, data } = pem.label === 'ENCRYPTED PRIVATE KEY' ? readPbes2(pem.bytes) : readDekInfo(pem);
  if (passphrase.length === 0) throw new KeyFormatError(`${WHAT} is encrypted: a passphrase is needed`);
  if (data.length === 0 || data.length % cipher.blockLength !== 0)
    throw new KeyFormatError(`${WHAT} is damaged: its encrypted part is not of whole cipher blocks`);
  const text = cipher.decrypt(key(passphrase), iv, data);
  const content = text && unpad(text, cipher.blockLength);
  if (content === undefined || !isOneSequence(content))
    throw new KeyFormatError(`the passphrase of the private key is wrong`);
  return content;
}

interface Sealed {
  readonly cipher: KeyCipher;
  readonly iv: Uint8Array;
  readonly data: Uint8Array;
  key(passphrase: Uint8Array): Uint8Array;
}

function readPbes2(bytes: Uint8Array): Sealed {
  const file = new DerReader(bytes, WHAT);
  const info = file.sequence();
  file.finish();
  const algorithm = info.sequence();
  const data = info.octets();
  info.finish();
  const scheme = algorithm.oid();
  if (scheme !== PBES2)
    throw new KeyFormatError(`${WHAT} is under an encryption that is not supported (${scheme}): ${CONVERT}`);
  const parameters = algorithm.sequence();
  algorithm.finish();
  const derivation = parameters.sequence();
  const encryption = parameters.sequence();
  parameters.finish();

  const encryptionName = encryption.oid();
  const cipher = SCHEMES.get(encryptionName);
  if (cipher === undefined)
    throw new KeyFormatError(`${WHAT} is under a cipher that is not supported (${encryptionName}): ${CONVERT}`);
  const iv = encryption.octets();
  encryption.finish();
  if (iv.length !== cipher.ivLength)
    throw new KeyFormatError(`${WHAT} is damaged: its initialization vector has ${iv.length} bytes`);

  const derivationName = derivation.oid();
  if (derivationName !== PBKDF2)
    throw new KeyFormatError(`${WHAT} is under a key derivation that is not supported (${derivationName}): ${CONVERT}`);
  const { hash, salt, iterations } = readPbkdf2(derivation, cipher.keyLength);
  return {
    cipher,
    iv,
    data,
    key: passphrase => pbkdf2(hash, passphrase, salt, { c: iterations, dkLen: cipher.keyLength }),
  };
}

function readPbkdf2(derivation: DerReader, keyLength: number) {
  const parameters = derivation.sequence();
  derivation.finish();
  const salt = parameters.octets();
  const iterations = parameters.small();
  const length = parameters.isInteger() ? parameters.small() : keyLength;
  let name = HMAC_SHA1;
  if (parameters.isSequence()) {
    const prf = parameters.sequence();
    name = prf.oid();
    prf.optionalNull();
    prf.finish();
  }
  parameters.finish();
  if (iterations === 0 || salt.length === 0)
    throw new KeyFormatError(`${WHAT} is damaged: its key derivation has no salt or no iterations`);
  if (iterations > MAX_ITERATIONS)
    throw new KeyFormatError(`${WHAT} asks for ${iterations} PBKDF2 iterations, and ${MAX_ITERATIONS} is the most`);
  if (length !== keyLength)
    throw new KeyFormatError(
      `${WHAT} is damaged: its cipher has keys of ${keyLength} bytes, and ${length} are derived`,
    );
  const hash = HASHES.get(name);
  if (hash === undefined)
    throw new KeyFormatError(
      `${WHAT} is under a key derivation that is not supported (PBKDF2 with ${name}): ${CONVERT}`,
    );
  return { hash, salt, iterations };
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
    iv,
    data: bytes,
    // EVP_BytesToKey of OpenSSL with MD5 and one round: next to no protection, which is why the format is given up.
    key(passphrase) {
      let block = new Uint8Array(0);
      let key = new Uint8Array(0);
      while (key.length < cipher.keyLength) {
        block = new Uint8Array(md5(concat(block, passphrase, salt)));
        key = new Uint8Array(concat(key, block));
      }
      return key.subarray(0, cipher.keyLength);
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
