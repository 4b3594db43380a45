// Peers that mean harm or know no better, on real sockets: each is told why it is turned away, and everybody else is served meanwhile and afterwards.
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { Disconnect } from '../../src/protocol/errors.ts';
import {
  CHANNEL_DATA,
  CHANNEL_OPEN,
  GLOBAL_REQUEST,
  PING,
  PONG,
  REQUEST_FAILURE,
  SERVICE_REQUEST,
} from '../../src/protocol/messages.ts';
import { encode } from '../../src/protocol/wire/codec.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { publicKeys, type ServerOptions } from '../../src/server/index.ts';
import { connectFrom, readAll, tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, pause, type Scope, soon } from '../kit/processes.ts';
import { blurt, goodbye, RawClient } from '../kit/raw-client.ts';
import { anyKey, type InProcess, keyFile, readKey, serve, ssh } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const nothing = new Uint8Array(0);
const IDENT = 'SSH-2.0-raw\r\n';
/** Requests of 16 kB that a server would have to read and answer into memory; kernels keep a few MiB each way. */
const MOST = 20_000;

interface Besieged extends InProcess {
  /** Serves a client that has been there all the time, and one that comes now. */
  serves(): Promise<void>;
  warnings: string[];
}

/** A server with one client signed in; everyone with a key may come, and user mallory without one. */
async function besieged(scope: Scope, options: Partial<ServerOptions> = {}): Promise<Besieged> {
  const warnings: string[] = [];
  const quiet = () => {};
  const log = {
    debug: quiet,
    info: quiet,
    warn: (fields: object) => void warnings.push((fields as { reason?: string }).reason ?? ''),
    error: (fields: object, message: string) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
  };
  const server = await serve(scope, {
    provider: accelerated,
    authenticators: [
      { method: 'none', answer: ({ user }) => ({ result: user === 'mallory' ? 'accept' : 'reject' }) },
      anyKey(),
    ],
    log,
    ...options,
  });
  const resident = ssh(scope, server, 'alice', ['--', 'cat']);
  let words = 0;
  const serves = async () => {
    resident.write('word ');
    words += 5;
    await soon('the echo', resident.wrote(words), 60);
    const { stdout, stderr } = await ssh(scope, server, 'bob', ['--', 'echo served'], { input: '' }).ended;
    assert.is(stdout.toString(), 'served\n', stderr);
  };
  await serves();
  return { ...server, serves, warnings };
}

/** Time, as the server counts it. */
function pass({ server }: InProcess, seconds: number): void {
  for (let second = 0; second < seconds; second++) server.tick();
}

/** A packet in the clear whose length field says `length`. */
const claiming = (length: number) =>
  new Writer().raw(Buffer.from(IDENT)).uint32(length).byte(4).raw(randomBytes(64)).finish();

const RUBBISH: [string, Uint8Array | string, number | undefined, RegExp][] = [
  [
    'garbage',
    Buffer.concat([Buffer.from([0, 255, 10]), randomBytes(5000)]),
    undefined,
    /^the peer does not speak SSH-2: /,
  ],
  [
    'an HTTP request',
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    undefined,
    /^the peer does not speak SSH-2: "GET \/ HTTP\/1\.1"\r\n$/,
  ],
  ['SSH-1', 'SSH-1.5-old\r\n', undefined, /^the peer does not speak SSH-2: "SSH-1\.5-old"/],
  [
    'an identification line without end',
    `SSH-2.0-${'x'.repeat(100_000)}`,
    undefined,
    /^the peer does not speak SSH-2: /,
  ],
  [
    'garbage after the identification line',
    Buffer.concat([Buffer.from(IDENT), Buffer.alloc(5000, 0xa5)]),
    Disconnect.PROTOCOL_ERROR,
    /^packet length 2779096485 is out of bounds/,
  ],
  ['a packet of 4 GiB', claiming(0xffff_ffff), Disconnect.PROTOCOL_ERROR, /^packet length 4294967295 is out of bounds/],
  [
    'a packet beyond the largest',
    claiming(256 * 1024 + 4),
    Disconnect.PROTOCOL_ERROR,
    /^packet length 262148 is out of bounds/,
  ],
  ['a packet of no length', claiming(0), Disconnect.PROTOCOL_ERROR, /^packet length 0 is out of bounds/],
  [
    'a packet of half a block',
    claiming(30),
    Disconnect.PROTOCOL_ERROR,
    /^packet length 30 is not a whole number of cipher blocks/,
  ],
];

