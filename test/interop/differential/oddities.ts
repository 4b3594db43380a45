// One list of odd messages, sent to the real sshd and to our server: what each is, when it comes, and where the two differ, which invariant we guard.
import { userInfo } from 'node:os';
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_OPEN,
  CHANNEL_WINDOW_ADJUST,
  DISCONNECT,
  EXT_INFO,
  IGNORE,
  KEX_ECDH_REPLY,
  KEXINIT,
  NEWKEYS,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../../../src/protocol/messages.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { initOf, payloadOf } from '../../kit/raw-peer.ts';
import { provider, type SocketPeer } from '../../kit/socket-peer.ts';
import { readKey } from '../../kit/ssh.ts';

/**
 * When the oddity comes, and by what it is seen whether the connection lives: `ident` in place of the identification line, `kexinit` in place of
 * our KEXINIT, `exchange` after it, `keyed` under keys, `userauth` after SERVICE_ACCEPT, `connection` signed in, `channel` with a session that runs
 * `cat`, `rekey` after the KEXINIT of a second exchange.
 */
export type Stage = 'ident' | 'kexinit' | 'exchange' | 'keyed' | 'userauth' | 'connection' | 'channel' | 'rekey';

export interface Oddity {
  readonly what: string;
  readonly stage: Stage;
  say(peer: SocketPeer): void | Promise<void>;
  /** The number of the answer that ends it, where the usual way to go on would be odd in itself. */
  readonly answer?: number;
  /** What becomes of it at our server where sshd does something else, and the invariant (or the reason) for it. */
  readonly ours?: readonly [outcome: string, why: string];
}

const NO_EFFECT = 'it has no effect, whatever is in it';
const UNKNOWN = 'what nobody knows is answered with UNIMPLEMENTED (RFC 4253 §11.4)';
const THAT_ONE = 'the oddity of one channel or request costs that one';
const GONE =
  "another's circuit: the number goes to the next channel. sshd keeps it until its program has ended, and then ends the connection, too";
const IN_EXCHANGE =
  'order: nothing may get in between of what changes the keys (RFC 4253 §7.1); newer OpenSSH ends the connection, too';
const nothing = new Uint8Array(0);
const w = (number: number) => new Writer().byte(number);
const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
const CAFE = latin1('caf\xe9');

/** An entry in short. */
const odd = (stage: Stage, what: string, say: Oddity['say'], ours?: Oddity['ours']): Oddity => ({
  stage,
  what,
  say,
  ours,
});
/** One payload. */
const payload = (stage: Stage, what: string, bytes: Uint8Array, ours?: Oddity['ours']): Oddity =>
  odd(stage, what, peer => peer.payload(bytes), ours);
/** A message with `tail` behind it, on the channel that is open. */
const onChannel = (what: string, bytes: (remote: number) => Uint8Array, ours?: Oddity['ours']): Oddity =>
  odd('channel', what, peer => peer.payload(bytes(peer.remote)), ours);

const ident = (what: string, line: string, ours?: Oddity['ours']): Oddity =>
  odd(
    'ident',
    what,
    peer => {
      peer.ident = line
        .replace(/\r?\n$/, '')
        .split('\n')
        .at(-1)!;
      peer.text(line);
    },
    ours,
  );

/** A KEXINIT as `change` leaves its bytes, or with other fields. */
const init = (what: string, fields: Parameters<SocketPeer['sendKexInit']>[0], ours?: Oddity['ours']): Oddity =>
  odd('kexinit', what, peer => peer.sendKexInit(fields), ours);

const names = (list: 'kex' | 'cipherClientToServer' | 'macServerToClient' | 'hostKey'): string[] =>
  initOf(provider)[list];
const LOOSE = { kex: ['curve25519-sha256'] };

