// Forwarding as a client does it, against our own server: listeners on either side, callers as a loop, Unix sockets, and what ends with what.
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RemoteCall } from '../../../src/client/remote-listeners.ts';
import { FORWARDED_TCPIP } from '../../../src/protocol/channels/forwarding.ts';
import { OpenError, OpenFailure, RequestError } from '../../../src/protocol/errors.ts';
import { pack } from '../../../src/protocol/wire/codec.ts';
import { directStreamlocal, directTcpip, remoteForwarding } from '../../../src/server/forwarding.ts';
import type { Server } from '../../../src/server/server.ts';
import {
  echoes,
  echoServer,
  freePort,
  readAll,
  refusesConnections,
  tcpConnect,
  tcpServer,
  unixConnect,
  unixEcho,
} from '../../kit/loopback.ts';
import { bounded, soon } from '../../kit/processes.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns, until } from '../../kit/socket.ts';

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await promise.catch((error: Error) => error);
  if (value instanceof Error) return value;
  throw new Error('it did not fail');
}

/** A server that forwards whatever it is asked to; `asked` are the targets of direct-tcpip. */
function forwarder(asked: object[] = []): Server {
  return testServer({
    channels: {
      'direct-tcpip': directTcpip(target => asked.push(target) > 0 && target.host !== 'forbidden'),
      'direct-streamlocal@openssh.com': directStreamlocal(() => true),
    },
    requests: remoteForwarding({ allowed: () => true }),
  });
}

const echo = async ({ stream }: RemoteCall) => {
  for await (const bytes of stream) await stream.write(bytes.slice());
  await stream.end();
};

test(
  'forwardLocal is ssh -L: a port here, a target there, with the caller’s address; until it is closed',
  bounded(180, async scope => {
    const asked: object[] = [];
    const { client } = await call(forwarder(asked));
    const target = await echoServer(scope);
    const listener = await client.forwardLocal({ port: 0 }, { host: '127.0.0.1', port: target });
    assert.ok(listener.port > 0);
    const socket = await tcpConnect(scope, listener.port);
    await echoes(socket, 'through');
    const { localPort, localAddress } = socket;
    const to = { host: '127.0.0.1', address: '127.0.0.1', port: target };
    assert.equal(asked, [{ ...to, originHost: localAddress, originPort: localPort }]);
    await listener.close();
    assert.ok(await refusesConnections(scope, listener.port));
    await echoes(socket, 'who is connected stays');
    socket.end('and has an end');
    assert.is(String(await readAll(socket)), 'and has an end');
    await client.close();
  }),
);

test(
  'sockets whose connection dies are reset, on both sides: what came is not taken for all',
  bounded(180, async scope => {
    const reset: Promise<string>[] = [];
    const code = (socket: Socket) =>
      new Promise<string>(resolve => {
        socket.on('error', ({ code }: { code?: string }) => resolve(`${code}`));
        socket.on('end', () => resolve('an end in order'));
      });
    const target = await tcpServer(scope, socket => {
      reset.push(code(socket));
      socket.pipe(socket);
    });
    const { client } = await call(forwarder());
    const local = await client.forwardLocal({ port: 0 }, { host: '127.0.0.1', port: target.port });
    const remote = await client.forwardRemote({ port: 0 }, { host: '127.0.0.1', port: target.port });
    for (const { port } of [local, remote]) {
      const socket = await tcpConnect(scope, port);
      await echoes(socket, 'half');
      reset.push(code(socket));
    }
    client.connection.disconnect(2, 'cut');
    assert.equal(await soon('all to be reset', Promise.all(reset)), Array(4).fill('ECONNRESET'));
  }),
);

