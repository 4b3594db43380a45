// The server: who may connect, what is in no map is refused, a handler's failure hurts its own connection only, and how it closes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../../src/client/dial.ts';
import { Connection } from '../../../src/protocol/connection.ts';
import { OpenError, OpenFailure, UsageError } from '../../../src/protocol/errors.ts';
import type { AuthAnswer } from '../../../src/protocol/userauth/questions.ts';
import { Driver } from '../../../src/server/drive.ts';
import { connect } from '../../../src/server/runtime/net.ts';
import { type Client, describe, Server } from '../../../src/server/server.ts';
import { sessions } from '../../../src/server/session.ts';
import { insecureKey } from '../../kit/insecure.ts';
import { bounded, soon } from '../../kit/processes.ts';
import { anyone, call, closeServers, hostKey, notes, provider, silent, testServer, textOf } from '../../kit/served.ts';
import { FakeSocket, socketPair, turn, turns, until } from '../../kit/socket.ts';

/** How an open was refused. */
async function refusal(open: Promise<unknown>): Promise<OpenError> {
  try {
    await open;
  } catch (error) {
    if (error instanceof OpenError) return error;
    throw error;
  }
  throw new Error('the channel was opened');
}

test('a server without a host key that its provider knows is a mistake', () => {
  const options = { provider, authenticators: [anyone] };
  assert.throws(
    () => new Server({ ...options, hostKeys: [] }),
    (error: Error) => error instanceof UsageError && /host key/.test(error.message),
  );
  const foreign = { ...insecureKey(new Uint8Array(1)), type: 'ssh-dss' };
  assert.throws(() => new Server({ ...options, hostKeys: [foreign] }), /host key/);
});

test('an identification line that clients would refuse is a mistake', () => {
  const options = { provider, authenticators: [anyone], hostKeys: [insecureKey(new Uint8Array(1))] };
  const long = `SSH-2.0-${'a'.repeat(246)}`;
  for (const ident of ['SSH-2.0-', 'SSH-2.0-a-b', 'SSH-1.99-a', 'SSH-2.0-a\r\n', 'SSH-2.0-\xe9', long])
    assert.throws(() => new Server({ ...options, ident }), /ident/);
  new Server({ ...options, ident: 'SSH-2.0-OpenSSH_like_x with - a comment' });
});

test('whoever signs in is announced, is a client, and is missed when gone', async () => {
  const told: string[] = [];
  const server = testServer({
    signedIn: client => void told.push(`in ${client.user} ${client.address}:${client.port}`),
    gone: client => void told.push(`gone ${client.user}`),
  });
  const { client, near } = await call(server);
  assert.equal(told, [`in alice ${near.address}:${near.port}`]);
  assert.is(server.clients.length, 1);
  assert.equal(describe(server.clients[0]), { client: 1, address: near.address, port: near.port, user: 'alice' });
  await client.close();
  await turns();
  assert.equal(told.slice(1), ['gone alice']);
  assert.equal(server.clients, []);
});

test('a client is told our host keys, unless it is one that would answer', async () => {
  for (const [ident, told] of [
    ['SSH-2.0-dropbear_2022.83', ['hostkeys-00@openssh.com']],
    ['SSH-2.0-dropbear_2020.81', []],
  ] as const) {
    const server = testServer();
    const [near, far] = socketPair();
    server.serve(near);
    const driver = new Driver(far);
    const heard: string[] = [];
    const client = new Connection(
      { role: 'client', provider, ident, user: 'alice', credentials: [] },
      {
        output: () => driver.wake(),
        hostKey: (_question, answer) => answer(true),
        globalRequest: ({ type }) => heard.push(type) > 0,
      },
    );
    driver.start(client);
    await until(() => client.stage === 'connection');
    await client.ping();
    assert.equal(heard, told);
    client.disconnect();
    await driver.closed;
  }
});

