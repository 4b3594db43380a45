// One list of odd messages, sent to the real sshd and to our server.
import { EXCHANGES, FRAMES, IDENTS, KEXINITS } from './before-keys.ts';
import { CHANNEL, REKEY } from './channel.ts';
import { CONNECTION } from './connection.ts';
import type { Oddity } from './oddity.ts';
import { KEYED, USERAUTH } from './sign-in.ts';

export const ODDITIES: readonly Oddity[] = [
  ...IDENTS,
  ...KEXINITS,
  ...EXCHANGES,
  ...FRAMES,
  ...KEYED,
  ...USERAUTH,
  ...CONNECTION,
  ...CHANNEL,
  ...REKEY,
];

/** Places that end a connection and are not for this list to reach, with the reason. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      "transport/kex.ts: the server's signature over the key exchange is wrong",
      'transport/kex.ts: the host key was not accepted',
      'userauth/client.ts: message … is not expected during sign-in',
      'userauth/client.ts: the server answers for another key than the one it was asked about',
      'userauth/client.ts: too many prompts',
      'transport/ident.ts: the identification line is too long',
      'connection.ts: message … is not allowed at this stage',
    ].map(place => [`protocol/${place}`, 'a client ends the connection here, and a server is asked']),
  ),
  'protocol/channels/answers.ts: too many requests at once':
    'the answers of this server come at once: conformance/rfc4254-requests',
  'protocol/channels/mux.ts: too many requests at once':
    'for channels that the server opens: conformance/rfc4254-channels',
  'protocol/channels/mux.ts: message … is not expected after sign-in':
    'of a link without a transport: unit/server/plain-link',
  'protocol/transport/transport.ts: message … before the first key exchange':
    'only where a server waits for the offer of its client: conformance/rfc4253-kex',
  'protocol/transport/transport.ts: too many answers wait for a peer that does not read':
    'takes megabytes: interop/answers, sim/flood',
  'protocol/transport/transport.ts: too many packets under one key': 'takes 2^32 packets: conformance/rfc4253-rekey',
  'protocol/wire/reader.ts: a text field is not valid UTF-8': 'costs the request or channel that it stands in',
  'protocol/wire/reader.ts: a name contains bytes that are not printable US-ASCII':
    'of keys and signatures, which are refused',
  'protocol/wire/reader.ts: an mpint is negative where that makes no sense':
    'of keys and signatures, which are refused',
  'protocol/wire/reader.ts: an mpint has unnecessary leading zeros': 'of keys, which are refused',
};
