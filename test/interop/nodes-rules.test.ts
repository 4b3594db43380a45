// Bans, kicks, invitations and names over several switchboards that share a directory: what one decides holds for all, now and when they have been away.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Seal } from '../../src/apps/switchboard/rules.ts';
import { fingerprint } from '../../src/crypto/keys/index.ts';
import { execute, says } from '../kit/board.ts';
import { echoes, echoServer, tcpConnect } from '../kit/loopback.ts';
import { knows, node, type Redis, redis, startRedis } from '../kit/nodes.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { boardData, consume, keyLine, provide, readKey, type Switchboard, ssh } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen', 'redis-server');

/** A node of a fleet: only keys in its own file, of which everyone has the same to begin with. */
function member(scope: Scope, directory: Redis, args: readonly string[] = [], data?: string): Promise<Switchboard> {
  const file = join(scope.directory(), 'keys');
  const others = ['alice', 'bob', 'carol', 'dave', 'mallory'].map(keyLine);
  writeFileSync(file, `${[`access="admin" ${keyLine('root')}`, ...others].join('\n')}\n`);
  return node(scope, directory, ['--no-enrol', '--authorized-keys', file, ...args], data);
}

/** Three nodes, of which one has two workers. */
const theFleet = shared(test, async scope => {
  const directory = await redis(scope);
  const [a, b, c] = await Promise.all([
    member(scope, directory),
    member(scope, directory, ['--workers', '2']),
    member(scope, directory),
  ]);
  return { directory, whole: scope, a, b, c };
});

/** What an admin is answered, as JSON. */
async function asked<T>(scope: Scope, board: Switchboard, command: string): Promise<T> {
  const { stdout, stderr, code } = await execute(scope, board, 'root', `${command} --json`);
  assert.is(code, 0, stderr);
  return JSON.parse(stdout.toString()) as T;
}

const isIn = async (scope: Scope, board: Switchboard, user: string, key = user): Promise<boolean> =>
  (await execute(scope, board, user, 'whoami', { key })).code === 0;

const bans = async (scope: Scope, board: Switchboard) =>
  (await asked<{ subject: string }[]>(scope, board, 'ban')).map(({ subject }) => subject);

const keyOf = (owner: string): string => fingerprint(readKey(owner).blob);

it(
  'a ban holds on all nodes, whichever one makes it, and so does the end of it',
  bounded(180, async scope => {
    const { a, b, c } = await theFleet(scope);
    const echo = await echoServer(scope);
    const carol = await provide(scope, b, 'carol', [`80:localhost:${echo}`]);
    await knows(scope, a, carol.alias, true, 'root');
    // By her key: her connection is with another node, which may take its time to say so.
    await asked(scope, a, `ban ${keyOf('carol')} --reason noise`);
    await soon('carol to be sent away', carol.child.ended);
    assert.match(carol.child.stderr, /you are banned|not let in any more/);
    for (const board of [a, b, c]) {
      await eventually('the ban to be known', async () => (await bans(scope, board)).includes(keyOf('carol')));
      assert.not(await isIn(scope, board, 'carol'));
    }
    await asked(scope, c, `unban ${keyOf('carol')}`);
    for (const board of [a, b, c]) {
      await eventually('its end to be known', async () => !(await bans(scope, board)).includes(keyOf('carol')));
      assert.ok(await isIn(scope, board, 'carol'));
    }
  }),
);

