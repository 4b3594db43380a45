// The client: how dialling fails and what it says, and what a connection offers: commands, forwarding both ways, goodbye.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import { dial } from '../../../src/client/dial.ts';
import type { RemoteCall } from '../../../src/client/remote-listeners.ts';
import type { CryptoProvider, PrivateKey } from '../../../src/crypto/provider.ts';
import { FORWARDED_PORT, FORWARDED_TCPIP, TCPIP_FORWARD } from '../../../src/protocol/channels/forwarding.ts';
import {
  Disconnect,
  DisconnectError,
  OpenError,
  OpenFailure,
  ProtocolError,
  RequestError,
} from '../../../src/protocol/errors.ts';
import { pack, unpack } from '../../../src/protocol/wire/codec.ts';
import { passwords, publicKeys } from '../../../src/server/authenticators.ts';
import { directTcpip } from '../../../src/server/forwarding.ts';
import type { Client, GlobalRequestHandler, Server } from '../../../src/server/server.ts';
import { sessions } from '../../../src/server/session.ts';
import { ChannelStream } from '../../../src/server/streams.ts';
import { insecureKey } from '../../kit/insecure.ts';
import { echoServer, freePort } from '../../kit/loopback.ts';
import { bounded, soon } from '../../kit/processes.ts';
import { call, closeServers, hostKey, provider, testServer, textOf } from '../../kit/served.ts';
import { FakeSocket, turn, turns, until } from '../../kit/socket.ts';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Why something failed. */
async function failure(promise: Promise<unknown>): Promise<Error> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error(`it did not fail: ${value}`);
}

test('the host key is judged by the blob, its algorithm and where it was met', async () => {
  const asked: unknown[][] = [];
  const { client } = await call(testServer(), {
    host: 'board.example',
    port: 22,
    hostKey: async (key, algorithm, target) => {
      asked.push([key, algorithm, target]);
      return true;
    },
  });
  assert.equal(asked, [[hostKey.blob, 'insecure-signature', { host: 'board.example', port: 22 }]]);
  await client.close();
});

test('a host key that is not accepted, at once or later, ends it before anything is said about the user', async () => {
  for (const judge of [() => false, async () => false, () => undefined as unknown as boolean]) {
    let asked = 0;
    const authenticators = [passwords(() => ++asked > 0)];
    const error = await failure(
      call(testServer({ authenticators }), { hostKey: judge, credentials: [{ method: 'password', password: 'x' }] }),
    );
    assert.instance(error, ProtocolError);
    assert.is((error as ProtocolError).reason, Disconnect.HOST_KEY_NOT_VERIFIABLE);
    assert.match(error.message, /host key was not accepted/);
    assert.is(asked, 0);
  }
});

test('what the judge throws, dial throws', async () => {
  const judges = [
    () => {
      throw new Error('known by another key');
    },
    () => Promise.reject(new Error('known by another key')),
  ];
  for (const judge of judges) {
    assert.is((await failure(call(testServer(), { hostKey: judge }))).message, 'known by another key');
  }
});

test('a refused sign-in says who was refused, what was tried and what would be accepted', async () => {
  const server = testServer({
    authenticators: [publicKeys({ acceptable: () => false, proven: () => false }), passwords(() => false)],
  });
  const key = insecureKey(Uint8Array.of(5));
  const error = await failure(
    call(server, {
      user: 'mallory',
      credentials: [
        { method: 'publickey', key },
        { method: 'password', password: 'secret' },
      ],
    }),
  );
  assert.instance(error, DisconnectError);
  assert.is((error as DisconnectError).reason, Disconnect.NO_MORE_AUTH_METHODS_AVAILABLE);
  assert.match(error.message, /refused mallory.*publickey insecure-signature, password.*accepts publickey, password/);
  assert.not.match(error.message, /secret/);
});

