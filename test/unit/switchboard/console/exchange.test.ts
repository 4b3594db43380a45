// What the console sees and does, through one process or several; what happened in words; what Prometheus is told; sockets that systemd passes.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Switchboard } from '../../../../src/apps/switchboard/app.ts';
import { Exchange, type Part } from '../../../../src/apps/switchboard/console/exchange.ts';
import { answering, type PollPrimary, Polls, type PollWorker } from '../../../../src/apps/switchboard/console/polls.ts';
import { tokenFrom } from '../../../../src/apps/switchboard/console/sign-ins.ts';
import { single } from '../../../../src/apps/switchboard/console/single.ts';
import { type BoardEvent, type ClientInfo, Events, type Snapshot } from '../../../../src/apps/switchboard/events.ts';
import { inherited } from '../../../../src/apps/switchboard/inherited.ts';
import type { Kick } from '../../../../src/apps/switchboard/ipc.ts';
import { Registry } from '../../../../src/apps/switchboard/registry.ts';
import { aClient, aLine } from '../../../kit/exchange.ts';
import { soon } from '../../../kit/processes.ts';
import { notes } from '../../../kit/served.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-exchange-'));
test.after(() => rmSync(directory, { recursive: true }));
let files = 0;
const registry = () => Registry.open(join(directory, `${files++}.db`));

/** As much of a switchboard as the console reads. */
class Board {
  readonly events = new Events();
  readonly kicked: (readonly string[])[] = [];
  there: Snapshot = { clients: [], lines: [], circuits: [] };
  snapshot = () => this.there;
  rechecked = 0;
  recheck = () => void this.rechecked++;
  subscribe = (hear: (event: BoardEvent) => void) => this.events.subscribe(hear);
  kick = (ids: readonly string[], _reason: string) => void this.kicked.push(ids);
  get real(): Switchboard {
    return this as unknown as Switchboard;
  }
}

const [alice, bob] = [aClient('1', 'alice'), aClient('2', 'bob')];
const circuit = (id: number, toProvider: number, toCaller: number, caller: ClientInfo = bob) => ({
  ...{ id, caller, target: 'alice:80', line: '80', since: 0, toProvider, toCaller },
  provider: { id: '1', alias: alice.alias, address: alice.address },
});

/** Two workers, with what is said between them and the primary process in memory. */
function twoWorkers(patience?: number) {
  const boards = [new Board(), new Board()];
  const hanging = new Set<number>();
  const sent: (PollWorker | { kick: Kick } | { recheck: true })[] = [];
  const polls: Polls = new Polls(
    () =>
      boards.map((_, i) => ({
        id: `w${i}`,
        tell(message) {
          sent.push(message);
          if (hanging.has(i)) return;
          if ('recheck' in message) boards[i].rechecked++;
          else if ('kick' in message) boards[i].kick(message.kick.ids, message.kick.reason);
          else workers[i](message);
        },
      })),
    patience,
  );
  const workers = boards.map((board, i) =>
    answering(
      board.real,
      '1.2.3',
      `w${i}`,
      (message: PollPrimary) => polls.hear(`w${i}`, structuredClone(message)),
      notes(),
    ),
  );
  return { boards, hanging, polls, sent };
}

test('several processes are seen as one: clients and circuits of each, the lines of all once', async () => {
  const { boards, polls } = twoWorkers();
  const line = aLine(alice, '80');
  boards[0].there = { clients: [alice], lines: [line], circuits: [circuit(1, 5, 6)] };
  boards[1].there = { clients: [bob], lines: [{ ...line }], circuits: [circuit(1, 7, 8)] };
  const exchange = new Exchange(polls, await registry());
  let stirred = 0;
  const leave = exchange.watch(() => stirred++);
  boards[1].events.tell({ type: 'signed-in', client: bob });
  boards[1].events.tell({ type: 'draining' });
  assert.is(stirred, 1, 'once is enough until somebody looks');
  const look = await exchange.look();
  assert.equal(look.clients, [alice, bob]);
  assert.equal(look.lines, [line]);
  assert.equal(new Set(look.circuits.map(({ id }) => id)).size, 2, 'numbers of two processes are not the same');
  assert.equal(look.journal.map(({ text }) => text)[0], 'bob-0123456789 signed in from 192.0.2.2');
  assert.ok(look.draining);
  assert.equal((await exchange.look()).journal, [], 'told once');
  boards[1].events.tell({ type: 'signed-out', client: bob, reason: 'x' });
  assert.is(stirred, 2);
  leave();
  boards[0].events.tell({ type: 'signed-out', client: bob, reason: 'x' });
  assert.is(stirred, 2);
});