const IDENTS: Oddity[] = [
  ident('an identification with a line feed only', 'SSH-2.0-raw\n'),
  ident('an identification with a comment', 'SSH-2.0-raw some comment here\r\n'),
  ident('an identification without a software version', 'SSH-2.0-\r\n'),
  ident('SSH-1.99', 'SSH-1.99-raw\r\n'),
  ident('SSH-2.1', 'SSH-2.1-raw\r\n', ['ends', 'order: a later version may mean anything by a message']),
  ident('SSH-1.5', 'SSH-1.5-raw\r\n'),
  ident('an identification in lower case', 'ssh-2.0-raw\r\n'),
  ident('an identification in Latin-1', 'SSH-2.0-caf\xe9\r\n'),
  ident('an identification with a NUL', 'SSH-2.0-raw\0x\r\n'),
  ident('an identification with a tab and two blanks', 'SSH-2.0-raw\t x  y\r\n'),
  ident('an identification of 253 bytes', `SSH-2.0-${'x'.repeat(245)}\r\n`),
  ident('an identification of 300 bytes', `SSH-2.0-${'x'.repeat(292)}\r\n`, [
    'ends',
    'memory: it is kept, hashed and shown whole, and RFC 4253 §4.2 ends it at 255',
  ]),
  ident('an identification of 9,000 bytes', `SSH-2.0-${'x'.repeat(9000)}\r\n`),
  ident('a line before the identification', 'hello\r\nSSH-2.0-raw\r\n'),
  ident('an empty line before the identification', '\r\nSSH-2.0-raw\r\n'),
  ident('another protocol', 'GET / HTTP/1.1\r\n'),
];

