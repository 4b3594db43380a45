// Private key files: openssh-key-v1 (PROTOCOL.key), in the clear or under a passphrase, and by way of pkcs8.ts the forms of OpenSSL.
import { KeyFormatError, printable, UsageError } from '../../protocol/errors.ts';
import { asBytes, concat, encodeUtf8, equalBytes, Reader, Writer } from '../../protocol/wire/reader.ts';
import type { PrivateKey, Random } from '../provider.ts';
import { bcryptPbkdf } from './bcrypt-pbkdf.ts';
import { foreignFormat } from './foreign-formats.ts';
import { type KeyCipher, keyCiphers } from './key-ciphers.ts';
import { inFormat, keyType, readPrivateFields, writePrivateFields } from './key-types.ts';
import { findPem, formatPem, MAX_PEM, type Pem, readPem } from './pem.ts';
import { isPemEncrypted, pemKeyLabels, readPemKey, writePkcs8 } from './pkcs8.ts';
import type { PublicKey } from './public-key.ts';
import { trimBlanks } from './text.ts';

/** Rounds of bcrypt_pbkdf for new files: the default of ssh-keygen since OpenSSH 9.4, some 0.2 s. */
export const DEFAULT_ROUNDS = 24;
/**
 * Most rounds that we run for a file, some 30 s of computing. `ssh-keygen -a` knows no limit, but advice stops at
 * a few hundred, and a file (perhaps damaged, perhaps planted) must not stop a program for days.
 */
export const MAX_ROUNDS = 4096;

/**
 * The first key in the text of a private key file: openssh-key-v1, PKCS#8 ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY") or PEM
 * ("RSA PRIVATE KEY", "EC PRIVATE KEY"). What else is in the file is not looked at: comments, certificates, curves. Its mpint fields are magnitudes without leading zeros; only openssh-key-v1
 * knows comments. A passphrase that is not needed is ignored, as ssh does.
 * @throws KeyFormatError: one sentence that says what is wrong with the file or the passphrase, and what to do
 */
export function parsePrivateKey(text: string, passphrase: string | Uint8Array = ''): PrivateKey {
  const pem = unarmour(text);
  const secret = asBytes(passphrase);
  if (pem.label !== LABEL) {
    const key = readPemKey(pem, secret);
    inFormat('the private key', () => checkAgreement(key));
    return key;
  }
  const envelope = readEnvelope(pem.bytes);
  if (envelope.cipher && secret.length === 0)
    throw new KeyFormatError('the private key is encrypted: a passphrase is needed');
  const section = envelope.cipher ? decrypt(envelope, envelope.cipher, secret) : envelope.section;
  return inFormat('the private key', () => readSection(section, envelope));
}

/** Whether the file in `text` can only be read with a passphrase. @throws KeyFormatError if it is no private key file that we read */
export function isEncrypted(text: string): boolean {
  const pem = unarmour(text);
  return pem.label === LABEL ? readEnvelope(pem.bytes).cipher !== undefined : isPemEncrypted(pem);
}

/**
 * The text of an openssh-key-v1 file that holds the key, encrypted if there is a passphrase: with `cipher` (of those
 * that `ssh-keygen -Z` takes, "aes256-ctr" if not given) under a key from bcrypt_pbkdf with `rounds` (DEFAULT_ROUNDS if
 * not given). The file must be readable by its owner only.
 * @throws UsageError if the passphrase is empty, the rounds are out of bounds or we do not encrypt with the cipher,
 *   KeyFormatError if the key is not sound
 */
export function formatPrivateKey(
  key: PrivateKey,
  options: { readonly passphrase?: string | Uint8Array; readonly rounds?: number; readonly cipher?: string },
  random: Random,
): string {
  const { passphrase, rounds = DEFAULT_ROUNDS, cipher: name = CIPHER } = options;
  checkPassphrase(passphrase);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS)
    throw new UsageError(`the number of bcrypt rounds must be from 1 to ${MAX_ROUNDS}`);
  const cipher = keyCiphers.get(name);
  if (cipher?.encrypt === undefined)
    throw new UsageError(`no private key is encrypted with "${printable(name, 80)}" here`);
  let section = writeSection(
    key,
    random(new Uint8Array(4)),
    passphrase === undefined ? CLEAR_BLOCK : cipher.blockLength,
  );
  let tag = new Uint8Array(0);
  const kdfOptions = new Writer();
  if (passphrase !== undefined) {
    const salt = random(new Uint8Array(SALT));
    kdfOptions.string(salt).uint32(rounds);
    const sealed = cipher.encrypt(...derive(cipher, asBytes(passphrase), salt, rounds), section);
    // The tag stands behind the string, not in it.
    section = sealed.subarray(0, section.length);
    tag = sealed.slice(section.length);
  }
  const envelope = new Writer(1024)
    .raw(encodeUtf8(MAGIC))
    .string(passphrase === undefined ? 'none' : name)
    .string(passphrase === undefined ? 'none' : KDF)
    .string(kdfOptions.finish())
    .uint32(1)
    .string(key.blob)
    .string(section)
    .raw(tag)
    .finish();
  return formatPem(LABEL, envelope, 70);
}

