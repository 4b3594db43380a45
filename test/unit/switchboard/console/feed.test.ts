// What browsers are told: whoever applies every message knows what there is, however slowly he takes them; and what the board draws of it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Look } from '../../../../src/apps/switchboard/console/exchange.ts';
import { Feed, type Message, type State } from '../../../../src/apps/switchboard/console/feed.ts';
import { aCircuit, aClient, aLine, FakeExchange } from '../../../kit/exchange.ts';
import { seeded } from '../../../kit/insecure.ts';
import { eventually } from '../../../kit/processes.ts';
import { notes } from '../../../kit/served.ts';
import { turn } from '../../../kit/socket.ts';

// The page's own code; it is plain JavaScript, and this part of it needs no page.
const www = '../../../../src/apps/switchboard/console/www';
const { apply, begin, state } = await import(`${www}/state.js`);
const { layout, MAX_CORDS, MAX_JACKS } = await import(`${www}/layout.js`);

const feeds: Feed[] = [];
test.after.each(() => {
  for (const feed of feeds.splice(0)) feed.close();
});

function feedOf(exchange: FakeExchange, now?: () => number): Feed {
  const feed = new Feed(exchange, notes(), now);
  feeds.push(feed);
  return feed;
}

const hear = ({ event, data }: Message) => (event === 'state' ? begin : apply)(JSON.parse(data));

/** In one order and form, with no more of a circuit's caller than who it is: from the page's state, or from what there is. */
function plain({
  clients,
  lines,
  circuits,
  bans,
  draining,
}: Pick<Look, 'clients' | 'lines' | 'circuits' | 'bans' | 'draining'>) {
  const by = <T>(items: readonly T[], id: (item: T) => string) => [...items].sort((a, b) => id(a).localeCompare(id(b)));
  return {
    clients: by(clients, ({ id }) => id),
    lines: by(lines, ({ provider, line }) => `${provider} ${line}`),
    circuits: by(
      circuits.map(({ id, caller, provider, target, toProvider, toCaller }) => ({
        ...{ id, caller: caller.id, provider, target, toProvider, toCaller },
      })),
      ({ id }) => id,
    ),
    ...{ bans, draining },
  };
}
const known = () =>
  plain({
    ...state,
    clients: [...state.clients.values()],
    lines: [...state.lines.values()],
    circuits: [...state.circuits.values()],
  });

/** Something happens: clients come and go, lines and circuits with them, and bytes flow. */
function happen(exchange: FakeExchange, chance: (below: number) => number, step: number): void {
  const { there } = exchange;
  const clients = [...there.clients];
  if (chance(3) === 0) clients.push(aClient(String(step)));
  if (chance(4) === 0) clients.splice(chance(clients.length + 1), 1);
  const here = new Set(clients.map(({ id }) => id));
  let lines = there.lines.filter(({ provider }) => here.has(provider));
  if (clients.length > 0 && chance(3) === 0) lines.push(aLine(clients[chance(clients.length)], String(step)));
  if (chance(4) === 0) lines.splice(chance(lines.length + 1), 1);
  lines = lines.map(line => (chance(10) === 0 ? { ...line, doubted: !line.doubted } : line));
  const circuits = there.circuits.filter(({ caller, provider }) => here.has(caller.id) && here.has(provider.id));
  if (lines.length > 0 && chance(2) === 0) {
    const { provider, line } = lines[chance(lines.length)];
    const [caller, to] = [clients[chance(clients.length)], clients.find(({ id }) => id === provider)!];
    circuits.push(aCircuit(`#${step}`, caller, to, line));
  }
  const moved = circuits.map(one => ({
    ...one,
    toProvider: one.toProvider + chance(2) * 1000,
    toCaller: one.toCaller + chance(3),
  }));
  const bans = chance(9) === 0 ? [{ subject: `192.0.2.${step % 256}`, reason: '', by: 'x', made: 0 }] : there.bans;
  exchange.there = { ...there, clients, lines, circuits: moved, bans, draining: chance(20) === 0 };
}

