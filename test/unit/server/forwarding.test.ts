// Forwarding on the server's side: who may connect where, and listen on what; and that nothing outlives its client.
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { connect as netConnect } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import type { RemoteCall } from '../../../src/client/remote-listeners.ts';
import { WINDOW } from '../../../src/protocol/channels/channel.ts';
import { DIRECT_STREAMLOCAL, DIRECT_TCPIP, TCPIP_FORWARD } from '../../../src/protocol/channels/forwarding.ts';
import { OpenError, OpenFailure, RequestError } from '../../../src/protocol/errors.ts';
import { pack } from '../../../src/protocol/wire/codec.ts';
import { concat, Writer } from '../../../src/protocol/wire/reader.ts';
import {
  type DirectTarget,
  directStreamlocal,
  directTcpip,
  type RemoteForwardingOptions,
  remoteForwarding,
} from '../../../src/server/forwarding.ts';
import type { ChannelStream } from '../../../src/server/streams.ts';
import {
  echoServer,
  freePort,
  readAll,
  refusesConnections,
  tcpConnect,
  tcpServer,
  unixEcho,
} from '../../kit/loopback.ts';
import { bounded, eventually, type Scope, soon } from '../../kit/processes.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns, until } from '../../kit/socket.ts';

async function read(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) parts.push(chunk.slice());
  return new Uint8Array(Buffer.concat(parts));
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await promise.catch((error: Error) => error);
  if (value instanceof Error) return value;
  throw new Error('it did not fail');
}

/** Opens a direct-tcpip channel through a server that asks `allowed`. */
async function through(
  allowed: Parameters<typeof directTcpip>[0],
  host: string,
  port: number,
): Promise<ChannelStream | OpenError> {
  const { client } = await call(testServer({ channels: { 'direct-tcpip': directTcpip(allowed) } }));
  return client.forward(host, port).catch((error: unknown) => {
    if (error instanceof OpenError) return error;
    throw error;
  });
}

test(
  'direct-tcpip connects where it is allowed to',
  bounded(180, async scope => {
    const port = await echoServer(scope);
    const asked: object[] = [];
    const allowed = (target: object) => asked.push(target) > 0;
    const stream = (await through(allowed, '127.0.0.1', port)) as ChannelStream;
    const reading = read(stream);
    const bytes = new Uint8Array(3_000_000).map((_, i) => i % 253);
    await stream.write(bytes);
    await stream.end();
    assert.is(Buffer.compare(await soon('the echo', reading), bytes), 0);
    await soon('the end', stream.closed);
    const asking = { host: '127.0.0.1', address: '127.0.0.1', port };
    assert.equal(asked, [{ ...asking, originHost: '127.0.0.1', originPort: 65535 }]);
  }),
);

test(
  'a target that sends more than a window and closes, to a caller that had ended and is late to read',
  bounded(180, async scope => {
    const size = WINDOW + 700_000;
    const { port } = await tcpServer(scope, socket => socket.end(Buffer.alloc(size)).resume());
    const stream = (await through(() => true, '127.0.0.1', port)) as ChannelStream;
    await stream.end();
    await until(() => stream.channel.inbound.size === 0);
    await turns(200);
    assert.is((await soon('the bytes', read(stream))).length, size);
    await soon('the end', stream.closed);
  }),
);

test('what is not allowed is prohibited, what cannot be reached has failed, and a failing judge allows nothing', async () => {
  const port = await freePort();
  const reason = async (allowed: Parameters<typeof directTcpip>[0], to = port) =>
    ((await through(allowed, '127.0.0.1', to)) as OpenError).reason;
  assert.is(await reason(() => false), OpenFailure.ADMINISTRATIVELY_PROHIBITED);
  assert.is(await reason(async () => false), OpenFailure.ADMINISTRATIVELY_PROHIBITED);
  assert.is(await reason(() => true), OpenFailure.CONNECT_FAILED);
  assert.is(await reason(() => true, 70_000), OpenFailure.CONNECT_FAILED);
  const failing = () => Promise.reject(new Error('no such list'));
  assert.is(await reason(failing), OpenFailure.CONNECT_FAILED);
});