test(
  'forwardLocal: what may go wrong for one caller is told, and hurts no other; what is in the way at once is thrown',
  bounded(180, async scope => {
    const { client } = await call(forwarder());
    const heard: OpenError[] = [];
    const dead = await freePort();
    for (const [to, reason, sentence] of [
      [
        { host: 'forbidden', port: 80 },
        OpenFailure.ADMINISTRATIVELY_PROHIBITED,
        /^the server does not let this user connect to forbidden:80: /,
      ],
      [
        { host: '127.0.0.1', port: dead },
        OpenFailure.CONNECT_FAILED,
        /^the server could not connect to 127\.0\.0\.1:\d+: connection refused$/,
      ],
      [{ path: '/nowhere/x' }, OpenFailure.CONNECT_FAILED, /^the server could not connect to \/nowhere\/x: /],
    ] as const) {
      const listener = await client.forwardLocal({ host: '127.0.0.1', port: 0 }, to, error => heard.push(error));
      const socket = await tcpConnect(scope, listener.port);
      assert.is((await soon('the end', readAll(socket))).length, 0);
      const error = heard.pop()!;
      assert.is(error.reason, reason);
      assert.match(error.message, sentence);
      // Nobody need listen for that.
      const quiet = await client.forwardLocal({ host: '127.0.0.1', port: 0 }, to);
      await soon('the end', readAll(await tcpConnect(scope, quiet.port)));
    }
    const { port } = await client.forwardLocal({ host: '127.0.0.1', port: 0 }, { port: 1 });
    const taken = await failure(client.forwardLocal({ host: '127.0.0.1', port }, { port: 1 }));
    assert.is((taken as { code?: string }).code, 'EADDRINUSE');
    await client.close();
  }),
);

test(
  'listeners here end with their connection, and with their block',
  bounded(180, async scope => {
    const { client } = await call(forwarder());
    const to = { host: '127.0.0.1', port: await echoServer(scope) };
    let inner: number;
    {
      await using listener = await client.forwardLocal({ port: 0 }, to);
      inner = listener.port;
      await echoes(await tcpConnect(scope, inner), 'x');
    }
    assert.ok(await refusesConnections(scope, inner));
    const { port } = await client.forwardLocal({ port: 0 }, to);
    const socket = await tcpConnect(scope, port);
    await echoes(socket, 'y');
    await client.close();
    await soon('its callers to be hung up on', readAll(socket));
    assert.ok(await refusesConnections(scope, port));
  }),
);

test(
  'Unix sockets in every place: here and there, as listener and as target',
  bounded(180, async scope => {
    const directory = scope.directory();
    const target = join(directory, 'target');
    await unixEcho(scope, target);
    const { client } = await call(forwarder());
    const here = join(directory, 'here');
    const local = await client.forwardLocal({ path: here }, { path: target });
    assert.equal([local.host, local.port], ['', 0]);
    await echoes(await unixConnect(scope, here), 'ssh -L PATH:PATH');
    const port = await client.forwardLocal({ port: 0 }, { path: target });
    await echoes(await tcpConnect(scope, port.port), 'ssh -L PORT:PATH');
    const there = join(directory, 'there');
    const remote = await client.forwardRemote({ path: there }, { path: target });
    assert.equal([remote.host, remote.port, remote.path], ['', 0, there]);
    await echoes(await unixConnect(scope, there), 'ssh -R PATH:PATH');

    const taken = await failure(client.listenPath(there));
    assert.instance(taken, RequestError);
    assert.match(taken.message, /refused to listen on .*there: something may lie there already/);
    await local.close();
    await remote.close();
    for (const path of [here, there]) assert.not.ok(existsSync(path), path);
    await client.close();
  }),
);

test(
  'forwardRemote is ssh -R: a port there, a target here, and a target that is not there is told of',
  bounded(180, async scope => {
    const { client } = await call(forwarder());
    const listener = await client.forwardRemote({ port: 0 }, { host: '127.0.0.1', port: await echoServer(scope) });
    assert.is(listener.host, 'localhost');
    const socket = await tcpConnect(scope, listener.port);
    await echoes(socket, 'there and back');
    assert.ok(await listener.close());
    await echoes(socket, 'who is connected stays');

    const heard: Error[] = [];
    const to = { host: '127.0.0.1', port: await freePort() };
    const { port } = await client.forwardRemote({ host: '127.0.0.1', port: 0 }, to, error => heard.push(error));
    assert.is((await readAll(await tcpConnect(scope, port))).length, 0);
    assert.is((heard[0] as { code?: string }).code, 'ECONNREFUSED');
    const { port: quiet } = await client.forwardRemote({ port: 0 }, to);
    assert.is((await readAll(await tcpConnect(scope, quiet))).length, 0);
    await client.close();
  }),
);

