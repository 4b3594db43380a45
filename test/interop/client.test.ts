// Our client against the real sshd, with each algorithm and both providers; and against our own switchboard.
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClientConnection, type DialOptions, dial, type RemoteCall } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { parsePublicKey } from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { Disconnect, DisconnectError, OpenError, ProtocolError } from '../../src/protocol/errors.ts';
import { equalBytes } from '../../src/protocol/wire/reader.ts';
import type { ChannelStream } from '../../src/server/index.ts';
import { echoes, echoServer, readAll, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { type KeyType, provide, readKey, ssh, sshd, switchboard, type Target } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'ssh-keygen');
const MIB = 1024 * 1024;

/** Dials with one key, and takes the server's keys from the known_hosts lines. */
async function login(
  scope: Scope,
  target: Target & { user?: string },
  options: Partial<DialOptions> & { keyType?: KeyType; owner?: string } = {},
): Promise<ClientConnection> {
  const known = target.known.map(line => parsePublicKey(line.split(' ').slice(1).join(' ')).blob);
  const client = await dial({
    host: target.host,
    port: target.port,
    user: target.user ?? options.owner ?? 'alice',
    credentials: [{ method: 'publickey', key: readKey(options.owner ?? 'alice', options.keyType) }],
    hostKey: blob => known.some(each => equalBytes(each, blob)),
    ...options,
  });
  scope.defer(() => client.close());
  return client;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function everything(stream: ChannelStream): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const bytes of stream) parts.push(bytes);
  return Buffer.concat(parts);
}