test('nobody signs in where there is no method, and nobody is missed', async () => {
  let calls = 0;
  const server = testServer({ authenticators: [], signedIn: () => calls++, gone: () => calls++ });
  let message = '';
  await call(server).catch((error: Error) => (message = error.message));
  assert.match(message, /refused alice: tried nothing; it accepts nothing more/);
  await turns();
  assert.is(calls, 0);
});

test('connections beyond the limit get a line that says so, and are closed', async () => {
  const log = notes();
  const server = testServer({ maxConnections: 2, log });
  const [first] = [silent(server), silent(server)];
  const third = silent(server);
  assert.is(textOf(third), 'Too many connections; try again later.\r\n');
  assert.ok(third.ended);
  assert.is(server.clients.length, 2);
  assert.ok(log.lines.includes('warn connection refused: Too many connections; try again later.'), log.lines.join());
  // What the refused one sends is nobody's business.
  third.receive('SSH-2.0-x\r\n');
  third.receiveEnd();

  first.close();
  await turn();
  const fourth = silent(server);
  await turn();
  assert.match(textOf(fourth), /^SSH-2\.0-/);
});

test('so do connections that are not signed in, beyond theirs; signing in makes room', async () => {
  let decide: ((answer: AuthAnswer) => void) | undefined;
  const server = testServer({
    startups: { begin: 2, rate: 100, full: 2 },
    authenticators: [{ method: 'none', answer: () => new Promise<AuthAnswer>(resolve => (decide = resolve)) }],
  });
  const calling = call(server);
  await turns();
  silent(server);
  assert.match(textOf(silent(server)), /^Too many connections/);
  decide!({ result: 'accept' });
  await calling;
  const next = silent(server);
  await turn();
  assert.match(textOf(next), /^SSH-2\.0-/);
});

test('a connection that ends before it has signed in makes room, once', async () => {
  const server = testServer({ startups: { begin: 1, rate: 100, full: 1 } });
  for (let i = 0; i < 5; i++) {
    const socket = silent(server);
    await turn();
    assert.match(textOf(socket), /^SSH-2\.0-/, `connection ${i}`);
    assert.match(textOf(silent(server)), /^Too many/);
    socket.receiveEnd();
    socket.close();
    await turn();
  }
});

test('an address that misbehaved is told for how long it is refused', async () => {
  const server = testServer({ penalties: { noauth: 30, authfail: 0, grace: 0, crash: 0, min: 15, max: 60 } });
  const socket = silent(server, '192.0.2.77');
  await turn();
  socket.receiveEnd();
  await turn();
  assert.match(textOf(silent(server, '192.0.2.77')), /^Too many failures from your address; try again in \d+ s\.\r\n$/);
  const other = silent(server, '192.0.2.78');
  await turn();
  assert.match(textOf(other), /^SSH-2\.0-/);
});

test('a channel type that is in no map is unknown, an inherited name too', async () => {
  const { client } = await call(testServer({ channels: { session: sessions({}) } }));
  for (const type of ['x11', 'direct-tcpip', 'toString', '__proto__', 'constructor']) {
    const error = await refusal(client.open(type));
    assert.is(error.reason, OpenFailure.UNKNOWN_CHANNEL_TYPE, type);
  }
  await client.open('session');
  await client.close();
  const { client: nowhere } = await call(testServer());
  assert.is((await refusal(nowhere.open('session'))).reason, OpenFailure.UNKNOWN_CHANNEL_TYPE);
  await nowhere.close();
});

test('a global request that is in no map is refused, an inherited name too', async () => {
  const server = testServer({ requests: { 'known@x': ({ data }) => data } });
  const { client } = await call(server);
  for (const type of ['unknown@x', 'toString', '__proto__', 'tcpip-forward']) {
    assert.is(await client.connection.request(type), undefined, type);
  }
  assert.equal(await client.connection.request('known@x', Uint8Array.of(1, 2)), Uint8Array.of(1, 2));
  await client.close();
});

