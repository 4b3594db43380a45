// What a switchboard knows of others by their directory: messages may be lost, late or doubled, and in the end it has what there is; the dead go, and nobody does while the directory is away.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { News, Place, Provider } from '../../../src/apps/switchboard/lines.ts';
import { BEATS, type Message, type Record, Replica } from '../../../src/apps/switchboard/replica.ts';
import { parseNote, parseQuestion, parseRecord, parseSnapshot } from '../../../src/apps/switchboard/shapes.ts';
import { seeded } from '../../kit/insecure.ts';
import { turns } from '../../kit/socket.ts';

const OWNER = `SHA256:${'a'.repeat(43)}`;

function provider(id: string, ports = [80], since = 1): Provider {
  const lines = ports.map(port => ({ kind: 'tcp', host: '', port }) as const);
  return {
    ...{ id, place: id.split('/')[0], owner: OWNER, name: 'a', alias: 'a-0123456789', names: [], given: [] },
    ...{ address: '192.0.2.1', since, doubted: false, lines },
  };
}
const place = (id: string): Place => ({ id, worker: 1, node: { host: '192.0.2.9', port: 22 } });

/** A replica, the directory that it reads, and what it has come to know. */
function stage() {
  const directory = new Map<string, Record>();
  const known = new Map<string, Map<string, Provider>>();
  const told: News[] = [];
  let reads = 0;
  let broken = false;
  const replica = new Replica({
    async read(id) {
      reads++;
      if (broken) throw new Error('away');
      return directory.get(id);
    },
    failed(error) {
      throw error;
    },
    learn(news) {
      told.push(news);
      if ('up' in news) {
        assert.not(known.has(news.up.id), 'it is up already');
        known.set(news.up.id, new Map());
      } else if ('down' in news) assert.ok(known.delete(news.down), 'it was not up');
      else {
        const { provider } = news;
        if (provider.lines.length > 0) known.get(provider.place)!.set(provider.id, provider);
        else known.get(provider.place)!.delete(provider.id);
      }
    },
  });
  return {
    ...{ directory, known, told, replica },
    reads: () => reads,
    break: (on: boolean) => (broken = on),
    /** What is known of a place, to compare. */
    of: (id: string) => known.get(id) && [...known.get(id)!.values()].map(({ id, since }) => `${id} ${since}`).sort(),
  };
}

test('a place is read when it is first heard of, then followed change by change', async () => {
  const { directory, replica, of, reads } = stage();
  directory.set('x', { place: place('x'), version: 7, providers: [provider('x/1'), provider('x/2')] });
  replica.hear({ place: 'x', version: 7 });
  await turns(1);
  assert.equal(of('x'), ['x/1 1', 'x/2 1']);
  replica.hear({ place: 'x', version: 8, news: [{ provider: provider('x/1', []) }] });
  replica.hear({
    place: 'x',
    version: 9,
    news: [{ provider: provider('x/3') }, { provider: provider('x/2', [81], 5) }],
  });
  assert.equal(of('x'), ['x/2 5', 'x/3 1']);
  replica.hear({ place: 'x', version: 9 });
  await turns(1);
  assert.is(reads(), 1);
});

test('what comes twice, or late, changes nothing; what has been missed is read', async () => {
  const { directory, replica, of, reads } = stage();
  directory.set('x', { place: place('x'), version: 1, providers: [] });
  replica.look('x');
  await turns(1);
  const plugged = { place: 'x', version: 2, news: [{ provider: provider('x/1') }] };
  const unplugged = { place: 'x', version: 3, news: [{ provider: provider('x/1', []) }] };
  for (const message of [plugged, unplugged, plugged, unplugged, plugged]) replica.hear(message);
  assert.equal(of('x'), []);
  assert.is(reads(), 1);
  directory.set('x', { place: place('x'), version: 6, providers: [provider('x/9')] });
  replica.hear({ place: 'x', version: 5, news: [{ provider: provider('x/8') }] });
  await turns(1);
  assert.equal(of('x'), ['x/9 1']);
  assert.is(reads(), 2);
});