it(
  'admins see who is connected to which node, and kick whoever is with another one',
  bounded(180, async scope => {
    const { a, b, c } = await theFleet(scope);
    const alice = await provide(scope, b, 'alice', [`80:localhost:${await echoServer(scope)}`]);
    await knows(scope, a, alice.alias, true, 'root');
    await knows(scope, c, alice.alias, true, 'root');
    const bob = await consume(scope, c, 'bob', [`${alice.alias}:80`]);
    await echoes(await tcpConnect(scope, bob.ports[0]), 'hello');
    const [at, from] = [b, c].map(({ port }) => `127.0.0.1:${port}`);
    const lines = await asked<{ alias: string; client: string; node?: string }[]>(scope, a, 'listeners');
    const line = lines.find(({ alias }) => alias === alice.alias);
    assert.is(line?.node, at);
    assert.match((await execute(scope, a, 'root', 'listeners')).stdout.toString(), ` node=${at}\n`);
    // A node that takes its time to answer is left out.
    await eventually('all nodes to answer', async () => {
      const circuits = await asked<{ caller: { name: string }; node?: string }[]>(scope, a, 'circuits');
      return circuits.length === 1 && circuits[0].caller.name === 'bob' && circuits[0].node === from;
    });
    await eventually('it to be shown', async () =>
      (await execute(scope, a, 'root', 'circuits')).stdout.toString().includes(from),
    );
    // One's own only, wherever they are.
    assert.equal(JSON.parse((await execute(scope, a, 'carol', 'circuits --json')).stdout.toString()), []);
    assert.is((await execute(scope, a, 'carol', 'kick bob')).code, 1);
    await eventually('it to be taken', async () => (await execute(scope, a, 'root', 'kick bob')).code === 0);
    await soon('bob to be sent away', bob.child.ended);
    assert.match(bob.child.stderr, /disconnected by root/);
    // By himself, with two workers; by its number, or he would end the connection that he asks by, too.
    await eventually(
      'it to be taken',
      async () => (await execute(scope, c, 'alice', `kick ${line!.client}`)).code === 0,
    );
    await soon('alice to be sent away', alice.child.ended);
  }),
);

it(
  'an invitation lets in one key, once, on whichever node; its code is not in the directory',
  bounded(180, async scope => {
    const { directory, a, b, c } = await theFleet(scope);
    const { user, code } = await asked<{ user: string; code: string }>(scope, a, 'invite --hostname web');
    for (const board of [b, c]) {
      await eventually(
        'it to be known',
        async () => (await asked<unknown[]>(scope, board, 'invite list')).length === 1,
      );
    }
    const client = await open(scope, directory);
    const all = JSON.stringify(await client.hGetAll('cordboard:rules'));
    assert.match(all, /invitation/);
    assert.not.match(all, code);
    // Several at once, each with a key of his own.
    const guests = [a, b, c, b].map((board, i) => isIn(scope, board, user, `guest${i}`));
    assert.is((await Promise.all(guests)).filter(Boolean).length, 1);
    for (const board of [a, b, c]) {
      await eventually(
        'its end to be known',
        async () => (await asked<unknown[]>(scope, board, 'invite list')).length === 0,
      );
      assert.not(await isIn(scope, board, user, 'late'));
    }
  }),
);

it(
  'of two keys that claim a name at the same moment on two nodes one has it, for all; and all list it',
  bounded(180, async scope => {
    const { a, b, c } = await theFleet(scope);
    const [alice, mallory] = await Promise.all(
      (
        [
          [a, 'alice'],
          [b, 'mallory'],
        ] as const
      ).map(async ([board, key]) => provide(scope, board, 'race', [`80:localhost:${await says(scope, key)}`], { key })),
    );
    for (const board of [a, b, c])
      for (const { alias } of [alice, mallory]) await knows(scope, board, alias, true, 'root');
    const heard: string[] = [];
    for (const board of [a, b, c]) {
      heard.push((await ssh(scope, board, 'bob', ['-W', 'race:80'], { input: '' }).ended).stdout.toString());
    }
    assert.ok(['alice', 'mallory'].includes(heard[0]), heard[0]);
    assert.equal(new Set(heard).size, 1);
    for (const board of [a, b, c]) {
      await eventually('the name to be known', async () => {
        const names = await asked<{ name: string; owner: string }[]>(scope, board, 'names');
        return names.some(({ name, owner }) => name === 'race' && owner === keyOf(heard[0]));
      });
    }
  }),
);

