// Odd messages under keys and before sign-in; and those of the transport, which may come at any time.

import { userInfo } from 'node:os';
import {
  EXT_INFO,
  IGNORE,
  NEWKEYS,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_SUCCESS,
} from '../../../src/protocol/messages.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { payloadOf } from '../../kit/raw-peer.ts';
import type { SocketPeer } from '../../kit/socket-peer.ts';
import { readKey } from '../../kit/ssh.ts';
import { CAFE, NO_EFFECT, nothing, type Oddity, odd, payload, type Stage, THAT_ONE, UNKNOWN, w } from './oddity.ts';

/** What may come at any time under keys; `stage` says when it does. */
export const TRANSPORT = (stage: Stage): Oddity[] => [
  payload(stage, 'IGNORE without its string', w(2).finish()),
  payload(stage, 'IGNORE whose string runs past the end', w(2).uint32(100).byte(1).finish()),
  payload(stage, 'DEBUG with nothing in it', w(4).finish(), ['goes on', NO_EFFECT]),
  payload(stage, 'DEBUG in Latin-1, without a language tag', w(4).boolean(true).string(CAFE).finish(), [
    'goes on',
    NO_EFFECT,
  ]),
  payload(stage, 'UNIMPLEMENTED with nothing in it', w(3).finish(), ['goes on', NO_EFFECT]),
  payload(stage, 'UNIMPLEMENTED of what was never sent', w(3).uint32(4_000_000_000).finish()),
  payload(stage, 'message 0', w(0).finish(), ['goes on', UNKNOWN]),
  payload(stage, 'message 8', w(8).finish()),
  payload(stage, 'message 19', w(19).finish()),
  payload(stage, 'message 29', w(29).finish()),
  payload(stage, 'message 42', w(42).finish()),
  payload(stage, 'message 79', w(79).finish()),
  payload(stage, 'message 83', w(83).finish()),
  payload(stage, 'message 127', w(127).finish()),
  payload(stage, 'message 193, unasked', w(193).string('x').finish(), ['goes on', UNKNOWN]),
  payload(stage, 'message 255 with 1,000 bytes', w(255).raw(new Uint8Array(1000)).finish(), ['goes on', UNKNOWN]),
  payload(stage, 'SERVICE_ACCEPT from a client', payloadOf(SERVICE_ACCEPT, { service: 'ssh-userauth' })),
  payload(stage, 'EXT_INFO late', payloadOf(EXT_INFO, { count: 0, extensions: nothing })),
  payload(stage, 'EXT_INFO that counts wrongly', w(7).uint32(3).string('a').string('b').finish(), [
    'ends',
    'cut short: sshd reads one only right behind NEWKEYS, and ends there, too',
  ]),
  payload(
    stage,
    'EXT_INFO with values that are not text',
    w(7).uint32(1).string('x@example.com').string(CAFE).finish(),
  ),
  payload(stage, 'EXT_INFO with 5,000 extensions', payloadOf(EXT_INFO, { count: 5000, extensions: manyExtensions() })),
  payload(stage, 'a stray KEX_ECDH_INIT', w(30).string(new Uint8Array(32).fill(9)).finish()),
  payload(stage, 'a stray KEX_ECDH_REPLY', w(31).string('').string('').string('').finish()),
  payload(stage, 'a stray message 34', w(34).finish()),
  payload(stage, 'a stray NEWKEYS', payloadOf(NEWKEYS, {})),
  payload(stage, 'DISCONNECT with a reason and nothing else', w(1).uint32(11).finish()),
  payload(stage, 'DISCONNECT with nothing in it', w(1).finish()),
  payload(stage, 'DISCONNECT in Latin-1, without a language tag', w(1).uint32(11).string(CAFE).finish()),
];
function manyExtensions(): Uint8Array {
  const writer = new Writer();
  for (let i = 0; i < 5000; i++) writer.string(`x${i}`).string('y');
  return writer.finish();
}

