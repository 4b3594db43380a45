// Names that are not UTF-8, by way of the real ssh: each costs its channel, its request or its attempt to sign in, and nothing else.
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { directTcpip, remoteForwarding } from '../../src/server/forwarding.ts';
import { echoes, echoServer, freePort, listening, readAll, tcpConnect } from '../kit/loopback.ts';
import { door } from '../kit/once.ts';
import { bounded, type Child, type Scope, soon } from '../kit/processes.ts';
import { anyKey, commands, provide, serve, ssh, sshConfig, switchboard, type Target } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const LATIN1 = Buffer.from('café', 'latin1');

const ours = (scope: Scope) =>
  serve(scope, {
    provider: accelerated,
    authenticators: [anyKey()],
    channels: { session: commands, 'direct-tcpip': directTcpip(() => true) },
    requests: remoteForwarding({ allowed: () => true }),
  });

/** What ssh's SOCKS server says to CONNECT with such a name, as far as it says anything (RFC 1928 §6), and the socket. */
async function connectBy(scope: Scope, socks: number, name: Uint8Array, port: number) {
  const socket = await tcpConnect(scope, socks);
  socket.write(Uint8Array.of(5, 1, 0));
  await soon('the greeting', once(socket, 'data'));
  socket.write(Uint8Array.of(5, 1, 0, 3, name.length, ...name, port >> 8, port & 255));
  return socket;
}

/** ssh answers before it knows whether the channel opens, and closes if it does not. */
async function refused(scope: Scope, socks: number): Promise<void> {
  const socket = await connectBy(scope, socks, LATIN1, 80);
  await soon('ssh to close', readAll(socket));
}

/** A line of cat's comes back. */
async function answers(child: Child): Promise<void> {
  child.write('still here\n');
  await soon('an answer', child.says(/^still here$/m));
}

it(
  'ssh -D, and a SOCKS name that is not UTF-8: that channel is refused, and the session goes on',
  bounded(180, async scope => {
    const echo = await echoServer(scope);
    const target = await ours(scope);
    const socks = await freePort();
    const child = ssh(scope, target, 'alice', ['-D', `127.0.0.1:${socks}`, '--', 'cat']);
    await listening(socks);
    await refused(scope, socks);
    await answers(child);
    const socket = await connectBy(scope, socks, Buffer.from('127.0.0.1'), echo);
    await soon('the reply', once(socket, 'data'));
    await echoes(socket, 'another channel');
  }),
);

it(
  'the same at otssh, where every such channel is refused',
  bounded(180, async scope => {
    const open = await door(scope);
    const socks = await freePort();
    const child = ssh(scope, open, 'alice', ['-D', `127.0.0.1:${socks}`, '--', 'cat']);
    await listening(socks);
    await refused(scope, socks);
    await answers(child);
  }),
);

it(
  'the same at the switchboard, and an address to listen on that is not UTF-8 is a line that cannot be',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const { alias } = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
    const socks = await freePort();
    ssh(scope, board, 'bob', ['-N', '-D', `127.0.0.1:${socks}`]);
    await listening(socks);
    await refused(scope, socks);
    const socket = await connectBy(scope, socks, Buffer.from(alias), 80);
    await soon('the reply', once(socket, 'data'));
    await echoes(socket, 'a circuit of the same connection');
    const refusal = sh(scope, board, 'carol', `-N -R "$(printf 'caf\\351'):80:127.0.0.1:7"`);
    await soon('the refusal', refusal.says(/remote port forwarding failed for listen port 80/, 'stderr'));
  }),
);

it(
  'a user name that is not UTF-8 is refused like any that may not sign in',
  bounded(180, async scope => {
    const { code, stderr } = await soon('ssh', sh(scope, await ours(scope), 'x', `-l "$(printf 'andr\\351')"`).ended);
    assert.is(code, 255);
    assert.match(stderr.toString(), /Permission denied \(publickey\)/);
  }),
);

/** ssh with arguments that a shell makes: bytes that are no text. */
function sh(scope: Scope, target: Target, user: string, args: string): Child {
  const config = sshConfig(scope, target, user);
  return scope.start('sh', ['-c', `exec ssh -F '${config}' -p ${target.port} ${args} ${target.host} true`], {
    input: '',
  });
}

test.run();
