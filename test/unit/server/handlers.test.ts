// A handler that fails, whichever it is, at once or later: what it was called for is refused or closed, the operator hears why, and nothing else ends.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import type { DialOptions } from '../../../src/client/dial.ts';
import { formatPublicKey, parseAuthorizedKeys, publicOf } from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { OpenError } from '../../../src/protocol/errors.ts';
import { USERAUTH_FAILURE, USERAUTH_REQUEST } from '../../../src/protocol/messages.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import {
  type AuthorizedKeysOptions,
  authorizedKeys,
  ChannelStream,
  directStreamlocal,
  directTcpip,
  keyboardInteractive,
  type Logger,
  passwords,
  publicKeys,
  remoteForwarding,
  type Server,
  type ServerOptions,
  type Session,
  type SessionHandlers,
  sessions,
} from '../../../src/server/index.ts';
import { PlainLink } from '../../../src/server/plain-link.ts';
import { handlers, handlersIn } from '../../kit/handlers.ts';
import { Pair } from '../../kit/pair.ts';
import { bounded } from '../../kit/processes.ts';
import { RawPeer } from '../../kit/raw-peer.ts';
import { call, closeServers, hostKey, provider, silent, testServer } from '../../kit/served.ts';
import { socketPair, turns, until } from '../../kit/socket.ts';

const nothing = new Uint8Array(0);
const MINE = 'mine: the disk is full';

/** A handler that fails, typed as whatever is wanted. */
// biome-ignore lint/suspicious/noExplicitAny: it stands for every handler there is
type Failing = (...args: any[]) => any;
const WAYS: [string, Failing][] = [
  [
    'at once',
    () => {
      throw new Error(MINE);
    },
  ],
  ['later', () => Promise.reject(new Error(MINE))],
];

/** What operators and users of the client have heard, with stacks. */
interface Heard {
  readonly faults: string[];
}

/** Has the handler called, and tells whether somebody must have heard of it. */
type Row = (fail: Failing, heard: Heard) => Promise<void>;

const log = ({ faults }: Heard): Logger => ({
  debug() {},
  info() {},
  warn() {},
  error: fields => void faults.push(String((fields as { stack?: string }).stack)),
});

/** A conversation, and proof that both it and another one live on. */
async function between(
  heard: Heard,
  options: Partial<ServerOptions>,
  act: (client: ClientConnection, server: Server) => Promise<unknown>,
  dialling: Partial<DialOptions> = {},
): Promise<void> {
  const server = testServer({
    log: log(heard),
    ...options,
    channels: { 'good@x': open => void open.accept({}), ...options.channels },
  });
  const fault = (error: unknown) => heard.faults.push(String((error as Error).stack));
  const bystander = await call(server, dialling);
  const { client } = await call(server, { fault, ...dialling });
  await act(client, server);
  await until(() => heard.faults.length > 0);
  for (const alive of [client, bystander.client]) {
    await (await alive.open('good@x')).close();
    await alive.close();
  }
}

/** It does not come to a connection: `dial` says why. */
async function dialFails(heard: Heard, options: Partial<DialOptions>, server = testServer()): Promise<void> {
  await call(server, options).then(
    () => assert.unreachable('signed in'),
    (error: Error) => heard.faults.push(String(error.stack)),
  );
}

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('it was granted'),
    error => assert.instance(error, OpenError),
  );

/** One request to a session of ours, and what came of it. */
const inSession =
  (
    make: (fail: Failing) => SessionHandlers,
    act: (client: ClientConnection) => Promise<unknown> = client => client.exec('x'),
  ): Row =>
  (fail, heard) =>
    between(heard, { channels: { session: sessions(make(fail)) } }, act);

/** A session that hangs `name` on itself and waits; then the client does something that calls it. */
const onSession = (name: 'onresize' | 'onsignal' | 'onbreak', act: (client: ClientConnection) => Promise<unknown>) =>
  inSession(
    fail => ({
      shell(session: Session) {
        session[name] = fail;
        return session.write('ready\n').then(() => {});
      },
    }),
    act,
  );

