// The data types of RFC 4251 §5: byte, boolean, uint32, uint64, string, mpint, name-list. Reader takes them apart, Writer puts them together.
import { ProtocolError } from '../errors.ts';
import { readUint32, writeUint32 } from './packet.ts';

// ignoreBOM keeps a byte order mark in the text: without it "\uFEFFroot" would come out as "root".
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8encoder = new TextEncoder();

/** Text to its UTF-8 bytes. */
export const encodeUtf8 = (text: string): Uint8Array => utf8encoder.encode(text);

const lenientUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes of text in UTF-8, and bytes as they are. */
export const asBytes = (given: Uint8Array | string): Uint8Array =>
  typeof given === 'string' ? encodeUtf8(given) : given;

/** UTF-8 bytes to text; U+FFFD stands for what is not UTF-8. */
export const decodeLenient = (bytes: Uint8Array): string => lenientUtf8.decode(bytes);

/** UTF-8 bytes to text; undefined if they are not UTF-8. */
export function utf8OrNot(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** UTF-8 bytes to text. @throws ProtocolError if they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  const text = utf8OrNot(bytes);
  // A relay would pass on a fault, and what is looked up or compared would be something else than the peer has named.
  if (text === undefined) throw new ProtocolError('a text field is not valid UTF-8');
  return text;
}

/**
 * Text that only people read: UTF-8, or else Latin-1, which is what servers without UTF-8 mostly speak. ssh shows such bytes
 * as `\351`; a letter says more. The C1 range, which terminals act on, becomes U+FFFD. The text is as untrusted as any.
 */
export function decodeProse(bytes: Uint8Array): string {
  const text = utf8OrNot(bytes);
  if (text !== undefined) return text;
  let latin1 = '';
  for (const byte of bytes) latin1 += byte >= 0x80 && byte < 0xa0 ? UNREADABLE : String.fromCharCode(byte);
  return latin1;
}

/** U+FFFD: stands for bytes that have no business where they are. */
const UNREADABLE = '\uFFFD';

const isPrintableAscii = (byte: number): boolean => byte >= 0x20 && byte <= 0x7e;

/** Bytes of US-ASCII text (names inside of keys and signatures). @throws ProtocolError on anything else. */
export function decodeAscii(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    // Authentication: what a key is must be beyond doubt. With another byte it would be another key of the same name.
    if (!isPrintableAscii(byte)) throw new ProtocolError('a name contains bytes that are not printable US-ASCII');
    text += String.fromCharCode(byte);
  }
  return text;
}

/**
 * Bytes of a name that is only compared with those that are known. What is not printable US-ASCII becomes U+FFFD, which no name
 * has, so that nobody knows such a name, and any may be shown. As in sshd a NUL at the very end does not count.
 */
function decodeName(bytes: Uint8Array): string {
  const end = bytes.length > 0 && bytes[bytes.length - 1] === 0 ? bytes.length - 1 : bytes.length;
  let name = '';
  for (let i = 0; i < end; i++) name += isPrintableAscii(bytes[i]) ? String.fromCharCode(bytes[i]) : UNREADABLE;
  return name;
}

/** Reads fields from `bytes` in order. Views, not copies: what must outlive the buffer has to be copied. @throws ProtocolError when a field runs past the end. */
export class Reader {
  /** What is read. */
  readonly bytes: Uint8Array;
  /** Index of the next byte. */
  at: number;
  /** Index behind the last one. */
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** Bytes that are left. */
  get remaining(): number {
    return this.end - this.at;
  }