const KEXINITS: Oddity[] = [
  init('a cipher list that ends in a comma, as in libssh 0.10', {
    cipherClientToServer: [...names('cipherClientToServer'), ''],
    cipherServerToClient: [...names('cipherClientToServer'), ''],
  }),
  init(
    'empty names in all lists',
    {
      kex: ['', 'curve25519-sha256', ''],
      hostKey: ['', ...names('hostKey'), ''],
      cipherClientToServer: ['', ...names('cipherClientToServer'), ''],
      macServerToClient: ['', ...names('macServerToClient'), '', ''],
      compressionClientToServer: ['', 'none', ''],
      languageClientToServer: ['', ''],
    },
    ['goes on', 'nothing has an empty name'],
  ),
  init('a comma in front of the name that counts', { cipherClientToServer: ['', ...names('cipherClientToServer')] }, [
    'goes on',
    'sshd reads to the first empty name; who offers more means it',
  ]),
  init('two commas behind the name that counts', { cipherClientToServer: [...names('cipherClientToServer'), '', 'x'] }),
  init('nothing but an empty name and one in UTF-8', { cipherClientToServer: ['\u00e9', ''] }),
  init('an escape sequence as a name', { cipherClientToServer: ['\x1b[2J', ...names('cipherClientToServer')] }),
  init('a NUL at the end of a list', { cipherClientToServer: [`${names('cipherClientToServer')[0]}\0`] }),
  init('a NUL within a list', { cipherClientToServer: ['a\0b', ...names('cipherClientToServer')] }, [
    'goes on',
    'sshd reads strings of C; to us it is a name that nobody knows',
  ]),
  init('odd languages', { languageClientToServer: ['', '\u00e9'], languageServerToClient: [''] }),
  init('names that nobody knows', { kex: ['what@example.com', ...names('kex')], languageClientToServer: ['en', 'de'] }),
  init('a name of 5,000 bytes', { kex: ['x'.repeat(5000), ...names('kex')] }),
  init('5,000 names', { kex: [...Array.from({ length: 5000 }, (_, i) => `n${i}`), ...names('kex')] }),
  init('names that are not ASCII', { kex: ['caf\u00e9', ...names('kex')] }),
  init('a name with a control character', { kex: ['a\u0001b', ...names('kex')] }),
  init('a name with a blank', { kex: ['a b', ...names('kex')] }),
  init('the same name twice', { kex: [...names('kex'), ...names('kex')] }),
  init('no key exchange in common', { kex: ['what@example.com'] }),
  init('no host key in common', { hostKey: ['what@example.com'] }),
  init('no cipher in common', { cipherClientToServer: ['what@example.com'] }),
  init('no MAC in common, and none is needed', { macServerToClient: ['what@example.com'] }),
  init('no compression in common', { compressionClientToServer: ['what@example.com'] }),
  init('empty lists', { kex: [] }),
  init('reserved not zero', { reserved: 7 }),
  odd('kexinit', 'a wrong guess', peer => {
    peer.sendKexInit({
      kex: ['ecdh-sha2-nistp521', 'curve25519-sha256', 'kex-strict-c-v00@openssh.com'],
      firstKexPacketFollows: true,
    });
    peer.payload(w(30).string('wrong').finish());
  }),
  odd('kexinit', 'bytes after reserved', peer => {
    const init = initOf(provider);
    peer.sendKexInitAs(new Writer().raw(payloadOf(KEXINIT, init)).byte(1).finish(), init);
  }),
  payload('kexinit', 'a KEXINIT that is cut off', payloadOf(KEXINIT, initOf(provider)).slice(0, 60)),
  payload('kexinit', 'a KEXINIT with nothing in it', w(20).finish()),
  odd('kexinit', 'IGNORE before KEXINIT, not strict', peer => {
    peer.send(IGNORE, { data: nothing });
    peer.sendKexInit(LOOSE);
  }),
  odd('kexinit', 'IGNORE before KEXINIT, strict', peer => {
    peer.send(IGNORE, { data: nothing });
    peer.sendKexInit();
  }),
  odd(
    'kexinit',
    'an unknown message before KEXINIT, not strict',
    peer => {
      peer.payload(w(200).finish());
      peer.sendKexInit(LOOSE);
    },
    ['goes on', UNKNOWN],
  ),
  payload('kexinit', 'EXT_INFO before KEXINIT', payloadOf(EXT_INFO, { count: 0, extensions: nothing })),
  payload('kexinit', 'NEWKEYS before KEXINIT', w(21).finish()),
  payload('kexinit', 'KEX_ECDH_INIT before KEXINIT', w(30).string(new Uint8Array(32).fill(9)).finish()),
  payload('kexinit', 'SERVICE_REQUEST before KEXINIT', payloadOf(SERVICE_REQUEST, { service: 'ssh-userauth' })),
  payload('kexinit', 'USERAUTH_REQUEST before KEXINIT', w(50).string('a').string('b').string('none').finish()),
];

const EXCHANGES: Oddity[] = [
  payload('exchange', 'a second KEXINIT in an exchange', payloadOf(KEXINIT, initOf(provider))),
  payload('exchange', 'NEWKEYS in the middle of an exchange', w(21).finish()),
  payload('exchange', 'IGNORE in a strict exchange', payloadOf(IGNORE, { data: nothing })),
  payload('exchange', 'DEBUG in a strict exchange', w(4).boolean(true).string('x').string('').finish()),
  payload('exchange', 'UNIMPLEMENTED in a strict exchange', w(3).uint32(0).finish()),
  payload('exchange', 'an unknown message in a strict exchange', w(200).finish()),
  payload(
    'exchange',
    'KEX_ECDH_REPLY from a client',
    payloadOf(KEX_ECDH_REPLY, { hostKey: nothing, reply: nothing, signature: nothing }),
  ),
  payload(
    'exchange',
    'SERVICE_REQUEST in the middle of an exchange',
    payloadOf(SERVICE_REQUEST, { service: 'ssh-userauth' }),
  ),
  odd('exchange', 'a point of no bytes', peer => peer.sendInit(nothing)),
  odd('exchange', 'a point of 31 bytes', peer => peer.sendInit(new Uint8Array(31).fill(9))),
  odd('exchange', 'a point of low order', peer => peer.sendInit(new Uint8Array(32))),
  payload('exchange', 'KEX_ECDH_INIT cut off', w(30).uint32(32).byte(1).finish()),
  payload('exchange', 'KEX_ECDH_INIT with bytes behind it', w(30).string(new Uint8Array(32).fill(9)).byte(1).finish()),
  odd('exchange', 'DISCONNECT in the middle of an exchange', peer =>
    peer.send(DISCONNECT, { reason: 11, description: 'bye', language: nothing }),
  ),
];

