// Codes of invitations: drawn at random, and known to whoever has been given one only.
import { createHash, randomBytes } from 'node:crypto';
import type { Logger } from '../../server/server.ts';
import { parseUser } from './names.ts';

/** Bytes of chance in an invitation: nobody guesses 80 bits over a network. */
const CODE_BYTES = 10;
/** Characters that cannot be taken for each other, and that need no quotes in a shell; 32 of them (Crockford). */
const CODE_DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

export function newCode(): string {
  let number = 0n;
  for (const byte of randomBytes(CODE_BYTES)) number = (number << 8n) | BigInt(byte);
  let code = '';
  for (let i = 0; i < (CODE_BYTES * 8) / 5; i++) {
    code += CODE_DIGITS[Number(number & 31n)];
    number >>= 5n;
  }
  return code;
}

/** Nobody who reads the file can use what is in it. As the code is drawn at random, a plain hash is as good as a slow one. */
export const hashOf = (code: string): string => createHash('sha256').update(code).digest('hex');

/** What could be a code of an invitation with a letter too many, too few or wrong: whoever reads it could find the right one. */
const ALMOST = /\+[0-9a-z]{12,}[^+]*$/is;

/** A user name as it may stand in a log. */
export const withoutCode = (user: string): string => parseUser(user).user.replace(ALMOST, '+…');

/** The log without codes of invitations: they stand in user names, and one that failed could still be used. */
export function withoutCodes(log: Logger): Logger {
  const clean = (fields: object) => ('user' in fields ? { ...fields, user: withoutCode(String(fields.user)) } : fields);
  return {
    debug: (fields, message) => log.debug(clean(fields), message),
    info: (fields, message) => log.info(clean(fields), message),
    warn: (fields, message) => log.warn(clean(fields), message),
    error: (fields, message) => log.error(clean(fields), message),
  };
}
