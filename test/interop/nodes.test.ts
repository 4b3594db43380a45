// Several switchboards share a directory in a real Redis: every line is reached from every node; nodes die, Redis is cut off and comes back, and no call ever reaches a wrong line.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CALL_CHANNEL, packCall } from '../../src/apps/switchboard/trunks.ts';
import { type ClientConnection, dial } from '../../src/client/index.ts';
import { type OpenError, pack, TCPIP_FORWARD } from '../../src/protocol/index.ts';
import { echoes, echoServer, readAll, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { knows, LEASE, listeners, node, type Redis, redis, startRedis } from '../kit/nodes.ts';
import { bounded, eventually, pause, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { consume, cordboard, keyFile, type Provider, provide, type Switchboard, ssh } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen', 'redis-server');

/** Three nodes that nobody kills. */
const theFleet = shared(test, async scope => {
  const directory = await redis(scope);
  const nodes = await Promise.all([node(scope, directory), node(scope, directory), node(scope, directory)]);
  return { scope, directory, nodes };
});

let names = 0;
/** A user name that nobody has had. */
const name = () => `p${++names}`;

/** Plugs in line 80. */
const plug = (scope: Scope, board: Switchboard, target: number, user = name(), key = 'alice') =>
  provide(scope, board, user, [`80:localhost:${target}`], { key });

/** What comes out of a call, and what ssh says. */
async function call(scope: Scope, board: Switchboard, target: string, input = '', key = 'bob') {
  const { stdout, stderr, code } = await ssh(scope, board, 'bob', ['-W', target], { input, key }).ended;
  return { text: stdout.toString(), stderr, code };
}

const says = async (scope: Scope, text: string) => (await tcpServer(scope, socket => void socket.end(text))).port;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

it(
  'every line is reached from every node, over one connection between two of them; the newest comes first',
  bounded(180, async scope => {
    const { nodes } = await theFleet(scope);
    const size = 2_000_000;
    const answer = randomBytes(size);
    const { port } = await tcpServer(scope, async socket => {
      socket.write(answer);
      const question = await readAll(socket);
      socket.end(sha256(question));
    });
    const providers: Provider[] = [];
    for (const board of nodes) providers.push(await plug(scope, board, port));
    for (const board of nodes) {
      for (const { alias } of providers) await knows(scope, board, alias);
      const { ports } = await consume(
        scope,
        board,
        'bob',
        providers.map(({ alias }) => `${alias}:80`),
      );
      await Promise.all(
        ports.map(async local => {
          const question = randomBytes(size);
          const socket = await tcpConnect(scope, local);
          socket.end(question);
          const got = await readAll(socket);
          assert.is(sha256(got.subarray(0, size)), sha256(answer));
          assert.is(got.subarray(size).toString(), sha256(question));
        }),
      );
      const connected = board.child.stderr.match(/"msg":"connected to a node"/g);
      assert.is(connected?.length, 2, 'one to each of the other two');
    }
    // Under one alias, on three nodes, one after the other.
    const aliases = [];
    for (const [i, board] of nodes.entries()) {
      const line = `81:localhost:${await says(scope, `number ${i}`)}`;
      const { alias } = await provide(scope, board, 'same', [line], { key: 'alice' });
      for (const other of nodes) {
        await eventually('the node to know of it', async () => {
          return (await listeners(scope, other, 'alice')).split(alias).length === i + 2;
        });
      }
      aliases.push(alias);
    }
    assert.is(new Set(aliases).size, 1);
    for (const board of nodes) {
      const said = [];
      for (const index of ['', '~1', '~2']) said.push((await call(scope, board, `${aliases[0]}${index}:81`)).text);
      assert.equal(said, ['number 2', 'number 1', 'number 0']);
    }
  }),
);

it(
  'a node that is killed loses its lines within the lease, one that says goodbye at once; the others go on',
  bounded(180, async scope => {
    const { directory, nodes } = await theFleet(scope);
    const [a, c] = nodes;
    const b = await node(scope, directory);
    const echo = await echoServer(scope);
    const user = name();
    const [one, two, other] = [
      await plug(scope, a, echo, user),
      await plug(scope, b, echo, user),
      await plug(scope, c, echo),
    ];
    assert.is(one.alias, two.alias);
    const count = async () => (await listeners(scope, a, 'alice')).split(one.alias).length - 1;
    await eventually('both to be known', async () => (await count()) === 2);
    await knows(scope, a, other.alias);
    const { ports } = await consume(scope, a, 'bob', [`${other.alias}:80`, `${one.alias}:80`]);
    const [across, dying] = [await tcpConnect(scope, ports[0]), await tcpConnect(scope, ports[1])];
    await echoes(across, 'before');
    // The newest of the alias is with b.
    await echoes(dying, 'before');
    b.child.signal('SIGKILL');
    assert.is((await soon('the circuit to end', readAll(dying))).length, 0);
    // Until the lease ends a call may be refused, and is put through to nobody else but whoever has the alias.
    await eventually('the dead line to be given up', async () => {
      const { text, stderr, code } = await call(scope, c, `${one.alias}:80`, 'who?');
      if (code === 0) assert.is(text, 'who?');
      else assert.match(stderr, /cannot be reached just now|connection has closed/);
      return code === 0;
    });
    await eventually('its line to go', async () => (await count()) === 1);
    await echoes(across, 'still here');
    const leaving = await node(scope, directory);
    const { alias } = await plug(scope, leaving, echo);
    await knows(scope, a, alias);
    leaving.child.signal('SIGTERM');
    await soon('the node to end', leaving.child.ended);
    assert.not.match(await listeners(scope, a, 'alice'), alias);
  }),
);

for (const [how, cut, back] of [
  [
    'killed, and comes back empty',
    (it: Redis) => it.child.stop(),
    async (it: Redis, scope: Scope) => void (it.child = await startRedis(scope, it.port)),
  ],
  [
    'silent for a while',
    async (it: Redis) => it.child.signal('SIGSTOP'),
    async (it: Redis) => it.child.signal('SIGCONT'),
  ],
] as const) {
  it(
    `Redis is ${how}: calls to live lines go on, the dead are given up afterwards, and what is new is known`,
    bounded(180, async scope => {
      const { scope: whole, directory, nodes } = await theFleet(scope);
      const [a, b] = nodes;
      const c = await node(scope, directory);
      const echo = await echoServer(scope);
      const [mine, dying] = [await plug(scope, b, echo), await plug(scope, c, echo)];
      for (const { alias } of [mine, dying]) await knows(scope, a, alias);
      const { ports } = await consume(scope, a, 'bob', [`${mine.alias}:80`]);
      const circuit = await tcpConnect(scope, ports[0]);
      await echoes(circuit, 'before');
      await cut(directory);
      c.child.signal('SIGKILL');
      const late = await plug(scope, b, echo);
      // Longer than the lease: nobody may be given up for a silence that is the directory's.
      for (const end = Date.now() + LEASE * 1000; Date.now() < end; await pause(500)) {
        assert.is((await call(scope, a, `${mine.alias}:80`, 'hello')).text, 'hello');
      }
      const refused = await call(scope, a, `${dying.alias}:80`);
      assert.match(refused.stderr, /cannot be reached just now/);
      assert.is((await call(scope, a, `${late.alias}:80`)).code, 255);
      await echoes(circuit, 'while it is away');
      await back(directory, whole);
      await knows(scope, a, late.alias);
      await knows(scope, a, dying.alias, false);
      assert.is((await call(scope, a, `${late.alias}:80`, 'hello')).text, 'hello');
      assert.is((await call(scope, a, `${mine.alias}:80`, 'hello')).text, 'hello');
      await echoes(circuit, 'after all');
    }),
  );
}

it(
  'a name belongs to one key on all nodes, and can be given up for all of them',
  bounded(180, async scope => {
    const keys = join(scope.directory(), 'keys');
    writeFileSync(
      keys,
      ['alice', 'bob', 'mallory'].map(owner => readFileSync(`${keyFile(owner)}.pub`, 'utf8')).join(''),
    );
    const { directory } = await theFleet(scope);
    // Without enrolment plain names are for everybody to call.
    const [a, b] = await Promise.all(
      [0, 1].map(() => node(scope, directory, ['--no-enrol', '--authorized-keys', keys])),
    );
    const alice = await provide(scope, a, 'alice', [`80:localhost:${await says(scope, 'alice')}`]);
    await knows(scope, b, alice.alias);
    const port = await says(scope, 'mallory');
    const mallory = await provide(scope, b, 'alice', [`80:localhost:${port}`], { key: 'mallory' });
    await knows(scope, a, mallory.alias, true, 'mallory');
    for (const board of [a, b]) assert.is((await call(scope, board, 'alice:80')).text, 'alice');
    await alice.child.stop();
    await knows(scope, b, alice.alias, false);
    for (const board of [a, b]) assert.is((await call(scope, board, 'alice:80')).code, 255, 'a name that is not there');
    await mallory.child.stop();
    const flags = ['switchboard', '--data', b.data, '--directory', directory.url, 'names', 'release', 'alice'];
    const released = await cordboard(scope, flags, { input: '' }).ended;
    assert.is(released.code, 0, released.stderr);
    const next = await provide(scope, b, 'alice', [`80:localhost:${port}`], { key: 'mallory' });
    await knows(scope, a, next.alias, true, 'mallory');
    assert.is((await call(scope, a, 'alice:80')).text, 'mallory');
  }),
);

it(
  'nodes trust each other by their host keys, and nobody else; a node with several workers is one node',
  bounded(180, async scope => {
    const { directory, nodes } = await theFleet(scope);
    const [a] = nodes;
    const own = join(scope.directory(), 'own');
    const stranger = await node(scope, directory, [], own);
    const text = await says(scope, 'hello');
    const [one, two] = [await plug(scope, a, text), await plug(scope, stranger, text)];
    await knows(scope, a, two.alias);
    await knows(scope, stranger, one.alias);
    for (const [board, alias] of [
      [a, two.alias],
      [stranger, one.alias],
    ] as const) {
      assert.match((await call(scope, board, `${alias}:80`)).stderr, /cannot be reached just now/);
    }
    await stranger.child.stop();

    // Each is told the other's key.
    const publicKey = (data: string) => readFileSync(join(data, 'ssh_host_ed25519_key.pub'), 'utf8');
    const file = join(scope.directory(), 'nodes');
    writeFileSync(file, publicKey(a.data) + publicKey(own));
    const args = ['--node-keys', file, '--workers', '2'];
    const [p, q] = await Promise.all([node(scope, directory, args), node(scope, directory, args, own)]);
    const aliases: string[] = [];
    // On both workers: the connections of a node come to one of them, and have to be passed on to the other.
    for (let i = 0; i < 4; i++) aliases.push((await plug(scope, p, text)).alias);
    for (const alias of aliases) {
      await knows(scope, q, alias);
      for (let j = 0; j < 2; j++) assert.is((await call(scope, q, `${alias}:80`)).text, 'hello');
    }
    const workers = new Set(
      p.child.stderr
        .split('\n')
        .filter(line => line.includes('"line plugged in"'))
        .map(line => (JSON.parse(line) as { worker: number }).worker),
    );
    assert.is(workers.size, 2);
    // Whoever takes the name of a node without its key is an ordinary client, and makes no calls for others.
    const as = (user: string, key: string) =>
      dial({ port: p.port, user, keys: [readFileSync(key, 'utf8')], hostKey: () => true });
    const refused = async (client: ClientConnection, type: string, data?: Uint8Array) => {
      const error = await client.open(type, data).then(
        () => assert.unreachable(`a channel ${type}`),
        (error: OpenError) => error,
      );
      return `${(error as OpenError).reason}: ${(error as OpenError).message}`;
    };
    const origin = { originHost: '192.0.2.1', originPort: 1 };
    const called = packCall({ provider: 'nobody/1', line: '80', name: aliases[0], ...origin });
    const plain = await as('cordboard-node', keyFile('bob'));
    assert.match(await refused(plain, CALL_CHANNEL, called), /^3: channels of this type are not served here$/);
    assert.is((await plain.exec('whoami')).status, 0);
    // And who has the key, nothing else.
    const real = await as('cordboard-node', join(own, 'ssh_host_ed25519_key'));
    assert.match(await refused(real, CALL_CHANNEL, called), /^2: the line has been unplugged this moment$/);
    assert.match(await refused(real, 'session'), /^1: a node makes calls and asks, and nothing else$/);
    const line = pack(TCPIP_FORWARD, { host: '', port: 80 });
    assert.is(await real.connection.request('tcpip-forward', line), undefined);
    for (const client of [plain, real]) await client.close();
  }),
);

test.run();
