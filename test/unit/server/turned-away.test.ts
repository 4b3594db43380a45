// Who a server turns away, and for what: each offence counts against its address, by default; loopback and who is signed in are spared.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../../src/client/dial.ts';
import { Transport } from '../../../src/protocol/transport/transport.ts';
import { type Authenticator, passwords, type Server, type ServerOptions, TIMES } from '../../../src/server/index.ts';
import { call, closeServers, notes, provider, silent, testServer, textOf } from '../../kit/served.ts';
import { type FakeSocket, socketPair, turn, turns } from '../../kit/socket.ts';

test.after(closeServers);

/** The address of `call`'s clients, and that of somebody else. */
const HOST = '192.0.2.1';
const OTHER = '192.0.2.200';

const nobody: Authenticator = passwords(() => false);
/** Without early drop, which has tests of its own. */
const server = (options: Partial<ServerOptions> = {}): Server =>
  testServer({ startups: { begin: 1000, rate: 100, full: 1000 }, ...options });

/** For how many seconds a new connection from that address is refused; 0 if it is served. It stays, so that asking is no offence. */
async function refusedFor(at: Server, address: string): Promise<number> {
  const socket = silent(at, address);
  await turn();
  const text = textOf(socket);
  if (text.startsWith('SSH-2.0-')) return 0;
  const [, seconds] = /^Too many failures from your address; try again in (\d+) s\.\r\n$/.exec(text) ?? [];
  assert.ok(seconds && socket.ended, text);
  return Number(seconds);
}

/** A connection whose peer says nothing and goes. */
async function visit(at: Server, address = HOST): Promise<void> {
  const socket = silent(at, address);
  await turn();
  socket.receiveEnd();
  socket.close();
  await turn();
}

/** A sign-in with a wrong password. */
async function failToSignIn(at: Server): Promise<void> {
  const credentials = [{ method: 'password', password: 'wrong' }] as const;
  await call(at, { credentials }).then(
    () => assert.unreachable('signed in'),
    (error: Error) => assert.match(error.message, /^the server refused alice/),
  );
  await turns();
}

/** Penalties that no slow machine sees wear off: two of a kind turn away. */
const SEVERE = { noauth: 0, authfail: 0, grace: 0, crash: 0, min: 5000, max: 10_000 };

test('failed sign-ins turn their address away, and nobody else', async () => {
  const log = notes();
  const at = server({ authenticators: [nobody], log, penalties: { ...SEVERE, authfail: 3000 } });
  await failToSignIn(at);
  assert.is(await refusedFor(at, HOST), 0);
  await failToSignIn(at);
  assert.ok((await refusedFor(at, HOST)) > 5000);
  assert.is(await refusedFor(at, OTHER), 0);
  assert.ok(log.lines.some(line => /^warn connection refused: Too many failures from your address/.test(line)));
});

test('so does leaving without a try', async () => {
  const at = server({ penalties: { ...SEVERE, noauth: 3000 } });
  await visit(at);
  assert.is(await refusedFor(at, HOST), 0);
  await visit(at);
  assert.ok((await refusedFor(at, HOST)) > 5000);
});

test('by default two that let the login grace time pass turn their address away', async () => {
  const at = server();
  for (let i = 0; i < 2; i++) silent(at, HOST);
  for (let second = 0; second < TIMES.loginGrace; second++) at.tick();
  await turns();
  assert.ok((await refusedFor(at, HOST)) > 0);
  assert.is(await refusedFor(at, OTHER), 0);
});

test('by default one breach of the protocol before sign-in is enough', async () => {
  const at = server();
  const socket = silent(at);
  socket.receive('SSH-2.0-x\r\n\0\0\0\0garbage where packets should be');
  await turn();
  assert.ok((await refusedFor(at, HOST)) > 60);
  assert.is(await refusedFor(at, OTHER), 0);
});

