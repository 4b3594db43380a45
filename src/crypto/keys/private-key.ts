// Private keys in the file format of OpenSSH: openssh-key-v1 (PROTOCOL.key), in the clear or under a passphrase.
import { ctr } from '@noble/ciphers/aes.js';
import { KeyFormatError, printable, UsageError } from '../../protocol/errors.ts';
import { encodeUtf8, equalBytes, Reader, Writer } from '../../protocol/wire/reader.ts';
import type { PrivateKey, Random } from '../provider.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { bcryptPbkdf } from './bcrypt-pbkdf.ts';
import { foreignFormat } from './foreign-formats.ts';
import { inFormat, keyType } from './key-types.ts';
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
 * The key in the text of an openssh-key-v1 file. Its mpint fields are magnitudes without leading zeros. A passphrase
 * that is not needed is ignored, as ssh does.
 * @throws KeyFormatError: one sentence that says what is wrong with the file or the passphrase, and what to do
 */
export function parsePrivateKey(text: string, passphrase: string | Uint8Array = ''): PrivateKey {
  const envelope = readEnvelope(text);
  const secret = typeof passphrase === 'string' ? encodeUtf8(passphrase) : passphrase;
  if (envelope.encrypted && secret.length === 0)
    throw new KeyFormatError('the private key is encrypted: a passphrase is needed');
  const section = envelope.encrypted ? decrypt(envelope, secret) : envelope.section;
  return inFormat('the private key', () => readSection(section, envelope));
}

/** Whether the file in `text` can only be read with a passphrase. @throws KeyFormatError if it is no openssh-key-v1 file */
export function isEncrypted(text: string): boolean {
  return readEnvelope(text).encrypted;
}

/**
 * The text of an openssh-key-v1 file that holds the key, encrypted if there is a passphrase
 * (aes256-ctr, bcrypt_pbkdf with `rounds`, DEFAULT_ROUNDS if not given). The file must be readable by its owner only.
 * @throws UsageError if the passphrase is empty or the rounds are out of bounds, KeyFormatError if the key is not sound
 */
export function formatPrivateKey(
  key: PrivateKey,
  options: { readonly passphrase?: string | Uint8Array; readonly rounds?: number },
  random: Random,
): string {
  const { passphrase, rounds = DEFAULT_ROUNDS } = options;
  const encrypted = passphrase !== undefined;
  if (encrypted && passphrase.length === 0) throw new UsageError('an empty passphrase protects nothing: leave it out');
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS)
    throw new UsageError(`the number of bcrypt rounds must be from 1 to ${MAX_ROUNDS}`);
  let section = writeSection(key, random(new Uint8Array(4)), encrypted ? CIPHER_BLOCK : CLEAR_BLOCK);
  const kdfOptions = new Writer();
  if (encrypted) {
    const salt = random(new Uint8Array(SALT));
    kdfOptions.string(salt).uint32(rounds);
    const secret = typeof passphrase === 'string' ? encodeUtf8(passphrase) : passphrase;
    section = aes256ctr(secret, salt, rounds).encrypt(section);
  }
  const envelope = new Writer(1024)
    .raw(encodeUtf8(MAGIC))
    .string(encrypted ? CIPHER : 'none')
    .string(encrypted ? KDF : 'none')
    .string(kdfOptions.finish())
    .uint32(1)
    .string(key.blob)
    .string(section)
    .finish();
  return `${BEGIN}\n${encodeBase64(envelope).replace(/.{1,70}/g, '$&\n')}${END}\n`;
}

/** The public half. */
export function publicOf(key: PrivateKey): PublicKey {
  return { type: key.type, blob: key.blob, comment: key.comment };
}

const BEGIN = '-----BEGIN OPENSSH PRIVATE KEY-----';
const END = '-----END OPENSSH PRIVATE KEY-----';
const MAGIC = 'openssh-key-v1\0';
const CIPHER = 'aes256-ctr';
const KDF = 'bcrypt';
const SALT = 16;
/** The private section is padded to whole blocks: of AES, or of 8 bytes when not encrypted. */
const CIPHER_BLOCK = 16;
const CLEAR_BLOCK = 8;
/** Longest file we look at, in characters: the limit of OpenSSH (MAX_KEY_FILE_SIZE). */
const MAX_FILE = 1024 * 1024;