test(
  'the address is judged that is connected to: by whatever name, and this host is not reached by none',
  bounded(180, async scope => {
    const port = await echoServer(scope);
    const asked: string[] = [];
    const strangers = ({ host, address }: DirectTarget) => {
      asked.push(`${host} ${address}`);
      return address !== '' && !/^127\.|^::1$/.test(address);
    };
    for (const host of [
      'localhost',
      '127.0.0.1',
      '0.0.0.0',
      '::ffff:127.0.0.1',
      '::',
      '::1',
      '127.1',
      '0x7f000001',
      '2130706433',
    ]) {
      const refused = await through(strangers, host, port);
      assert.instance(refused, OpenError, host);
      assert.is((refused as OpenError).reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED, host);
      assert.ok(asked.length > 0, host);
      for (const one of asked.splice(0)) assert.match(one, / (127\.0\.0\.1|::1)$/);
    }
    // Nobody may connect to what is not there, and what is there is nobody's business.
    const secret = await through(strangers, 'secret.invalid', port);
    assert.is((secret as OpenError).reason, OpenFailure.ADMINISTRATIVELY_PROHIBITED);
    for (const host of ['', ' ', 'localhost\0.example.org', '127.0.0.1 ']) {
      const refused = await through(() => true, host, port);
      assert.is((refused as OpenError).reason, OpenFailure.CONNECT_FAILED, JSON.stringify(host));
      assert.match((refused as OpenError).message, /: no such host$/);
    }
    // Of several addresses, one that answers.
    const stream = (await through(({ address }) => address === '127.0.0.1', 'localhost', port)) as ChannelStream;
    await stream.end();
    await read(stream);
  }),
);

test('what the system says stays here: clients get a reason without addresses and paths', async () => {
  const port = await freePort();
  const channels = {
    'direct-tcpip': directTcpip(() => true),
    'direct-streamlocal@openssh.com': directStreamlocal(() => true),
  };
  const { client } = await call(testServer({ channels }));
  const data = { originHost: '', originPort: 0 };
  const said = async (type: string, payload: Uint8Array) => (await failure(client.open(type, payload))).message;
  const tcp = (host: string, port: number) => said('direct-tcpip', pack(DIRECT_TCPIP, { host, port, ...data }));
  assert.is(await tcp('localhost', port), 'connection refused');
  assert.is(await tcp('127.0.0.1', port), 'connection refused');
  assert.match(await tcp('nowhere.invalid', port), /^(no such host|the name cannot be looked up now)$/);
  assert.is(await tcp('127.0.0.1', 0), 'there is no such port');
  const unix = (path: string) =>
    said(
      'direct-streamlocal@openssh.com',
      pack(DIRECT_STREAMLOCAL, { path, reserved: new Uint8Array(0), reservedPort: 0 }),
    );
  assert.is(await unix('/nowhere/x'), 'no such file or directory');
  assert.is(await unix('/dev/null'), 'connection refused');
  await client.close();
});

test('a malformed open is refused, and costs nothing else', async () => {
  const { client } = await call(testServer({ channels: { 'direct-tcpip': directTcpip(() => true) } }));
  const data = pack(DIRECT_TCPIP, { host: 'x', port: 1, originHost: 'y', originPort: 2 });
  const latin1 = new Writer().string(Uint8Array.of(0xe9)).uint32(1).string('y').uint32(2).finish();
  for (const [malformed, why] of [
    [data.subarray(1), /past the end/],
    [latin1, /not valid UTF-8/],
    [concat(data, data), /trailing/],
  ] as const) {
    const error = await client.open('direct-tcpip', malformed).catch((thrown: unknown) => thrown);
    assert.instance(error, OpenError);
    assert.match((error as OpenError).message, why);
  }
  await client.ping();
  await client.close();
});