test('what is said while a place is being read counts on top of what was read', async () => {
  const { directory, replica, of } = stage();
  directory.set('x', { place: place('x'), version: 4, providers: [provider('x/1')] });
  replica.look('x');
  replica.hear({ place: 'x', version: 4, news: [{ provider: provider('x/1') }] });
  replica.hear({ place: 'x', version: 5, news: [{ provider: provider('x/2') }] });
  replica.hear({ place: 'x', version: 6, news: [{ provider: provider('x/1', []) }] });
  await turns(1);
  assert.equal(of('x'), ['x/2 1']);
});

test('a place speaks for its own providers only', async () => {
  const { directory, replica, known } = stage();
  directory.set('x', { place: place('x'), version: 1, providers: [provider('y/1')] });
  replica.look('x');
  await turns(1);
  replica.hear({ place: 'x', version: 2, news: [{ provider: provider('y/2') }, { up: place('y') }, { down: 'x' }] });
  assert.equal([...known.keys()], ['x']);
  assert.is(known.get('x')!.size, 0);
});

test('who is silent while our own beats come back is gone; who beats stays, and so does everybody while none come back', async () => {
  const { directory, replica, known, reads } = stage();
  for (const id of ['x', 'y']) {
    directory.set(id, { place: place(id), version: 1, providers: [provider(`${id}/1`)] });
    replica.look(id);
  }
  await turns(1);
  for (let i = 1; i < BEATS; i++) {
    replica.beat();
    replica.hear({ place: 'y', version: 1 });
  }
  assert.equal([...known.keys()], ['x', 'y']);
  // The directory was away: that silence does not count.
  replica.calm();
  for (let i = 1; i < BEATS; i++) replica.beat();
  assert.equal([...known.keys()], ['x', 'y']);
  replica.hear({ place: 'y', version: 1 });
  replica.beat();
  assert.equal([...known.keys()], ['y']);
  // It was only slow.
  replica.hear({ place: 'x', version: 1 });
  await turns(1);
  assert.equal([...known.keys()].sort(), ['x', 'y']);
  assert.is(reads(), 3);
  replica.leave('x');
  replica.leave('x');
  assert.equal([...known.keys()], ['y']);
});

test('one that cannot be read is tried again with each beat, and forgotten if there is none', async () => {
  const { directory, replica, of, reads, break: breakIt } = stage();
  breakIt(true);
  directory.set('x', { place: place('x'), version: 3, providers: [provider('x/1')] });
  replica.hear({ place: 'x', version: 3 });
  replica.hear({ place: 'x', version: 4, news: [{ provider: provider('x/2') }] });
  await turns(1);
  assert.is(of('x'), undefined);
  breakIt(false);
  replica.beat();
  await turns(1);
  assert.equal(of('x'), ['x/1 1']);
  replica.look('nothing');
  for (let i = 0; i < 20; i++) {
    replica.beat();
    await turns(1);
  }
  assert.ok(reads() <= 3 + BEATS, `${reads()} reads`);
});