/**
 * The text of a PKCS#8 file (RFC 5958) that holds the key, for programs that do not know OpenSSH's format; encrypted if
 * there is a passphrase (PBES2: PBKDF2 with HMAC-SHA-256 and `iterations`, AES-256-CBC). The comment is lost. It reads
 * in OpenSSL; OpenSSH reads Ed25519 keys in this form since 9.6 only.
 * @throws UsageError if the passphrase is empty or the iterations are out of bounds, KeyFormatError if the key is not
 *   sound or of a type that PKCS#8 has no form for
 */
export function formatPkcs8(
  key: PrivateKey,
  options: { readonly passphrase?: string | Uint8Array; readonly iterations?: number },
  random: Random,
): string {
  const { passphrase, iterations } = options;
  checkPassphrase(passphrase);
  checkAgreement(key);
  const secret = passphrase === undefined ? undefined : asBytes(passphrase);
  const label = secret ? 'ENCRYPTED PRIVATE KEY' : 'PRIVATE KEY';
  return formatPem(label, writePkcs8(key, { passphrase: secret, iterations }, random));
}

/** The public half. */
export function publicOf(key: PrivateKey): PublicKey {
  return { type: key.type, blob: key.blob, comment: key.comment };
}

const LABEL = 'OPENSSH PRIVATE KEY';
const MAGIC = 'openssh-key-v1\0';
const CIPHER = 'aes256-ctr';
const KDF = 'bcrypt';
const SALT = 16;
/** The private section is padded to whole blocks: of the cipher, or of 8 bytes when not encrypted. */
const CLEAR_BLOCK = 8;

function checkPassphrase(passphrase: string | Uint8Array | undefined): void {
  if (passphrase?.length === 0) throw new UsageError('an empty passphrase protects nothing: leave it out');
}

/** What stands in the clear in an openssh-key-v1 file. */
interface Envelope {
  /** Undefined if the section is not encrypted. */
  readonly cipher: KeyCipher | undefined;
  readonly salt: Uint8Array;
  readonly rounds: number;
  readonly blob: Uint8Array;
  /** With the tag behind it, if the cipher has one. */
  readonly section: Uint8Array;
}

function readEnvelope(bytes: Uint8Array): Envelope {
  return inFormat('the private key file', () => {
    const magic = encodeUtf8(MAGIC);
    if (!equalBytes(bytes.subarray(0, magic.length), magic))
      throw new KeyFormatError('the private key file is damaged: it does not begin with "openssh-key-v1"');
    const reader = new Reader(bytes, magic.length);
    const name = reader.name();
    const kdf = reader.name();
    const options = new Reader(reader.string());
    const cipher = name === 'none' ? undefined : keyCiphers.get(name);
    if (name !== 'none' && cipher === undefined)
      throw new KeyFormatError(
        `the private key is encrypted with "${printable(name, 80)}", which is not supported: change that with ssh-keygen -p -Z ${CIPHER} -f FILE`,
      );
    if (kdf !== (cipher ? KDF : 'none'))
      throw new KeyFormatError(
        `the private key file is damaged: cipher ${name} cannot be with key derivation "${printable(kdf, 80)}"`,
      );
    const salt = cipher ? options.string() : new Uint8Array(0);
    const rounds = cipher ? options.uint32() : 0;
    options.finish();
    if (cipher && (salt.length === 0 || rounds === 0))
      throw new KeyFormatError('the private key file is damaged: its key derivation has no salt or no rounds');
    if (rounds > MAX_ROUNDS)
      throw new KeyFormatError(
        `the private key asks for ${rounds} bcrypt rounds, and ${MAX_ROUNDS} is the most: lower that with ssh-keygen -p -a ${DEFAULT_ROUNDS} -f FILE`,
      );
    const keys = reader.uint32();
    if (keys !== 1) throw new KeyFormatError(`the private key file holds ${keys} keys, and exactly one is supported`);
    const blob = reader.string().slice();
    const section = reader.string();
    const tag = reader.raw(cipher?.tagLength ?? 0);
    reader.finish();
    if (section.length === 0 || section.length % (cipher?.blockLength ?? CLEAR_BLOCK) !== 0)
      throw new KeyFormatError('the private key file is damaged: its private part is not of whole cipher blocks');
    return { cipher, salt, rounds, blob, section: tag.length > 0 ? concat(section, tag) : section };
  });
}