test(
  'a caller that is gone when the connection to the target is made leaves nothing behind',
  bounded(180, async scope => {
    let reached = 0;
    const { port, sockets } = await tcpServer(scope, socket => {
      reached++;
      socket.resume().on('end', () => socket.end());
    });
    let go!: (allowed: boolean) => void;
    const allowed = () => new Promise<boolean>(resolve => (go = resolve));
    const { client } = await call(testServer({ channels: { 'direct-tcpip': directTcpip(allowed) } }));
    const opening = client.forward('127.0.0.1', port).catch(() => {});
    await turns();
    await client.close();
    await opening;
    go(true);
    await soon(
      'the target to be reached, and left',
      until(() => reached === 1 && sockets.size === 0),
    );
  }),
);

test(
  'direct-streamlocal connects to Unix sockets that are allowed',
  bounded(180, async scope => {
    const path = join(scope.directory(), 'echo');
    await unixEcho(scope, path);
    const asked: string[] = [];
    const allowed = (wanted: string) => asked.push(wanted) > 0 && !wanted.startsWith('/etc');
    const server = testServer({ channels: { 'direct-streamlocal@openssh.com': directStreamlocal(allowed) } });
    const { client } = await call(server);
    const stream = await client.forwardPath(path);
    await stream.write('echo');
    await stream.end();
    assert.is(text(await read(stream)), 'echo');
    const why = async (wanted: string) => ((await failure(client.forwardPath(wanted))) as OpenError).reason;
    assert.is(await why('/etc/secret'), OpenFailure.ADMINISTRATIVELY_PROHIBITED);
    assert.is(await why(`${path}-not-there`), OpenFailure.CONNECT_FAILED);
    assert.equal(asked, [path, '/etc/secret', `${path}-not-there`]);
    // Paths that mean something else to the system are not even asked about.
    for (const wanted of ['', '\0abstract', `${path}\0x`, `/${'x'.repeat(200)}`]) {
      assert.is(await why(wanted), OpenFailure.ADMINISTRATIVELY_PROHIBITED, JSON.stringify(wanted));
    }
    assert.is(asked.length, 3);
    await client.close();
  }),
);

/** A client of a server with remote forwarding. */
async function listening(options: Partial<RemoteForwardingOptions> = {}) {
  const server = testServer({ requests: remoteForwarding({ allowed: () => true, ...options }) });
  const { client } = await call(server);
  return { server, client };
}

const echo = async ({ stream }: RemoteCall) => {
  for await (const bytes of stream) await stream.write(bytes.slice());
  await stream.end();
};

/** What comes back from a port for what is sent there. */
async function answer(scope: Scope, port: number, sent: string): Promise<string> {
  const socket = await tcpConnect(scope, port);
  socket.end(sent);
  return (await readAll(socket)).toString();
}

test(
  'a listener: a port that the system chooses, callers with their address, until it is taken back',
  bounded(180, async scope => {
    const asked: object[] = [];
    const { client } = await listening({ allowed: (target, { user }) => asked.push({ ...target, user }) > 0 });
    const calls: RemoteCall[] = [];
    const listener = await client.listen('localhost', 0, caller => {
      calls.push(caller);
      return echo(caller);
    });
    assert.ok(listener.port > 0);
    const here = { kind: 'tcp', host: 'localhost', port: 0, user: 'alice' };
    assert.equal(asked, [
      { ...here, address: '127.0.0.1' },
      { ...here, address: '::1' },
    ]);
    const socket = await tcpConnect(scope, listener.port);
    const { localPort } = socket;
    socket.end('hello');
    assert.is((await readAll(socket)).toString(), 'hello');
    assert.is(calls[0].address, '127.0.0.1');
    assert.is(calls[0].port, localPort);

    const staying = await tcpConnect(scope, listener.port);
    await until(() => calls.length === 2);
    assert.ok(await listener.close());
    assert.ok(await refusesConnections(scope, listener.port));
    staying.end('still here');
    assert.is((await readAll(staying)).toString(), 'still here');
    await client.close();
  }),
);