test('a key that the server takes under no algorithm of ours is told of, with the reason', async () => {
  const [signature] = provider.signatures;
  const taking = (...names: string[]) =>
    testServer({
      authenticators: [publicKeys({ acceptable: () => true, proven: () => true })],
      provider: { ...provider, signatures: names.map(name => ({ ...signature, name })) },
    });
  const key = insecureKey(Uint8Array.of(5));
  const rsa = { ...key, type: 'ssh-rsa' };
  const modern = { ...signature, name: 'rsa-sha2-512', keyType: 'ssh-rsa' };
  const tried = (server: Server, signatures: CryptoProvider['signatures'], keyed: PrivateKey) => {
    const credentials = [{ method: 'publickey', key: keyed } as const];
    return failure(call(server, { provider: { ...provider, signatures }, credentials }));
  };
  const old = taking('insecure-signature', 'ssh-rsa');
  assert.is(
    (await tried(old, [signature, modern], rsa)).message,
    'the server refused alice: tried nothing; it accepts publickey; the key of type ssh-rsa was not tried: ' +
      'it signs by rsa-sha2-512, and the server takes insecure-signature, ssh-rsa',
  );
  assert.match((await tried(old, [signature], rsa)).message, /type ssh-rsa was not tried: it cannot sign here$/);
});

test('credentials are tried in order, until one is accepted', async () => {
  const tried: string[] = [];
  const server = testServer({
    authenticators: [
      publicKeys({ acceptable: () => true, proven: () => tried.push('key') < 0 }),
      passwords((_user, password) => {
        tried.push(password);
        return password === 'right';
      }),
    ],
  });
  const { client } = await call(server, {
    credentials: [
      { method: 'password', password: 'wrong' },
      { method: 'publickey', key: insecureKey(Uint8Array.of(5)) },
      { method: 'password', password: 'right' },
      { method: 'password', password: 'never' },
    ],
  });
  assert.equal(tried, ['wrong', 'key', 'right']);
  await client.close();
});

test('the banner is handed on', async () => {
  const shown: string[] = [];
  const { client } = await call(testServer({ banner: 'Welcome\n' }), { banner: message => shown.push(message) });
  assert.equal(shown, ['Welcome\r\n'], 'line ends as in RFC 4252 §5.4');
  await client.close();
});

test(
  'nobody listens: the system’s error',
  bounded(180, async () => {
    const port = await freePort();
    const options = { port, provider, user: 'alice', credentials: [], hostKey: () => true };
    assert.is(((await failure(dial(options))) as { code?: string }).code, 'ECONNREFUSED');
  }),
);

/** A server of the test's own making: what it says is up to the test. */
function scripted(): { socket: FakeSocket; calling: Promise<ClientConnection> } {
  const socket = new FakeSocket();
  const calling = dial({ socket, provider, user: 'alice', credentials: [], hostKey: () => true });
  calling.catch(() => {});
  return { socket, calling };
}

test('a socket that dies before the server has said who it is', async () => {
  const orderly = scripted();
  await turn();
  orderly.socket.receiveEnd();
  const error = await failure(orderly.calling);
  assert.instance(error, DisconnectError);
  assert.match(error.message, /the peer closed the connection/);
  await turn();
  assert.ok(orderly.socket.ended);

  const reset = scripted();
  await turn();
  reset.socket.close(new Error('read ECONNRESET'));
  assert.is((await failure(reset.calling)).message, 'read ECONNRESET');

  // Both before it was even used.
  const dead = new FakeSocket();
  const late = dial({ socket: dead, provider, user: 'alice', credentials: [], hostKey: () => true });
  dead.close();
  await failure(late);
  orderly.socket.close();
});

