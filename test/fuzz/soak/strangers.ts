// Attacks by peers that have not signed in: floods, key exchanges that compute nothing, connections that wait, rubbish.
import type { Socket } from 'node:net';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { publicOf } from '../../../src/crypto/keys/index.ts';
import { KEX_ECDH_INIT, KEXINIT, SERVICE_REQUEST, USERAUTH_REQUEST } from '../../../src/protocol/messages.ts';
import { encode } from '../../../src/protocol/wire/codec.ts';
import { concat, encodeUtf8, Writer } from '../../../src/protocol/wire/reader.ts';
import { pause } from '../../kit/processes.ts';
import { RawClient } from '../../kit/raw-client.ts';
import { clearFrame, initOf, payloadOf } from '../../kit/raw-peer.ts';
import type { Attack, Round } from './round.ts';

const IDENT = 'SSH-2.0-soak\r\n';
/** Connections of a round that wait. */
const WAITING = 200;
/** Bytes of a flood: a mark that several hundred MiB of answers would be measured at. */
const FLOOD = 12 * 1024 * 1024;

/** A KEXINIT in the clear that leaves no choice of the exchange's method. */
const kexInit = (kex?: string[]): Uint8Array =>
  clearFrame(payloadOf(KEXINIT, initOf(accelerated, undefined, kex && { kex })));

/** Unknown messages (RFC 4253 §11.4 has each answered with UNIMPLEMENTED), 64 KiB of them. */
const unknown = concat(...Array.from({ length: 4096 }, () => clearFrame(Uint8Array.of(200))));

/** An exchange that costs the peer a power of a number of so many bits, and us nothing: any number is a public key. */
const finiteField =
  (method: string, bits: number, times: number) =>
  async (round: Round): Promise<void> => {
    for (let i = 0; i < times; i++) {
      const socket = await round.connect();
      const init = round.dice.bytes(new Uint8Array(bits / 8));
      init[0] &= 0x7f;
      init[0] |= 1;
      socket.write(concat(encodeUtf8(IDENT), kexInit([method]), clearFrame(payloadOf(KEX_ECDH_INIT, { init }))));
      socket.resume();
      await pause(50);
    }
    await round.pause(1000);
  };