test(
  'a given port; it is busy for others, is found by the address as it was written only, and free again afterwards',
  bounded(180, async scope => {
    const port = await freePort();
    const { client } = await listening();
    await client.listen('127.0.0.1', port, echo);
    assert.is(await answer(scope, port, 'x'), 'x');
    const other = await listening();
    assert.instance(await failure(other.client.listen('127.0.0.1', port, echo)), RequestError);
    const cancel = (host: string, at: number) =>
      client.connection.request('cancel-tcpip-forward', pack(TCPIP_FORWARD, { host, port: at }));
    assert.is(await cancel('localhost', port), undefined);
    assert.is(await cancel('127.0.0.1', port + 1), undefined);
    // It is not the other's to take back.
    const theirs = pack(TCPIP_FORWARD, { host: '127.0.0.1', port });
    assert.is(await other.client.connection.request('cancel-tcpip-forward', theirs), undefined);
    assert.is(await answer(scope, port, 'y'), 'y');
    assert.equal(await cancel('127.0.0.1', port), new Uint8Array(0));
    assert.is(await cancel('127.0.0.1', port), undefined);
    await other.client.listen('127.0.0.1', port, echo);
    assert.is(await answer(scope, port, 'z'), 'z');
  }),
);

test(
  'addresses: this host only, everybody, one interface',
  bounded(180, async scope => {
    const local = ['127.0.0.1'];
    const everybody = ['127.0.0.1', '127.0.0.2'];
    const clients = new Map<RemoteForwardingOptions['gatewayPorts'], ClientConnection>();
    for (const gatewayPorts of [undefined, false, 'clientspecified', true] as const)
      clients.set(gatewayPorts, (await listening({ gatewayPorts })).client);
    for (const [host, gatewayPorts, reachable] of [
      ['localhost', undefined, local],
      ['', undefined, local],
      ['*', false, local],
      ['0.0.0.0', false, local],
      ['127.0.0.2', false, local],
      ['localhost', 'clientspecified', local],
      ['', 'clientspecified', everybody],
      ['*', 'clientspecified', everybody],
      ['127.0.0.2', 'clientspecified', ['127.0.0.2']],
      ['', true, everybody],
      ['localhost', true, everybody],
      ['127.0.0.1', true, everybody],
    ] as const) {
      const client = clients.get(gatewayPorts)!;
      const { port } = await client.listen(host, 0, ({ stream, address }) => {
        void stream.write(address).then(() => stream.end());
      });
      for (const to of ['127.0.0.1', '127.0.0.2']) {
        const socket = netConnect({ host: to, port, localAddress: '127.0.0.3' });
        scope.defer(() => void socket.destroy());
        const got = await new Promise<string>(resolve => {
          socket.on('error', () => resolve('refused'));
          socket.on('connect', () => void readAll(socket).then(bytes => resolve(bytes.toString())));
        });
        assert.is(
          got,
          (reachable as readonly string[]).includes(to) ? '127.0.0.3' : 'refused',
          `${host} by ${to}, ${gatewayPorts}`,
        );
        socket.end();
      }
    }
  }),
);

test(
  'listeners end with their client, and so does one that was being opened',
  bounded(180, async scope => {
    let go!: (allowed: boolean) => void;
    const held = await freePort();
    const { client } = await listening({
      allowed: target =>
        target.kind === 'tcp' && target.port === held ? new Promise(resolve => (go = resolve)) : true,
    });
    const { port } = await client.listen('127.0.0.1', 0, echo);
    const late = client.listen('127.0.0.1', held, echo).catch(() => {});
    await until(() => go !== undefined);
    assert.is(await answer(scope, port, 'x'), 'x');
    await client.close();
    await late;
    go(true);
    await eventually('the listener to be closed', () => refusesConnections(scope, port));
    // The late one is opened, and closed again at once.
    await eventually('nobody to listen', () => refusesConnections(scope, held));
    await turns();
    assert.ok(await refusesConnections(scope, held));
  }),
);

