// Circuits: what one owner may have of them, rates that are held on average, idle ones closed, and what is told of each.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Call, Circuits, type Party, type Spent } from '../../../src/apps/switchboard/circuits.ts';
import { type BoardEvent, type ClientInfo, Events } from '../../../src/apps/switchboard/events.ts';
import { QUOTAS, type Quotas } from '../../../src/apps/switchboard/quotas.ts';
import { Tally } from '../../../src/apps/switchboard/tally.ts';
import type { Channel, ChannelHandler, ChannelOpen, Mux } from '../../../src/protocol/index.ts';

/** As much of a channel as matters here. */
interface Fake {
  relayed: number;
  held: boolean;
  /** How often it was let go. */
  let: number;
  handler: ChannelHandler;
  closed: boolean;
  close(): void;
}

function stage(counter = new Tally().for('here')) {
  const events = new Events();
  const told: BoardEvent[] = [];
  events.subscribe(event => void told.push(event));
  const spent: Spent[] = [];
  const circuits = new Circuits({ events, counter, spent: all => void spent.push(...all) });
  const channel = (): Fake => {
    let held = false;
    const it: Fake = {
      ...{ relayed: 0, let: 0, handler: {}, closed: false },
      get held() {
        return held;
      },
      set held(on) {
        if (held && !on) it.let++;
        held = on;
      },
      close() {
        it.closed = true;
        it.handler.closed?.();
      },
    };
    return it;
  };
  const put = (call: Call, fails = false) => {
    const [near, far] = [channel(), channel()];
    const open = {
      forward: (...[, , , joined, failed]: Parameters<ChannelOpen['forward']>) =>
        fails ? failed!() : joined!(near as unknown as Channel, far as unknown as Channel),
    };
    circuits.put(open as unknown as ChannelOpen, undefined as unknown as Mux, 'line', new Uint8Array(0), call);
    return { near, far };
  };
  const call = async (made: Call, fails?: boolean) => {
    assert.is(await circuits.reserve(made), undefined);
    return put(made, fails);
  };
  return { circuits, told, spent, put, call };
}

const party = (owner: string, quotas: Partial<Quotas> = {}): Party => ({
  ...{ id: `${owner}1`, owner },
  quotas: { ...QUOTAS, ...quotas },
});
const info = { id: 'A1', name: 'a' } as ClientInfo;
const call = (caller: Party | undefined, peer: Party | undefined): Call => ({
  ...(caller && { caller: { info, party: caller } }),
  ...(peer && { peer }),
  ...{ provider: { id: 'B1', alias: 'b-0', address: '192.0.2.1' }, target: 'b-0:80', line: '80' },
});

test('what is told of a circuit: when it opens and closes, with the bytes each way', () => {
  const { circuits, told, put } = stage();
  const { near, far } = put(call(party('A'), party('B')));
  near.relayed = 5;
  far.relayed = 7;
  const [{ since, ...rest }] = circuits.infos;
  assert.type(since, 'number');
  assert.equal(rest, {
    ...{ id: 1, caller: info, provider: { id: 'B1', alias: 'b-0', address: '192.0.2.1' }, target: 'b-0:80' },
    ...{ line: '80', toProvider: 5, toCaller: 7 },
  });
  assert.equal([...circuits.busy], ['A1', 'B1']);
  near.close();
  assert.equal(circuits.infos, []);
  assert.is(circuits.busy.size, 0);
  assert.equal(
    told.map(event => [event.type, 'circuit' in event && event.circuit.toProvider]),
    [
      ['opened', 0],
      ['closed', 5],
    ],
  );
});

test('one that another process tells of is counted for its provider, and not told', async () => {
  const { circuits, told, call: make } = stage();
  const b = party('B', { circuits: 1 });
  const { near } = await make(call(undefined, b));
  assert.equal(told, []);
  assert.equal(circuits.infos, []);
  assert.is(circuits.size, 1);
  assert.match((await circuits.reserve(call(party('A'), b)))!, /the line has too many/);
  near.close();
  assert.is(await circuits.reserve(call(party('A'), b)), undefined);
});

test('an owner has so many circuits, as caller and as provider together, also while they are being made', async () => {
  const { circuits, call: make } = stage();
  const a = party('A', { circuits: 2 });
  await make(call(a, party('B')));
  const [other, out, back] = [call(party('C'), a), call(a, party('B')), call(party('D'), a)];
  assert.is(await circuits.reserve(other), undefined);
  assert.match((await circuits.reserve(out))!, /your key has too many/);
  assert.match((await circuits.reserve(back))!, /the line has too many/);
  circuits.release(other);
  await make(back, true);
  const { near } = await make(out);
  assert.match((await circuits.reserve(back))!, /the line has too many/);
  near.close();
  await make(back);
});