  #take(length: number): number {
    const at = this.at;
    // Memory: nothing outside of the message is read.
    if (length > this.end - at) throw new ProtocolError('a field runs past the end of its message');
    this.at = at + length;
    return at;
  }

  /** 0 to 255. */
  byte(): number {
    return this.bytes[this.#take(1)];
  }

  /** RFC 4251 §5: every non-zero value is true. */
  boolean(): boolean {
    return this.byte() !== 0;
  }

  /** 0 to 2^32 − 1. */
  uint32(): number {
    return readUint32(this.bytes, this.#take(4));
  }

  /** 0 to 2^64 − 1. */
  uint64(): bigint {
    const at = this.#take(8);
    return (BigInt(readUint32(this.bytes, at)) << 32n) | BigInt(readUint32(this.bytes, at + 4));
  }

  /** `length` bytes without a length field, as a view. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }

  /** A string's bytes, as a view. */
  string(): Uint8Array {
    return this.raw(this.uint32());
  }

  /** A string of UTF-8, untrusted text. @throws ProtocolError if it is not UTF-8 */
  text(): string {
    return decodeUtf8(this.string());
  }

  /** The same; undefined if it is not UTF-8. */
  textOrNot(): string | undefined {
    return utf8OrNot(this.string());
  }

  /** Text that only people read, untrusted: see `decodeProse`. Empty where the message ends before it. */
  prose(): string {
    return this.remaining === 0 ? '' : decodeProse(this.string());
  }

  /** The language tag behind such text, which ends the message; nobody reads it, so it may be missing, and be followed by anything. */
  language(): Uint8Array {
    const rest = this.rest();
    return rest.length < 4 ? rest.subarray(rest.length) : rest.subarray(4, 4 + readUint32(rest, 0));
  }

  /** A name that says what a key or a signature is: a string of printable US-ASCII (RFC 4251 §6). @throws ProtocolError if it is not */
  name(): string {
    return decodeAscii(this.string());
  }

  /** A name in a message, to compare with those that are known: see `decodeName`. */
  anyName(): string {
    return decodeName(this.string());
  }

  /** A name-list: comma-separated names; empty ones are skipped. */
  nameList(): string[] {
    return this.anyName()
      .split(',')
      .filter(name => name !== '');
  }

  /** A non-negative mpint as its magnitude, without leading zeros. @throws ProtocolError if negative or not of minimal length. */
  mpint(): Uint8Array {
    const bytes = this.string();
    if (bytes.length === 0) return bytes;
    // Authentication: all users of this are keys, and one of those has one encoding, which its fingerprint is of.
    if (bytes[0] & 0x80) throw new ProtocolError('an mpint is negative where that makes no sense');
    if (bytes[0] !== 0) return bytes;
    if (bytes.length === 1 || !(bytes[1] & 0x80)) throw new ProtocolError('an mpint has unnecessary leading zeros');
    return bytes.subarray(1);
  }

  /** Everything that is left, as a view. */
  rest(): Uint8Array {
    return this.raw(this.remaining);
  }

  /** To be called at the end. @throws ProtocolError if bytes are left over */
  finish(): void {
    // As sshd: a message of which a part is not understood is not acted on. Where sshd does not look, nobody calls this.
    if (this.at !== this.end) throw new ProtocolError('a message has trailing bytes');
  }
}

/** Appends fields to a growing buffer. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    return at;
  }

  /** The lowest 8 bits of `value`. */
  byte(value: number): this {
    const at = this.#grow(1);
    this.#bytes[at] = value;
    return this;
  }

  /** 1 or 0. */
  boolean(value: boolean): this {
    return this.byte(value ? 1 : 0);
  }

  /** `value` modulo 2^32, most significant byte first. */
  uint32(value: number): this {
    const at = this.#grow(4);
    writeUint32(this.#bytes, at, value);
    return this;
  }

  /** `value` modulo 2^64, most significant byte first. */
  uint64(value: bigint): this {
    return this.uint32(Number(value >> 32n)).uint32(Number(value & 0xffffffffn));
  }

  /** The bytes as they are, without a length. */
  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A string from bytes or (as UTF-8) from text. */
  string(value: Uint8Array | string): this {
    const bytes = asBytes(value);
    return this.uint32(bytes.length).raw(bytes);
  }

  /** A string of the names with commas between them; they must be printable ASCII without commas. */
  nameList(names: readonly string[]): this {
    return this.string(names.join(','));
  }

  /** An mpint from a magnitude, most significant byte first; leading zeros are allowed and dropped. */
  mpint(magnitude: Uint8Array): this {
    let from = 0;
    while (from < magnitude.length && magnitude[from] === 0) from++;
    const bytes = magnitude.subarray(from);
    const sign = bytes.length > 0 && bytes[0] & 0x80 ? 1 : 0;
    this.uint32(bytes.length + sign);
    if (sign) this.byte(0);
    return this.raw(bytes);
  }

  /** What has been written, as a view: the Writer must not be used after that. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Concatenates byte arrays into a new one. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Whether the first string of `blob`, a key or a signature, is that name of ASCII characters; in one that is malformed
 * it is not.
 */
export function beginsWith(blob: Uint8Array, name: string): boolean {
  if (blob.length < 4 + name.length || readUint32(blob, 0) !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (blob[4 + i] !== name.charCodeAt(i)) return false;
  return true;
}

/** Whether two byte arrays are equal; takes the same time wherever they differ, so that secrets may be compared with it. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}