it(
  'a name that is given up while a node is down does not come back with it',
  bounded(180, async scope => {
    const directory = await redis(scope);
    const [a, b] = await Promise.all([member(scope, directory), member(scope, directory)]);
    const owners = async (board: Switchboard) =>
      (await asked<{ name: string; owner: string }[]>(scope, board, 'names')).map(({ owner }) => owner);
    const { child } = await provide(scope, a, 'shed', ['80:localhost:7'], { key: 'carol' });
    await eventually('the name to be known', async () => (await owners(b))[0] === keyOf('carol'));
    await child.stop();
    a.child.signal('SIGTERM');
    await soon('the node to end', a.child.ended);
    await asked(scope, b, 'names release shed');
    const again = await member(scope, directory, [], a.data);
    assert.equal(await owners(again), []);
    await provide(scope, again, 'shed', ['80:localhost:7'], { key: 'mallory' });
    for (const board of [again, b]) {
      await eventually('the new owner to be known', async () => (await owners(board))[0] === keyOf('mallory'));
    }
  }),
);

it(
  'while the directory is away each node keeps what it knows, and invitations wait; when it is back, empty, all catch up',
  bounded(180, async scope => {
    const directory = await redis(scope);
    const [a, b] = await Promise.all([member(scope, directory), member(scope, directory, ['--workers', '2'])]);
    await asked(scope, a, `ban ${keyOf('carol')}`);
    await eventually('the ban to be known', async () => (await bans(scope, b)).includes(keyOf('carol')));
    const invited = await asked<{ user: string }>(scope, a, 'invite');
    const [late, early] = [b, a].map(({ child }) => child.says(/"the directory is away/, 'stderr'));
    await directory.child.stop();
    await soon('both to notice', Promise.all([late, early]));

    // What is known holds, also for somebody who starts now; what is new holds where it is made.
    assert.not(await isIn(scope, b, 'carol'));
    await asked(scope, b, `unban ${keyOf('carol')}`);
    assert.ok(await isIn(scope, b, 'carol'));
    assert.not(await isIn(scope, a, 'carol'));
    await asked(scope, a, `ban ${keyOf('dave')}`);
    const dave = await provide(scope, b, 'dave', ['80:localhost:7']);
    assert.not(await isIn(scope, a, invited.user.replace('NAME', 'guest'), 'guest'), 'it may have been used elsewhere');
    a.child.signal('SIGTERM');
    await soon('the node to end', a.child.ended);
    const again = await member(scope, directory, [], a.data);
    assert.not(await isIn(scope, again, 'dave'));

    directory.child = await startRedis(scope, directory.port);
    await soon('dave to be sent away', dave.child.ended);
    assert.match(dave.child.stderr, /not let in any more/);
    await eventually('carol to be let in', () => isIn(scope, again, 'carol'));
    await eventually(
      'the invitation to be known',
      async () => (await asked<unknown[]>(scope, b, 'invite list')).length === 1,
    );
    assert.ok(await isIn(scope, b, invited.user.replace('NAME', 'guest'), 'guest'));
    const { user } = await asked<{ user: string }>(scope, b, 'invite');
    assert.ok(await isIn(scope, b, user.replace('NAME', 'other'), 'other'));
  }),
);

it(
  'who can write to the directory makes no ban and no invitation, and takes no node down',
  bounded(180, async scope => {
    const { directory, a, b } = await theFleet(scope);
    const client = await open(scope, directory);
    const invitation = {
      ...{ hash: '0'.repeat(64), access: ['admin'], expires: Date.now() + 10 ** 7, by: 'nobody' },
    };
    const forged = new Seal(new Uint8Array(32)).seal({ invitation });
    const texts = [
      ...[
        '',
        'null',
        '[]',
        '{"beat":1}',
        '{"place":7,"version":1}',
        '{"gone":{}}',
        '{"released":[]}',
        'x'.repeat(10 ** 6),
      ],
      ...['{"rule":1,"sealed":2}', '{"rule":"ban x","sealed":""}', '{"claimed":"UPPER case","owner":"SHA256:x"}'],
      JSON.stringify({ rule: `invitation ${invitation.hash}`, sealed: forged }),
      JSON.stringify({ place: 'x', version: 1, news: [{ provider: { id: 'x/1', lines: 'none' } }] }),
    ];
    for (const text of texts) await client.publish('cordboard:news', text);
    await client.hSet('cordboard:rules', {
      ...{ 'ban 0.0.0.0/0': 'garbage', [`invitation ${invitation.hash}`]: forged, nothing: '' },
      large: 'x'.repeat(10 ** 6),
    });
    await client.sAdd('cordboard:places', ['nobody', 'x'.repeat(1000)]);
    await client.hSet('cordboard:place:nobody', { place: '{', version: 'x', 'nobody/1': '[]' });
    // A place of nobody's, with times that no date has, and with one that is only in the future: beyond a day nobody is believed.
    const provider = {
      ...{ id: 'evil/1', place: 'evil', owner: keyOf('alice'), name: 'alice', alias: 'alice-0123456789', names: [] },
      ...{ given: [], address: '192.0.2.1', doubted: false, lines: [{ kind: 'tcp', host: '', port: 80 }] },
    };
    await client.hSet('cordboard:place:evil', {
      ...{ place: JSON.stringify({ id: 'evil', worker: 1, node: { host: '192.0.2.1', port: 22 } }), version: '1' },
      'evil/1': JSON.stringify({ ...provider, since: 0 }).replace('"since":0', '"since":1e300'),
      'evil/2': JSON.stringify({ ...provider, id: 'evil/2', since: Date.now() + 10 ** 9 }),
      'evil/3': JSON.stringify({ ...provider, id: 'evil/3', since: Date.now() }),
    });
    await client.sAdd('cordboard:places', 'evil');
    await client.publish('cordboard:news', JSON.stringify({ place: 'evil', version: 1 }));
    const listed = async (board: Switchboard) =>
      (await asked<{ client: string; since: string }[]>(scope, board, 'listeners')).map(one => one.client);
    for (const board of [a, b]) {
      await eventually('what makes sense to be listed', async () => (await listed(board)).includes('evil/3'));
      assert.equal(
        (await listed(board)).filter(one => one.startsWith('evil/')),
        ['evil/3'],
      );
    }
    await client.del('cordboard:place:evil');
    for (const board of [a, b])
      await eventually('it to be gone', async () => !(await listed(board)).some(one => one.startsWith('evil/')));
    const data = boardData(scope);
    const fresh = await member(scope, directory, [], data);
    await soon('the new one to tell of it', fresh.child.says(/not from a switchboard with our alias_secret/, 'stderr'));
    for (const board of [a, b, fresh]) {
      assert.equal(await asked(scope, board, 'invite list'), []);
      assert.not.ok((await bans(scope, board)).some(subject => subject.includes('0.0.0.0')));
    }
    // What is of another kind altogether cannot be read: bans and names stay as they are, and all else goes on.
    await client.del('cordboard:rules');
    await client.set('cordboard:rules', 'text');
    const alice = await provide(scope, fresh, 'alice', [`80:localhost:${await says(scope, 'still here')}`]);
    for (const board of [a, b]) await knows(scope, board, alice.alias, true, 'root');
    await asked(scope, a, `ban ${keyOf('dave')}`);
    await soon('it to be told', a.child.says(/names and bans could not be shared/, 'stderr'));
    await client.del('cordboard:rules');
    await eventually('the ban to be known', async () => (await bans(scope, b)).includes(keyOf('dave')));
    assert.is(
      (await ssh(scope, a, 'bob', ['-W', `${alice.alias}:80`], { input: '' }).ended).stdout.toString(),
      'still here',
    );
  }),
);

async function open(scope: Scope, { url }: Redis) {
  const client = createClient({ url });
  client.on('error', () => {});
  await client.connect();
  scope.defer(() => client.destroy());
  return client;
}

test.run();
