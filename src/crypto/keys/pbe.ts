// Encryption of PKCS#8 under a passphrase: PBES2 with PBKDF2 (RFC 8018 §6.2) or scrypt (RFC 7914 §7), and triple DES of PKCS#12 (RFC 7292 §C).
import { sha1 } from '@noble/hashes/legacy.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { scrypt } from '@noble/hashes/scrypt.js';
import { sha224, sha256, sha384, sha512, sha512_224, sha512_256 } from '@noble/hashes/sha2.js';
import type { CHash } from '@noble/hashes/utils.js';
import { KeyFormatError, UsageError } from '../../protocol/errors.ts';
import { concat } from '../../protocol/wire/reader.ts';
import type { Random } from '../provider.ts';
import { DerReader, der } from './der.ts';
import { type KeyCipher, keyCipher } from './key-ciphers.ts';
import { pkcs12Key } from './pkcs12-key.ts';

/** What a passphrase opens. */
export interface Sealed {
  readonly cipher: KeyCipher;
  /** The encrypted part, as long as it is in the file. */
  readonly data: Uint8Array;
  /** Key and initialization vector of the cipher for this passphrase; takes its time. */
  derive(passphrase: Uint8Array): { key: Uint8Array; iv: Uint8Array };
}

/** What the owner of a file in a form that we do not read can do. */
export const CONVERT = 'change that with ssh-keygen -p -f FILE';

/** Iterations of PBKDF2 for new files: OWASP's advice for HMAC-SHA-256 (2023), some 1.5 s here and 0.2 s in OpenSSL. */
const DEFAULT_ITERATIONS = 600_000;
/** Most iterations that we run for a file: half a minute of computing, with SHA-512 a minute and a half. Advice stops at 1.3 million; a planted file must not stop a program for days. */
const MAX_ITERATIONS = 10_000_000;
/** Most memory that scrypt may take, in bytes: OpenSSL's limit (SCRYPT_MAX_MEM), so no ssh reads files that ask for more; OpenSSL's own ask for half of it. */
const MAX_SCRYPT_MEMORY = 32 * 1024 * 1024;
/** Most work of scrypt, as N·r·p: 32 times what OpenSSL's files ask for (16384·8·1), some 10 s. */
const MAX_SCRYPT_WORK = 2 ** 22;

/**
 * How an EncryptedPrivateKeyInfo (RFC 5958 §3) is encrypted; `what` names it in errors. Nothing is computed yet, and what
 * `derive` will compute is bounded.
 * @throws KeyFormatError, one sentence
 */
export function readEncryptedInfo(bytes: Uint8Array, what: string): Sealed {
  const file = new DerReader(bytes, what);
  const info = file.sequence();
  file.finish();
  const algorithm = info.sequence();
  const data = info.octets();
  info.finish();
  const name = algorithm.oid();
  const parameters = algorithm.sequence();
  algorithm.finish();
  const sealed = name === PBES2 ? readPbes2(parameters) : readPkcs12(name, parameters);
  return { ...sealed, data };
}

/** The EncryptedPrivateKeyInfo of a PrivateKeyInfo: PBES2, PBKDF2 with HMAC-SHA-256, AES-256-CBC. @throws UsageError if the iterations are out of bounds */
export function writeEncryptedInfo(
  info: Uint8Array,
  passphrase: Uint8Array,
  iterations: number = DEFAULT_ITERATIONS,
  random: Random,
): Uint8Array {
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
    der.octets(keyCipher('aes256-cbc').encrypt!(secret, iv, padded)),
  );
}

const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const SCRYPT = '1.3.6.1.4.1.11591.4.11';
const HMAC_SHA1 = '1.2.840.113549.2.7';
const HMAC_SHA256 = '1.2.840.113549.2.9';
const AES256_CBC = '2.16.840.1.101.3.4.1.42';

/** Bytes of key that triple DES takes from PKCS#12's derivation, by the scheme's identifier (RFC 7292 §C): with three keys, and with two. */
const PKCS12_SCHEMES: ReadonlyMap<string, 24 | 16> = new Map([
  ['1.2.840.113549.1.12.1.3', 24],
  ['1.2.840.113549.1.12.1.4', 16],
]);

/** Pseudorandom functions of PBKDF2 (RFC 8018 §B.1). */
const HASHES: ReadonlyMap<string, CHash> = new Map<string, CHash>([
  [HMAC_SHA1, sha1],
  ['1.2.840.113549.2.8', sha224],
  [HMAC_SHA256, sha256],
  ['1.2.840.113549.2.10', sha384],
  ['1.2.840.113549.2.11', sha512],
  ['1.2.840.113549.2.12', sha512_224],
  ['1.2.840.113549.2.13', sha512_256],
]);

