// Whom a call reaches: names that are public or not, who may call, several providers, in turn or the newest; connections in doubt; sockets.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withoutCodes } from '../../../src/apps/switchboard/codes.ts';
import type { Caller } from '../../../src/apps/switchboard/grants.ts';
import {
  Board,
  type BoardOptions,
  type Line,
  LineRefused,
  NoSuchLine,
  NotForYou,
  type Peer,
} from '../../../src/apps/switchboard/lines.ts';
import { aliasOf, hostName, isName, looksLikeAlias, parseUser } from '../../../src/apps/switchboard/names.ts';
import type { Client } from '../../../src/server/server.ts';
import { notes } from '../../kit/served.ts';

let id = 0;
function peer(name: string, changes: Partial<Peer> = {}): Peer {
  return {
    ...{ id: String(++id), place: '', client: { id } as Client, owner: 'A', name, alias: `${name}-0123456789` },
    ...{ names: [], given: [], address: '192.0.2.1', since: 0, doubted: false, lines: [] },
    ...changes,
  };
}
const caller = (owner: string, changes: Partial<Caller> = {}): Caller => ({
  ...{ owner, fingerprint: owner, given: [], principals: [] },
  ...changes,
});
const tcp = (host: string, port = 80): Line => ({ kind: 'tcp', host, port });
const unix = (path: string): Line => ({ kind: 'unix', path });
const board = (options: BoardOptions = {}) => new Board({ now: () => 1, ...options });
const [own, stranger] = [caller('A'), caller('B')];

const refuses = (body: () => unknown, kind: new () => Error, sentence: RegExp) =>
  assert.throws(body, (error: Error) => error instanceof kind && sentence.test(error.message));

test('a claimed name is for its owner; where names are public, for everybody', () => {
  for (const publicNames of [false, true]) {
    const all = board({ publicNames });
    const alice = peer('alice', { names: ['alice'] });
    all.plug(alice, tcp('', 80));
    assert.is(all.find(own, tcp('alice')).provider, alice);
    assert.is(all.find(stranger, tcp(alice.alias)).provider, alice);
    if (publicNames) assert.is(all.find(stranger, tcp('ALICE.')).provider, alice);
    else refuses(() => all.find(stranger, tcp('alice')), NoSuchLine, /no line named alice/);
  }
});

test('a name that the file gives is for everybody, in either case', () => {
  const all = board();
  const web = peer('web', { names: ['web', 'www'], given: ['web', 'www'] });
  all.plug(web, tcp('', 80));
  for (const name of ['web', 'www', web.alias]) assert.is(all.find(stranger, tcp(name)).provider, web);
});

test('whose name it is not is reached by his alias; by the plain name by himself, unless names are public', () => {
  for (const publicNames of [false, true]) {
    const all = board({ publicNames });
    const first = peer('alice', { names: ['alice'] });
    const second = peer('alice', { owner: 'B', alias: 'alice-9876543210' });
    all.plug(first, tcp('', 80));
    all.plug(second, tcp('', 80));
    assert.is(all.find(stranger, tcp(second.alias)).provider, second);
    assert.is(all.find(own, tcp('alice')).provider, first);
    // Where names are public, alice is the first one's, for the second as well.
    assert.is(all.find(stranger, tcp('alice')).provider, publicNames ? first : second);
  }
});

test('allow= keeps others out by alias and by name, and lets those whom it names use the name', () => {
  const all = board();
  const db = peer('db', { names: ['db'], allow: ['bob'] });
  all.plug(db, tcp('', 5432));
  const bob = caller('B', { given: ['bob'] });
  assert.is(all.find(bob, tcp('db', 5432)).provider, db);
  assert.is(all.find(bob, tcp(db.alias, 5432)).provider, db);
  assert.is(all.find(own, tcp('db', 5432)).provider, db, 'its owner');
  refuses(() => all.find(stranger, tcp(db.alias, 5432)), NotForYou, /not for your key/);
  refuses(() => all.find(stranger, tcp('db', 5432)), NoSuchLine, /no line named db/);
});

test('of several providers the newest that has the line; by index whoever it is', () => {
  const all = board();
  const [older, newer] = [peer('alice'), peer('alice')];
  all.plug(older, tcp('', 80));
  all.plug(older, tcp('', 22));
  all.plug(newer, tcp('', 80));
  const call = (host: string, port: number) => all.find(stranger, tcp(host, port)).provider;
  const { alias } = older;
  assert.is(call(alias, 80), newer);
  assert.is(call(alias, 22), older);
  assert.is(call(`${alias}~1`, 22), older);
  refuses(() => call(`${alias}~0`, 22), NoSuchLine, /alice-0123456789~0 has no line on port 22/);
  refuses(() => call(`${alias}~2`, 80), NoSuchLine, /no provider number 2/);
  refuses(() => call(alias, 81), NoSuchLine, /has no line on port 81/);
});

test('with balance calls go to them in turn, not so those by index', () => {
  const all = board({ balance: true });
  const peers = [peer('alice'), peer('alice'), peer('alice')];
  for (const one of peers) all.plug(one, tcp('', 80));
  const called = (host: string) => peers.indexOf(all.find(stranger, tcp(host)).provider as Peer);
  assert.equal(
    Array.from({ length: 6 }, () => called('alice-0123456789')),
    [2, 1, 0, 2, 1, 0],
  );
  assert.equal([called('alice-0123456789~1'), called('alice-0123456789~1')], [1, 1]);
});

