// The board: names, lines, and which line a call is put through to.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Board,
  LineRefused,
  NoSuchLine,
  type Peer,
  type Place,
  type Provider,
} from '../../../src/apps/switchboard/lines.ts';
import { aliasOf, hostName, parseTarget } from '../../../src/apps/switchboard/names.ts';
import type { Client } from '../../../src/server/server.ts';

let id = 0;
function peer(name: string, owner = 'SHA256:a', alias = `${name}-0000000000`): Peer {
  return {
    ...{ id: `here/${++id}`, place: 'here', client: { id } as Client, names: [], given: [] },
    ...{ owner, name, alias, address: '192.0.2.1', since: 0, doubted: false, lines: [] },
  };
}
const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;
const find = (board: Board, { owner }: Provider, host: string, port: number) =>
  board.find({ owner, fingerprint: owner, given: [], principals: [] }, tcp(host, port));

/** A provider of another process. */
function far(name: string, since: number, ports = [80], place = 'there'): Provider {
  const { client: _client, ...provider } = peer(name);
  return { ...provider, id: `${place}/${id}`, place, since, lines: ports.map(port => tcp('', port)) };
}
const there: Place = { id: 'there', worker: 2, path: '' };

test('an alias follows from secret, key and name, and from nothing else', () => {
  const secret = new Uint8Array(32).fill(1);
  const key = new Uint8Array([1, 2, 3]);
  const alias = aliasOf(secret, key, 'alice');
  assert.match(alias, /^alice-[0-9a-z]{10}$/);
  assert.is(aliasOf(secret, key, 'alice'), alias);
  const others = [
    aliasOf(new Uint8Array(32).fill(2), key, 'alice'),
    aliasOf(secret, new Uint8Array([1, 2, 4]), 'alice'),
    aliasOf(secret, key, 'alicf').replace('alicf', 'alice'),
  ];
  assert.is(new Set([alias, ...others]).size, 4);
});

test('a user name becomes a host name', () => {
  assert.is(hostName('alice'), 'alice');
  assert.is(hostName('Alice Wonder/Land:22@x'), 'alice-wonder-land-22-x');
  assert.is(hostName('--'), 'line');
  assert.is(hostName('ä'), 'line');
  assert.is(hostName('x'.repeat(300)).length, 50);
});

test('targets are taken apart', () => {
  assert.equal(parseTarget('Alice-AB~2'), { name: 'alice-ab', index: 2 });
  assert.equal(parseTarget('alice.'), { name: 'alice', index: undefined });
  assert.equal(parseTarget('a~b'), { name: 'a~b', index: undefined });
});

test('a line is found by alias and port, by the plain name only with the same key', () => {
  const board = new Board();
  const alice = peer('alice');
  const line = board.plug(alice, tcp('localhost', 6379));
  assert.is(find(board, peer('bob', 'SHA256:b'), 'alice-0000000000', 6379).line, line);
  assert.is(find(board, peer('bob', 'SHA256:a'), 'alice', 6379).provider, alice);
  assert.throws(() => find(board, peer('bob', 'SHA256:b'), 'alice', 6379), /no line named alice/);
  assert.throws(() => find(board, alice, 'alice-0000000000', 6380), /no line on port 6380/);
  assert.throws(() => find(board, alice, 'alice-0000000000~1', 6379), /no provider number 1/);
  assert.throws(
    () => find(board, alice, 'nobody', 1),
    (error: Error) => error instanceof NoSuchLine,
  );
});

