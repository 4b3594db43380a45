// Odd identifications, KEXINITs, packets in the clear, and messages in the first exchange of keys.
import {
  DISCONNECT,
  EXT_INFO,
  IGNORE,
  KEX_ECDH_REPLY,
  KEXINIT,
  SERVICE_REQUEST,
} from '../../../src/protocol/messages.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { initOf, payloadOf } from '../../kit/raw-peer.ts';
import { provider, type SocketPeer } from '../../kit/socket-peer.ts';
import { nothing, type Oddity, odd, payload, UNKNOWN, w } from './oddity.ts';

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

export const IDENTS: Oddity[] = [
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

export const KEXINITS: Oddity[] = [
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

export const EXCHANGES: Oddity[] = [
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

/** A frame in the clear that says of itself what it likes (RFC 4253 §6). */
const frame = (what: string, length: number, padding: number, ours?: Oddity['ours']): Oddity =>
  odd(
    'exchange',
    what,
    peer => void peer.socket.write(new Writer().uint32(length).byte(padding).raw(new Uint8Array(47).fill(2)).finish()),
    ours,
  );
export const FRAMES: Oddity[] = [
  frame('a packet of no length', 0, 4),
  frame('a packet of 4 bytes', 4, 4),
  frame('a packet of 4 GiB', 0xffff_ffff, 4),
  frame('a packet of 262,148 bytes', 262_148, 4),
  frame('a packet of half a block', 40, 4),
  frame('a packet with 3 bytes of padding', 44, 3),
  frame('a packet that is all padding', 44, 44),
  odd('keyed', 'a packet altered on its way', peer => void peer.socket.write(new Uint8Array(64))),
];