for (let seed = 1; seed <= 20; seed++) {
  test(`whoever applies every change knows what there is: seed ${seed}`, async () => {
    const dice = seeded(seed);
    const chance = (below: number) => dice.below(below);
    const exchange = new FakeExchange();
    let time = 0;
    const feed = feedOf(exchange, () => time);
    for (let step = 0; step < 20; step++) happen(exchange, chance, step);
    await feed.refresh(true);
    feed.view(async message => hear(message));
    for (let step = 20; step < 100; step++) {
      happen(exchange, chance, step);
      time += 1000;
      await feed.refresh(true);
      await undefined;
      assert.equal(known(), plain(exchange.there), `after step ${step}`);
      for (const { samples } of state.circuits.values()) assert.ok(samples.length <= 60);
    }
  });
}

test('rates are what has been carried since the last sample, for each second', async () => {
  const exchange = new FakeExchange();
  const [caller, provider] = [aClient('1'), aClient('2')];
  let time = 0;
  const feed = feedOf(exchange, () => time);
  const carried = async (toProvider: number, toCaller: number, milliseconds: number) => {
    exchange.there.circuits = [{ ...aCircuit('#1', caller, provider, '80'), toProvider, toCaller }];
    time += milliseconds;
    await feed.refresh(true);
  };
  feed.view(async message => hear(message));
  await carried(500, 0, 1000);
  await carried(2500, 100, 2000);
  await carried(2500, 100, 1000);
  assert.equal(state.circuits.get('#1').samples, [
    [500, 0],
    [1000, 50],
    [0, 0],
  ]);
  assert.equal(state.samples, [
    [500, 0],
    [1000, 50],
    [0, 0],
  ]);
});

test('while nobody watches, what happens is seen with the next sample, and by whoever comes at once', async () => {
  const exchange = new FakeExchange();
  let looks = 0;
  exchange.look = () => {
    looks++;
    return FakeExchange.prototype.look.call(exchange);
  };
  const feed = feedOf(exchange);
  for (const stirred of exchange.watchers) stirred();
  await eventually('a look', () => looks > 0);
  await turn();
  const states: State[] = [];
  const viewed = new Promise<void>(resolve => {
    feed.view(async ({ event, data }) => {
      if (event === 'state') states.push(JSON.parse(data));
      else resolve();
    });
  });
  assert.is(looks, 2, 'who comes has one looked for him');
  await viewed;
  assert.is(states[0].samples.length, 1, 'the first look was for a sample, not for what happened');
});

test('one who takes nothing costs one message, and is told everything when he comes back', async () => {
  const exchange = new FakeExchange();
  const feed = feedOf(exchange);
  const taken: Message[] = [];
  let free = () => {};
  feed.view(message => {
    taken.push(message);
    return new Promise<void>(resolve => (free = resolve));
  });
  for (let i = 1; i <= 50; i++) {
    exchange.there.clients = [aClient(String(i))];
    await feed.refresh(false);
  }
  assert.equal(
    taken.map(({ event }) => event),
    ['state'],
    'nothing more while he is busy',
  );
  free();
  await eventually('the second message', () => taken.length === 2);
  assert.is(taken[1].event, 'state');
  assert.equal(
    JSON.parse(taken[1].data).clients.map(({ id }: { id: string }) => id),
    ['50'],
  );
});

test('what happens is told at once, and not only each second; one who has gone is told nothing', async () => {
  const exchange = new FakeExchange();
  const feed = feedOf(exchange);
  const taken: Message[] = [];
  const leave = feed.view(async message => void taken.push(message));
  exchange.there.journal = [{ at: 1, type: 'signed-in', text: 'alice signed in' }];
  for (const stirred of exchange.watchers) stirred();
  await eventually('the news', () => taken.some(({ data }) => data.includes('alice signed in')));
  leave();
  const { length } = taken;
  await feed.refresh(true);
  assert.is(taken.length, length);
});