test('what a server says instead of its identification is in the error: it may be the reason', async () => {
  for (const [words, expected] of [
    [['Welcome.\r\n', 'Too many connections; ', 'try again later.\r\n'], 'Too many connections; try again later.'],
    [['Exceeded MaxStartups'], 'Exceeded MaxStartups'],
    [['Not now\r\n\r\n', ' \r\n'], 'Not now'],
    [['\x1b[2J\r\n'], '\ufffd[2J'],
  ] as const) {
    const { socket, calling } = scripted();
    await turn();
    for (const piece of words) socket.receive(piece);
    socket.receiveEnd();
    const error = await failure(calling);
    assert.is(error.message, `the peer closed the connection, and said "${expected}"`);
    socket.close();
  }
  const server = testServer({ maxConnections: 0 });
  assert.match((await failure(call(server))).message, /closed the connection, and said "Too many connections; /);
  const { client } = await call(testServer());
  await client.close();
  assert.is((await client.closed).message, 'disconnected by user');
});

test('a server that speaks something else is told so', async () => {
  const { socket, calling } = scripted();
  await turn();
  socket.receive('SSH-1.5-ancient\r\n');
  const error = await failure(calling);
  assert.instance(error, ProtocolError);
  await turn();
  assert.match(textOf(socket), /^SSH-2\.0-/);
  socket.close();
});

const shell = sessions({
  async exec(command, session) {
    if (command === 'cat') for await (const bytes of session.stream) await session.stream.write(bytes.slice());
    if (command === 'both') {
      await session.write('out');
      await session.error('err');
    }
    if (command === 'half') {
      await session.write('half of ');
      return session.client.connection.disconnect(Disconnect.BY_APPLICATION, 'gone');
    }
    if (command === 'quiet') return session.stream.close();
    await session.exit(command === 'both' ? 3 : 0);
  },
});

test('a command: input, both outputs, status', async () => {
  const { client } = await call(testServer({ channels: { session: shell } }));
  const both = await client.exec('both');
  assert.equal([text(both.stdout), text(both.stderr), both.status], ['out', 'err', 3]);
  const input = new Uint8Array(5_000_000).map((_, i) => i % 251);
  const { stdout, status } = await client.exec('cat', { stdin: input });
  assert.is(Buffer.compare(stdout, input), 0);
  assert.is(status, 0);
  assert.is((await client.exec('quiet', { stdin: input })).status, undefined, 'it reported none, and did not read');
  await client.close();
});

test('a command that is refused', async () => {
  const { client } = await call(testServer({ channels: { session: sessions({}) } }));
  assert.match((await failure(client.exec('x'))).message, /refused to run the command/);
  assert.not.ok(client.connection.closed);
  const { client: other } = await call(testServer());
  assert.instance(await failure(other.exec('x')), OpenError);
});

test('a connection that ends in the middle of a command is no answer, neither a refusal nor half an output', async () => {
  const { client } = await call(testServer({ channels: { session: shell } }));
  assert.is((await failure(client.exec('half'))).message, 'gone');

  const server = testServer({
    channels: {
      session: (open, { connection }) => {
        open.accept({
          request: () => {
            connection.disconnect(Disconnect.BY_APPLICATION, 'not today');
            return false;
          },
        });
      },
    },
  });
  assert.is((await failure((await call(server)).client.exec('x'))).message, 'not today');
});

test(
  'forward is ssh -W; a target that is refused is an OpenError',
  bounded(180, async scope => {
    const port = await echoServer(scope);
    const server = testServer({ channels: { 'direct-tcpip': directTcpip(target => target.port === port) } });
    const { client } = await call(server);
    const stream = await client.forward('127.0.0.1', port);
    await stream.write('echo');
    await stream.end();
    let got = '';
    for await (const bytes of stream) got += text(bytes);
    assert.is(got, 'echo');
    await soon('the end', stream.closed);
    const error = (await failure(client.forward('127.0.0.1', port + 1))) as OpenError;
    assert.is(error.reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED);
    await client.close();
  }),
);

/** A server that grants listeners, with the callers in the test's hands. */
function board(port: number, onlisten?: (client: Client) => void) {
  const forward: GlobalRequestHandler = ({ data }, client) => {
    const asked = unpack(TCPIP_FORWARD, data);
    if (asked.host === 'refused') return false;
    // Behind the reply in the same tick: what comes next is in the same chunk.
    if (onlisten) queueMicrotask(() => onlisten(client));
    return asked.port === 0 ? pack(FORWARDED_PORT, { port }) : true;
  };
  return testServer({ requests: { 'tcpip-forward': forward, 'cancel-tcpip-forward': ({ data }) => data.length > 0 } });
}

/** A caller of `host:port` whose channel the server opens; its stream, or why it was refused. */
function caller(connection: Client['connection'], host: string, port: number): Promise<ChannelStream> {
  const stream = new ChannelStream();
  const data = pack(FORWARDED_TCPIP, { host, port, originHost: '192.0.2.9', originPort: 9 });
  return connection.open('forwarded-tcpip', data, stream.handler).then(channel => {
    stream.channel = channel;
    return stream;
  });
}

/** Says hello to a caller. */
function hello({ stream }: RemoteCall): void {
  void stream.write('hello').then(() => stream.end());
}

async function heard(calling: Promise<ChannelStream>): Promise<string> {
  let got = '';
  for await (const bytes of await calling) got += text(bytes);
  return got;
}

test('listen is ssh -R: callers of that host and port, of no other, until it is taken back', async () => {
  const server = board(4711);
  const { client } = await call(server);
  const [{ connection }] = server.clients;
  const eighty = await client.listen('localhost', 80, hello);
  assert.is(eighty.port, 80);
  assert.is((await client.listen('', 0, hello)).port, 4711, 'the server chose');
  const refused = await failure(client.listen('refused', 80, hello));
  assert.instance(refused, RequestError);
  assert.match(refused.message, /refused to listen on refused:80: .*taken.*port 0/);
  assert.is(await heard(caller(connection, 'localhost', 80)), 'hello');
  assert.is(await heard(caller(connection, '', 4711)), 'hello');
  for (const [host, port] of [
    ['localhost', 81],
    ['LOCALHOST', 80],
    ['refused', 80],
    ['localhost', 0],
  ] as const) {
    const error = (await failure(caller(connection, host, port))) as OpenError;
    assert.is(error.reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED, `${host}:${port}`);
  }
  assert.ok(await eighty.close());
  assert.ok(await eighty.close(), 'the same answer');
  await failure(caller(connection, 'localhost', 80));
  assert.is(await heard(caller(connection, '', 4711)), 'hello');
  await client.close();
});

test('a caller of port 0, as AsyncSSH says it, is taken where that means one listener', async () => {
  let port = 4711;
  const forward: GlobalRequestHandler = () => pack(FORWARDED_PORT, { port: port++ });
  const server = testServer({ requests: { 'tcpip-forward': forward, 'cancel-tcpip-forward': () => true } });
  const { client } = await call(server);
  const [{ connection }] = server.clients;
  await client.listen('localhost', 0, hello);
  assert.is(await heard(caller(connection, 'localhost', 0)), 'hello');
  const other = await client.listen('localhost', 0, hello);
  await failure(caller(connection, 'localhost', 0));
  assert.is(await heard(caller(connection, 'localhost', 4712)), 'hello');
  await other.close();
  assert.is(await heard(caller(connection, 'localhost', 0)), 'hello');
  await client.close();
});

test('a caller that comes right behind the server’s "yes" is not turned away', async () => {
  for (const asked of [80, 0]) {
    let calling: Promise<string> | undefined;
    const server = board(4711, ({ connection }) => {
      calling ??= heard(caller(connection, 'localhost', asked || 4711));
    });
    const { client } = await call(server);
    assert.is((await client.listen('localhost', asked, hello)).port, asked || 4711);
    assert.is(await calling, 'hello', `port ${asked}`);
    await client.close();
  }
});

test('one that nobody asked for is turned away then, too; a handler that fails ends its caller’s stream only', async () => {
  let stranger: Promise<Error> | undefined;
  const server = board(4711, ({ connection }) => {
    stranger ??= failure(caller(connection, 'localhost', 81));
  });
  const { client } = await call(server);
  await client.listen('localhost', 80, hello);
  assert.is(((await stranger) as OpenError).reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED);

  const failing = board(4711, ({ connection }) => void caller(connection, 'localhost', 80).catch(() => {}));
  const faults: unknown[] = [];
  const { client: second } = await call(failing, { fault: error => faults.push(error) });
  await second.listen('localhost', 80, () => {
    throw new Error('my fault');
  });
  await until(() => faults.length > 0);
  assert.equal(String(faults), 'Error: my fault');
  await until(() => second.connection.mux.count === 0);
  assert.not.ok(second.connection.closed);
  await second.close();
});

test('channels and requests that a client has no business with are refused', async () => {
  const server = testServer();
  const { client } = await call(server);
  const [{ connection }] = server.clients;
  for (const type of ['session', 'x11', 'auth-agent@openssh.com', 'direct-tcpip']) {
    assert.is(((await failure(connection.open(type))) as OpenError).reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED);
  }
  assert.is(await connection.request('tcpip-forward', pack(TCPIP_FORWARD, { host: '', port: 1 })), undefined);
  await client.close();
});

test('goodbye is said, heard, and final', async () => {
  const server = testServer();
  const { client, far } = await call(server);
  const [{ connection }] = server.clients;
  await client.close();
  assert.is((await client.closed).message, 'disconnected by user');
  await turns();
  assert.is((connection.error as DisconnectError).reason, Disconnect.BY_APPLICATION);
  assert.is(connection.error?.message, 'disconnected by user');
  assert.ok(far.destroyed);
  assert.instance(await failure(client.open('session')), OpenError);
  assert.is((await failure(client.listen('localhost', 80, hello))).message, 'disconnected by user');
  await client.close();
});

test('the host key is judged once, however often keys are exchanged: a certificate may expire, and nobody sits there to be asked', async () => {
  const judged: Uint8Array[] = [];
  const judge = (key: Uint8Array) => {
    judged.push(key);
    if (judged.length > 1) throw new Error('expired at the last second');
    return true;
  };
  const server = testServer();
  const { client } = await call(server, { hostKey: judge });
  const { transport } = client.connection;
  for (const [{ connection }, rekeys] of [
    [client, 2],
    [server.clients[0], 3],
  ] as const) {
    connection.rekey();
    await until(() => client.connection.closed || (transport.exchanges === rekeys && !transport.exchanging));
    assert.is(client.connection.error, undefined);
    // The other end has finished, too.
    await client.ping();
  }
  assert.equal(judged, [hostKey.blob]);
  await client.close();
});

test('another host key in a later exchange is judged, as in ssh, and ends the connection if it is not the right one', async () => {
  for (const [right, message] of [
    [true, undefined],
    [false, /host key/],
  ] as const) {
    const hostKeys = [hostKey];
    const judged: Uint8Array[] = [];
    const judge = (key: Uint8Array) => judged.push(key) === 1 || right;
    const { client } = await call(testServer({ hostKeys }), { hostKey: judge });
    const other = insecureKey(Uint8Array.of(2));
    hostKeys[0] = other;
    const { transport } = client.connection;
    client.connection.rekey();
    await until(() => client.connection.closed || (transport.exchanges === 2 && !transport.exchanging));
    assert.equal(judged, [hostKey.blob, other.blob]);
    if (message) assert.match((await client.closed).message, message);
    else await client.ping();
    // Now that is the one that has been judged.
    client.connection.rekey();
    if (!message) await until(() => transport.exchanges === 3);
    assert.is(judged.length, 2);
    await client.close();
  }
});

test.after(closeServers);
test.run();
