// Every field of everything that comes from the directory, from another node or from a worker, with values that nobody expects: what is accepted can be shown, ordered and forgotten.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { holds } from '../../../src/apps/switchboard/ban-list.ts';
import type { ClientInfo } from '../../../src/apps/switchboard/events.ts';
import { isAlias, isHost, isOwner, SKEW } from '../../../src/apps/switchboard/fields.ts';
import { listed, listing } from '../../../src/apps/switchboard/greeting.ts';
import { Hub } from '../../../src/apps/switchboard/hub.ts';
import { Board, lineKey, type Peer } from '../../../src/apps/switchboard/lines.ts';
import { aliasOf, hostName } from '../../../src/apps/switchboard/names.ts';
import type { Client as RedisClient } from '../../../src/apps/switchboard/redis.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import { type Record, Replica } from '../../../src/apps/switchboard/replica.ts';
import { type Rule, Seal } from '../../../src/apps/switchboard/rules.ts';
import { isClaim, parseNote, parseQuestion, parseRecord, parseSnapshot } from '../../../src/apps/switchboard/shapes.ts';
import { SharedNames } from '../../../src/apps/switchboard/shared-names.ts';
import type { Client } from '../../../src/server/server.ts';
import { turns } from '../../kit/socket.ts';

const NOW = Date.UTC(2030, 0, 1);
const OWNER = `SHA256:${'a'.repeat(43)}`;
const ALIAS = 'web-0123456789';

const aProvider = {
  ...{ id: 'p1/7', place: 'p1', owner: OWNER, name: 'web', alias: ALIAS, names: ['web', 'www'], given: ['www'] },
  ...{ allow: ['bob', 'principal:ops'], address: '192.0.2.1', since: NOW - 1000, doubted: false },
  lines: [
    { kind: 'tcp', host: 'localhost', port: 80 },
    { kind: 'unix', path: '/run/docker.sock' },
  ],
};
const aPlace = { id: 'p1', worker: 2, node: { host: '192.0.2.9', port: 22 } };
const aClient = {
  ...{ id: 'p1/7', address: '192.0.2.1', port: 40_000, user: 'Web', name: 'web', alias: ALIAS, key: OWNER },
  ...{ owner: `${OWNER} Web`, rights: ['listen', 'list'], since: NOW - 1000 },
};
const aCircuit = {
  ...{
    id: 3,
    caller: aClient,
    provider: { id: 'p2/1', alias: ALIAS, address: '192.0.2.2', worker: 2, node: '192.0.2.9:22' },
  },
  ...{ target: `${ALIAS}:80`, line: '80', since: NOW, toProvider: 5, toCaller: 6 },
};

/** A number that JSON has and JavaScript writes differently stands in the text for this. */
const RAW = '@raw@';
const text = (length: number, of = 'x') => of.repeat(length);
/** JSON texts of values for any field. */
const EXTREMES: readonly string[] = [
  ...['1e300', '-1e300', '1e999', '-0', '0', '-1', '1.5', '9007199254740993', '1e15', '8.64e15', '65536', '70000'],
  ...['null', 'true', '{}', '[]', '[[]]', '[null]', '{"__proto__":{"x":1}}', '{"toString":1}', '{"length":-1}'],
  ...[
    ...['', ' ', '.', '-', '..', '../../etc', '__proto__', 'constructor', 'toString', '-oProxyCommand=x', 'a b', 'A'],
    ...[
      '\u0000',
      '\u001b[2J',
      '\u009b2J',
      '\r\nfake',
      '\t',
      '\u202e',
      '\u2028',
      '\ud800',
      'ünï',
      'a\u0000b',
      '%s',
      '$(x)',
    ],
    ...[
      '1e300',
      '0',
      '-1',
      '99999999999999999999',
      '0x10',
      '1/1',
      'p1/-1',
      'p1/1e9',
      `${ALIAS}~1`,
      `${ALIAS}.`,
      'SHA256:x',
    ],
    ...['::1%\u001b[2J', '1.2.3.4%x', '[::1]', '192.0.2.256', 'x]:22', '192.0.2.1:22', '/', '/a b', '/\u001b'],
    ...[text(51), text(1001), text(100_000), `${text(50)}-0123456789`, `/${text(300)}`, text(40, '.')],
  ].map(value => JSON.stringify(value)),
  `[${text(70_000, '0,')}0]`,
];