test('no more sessions means no more sessions', async () => {
  const { client } = await call(
    testServer({ channels: { session: sessions({}), 'other@x': open => void open.accept({}) } }),
  );
  await client.open('session');
  assert.ok(await client.connection.request('no-more-sessions@openssh.com'));
  assert.is((await refusal(client.open('session'))).reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED);
  await client.open('other@x');
  await client.close();
});

test('a handler that throws refuses its channel or its request; the connection lives on', async () => {
  const log = notes();
  const server = testServer({
    log,
    penalties: false,
    channels: {
      'bad@x': () => {
        throw new Error('my fault');
      },
      'good@x': open => void open.accept({}),
    },
    requests: {
      'bad@x': () => {
        throw new Error('my fault, too');
      },
    },
  });
  const { client } = await call(server);
  const error = await refusal(client.open('bad@x'));
  assert.is(error.reason, OpenFailure.CONNECT_FAILED);
  assert.match(error.message, /^internal error/, 'the peer is not told what is wrong with us');
  assert.is(await client.connection.request('bad@x'), undefined);
  assert.equal(
    log.lines.filter(line => line.startsWith('error')),
    ['error a handler failed: Error: my fault', 'error a handler failed: Error: my fault, too'],
  );
  await client.open('good@x');
  await client.close();
});

test('a handler whose promise is rejected refuses its channel or its request; the connection lives on', async () => {
  const log = notes();
  const server = testServer({
    log,
    channels: {
      async 'bad@x'() {
        await turn();
        throw new Error('my fault');
      },
      async 'late@x'(open) {
        open.accept({});
        throw new Error('too late');
      },
    },
    requests: { 'bad@x': () => Promise.reject(new Error('my fault, too')) },
  });
  const { client } = await call(server);
  const error = await refusal(client.open('bad@x'));
  assert.is(error.reason, OpenFailure.CONNECT_FAILED);
  assert.not.match(error.message, /my fault/);
  await client.open('late@x');
  assert.is(await client.connection.request('bad@x'), undefined);
  assert.equal(
    log.lines.filter(line => line.startsWith('error')),
    [
      'error a handler failed: Error: my fault',
      'error a handler failed: Error: too late',
      'error a handler failed: Error: my fault, too',
    ],
  );
  await client.close();
});

test('a handler that throws while its connection closes is logged', async () => {
  const log = notes();
  const server = testServer({
    log,
    gone: () => {
      throw new Error('gone wrong');
    },
  });
  const { client } = await call(server);
  await client.close();
  await turns();
  assert.ok(log.lines.includes('error a handler failed: Error: gone wrong'), log.lines.join());
  assert.equal(server.clients, []);
});

test('an authenticator that fails, in whatever way, refuses; the connection lives on and others may try', async () => {
  const failures: (() => AuthAnswer | Promise<AuthAnswer>)[] = [
    () => {
      throw new Error('at once');
    },
    () => Promise.reject(new Error('later')),
    () => undefined as unknown as AuthAnswer,
  ];
  for (const answer of failures) {
    const log = notes();
    const server = testServer({
      log,
      authenticators: [
        { method: 'none', answer },
        { method: 'password', answer: () => ({ result: 'accept' }) },
      ],
    });
    const { client } = await call(server, { credentials: [{ method: 'password', password: 'x' }] });
    assert.is(log.lines.filter(line => line.startsWith('error an authenticator failed')).length, 1, log.lines.join());
    await client.close();
  }
});

test('an answer that comes after the client has gone has no effect', async () => {
  let decide!: (answer: AuthAnswer) => void;
  let calls = 0;
  const server = testServer({
    signedIn: () => calls++,
    authenticators: [{ method: 'none', answer: () => new Promise<AuthAnswer>(resolve => (decide = resolve)) }],
  });
  const [near, far] = socketPair();
  server.serve(near);
  const calling = dial({ socket: far, provider, user: 'alice', credentials: [], hostKey: () => true });
  calling.catch(() => {});
  await turns();
  near.close(new Error('reset'));
  decide({ result: 'accept' });
  await turns();
  assert.is(calls, 0);
  assert.equal(server.clients, []);
  far.destroy();
  let message = '';
  await calling.catch((error: Error) => (message = error.message));
  assert.match(message, /closed/);
});