const shell = async (client: ClientConnection) => {
  const running = await client.shell();
  for await (const _ of running.stdout) break;
  return running;
};

/** A channel whose handler is `{ [name]: fail }`; it is closed, and no other. */
const onChannel =
  (name: 'data' | 'eof' | 'writable', act: (stream: ChannelStream) => Promise<unknown>): Row =>
  (fail, heard) =>
    between(heard, { channels: { 'bad@x': open => void open.accept({ [name]: fail }, 16) } }, async client => {
      const stream = await client.open('bad@x');
      void act(stream);
      await stream.closed;
    });

const stream = (
  set: (stream: ChannelStream, fail: Failing) => void,
  act: (stream: ChannelStream) => Promise<unknown>,
) =>
  ((fail, heard) => {
    const bad: ServerOptions['channels'] = {
      'bad@x'(open) {
        const it = new ChannelStream();
        set(it, fail);
        it.channel = open.accept(it.handler);
      },
    };
    return between(heard, { channels: bad }, async client => act(await client.open('bad@x')));
  }) satisfies Row;

/** Sign-in goes on to the password. */
const signIn =
  (
    authenticator: (fail: Failing) => ServerOptions['authenticators'][number],
    options: Partial<DialOptions> = {},
  ): Row =>
  (fail, heard) =>
    between(
      heard,
      { provider: signing, authenticators: [authenticator(fail), passwords(() => true)] },
      async () => {},
      {
        provider: signing,
        password: 'x',
        ...options,
      },
    );

/** Whose exchange costs a server much. */
const costly = { ...provider, kex: provider.kex.map(kex => ({ ...kex, work: 1 })) };
const ed25519 = byName(noble.signatures, 'ssh-ed25519')!;
const signing = { ...provider, signatures: [...provider.signatures, ed25519] };
const key = ed25519.generate(noble.random);
const line = `${formatPublicKey(publicOf(key))}\n`;
const byKey = (name: keyof AuthorizedKeysOptions, lines = line) =>
  signIn(
    fail =>
      authorizedKeys({
        ...{ provider: signing, keys: () => parseAuthorizedKeys(lines).entries, admitted: () => true },
        [name]: fail,
      }),
    { keys: [key] },
  );

/** A log that fails is nobody's business but its own. */
const logging =
  (level: keyof Logger): Row =>
  async (fail, heard) => {
    const server = testServer({ log: { ...log(heard), [level]: fail } });
    silent(server, '192.0.2.9').receive('SSH-1.5-old\r\n');
    const { client } = await call(server);
    await client.close();
    heard.faults.push(MINE);
  };

/** An event of a connection without a server, at the end that has it. */
const event =
  (side: 'server' | 'client', name: string, act: (pair: Pair) => unknown, lives = true): Row =>
  async (fail, { faults }) => {
    const fault = (error: unknown) => faults.push(String((error as Error).stack));
    const pair = new Pair({
      ...{ provider: costly, hostKey },
      client: { credentials: [{ method: 'password', password: 'x' }] },
      server: { methods: ['password'], banner: 'hello' },
      [`${side}Events`]: { fault, [name]: fail },
    });
    pair.start();
    await turns();
    pair.settle();
    await act(pair);
    pair.settle();
    await turns();
    assert.is(pair.server.stage === 'connection' && !pair.server.closed, lives);
  };