/** The value with each thing in it, at any depth, replaced by each extreme; and with a field more. */
function* spoilt(value: unknown): Generator<{ json: string; what: string }> {
  const paths = function* (at: unknown, path: readonly string[]): Generator<readonly string[]> {
    if (path.length > 0) yield path;
    if (typeof at === 'object' && at !== null)
      for (const [key, one] of Object.entries(at)) yield* paths(one, [...path, key]);
  };
  for (const path of paths(value, [])) {
    const copy = structuredClone(value) as { [name: string]: unknown };
    let parent = copy;
    for (const key of path.slice(0, -1)) parent = parent[key] as typeof copy;
    parent[path.at(-1)!] = RAW;
    const json = JSON.stringify(copy);
    for (const extreme of EXTREMES) {
      yield { json: json.replace(`"${RAW}"`, () => extreme), what: `${path.join('.')} = ${extreme.slice(0, 60)}` };
    }
    delete parent[path.at(-1)!];
    yield { json: JSON.stringify(copy), what: `without ${path.join('.')}` };
  }
  for (const name of ['__proto__', 'constructor', 'client', 'path', 'extra', 'then']) {
    yield {
      json: JSON.stringify(value).replace(/\}$/, `,${JSON.stringify(name)}:{"evil":true}}`),
      what: `and ${name}`,
    };
  }
}