export const KEYED: Oddity[] = [
  ...TRANSPORT('keyed'),
  payload('keyed', 'a service that nobody has', payloadOf(SERVICE_REQUEST, { service: 'what' })),
  payload(
    'keyed',
    'the service ssh-connection before sign-in',
    payloadOf(SERVICE_REQUEST, { service: 'ssh-connection' }),
  ),
  payload('keyed', 'a service whose name is Latin-1', w(5).string(CAFE).finish()),
  payload('keyed', 'SERVICE_REQUEST with bytes behind it', w(5).string('ssh-userauth').byte(1).finish()),
  payload('keyed', 'SERVICE_REQUEST cut off', w(5).uint32(12).finish()),
  odd('keyed', 'USERAUTH_REQUEST before the service', peer => peer.request('alice', 'none')),
  payload('keyed', 'GLOBAL_REQUEST before sign-in', w(80).string('x').boolean(true).finish()),
  payload('keyed', 'CHANNEL_OPEN before sign-in', w(90).string('session').uint32(0).uint32(1).uint32(1).finish()),
  payload('keyed', 'CHANNEL_DATA before sign-in', w(94).uint32(0).string('x').finish()),
  odd('keyed', 'a second KEXINIT before sign-in', peer => peer.sendKexInit(), [
    'ends',
    'memory and time: it is dear, and a stranger could ask for it without end',
  ]),
  odd('keyed', 'IGNORE 10,000 times', peer => {
    for (let i = 0; i < 10_000; i++) peer.send(IGNORE, { data: nothing });
  }),
  odd('keyed', 'an unknown message 200 times', peer => {
    for (let i = 0; i < 200; i++) peer.payload(w(200).finish());
  }),
];

const alice = readKey('alice');
/** Who may sign in at sshd. */
const me = userInfo().username;
const userauth = (what: string, say: (peer: SocketPeer) => void, ours?: Oddity['ours']) =>
  odd('userauth', what, say, ours);