test('over many seeds: messages are lost, doubled and late, places die and come; when all is quiet it knows what there is', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const dice = seeded(seed);
    const { directory, known, replica, break: breakIt } = stage();
    const alive = new Map<string, Record>();
    const wire: (() => void)[] = [];
    let count = 0;
    /** On its way: perhaps twice, perhaps never. */
    const send = (act: () => void) => {
      for (let copies = [1, 1, 1, 1, 0, 2][dice.below(6)]; copies > 0; copies--) wire.push(act);
    };
    const pick = () => [...alive.keys()][dice.below(alive.size)];
    for (let step = 0; step < 300; step++) {
      const id = pick();
      switch (dice.below(8)) {
        case 0: {
          if (alive.size > 3) break;
          const fresh = `p${++count}`;
          alive.set(fresh, { place: place(fresh), version: 1, providers: [] });
          directory.set(fresh, alive.get(fresh)!);
          send(() => replica.hear({ place: fresh, version: 1 }));
          break;
        }
        case 1:
        case 2:
        case 3: {
          if (id === undefined) break;
          const { version, providers } = alive.get(id)!;
          const name = `${id}/${dice.below(4)}`;
          const changed = provider(name, dice.below(3) ? [80 + dice.below(3)] : [], step);
          const others = providers.filter(one => one.id !== name);
          const record = {
            place: place(id),
            version: version + 1,
            providers: changed.lines.length > 0 ? [...others, changed] : others,
          };
          alive.set(id, record);
          directory.set(id, record);
          const message: Message = { place: id, version: version + 1, news: [{ provider: changed }] };
          send(() => replica.hear(message));
          break;
        }
        case 4:
          if (id === undefined || dice.below(4) > 0) break;
          // It dies without a word, and the directory forgets it when its lease ends.
          alive.delete(id);
          directory.delete(id);
          break;
        case 5:
          breakIt(dice.below(3) === 0);
          break;
        default:
          wire.splice(dice.below(Math.min(3, wire.length)), 1)[0]?.();
      }
      if (dice.below(3) === 0) await undefined;
    }
    breakIt(false);
    for (const act of wire) act();
    // Beats are not lost for ever.
    for (let i = 0; i < 2 * BEATS; i++) {
      for (const [id, { version }] of alive) replica.hear({ place: id, version });
      replica.beat();
      await turns(1);
    }
    const sketch = (providers: Iterable<Provider>) => [...providers].map(({ id, since }) => `${id} ${since}`).sort();
    const expected = [...alive].map(([id, { providers }]) => [id, ...sketch(providers)]).sort();
    const found = [...known].map(([id, providers]) => [id, ...sketch(providers.values())]).sort();
    assert.equal(found, expected, `seed ${seed}`);
  }
});

test('whatever somebody writes into a place, it is as its node has it once the key was written anew', async () => {
  const poisons: ((record: Record) => Record)[] = [
    record => ({ ...record, version: 999_999_999_999_999 }),
    record => ({ ...record, place: { ...place('x'), node: { host: '198.51.100.66', port: 22 } } }),
    record => ({ ...record, providers: [...record.providers, provider('x/666', [22], 5)] }),
    () => ({ version: 10 ** 14, place: { ...place('x'), worker: 9 }, providers: [] }),
  ];
  const own: Record = { place: place('x'), version: 7, providers: [provider('x/1')] };
  for (const poison of poisons) {
    for (const first of [true, false]) {
      const { directory, replica, told, of } = stage();
      directory.set('x', first ? poison(own) : own);
      replica.look('x');
      await turns(2);
      // Somebody says so, as well.
      const { version } = poison(own);
      directory.set('x', poison(own));
      replica.hear({ place: 'x', version });
      await turns(2);
      // The key is deleted; its node finds out with its next beat, writes it anew and goes on as always.
      directory.set('x', { ...own, version: 8 });
      replica.hear({ place: 'x', version: 8 });
      await turns(2);
      assert.equal(of('x'), ['x/1 1']);
      const ups = told.flatMap(news => ('up' in news ? [news.up] : []));
      assert.equal(ups.at(-1), place('x'), 'where it is reached');
      replica.hear({ place: 'x', version: 9, news: [{ provider: provider('x/2') }] });
      assert.equal(of('x'), ['x/1 1', 'x/2 1']);
    }
  }
});

