// The real ssh against our server's own forwarding: ports and Unix sockets both ways; and what it asks for that we refuse, or hear with one ear.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ClientConnection } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { formatPublicKey, publicOf } from '../../src/crypto/keys/index.ts';
import { Connection, type ConnectionEvents } from '../../src/protocol/connection.ts';
import {
  type Client,
  connect,
  Driver,
  directStreamlocal,
  directTcpip,
  listen,
  remoteForwarding,
  type Session,
  sessions,
  type Socket as Wire,
} from '../../src/server/index.ts';
import { echoes, echoServer, freePort, listening, tcpConnect, unixConnect, unixEcho } from '../kit/loopback.ts';
import { bounded, type Child, type Scope, soon } from '../kit/processes.ts';
import {
  anyKey,
  commands,
  hostKeys,
  type InProcess,
  knownHost,
  readKey,
  serve,
  ssh,
  sshd,
  type Target,
} from '../kit/ssh.ts';
import { needs, which } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** A server that forwards all but what is called "forbidden"; what it was asked, and why it refused. */
async function forwarder(scope: Scope): Promise<InProcess & { asked: object[]; reasons: string[] }> {
  const asked: object[] = [];
  const reasons: string[] = [];
  const allowed = (target: object) => asked.push(target) > 0 && !JSON.stringify(target).includes('forbidden');
  const server = await serve(scope, {
    provider: accelerated,
    authenticators: [anyKey()],
    channels: {
      session: commands,
      'direct-tcpip': directTcpip(allowed),
      'direct-streamlocal@openssh.com': directStreamlocal(path => allowed({ path })),
    },
    requests: remoteForwarding({
      allowed,
      log: {
        debug() {},
        info: fields => void reasons.push((fields as { reason: string }).reason),
        warn() {},
        error() {},
      },
    }),
  });
  return { ...server, asked, reasons };
}

/** `ssh -N` with forwards, once the server has agreed to those of -R. */
async function forwarding(scope: Scope, target: Target, args: readonly string[], remote: number): Promise<Child> {
  const child = ssh(scope, target, 'alice', ['-v', '-N', ...args]);
  const pattern = remote > 0 ? `(?:remote forward success for[\\s\\S]*?){${remote}}` : 'Entering interactive session';
  await soon('the forwards', child.says(new RegExp(pattern), 'stderr'), 60);
  return child;
}

it(
  'ssh -R: a port, any port, a Unix socket; gone when ssh is',
  bounded(180, async scope => {
    const server = await forwarder(scope);
    const echo = `127.0.0.1:${await echoServer(scope)}`;
    const port = await freePort();
    const directory = scope.directory();
    const [there, target] = [join(directory, 'there'), join(directory, 'target')];
    await unixEcho(scope, target);
    const child = await forwarding(
      scope,
      server,
      ['-R', `127.0.0.1:${port}:${echo}`, '-R', `0:${echo}`, '-R', `${there}:${target}`],
      3,
    );
    await echoes(await tcpConnect(scope, port), 'a port');
    const [, any] = await child.says(/Allocated port (\d+) for remote forward/, 'stderr');
    await echoes(await tcpConnect(scope, Number(any)), 'any port');
    await echoes(await unixConnect(scope, there), 'a Unix socket');
    // ssh asks for all three at once.
    const sorted = (all: object[]) => all.map(one => JSON.stringify(Object.entries(one).sort())).sort();
    const expected = [
      { kind: 'tcp', host: '127.0.0.1', port, address: '127.0.0.1' },
      { kind: 'tcp', host: 'localhost', port: 0, address: '127.0.0.1' },
      { kind: 'tcp', host: 'localhost', port: 0, address: '::1' },
      { kind: 'unix', path: there },
    ];
    assert.equal(sorted(server.asked), sorted(expected));
    await child.stop();
    const { server: ours } = server;
    await soon('our server to let go', Promise.all(ours.clients.map(({ closed }) => closed)), 60);
    assert.not.ok(existsSync(there));
    for (const one of [port, Number(any)]) {
      assert.match(String(await tcpConnect(scope, one).catch(error => error)), /ECONNREFUSED/);
    }
  }),
);

it(
  'ssh -R that is refused: ssh says so, and our log why',
  bounded(180, async scope => {
    const server = await forwarder(scope);
    const busy = await echoServer(scope);
    for (const [forward, reason] of [
      [`127.0.0.1:${busy}:127.0.0.1:1`, /EADDRINUSE/],
      ['/forbidden/x:127.0.0.1:1', /^not allowed$/],
    ] as const) {
      const { code, stderr } = await ssh(scope, server, 'alice', ['-N', '-R', forward]).ended;
      assert.is(code, 255);
      assert.match(stderr, /remote port forwarding failed/);
      assert.match(server.reasons.pop() ?? '', reason);
    }
  }),
);

it(
  'ssh -L and -W: to a port, to a Unix socket, from a Unix socket; and where it may not go',
  bounded(180, async scope => {
    const server = await forwarder(scope);
    const echo = `127.0.0.1:${await echoServer(scope)}`;
    const directory = scope.directory();
    const [here, target] = [join(directory, 'here'), join(directory, 'target')];
    await unixEcho(scope, target);
    const [one, two, three] = [await freePort(), await freePort(), await freePort()];
    await forwarding(
      scope,
      server,
      [
        ...['-L', `127.0.0.1:${one}:${echo}`, '-L', `127.0.0.1:${two}:${target}`],
        ...['-L', `${here}:${echo}`, '-L', `127.0.0.1:${three}:forbidden:80`],
      ],
      0,
    );
    for (const port of [one, two, three]) await listening(port, 60);
    await echoes(await tcpConnect(scope, one), 'port to port');
    await echoes(await tcpConnect(scope, two), 'port to Unix socket');
    await echoes(await unixConnect(scope, here), 'Unix socket to port');
    const refused = await tcpConnect(scope, three);
    await soon('the end', new Promise(resolve => refused.on('close', resolve).on('end', resolve).resume()), 60);
    const through = await ssh(scope, server, 'alice', ['-W', echo], { input: 'through and back' }).ended;
    assert.is(through.stdout.toString(), 'through and back');
    const turned = await ssh(scope, server, 'alice', ['-W', 'forbidden:1']).ended;
    assert.match(turned.stderr, /administratively prohibited: not allowed/);
  }),
);