/** Bytes that are no conversation, each by a connection of its own. */
const RUBBISH: readonly ((round: Round) => Uint8Array)[] = [
  ({ dice }) => dice.bytes(new Uint8Array(1 + dice.below(5000))),
  () => encodeUtf8('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
  () => encodeUtf8('SSH-1.5-old\r\n'),
  () => encodeUtf8(`SSH-2.0-${'x'.repeat(100_000)}`),
  () => encodeUtf8(`${'a line before\r\n'.repeat(5000)}${IDENT}`),
  ({ dice }) => concat(encodeUtf8(IDENT), dice.bytes(new Uint8Array(5000))),
  () => new Writer().raw(encodeUtf8(IDENT)).uint32(0xffff_ffff).byte(4).raw(new Uint8Array(64)).finish(),
  () =>
    new Writer()
      .raw(encodeUtf8(IDENT))
      .uint32(256 * 1024)
      .byte(4)
      .raw(new Uint8Array(1000))
      .finish(),
  () => concat(encodeUtf8(IDENT), kexInit().subarray(0, 300)),
  () => concat(encodeUtf8(IDENT), kexInit(['none-such'])),
  () => concat(encodeUtf8(IDENT), kexInit(), kexInit()),
  () => concat(encodeUtf8(IDENT), kexInit(), clearFrame(payloadOf(KEX_ECDH_INIT, { init: new Uint8Array(32) }))),
  () => concat(encodeUtf8(IDENT), kexInit(), clearFrame(payloadOf(SERVICE_REQUEST, { service: 'ssh-userauth' }))),
];

/** Requests to sign in that no honest client makes. */
const SIGN_INS: readonly ((round: Round) => Readonly<{ user: string; method: string; data: Uint8Array }>)[] = [
  () => ({ user: 'x'.repeat(30_000), method: 'none', data: new Uint8Array(0) }),
  () => ({ user: 'mallory', method: 'password', data: new Writer().byte(0).string(new Uint8Array(30_000)).finish() }),
  () => ({ user: '\u0007\u001b]52;c;x\u0007$(reboot)', method: 'none', data: new Uint8Array(0) }),
  () => ({ user: 'mallory+NOSUCHCODE', method: 'none', data: new Uint8Array(0) }),
  () => ({ user: 'mallory', method: 'publickey', data: new Uint8Array(7) }),
  () => ({ user: 'mallory', method: 'keyboard-interactive', data: new Writer().string('').string('').finish() }),
  () => ({ user: 'mallory', method: 'hostbased', data: new Uint8Array(100) }),
  ({ dice }) => {
    const key = publicOf(accelerated.signatures[0].generate(bytes => dice.bytes(bytes)));
    const data = new Writer().byte(0).string(accelerated.signatures[0].name).string(key.blob).finish();
    return { user: 'mallory', method: 'publickey', data };
  },
];

async function waiting(round: Round, bytes: Uint8Array): Promise<void> {
  const source = round.address();
  const sockets: Socket[] = [];
  // Half of them from one address.
  for (let i = 0; i < WAITING; i++) {
    const socket = await round.connect(undefined, i % 2 === 0 ? source : undefined);
    socket.write(bytes);
    sockets.push(socket);
    if (i % 20 === 0) await pause(20);
  }
  await round.pause(8000);
}

export const STRANGERS: readonly Attack[] = [
  {
    name: 'unknown messages before the key exchange, answers not read',
    every: 4000,
    async run(round) {
      const socket = await round.connect();
      socket.write(IDENT);
      await round.flood(socket, unknown, FLOOD);
      await round.pause(1000);
    },
  },
  {
    name: 'unknown messages after the key exchange, answers not read',
    every: 4000,
    async run(round) {
      const client = await RawClient.connect(round.scope, round.ground.ssh, round.address());
      client.socket.pause();
      for (let i = 0; i < 20_000 && !client.socket.destroyed && !client.socket.writableNeedDrain; i++)
        client.send(encode({ ...SERVICE_REQUEST, number: 200 }, { service: 'x' }));
      await round.pause(1000);
    },
  },
  { name: 'connections that say nothing', every: 10_000, run: round => waiting(round, new Uint8Array(0)) },
  {
    name: 'connections that stop after KEXINIT',
    every: 10_000,
    run: round => waiting(round, concat(encodeUtf8(IDENT), kexInit())),
  },
  {
    name: 'exchanges in group 18 that compute nothing',
    every: 2000,
    run: finiteField('diffie-hellman-group18-sha512', 8192, 8),
  },
  {
    name: 'exchanges in groups 16 and 14 that compute nothing',
    every: 2000,
    async run(round) {
      await finiteField('diffie-hellman-group16-sha512', 4096, 3)(round);
      await finiteField('diffie-hellman-group14-sha256', 2048, 3)(round);
    },
  },
  {
    name: 'key exchanges one after the other before sign-in',
    every: 2000,
    async run(round) {
      const client = await RawClient.connect(round.scope, round.ground.ssh, round.address());
      for (let i = 0; i < 20 && !client.socket.destroyed; i++) {
        if (!client.transport.exchanging) client.transport.rekey();
        client.flush();
        await pause(20);
      }
    },
  },
  {
    name: 'rubbish',
    every: 500,
    async run(round) {
      for (const make of RUBBISH) {
        const socket = await round.connect();
        socket.write(make(round));
        socket.resume();
        await pause(20);
        // Half-closed, reset, or left as it is.
        const end = round.dice.below(3);
        if (end === 0) socket.end();
        if (end === 1) socket.resetAndDestroy();
      }
      await round.pause(500);
    },
  },
  {
    name: 'an identification line that takes for ever',
    every: 5000,
    async run(round) {
      const socket = await round.connect();
      for (let i = 0; i < 40 && !socket.destroyed; i++) {
        socket.write(i === 0 ? 'S' : 'x');
        await round.pause(100);
      }
    },
  },
  {
    name: 'requests to sign in that no client makes',
    every: 1000,
    async run(round) {
      for (const make of SIGN_INS) {
        const client = await RawClient.connect(round.scope, round.ground.ssh, round.address());
        client.send(encode(SERVICE_REQUEST, { service: 'ssh-userauth' }));
        for (let i = 0; i < 8 && !client.socket.destroyed; i++)
          client.send(encode(USERAUTH_REQUEST, { service: 'ssh-connection', ...make(round) }));
        await round.pause(100);
      }
    },
  },
  {
    name: 'clients that hang up while they sign in',
    every: 1000,
    async run(round) {
      for (let i = 0; i < 4; i++) {
        const client = await RawClient.connect(round.scope, round.ground.ssh, round.address());
        client.send(encode(SERVICE_REQUEST, { service: 'ssh-userauth' }));
        const data = new Uint8Array(0);
        client.send(encode(USERAUTH_REQUEST, { user: 'x', service: 'ssh-connection', method: 'none', data }));
        client.socket.resetAndDestroy();
      }
      await round.pause(100);
    },
  },
];
