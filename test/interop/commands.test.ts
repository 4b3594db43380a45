// Our client's commands, forwarding and jump hosts against the real sshd, one for all tests of this file.
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addKnownHost, type ClientConnection, type DialOptions, dial, knownHosts } from '../../src/client/index.ts';
import { parsePublicKey } from '../../src/crypto/keys/index.ts';
import { RequestError } from '../../src/protocol/errors.ts';
import { equalBytes } from '../../src/protocol/wire/reader.ts';
import { echoes, echoServer, readAll, refusesConnections, tcpConnect, unixConnect, unixEcho } from '../kit/loopback.ts';
import { bounded, Scope, soon } from '../kit/processes.ts';
import { keyFile, type Sshd, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'sshd', 'ssh-keygen');
const shared = new Scope();
test.after(() => shared.end());

let starting: Promise<Sshd> | undefined;
const server = () => {
  const config = [
    ...['AcceptEnv A_*', 'Subsystem sftp internal-sftp', 'AllowStreamLocalForwarding yes'],
    `TrustedUserCAKeys ${keyFile('authority')}.pub`,
  ];
  starting ??= sshd(shared, [{ owner: 'alice' }], config);
  return starting;
};

/** Signs in as alice; the server's keys are those of its known_hosts lines. */
async function login(options: Partial<DialOptions> = {}): Promise<ClientConnection> {
  const { host, port, user, known } = await server();
  const keys = known.map(line => parsePublicKey(line.split(' ').slice(1).join(' ')).blob);
  return dial({
    ...{ host, port, user, keys: [readFileSync(keyFile('alice'), 'utf8')] },
    hostKey: blob => keys.some(each => equalBytes(each, blob)),
    ...options,
  });
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What comes, until it has `pattern`. */
async function until(stream: AsyncIterable<Uint8Array>, pattern: RegExp): Promise<string> {
  let all = '';
  const reading = (async () => {
    for await (const bytes of stream) {
      all += text(bytes);
      if (pattern.test(all)) break;
    }
  })();
  await soon(`${pattern}`, reading, 60);
  if (!pattern.test(all)) throw new Error(`ended without ${pattern}: ${all}`);
  return all;
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await promise.catch((error: Error) => error);
  if (value instanceof Error) return value;
  throw new Error('it did not fail');
}

it(
  'a command is talked to while it runs; variables; input in pieces; a signal that ends it',
  bounded(180, async () => {
    await using client = await login();
    const running = await client.start('while read line; do echo "got $line"; done; echo bye >&2; exit 3');
    await running.write('one\n');
    await until(running.stdout, /got one\n/);
    await running.write('two\n');
    await until(running.stdout, /got two\n/);
    await running.end();
    await until(running.stderr, /bye\n/);
    assert.is((await running.exit).status, 3);

    const env = { A_B: 'ü "1"', NOT_ACCEPTED: 'x' };
    assert.is(text((await client.exec('echo "$A_B$NOT_ACCEPTED"', { env })).stdout), 'ü "1"\n');
    async function* pieces() {
      yield 'one ';
      yield new TextEncoder().encode('two');
    }
    assert.is(text((await client.exec('cat', { stdin: pieces() })).stdout), 'one two');
    const killed = await client.exec('echo out; kill -KILL $$');
    assert.equal([text(killed.stdout), killed.status, killed.signal], ['out\n', undefined, 'KILL']);

    // This sshd may signal nobody whose session runs as root, and says so in its log.
    const ours = await client.start('echo begun; exec cat');
    await until(ours.stdout, /begun/);
    ours.kill();
    const { child } = await server();
    const heard = child.says(/session signalling requires privilege separation/, 'stderr').then(() => 'refused');
    const how = await soon('the signal', Promise.race([heard, ours.exit.then(({ signal }) => signal)]), 60);
    assert.ok(how === 'TERM' || (how === 'refused' && process.getuid?.() === 0), how);
    await ours.close();
  }),
);

it(
  'a shell in a terminal: its kind and size, a new size, a key that interrupts, a break',
  bounded(180, async () => {
    await using client = await login();
    await using shell = await client.shell({ term: 'vt220', columns: 99, rows: 33 });
    await shell.write(`PS1=; PS2=; export PS1; exec /bin/sh\n`);
    await shell.write(`trap 'echo now $(stty size)' WINCH; echo $TERM $(stty size) ready\n`);
    await until(shell.stdout, /vt220 33 99 ready\r\n/);
    shell.resize(132, 50);
    await shell.write('\n');
    await until(shell.stdout, /now 50 132\r\n/);
    await shell.write(`sh -c 'trap "echo caught; exit" INT; echo waiting; while :; do sleep 1; done'\n`);
    await until(shell.stdout, /waiting\r\n/);
    await shell.write('\x03');
    await until(shell.stdout, /caught\r\n/);
    assert.ok(await shell.sendBreak(), 'there is a line to break');
    await shell.write('exit 5\n');
    assert.is((await shell.exit).status, 5);
    const plain = await client.start('cat');
    assert.not.ok(await plain.sendBreak(), 'there is none');
    await plain.close();
  }),
);

it(
  'a subsystem answers; one that it has not is refused, and so says the error',
  bounded(180, async () => {
    await using client = await login();
    const sftp = await client.subsystem('sftp');
    // SSH_FXP_INIT, version 3; the answer is SSH_FXP_VERSION.
    await sftp.write(Uint8Array.of(0, 0, 0, 5, 1, 0, 0, 0, 3));
    for await (const answer of sftp.stdout) {
      assert.equal([answer[4], answer[8]], [2, 3]);
      break;
    }
    await sftp.close();
    const refused = await failure(client.subsystem('nfs'));
    assert.instance(refused, RequestError);
    assert.match(refused.message, /refused the subsystem nfs/);
    assert.is(text((await client.exec('echo on')).stdout), 'on\n');
  }),
);

it(
  'nobody reads any more: the command is told, and stops; by web streams',
  bounded(180, async () => {
    await using client = await login();
    const running = await client.start('while echo y; do :; done 2>/dev/null; echo stopped >&2; exit 9');
    const reader = running.readable.getReader();
    assert.match(text((await reader.read()).value!), /^y\n/);
    await reader.cancel();
    // Without eow@openssh.com it would go on writing for ever.
    const how = await soon('the command to end', running.exit, 60);
    assert.ok(how.signal === 'PIPE' || how.status === 9, JSON.stringify(how));
  }),
);

it(
  'giving up a command, one that reads and one that is in a terminal',
  bounded(180, async () => {
    await using client = await login();
    const reason = new Error('enough');
    for (const [command, pty] of [
      ['echo begun; cat', false],
      ['echo begun; sleep 1000', true],
    ] as const) {
      const stop = new AbortController();
      const running = await client.start(command, { pty, signal: stop.signal });
      await until(running.stdout, /begun/);
      stop.abort(reason);
      assert.is(await failure(running.exit), reason);
      await soon('the channel to close', running.stream.closed, 60);
    }
    assert.is(text((await client.exec('echo on')).stdout), 'on\n');
  }),
);

it(
  'ports on both sides: -L, -R, and callers of its listener in a loop',
  bounded(180, async scope => {
    await using client = await login();
    const echo = { host: '127.0.0.1', port: await echoServer(scope) };
    await using local = await client.forwardLocal({ port: 0 }, echo);
    await echoes(await tcpConnect(scope, local.port), 'ssh -L');
    await using remote = await client.forwardRemote({ host: '127.0.0.1', port: 0 }, echo);
    await echoes(await tcpConnect(scope, remote.port), 'ssh -R');
    const listener = await client.listen('127.0.0.1', 0);
    const calling = await tcpConnect(scope, listener.port);
    const ended = readAll(calling);
    for await (const { stream, address, port } of listener) {
      assert.equal([address, port], ['127.0.0.1', calling.localPort]);
      await stream.write('hello');
      await stream.end();
      break;
    }
    assert.is((await soon('the end', ended, 60)).toString(), 'hello');
    assert.ok(await listener.close());
    assert.ok(await refusesConnections(scope, listener.port));
    const failed: Error[] = [];
    await using nowhere = await client.forwardLocal({ port: 0 }, { host: '127.0.0.1', port: 1 }, error =>
      failed.push(error),
    );
    assert.is((await readAll(await tcpConnect(scope, nowhere.port))).length, 0);
    assert.match(failed[0].message, /the server could not connect to 127\.0\.0\.1:1: .*refused/);
  }),
);

it(
  'Unix sockets on both sides',
  bounded(180, async scope => {
    await using client = await login();
    const directory = scope.directory();
    const target = join(directory, 'target');
    await unixEcho(scope, target);
    const stream = await client.forwardPath(target);
    await stream.write('ssh -W PATH');
    await until(stream, /ssh -W PATH/);
    await stream.close();
    const here = join(directory, 'here');
    await using local = await client.forwardLocal({ path: here }, { path: target });
    await echoes(await unixConnect(scope, here), 'ssh -L PATH:PATH');
    const there = join(directory, 'there');
    const remote = await client.forwardRemote({ path: there }, { path: target });
    await echoes(await unixConnect(scope, there), 'ssh -R PATH:PATH');
    assert.match((await failure(client.listenPath(there))).message, /refused to listen on .*there/);
    assert.ok(await remote.close());
    await local.close();
    assert.match((await failure(client.forwardPath(join(directory, 'none')))).message, /refused|could not connect/i);
    assert.not.ok(existsSync(here));
  }),
);

it(
  'through itself to itself, as ssh -J, with a transfer and an orderly end',
  bounded(180, async () => {
    const { host, port } = await server();
    await using jump = await login();
    await using client = await login({ via: jump, host, port });
    const input = new Uint8Array(3_000_000).map((_, i) => i % 251);
    const { stdout, status } = await client.exec('cat', { stdin: input });
    assert.is(status, 0);
    assert.is(Buffer.compare(stdout, input), 0);
    await jump.close();
    await soon('the inner connection to end', client.closed, 60);
  }),
);

it(
  'all its host keys, proven: remembered, each of them lets the next connection in',
  bounded(180, async scope => {
    const { known } = await server();
    const file = join(scope.directory(), 'known_hosts');
    const learning = new Promise<void>((resolve, reject) => {
      void login({
        // RSA proofs are made under the algorithm of the key exchange, or the best that we have.
        hostKeys: async (keys, host) => {
          for (const key of keys) await addKnownHost(file, host, key);
          resolve();
        },
      }).then(client => {
        scope.defer(() => client.close());
        void client.closed.then(reject);
      }, reject);
    });
    await soon('the keys', learning, 60);
    const learnt = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map(line => line.split(' ').slice(0, 3).join(' '));
    assert.equal(learnt.sort(), known.map(line => line.split(' ').slice(0, 3).join(' ')).sort());
    for (const name of ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512']) {
      const strict = Object.assign(knownHosts({ files: [file] }), { prefer: () => [name] });
      await using client = await login({ hostKey: strict });
      assert.is(client.connection.transport.negotiated!.hostKey, name);
    }
  }),
);

needs(
  test,
  'sshd',
  'ssh-keygen',
  'ssh-agent',
  'ssh-add',
)(
  'a certificate lets in a key that no line knows, be it a file or in the agent',
  bounded(180, async scope => {
    const { user } = await server();
    const directory = scope.directory();
    const file = join(directory, 'bob');
    copyFileSync(keyFile('bob'), file);
    copyFileSync(`${keyFile('bob')}.pub`, `${file}.pub`);
    const certify = ['-q', '-s', keyFile('authority'), '-I', 'bob', '-n', user, `${file}.pub`];
    assert.is((await scope.run('ssh-keygen', certify)).code, 0);
    const certificates = [readFileSync(`${file}-cert.pub`, 'utf8')];
    const keys = [readFileSync(file, 'utf8')];
    assert.match((await failure(login({ keys }))).message, /refused .*: tried publickey ssh-ed25519; /);
    await (await login({ keys, certificates })).close();
    const agent = join(directory, 'agent');
    await scope.start('ssh-agent', ['-D', '-a', agent]).says(/SSH_AUTH_SOCK/);
    const alone = { env: { SSH_AUTH_SOCK: agent } };
    assert.is((await scope.run('ssh-add', ['-q', keyFile('bob')], alone)).code, 0);
    assert.match((await failure(login({ keys: [], agent }))).message, /refused/);
    await (await login({ keys: [], agent, certificates })).close();
  }),
);

test.run();