for (const [what, bytes, reason, text] of RUBBISH) {
  it(
    `${what} is turned away with a reason, and others are served`,
    bounded(180, async scope => {
      const server = await besieged(scope);
      const said = await blurt(scope, server.port, bytes);
      assert.is(said.reason, reason, said.text);
      assert.match(said.text, text);
      await server.serves();
      assert.is(server.warnings.length, 1, server.warnings.join('\n'));
    }),
  );
}

const AFTER_KEYS: [string, (client: RawClient) => void | Promise<void>, number, RegExp][] = [
  [
    'a packet altered on its way',
    client => {
      client.tamper = bytes => {
        bytes[bytes.length - 1] ^= 1;
        return bytes;
      };
      client.send(encode(SERVICE_REQUEST, { service: 'ssh-userauth' }));
    },
    Disconnect.MAC_ERROR,
    /./,
  ],
  [
    'a service that there is none of',
    client => client.send(encode(SERVICE_REQUEST, { service: 'ssh-nothing' })),
    Disconnect.SERVICE_NOT_AVAILABLE,
    /service "ssh-nothing" is not available/,
  ],
  [
    'channels before sign-in, again and again',
    client => {
      // As with sshd, one has no effect.
      const open = { type: 'session', sender: 0, window: 1, maxPacket: 1, data: nothing };
      for (let i = 0; i < 17; i++) client.send(encode(CHANNEL_OPEN, open));
    },
    Disconnect.PROTOCOL_ERROR,
    /too many unknown messages/,
  ],
  [
    'data for a channel that is not there',
    async client => (await client.signIn()).send(encode(CHANNEL_DATA, { recipient: 7, data: nothing })),
    Disconnect.PROTOCOL_ERROR,
    /channel 7/,
  ],
];

for (const [what, misbehave, reason, text] of AFTER_KEYS) {
  it(
    `${what}: DISCONNECT ${reason}, and others are served`,
    bounded(180, async scope => {
      const server = await besieged(scope);
      const client = await RawClient.connect(scope, server.port);
      await misbehave(client);
      const said = await soon('the server to hang up', client.ended);
      assert.is(said.reason, reason, said.text);
      assert.match(said.text, text);
      await server.serves();
    }),
  );
}

it(
  'one wrong key after the other: after six the client is told that it is enough',
  bounded(180, async scope => {
    const known = readKey('alice').blob;
    const right = (key: Uint8Array) => Buffer.from(key).equals(known) || Buffer.from(key).equals(readKey('bob').blob);
    const server = await besieged(scope, {
      authenticators: [publicKeys({ acceptable: ({ key }) => right(key), proven: ({ key }) => right(key) })],
    });
    const config = Array.from({ length: 7 }, (_, i) => `IdentityFile ${keyFile(`wrong${i}`)}`);
    const { code, stderr } = await ssh(scope, server, 'mallory', ['--', 'echo'], { input: '', config }).ended;
    assert.is(code, 255);
    assert.match(stderr, /Received disconnect from \S+ port \d+:(2|14): too many authentication failures/);
    await server.serves();
  }),
);

it(
  'silent clients, at whatever step, are let go at the end of the login grace time, and the server serves meanwhile',
  bounded(180, async scope => {
    const server = await besieged(scope, { times: { loginGrace: 300, keepaliveInterval: 0 } });
    const mute = [await tcpConnect(scope, server.port), await tcpConnect(scope, server.port)];
    mute[1].write(IDENT);
    const said = mute.map(socket => readAll(socket));
    const keyed = await RawClient.connect(scope, server.port);
    await server.serves();
    pass(server, 300);
    const text = 'not signed in within 300 seconds';
    // To one that has not said what it is, in plain text.
    assert.equal(goodbye(await soon('the first to be let go', said[0], 60)).text.endsWith(`${text}\r\n`), true);
    assert.equal(goodbye(await soon('the second to be let go', said[1], 60)), {
      reason: Disconnect.BY_APPLICATION,
      text,
    });
    assert.equal(await soon('the third to be let go', keyed.ended, 60), { reason: Disconnect.BY_APPLICATION, text });
    await server.serves();
  }),
);