test('what is not allowed, a judge that fails, a port that cannot be, and too many: refused, and the log says why', async () => {
  const reasons: string[] = [];
  const note = ({ reason }: { reason?: string }) => reasons.push(`${reason}`);
  const { client } = await listening({
    allowed: target => {
      if (target.kind === 'unix') throw new Error('no such list');
      return target.host === '127.0.0.1';
    },
    limit: 2,
    log: { debug() {}, info: note, warn() {}, error() {} },
  });
  const refused = async (host: string, port: number) => {
    assert.instance(await failure(client.listen(host, port, echo)), RequestError);
    return reasons.pop() ?? '';
  };
  assert.is(await refused('0.0.0.0', 0), 'not allowed');
  assert.is(await refused('127.0.0.1', 65536), 'there is no such port');
  await failure(client.listenPath('/tmp/x', echo));
  assert.match(`${reasons.pop()}`, /no such list/);
  // What was refused does not count.
  const one = await client.listen('127.0.0.1', 0, echo);
  await client.listen('127.0.0.1', 0, echo);
  assert.match(await refused('127.0.0.1', 0), /2 listeners already/);
  await one.close();
  await client.listen('127.0.0.1', 0, echo);
  // More than the limit while they are being opened.
  const { client: hasty } = await listening({ limit: 2 });
  const all = await Promise.allSettled([1, 2, 3, 4].map(() => hasty.listen('127.0.0.1', 0, echo)));
  assert.is(all.filter(({ status }) => status === 'fulfilled').length, 2);
  await client.close();
  await hasty.close();
});

test(
  'Unix sockets: for this user only, removed with the listener; what lies there already is left alone',
  bounded(180, async scope => {
    const directory = scope.directory();
    const { client } = await listening();
    const path = join(directory, 'line');
    const listener = await client.listenPath(path, echo);
    assert.is(statSync(path).mode & 0o777, 0o600);
    const socket = netConnect({ path, allowHalfOpen: true });
    socket.end('by path');
    assert.is((await readAll(socket)).toString(), 'by path');
    // Neither a file, nor a directory, nor a socket of somebody else is replaced.
    const file = join(directory, 'file');
    writeFileSync(file, 'precious');
    const folder = join(directory, 'folder');
    mkdirSync(folder);
    for (const taken of [file, folder, path]) {
      assert.instance(await failure((await listening()).client.listenPath(taken, echo)), RequestError, taken);
      assert.ok(existsSync(taken), taken);
    }
    assert.is(statSync(file).size, 'precious'.length);
    for (const bad of ['', '\0x', `/${'x'.repeat(200)}`]) await failure(client.listenPath(bad, echo));
    assert.ok(await listener.close());
    assert.not.ok(existsSync(path));
    assert.not.ok(
      await client.connection.request('cancel-streamlocal-forward@openssh.com', new Uint8Array([0, 0, 0, 1, 47])),
    );
    await client.listenPath(path, echo);
    await client.close();
    await until(() => !existsSync(path));
  }),
);

test(
  'callers that the client does not take are hung up on',
  bounded(180, async scope => {
    const { client } = await listening();
    const data = pack(TCPIP_FORWARD, { host: 'localhost', port: 0 });
    const reply = await client.connection.request('tcpip-forward', data);
    const port = new DataView(reply!.buffer, reply!.byteOffset).getUint32(0);
    const socket = await tcpConnect(scope, port);
    assert.is((await soon('the end', readAll(socket))).length, 0);
    await client.close();
  }),
);

test.after(closeServers);
test.run();