test('no exception of ours is an offence: before sign-in, at it, or after', async () => {
  const bug = () => {
    throw new Error('a bug');
  };
  const penalties = { noauth: 0, authfail: 0, grace: 0, crash: 6000, min: 1, max: 6000 };
  const broken = [
    { authenticators: [{ method: 'none', answer: bug }, passwords(() => true)] },
    { signedIn: bug, gone: bug, requests: { bug }, channels: { bug } },
    { provider: { ...provider, signatures: [{ ...provider.signatures[0], sign: bug }] } },
  ];
  for (const options of broken) {
    const at = server({ penalties, ...options });
    const credentials = [{ method: 'password', password: 'x' }] as const;
    const { client } = await call(at, { credentials }).catch(() => ({ client: undefined }));
    await client?.connection.request('bug');
    await client?.open('bug').catch(() => {});
    await client?.close();
    await turns();
    assert.is(await refusedFor(at, HOST), 0, Object.keys(options).join());
  }
});

test('a sign-in that fails because of us is no offence, nor is one that we leave undecided; one wrong try among them is', async () => {
  const bug = () => {
    throw new Error('a bug');
  };
  const penalties = { noauth: 6000, authfail: 6000, grace: 6000, crash: 6000, min: 1, max: 6000 };
  const told: object[] = [];

  for (const [authenticators, refused] of [
    [[passwords(bug)], false],
    [[passwords(bug), nobody], false],
    [[{ method: 'password', answer: () => ({ result: 'reject', fault: true }) }], false],
    [[{ method: 'password', answer: () => null as never }], false],
    [[nobody], true],
  ] as [Authenticator[], boolean][]) {
    const at = server({ authenticators, penalties, penalised: (...what) => void told.push(what) });
    await failToSignIn(at);
    assert.is((await refusedFor(at, HOST)) > 0, refused, `${told.length}`);
  }
  assert.is(told.length, 1);

  const silentOnes = server({
    authenticators: [{ method: 'password', answer: () => new Promise<never>(() => {}) }],
    penalties,
  });
  const asked = call(silentOnes, { credentials: [{ method: 'password', password: 'x' }] }).catch(() => {});
  await turns();
  for (let second = 0; second < TIMES.loginGrace; second++) silentOnes.tick();
  await asked;
  await turns();
  assert.is(await refusedFor(silentOnes, HOST), 0);
});

test('who was signed in and leaves, in whatever way, has done nothing', async () => {
  const at = server({ penalties: { noauth: 6000, authfail: 6000, grace: 6000, crash: 6000, min: 1, max: 6000 } });
  const orderly = await call(at);
  await orderly.client.close();
  const torn = await call(at);
  torn.near.close(new Error('reset'));
  await turns();
  assert.is(await refusedFor(at, HOST), 0);
});

test('a network of IPv6 counts as one address', async () => {
  const at = server({ penalties: { ...SEVERE, noauth: 6000 } });
  await visit(at, '2001:db8:1:2::3');
  assert.ok((await refusedFor(at, '2001:db8:1:2:4::5')) > 5000);
  assert.is(await refusedFor(at, '2001:db8:1:3::3'), 0);
});

test('false switches penalties off, and loopback has none', async () => {
  const off = server({ penalties: false });
  silent(off).receive('SSH-2.0-x\r\n\0\0\0\0garbage where packets should be');
  await turns();
  assert.is(await refusedFor(off, HOST), 0);
  const on = server({ penalties: { ...SEVERE, noauth: 6000 } });
  for (const address of ['127.0.0.1', '::1']) {
    for (let i = 0; i < 5; i++) await visit(on, address);
    assert.is(await refusedFor(on, address), 0, address);
  }
});

/** Whether a new connection from that address is served; it stays. */
const isServed = (at: Server, address: string) => textOf(silent(at, address)) === '';

test('early drop counts for each source: one that has many is refused, and no other', () => {
  const at = testServer({ startups: { begin: 2, rate: 100, full: 5 } });
  assert.equal(
    [HOST, HOST, HOST, OTHER, OTHER, OTHER].map(address => isServed(at, address)),
    [true, true, false, true, true, false],
  );
  const network = testServer({ startups: { begin: 1, rate: 100, full: 5 } });
  assert.equal(
    ['2001:db8:1:2::3', '2001:db8:1:2:4::5', '2001:db8:1:3::3'].map(address => isServed(network, address)),
    [true, false, true],
  );
});

