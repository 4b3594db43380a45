// The bytes that a public key signature covers (RFC 4252 §7; OpenSSH PROTOCOL §3.1).
import { USERAUTH_REQUEST } from '../messages.ts';
import { Writer } from '../wire/reader.ts';

/** OpenSSH PROTOCOL §3.1. */
export const HOSTBOUND_METHOD = 'publickey-hostbound-v00@openssh.com';

/** What a public key signature covers (RFC 4252 §7); `hostKey` is the last part where the method is HOSTBOUND_METHOD. */
export function signedData(
  sessionId: Uint8Array,
  request: { user: string; service: string },
  algorithm: string,
  key: Uint8Array,
  hostKey?: Uint8Array,
): Uint8Array {
  const writer = new Writer(512)
    .string(sessionId)
    .byte(USERAUTH_REQUEST.number)
    .string(request.user)
    .string(request.service)
    .string(hostKey ? HOSTBOUND_METHOD : 'publickey')
    .boolean(true)
    .string(algorithm)
    .string(key);
  if (hostKey) writer.string(hostKey);
  return writer.finish();
}