const ROWS: Record<string, Row> = {
  // Servers
  'ServerOptions.channels': (fail, heard) =>
    between(heard, { channels: { 'bad@x': fail } }, client => refused(client.open('bad@x'))),
  'ServerOptions.requests': (fail, heard) =>
    between(heard, { requests: { 'bad@x': fail } }, async client =>
      assert.is(await client.connection.request('bad@x'), undefined),
    ),
  'ServerOptions.signedIn': (fail, heard) => between(heard, { signedIn: fail }, async () => {}),
  'ServerOptions.gone': (fail, heard) =>
    between(heard, { gone: fail }, async (_client, server) => (await call(server)).client.close()),
  'ServerOptions.penalised': async (fail, heard) => {
    await between(heard, { penalised: fail }, async (_client, server) => silent(server, '192.0.2.9').receiveEnd());
  },
  'Logger.debug': logging('debug'),
  'Logger.info': logging('info'),
  'Logger.warn': logging('warn'),
  'Logger.error': logging('error'),
  'RemoteForwardingOptions.allowed': async (fail, heard) => {
    const info = (fields: object) => void heard.faults.push(String((fields as { reason: string }).reason));
    const requests = remoteForwarding({ allowed: fail, log: { ...log(heard), info } });
    await between(heard, { requests }, client => client.listen('localhost', 0).catch(() => {}));
  },
  'directTcpip.allowed': (fail, heard) =>
    between(heard, { channels: { 'direct-tcpip': directTcpip(fail) } }, client => refused(client.forward('a', 1))),
  'directStreamlocal.allowed': (fail, heard) =>
    between(heard, { channels: { 'direct-streamlocal@openssh.com': directStreamlocal(fail) } }, client =>
      refused(client.forwardPath('/a')),
    ),
  // Sign-in
  'Authenticator.answer': signIn(fail => ({ method: 'none', answer: fail })),
  'publicKeys.acceptable': signIn(fail => publicKeys({ acceptable: fail, proven: () => true }), {
    credentials: [{ method: 'publickey', key, sign: (_data, _algorithm, respond) => respond(undefined) }],
  }),
  'publicKeys.proven': signIn(fail => publicKeys({ acceptable: () => true, proven: fail }), { keys: [key] }),
  'passwords.check': (fail, heard) =>
    between(heard, { authenticators: [passwords(fail), passwords(() => true)] }, async () => {}, { password: 'x' }),
  'keyboardInteractive.check': signIn(fail => keyboardInteractive([{ text: '?', echo: false }], fail), {
    interactive: () => ['x'],
  }),
  'AuthorizedKeysOptions.keys': byKey('keys'),
  'AuthorizedKeysOptions.revoked': byKey('revoked'),
  'AuthorizedKeysOptions.admitted': byKey('admitted'),
  'AuthorizedKeysOptions.now': async (fail, heard) => {
    if (WAYS[1][1] === fail)
      heard.faults.push(MINE); // it is no promise that is wanted
    else await byKey('now', `expiry-time="20990101" ${line}`)(fail, heard);
  },
  'KeyPolicy.prefer': async (fail, heard) => {
    if (WAYS[1][1] === fail)
      heard.faults.push(MINE); // the same
    else await byKey('prefer', line + line)(fail, heard);
  },
  // Sessions
  'SessionHandlers.exec': inSession(fail => ({ exec: fail })),
  'SessionHandlers.shell': inSession(
    fail => ({ shell: fail }),
    async client => (await client.shell({ pty: false })).exit,
  ),
  'SessionHandlers.subsystem': inSession(
    fail => ({ subsystem: { x: fail } }),
    async client => (await client.subsystem('x')).exit,
  ),
  'SessionHandlers.pty': inSession(
    fail => ({ shell() {}, pty: fail }),
    client => client.shell().catch(() => {}),
  ),
  'SessionHandlers.refused': inSession(
    fail => ({ refused: fail }),
    client => client.exec('x').catch(() => {}),
  ),
  'Session.onresize': onSession('onresize', async client => (await shell(client)).resize(1, 2)),
  'Session.onsignal': onSession('onsignal', async client => (await shell(client)).kill()),
  'Session.onbreak': onSession('onbreak', async client => (await shell(client)).sendBreak()),
  // Channels
  'ChannelHandler.data': onChannel('data', stream => stream.write('x')),
  'ChannelHandler.eof': onChannel('eof', stream => stream.end()),
  'ChannelHandler.writable': onChannel('writable', async stream => stream.channel.credit(1)),
  'ChannelHandler.request': (fail, heard) =>
    between(heard, { channels: { 'bad@x': open => void open.accept({ request: fail }) } }, async client => {
      const { channel } = await client.open('bad@x');
      assert.is(await channel.request('x', nothing), false);
      assert.not.ok(channel.closeSent, 'the channel lives on');
    }),
  'ChannelHandler.closed': (fail, heard) =>
    between(heard, { channels: { 'bad@x': open => void open.accept({ closed: fail }) } }, async client =>
      (await client.open('bad@x')).close(),
    ),
  'ChannelStream.onclose': stream(
    (it, fail) => (it.onclose = fail),
    it => it.close(),
  ),
  'ChannelStream.onrequest': stream(
    (it, fail) => (it.onrequest = fail),
    async it => assert.is(await it.channel.request('x', nothing), false),
  ),
  'open.opened': (fail, heard) =>
    between(heard, {}, async client => client.connection.mux.open('good@x', nothing, {}, fail, () => {})),
  'open.failed': (fail, heard) =>
    between(heard, {}, async client => {
      if (WAYS[1][1] === fail)
        heard.faults.push(MINE); // it is told, and nothing waits for it
      else client.connection.mux.open('unknown@x', nothing, {}, () => {}, fail);
    }),
  // Connections by themselves
  'ConnectionEvents.auth': event('server', 'auth', () => {}, false),
  'ConnectionEvents.authRefused': async (fail, { faults }) => {
    const fault = (error: unknown) => faults.push(String((error as Error).stack));
    const peer = RawPeer.keyed({ events: { fault, authRefused: fail } });
    peer.askService();
    const data = new Writer().boolean(false).string('an algorithm that nobody has').string('x').finish();
    peer.send(USERAUTH_REQUEST, { user: 'alice', service: 'ssh-connection', method: 'publickey', data });
    await turns();
    peer.take(USERAUTH_FAILURE);
    peer.quiet();
  },
  'ConnectionEvents.ready': event('server', 'ready', () => {}),
  'ConnectionEvents.costly': event('server', 'costly', () => {}),
  'ConnectionEvents.banner': event('client', 'banner', () => {}),
  'ConnectionEvents.hostKey': event('client', 'hostKey', () => {}, false),
  'ConnectionEvents.channelOpen': event('server', 'channelOpen', pair => {
    void pair.client.open('x').catch(() => {});
    pair.settle();
    return turns();
  }),
  'ConnectionEvents.globalRequest': event('server', 'globalRequest', pair => {
    void pair.client.request('x');
    pair.settle();
    return turns();
  }),
  'ConnectionEvents.closed': event('server', 'closed', pair => pair.client.disconnect(), false),
  'ConnectionEvents.fault': async (fail, { faults }) => {
    const events = {
      fault: fail,
      ready() {
        faults.push(MINE);
        throw new Error('a fault');
      },
    };
    const pair = new Pair({ provider, hostKey, serverEvents: events }).start();
    assert.is(pair.server.stage, 'connection');
  },
  // Links between processes
  'MuxOptions.channelOpen': (fail, heard) => link(fail, heard, 'channelOpen'),
  'MuxOptions.globalRequest': (fail, heard) => link(fail, heard, 'globalRequest'),
  // Clients
  'DialOptions.hostKey': (fail, heard) => dialFails(heard, { hostKey: fail }),
  'DialOptions.banner': (fail, heard) =>
    dialFails(
      heard,
      { banner: fail, credentials: [{ method: 'password', password: 'x' }] },
      testServer({ banner: 'x', authenticators: [{ method: 'password', answer: () => turns().then(() => NO) }] }),
    ),
  'SignInOptions.password': (fail, heard) =>
    dialFails(heard, { password: fail }, testServer({ authenticators: [passwords(() => true)] })),
  'SignInOptions.interactive': (fail, heard) =>
    dialFails(
      heard,
      { interactive: fail },
      testServer({ authenticators: [keyboardInteractive([{ text: '?', echo: false }], () => true)] }),
    ),
  'DialOptions.hostKeys': (fail, heard) =>
    between(heard, SIGNED, async () => {}, { provider: signing, hostKeys: fail }),
  'DialOptions.fault': (fail, heard) =>
    between(heard, SIGNED, async () => void heard.faults.push(MINE), {
      ...{ provider: signing, hostKeys: WAYS[0][1], fault: fail },
    }),
  'ClientConnection.listen': (fail, heard) => {
    const requests = { 'tcpip-forward': () => true };
    return between(heard, { requests }, async (client, server) => {
      await client.listen('localhost', 80, fail);
      const { connection } = server.clients[server.clients.length - 1];
      await calls(connection);
    });
  },
};