test('when all places are taken, the longest waiting of the busiest source goes, and is told; loopback is no exception', async () => {
  const log = notes();
  const at = testServer({ startups: { begin: 5, rate: 100, full: 5 }, log });
  const first = silent(at, OTHER);
  const busy = Array.from({ length: 4 }, () => silent(at, '127.0.0.1'));
  await turn();
  for (const socket of [first, ...busy]) assert.match(textOf(socket), /^SSH-2\.0-/);
  for (const address of ['192.0.2.7', '127.0.0.2']) assert.ok(isServed(at, address), address);
  await turn();
  for (const socket of busy.slice(0, 2)) assert.match(textOf(socket), /^too many connections are not signed in/);
  for (const socket of [first, ...busy.slice(2)]) assert.is(textOf(socket), '');
  assert.is(log.lines.filter(line => /^warn too many connections/.test(line)).length, 2);
  // Where all are alike, who has waited longest of all.
  for (const address of ['192.0.2.8', '192.0.2.9']) assert.ok(isServed(at, address), address);
  await turn();
  assert.ok(busy[2].ended);
  assert.ok(first.ended, 'of six sources with one each');
  assert.is(await refusedFor(at, OTHER), 0, 'that was no offence');
});

for (const [what, say] of [
  ['say nothing', () => {}],
  [
    'stop after KEXINIT',
    (socket: FakeSocket) => {
      const peer = new Transport({ role: 'client', provider }, { output() {}, hostKey() {}, exchanging() {} });
      peer.start();
      for (const bytes of peer.takeOutput()) socket.receive(bytes);
    },
  ],
] as const) {
  test(`500 connections of one address that ${what} keep nobody else out`, async () => {
    const at = testServer();
    const flood = (address: string) =>
      Array.from({ length: 500 }, () => {
        const socket = silent(at, address);
        say(socket);
        return socket;
      });
    for (const address of ['192.0.2.66', '127.0.0.66']) {
      flood(address);
      for (let caller = 0; caller < 20; caller++) await (await call(at)).client.close();
    }
    // Behind the same NAT, or on the same host: who signs in is gone before it is their turn to go.
    const [near, far] = socketPair('127.0.0.66');
    at.serve(near);
    const dialled = dial({ socket: far, provider, user: 'alice', credentials: [], hostKey: () => true });
    for (let i = 0; i < 50; i++) silent(at, '127.0.0.66');
    await (await dialled).close();
  });
}

test('by default from the eleventh of one address on some are refused; there are never more than 100 in all', async () => {
  const at = testServer();
  const served = Array.from({ length: 2000 }, () => isServed(at, HOST));
  assert.ok(served.slice(0, 10).every(Boolean), 'the first ten');
  assert.ok(
    served.slice(0, 110).some(one => !one),
    'some are dropped before the limit',
  );
  assert.ok(served.filter(Boolean).length <= 100);
  for (let i = 0; i < 2000; i++) silent(at, `10.0.${i >> 8}.${i & 255}`);
  await turns();
  const waiting = at.clients.filter(({ connection }) => !connection.closed);
  assert.is(waiting.length, 100);
});

test('what an address did elsewhere counts as if it had been here, and what it did here is told', async () => {
  const told: string[] = [];
  const penalties = { ...SEVERE, noauth: 3000, authfail: 6000 };
  const at = server({ penalties, penalised: (address, offence) => told.push(`${address} ${offence}`) });
  await visit(at);
  assert.equal(told, [`${HOST} noauth`]);
  at.penalise(HOST, 'noauth');
  assert.ok((await refusedFor(at, HOST)) > 5000);
  at.penalise(OTHER, 'authfail');
  assert.ok((await refusedFor(at, OTHER)) > 5000);
  assert.is(told.length, 1, 'and is not told on');
});

test.run();