/** Without anything that a terminal would carry out but the ends of our own lines. */
function showable(shown: string, what: string): void {
  assert.not(/[^\P{Cc}\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(shown), what);
  assert.not(/NaN|Infinity|undefined|\[object|Invalid/.test(shown), what);
  assert.not(/evil/.test(shown), `${what}: what nobody knows is not kept`);
}

const aPeer = (): Peer => ({
  ...{ id: 'here/1', place: 'here', client: {} as Client, owner: OWNER, name: 'web', alias: ALIAS, names: ['web'] },
  ...{ given: [], address: '127.0.0.1', since: 0, doubted: false, lines: [] },
});

/** A switchboard as far as it keeps what others say: what it has learnt, and how it looks. */
function stage(read: (id: string) => Promise<Record | undefined>) {
  const board = new Board({ now: () => NOW });
  const hub = new Hub();
  const replica = new Replica({
    ...{ read, learn: news => hub.learn(news) },
    failed(error) {
      throw error;
    },
  });
  hub.join('here', async news => {
    for (const item of news) board.learn(item);
  });
  hub.up({ id: 'here', worker: 1 });
  return { board, replica };
}

const base = JSON.stringify(aProvider);

/** All that shows or orders providers, and a newcomer of the same name, which comes before them and leaves nothing behind. */
function used(board: Board, what: string): void {
  const all = board.providers;
  showable(listing(listed(all).map(one => ({ ...one, node: board.nodeOf(one.provider) }))), what);
  for (const provider of all) {
    showable(new Date(provider.since).toISOString(), what);
    showable(JSON.stringify(provider), what);
    showable(provider.lines.map(lineKey).join(), what);
    assert.ok(provider.since <= NOW + SKEW, what);
    for (const line of provider.lines) {
      assert.is(
        board.find(provider as never, line.kind === 'tcp' ? { ...line, host: provider.alias } : line).provider,
        provider,
        what,
      );
    }
  }
  const peer = aPeer();
  board.plug(peer, { kind: 'tcp', host: '', port: 80 });
  assert.is(
    board.find({ ...peer, fingerprint: OWNER, principals: [] }, { kind: 'tcp', host: ALIAS, port: 80 }).provider,
    peer,
    what,
  );
  board.remove(peer);
}

/** Nothing is left of what was there: not even in when somebody new is said to have come. */
function clean(board: Board, what: string): void {
  assert.equal(board.providers, [], what);
  assert.is(board.places.size, 0, what);
  const peer = aPeer();
  board.plug(peer, { kind: 'tcp', host: '', port: 80 });
  assert.is(peer.since, NOW, what);
  board.remove(peer);
}

test('a place that is read, and news of it: what is accepted can be listed and called, and is gone with it', async () => {
  let accepted = 0;
  for (const [kind, value] of [
    ['provider', aProvider],
    ['place', aPlace],
  ] as const) {
    for (const { json, what } of spoilt(value)) {
      const fields = {
        place: JSON.stringify(aPlace),
        version: '3',
        'p1/7': base,
        [kind === 'place' ? 'place' : 'p1/7']: json,
      };
      let there: { [field: string]: string } | undefined = fields;
      const { board, replica } = stage(async id => there && parseRecord(id, there, NOW));
      replica.look('p1');
      await turns(3);
      accepted += board.providers.length;
      used(board, `record: ${what}`);
      // The key is deleted, and what wrote into it is silent.
      there = undefined;
      for (let i = 0; i < 6; i++) replica.beat();
      await turns(3);
      clean(board, `record: ${what}`);

      const note = parseNote(
        `{"place":"p1","version":4,"news":[{"${kind === 'place' ? 'up' : 'provider'}":${json}}]}`,
        NOW,
      );
      if (note === undefined || !('place' in note)) continue;
      const again = stage(async id => parseRecord(id, { ...fields, place: JSON.stringify(aPlace), 'p1/7': base }, NOW));
      again.replica.look('p1');
      await turns(3);
      again.replica.hear(note);
      await turns(3);
      used(again.board, `news: ${what}`);
      again.replica.leave('p1');
      await turns(3);
      clean(again.board, `news: ${what}`);
    }
  }
  assert.ok(accepted > 100, 'not everything is refused');
});

test('all notes: what is accepted has the fields of its kind, each in its range', () => {
  const notes = [
    { place: 'p1', version: 1, news: [{ provider: aProvider }, { up: aPlace }] },
    { node: 'n1', beat: [['p1', 1]] },
    { gone: 'p1' },
    { claimed: 'web', owner: OWNER },
    { released: 'web' },
    { rule: 'ban 192.0.2.1', sealed: 'x y' },
  ];
  for (const note of notes) {
    assert.equal(parseNote(JSON.stringify(note), NOW), note);
    for (const { json, what } of spoilt(note)) {
      const parsed = parseNote(json, NOW);
      if (parsed === undefined) continue;
      assert.equal(
        Object.keys(parsed).filter(key => !(key in note)),
        [],
        what,
      );
      // The seal of a rule is looked at by whoever has the key.
      showable(JSON.stringify('sealed' in parsed ? { ...parsed, sealed: '' } : parsed), what);
      assert.equal(parseNote(JSON.stringify(parsed), NOW), parsed, what);
    }
  }
});

test('what another node has: clients and circuits can be shown, whatever is in them', () => {
  const whole = { clients: [aClient], circuits: [aCircuit] };
  assert.equal(parseSnapshot(JSON.stringify(whole), NOW), whole);
  let accepted = 0;
  for (const { json, what } of spoilt(whole)) {
    let parsed: ReturnType<typeof parseSnapshot>;
    try {
      parsed = parseSnapshot(json, NOW);
    } catch (error) {
      assert.match(String(error), /makes no sense/, what);
      continue;
    }
    const clients: ClientInfo[] = [...parsed.clients, ...parsed.circuits.map(({ caller }) => caller)];
    for (const { since } of [...clients, ...parsed.circuits]) showable(new Date(since).toISOString(), what);
    for (const { toProvider, toCaller } of parsed.circuits) assert.ok(toProvider >= 0 && toCaller >= 0, what);
    showable(JSON.stringify(parsed), what);
    accepted += clients.length;
  }
  assert.ok(accepted > 100);
});

test('what another node asks: at most to end connections that have names', () => {
  const question = { kick: { ids: ['p1/7'], reason: 'bye' } };
  for (const { json, what } of spoilt(question)) {
    const parsed = parseQuestion(json);
    if (parsed !== undefined) showable(JSON.stringify(parsed), what);
  }
  const long = { kick: { ids: ['p1/7'], reason: text(100_000) } };
  const parsed = parseQuestion(JSON.stringify(long));
  assert.ok(parsed !== undefined && 'kick' in parsed && parsed.kick.reason.length < 300);
});

test('bans and invitations of others, sealed as ours are: what is accepted can be listed, lifted and forgotten', async () => {
  const seal = new Seal(new Uint8Array(32).fill(7));
  const registry = await Registry.open(':memory:', () => NOW);
  const rules: Rule[] = [
    { ban: { subject: '192.0.2.0/24', until: NOW + 1000, reason: 'noise', by: 'root', made: NOW } },
    { invitation: { hash: 'f'.repeat(64), access: ['listen'], hostname: 'web', expires: NOW + 1000, by: 'root' } },
  ];
  let accepted = 0;
  for (const rule of rules) {
    for (const { json, what } of spoilt(rule)) {
      // As somebody who has the secret, or an older version, would write it.
      const parsed: unknown = JSON.parse(json);
      const { subject } = (parsed as { ban?: { subject?: unknown } }).ban ?? {};
      const field =
        'ban' in rule ? `ban ${typeof subject === 'string' ? subject : ''}` : `invitation ${'f'.repeat(64)}`;
      const forged = (seal.seal as (rule: unknown) => string).call(seal, parsed);
      const opened = seal.open(field, forged, NOW);
      if (opened === undefined) continue;
      accepted++;
      await registry.learn([opened]);
      for (const ban of registry.bans()) {
        showable(JSON.stringify(ban), what);
        if (ban.until !== undefined) showable(new Date(ban.until).toISOString(), what);
        assert.ok(holds(ban, NOW), what);
        assert.ok(await registry.unban(ban.subject), what);
      }
      for (const { id, expires, ...one } of registry.invitations()) {
        showable(JSON.stringify(one), what);
        showable(new Date(expires).toISOString(), what);
        assert.ok(await registry.withdraw(id), what);
      }
      assert.equal([registry.bans(), registry.invitations()], [[], []], what);
    }
  }
  assert.ok(accepted > 10);
  registry.close();
});

/** As much of Redis as names need, with whatever somebody has written into it. */
function redis(hashes: { [key: string]: { [field: string]: string } }): RedisClient {
  const of = (key: string) => (hashes[key] ??= {});
  const client = {
    memoryUsage: async () => 1,
    hScan: async (key: string) => ({
      cursor: '0',
      entries: Object.entries(of(key)).map(([field, value]) => ({ field, value })),
    }),
    hmGet: async (key: string, fields: string[]) => fields.map(field => of(key)[field] ?? null),
    hDel: async (key: string, field: string) => Number(delete of(key)[field]),
    publish: async () => 0,
    multi() {
      const todo: (() => unknown)[] = [];
      const chain = {
        hSetNX: (key: string, field: string, value: string) =>
          add(() => {
            if (field in of(key)) return 0;
            of(key)[field] = value;
            return 1;
          }),
        hGet: (key: string, field: string) => add(() => of(key)[field]),
        exec: async () => todo.map(body => body()),
      };
      const add = (body: () => unknown) => {
        todo.push(body);
        return chain;
      };
      return chain;
    },
  };
  return client as unknown as RedisClient;
}

test('names: whatever stands in the directory, nobody loses a name by what makes no sense, and all is well when it is gone', async () => {
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  for (const extreme of EXTREMES) {
    const value = String(
      JSON.parse(extreme.startsWith('{') || extreme.startsWith('[') ? JSON.stringify(extreme.slice(0, 50)) : extreme),
    );
    const registry = await Registry.open(':memory:');
    await registry.claim('web', OWNER);
    const hashes = { 'cordboard:names': { web: value, [value]: value }, 'cordboard:released': { web: value } };
    const names = new SharedNames({ commands: redis(hashes), channel: 'news', registry, log: quiet });
    await names.share();
    assert.is(registry.ownerOf('web'), OWNER, extreme.slice(0, 60));
    assert.ok(await names.claim('web', OWNER, true));
    assert.not(await names.claim('other', OWNER, false));
    hashes['cordboard:names'] = {} as never;
    hashes['cordboard:released'] = {} as never;
    await names.share();
    assert.ok(await names.claim('web', OWNER, true));
    assert.equal(hashes['cordboard:names'], { web: OWNER } as never);
    assert.equal(
      registry.names().map(({ name }) => name),
      ['web'],
    );
    registry.close();
  }
});

test('one grammar: what we make ourselves is what is taken from others', () => {
  for (const user of ['alice', 'Ünï cödé', 'x'.repeat(300), '...', 'a-0123456789', '__proto__']) {
    const name = hostName(user);
    const alias = aliasOf(new Uint8Array(32), new Uint8Array(3), name);
    assert.ok(isAlias(alias), alias);
    const { id, place } = aProvider;
    const provider = { ...aProvider, name, alias, names: [], given: [], id, place };
    assert.ok(parseNote(JSON.stringify({ place, version: 1, news: [{ provider }] }), NOW), name);
  }
  assert.ok(isClaim(['web', OWNER]) && isClaim(['web', `${OWNER} Some Body`]));
  for (const owner of [`${OWNER} `, `${OWNER}x`, `${OWNER}\nx`, `${OWNER} \u001b`]) assert.not(isOwner(owner), owner);
  for (const host of ['db.lan', '10.0.0.7', '2001:db8::7', 'node_1', 'a.', 'x']) assert.ok(isHost(host), host);
  for (const host of [
    '-oProxyCommand=x',
    '',
    '.',
    'a b',
    'a/b',
    'a]',
    '[::1]',
    'fe80::1%eth0',
    '::g',
    'a:b',
    '\u001b',
  ]) {
    assert.not(isHost(host), host);
  }
});

test.run();