test('a worker that hangs is shown as it was; one that has died is not waited for', async () => {
  const { boards, hanging, polls } = twoWorkers(50);
  boards[0].there = { ...boards[0].there, clients: [alice] };
  boards[1].there = { ...boards[1].there, clients: [bob] };
  const clients = (parts: Part[]) => parts.flatMap(part => part.clients.map(({ user }) => user));
  assert.equal(clients(await polls.look()), ['alice', 'bob']);
  hanging.add(1);
  boards[1].there = { ...boards[1].there, clients: [] };
  assert.equal(clients(await polls.look()), ['alice', 'bob']);
  const patient = twoWorkers(600_000);
  patient.hanging.add(1);
  const look = patient.polls.look();
  patient.polls.gone('w1');
  assert.is((await soon('the look', look)).length, 1);
});

test('a kick goes to all processes, and is noted once; a ban ends the connections that it is about, and lasts', async () => {
  const { boards, polls, sent } = twoWorkers();
  boards[0].there = { ...boards[0].there, clients: [alice] };
  boards[1].there = { ...boards[1].there, clients: [bob] };
  const names = await registry();
  const exchange = new Exchange(polls, names);
  const noted: string[] = [];
  for (const { events } of boards) {
    events.subscribe(
      event => event.type === 'command' && noted.push(`${event.by.user} at ${event.by.address} ${event.what}`),
    );
  }
  assert.is(await exchange.kick('::1', '9'), false);
  assert.is(await exchange.kick('::1', '2'), true);
  assert.equal(
    boards.map(({ kicked }) => kicked),
    [[['2']], [['2']]],
  );
  assert.equal(noted, ['console at ::1 kicked bob-0123456789 (client 2)']);

  for (const nonsense of ['', 'bob', 'SHA256:short', '10.0.0.0/99'])
    assert.is(await exchange.ban('::1', nonsense, 60, ''), false);
  assert.equal(names.bans(), []);
  const before = Date.now();
  assert.is(await exchange.ban('::1', alice.key, 60, 'loud\x1b[2J'), true);
  assert.equal(boards[0].kicked.at(-1), ['1']);
  assert.equal([boards[0].rechecked, boards[1].rechecked], [1, 1], 'as for a ban that is made at the prompt');
  const [ban] = names.bans();
  assert.is(ban.subject, alice.key);
  assert.is(ban.by, 'console');
  assert.not.match(ban.reason, /\x1b/);
  assert.ok(ban.until! >= before + 60_000 && ban.until! <= Date.now() + 60_000);
  assert.equal((await exchange.look()).bans, [ban]);
  assert.is(await exchange.ban('::1', '192.0.2.0/24', undefined, ''), true);
  assert.equal(boards[1].kicked.at(-1), ['1', '2']);
  assert.is(await exchange.unban('::1', alice.key), true);
  assert.is(await exchange.unban('::1', alice.key), false);
  assert.equal(
    names.bans().map(({ subject }) => subject),
    ['192.0.2.0/24'],
  );
  assert.is(sent.filter(message => 'note' in message).length, noted.length);
  names.close();
});

