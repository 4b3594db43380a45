// The board: names, lines, and which line a call is put through to.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Board, LineRefused, NoSuchLine, type Peer } from '../../../src/apps/switchboard/lines.ts';
import { aliasOf, hostName, parseTarget } from '../../../src/apps/switchboard/names.ts';
import type { Client } from '../../../src/server/server.ts';

let id = 0;
function peer(name: string, fingerprint = 'SHA256:a', alias = `${name}-0000000000`): Peer {
  return { client: { id: ++id } as Client, key: new Uint8Array(0), fingerprint, name, alias, lines: [] };
}

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
  assert.equal(parseTarget('alice.'), { name: 'alice', index: 0 });
  assert.equal(parseTarget('a~b'), { name: 'a~b', index: 0 });
});

test('a line is found by alias and port, by the plain name only with the same key', () => {
  const board = new Board();
  const alice = peer('alice');
  const line = board.plug(alice, 'localhost', 6379);
  assert.is(board.find(peer('bob', 'SHA256:b'), 'alice-0000000000', 6379).line, line);
  assert.is(board.find(peer('bob', 'SHA256:a'), 'alice', 6379).peer, alice);
  assert.throws(() => board.find(peer('bob', 'SHA256:b'), 'alice', 6379), /no line named alice/);
  assert.throws(() => board.find(alice, 'alice-0000000000', 6380), /no line on port 6380/);
  assert.throws(() => board.find(alice, 'alice-0000000000~1', 6379), /no provider number 1/);
  assert.throws(
    () => board.find(alice, 'nobody', 1),
    (error: Error) => error instanceof NoSuchLine,
  );
});

test('of several providers the newest comes first, and the next takes its place when it leaves', () => {
  const board = new Board();
  const [older, newer] = [peer('alice'), peer('alice')];
  board.plug(older, '', 1);
  board.plug(newer, '', 1);
  const call = (name: string) => board.find(older, name, 1).peer;
  assert.is(call('alice-0000000000'), newer);
  assert.is(call('alice-0000000000~0'), newer);
  assert.is(call('alice-0000000000~1'), older);
  board.remove(newer);
  assert.is(call('alice-0000000000'), older);
  board.remove(older);
  assert.throws(() => call('alice-0000000000'), /no line named/);
  assert.equal(board.providers, []);
});

test('ports: 0 allocates, doubles and impossible ones are refused, lines are limited', () => {
  const board = new Board();
  const alice = peer('alice');
  assert.is(board.plug(alice, 'localhost', 0).port, 49152);
  assert.is(board.plug(alice, 'localhost', 0).port, 49153);
  assert.throws(
    () => board.plug(alice, '*', 49153),
    (error: Error) => error instanceof LineRefused,
  );
  assert.throws(() => board.plug(alice, '', 65536), /does not exist/);
  assert.throws(() => board.plug(alice, 'a\0b', 1), /no address/);
  for (let port = 1; port <= 62; port++) board.plug(alice, '', port);
  assert.throws(() => board.plug(alice, '', 63), /more than 64/);
});

test('a line is taken out by exactly what it was asked for with', () => {
  const board = new Board();
  const alice = peer('alice');
  board.plug(alice, 'localhost', 5);
  assert.not(board.unplug(alice, '', 5));
  assert.ok(board.unplug(alice, 'localhost', 5));
  assert.not(board.unplug(alice, 'localhost', 5));
  assert.equal(board.providers, []);
});

test.run();