test('the end of a connection is logged by its kind', async () => {
  const log = notes();
  const server = testServer({ log });
  const garbage = silent(server);
  garbage.receive('GET / HTTP/1.1\r\n');
  await turn();
  assert.match(textOf(garbage), /does not speak SSH-2/);
  assert.ok(log.lines.includes('warn disconnected: protocol error'), log.lines.join());
  const { client } = await call(server);
  await client.close();
  await turns();
  assert.ok(log.lines.includes('info disconnected'), log.lines.join());
});

test('closing says goodbye and resolves when every socket is closed, not before', async () => {
  const server = testServer();
  const { client } = await call(server);
  const quiet = silent(server);
  let closed = false;
  const closing = server.close('going home').then(() => (closed = true));
  assert.match((await client.closed).message, /going home/);
  await turns();
  assert.match(textOf(quiet), /going home\r\n$/);
  assert.not.ok(closed, 'one socket is still open');
  for (let second = 0; second < 4; second++) server.tick();
  await turns();
  assert.not.ok(closed, 'it may still be reading our last words');
  server.tick();
  await closing;
  assert.ok(quiet.destroyed);
  assert.equal(server.clients, []);
});

test('after closing nobody is served', async () => {
  const server = testServer();
  await server.close();
  assert.is(textOf(silent(server)), 'The server is shutting down.\r\n');
  let error: unknown;
  await server.listen(0).catch((thrown: unknown) => (error = thrown));
  assert.instance(error, UsageError);
});

test(
  'over real sockets: several listeners, a port in use, and a close that frees the ports',
  bounded(180, async () => {
    const server = testServer({ channels: { session: sessions({ exec: (_command, session) => session.exit(0) }) } });
    const addresses = [await server.listen(0), await server.listen(0)];
    let failure: { code?: string } = {};
    await server.listen(addresses[0].port).catch((error: { code?: string }) => (failure = error));
    assert.is(failure.code, 'EADDRINUSE');
    const clients = [];
    for (const { port } of addresses) {
      const client = await dial({ port, provider, user: 'alice', credentials: [], hostKey: () => true });
      assert.is((await client.exec('x')).status, 0);
      clients.push(client);
    }
    const idle = await connect('127.0.0.1', addresses[0].port);
    let idleClosed = false;
    let last = '';
    idle.start({
      data: chunk => (last += new TextDecoder().decode(chunk)),
      end: () => idle.end(),
      drain() {},
      close: () => (idleClosed = true),
    });
    await soon(
      'the third connection',
      until(() => server.clients.length === 3),
    );
    await server.close('enough');
    assert.equal(server.clients, []);
    for (const client of clients) assert.match((await client.closed).message, /enough/);
    await soon(
      'the end of the idle one',
      until(() => idleClosed),
    );
    assert.match(last, /enough\r\n$/);
    // The ports are free again.
    const next = testServer();
    await next.listen(addresses[0].port);
    await next.close();
  }),
);

test('sockets without an address are served like others', async () => {
  let seen: Client | undefined;
  const server = testServer({ signedIn: client => (seen = client) });
  const [, far] = socketPair();
  const near = new FakeSocket('', 0);
  far.onchange = () => setImmediate(() => near.receive(far.take()));
  near.onchange = () => setImmediate(() => far.receive(near.take()));
  server.serve(near);
  const client = await dial({ socket: far, provider, user: 'bob', credentials: [], hostKey: key => key.length > 0 });
  assert.is(seen?.address, '');
  assert.is(hostKey.type, 'insecure-signature');
  client.connection.disconnect();
  near.close();
  far.close();
});

test.after(closeServers);
test.run();