/** What `body` throws. */
async function failure(body: Promise<unknown>): Promise<Error> {
  try {
    await body;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}

const ALL_KEYS = (['ed25519', 'ecdsa', 'rsa'] as const).map(type => ({ owner: 'alice', type }));

for (const provider of [accelerated, noble]) {
  const title = (what: string) => `${what} (${provider.name})`;

  it(
    title('strict key exchange with sshd, and its list of signature algorithms'),
    bounded(180, async scope => {
      const { connection } = await login(scope, await sshd(scope, ALL_KEYS), { provider });
      assert.ok(connection.transport.strict);
      assert.match(text(connection.transport.extensions.get('server-sig-algs')!), /rsa-sha2-512/);
    }),
  );

  it(
    title('exec: status, input, output and errors, and that they do not mix'),
    bounded(180, async scope => {
      const client = await login(scope, await sshd(scope, ALL_KEYS), { provider });
      const both = await client.exec('echo to stdout; echo to stderr >&2; exit 7');
      assert.equal([text(both.stdout), text(both.stderr), both.status], ['to stdout\n', 'to stderr\n', 7]);
      const input = randomBytes(3 * MIB);
      const cat = await client.exec('cat; cat <&0 >&2', { stdin: input });
      assert.is(sha256(cat.stdout), sha256(input));
      assert.is(cat.status, 0);
      const stderr = await client.exec('cat >&2', { stdin: input });
      assert.is(sha256(stderr.stderr), sha256(input));
      // sshd says EOF long before it knows the status.
      assert.is((await client.exec('exec >&- 2>&-; sleep 0.3; exit 4')).status, 4);
      // Killed: there is no status, and that must not look like success.
      assert.is((await client.exec('kill -9 $$')).status, undefined);
      // A program that does not read its input.
      assert.is((await client.exec('exec 0<&-; exit 3', { stdin: input })).status, 3);
      const several = await Promise.all([1, 2, 3, 4, 5].map(n => client.exec(`echo ${n}; exit ${n}`)));
      assert.equal(
        several.map(({ stdout, status }) => text(stdout) + status),
        ['1\n1', '2\n2', '3\n3', '4\n4', '5\n5'],
      );
    }),
  );

  it(
    title('forward: bytes both ways, half-close, and a target that is not there'),
    bounded(180, async scope => {
      const client = await login(scope, await sshd(scope, ALL_KEYS), { provider });
      const { port } = await tcpServer(scope, async socket => void socket.end(sha256(await readAll(socket))));
      const question = randomBytes(3 * MIB);
      const stream = await client.forward('127.0.0.1', port);
      await stream.write(question);
      await stream.end();
      assert.is((await everything(stream)).toString(), sha256(question));
      const refused = await failure(client.forward('127.0.0.1', 1));
      assert.instance(refused, OpenError);
      assert.match(refused.message, /Connection refused/);
      assert.is(text((await client.exec('echo still here')).stdout), 'still here\n');
    }),
  );

  it(
    title('listen and unlisten: sshd hands its callers over, until it is told not to'),
    bounded(180, async scope => {
      const client = await login(scope, await sshd(scope, ALL_KEYS), { provider });
      const listener = await client.listen('127.0.0.1', 0, echo);
      const { port } = listener;
      assert.ok(port > 0);
      const [one, two] = [await tcpConnect(scope, port), await tcpConnect(scope, port)];
      await echoes(one, 'the first');
      await echoes(two, 'the second');
      one.end('and an end');
      assert.is((await soon('the end', readAll(one))).toString(), 'and an end');
      assert.ok(await listener.close());
      assert.match((await failure(tcpConnect(scope, port))).message, /ECONNREFUSED/);
      await echoes(two, 'a circuit that is open goes on');
    }),
  );

  it(
    title('new keys by the server’s wish and by ours, in the middle of traffic'),
    bounded(180, async scope => {
      const input = randomBytes(6 * MIB);
      for (const [config, rekeyBytes] of [
        [['RekeyLimit 1M'], undefined],
        [[], MIB],
        [['RekeyLimit 1M'], MIB],
      ] as const) {
        const client = await login(scope, await sshd(scope, ALL_KEYS, config), { provider, rekeyBytes });
        const { stdout } = await client.exec('cat', { stdin: input });
        assert.is(sha256(stdout), sha256(input));
        const { exchanges } = client.connection.transport;
        assert.ok(exchanges > 4, `${exchanges} key exchanges`);
        await client.close();
      }
    }),
  );

  it(
    title('a host key that is not the right one, and a user key that is not: no connection, and the reason'),
    bounded(180, async scope => {
      const server = await sshd(scope, ALL_KEYS);
      const stranger = await failure(login(scope, server, { provider, hostKey: () => false }));
      assert.instance(stranger, ProtocolError);
      assert.is((stranger as ProtocolError).reason, Disconnect.HOST_KEY_NOT_VERIFIABLE);
      assert.not.match(server.child.stderr, /Accepted|Failed publickey/);
      const refused = await failure(login(scope, server, { provider, owner: 'mallory' }));
      assert.instance(refused, DisconnectError);
      assert.match(refused.message, /refused .*publickey ssh-ed25519/);
    }),
  );
}

/** Sends back what a caller sends, and ends when it does. */
async function echo({ stream }: RemoteCall): Promise<void> {
  for await (const bytes of stream) await stream.write(bytes.slice());
  await stream.end();
  await stream.close();
}

it(
  'two of our clients through our switchboard, and each with a stock ssh for the other end',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    let banner = '';
    const provider = await login(scope, board, { owner: 'alice', banner: message => (banner += message) });
    const eighty = await provider.listen('localhost', 80, echo);
    assert.is(eighty.port, 80);
    const { port } = await provider.listen('localhost', 0, echo);
    const [, alias] = /^Your lines are reached as (\S+):/m.exec(banner)!;
    const caller = await login(scope, board, { owner: 'bob' });
    const input = randomBytes(3 * MIB);
    for (const line of [80, port]) {
      const stream = await caller.forward(alias, line);
      const [, answer] = await Promise.all([stream.write(input).then(() => stream.end()), everything(stream)]);
      assert.is(sha256(answer), sha256(input));
    }
    const refused = await failure(caller.forward(alias, 81));
    assert.instance(refused, OpenError);
    assert.match(refused.message, /has no line on port 81/);
    assert.match(text((await caller.exec('help')).stdout), /listeners/);
    assert.is((await caller.exec('rm')).status, 1);
    assert.ok(await eighty.close());
    assert.match((await failure(caller.forward(alias, 80))).message, /has no line on port 80/);

    // Our caller, ssh's line; ssh's caller, our line.
    const carol = await provide(scope, board, 'carol', [`7:localhost:${await echoServer(scope)}`]);
    const stream = await caller.forward(carol.alias, 7);
    await stream.write(input);
    await stream.end();
    assert.is(sha256(await everything(stream)), sha256(input));
    const { stdout } = await ssh(scope, board, 'dave', ['-W', `${alias}:${port}`], { input }).ended;
    assert.is(sha256(stdout), sha256(input));
  }),
);

test.run();