test('when it cannot be looked, that is logged once a minute and tried again; nobody is lost by it', async () => {
  const exchange = new FakeExchange();
  const log = notes();
  let [time, broken] = [0, true];
  exchange.look = () =>
    broken ? Promise.reject(new Error('the table is gone')) : FakeExchange.prototype.look.call(exchange);
  const feed = new Feed(exchange, log, () => time);
  feeds.push(feed);
  let heard = 0;
  feed.view(async message => {
    heard++;
    hear(message);
  });
  const stir = async () => {
    for (const stirred of exchange.watchers) stirred();
    const before = looks;
    await eventually('a look', () => looks > before);
    await turn();
  };
  let looks = 0;
  const { look } = exchange;
  exchange.look = () => {
    looks++;
    return look();
  };
  for (let i = 0; i < 3; i++) await stir();
  assert.equal(log.lines, ['error the console cannot see what there is: Error: the table is gone']);
  time += 60_000;
  await stir();
  assert.is(log.lines.length, 2);
  broken = false;
  exchange.there.clients = [aClient('7')];
  const before = heard;
  await stir();
  await eventually('the news', () => heard > before);
  assert.ok(state.clients.has('7'));
  assert.is(log.lines.length, 2);
});

test('one who cannot be told any more is told nothing more, and the others are', async () => {
  const exchange = new FakeExchange();
  const feed = feedOf(exchange);
  let [lost, told] = [0, 0];
  feed.view(() => {
    lost++;
    return Promise.reject(new Error('it is gone'));
  });
  feed.view(async () => void told++);
  await turn();
  for (let i = 1; i <= 5; i++) {
    exchange.there.clients = [aClient(String(i))];
    await feed.refresh(true);
    await turn();
  }
  assert.is(lost, 1);
  assert.ok(told >= 5, `${told}`);
});

test('of very many circuits the newest are told, and all are counted', async () => {
  const exchange = new FakeExchange();
  const [caller, provider] = [aClient('1'), aClient('2')];
  exchange.there.circuits = Array.from({ length: 2500 }, (_, i) => ({
    ...aCircuit(`#${i}`, caller, provider, '80'),
    since: i,
  }));
  const feed = feedOf(exchange);
  await feed.refresh(true);
  feed.view(async message => hear(message));
  assert.is(state.circuits.size, 2000);
  assert.is(state.totals.circuits, 2500);
  assert.ok(state.circuits.has('#2499') && !state.circuits.has('#499'));
});

test('on the board each cord hangs between its jacks, nothing leaves the picture, and many are few', () => {
  const clients = Array.from({ length: 50 }, (_, i) => aClient(String(i)));
  const lines = clients.slice(0, 40).flatMap(client => [aLine(client, '22'), aLine(client, '443')]);
  const circuits = Array.from({ length: 90 }, (_, i) => ({
    ...aCircuit(`#${i}`, clients[40 + (i % 10)], clients[i % 20], i % 2 ? '22' : '443'),
    samples: [],
    colour: 0,
  }));
  const map = <T>(items: readonly T[], id: (item: T) => string) => new Map(items.map(item => [id(item), item]));
  const there = {
    clients: map(clients, ({ id }) => id),
    lines: map(lines, ({ provider, line }) => `${provider} ${line}`),
    circuits: map(circuits, ({ id }) => id),
  };
  for (const width of [320, 390, 900, 1600]) {
    const plan = layout(there, width);
    assert.ok(plan.callers.length <= MAX_JACKS && plan.lines.length <= MAX_JACKS && plan.cords.length <= MAX_CORDS);
    assert.is(plan.cords.length + plan.cut, 90);
    assert.ok(plan.lines.some(({ used }: { used: boolean }) => used));
    for (const { d, from, to, circuit, label } of plan.cords) {
      const numbers = d.match(/-?[\d.]+/g).map(Number);
      assert.equal(numbers.slice(0, 2), [from.x, from.y]);
      assert.equal(numbers.slice(-2), [to.x, to.y]);
      assert.is(from.id, circuit.caller.id);
      assert.is(to.id, `${circuit.provider.id} ${circuit.line}`);
      assert.ok(label.x > 0 && label.x < width && label.y < plan.height);
      assert.ok(label.y > Math.min(from.y, to.y), 'it sags');
    }
    for (const { x, y, width: wide, height } of plan.plates) {
      assert.ok(x >= 0 && x + wide <= width && y >= 0 && y + height <= plan.height, `${width}: ${x} ${wide}`);
    }
  }
});

test.run();