it(
  'ssh -X, -Y and -A: refused, and the command runs all the same',
  bounded(180, async scope => {
    const asked: string[] = [];
    const server = await serve(scope, {
      provider: accelerated,
      authenticators: [anyKey()],
      channels: {
        session: (open, client) => {
          commands(
            {
              ...open,
              accept: (handler, ...rest) =>
                open.accept(
                  {
                    ...handler,
                    request: request => {
                      asked.push(request.type);
                      return handler.request!(request);
                    },
                  },
                  ...rest,
                ),
            },
            client,
          );
        },
      },
    });
    const { code, stdout, stderr } = await ssh(scope, server, 'alice', ['-v', '-Y', '--', 'echo in'], {
      env: { DISPLAY: '127.0.0.1:77' },
      config: ['XAuthLocation /nowhere'],
    }).ended;
    assert.is(code, 0, stderr);
    assert.is(stdout.toString(), 'in\n');
    assert.match(stderr, /X11 forwarding request failed on channel 0/);
    assert.ok(asked.includes('x11-req'));

    const agent = join(scope.directory(), 'agent');
    if (which('ssh-agent') === undefined) return;
    const running = scope.start('ssh-agent', ['-D', '-a', agent]);
    await running.says(/SSH_AUTH_SOCK/);
    const forwarded = await ssh(scope, server, 'alice', ['-v', '-A', '--', 'echo in'], {
      config: [`IdentityAgent ${agent}`],
      env: { SSH_AUTH_SOCK: agent },
    }).ended;
    assert.is(forwarded.code, 0, forwarded.stderr);
    assert.is(forwarded.stdout.toString(), 'in\n');
    assert.match(forwarded.stderr, /Requesting (?:authentication )?agent forwarding/);
    assert.ok(asked.includes('auth-agent-req@openssh.com'));
  }),
);

/** OpenSSH says eow@openssh.com to its own kind only, so here is one of us who calls itself that. */
const ident = 'SSH-2.0-OpenSSH_9.2';
const disguise = { provider: accelerated, ident };

function drive(socket: Wire, make: (events: Pick<ConnectionEvents, 'output'>) => Connection): Connection {
  const driver = new Driver(socket);
  const connection = make({ output: () => driver.wake() });
  driver.start(connection);
  return connection;
}

it(
  'eow@openssh.com: ssh says that nobody reads any more, and hears it from us',
  bounded(180, async scope => {
    const stopped: string[] = [];
    const run = async (command: string, session: Session) => {
      if (command === 'write') {
        while (await session.write('y\n'));
        stopped.push(session.stream.channel.closeReceived ? 'closed' : 'open');
      } else {
        for await (const _first of session.stream) break;
        session.stream.discard();
        await session.client.connection.ping();
      }
      await session.exit(0);
    };
    const handler = sessions({ exec: run });
    const listener = await listen('127.0.0.1', 0, socket => {
      const connection: Connection = drive(
        socket,
        events =>
          new Connection(
            { ...disguise, role: 'server', hostKeys: hostKeys('ed25519'), methods: ['publickey'] },
            {
              ...events,
              auth: (_question, answer) => answer({ result: 'accept' }),
              channelOpen: open => void handler(open, { connection } as Client),
            },
          ),
      );
    });
    scope.defer(() => void listener.close());
    const { host, port } = listener;
    const server = {
      host,
      port,
      known: hostKeys('ed25519').map(key => knownHost(host, port, formatPublicKey(publicOf(key)))),
    };

    const writing = ssh(scope, server, 'alice', ['--', 'write'], { unread: true });
    writing.process.stdout!.destroy();
    await writing.ended;
    assert.equal(stopped, ['open'], 'it is told while the channel is open');
    const fed = ssh(scope, server, 'alice', ['-vv', '--', 'feed']);
    fed.write('first');
    assert.match((await fed.ended).stderr, /rcvd eow/);
  }),
);

needs(
  test,
  'sshd',
  'ssh-keygen',
)(
  'eow@openssh.com: sshd says that the command reads no more, and writing ends',
  bounded(180, async scope => {
    const { host, port, user } = await sshd(scope, [{ owner: 'alice' }]);
    const socket = await connect(host, port);
    let ready!: () => void;
    let over!: (error: Error) => void;
    const signedIn = new Promise<void>(resolve => (ready = resolve));
    const closed = new Promise<Error>(resolve => (over = resolve));
    const connection = drive(
      socket,
      events =>
        new Connection(
          { ...disguise, role: 'client', user, credentials: [{ method: 'publickey', key: readKey('alice') }] },
          { ...events, hostKey: (_question, answer) => answer(true), ready, closed: over },
        ),
    );
    await soon('the sign-in', signedIn, 60);
    await using client = new ClientConnection(connection, closed);
    const running = await client.start('exec 0<&-; while kill -0 $PPID; do sleep 1; done 2>/dev/null');
    const writing = (async () => {
      while (await running.write(new Uint8Array(32 * 1024)));
    })();
    await soon('writing to end', writing, 60);
    assert.ok(!connection.closed && !running.stream.channel.closeReceived, 'the channel is open');
  }),
);

test.run();