test('a newer connection of the same owner with the same line puts the older in doubt, and calls go there last', () => {
  const overtaken: Peer[] = [];
  const settled: [string, boolean][] = [];
  const all = board({
    balance: true,
    overtaken: it => void overtaken.push(it),
    settled: (it, lives) => void settled.push([it.id, lives]),
  });
  const [older, newer, other] = [peer('alice'), peer('alice'), peer('alice', { owner: 'B' })];
  all.plug(older, tcp('', 80));
  all.plug(newer, tcp('', 22));
  all.plug(other, tcp('', 80));
  assert.equal(overtaken, [], 'another line, another owner');
  all.plug(newer, tcp('', 80));
  assert.equal(overtaken, [older]);
  assert.equal(all.olderOf(newer, tcp('', 80)), [older]);
  all.remove(other);
  const call = () => all.find(stranger, tcp('alice-0123456789')).provider;
  all.doubt(older, true);
  assert.equal([call(), call(), call()], [newer, newer, newer]);
  all.doubt(older, false);
  assert.equal(settled, [[older.id, true]]);
  assert.is(new Set([call(), call()]).size, 2);
  all.doubt(older, true);
  all.unplug(newer, tcp('', 80));
  assert.is(call(), older, 'rather than nobody');
  all.remove(older);
  assert.equal(settled, [
    [older.id, true],
    [older.id, false],
  ]);
});

test('sockets: by name and path, one’s own by the path alone', () => {
  const all = board();
  const alice = peer('alice');
  all.plug(alice, unix('/docker.sock'));
  all.plug(alice, unix('/run/x.sock'));
  const found = (who: Caller, path: string) => all.find(who, unix(path)).line;
  assert.equal(found(stranger, '/alice-0123456789/docker.sock'), unix('/docker.sock'));
  assert.equal(found(stranger, '/alice-0123456789~0/run/x.sock'), unix('/run/x.sock'));
  assert.equal(found(own, '/docker.sock'), unix('/docker.sock'));
  assert.equal(found(own, '/alice/docker.sock'), unix('/docker.sock'));
  refuses(() => found(stranger, '/docker.sock'), NoSuchLine, /no line named docker\.sock/);
  refuses(() => found(stranger, '/alice-0123456789/other'), NoSuchLine, /has no line on \/other/);
  refuses(() => all.find(stranger, tcp('alice-0123456789')), NoSuchLine, /no line on port 80/);
  refuses(() => all.plug(alice, unix('/docker.sock')), LineRefused, /plugged in already/);
  for (const path of ['', '/', 'x', '/a b', '/ä', `/${'x'.repeat(255)}`]) {
    refuses(() => all.plug(alice, unix(path)), LineRefused, /path/);
  }
  assert.equal(all.unplug(alice, unix('/docker.sock')), unix('/docker.sock'));
  assert.is(all.unplug(alice, unix('/docker.sock')), undefined);
});

test('names, aliases and codes do not look like each other', () => {
  for (let i = 0; i < 50; i++) {
    const alias = aliasOf(new Uint8Array(32), new Uint8Array([i]), 'alice');
    assert.ok(looksLikeAlias(alias));
    assert.not(isName(alias));
    assert.is(hostName(alias), alias);
  }
  for (const name of ['alice', 'web-production', 'a.b_c', 'x-012345678', 'gw-7']) assert.ok(isName(name), name);
  for (const name of ['', 'Alice', 'a b', '-a', 'a~1', 'a:b', 'x'.repeat(51), 'a-0123456789']) {
    assert.not(isName(name), name);
  }
  assert.equal(parseUser('alice'), { user: 'alice', code: undefined });
  assert.equal(parseUser('alice+0123456789abcdef'), { user: 'alice', code: '0123456789abcdef' });
  assert.equal(parseUser('alice+short'), { user: 'alice+short', code: undefined });
  assert.equal(parseUser('alice+0123456789ABCDEF'), { user: 'alice', code: '0123456789abcdef' });
  assert.equal(parseUser('alice+0123456789abcdeu').code, undefined);
});

test('whatever the user name, its host name is one that can be called, claimed and shared, also where it is cut', () => {
  const users = ['x'.repeat(49), 'x'.repeat(48)].flatMap(start =>
    ['.', '-', '..', '.-', '-.a', '.a', 'a.', ' b', '~1'].map(middle => `${start}${middle}${'tail'.repeat(9)}`),
  );
  for (const user of [
    ...users,
    '.',
    '-',
    '...',
    '\u{1b}[31m',
    'Ünï',
    '__proto__',
    'constructor',
    ' ',
    'a'.repeat(1000),
  ]) {
    const name = hostName(user);
    assert.is(hostName(name), name, user);
    assert.ok(isName(name), user);
    const all = board({ publicNames: true });
    const one = peer(name, { names: [name] });
    all.plug(one, tcp('', 80));
    for (const called of [name, `${name}.`, one.alias, `${name}~0`]) {
      assert.is(all.find(stranger, tcp(called)).provider, one, called);
    }
  }
});

test('no log has a code, nor what is nearly one: in capitals, with a letter too many, too few or wrong', () => {
  const log = notes();
  const said: object[] = [];
  const clean = withoutCodes({ ...log, info: fields => said.push(fields), error: fields => said.push(fields) });
  const code = '0123456789abcdef';
  for (const text of [
    code,
    code.toUpperCase(),
    `${code}x`,
    code.slice(1),
    `${code.slice(1)}u`,
    `${code} `,
    `${code}.`,
    `x+${code}`,
  ])
    for (const level of ['info', 'error'] as const) clean[level]({ user: `alice+${text}`, client: 1 }, 'signed in');
  assert.is(said.length, 16);
  assert.not.match(JSON.stringify(said), /[0-9a-z]{8}/i);
  clean.info({ user: 'alice+laptop' }, 'signed in');
  assert.equal(said.at(-1), { user: 'alice+laptop' });
});

test.run();
