// The way to a server: directly or through another one, for how long it is waited for, and giving up.
import { getEventListeners } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DialOptions, dial } from '../../../src/client/dial.ts';
import { reach } from '../../../src/client/reach.ts';
import { OpenError } from '../../../src/protocol/errors.ts';
import { passwords } from '../../../src/server/authenticators.ts';
import { directTcpip } from '../../../src/server/forwarding.ts';
import { sessions } from '../../../src/server/session.ts';
import { freePort, tcpServer } from '../../kit/loopback.ts';
import { bounded, soon } from '../../kit/processes.ts';
import { call, closeServers, hostKey, provider, testServer } from '../../kit/served.ts';
import { FakeSocket, turn, turns, until } from '../../kit/socket.ts';

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await promise.catch((error: Error) => error);
  if (value instanceof Error) return value;
  throw new Error('it did not fail');
}

const who: DialOptions = { provider, user: 'alice', hostKey: () => true };
const commands = sessions({
  async exec(command, session) {
    if (command === 'cat') for await (const bytes of session.stream) await session.stream.write(bytes.slice());
    else await session.write(`${command}: ${session.client.user} from ${session.client.address}\n`);
    await session.exit(0);
  },
});

test(
  'a server is reached by name and port, and times out as it was told to',
  bounded(180, async scope => {
    const server = testServer({ channels: { session: commands } });
    const { port } = await server.listen(0);
    scope.defer(() => server.close());
    {
      await using client = await dial({ ...who, host: 'localhost', port });
      assert.match(new TextDecoder().decode((await client.exec('x')).stdout), /^x: alice from (127\.0\.0\.1|::1)\n$/);
    }
    // Nobody but the connection itself says who has answered.
    const { port: silent } = await tcpServer(scope, () => {});
    const late = await soon(
      'the grace to be over',
      failure(dial({ ...who, port: silent, times: { loginGrace: 1 } })),
      60,
    );
    assert.is(late.message, 'not signed in within 1 seconds');
  }),
);

test(
  'the system’s error keeps its code, and says where, and what to look at',
  bounded(180, async () => {
    const port = await freePort();
    const refused = await failure(dial({ ...who, port }));
    assert.is((refused as { code?: string }).code, 'ECONNREFUSED');
    assert.is(
      refused.message,
      `cannot connect to 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}; nobody listens there: check the port, and whether the server runs`,
    );
    const unknown = await failure(dial({ ...who, host: 'no such host' }));
    assert.match(unknown.message, /^cannot connect to no such host:22: getaddrinfo \w+ no such host; /);
  }),
);

/** A client whose server leaves the question about another one open. */
async function undecided() {
  let answer!: (allowed: boolean) => void;
  const allowed = () => new Promise<boolean>(resolve => (answer = resolve));
  const server = testServer({ channels: { 'direct-tcpip': directTcpip(allowed) } });
  const { client } = await call(server);
  return { client, answer: (allowed: boolean) => answer(allowed) };
}

const target = { host: 'far', port: 22 };

test('nobody answers in time: ETIMEDOUT, with the seconds', async () => {
  const { client } = await undecided();
  const error = await failure(reach(client, target, 0.01, undefined));
  assert.is((error as { code?: string }).code, 'ETIMEDOUT');
  assert.match(error.message, /^cannot connect to far:22: no answer within 0\.01 s; check the address/);
  await client.close();
});

test('giving up throws the reason of the signal: before, while connecting, while signing in; afterwards it has no effect', async () => {
  const reason = new Error('enough');
  const gone = AbortSignal.abort(reason);
  assert.is(await failure(dial({ ...who, signal: gone })), reason);
  let asked = false;
  const { client } = await undecided();
  // The signal may be aborted between the check and the way.
  assert.is(await failure(reach(client, target, 0, gone)), reason);

  const connecting = new AbortController();
  const dialling = failure(dial({ ...who, ...target, via: client, signal: connecting.signal }));
  await turns();
  connecting.abort(reason);
  assert.is(await dialling, reason);

  const signing = new AbortController();
  const socket = new FakeSocket();
  const waiting = failure(dial({ ...who, socket, signal: signing.signal }));
  await turn();
  signing.abort(reason);
  assert.is(await waiting, reason);
  await until(() => socket.ended);

  const server = testServer({ authenticators: [passwords(() => true)] });
  const asking = new AbortController();
  const password = () => {
    asked = true;
    return new Promise<string>(() => {});
  };
  const never = failure(call(server, { password, signal: asking.signal }));
  await until(() => asked);
  asking.abort(reason);
  assert.is(await never, reason);

  const late = new AbortController();
  const { client: living } = await call(testServer(), { signal: late.signal });
  assert.is(getEventListeners(late.signal, 'abort').length, 0);
  late.abort(reason);
  await living.ping();
  assert.not.ok(living.connection.closed);
  await living.close();
  await client.close();
});

test(
  'a way that opens after it was given up is closed again',
  bounded(180, async scope => {
    const { port, sockets } = await tcpServer(scope, socket => socket.resume().on('end', () => socket.end()));
    const { client, answer } = await undecided();
    const stop = new AbortController();
    const reaching = failure(reach(client, { host: '127.0.0.1', port }, 0, stop.signal));
    await turns();
    stop.abort(new Error('enough'));
    await reaching;
    const channels = () => client.connection.mux.channels.length;
    answer(true);
    await until(() => sockets.size === 1 || channels() === 1);
    await until(() => sockets.size === 0 && channels() === 0);
    await client.close();
  }),
);

test(
  'via is ssh -J: through one server to another, and through that to a third',
  bounded(180, async scope => {
    const start = async () => {
      const server = testServer({ channels: { session: commands, 'direct-tcpip': directTcpip(() => true) } });
      scope.defer(() => server.close());
      return { server, ...(await server.listen(0)) };
    };
    const [first, second, third] = [await start(), await start(), await start()];
    const seen: unknown[] = [];
    await using jump = await dial({ ...who, port: first.port, user: 'one' });
    await using middle = await dial({ ...who, via: jump, port: second.port, user: 'two' });
    const client = await dial({
      ...who,
      ...{ via: middle, host: 'localhost', port: third.port, user: 'three' },
      hostKey: (key, _algorithm, host) => seen.push(key, host) > 0,
    });
    assert.equal(seen, [hostKey.blob, { host: 'localhost', port: third.port }], 'whose key it must be');
    assert.match(new TextDecoder().decode((await client.exec('who')).stdout), /^who: three from/);
    const input = new Uint8Array(5_000_000).map((_, i) => i % 251);
    const { stdout } = await client.exec('cat', { stdin: input });
    assert.is(Buffer.compare(stdout, input), 0);
    await client.close();
    await until(() => third.server.clients.length === 0);
    assert.match(new TextDecoder().decode((await middle.exec('still')).stdout), /^still: two/);

    // What leads there is part of the connection: without it there is none.
    const last = await dial({ ...who, via: middle, host: 'localhost', port: third.port });
    jump.connection.disconnect(2, 'the way is cut');
    for (const ended of [last, middle])
      assert.is((await soon('the connection to end', ended.closed)).message, 'the way is cut');
  }),
);

test('a server that lets nobody through says so', async () => {
  const { client } = await call(testServer({ channels: { 'direct-tcpip': directTcpip(() => false) } }));
  const error = await failure(dial({ ...who, ...target, via: client }));
  assert.instance(error, OpenError);
  assert.match(error.message, /^the server does not let this user connect to far:22: /);
  await client.close();
});

test.after(closeServers);
test.run();