test('what comes from the directory is looked at before it is believed', () => {
  const good: unknown[] = [
    { place: 'x', version: 1 },
    { place: 'x', version: 1, news: [{ provider: provider('x/1') }] },
    { node: 'n', beat: [['x', 1]] },
    { gone: 'x' },
    { released: 'alice' },
    { claimed: 'alice', owner: OWNER },
    { rule: 'ban 192.0.2.1', sealed: 'x' },
  ];
  for (const note of good) assert.equal(parseNote(JSON.stringify(note), 1000), note);
  const whole = provider('x/1') as unknown as { [field: string]: unknown };
  const bad: unknown[] = [
    ...[null, 1, 'x', [], {}, { gone: 1 }, { released: {} }, { place: 'x' }, { place: 'x', version: 1.5 }],
    ...[
      { node: 'n', beat: [['x']] },
      { node: 'n', beat: {} },
      { node: 1, kick: [], reason: '' },
    ],
    ...[
      { node: 'n', kick: [1], reason: '' },
      { place: 'x', version: 1, news: {} },
    ],
    ...[
      { up: { id: 'y', worker: 1, path: '/run/x' } },
      { up: { ...place('y'), path: '/run/x' } },
      { provider: {} },
    ].map(item => ({ place: 'x', version: 1, news: [item] })),
    ...Object.keys(whole).map(field => ({
      ...{ place: 'x', version: 1 },
      news: [{ provider: { ...whole, [field]: { not: 'that' } } }],
    })),
    { place: 'x', version: 1, news: [{ provider: { ...whole, lines: [{ kind: 'tcp', host: '', port: 70_000 }] } }] },
    ...[
      { rule: 1, sealed: '' },
      { claimed: 'Alice', owner: OWNER },
      { claimed: 'alice', owner: 'me' },
    ],
    ...['alias', 'address', 'owner', 'name'].map(field => ({
      ...{ place: 'x', version: 1 },
      news: [{ provider: { ...whole, [field]: 'a\u001b[2J' } }],
    })),
    { place: 'x', version: 1, news: [{ provider: { ...whole, client: {} } }] },
    { place: 'x', version: 1, news: [{ provider: { ...whole, id: 'y/1' } }] },
  ];
  for (const note of bad) assert.is(parseNote(JSON.stringify(note), 1000), undefined, JSON.stringify(note));
  assert.is(parseNote('{"gone":', 1000), undefined);

  const fields = { place: JSON.stringify(place('x')), version: '3', 'x/1': JSON.stringify(whole), 'x/2': 'junk' };
  assert.equal(parseRecord('x', fields, 1000), { place: place('x'), version: 3, providers: [provider('x/1')] });
  assert.is(parseRecord('y', fields, 1000), undefined);
  assert.is(parseRecord('x', { ...fields, version: '-1' }, 1000), undefined);
  assert.is(parseRecord('x', { ...fields, place: '{}' }, 1000), undefined);
  assert.is(parseRecord('x', {}, 1000), undefined);
});

test('so is what other nodes say', () => {
  assert.equal(parseQuestion('{"survey":true}'), { survey: true });
  const kick = { ids: ['x/1'], reason: 'bye' };
  assert.equal(parseQuestion(JSON.stringify({ kick })), { kick });
  for (const text of ['', 'null', '{}', '{"survey":1}', '{"kick":{}}', '{"kick":{"ids":[1],"reason":""}}'])
    assert.is(parseQuestion(text), undefined, text);
  const client = {
    ...{
      id: 'x/1',
      address: '192.0.2.1',
      port: 1,
      user: 'a',
      name: 'a',
      alias: 'a-0123456789',
      key: OWNER,
      owner: OWNER,
    },
    ...{ rights: ['list'], since: 1 },
  };
  const circuit = {
    ...{
      id: 1,
      caller: client,
      provider: { id: 'y/1', alias: 'b-0123456789', address: '192.0.2.2' },
      target: 'b-0123456789:80',
    },
    ...{ line: '80', since: 1, toProvider: 0, toCaller: 0 },
  };
  const say = (clients: unknown, circuits: unknown) => parseSnapshot(JSON.stringify({ clients, circuits }), 1000);
  assert.equal(say([client], [circuit]), { clients: [client], circuits: [circuit] });
  const none = { clients: [], circuits: [] };
  for (const field of Object.keys(client)) {
    if (field !== 'port') assert.equal(say([{ ...client, [field]: {} }], []), none, field);
  }
  assert.equal(say([null, { ...client, user: '\u009b2J' }], []), none);
  for (const field of Object.keys(circuit)) assert.equal(say([], [{ ...circuit, [field]: null }]), none, field);
  for (const text of ['', '[]', '{"clients":[]}']) assert.throws(() => parseSnapshot(text, 1000), /makes no sense/);
});

test.run();