test('a circuit between two of one owner counts once, also between two processes', async () => {
  const tally = new Tally();
  const [one, two] = [stage(tally.for('1')), stage(tally.for('2'))];
  const a = party('A', { circuits: 2 });
  await one.call(call(a, a));
  const across = { ...call(a, undefined), farOwner: 'A' };
  const there = call(undefined, a);
  await one.call(across);
  const { near } = await two.call(there);
  assert.match((await two.circuits.reserve(there))!, /the line has too many/);
  assert.match((await one.circuits.reserve(call(a, party('B'))))!, /your key has too many/);
  near.close();
  assert.is(await one.circuits.reserve(call(a, party('B'))), undefined);
});

test('a rate holds on average over all circuits of an owner, and not those of others', () => {
  const { circuits, put } = stage();
  const a = party('A', { rate: 1000 });
  const [one, two, other] = [put(call(a, party('B'))), put(call(party('C'), a)), put(call(party('C'), party('B')))];
  let now = performance.now();
  /** Which of them have got credit. */
  const look = (seconds: number) => {
    now += seconds * 1000;
    const before = [one, two, other].map(({ near }) => near.let);
    circuits.look(now);
    return [one, two, other].map(({ near }, i) => near.let > before[i]);
  };
  assert.equal([one.near.held, two.near.held, other.near.held], [true, true, false]);
  look(0);
  one.near.relayed = 600;
  assert.equal(look(0), [true, true, false]);
  // What was granted already comes in excess: 3,000 more than the rate allows.
  two.far.relayed = 3400;
  other.near.relayed = 10 ** 6;
  assert.equal(look(0), [false, false, false]);
  assert.equal(look(2.9), [false, false, false]);
  assert.equal(look(0.2), [true, true, false]);
  assert.ok(one.near.held && two.near.held && !other.near.held);
  // A long pause is not saved up: a second's worth may come at once, no more.
  look(100);
  one.near.relayed += 1001;
  assert.equal(look(0), [false, false, false]);
  for (const { near } of [one, two, other]) near.close();
});

test('whoever owes cannot get around it by calling anew', () => {
  const { circuits, put } = stage();
  const a = party('A', { rate: 1000 });
  const { near } = put(call(a, party('B')));
  circuits.look(performance.now());
  near.relayed = 10 ** 6;
  near.close();
  const anew = put(call(a, party('B')));
  circuits.look(performance.now() + 1000);
  assert.ok(anew.near.held);
  assert.is(anew.near.let, 0);
  anew.near.close();
});

test('what an owner has had in one process he does not have in another', () => {
  const [one, two] = [stage(), stage()];
  const a = party('A', { rate: 1000 });
  const first = one.put(call(a, party('B')));
  const second = two.put(call(a, party('B')));
  let now = performance.now();
  /** Which of the two gets credit. */
  const look = (seconds: number) => {
    now += seconds * 1000;
    const before = [first.near.let, second.near.let];
    one.circuits.look(now);
    two.circuits.charge(one.spent.splice(0));
    two.circuits.look(now);
    one.circuits.charge(two.spent.splice(0));
    return [first.near.let > before[0], second.near.let > before[1]];
  };
  assert.equal(look(0), [true, true]);
  first.near.relayed = 3000;
  second.far.relayed = 3000;
  look(0);
  // 6,000 in all, of which 1,000 may come at once.
  assert.equal(look(4.9), [false, false]);
  assert.equal(look(0.2), [true, true]);
  // What is passed on in one's last moment is told, too.
  first.near.relayed += 2200;
  first.near.close();
  look(0);
  assert.equal(look(1)[1], false);
  assert.equal(look(1.2)[1], true);
  second.near.close();
});

test('a process that an owner has not come to knows what he owes, and forgets it when it is paid', () => {
  const { circuits, put } = stage();
  circuits.charge([{ owner: 'A', rate: 1000, bytes: 3000 }]);
  const { near } = put(call(party('A', { rate: 1000 }), party('B')));
  const now = performance.now();
  circuits.look(now + 1000);
  assert.is(near.let, 0);
  circuits.look(now + 2500);
  assert.is(near.let, 1);
  near.close();
});

test('a circuit that nothing comes through is closed at the stricter of two limits', () => {
  const { circuits, put } = stage();
  const quiet = put(call(party('A', { circuitIdle: 5 }), party('B', { circuitIdle: 3 })));
  const busy = put(call(party('A', { circuitIdle: 3 }), party('B')));
  const free = put(call(party('C'), party('B')));
  for (let second = 1; second <= 3; second++) {
    busy.far.relayed++;
    circuits.tick();
    if (second === 1) quiet.near.relayed++;
  }
  assert.not(quiet.near.closed);
  for (let second = 0; second < 2; second++) {
    busy.near.relayed++;
    circuits.tick();
  }
  assert.ok(quiet.near.closed && quiet.far.closed);
  for (let second = 0; second < 100; second++) {
    busy.near.relayed++;
    circuits.tick();
  }
  assert.not(busy.near.closed);
  assert.not(free.near.closed);
});

test.run();