/** Encryption schemes of PBES2 (RFC 8018 §B.2). */
const SCHEMES: ReadonlyMap<string, KeyCipher> = new Map([
  ['2.16.840.1.101.3.4.1.2', keyCipher('aes128-cbc')],
  ['2.16.840.1.101.3.4.1.22', keyCipher('aes192-cbc')],
  [AES256_CBC, keyCipher('aes256-cbc')],
  ['1.2.840.113549.3.7', keyCipher('3des-cbc')],
]);

type Opener = Omit<Sealed, 'data'>;

function readPbes2(parameters: DerReader): Opener {
  const { what } = parameters;
  const derivation = parameters.sequence();
  const encryption = parameters.sequence();
  parameters.finish();

  const encryptionName = encryption.oid();
  const cipher = SCHEMES.get(encryptionName);
  if (cipher === undefined)
    throw new KeyFormatError(`${what} is under a cipher that is not supported (${encryptionName}): ${CONVERT}`);
  const iv = encryption.octets();
  encryption.finish();
  if (iv.length !== cipher.ivLength)
    throw new KeyFormatError(`${what} is damaged: its initialization vector has ${iv.length} bytes`);

  const derivationName = derivation.oid();
  const read = derivationName === PBKDF2 ? readPbkdf2 : derivationName === SCRYPT ? readScrypt : undefined;
  if (read === undefined)
    throw new KeyFormatError(`${what} is under a key derivation that is not supported (${derivationName}): ${CONVERT}`);
  const values = derivation.sequence();
  derivation.finish();
  const key = read(values, cipher.keyLength);
  return { cipher, derive: passphrase => ({ key: key(passphrase), iv }) };
}

type Derivation = (passphrase: Uint8Array) => Uint8Array;

function readPbkdf2(parameters: DerReader, keyLength: number): Derivation {
  const { what } = parameters;
  const salt = parameters.octets();
  const c = parameters.small();
  const length = parameters.isInteger() ? parameters.small() : keyLength;
  let name = HMAC_SHA1;
  if (parameters.isSequence()) {
    const prf = parameters.sequence();
    name = prf.oid();
    prf.optionalNull();
    prf.finish();
  }
  parameters.finish();
  checkIterations(what, salt, c, 'PBKDF2');
  checkLength(what, keyLength, length);
  const hash = HASHES.get(name);
  if (hash === undefined)
    throw new KeyFormatError(
      `${what} is under a key derivation that is not supported (PBKDF2 with ${name}): ${CONVERT}`,
    );
  return passphrase => pbkdf2(hash, passphrase, salt, { c, dkLen: keyLength });
}

function readScrypt(parameters: DerReader, keyLength: number): Derivation {
  const { what } = parameters;
  const salt = parameters.octets();
  const [N, r, p] = [parameters.small(), parameters.small(), parameters.small()];
  const length = parameters.isInteger() ? parameters.small() : keyLength;
  parameters.finish();
  if (N < 2 || !Number.isInteger(Math.log2(N)) || r === 0 || p === 0)
    throw new KeyFormatError(`${what} is damaged: its scrypt parameters N ${N}, r ${r}, p ${p} are impossible`);
  if (128 * r * (N + 2 + p) > MAX_SCRYPT_MEMORY || N * r * p > MAX_SCRYPT_WORK)
    throw new KeyFormatError(`${what} asks for too much of scrypt (N ${N}, r ${r}, p ${p}): ${CONVERT}`);
  checkLength(what, keyLength, length);
  return passphrase => scrypt(passphrase, salt, { N, r, p, dkLen: keyLength });
}

function readPkcs12(name: string, parameters: DerReader): Opener {
  const { what } = parameters;
  const length = PKCS12_SCHEMES.get(name);
  if (length === undefined)
    throw new KeyFormatError(`${what} is under an encryption that is not supported (${name}): ${CONVERT}`);
  const salt = parameters.octets();
  const iterations = parameters.small();
  parameters.finish();
  checkIterations(what, salt, iterations, 'PKCS#12');
  return {
    cipher: keyCipher('3des-cbc'),
    derive(passphrase) {
      const key = pkcs12Key(passphrase, salt, iterations, 'key', length);
      // With two keys the first one is the third as well.
      return {
        key: concat(key, key.subarray(0, 24 - length)),
        iv: pkcs12Key(passphrase, salt, iterations, 'iv', 8),
      };
    },
  };
}

function checkIterations(what: string, salt: Uint8Array, iterations: number, name: string): void {
  if (iterations === 0 || salt.length === 0)
    throw new KeyFormatError(`${what} is damaged: its key derivation has no salt or no iterations`);
  if (iterations > MAX_ITERATIONS)
    throw new KeyFormatError(`${what} asks for ${iterations} ${name} iterations, and ${MAX_ITERATIONS} is the most`);
}

function checkLength(what: string, keyLength: number, length: number): void {
  if (length !== keyLength)
    throw new KeyFormatError(
      `${what} is damaged: its cipher has keys of ${keyLength} bytes, and ${length} are derived`,
    );
}