/** What may come at any time under keys; `stage` says when it does. */
const TRANSPORT = (stage: Stage): Oddity[] => [
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

/** A frame in the clear that says of itself what it likes (RFC 4253 §6). */
const frame = (what: string, length: number, padding: number, ours?: Oddity['ours']): Oddity =>
  odd(
    'exchange',
    what,
    peer => void peer.socket.write(new Writer().uint32(length).byte(padding).raw(new Uint8Array(47).fill(2)).finish()),
    ours,
  );
const FRAMES: Oddity[] = [
  frame('a packet of no length', 0, 4),
  frame('a packet of 4 bytes', 4, 4),
  frame('a packet of 4 GiB', 0xffff_ffff, 4),
  frame('a packet of 262,148 bytes', 262_148, 4),
  frame('a packet of half a block', 40, 4),
  frame('a packet with 3 bytes of padding', 44, 3),
  frame('a packet that is all padding', 44, 44),
  odd('keyed', 'a packet altered on its way', peer => void peer.socket.write(new Uint8Array(64))),
];

const KEYED: Oddity[] = [
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
const USERAUTH: Oddity[] = [
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

const open = (what: string, bytes: Uint8Array, ours?: Oddity['ours']) => payload('connection', what, bytes, ours);
/** The same where the answer may take its time: whether a host can be reached is not known at once. */
const refusedOpen = (what: string, bytes: Uint8Array): Oddity => ({ ...open(what, bytes), answer: 92 });
const session = (window = 1 << 20, maxPacket = 32768, sender = 9) =>
  new Writer().byte(CHANNEL_OPEN.number).string('session').uint32(sender).uint32(window).uint32(maxPacket);
const direct = (host: string | Uint8Array, port: number, from: string | Uint8Array = '127.0.0.1') =>
  w(90)
    .string('direct-tcpip')
    .uint32(9)
    .uint32(1 << 20)
    .uint32(32768)
    .string(host)
    .uint32(port)
    .string(from)
    .uint32(1);
const global = (type: string | Uint8Array, wantReply: boolean) => w(80).string(type).boolean(wantReply);
const CONNECTION: Oddity[] = [
  ...TRANSPORT('connection'),
  payload('connection', 'SERVICE_REQUEST after sign-in', payloadOf(SERVICE_REQUEST, { service: 'ssh-userauth' })),
  odd('connection', 'USERAUTH_REQUEST after sign-in', peer => peer.request('alice', 'none')),
  payload('connection', 'USERAUTH_REQUEST after sign-in, cut off', w(50).uint32(99).finish()),
  payload('connection', 'USERAUTH_SUCCESS after sign-in', w(52).finish()),
  payload('connection', 'INFO_RESPONSE after sign-in', w(61).uint32(0).finish()),
  payload('connection', 'REQUEST_SUCCESS unasked', w(81).finish()),
  payload('connection', 'REQUEST_FAILURE unasked', w(82).finish()),
  payload('connection', 'REQUEST_FAILURE unasked, with bytes', w(82).uint32(1).finish()),
  open('a global request that nobody knows', global('what@example.com', true).finish()),
  open('a global request that nobody knows, without reply', global('what@example.com', false).finish()),
  open('a global request in Latin-1', global(CAFE, true).finish()),
  open('a global request with an empty name', global('', true).finish()),
  open('a global request cut off', w(80).uint32(9).finish()),
  open('a global request without want_reply', w(80).string('what').finish()),
  open('hostkeys-prove with nothing', global('hostkeys-prove-00@openssh.com', true).finish()),
  open('hostkeys-prove with rubbish', global('hostkeys-prove-00@openssh.com', true).string('x').finish()),
  open('tcpip-forward with nothing', global('tcpip-forward', true).finish(), ['goes on, REQUEST_FAILURE', THAT_ONE]),
  open('tcpip-forward to an address in Latin-1', global('tcpip-forward', true).string(CAFE).uint32(0).finish()),
  open('tcpip-forward to an address with a NUL', global('tcpip-forward', true).string('a\0b').uint32(0).finish(), [
    'goes on, REQUEST_FAILURE',
    THAT_ONE,
  ]),
  open('tcpip-forward to port 70000', global('tcpip-forward', true).string('127.0.0.1').uint32(70_000).finish(), [
    'goes on, REQUEST_FAILURE',
    'sshd takes it modulo 65536, for a port that nobody has named',
  ]),
  open(
    'tcpip-forward with bytes behind it',
    global('tcpip-forward', true).string('nowhere.invalid').uint32(0).byte(1).finish(),
  ),
  open(
    'cancel-tcpip-forward of what is not there',
    global('cancel-tcpip-forward', true).string('127.0.0.1').uint32(4).finish(),
  ),
  open('streamlocal-forward of an empty path', global('streamlocal-forward@openssh.com', true).string('').finish(), [
    'goes on, REQUEST_FAILURE',
    'this server forwards no Unix sockets',
  ]),
  open('no-more-sessions', global('no-more-sessions@openssh.com', false).finish()),
  open('a channel of a type that nobody knows', w(90).string('what').uint32(9).uint32(1).uint32(1).finish()),
  open('a channel of a type in Latin-1', w(90).string(CAFE).uint32(9).uint32(1).uint32(1).finish()),
  open('a channel of an empty type', w(90).string('').uint32(9).uint32(1).uint32(1).finish()),
  open('CHANNEL_OPEN cut off', w(90).string('session').uint32(9).finish()),
  open('a session with bytes behind it', session().byte(1).finish(), ['goes on, CHANNEL_OPEN_CONFIRMATION', NO_EFFECT]),
  open('a session with a window of 0', session(0).finish()),
  open('a session with a maximum packet of 0', session(1 << 20, 0).finish()),
  open('a session with a maximum packet of 1', session(1 << 20, 1).finish()),
  open('a session with window and maximum packet of 2^32 - 1', session(0xffff_ffff, 0xffff_ffff).finish()),
  open('a session whose number is 2^32 - 1', session(1 << 20, 32768, 0xffff_ffff).finish()),
  odd('connection', 'two sessions with the same number', peer => {
    peer.payload(session().finish());
    peer.payload(session().finish());
  }),
  odd('connection', '20 sessions', peer => {
    for (let i = 0; i < 20; i++) peer.payload(session(1 << 20, 32768, i).finish());
  }),
  odd(
    'connection',
    'data beyond the window, into a session without a program',
    peer => {
      peer.payload(session().finish());
      for (let i = 0; i < 100; i++) peer.send(CHANNEL_DATA, { recipient: 0, data: new Uint8Array(32_768) });
    },
    ['ends', 'windows: they are what bounds memory. sshd 9.2 drops it, newer ones end the connection, too'],
  ),
  refusedOpen('direct-tcpip to a host in Latin-1', direct(CAFE, 1).finish()),
  open('direct-tcpip to a host with a NUL', direct('a\0b', 1).finish(), ['goes on, CHANNEL_OPEN_FAILURE', THAT_ONE]),
  refusedOpen('direct-tcpip to an empty host', direct('', 1).finish()),
  refusedOpen('direct-tcpip to port 70000', direct('127.0.0.1', 70_000).finish()),
  refusedOpen('direct-tcpip to port 0', direct('127.0.0.1', 0).finish()),
  refusedOpen('direct-tcpip with an originator in Latin-1', direct('127.0.0.1', 1, CAFE).finish()),
  refusedOpen('direct-tcpip with an empty originator', direct('127.0.0.1', 1, '').finish()),
  open(
    'direct-tcpip without an originator',
    w(90).string('direct-tcpip').uint32(9).uint32(1).uint32(1).string('127.0.0.1').uint32(1).finish(),
    ['goes on, CHANNEL_OPEN_FAILURE', THAT_ONE],
  ),
  open('direct-tcpip with bytes behind it', direct('127.0.0.1', 1).byte(1).finish(), [
    'goes on, CHANNEL_OPEN_FAILURE',
    THAT_ONE,
  ]),
  open('direct-tcpip with nothing', w(90).string('direct-tcpip').uint32(9).uint32(1).uint32(1).finish(), [
    'goes on, CHANNEL_OPEN_FAILURE',
    THAT_ONE,
  ]),
  open(
    'forwarded-tcpip from a client',
    w(90).string('forwarded-tcpip').uint32(9).uint32(1).uint32(1).string('a').uint32(1).string('b').uint32(1).finish(),
  ),
  open('x11 from a client', w(90).string('x11').uint32(9).uint32(1).uint32(1).string('a').uint32(1).finish()),
  ...[91, 92, 93, 94, 95, 96, 97, 98, 99, 100].flatMap(number => [
    payload('connection', `message ${number} for a channel that is not there`, forChannel(number, 77)),
    payload(
      'connection',
      `message ${number} with nothing in it`,
      w(number).finish(),
      number >= 99 ? ['ends', 'order: which question it answers cannot be told'] : undefined,
    ),
  ]),
];
/** A right message for channel `id`. */
function forChannel(number: number, id: number): Uint8Array {
  const writer = w(number).uint32(id);
  if (number === 91) writer.uint32(1).uint32(1).uint32(1);
  if (number === 92) writer.uint32(1).string('x').string('');
  if (number === 93) writer.uint32(1);
  if (number === 94) writer.string('x');
  if (number === 95) writer.uint32(1).string('x');
  if (number === 98) writer.string('what@example.com').boolean(true);
  return writer.finish();
}

const request = (id: number, type: string | Uint8Array, wantReply: boolean) =>
  w(98).uint32(id).string(type).boolean(wantReply);
const CHANNEL: Oddity[] = [
  odd('channel', 'a second EOF', peer => {
    peer.send(CHANNEL_EOF, { recipient: peer.remote });
    peer.send(CHANNEL_EOF, { recipient: peer.remote });
  }),
  odd('channel', 'data after EOF', peer => {
    peer.send(CHANNEL_EOF, { recipient: peer.remote });
    peer.send(CHANNEL_DATA, { recipient: peer.remote, data: latin1('late') });
  }),
  odd(
    'channel',
    'extended data after EOF',
    peer => {
      peer.send(CHANNEL_EOF, { recipient: peer.remote });
      peer.send(CHANNEL_EXTENDED_DATA, { recipient: peer.remote, type: 1, data: latin1('late') });
    },
    ['the channel ends', THAT_ONE],
  ),
  odd('channel', 'a request after EOF', peer => {
    peer.send(CHANNEL_EOF, { recipient: peer.remote });
    peer.payload(request(peer.remote, 'what@example.com', true).finish());
  }),
  odd(
    'channel',
    'CLOSE twice',
    peer => {
      peer.send(CHANNEL_CLOSE, { recipient: peer.remote });
      peer.send(CHANNEL_CLOSE, { recipient: peer.remote });
    },
    ['ends', GONE],
  ),
  odd(
    'channel',
    'data after CLOSE',
    peer => {
      peer.send(CHANNEL_CLOSE, { recipient: peer.remote });
      peer.send(CHANNEL_DATA, { recipient: peer.remote, data: latin1('late') });
    },
    ['ends', GONE],
  ),
  odd(
    'channel',
    'EOF after CLOSE',
    peer => {
      peer.send(CHANNEL_CLOSE, { recipient: peer.remote });
      peer.send(CHANNEL_EOF, { recipient: peer.remote });
    },
    ['ends', GONE],
  ),
  odd('channel', 'WINDOW_ADJUST after CLOSE', peer => {
    peer.send(CHANNEL_CLOSE, { recipient: peer.remote });
    peer.send(CHANNEL_WINDOW_ADJUST, { recipient: peer.remote, bytes: 5 });
  }),
  odd(
    'channel',
    'a request after CLOSE',
    peer => {
      peer.send(CHANNEL_CLOSE, { recipient: peer.remote });
      peer.payload(request(peer.remote, 'what@example.com', true).finish());
    },
    ['ends', GONE],
  ),
  onChannel('CHANNEL_SUCCESS unasked', id => w(99).uint32(id).finish()),
  onChannel('CHANNEL_FAILURE unasked', id => w(100).uint32(id).finish()),
  onChannel('CHANNEL_SUCCESS unasked, with bytes', id => w(99).uint32(id).uint32(1).finish()),
  onChannel('CHANNEL_OPEN_CONFIRMATION for a channel that is open', id => forChannel(91, id)),
  onChannel('CHANNEL_OPEN_FAILURE for a channel that is open', id => forChannel(92, id)),
  onChannel('WINDOW_ADJUST by 0', id => w(93).uint32(id).uint32(0).finish()),
  onChannel('WINDOW_ADJUST beyond 2^32 - 1', id => w(93).uint32(id).uint32(0xffff_ffff).finish()),
  onChannel('WINDOW_ADJUST with bytes behind it', id => w(93).uint32(id).uint32(1).byte(1).finish()),
  odd('channel', 'WINDOW_ADJUST after EOF', peer => {
    peer.send(CHANNEL_EOF, { recipient: peer.remote });
    peer.send(CHANNEL_WINDOW_ADJUST, { recipient: peer.remote, bytes: 5 });
  }),
  onChannel('no data', id => w(94).uint32(id).string('').finish()),
  onChannel('data that run past the end', id => w(94).uint32(id).uint32(9).byte(1).finish()),
  onChannel('data with bytes behind them', id => w(94).uint32(id).string('x\n').byte(1).finish()),
  onChannel('data without a length', id => w(94).uint32(id).finish()),
  onChannel('40,000 bytes of data in one message', id =>
    w(94).uint32(id).string(new Uint8Array(40_000).fill(10)).finish(),
  ),
  onChannel('200,000 bytes of data in one message', id =>
    w(94).uint32(id).string(new Uint8Array(200_000).fill(10)).finish(),
  ),
  onChannel('extended data with bytes behind them', id => w(95).uint32(id).uint32(1).string('x').byte(1).finish(), [
    'ends',
    'a relay would pass on the fault; a program at sshd reads no such data, so it does not look',
  ]),
  onChannel('extended data of type 1', id => w(95).uint32(id).uint32(1).string('x').finish()),
  onChannel('extended data of type 7', id => w(95).uint32(id).uint32(7).string('x').finish()),
  onChannel('extended data cut off', id => w(95).uint32(id).uint32(1).finish(), [
    'ends',
    'a relay would pass on the fault; a program at sshd reads no such data, so it does not look',
  ]),
  onChannel('EOF with bytes behind it', id => w(96).uint32(id).byte(1).finish()),
  onChannel('CLOSE with bytes behind it', id => w(97).uint32(id).byte(1).finish()),
  onChannel('a request that nobody knows', id => request(id, 'what@example.com', true).finish()),
  onChannel('a request that nobody knows, without reply', id => request(id, 'what@example.com', false).finish()),
  onChannel('a request in Latin-1', id => request(id, CAFE, true).finish()),
  onChannel('a request with an empty name', id => request(id, '', true).finish()),
  onChannel('a request without want_reply', id => w(98).uint32(id).string('what').finish()),
  onChannel('a second exec', id => request(id, 'exec', true).string('true').finish()),
  onChannel('exec without a command', id => request(id, 'exec', true).finish()),
  onChannel('pty-req after exec', id =>
    request(id, 'pty-req', true).string('xterm').uint32(80).uint32(24).uint32(0).uint32(0).string('').finish(),
  ),
  onChannel('pty-req cut off', id => request(id, 'pty-req', true).string('xterm').finish()),
  onChannel(
    'window-change without a terminal',
    id => request(id, 'window-change', true).uint32(80).uint32(24).uint32(0).uint32(0).finish(),
    ['goes on, CHANNEL_FAILURE', 'nothing has changed its size'],
  ),
  onChannel('window-change cut off', id => request(id, 'window-change', false).uint32(80).finish(), [
    'goes on',
    THAT_ONE,
  ]),
  onChannel(
    'window-change with bytes behind it',
    id => request(id, 'window-change', false).uint32(80).uint32(24).uint32(0).uint32(0).byte(1).finish(),
    ['goes on', THAT_ONE],
  ),
  onChannel('env in Latin-1 after exec', id => request(id, 'env', true).string('LC_X').string(CAFE).finish()),
  onChannel('env cut off', id => request(id, 'env', true).string('LC_X').finish()),
  onChannel('a signal that nobody knows', id => request(id, 'signal', true).string('WHAT').finish()),
  onChannel('a signal in Latin-1', id => request(id, 'signal', true).string(CAFE).finish()),
  onChannel('exit-status from a client', id => request(id, 'exit-status', false).uint32(0).finish()),
  onChannel('exit-status from a client, with reply', id => request(id, 'exit-status', true).uint32(0).finish()),
  onChannel('eow@openssh.com', id => request(id, 'eow@openssh.com', false).finish()),
  onChannel('eow@openssh.com with reply', id => request(id, 'eow@openssh.com', true).finish(), [
    'the channel ends, CHANNEL_SUCCESS',
    'it was heeded, so that is what the reply says',
  ]),
  onChannel('xon-xoff from a client', id => request(id, 'xon-xoff', false).boolean(true).finish()),
  onChannel('a subsystem after exec', id => request(id, 'subsystem', true).string('sftp').finish()),
  onChannel('x11-req cut off', id => request(id, 'x11-req', true).finish()),
  onChannel('auth-agent-req with bytes', id => request(id, 'auth-agent-req@openssh.com', true).byte(1).finish()),
];

const REKEY: Oddity[] = [
  odd('rekey', 'data after KEXINIT', peer => peer.payload(global('probe', false).finish())),
  odd('rekey', 'IGNORE after KEXINIT', peer => peer.send(IGNORE, { data: nothing })),
  odd('rekey', 'DEBUG after KEXINIT', peer => peer.payload(w(4).boolean(true).string('x').string('').finish())),
  odd('rekey', 'an unknown message after KEXINIT', peer => peer.payload(w(200).finish()), ['goes on', UNKNOWN]),
  odd('rekey', 'SERVICE_REQUEST after KEXINIT', peer => peer.send(SERVICE_REQUEST, { service: 'ssh-userauth' }), [
    'ends',
    IN_EXCHANGE,
  ]),
  odd('rekey', 'USERAUTH_REQUEST after KEXINIT', peer =>
    peer.payload(payloadOf(USERAUTH_REQUEST, { user: 'a', service: 'b', method: 'none', data: nothing })),
  ),
  odd('rekey', 'a second KEXINIT', peer => peer.sendKexInit(), ['ends', IN_EXCHANGE]),
  odd('rekey', 'NEWKEYS without an exchange', peer => peer.payload(w(21).finish()), ['ends', IN_EXCHANGE]),
  odd('rekey', 'EXT_INFO after KEXINIT', peer => peer.send(EXT_INFO, { count: 0, extensions: nothing }), [
    'ends',
    IN_EXCHANGE,
  ]),
];

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