test('localhost, 127.0.0.1 and ::1 are lines of the connection that calls, and of nothing else', () => {
  const board = new Board({ publicNames: true });
  const [alice, again, mallory] = [
    peer('alice'),
    peer('alice'),
    { ...peer('localhost', 'SHA256:m'), names: ['localhost'] },
  ];
  for (const one of [alice, again, mallory]) board.plug(one, tcp('localhost', 80));
  board.plug(alice, { kind: 'unix', path: '/run/it' });
  const caller = { owner: alice.owner, fingerprint: alice.owner, given: [], principals: [] };
  const own = (host: string, port: number, by?: Peer) => board.find(caller, tcp(host, port), by);
  for (const host of [
    'localhost',
    'LOCALHOST',
    'localhost.',
    '127.0.0.1',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
  ]) {
    assert.is(own(host, 80, alice).provider, alice);
    assert.is(own(host, 80, again).provider, again);
    assert.throws(() => own(host, 81, alice), /is your own connection, and it has no line on port 81/);
    // A node that passes a call on is nobody's own connection, nor is one without lines.
    for (const by of [undefined, peer('alice')]) assert.throws(() => own(host, 80, by), /is your own connection/);
  }
  const path = board.find(caller, { kind: 'unix', path: '/localhost/run/it' }, alice);
  assert.equal(path.line, { kind: 'unix', path: '/run/it' });
  for (const host of ['localhost~0', 'localhost~1', '127.0.0.1~0'])
    assert.throws(() => own(host, 80, alice), /is your own connection/);
  for (const host of ['127.0.0.2', '0.0.0.0', '::', 'localhost.localdomain', ''])
    assert.throws(() => own(host, 80, alice), /no line named/);
  // Under the alias all is as it was.
  assert.is(own('localhost-0000000000', 80, alice).provider, mallory);
});

test('of several providers the newest comes first, and the next takes its place when it leaves', () => {
  const board = new Board();
  const [older, newer] = [peer('alice'), peer('alice')];
  board.plug(older, tcp('', 1));
  board.plug(newer, tcp('', 1));
  const call = (name: string) => find(board, older, name, 1).provider;
  assert.is(call('alice-0000000000'), newer);
  assert.is(call('alice-0000000000~0'), newer);
  assert.is(call('alice-0000000000~1'), older);
  board.remove(newer);
  assert.is(call('alice-0000000000'), older);
  board.remove(older);
  assert.throws(() => call('alice-0000000000'), /no line named/);
  assert.equal(board.providers, []);
});

test('ports: 0 allocates, doubles and impossible ones are refused', () => {
  const board = new Board();
  const alice = peer('alice');
  assert.equal(board.plug(alice, tcp('localhost', 0)), tcp('localhost', 49152));
  assert.equal(board.plug(alice, tcp('localhost', 0)), tcp('localhost', 49153));
  assert.throws(
    () => board.plug(alice, tcp('*', 49153)),
    (error: Error) => error instanceof LineRefused,
  );
  assert.throws(() => board.plug(alice, tcp('', 65536)), /does not exist/);
  assert.throws(() => board.plug(alice, tcp('a\0b', 1)), /no address/);
});

test('a line is taken out by exactly what it was asked for with', () => {
  const board = new Board();
  const alice = peer('alice');
  board.plug(alice, tcp('localhost', 5));
  assert.not(board.unplug(alice, tcp('', 5)));
  assert.ok(board.unplug(alice, tcp('localhost', 5)));
  assert.not(board.unplug(alice, tcp('localhost', 5)));
  assert.equal(board.providers, []);
});

test('providers elsewhere count among those here, newest first, whoever is told of them last', () => {
  const board = new Board({ now: () => 1000 });
  board.learn({ up: there });
  const [near, older, newer] = [peer('alice'), far('alice', 500), far('alice', 1500)];
  board.plug(near, tcp('', 80));
  board.learn({ provider: newer });
  board.learn({ provider: older });
  const names = ['alice-0000000000', 'alice-0000000000~1', 'alice-0000000000~2'];
  assert.equal(
    names.map(name => find(board, near, name, 80).provider),
    [newer, near, older],
  );
  assert.is(find(board, near, 'alice', 80).provider, newer, 'by the plain name, too');
  assert.is(board.providers.length, 3);
  // What is plugged in now comes later than all that is known, though the clock here is behind.
  const last = peer('alice');
  board.plug(last, tcp('', 80));
  assert.is(last.since, 1501);
  assert.is(find(board, near, 'alice-0000000000', 80).provider, last);
});