/** A metric's value in Prometheus' text. */
const value = (text: string, name: string) => {
  const line = text.split('\n').find(one => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
};

test('metrics count what happens, and carry no names; those of several processes are added up', async () => {
  const { boards, polls } = twoWorkers();
  const sole = new Board();
  const one = single(sole.real, '1.2.3');
  for (const board of [...boards, sole]) {
    const { events } = board;
    const stranger = { address: '203.0.113.9', port: 1, user: 'mallory', key: 'SHA256:mallory' };
    events.tell({ type: 'signed-in', client: alice });
    events.tell({ type: 'signed-in', client: bob });
    events.tell({ type: 'sign-in-refused', stranger, reason: 'no' });
    events.tell({ type: 'enrolled', stranger });
    events.tell({ type: 'plugged', client: alice, line: aLine(alice, '80') });
    events.tell({ type: 'line-refused', client: bob, line: '81', reason: 'no' });
    events.tell({ type: 'opened', circuit: circuit(1, 0, 0) });
    events.tell({ type: 'closed', circuit: { ...circuit(1, 100, 2000), since: Date.now() - 5000 } });
    events.tell({ type: 'opened', circuit: circuit(2, 0, 0) });
    events.tell({ type: 'call-refused', client: bob, target: 'alice:81', reason: 'no' });
    board.there = { clients: [alice, bob], lines: [aLine(alice, '80')], circuits: [circuit(2, 10, 20)] };
  }
  const [text, both] = [await one.metrics(), await polls.metrics()];
  const expected: [string, number][] = [
    ['cordboard_clients', 2],
    ['cordboard_circuits', 1],
    ['cordboard_sign_ins_total{result="accepted"}', 2],
    ['cordboard_sign_ins_total{result="refused"}', 1],
    ['cordboard_enrolments_total', 1],
    ['cordboard_lines_total{result="accepted"}', 1],
    ['cordboard_lines_total{result="refused"}', 1],
    ['cordboard_calls_total{result="accepted"}', 2],
    ['cordboard_calls_total{result="refused"}', 1],
    ['cordboard_circuit_bytes_total{to="provider"}', 110],
    ['cordboard_circuit_bytes_total{to="caller"}', 2020],
    ['cordboard_circuit_duration_seconds_count', 1],
    ['cordboard_circuit_duration_seconds_bucket{le="1"}', 0],
    ['cordboard_circuit_duration_seconds_bucket{le="10"}', 1],
  ];
  for (const [name, count] of expected) {
    assert.is(value(text, name), count, name);
    assert.is(value(both, name), 2 * count, `${name} of two`);
  }
  for (const all of [text, both]) {
    assert.is(value(all, 'cordboard_lines'), 1, 'each process knows those of all');
    assert.is(value(all, 'cordboard_info{version="1.2.3"}'), 1);
    assert.is(value(all, 'cordboard_draining'), 0);
    assert.ok(value(all, 'process_resident_memory_bytes')! > 1e6);
    assert.not.match(all, /alice|bob|mallory|192\.0\.2|SHA256/);
  }
  // A second scrape counts nothing twice.
  sole.there = { clients: [], lines: [], circuits: [circuit(2, 15, 20)] };
  sole.events.tell({ type: 'draining' });
  const later = await one.metrics();
  assert.is(value(later, 'cordboard_circuit_bytes_total{to="provider"}'), 115);
  assert.is(value(later, 'cordboard_clients'), 0);
  assert.is(value(later, 'cordboard_draining'), 1);
});

test('each thing that happens has a sentence', async () => {
  const board = new Board();
  const one = single(board.real, '1.2.3');
  const line = aLine(alice, '80');
  const stranger = { address: '203.0.113.9', port: 1, user: 'mallory', key: 'SHA256:m' };
  const { events } = board;
  events.tell({ type: 'signed-out', client: alice, reason: 'bye' });
  events.tell({ type: 'sign-in-refused', stranger, reason: 'it is banned' });
  events.tell({ type: 'enrolled', stranger, invitedBy: 'alice' });
  events.tell({ type: 'plugged', client: alice, line, over: '3' });
  events.tell({ type: 'unplugged', client: alice, line });
  events.tell({ type: 'line-refused', client: alice, line: '81', reason: 'no' });
  events.tell({ type: 'opened', circuit: circuit(1, 0, 0) });
  events.tell({ type: 'closed', circuit: { ...circuit(1, 1_000_000, 48_576), since: Date.now() - 2000 } });
  events.tell({ type: 'call-refused', client: bob, target: 'x:1', reason: 'no line' });
  events.tell({ type: 'command', by: bob, what: 'kicked alice' });
  events.tell({ type: 'draining' });
  assert.equal(
    (await one.look())[0].journal.map(({ text }) => text),
    [
      'alice-0123456789 left: bye',
      'mallory from 203.0.113.9 (SHA256:m) was not let in: it is banned',
      'mallory from 203.0.113.9 (SHA256:m) was enrolled, invited by alice',
      'alice-0123456789 plugged in 80, in place of an older connection',
      'alice-0123456789 unplugged 80',
      'alice-0123456789 may not plug in 81: no',
      'bob-0123456789 → alice:80 was put through',
      'bob-0123456789 → alice:80 ended: 1.0 MiB in 2 s',
      'bob-0123456789 did not get x:1: no line',
      'bob kicked alice',
      'the switchboard goes down: no new clients, lines and calls',
    ],
  );
  for (let i = 0; i < 500; i++) events.tell({ type: 'call-refused', client: bob, target: `x:${i}`, reason: 'no' });
  const { journal } = (await one.look())[0];
  assert.is(journal.length, 200, 'if nobody looks, the newest are kept');
  assert.match(journal.at(-1)!.text, /x:499/);
});

test('a token file that is missing is made, for its owner only; one that could be guessed is refused', () => {
  const file = join(directory, 'token');
  const token = tokenFrom(file);
  assert.match(token, /^[\w-]{43}$/);
  assert.is(tokenFrom(file), token);
  assert.is(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, 'password\n');
  assert.throws(() => tokenFrom(file), /less than 16 characters/);
});

test('sockets are taken that systemd means for this process, and no child takes them again', () => {
  const given = (env: NodeJS.ProcessEnv) => ({ result: inherited(env, 42), env });
  assert.equal(given({ LISTEN_PID: '42', LISTEN_FDS: '1' }), { result: { clients: [3] }, env: {} });
  const two = { LISTEN_PID: '42', LISTEN_FDS: '3', LISTEN_FDNAMES: 'ssh:console:ssh', HOME: '/' };
  assert.equal(given(two), { result: { clients: [3, 5], console: 4 }, env: { HOME: '/' } });
  for (const other of [
    {},
    { LISTEN_PID: '41', LISTEN_FDS: '1' },
    { LISTEN_FDS: '1' },
    { LISTEN_PID: '42', LISTEN_FDS: 'x' },
  ])
    assert.equal(given({ ...other }), { result: { clients: [] }, env: {} });
});

test.run();
