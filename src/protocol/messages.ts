// Every message that we speak, declared once: number, phase, layout (RFC 4250 §4.1, RFC 4252–4254, RFC 5656 §4, RFC 8308, RFC 4256).
import type { Layout, Message, Phase } from './wire/codec.ts';

function message<const L extends Layout>(name: string, number: number, phase: Phase, layout: L): Message<L> {
  return { name, number, phase, layout };
}

// RFC 4253 §11, RFC 8308
export const DISCONNECT = message('DISCONNECT', 1, 'transport', {
  reason: 'uint32',
  description: 'prose',
  language: 'language',
});
export const IGNORE = message('IGNORE', 2, 'transport', { data: 'string' });
export const UNIMPLEMENTED = message('UNIMPLEMENTED', 3, 'transport', { sequence: 'uint32' });
export const DEBUG = message('DEBUG', 4, 'transport', { display: 'boolean', message: 'prose', language: 'language' });
export const SERVICE_REQUEST = message('SERVICE_REQUEST', 5, 'service', { service: 'name' });
export const SERVICE_ACCEPT = message('SERVICE_ACCEPT', 6, 'service', { service: 'name' });
export const EXT_INFO = message('EXT_INFO', 7, 'service', { count: 'uint32', extensions: 'rest' });

// RFC 4253 §7, RFC 5656 §4. For finite-field groups the strings are mpints, which are laid out alike.
export const KEXINIT = message('KEXINIT', 20, 'kex', {
  cookie: 'cookie',
  kex: 'nameList',
  hostKey: 'nameList',
  cipherClientToServer: 'nameList',
  cipherServerToClient: 'nameList',
  macClientToServer: 'nameList',
  macServerToClient: 'nameList',
  compressionClientToServer: 'nameList',
  compressionServerToClient: 'nameList',
  languageClientToServer: 'nameList',
  languageServerToClient: 'nameList',
  firstKexPacketFollows: 'boolean',
  reserved: 'uint32',
});
export const NEWKEYS = message('NEWKEYS', 21, 'kex', {});
export const KEX_ECDH_INIT = message('KEX_ECDH_INIT', 30, 'kex', { init: 'string' });
export const KEX_ECDH_REPLY = message('KEX_ECDH_REPLY', 31, 'kex', {
  hostKey: 'string',
  reply: 'string',
  signature: 'string',
});

// RFC 4252, RFC 4256. Number 60 means a different thing for each method.
export const USERAUTH_REQUEST = message('USERAUTH_REQUEST', 50, 'userauth', {
  user: 'textOrNot',
  service: 'name',
  method: 'name',
  data: 'rest',
});
export const USERAUTH_FAILURE = message('USERAUTH_FAILURE', 51, 'userauth', {
  methods: 'nameList',
  partialSuccess: 'boolean',
});
export const USERAUTH_SUCCESS = message('USERAUTH_SUCCESS', 52, 'userauth', {});
export const USERAUTH_BANNER = message('USERAUTH_BANNER', 53, 'userauth', { message: 'prose', language: 'language' });
export const USERAUTH_PK_OK = message('USERAUTH_PK_OK', 60, 'userauth', { algorithm: 'name', key: 'string' });
export const USERAUTH_PASSWD_CHANGEREQ = message('USERAUTH_PASSWD_CHANGEREQ', 60, 'userauth', {
  prompt: 'prose',
  language: 'language',
});
export const USERAUTH_INFO_REQUEST = message('USERAUTH_INFO_REQUEST', 60, 'userauth', {
  name: 'prose',
  instruction: 'prose',
  language: 'string',
  count: 'uint32',
  prompts: 'rest',
});
export const USERAUTH_INFO_RESPONSE = message('USERAUTH_INFO_RESPONSE', 61, 'userauth', {
  count: 'uint32',
  responses: 'rest',
});

