// DER (ITU-T X.690), the part of it that key files are made of: a strict reader and a small writer.
import { KeyFormatError } from '../../protocol/errors.ts';
import { concat } from '../../protocol/wire/reader.ts';

/** Tags of X.690 §8 that occur in keys. */
const BOOLEAN = 0x01;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const NULL = 0x05;
const OID = 0x06;
const SEQUENCE = 0x30;
/** Context-specific, constructed: [0], [1] …, EXPLICIT. */
const CONTEXT = 0xa0;
/** Context-specific, primitive: [0], [1] …, IMPLICIT. */
const CONTEXT_PRIMITIVE = 0x80;

/**
 * Reads elements in order; what it gives are views. Only the one encoding that DER allows is taken: definite lengths in
 * the fewest bytes, whole numbers in the fewest bytes. `what` names the key or file in errors.
 * @throws KeyFormatError, one sentence, whenever something else stands there
 */
export class DerReader {
  readonly what: string;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.what = what;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The elements inside a SEQUENCE. */
  sequence(): DerReader {
    return this.#inside(SEQUENCE, 'a sequence');
  }

  /** The elements inside an EXPLICIT [number], or undefined if something else or nothing follows. */
  explicit(number: number): DerReader | undefined {
    return this.#next === CONTEXT + number ? this.#inside(CONTEXT + number, 'a tagged element') : undefined;
  }

  /** The content of an IMPLICIT [number] of a primitive type, or undefined if something else or nothing follows. */
  implicit(number: number): Uint8Array | undefined {
    const tag = CONTEXT_PRIMITIVE + number;
    return this.#next === tag ? this.#take(tag, 'a tagged element') : undefined;
  }

  /** A whole number that is not negative, as its magnitude without leading zeros (empty for 0). */
  integer(): Uint8Array {
    const bytes = this.#take(INTEGER, 'a number');
    if (bytes.length === 0) throw this.#damaged('a number has no digits');
    if (bytes[0] & 0x80) throw this.#damaged('a number is negative');
    if (bytes[0] !== 0) return bytes;
    if (bytes.length > 1 && !(bytes[1] & 0x80)) throw this.#damaged('a number has unnecessary leading zeros');
    return bytes.subarray(1);
  }

  /** A whole number of at most 32 bits. */
  small(): number {
    const bytes = this.integer();
    if (bytes.length > 4) throw this.#damaged('a number is larger than makes sense');
    return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  }

  octets(): Uint8Array {
    return this.#take(OCTET_STRING, 'an octet string');
  }

  /** A BIT STRING of whole bytes. */
  bits(): Uint8Array {
    const bytes = this.#take(BIT_STRING, 'a bit string');
    return this.wholeBytes(bytes);
  }

  /** The content of a BIT STRING without its first byte, which counts unused bits and must be 0. */
  wholeBytes(content: Uint8Array): Uint8Array {
    if (content.length === 0 || content[0] !== 0) throw this.#damaged('a bit string is not of whole bytes');
    return content.subarray(1);
  }

  /** An object identifier in dotted form. */
  oid(): string {
    const bytes = this.#take(OID, 'an object identifier');
    const arcs: number[] = [];
    let arc = 0;
    bytes.forEach((byte, i) => {
      if (arc === 0 && byte === 0x80) throw this.#damaged('an object identifier has unnecessary leading zeros');
      arc = arc * 128 + (byte & 0x7f);
      if (arc > 0xffffffff) throw this.#damaged('an object identifier is out of bounds');
      if (byte & 0x80) {
        if (i === bytes.length - 1) throw this.#damaged('an object identifier is cut off');
        return;
      }
      arcs.push(arc);
      arc = 0;
    });
    if (arcs.length === 0) throw this.#damaged('an object identifier is empty');
    const top = Math.min(2, Math.floor(arcs[0] / 40));
    return [top, arcs[0] - top * 40, ...arcs.slice(1)].join('.');
  }

  /** Skips a NULL if one follows; parameters of algorithms are sometimes NULL and sometimes absent. */
  optionalNull(): void {
    if (this.#next === NULL && this.#take(NULL, 'null').length > 0) throw this.#damaged('a null has content');
  }

  isInteger(): boolean {
    return this.#next === INTEGER;
  }

  isSequence(): boolean {
    return this.#next === SEQUENCE;
  }

  isOid(): boolean {
    return this.#next === OID;
  }

  isBoolean(): boolean {
    return this.#next === BOOLEAN;
  }

  /** Reads and drops one element of any type. */
  skip(): void {
    if (this.done) throw this.#damaged('an element is missing');
    this.#take(this.#bytes[this.#at], 'an element');
  }

  /** @throws KeyFormatError if elements are left */
  finish(): void {
    if (!this.done) throw this.#damaged('it has trailing elements');
  }

  get #next(): number | undefined {
    return this.#bytes[this.#at];
  }

  #inside(tag: number, name: string): DerReader {
    return new DerReader(this.#take(tag, name), this.what);
  }

  #take(tag: number, name: string): Uint8Array {
    const bytes = this.#bytes;
    if (bytes[this.#at] !== tag) throw this.#damaged(`${name} is missing`);
    let at = this.#at + 1;
    let length = bytes[at++];
    if (length === undefined) throw this.#damaged('an element runs past the end');
    if (length >= 0x80) {
      const count = length - 0x80;
      // Four bytes of length are 4 GiB; the file is smaller.
      if (count === 0 || count > 4 || at + count > bytes.length)
        throw this.#damaged('an element has an impossible length');
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + bytes[at++];
      if (length < 0x80 || length < 256 ** (count - 1)) throw this.#damaged('a length is longer than it needs to be');
    }
    if (length > bytes.length - at) throw this.#damaged('an element runs past the end');
    this.#at = at + length;
    return bytes.subarray(at, this.#at);
  }

  #damaged(why: string): KeyFormatError {
    return new KeyFormatError(`${this.what} is damaged: ${why}`);
  }
}

/** One element with its tag and length. */
function element(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(...content);
  const length: number[] = [];
  for (let left = body.length; left > 0; left = Math.floor(left / 256)) length.unshift(left % 256);
  const head = body.length < 0x80 ? [tag, body.length] : [tag, 0x80 + length.length, ...length];
  return concat(Uint8Array.from(head), body);
}

/** Functions that make elements, named as in the reader. */
export const der = {
  sequence: (...elements: readonly Uint8Array[]) => element(SEQUENCE, ...elements),
  explicit: (number: number, ...elements: readonly Uint8Array[]) => element(CONTEXT + number, ...elements),
  /** From a magnitude; leading zeros are dropped. */
  integer(magnitude: Uint8Array): Uint8Array {
    let from = 0;
    while (from < magnitude.length && magnitude[from] === 0) from++;
    const sign = from === magnitude.length || magnitude[from] & 0x80 ? [0] : [];
    return element(INTEGER, Uint8Array.from(sign), magnitude.subarray(from));
  },
  small(value: number): Uint8Array {
    return der.integer(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
  },
  octets: (bytes: Uint8Array) => element(OCTET_STRING, bytes),
  bits: (bytes: Uint8Array) => element(BIT_STRING, Uint8Array.of(0), bytes),
  null: () => element(NULL),
  oid(dotted: string): Uint8Array {
    const [top, second, ...rest] = dotted.split('.').map(Number);
    const bytes = [top * 40 + second, ...rest].flatMap(arc => {
      const digits = [arc % 128];
      for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
        digits.unshift(0x80 + (left % 128));
      return digits;
    });
    return element(OID, Uint8Array.from(bytes));
  },
};