it(
  'clients that close at once, half or wholly, or in the middle of a packet, leave nothing behind',
  bounded(180, async scope => {
    const server = await besieged(scope);
    for (const bytes of ['', 'SSH-2', IDENT, claiming(1000)]) {
      const half = await tcpConnect(scope, server.port);
      half.end(bytes);
      await soon('the server to close its half', readAll(half));
      const whole = await tcpConnect(scope, server.port);
      whole.write(bytes);
      await pause(20);
      whole.resetAndDestroy();
    }
    // The one that was there all the time.
    await eventually('the others to be forgotten', () => server.server.clients.length === 1);
    await server.serves();
  }),
);

it(
  'a client that vanishes without a word is given up after its keepalives',
  bounded(180, async scope => {
    let gone = 0;
    const times = { keepaliveInterval: 300, keepaliveCount: 2 };
    const server = await besieged(scope, { times, gone: () => gone++ });
    const before = gone;
    const sleeper = ssh(scope, server, 'carol', ['-v', '--', 'cat']);
    await soon('ssh to sign in', sleeper.says(/Entering interactive session/, 'stderr'), 60);
    sleeper.signal('SIGSTOP');
    // The first second is one in which something was heard; who is there answers in between.
    for (let question = 0; question < 3; question++) {
      await server.serves();
      pass(server, 301);
    }
    // The two that serve() had come and go are counted as well.
    await eventually('it to be given up', () => server.server.clients.length === 1 && gone > before + 1, 60);
    await server.serves();
    sleeper.signal('SIGCONT');
    await soon('ssh to hear it', sleeper.ended);
  }),
);

it(
  'a client that asks and never reads the answers: the server stops reading from it; when it reads, every answer is there',
  bounded(180, async scope => {
    const server = await besieged(scope);
    const client = await (await RawClient.connect(scope, server.port)).signIn();
    client.socket.pause();
    // A request, and a ping, whose answer is as large: kernels keep megabytes before anything is noticed.
    const ask = () => {
      client.send(encode(GLOBAL_REQUEST, { type: 'nobody-knows', wantReply: true, data: new Uint8Array(16) }));
      client.send(encode(PING, { data: new Uint8Array(16_000) }));
    };
    let asked = 0;
    let last = -1;
    // Until the socket takes no more: the server has stopped reading.
    for (let quiet = 0; quiet < 20; ) {
      while (!client.socket.writableNeedDrain && asked < MOST) {
        ask();
        asked++;
      }
      assert.ok(asked < MOST, `the server read ${asked} requests without an answer being read`);
      await pause(50);
      quiet = asked === last ? quiet + 1 : 0;
      last = asked;
    }
    await server.serves();
    client.socket.resume();
    for (const answer of [REQUEST_FAILURE.number, PONG.number]) {
      await soon('the answers', client.hears(answer, asked), 60);
      assert.is(client.heard.get(answer), asked);
    }
    await server.serves();
  }),
);

it(
  'an address that takes all places keeps out neither another one nor itself: stock clients get in, and the longest waiting is told',
  bounded(180, async scope => {
    const server = await besieged(scope, { startups: { begin: 5, rate: 100, full: 20 } });
    const idle = [];
    for (let i = 0; i < 30; i++) idle.push(await connectFrom(scope, server.port, '127.0.0.66'));
    const said = readAll(idle[0]);
    await eventually('ten of them to be told', () => server.server.clients.length <= 21, 60);
    assert.match((await soon('the first to hear it', said)).toString(), /too many connections are not signed in/);
    for (const address of ['127.0.0.3', '127.0.0.66']) {
      const { code, stderr } = await ssh(scope, server, 'bob', ['-b', address, '--', 'echo'], { input: '' }).ended;
      assert.is(code, 0, stderr);
    }
    await server.serves();
  }),
);

test.run();