test(
  'a listener without a callback is looped over: those who call meanwhile wait, and the loop ends with it',
  bounded(180, async scope => {
    const { client } = await call(forwarder());
    await using listener = await client.listen('127.0.0.1', 0);
    const early = await tcpConnect(scope, listener.port);
    const second = await tcpConnect(scope, listener.port);
    await turns();
    const addresses: string[] = [];
    const looping = (async () => {
      for await (const caller of listener) {
        addresses.push(`${caller.address}:${caller.port}`);
        // Its connection is closed while it reads.
        echo(caller).catch(() => {});
      }
    })();
    await echoes(early, 'one');
    await echoes(second, 'two');
    const third = await tcpConnect(scope, listener.port);
    await echoes(third, 'three');
    assert.equal(addresses.sort(), [early, second, third].map(socket => `127.0.0.1:${socket.localPort}`).sort());
    assert.ok(await listener.close());
    await looping;
    await echoes(third, 'still here');

    const other = await client.listenPath(join(scope.directory(), 'x'));
    const ending = (async () => {
      for await (const _ of other) assert.unreachable();
    })();
    await client.close();
    await ending;
  }),
);

test('nobody takes the callers: 128 wait, more are refused, and so are all of them when it is closed', async () => {
  const server = testServer({ requests: { 'tcpip-forward': () => true, 'cancel-tcpip-forward': () => true } });
  const { client } = await call(server);
  const [{ connection }] = server.clients;
  const listener = await client.listen('line', 7);
  const data = pack(FORWARDED_TCPIP, { host: 'line', port: 7, originHost: '192.0.2.9', originPort: 9 });
  const answers: unknown[] = [];
  const knock = () =>
    connection.open('forwarded-tcpip', data).then(
      () => answers.push('taken'),
      (error: OpenError) => answers.push(error.reason),
    );
  for (let i = 0; i < 129; i++) void knock();
  await until(() => answers.length > 0);
  await turns();
  assert.equal(answers, [OpenFailure.RESOURCE_SHORTAGE]);
  for await (const { stream, address, port } of listener) {
    assert.equal([address, port], ['192.0.2.9', 9]);
    await stream.close();
    break;
  }
  await until(() => answers.length === 2);
  assert.is(answers[1], 'taken');
  // A loop that was left may be begun again: the next in line.
  for await (const _ of listener) break;
  await listener.close();
  await until(() => answers.length === 129);
  assert.is(answers.filter(answer => answer === OpenFailure.ADMINISTRATIVELY_PROHIBITED).length, 126);
  await knock();
  assert.is(answers[129], OpenFailure.ADMINISTRATIVELY_PROHIBITED);
  for await (const _ of listener) assert.unreachable();
  await client.close();
});

test(
  'a callback whose promise is rejected loses its caller, and no other',
  bounded(180, async scope => {
    const { client } = await call(forwarder());
    let calls = 0;
    const { port } = await client.listen('127.0.0.1', 0, async caller => {
      if (++calls === 1) throw new Error('my fault');
      await echo(caller);
    });
    assert.is((await soon('the end', readAll(await tcpConnect(scope, port)))).length, 0);
    await echoes(await tcpConnect(scope, port), 'the next');
    await client.close();
  }),
);

test('forward says why it was refused; forwardPath too', async () => {
  const { client } = await call(forwarder());
  assert.match(
    (await failure(client.forward('forbidden', 1))).message,
    /does not let this user connect to forbidden:1/,
  );
  assert.match(
    (await failure(client.forwardPath('/nowhere/x'))).message,
    /could not connect to \/nowhere\/x: no such file or directory$/,
  );
  const { client: other } = await call(testServer());
  assert.match((await failure(other.forward('x', 1))).message, /^the server forwards nothing such as x:1: /);
  await other.close();
  const late = await failure(other.forward('x', 1));
  assert.instance(late, OpenError);
  assert.match(late.message, /connection has closed/);
  await client.close();
});

test.after(closeServers);
test.run();
