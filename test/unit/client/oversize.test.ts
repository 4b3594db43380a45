// What callers give and no packet holds: a UsageError for that call, and the connection goes on.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../../src/client/dial.ts';
import { UsageError } from '../../../src/protocol/errors.ts';
import { keyboardInteractive, passwords } from '../../../src/server/authenticators.ts';
import type { Client } from '../../../src/server/server.ts';
import { type Session, sessions } from '../../../src/server/session.ts';
import { anyone, call, closeServers, hostKey, provider, testServer } from '../../kit/served.ts';
import { socketPair } from '../../kit/socket.ts';

const LONG = 'x'.repeat(256 * 1024);
const BYTES = new Uint8Array(256 * 1024);

/** What comes of it: nothing, or what it throws, at once or later. */
const failure = (run: () => unknown): Promise<unknown> =>
  Promise.resolve()
    .then(run)
    .then(
      () => undefined,
      (error: unknown) => error,
    );

const commands = sessions({
  async exec(_command, session) {
    await session.write('alive');
    await session.exit(0);
  },
  async shell(session) {
    for await (const _ of session.stream);
  },
  subsystem: { sftp: () => {} },
});

test('every call of a client', async () => {
  const server = testServer({ channels: { session: commands } });
  const { client } = await call(server);
  const shell = await client.shell();
  const calls: Record<string, () => unknown> = {
    'exec: the command': () => client.exec(LONG),
    'start: the command': () => client.start(LONG),
    'exec: env, a value': () => client.exec('x', { env: { A: LONG } }),
    'exec: env, a name': () => client.exec('x', { env: { [LONG]: '' } }),
    'exec: the terminal': () => client.exec('x', { pty: { term: LONG } }),
    'exec: terminal modes': () => client.exec('x', { pty: { modes: BYTES } }),
    'a subsystem': () => client.subsystem(LONG),
    'a subsystem that is no name': () => client.subsystem('naïve'),
    'a signal': () => shell.kill(LONG),
    'a signal that is no name': () => shell.kill('TÉRM'),
    'a host': () => client.forward(LONG, 22),
    'an origin': () => client.forward('h', 22, { host: LONG, port: 1 }),
    'a path': () => client.forwardPath(LONG),
    'forwardLocal: a host': () => client.forwardLocal({ host: '127.0.0.1', port: 0 }, { host: LONG, port: 1 }),
    'forwardLocal: a path': () => client.forwardLocal({ host: '127.0.0.1', port: 0 }, { path: LONG }),
    'listen: a host': () => client.listen(LONG, 0),
    'listen: a path': () => client.listenPath(LONG),
    'forwardRemote: a host': () => client.forwardRemote({ host: LONG, port: 0 }, { port: 1 }),
    'a channel: its type': () => client.open(LONG),
    'a channel: its data': () => client.open('x@y', BYTES),
    'a channel: its type that is no name': () => client.open('ü@y'),
    'the connection’s channel': () => client.connection.open('x@y', BYTES),
    'a global request': () => client.connection.request('x@y', BYTES),
    'a global request without reply': () => client.connection.mux.notify(LONG, BYTES),
    'a channel request': () => shell.stream.channel.request('x@y', BYTES),
    'a channel request without reply': () => shell.stream.channel.notify('x@y', BYTES),
  };
  for (const [what, run] of Object.entries(calls)) {
    const thrown = await failure(run);
    assert.instance(thrown, UsageError, `${what}: ${thrown}`);
    assert.is(client.connection.error, undefined, what);
    assert.is(String((await client.exec('x')).stdout), String(new TextEncoder().encode('alive')), what);
  }
  // None of them has left a channel behind.
  assert.is(client.connection.mux.channels.length, 1);
  await client.close();
});

test('what a client signs in with', async () => {
  const server = testServer({
    authenticators: [passwords(() => false), keyboardInteractive([{ text: 'Word: ', echo: false }], () => false)],
  });
  for (const options of [{ user: LONG }, { password: LONG }, { password: () => LONG }, { interactive: () => [LONG] }]) {
    const [near, socket] = socketPair();
    server.serve(near);
    const thrown = await failure(() => dial({ socket, provider, user: 'alice', hostKey: () => true, ...options }));
    assert.instance(thrown, UsageError, `${Object.keys(options)}: ${thrown}`);
  }
});

test('every call of a server', async () => {
  assert.instance(await failure(() => testServer({ banner: LONG, hostKeys: [hostKey] })), UsageError);
  let begun!: (session: Session) => void;
  const beginning = new Promise<Session>(resolve => (begun = resolve));
  const server = testServer({
    authenticators: [anyone],
    channels: {
      session: sessions({ shell: begun, exec: (_command, session) => session.exit(3) }),
      'no@x': open => open.reject(1, LONG),
    },
    requests: { 'large@x': () => BYTES, 'late@x': async () => BYTES },
  });
  const { client } = await call(server);
  const shell = await client.shell();
  const session = await beginning;
  assert.instance(await failure(() => session.exitSignal('TERM', { message: LONG })), UsageError);
  assert.instance(await failure(() => session.exitSignal(LONG)), UsageError);
  assert.match(((await failure(() => client.open('no@x'))) as Error).message, /^x+/);
  for (const type of ['large@x', 'late@x']) assert.is(await client.connection.request(type), undefined, type);
  const [near] = server.clients as [Client];
  assert.instance(await failure(() => near.connection.request('x@y', BYTES)), UsageError);
  assert.instance(await failure(() => near.connection.open(LONG)), UsageError);
  assert.is((await client.exec('x')).status, 3);
  // It can still end in its own way.
  await session.exitSignal('TERM', { message: 'enough' });
  assert.is((await shell.exit).signal, 'TERM');
  near.connection.disconnect(11, LONG);
  assert.match((await client.closed).message, /^x+/);
});

test.after(closeServers);
test.run();