test('two that have plugged in at the same moment are in the same order everywhere', () => {
  const [one, two] = [far('alice', 7, [80], 'a'), far('alice', 7, [80], 'b')];
  const orders = [
    [one, two],
    [two, one],
  ].map(news => {
    const board = new Board();
    for (const id of ['a', 'b']) board.learn({ up: { ...there, id } });
    for (const provider of news) board.learn({ provider });
    return board.providers.map(({ id }) => id);
  });
  assert.equal(orders[0], orders[1]);
});

test('what is said of a provider is its state: lines come, go and come again with another time', () => {
  const board = new Board();
  board.learn({ up: there });
  const [alice, bob] = [far('alice', 1, [80, 81]), peer('bob', 'SHA256:b')];
  const call = (port: number) => find(board, bob, 'alice-0000000000', port).provider;
  board.learn({ provider: alice });
  board.learn({ provider: alice });
  assert.is(board.providers.length, 1);
  assert.is(call(81), alice);
  const fewer = { ...alice, lines: [tcp('', 80)] };
  board.learn({ provider: fewer });
  assert.is(call(80), fewer);
  assert.throws(() => call(81), /no line on port 81/);
  board.learn({ provider: { ...alice, lines: [] } });
  assert.throws(() => call(80), /no line named/);
  assert.equal(board.providers, []);
});

test('a process that is down takes its providers with it, and what comes from it late is not heeded', () => {
  const board = new Board();
  board.learn({ up: there });
  board.learn({ up: { ...there, id: 'elsewhere' } });
  const [lost, kept, near] = [far('alice', 1), far('alice', 2, [80], 'elsewhere'), peer('alice')];
  for (const provider of [lost, kept]) board.learn({ provider });
  board.plug(near, tcp('', 80));
  board.learn({ down: 'there' });
  assert.equal(
    board.providers.map(({ id }) => id),
    [near.id, kept.id],
  );
  board.learn({ provider: far('alice', 3) });
  board.learn({ provider: far('alice', 4, [80], 'nobody knows where') });
  assert.is(board.providers.length, 2);
});

test('a call from elsewhere finds the provider that it names, while it has the line, and no other', () => {
  const board = new Board();
  board.learn({ up: there });
  const [alice, again, remote] = [peer('alice'), peer('alice'), far('alice', 1)];
  board.learn({ provider: remote });
  const line = board.plug(alice, tcp('', 80));
  board.plug(again, tcp('', 80));
  const name = 'alice-0000000000';
  assert.equal(board.here(alice.id, '80', name), { peer: alice, line });
  assert.equal(board.here(alice.id, '80', 'alice'), { peer: alice, line });
  const gone = (error: Error) => error instanceof NoSuchLine && /unplugged this moment/.test(error.message);
  assert.throws(() => board.here(alice.id, '81', name), gone);
  assert.throws(() => board.here(remote.id, '80', name), gone);
  assert.throws(() => board.here(alice.id, '80', 'bob-0000000000'), gone, 'it is not called that');
  board.remove(alice);
  assert.throws(() => board.here(alice.id, '80', name), gone);
});

test('each change of the lines here is told, and none of those elsewhere', () => {
  const told: [string, number][] = [];
  const board = new Board({ changed: ({ id, lines }) => told.push([id, lines.length]) });
  board.learn({ up: there });
  board.learn({ provider: far('alice', 1) });
  const bob = peer('bob');
  board.remove(bob);
  board.plug(bob, tcp('', 80));
  board.plug(bob, tcp('', 81));
  board.unplug(bob, tcp('', 82));
  board.unplug(bob, tcp('', 80));
  board.remove(bob);
  assert.equal(
    told.map(([, count]) => count),
    [1, 2, 1, 0],
  );
  assert.ok(told.every(([id]) => id === bob.id));
});

test.run();