/** One request that names another user or service, and its answer: afterwards the connection is theirs. */
const refused = (what: string, say: (peer: SocketPeer) => void, ours?: Oddity['ours']): Oddity => ({
  ...userauth(what, say, ours),
  answer: 51,
});
export const USERAUTH: Oddity[] = [
  ...TRANSPORT('userauth'),
  userauth('SERVICE_REQUEST a second time', peer => peer.send(SERVICE_REQUEST, { service: 'ssh-userauth' })),
  refused('a user name in Latin-1', peer => peer.request(CAFE, 'none')),
  refused('a user name with a NUL', peer => peer.request('a\0b', 'none'), ['goes on, USERAUTH_FAILURE', THAT_ONE]),
  refused('a user name with a control character', peer => peer.request('a\u0007b', 'none')),
  refused('an empty user name', peer => peer.request('', 'none')),
  refused('a user name of 1,000 bytes', peer => peer.request('x'.repeat(1000), 'none')),
  refused('a user name of 100,000 bytes', peer => peer.request('x'.repeat(100_000), 'none')),
  userauth('the user name changes', peer => {
    peer.request(me, 'none');
    peer.request('somebody', 'none');
  }),
  userauth('the service changes', peer => {
    peer.request(me, 'none');
    peer.request(me, 'none', nothing, 'what');
  }),
  refused('a service that nobody has', peer => peer.request(me, 'none', nothing, 'what')),
  refused('a service in Latin-1', peer => peer.request(me, 'none', nothing, CAFE)),
  userauth('a method that nobody has', peer => peer.request(me, 'what')),
  userauth('a method in Latin-1', peer => peer.request(me, CAFE)),
  userauth('an empty method', peer => peer.request(me, '')),
  userauth('a method of 5,000 bytes', peer => peer.request(me, 'x'.repeat(5000))),
  userauth('none twice', peer => {
    peer.request(me, 'none');
    peer.request(me, 'none');
  }),
  userauth('none with bytes behind it', peer => peer.request(me, 'none', new Uint8Array(9))),
  userauth('ten attempts', peer => {
    for (let i = 0; i < 10; i++) peer.request(me, 'none');
  }),
  userauth('publickey with nothing behind it', peer => peer.request(me, 'publickey')),
  userauth('publickey with an algorithm that nobody has', peer =>
    peer.request(me, 'publickey', new Writer().boolean(false).string('what').string(alice.blob).finish()),
  ),
  userauth('publickey with an algorithm in Latin-1', peer =>
    peer.request(me, 'publickey', new Writer().boolean(false).string(CAFE).string(alice.blob).finish()),
  ),
  userauth('publickey with a blob of another type', peer =>
    peer.request(
      me,
      'publickey',
      new Writer().boolean(false).string('ecdsa-sha2-nistp256').string(alice.blob).finish(),
    ),
  ),
  userauth('publickey with a damaged blob', peer =>
    peer.request(me, 'publickey', new Writer().boolean(false).string('ssh-ed25519').string('rubbish').finish()),
  ),
  userauth('publickey with an empty blob', peer =>
    peer.request(me, 'publickey', new Writer().boolean(false).string('ssh-ed25519').string('').finish()),
  ),
  userauth('publickey with a blob and bytes behind it', peer =>
    peer.request(
      me,
      'publickey',
      new Writer().boolean(false).string('ssh-ed25519').string(alice.blob).byte(1).finish(),
    ),
  ),
  userauth('publickey with a signature cut off', peer =>
    peer.request(me, 'publickey', peer.signed(me, alice).slice(0, -10)),
  ),
  userauth('publickey with a signature that is none', peer =>
    peer.request(
      me,
      'publickey',
      new Writer().boolean(true).string('ssh-ed25519').string(alice.blob).string('x').finish(),
    ),
  ),
  userauth('publickey with a signature and bytes behind it', peer => {
    const data = peer.signed(me, alice);
    peer.request(me, 'publickey', new Writer().raw(data).byte(0).finish());
  }),
  userauth('password with nothing behind it', peer => peer.request(me, 'password')),
  userauth('password that is Latin-1', peer =>
    peer.request(me, 'password', new Writer().boolean(false).string(CAFE).finish()),
  ),
  userauth('password with a new one', peer =>
    peer.request(me, 'password', new Writer().boolean(true).string('a').string('b').finish()),
  ),
  userauth('password with bytes behind it', peer =>
    peer.request(me, 'password', new Writer().boolean(false).string('a').byte(1).finish()),
  ),
  userauth('keyboard-interactive with nothing behind it', peer => peer.request(me, 'keyboard-interactive')),
  userauth('hostbased with nothing behind it', peer => peer.request(me, 'hostbased')),
  userauth('INFO_RESPONSE to no question', peer => peer.payload(w(61).uint32(0).finish())),
  userauth('USERAUTH_PK_OK from a client', peer => peer.payload(w(60).string('a').string('b').finish())),
  userauth('USERAUTH_SUCCESS from a client', peer => peer.send(USERAUTH_SUCCESS, {})),
  userauth('USERAUTH_FAILURE from a client', peer =>
    peer.send(USERAUTH_FAILURE, { methods: [], partialSuccess: false }),
  ),
  userauth('USERAUTH_BANNER from a client', peer => peer.send(USERAUTH_BANNER, { message: 'x', language: nothing })),
  userauth('USERAUTH_REQUEST cut off', peer => peer.payload(w(50).string(me).uint32(14).finish())),
  userauth('GLOBAL_REQUEST before sign-in', peer => peer.payload(w(80).string('x').boolean(true).finish())),
  userauth('CHANNEL_CLOSE before sign-in', peer => peer.payload(w(97).uint32(0).finish())),
];