const NO = { result: 'reject' } as const;
const SIGNED = { provider: signing, hostKeys: [key] };
/** A server's end calls a listener of its client's. */
async function calls(connection: Server['clients'][number]['connection']): Promise<void> {
  const { FORWARDED_TCPIP } = await import('../../../src/protocol/channels/forwarding.ts');
  const { pack } = await import('../../../src/protocol/wire/codec.ts');
  const data = pack(FORWARDED_TCPIP, { host: 'localhost', port: 80, originHost: 'a', originPort: 1 });
  await connection.open('forwarded-tcpip', data);
}

async function link(fail: Failing, { faults }: Heard, name: 'channelOpen' | 'globalRequest'): Promise<void> {
  const [a, b] = socketPair();
  const quiet = { channelOpen() {}, globalRequest: () => true };
  const near = new PlainLink(a, quiet);
  new PlainLink(b, { ...quiet, [name]: fail, fault: error => faults.push(String((error as Error).stack)) });
  if (name === 'globalRequest') assert.is(await near.mux.request('x', nothing), false);
  else await refused(new Promise((resolve, reject) => near.mux.open('x', nothing, {}, resolve, reject)));
  near.close();
  await turns();
}

/** Not called by us while a connection is served, or not to be guarded, and why. */
const OTHERS: Record<string, string> = {
  'ConnectionEvents.output': 'the driver’s own',
  'PlainLinkOptions.fault': 'must not throw, as it says',
  'KnownHostsOptions.now': 'dial throws what it throws, as it says',
  'KnownHostsOptions.problem': 'the same',
  'KnownHostsOptions.strict': 'the same',
  'AgentOptions.problem': 'called by whoever has asked the agent for its keys',
};

for (const [name, row] of Object.entries(ROWS)) {
  for (const [way, fail] of WAYS) {
    test(
      `${name} fails ${way}`,
      bounded(180, async () => {
        const heard: Heard = { faults: [] };
        await row(fail, heard);
        assert.ok(heard.faults.length > 0, 'nobody has heard of it');
        assert.ok(heard.faults[0].includes(MINE), heard.faults[0]);
      }),
    );
  }
}

test('every function that is given to the library is here', () => {
  const known = [...Object.keys(ROWS), ...Object.keys(OTHERS)];
  assert.equal(
    handlers().filter(name => !known.includes(name)),
    [],
  );
  assert.ok(handlers().length > 40);
});

test('and a new one is found', () => {
  const source = [
    'export interface NewOptions extends Old {',
    '  /** Text. */',
    '  readonly text: string;',
    '  told?(what: string): void;',
    '  readonly also?: (what: string) => void;',
    '}',
    'export class Thing {',
    '  onnews: ((what: string) => void) | undefined;',
    '  act(): void {}',
    '}',
  ].join('\n');
  assert.equal(handlersIn(source), ['NewOptions.told', 'NewOptions.also', 'Thing.onnews']);
});

test.after(closeServers);
test.run();
