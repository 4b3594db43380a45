// Odd messages on a channel that runs a program, and in a later exchange of keys.
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_WINDOW_ADJUST,
  EXT_INFO,
  IGNORE,
  SERVICE_REQUEST,
  USERAUTH_REQUEST,
} from '../../../src/protocol/messages.ts';
import { payloadOf } from '../../kit/raw-peer.ts';
import { forChannel, global } from './connection.ts';
import {
  CAFE,
  GONE,
  IN_EXCHANGE,
  latin1,
  nothing,
  type Oddity,
  odd,
  onChannel,
  THAT_ONE,
  UNKNOWN,
  w,
} from './oddity.ts';

const request = (id: number, type: string | Uint8Array, wantReply: boolean) =>
  w(98).uint32(id).string(type).boolean(wantReply);
export const CHANNEL: Oddity[] = [
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

export const REKEY: Oddity[] = [
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
