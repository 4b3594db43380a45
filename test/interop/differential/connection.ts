// Odd global requests, opens of channels, and messages for channels that are not there.
import { CHANNEL_DATA, CHANNEL_OPEN, SERVICE_REQUEST } from '../../../src/protocol/messages.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { payloadOf } from '../../kit/raw-peer.ts';
import { CAFE, NO_EFFECT, type Oddity, odd, payload, THAT_ONE, w } from './oddity.ts';
import { TRANSPORT } from './sign-in.ts';

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
export const global = (type: string | Uint8Array, wantReply: boolean) => w(80).string(type).boolean(wantReply);
export const CONNECTION: Oddity[] = [
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
export function forChannel(number: number, id: number): Uint8Array {
  const writer = w(number).uint32(id);
  if (number === 91) writer.uint32(1).uint32(1).uint32(1);
  if (number === 92) writer.uint32(1).string('x').string('');
  if (number === 93) writer.uint32(1);
  if (number === 94) writer.string('x');
  if (number === 95) writer.uint32(1).string('x');
  if (number === 98) writer.string('what@example.com').boolean(true);
  return writer.finish();
}