// RFC 4254
export const GLOBAL_REQUEST = message('GLOBAL_REQUEST', 80, 'connection', {
  type: 'name',
  wantReply: 'boolean',
  data: 'rest',
});
export const REQUEST_SUCCESS = message('REQUEST_SUCCESS', 81, 'connection', { data: 'rest' });
export const REQUEST_FAILURE = message('REQUEST_FAILURE', 82, 'connection', {});
export const CHANNEL_OPEN = message('CHANNEL_OPEN', 90, 'connection', {
  type: 'name',
  sender: 'uint32',
  window: 'uint32',
  maxPacket: 'uint32',
  data: 'rest',
});
export const CHANNEL_OPEN_CONFIRMATION = message('CHANNEL_OPEN_CONFIRMATION', 91, 'connection', {
  recipient: 'uint32',
  sender: 'uint32',
  window: 'uint32',
  maxPacket: 'uint32',
  data: 'rest',
});
export const CHANNEL_OPEN_FAILURE = message('CHANNEL_OPEN_FAILURE', 92, 'connection', {
  recipient: 'uint32',
  reason: 'uint32',
  description: 'prose',
  language: 'language',
});
export const CHANNEL_WINDOW_ADJUST = message('CHANNEL_WINDOW_ADJUST', 93, 'connection', {
  recipient: 'uint32',
  bytes: 'uint32',
});
export const CHANNEL_DATA = message('CHANNEL_DATA', 94, 'connection', { recipient: 'uint32', data: 'string' });
export const CHANNEL_EXTENDED_DATA = message('CHANNEL_EXTENDED_DATA', 95, 'connection', {
  recipient: 'uint32',
  type: 'uint32',
  data: 'string',
});
export const CHANNEL_EOF = message('CHANNEL_EOF', 96, 'connection', { recipient: 'uint32' });
export const CHANNEL_CLOSE = message('CHANNEL_CLOSE', 97, 'connection', { recipient: 'uint32' });
export const CHANNEL_REQUEST = message('CHANNEL_REQUEST', 98, 'connection', {
  recipient: 'uint32',
  type: 'name',
  wantReply: 'boolean',
  data: 'rest',
});
export const CHANNEL_SUCCESS = message('CHANNEL_SUCCESS', 99, 'connection', { recipient: 'uint32' });
export const CHANNEL_FAILURE = message('CHANNEL_FAILURE', 100, 'connection', { recipient: 'uint32' });

// OpenSSH PROTOCOL §1.9: a transport-level echo, which the server announces as the extension ping@openssh.com.
export const PING = message('PING', 192, 'connection', { data: 'string' });
export const PONG = message('PONG', 193, 'connection', { data: 'string' });

/** All of the above; tests loop over it. */
export const MESSAGES: readonly Message[] = [
  DISCONNECT,
  IGNORE,
  UNIMPLEMENTED,
  DEBUG,
  SERVICE_REQUEST,
  SERVICE_ACCEPT,
  EXT_INFO,
  KEXINIT,
  NEWKEYS,
  KEX_ECDH_INIT,
  KEX_ECDH_REPLY,
  USERAUTH_REQUEST,
  USERAUTH_FAILURE,
  USERAUTH_SUCCESS,
  USERAUTH_BANNER,
  USERAUTH_PK_OK,
  USERAUTH_PASSWD_CHANGEREQ,
  USERAUTH_INFO_REQUEST,
  USERAUTH_INFO_RESPONSE,
  GLOBAL_REQUEST,
  REQUEST_SUCCESS,
  REQUEST_FAILURE,
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_OPEN_FAILURE,
  CHANNEL_WINDOW_ADJUST,
  CHANNEL_DATA,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_EOF,
  CHANNEL_CLOSE,
  CHANNEL_REQUEST,
  CHANNEL_SUCCESS,
  CHANNEL_FAILURE,
  PING,
  PONG,
];

const PHASES: (Phase | undefined)[] = [];
for (const { number, phase } of MESSAGES) PHASES[number] = phase;

/** The phase of a message number; undefined means that we do not know the message and answer UNIMPLEMENTED. */
export function phaseOf(number: number): Phase | undefined {
  return PHASES[number];
}

/** What we say of our own accord, or on a channel within the peer's window: how much of that may wait is bounded where it comes from. */
const OURS = new Set<number>(
  [GLOBAL_REQUEST, CHANNEL_OPEN, CHANNEL_DATA, CHANNEL_EXTENDED_DATA, CHANNEL_EOF, CHANNEL_REQUEST, PING].map(
    ({ number }) => number,
  ),
);
const ANSWERS: readonly boolean[] = Array.from({ length: 256 }, (_, number) => !OURS.has(number));

/** Whether a peer can make us send messages of this number without end, so that they count in its account. Unless we know better, it can. */
export function isAnswer(number: number): boolean {
  return ANSWERS[number];
}

/** How far a connection has come: nothing agreed, keys in use, a service under way, signed in. */
export type Stage = 'keying' | 'keyed' | 'userauth' | 'connection';

/**
 * Whether a known message may come at a stage. The one place that says so; what the key exchange itself expects is
 * stricter and stands in transport.ts.
 */
export function allowed(number: number, stage: Stage): boolean {
  switch (PHASES[number]) {
    case 'transport':
      return true;
    case 'kex':
      return true;
    case 'service':
      return stage !== 'keying';
    case 'userauth':
      // After success, late requests are ignored rather than refused (RFC 4252 §5.3), so they may come.
      return stage === 'userauth' || stage === 'connection';
    case 'connection':
      return stage === 'connection';
    default:
      return false;
  }
}