interface Envelope {
  readonly encrypted: boolean;
  readonly salt: Uint8Array;
  readonly rounds: number;
  readonly blob: Uint8Array;
  readonly section: Uint8Array;
}

function readEnvelope(text: string): Envelope {
  const bytes = unarmour(text);
  return inFormat('the private key file', () => {
    const magic = encodeUtf8(MAGIC);
    if (!equalBytes(bytes.subarray(0, magic.length), magic))
      throw new KeyFormatError('the private key file is damaged: it does not begin with "openssh-key-v1"');
    const reader = new Reader(bytes, magic.length);
    const cipher = reader.name();
    const kdf = reader.name();
    const options = new Reader(reader.string());
    const encrypted = cipher !== 'none';
    if (encrypted && cipher !== CIPHER)
      throw new KeyFormatError(
        `the private key is encrypted with "${printable(cipher, 80)}", which is not supported: change that with ssh-keygen -p -Z ${CIPHER} -f FILE`,
      );
    if (kdf !== (encrypted ? KDF : 'none'))
      throw new KeyFormatError(
        `the private key file is damaged: cipher ${cipher} cannot be with key derivation "${printable(kdf, 80)}"`,
      );
    const salt = encrypted ? options.string() : new Uint8Array(0);
    const rounds = encrypted ? options.uint32() : 0;
    options.finish();
    if (encrypted && (salt.length === 0 || rounds === 0))
      throw new KeyFormatError('the private key file is damaged: its key derivation has no salt or no rounds');
    if (rounds > MAX_ROUNDS)
      throw new KeyFormatError(
        `the private key asks for ${rounds} bcrypt rounds, and ${MAX_ROUNDS} is the most: lower that with ssh-keygen -p -a ${DEFAULT_ROUNDS} -f FILE`,
      );
    const keys = reader.uint32();
    if (keys !== 1) throw new KeyFormatError(`the private key file holds ${keys} keys, and exactly one is supported`);
    const blob = reader.string().slice();
    const section = reader.string();
    reader.finish();
    const block = encrypted ? CIPHER_BLOCK : CLEAR_BLOCK;
    if (section.length === 0 || section.length % block !== 0)
      throw new KeyFormatError('the private key file is damaged: its private part is not of whole cipher blocks');
    return { encrypted, salt, rounds, blob, section };
  });
}

/** The bytes between BEGIN and END. */
function unarmour(text: string): Uint8Array {
  if (text.length > MAX_FILE) throw new KeyFormatError('the file is too large to be a private key');
  const trimmed = trimBlanks(text, ' \t\r\n');
  if (!trimmed.startsWith(BEGIN)) throw new KeyFormatError(foreignFormat(trimmed));
  const end = trimmed.indexOf(END);
  if (end < 0) throw new KeyFormatError('the private key file is cut off: its END line is missing');
  if (end + END.length !== trimmed.length)
    throw new KeyFormatError('the private key file goes on after its END line: it must hold one key and nothing else');
  const body = trimmed.slice(BEGIN.length, end);
  try {
    return decodeBase64(body.replace(/[\r\n]/g, ''));
  } catch (error) {
    throw new KeyFormatError(`the private key file is damaged: ${(error as Error).message}`);
  }
}

function decrypt({ salt, rounds, section }: Envelope, passphrase: Uint8Array): Uint8Array {
  const plain = aes256ctr(passphrase, salt, rounds).decrypt(section);
  if (equalBytes(plain.subarray(0, 4), plain.subarray(4, 8))) return plain;
  throw new KeyFormatError('the passphrase of the private key is wrong');
}

/** The cipher under the key and counter that bcrypt_pbkdf derives. */
function aes256ctr(passphrase: Uint8Array, salt: Uint8Array, rounds: number): ReturnType<typeof ctr> {
  const derived = bcryptPbkdf(passphrase, salt, rounds, 32 + 16);
  return ctr(derived.subarray(0, 32), derived.subarray(32));
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
  const fields = type.privateLayout.map(kind => (kind === 'mpint' ? reader.mpint() : reader.string()).slice());
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
  type.privateLayout.forEach((kind, i) => {
    if (kind === 'mpint') writer.mpint(key.fields[i]);
    else writer.string(key.fields[i]);
  });
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
