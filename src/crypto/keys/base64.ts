// Base64 (RFC 4648 §4), strict: `atob` forgives missing padding, white space and stray bits, so two texts could name one key.
import { KeyFormatError } from '../../protocol/errors.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Uint8Array(128).fill(255);
for (let i = 0; i < 64; i++) VALUES[ALPHABET.charCodeAt(i)] = i;

/** Bytes to base64 with padding, in one line. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = (bytes[i] << 16) | ((left > 1 ? bytes[i + 1] : 0) << 8) | (left > 2 ? bytes[i + 2] : 0);
    text += ALPHABET[group >> 18] + ALPHABET[(group >> 12) & 63];
    text += (left > 1 ? ALPHABET[(group >> 6) & 63] : '=') + (left > 2 ? ALPHABET[group & 63] : '=');
  }
  return text;
}

/** Base64 to bytes. @throws KeyFormatError on a foreign character, wrong or missing padding, or unused bits that are not zero. */
export function decodeBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new KeyFormatError('the base64 text is cut off or not padded with "="');
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  const digits = text.length - padding;
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < digits; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? VALUES[code] : 255;
    if (value === 255) throw new KeyFormatError('the base64 text contains a character that is not base64');
    buffer = ((buffer << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = buffer >> bits;
    }
  }
  if (buffer & ((1 << bits) - 1)) throw new KeyFormatError('the base64 text ends in bits that belong to no byte');
  return bytes;
}