/** What is between BEGIN and END of the first private key in a file, if it is of a kind that we read. */
function unarmour(text: string): Pem {
  if (text.length > MAX_PEM) throw new KeyFormatError('the file is too large to be a private key');
  const found = findPem(text, 'PRIVATE KEY');
  if (found?.label !== LABEL && !pemKeyLabels.includes(found?.label ?? ''))
    throw new KeyFormatError(foreignFormat(trimBlanks(text.slice(found?.at), ' \t\r\n\ufeff')));
  return readPem(text, 'PRIVATE KEY', 'the private key file');
}

function decrypt({ salt, rounds, section }: Envelope, cipher: KeyCipher, passphrase: Uint8Array): Uint8Array {
  const plain = cipher.decrypt(...derive(cipher, passphrase, salt, rounds), section);
  if (plain && equalBytes(plain.subarray(0, 4), plain.subarray(4, 8))) return plain;
  throw new KeyFormatError('the passphrase of the private key is wrong');
}

/** Key and vector that bcrypt_pbkdf derives for a cipher. */
function derive(cipher: KeyCipher, passphrase: Uint8Array, salt: Uint8Array, rounds: number): [Uint8Array, Uint8Array] {
  const { keyLength, ivLength } = cipher;
  const derived = bcryptPbkdf(passphrase, salt, rounds, keyLength + ivLength);
  return [derived.subarray(0, keyLength), derived.subarray(keyLength)];
}

/** Two equal check numbers, the key with its comment, padding 1, 2, 3…; copied, so that the key does not hold the file's memory. */
function readSection(section: Uint8Array, { blob }: Envelope): PrivateKey {
  const reader = new Reader(section);
  const check = reader.uint32();
  if (reader.uint32() !== check) throw new KeyFormatError('the private key is damaged: its check numbers differ');
  // The name in the public part is the one that an error may show: what stands here may be secret bytes out of place.
  const name = new Reader(blob).name();
  const type = keyType(name);
  if (!equalBytes(reader.string(), encodeUtf8(name))) throw new KeyFormatError(OF_ANOTHER);
  const fields = readPrivateFields(reader, type).map(field => field.slice());
  const comment = readComment(reader.string());
  reader.rest().forEach((byte, i) => {
    if (byte !== ((i + 1) & 0xff)) throw new KeyFormatError('the private key is damaged: its padding is wrong');
  });
  const key: PrivateKey = { type: name, blob, fields, comment };
  checkAgreement(key);
  return key;
}

function writeSection(key: PrivateKey, check: Uint8Array, block: number): Uint8Array {
  const type = keyType(key.type);
  if (key.fields.length !== type.privateLayout.length)
    throw new KeyFormatError(`a private key of type ${key.type} has ${type.privateLayout.length} fields`);
  checkAgreement(key);
  const writer = new Writer(4096).raw(check).raw(check).string(key.type);
  writePrivateFields(writer, type, key.fields);
  writer.string(key.comment);
  for (let i = 1; writer.length % block !== 0; i++) writer.byte(i);
  return writer.finish();
}

/** @throws KeyFormatError unless public blob, public fields and secret fields are of one key */
function checkAgreement({ type: name, blob, fields }: PrivateKey): void {
  const type = keyType(name);
  const own = type.publicBlob(fields);
  if (!equalBytes(own, blob)) throw new KeyFormatError(OF_ANOTHER);
  const reader = new Reader(own);
  reader.string();
  type.readPublic(reader);
  if (!type.agree(fields))
    throw new KeyFormatError('the private key is damaged: its public and its secret numbers do not belong together');
}

const OF_ANOTHER = 'the private key is damaged: its public half is that of another key';

/** Comments are whatever was typed in whatever encoding; they must not stop a key from being read, nor disturb a terminal. */
const readComment = (bytes: Uint8Array): string => printable(new TextDecoder().decode(bytes), MAX_COMMENT);
const MAX_COMMENT = 1024;
