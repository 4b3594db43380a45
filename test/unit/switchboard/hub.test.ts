// The hub and its boards: whatever happens in whatever order, a call reaches the line that it was made for or none, and in the end all boards agree.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Deliver, Hub, Outbox } from '../../../src/apps/switchboard/hub.ts';
import {
  Board,
  isPeer,
  lineKey,
  type News,
  NoSuchLine,
  type Peer,
  type Place,
  type Provider,
} from '../../../src/apps/switchboard/lines.ts';
import type { Client } from '../../../src/server/server.ts';
import { seeded } from '../../kit/insecure.ts';
import { turns } from '../../kit/socket.ts';

function provider(id: string, place: string, ports = [80]): Provider {
  const lines = ports.map(port => tcp('', port));
  return {
    ...{ id, place, owner: 'SHA256:a', name: 'a', alias: 'a-0', names: [], given: [], address: '192.0.2.1', since: 1 },
    ...{ doubted: false, lines },
  };
}
const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;
const place = (id: string): Place => ({ id, worker: 1, path: `/${id}` });

/** A receiver that is ready for more when told so. */
function slow(): { deliver: Deliver; heard: News[][]; ready(): void } {
  const heard: News[][] = [];
  let ready = () => {};
  return {
    heard,
    ready: () => ready(),
    deliver: news => {
      heard.push(news);
      return new Promise(resolve => (ready = resolve));
    },
  };
}

test('news of one tick go together; while the receiver is busy only the latest of each thing waits', async () => {
  const { deliver, heard, ready } = slow();
  const outbox = new Outbox(deliver);
  outbox.put({ up: place('x') });
  outbox.put({ provider: provider('x/1', 'x') });
  await turns(2);
  assert.equal(heard, [[{ up: place('x') }, { provider: provider('x/1', 'x') }]]);
  for (let i = 0; i < 1000; i++) {
    outbox.put({ provider: provider('x/1', 'x', i % 2 ? [] : [80, i]) });
    outbox.put({ provider: provider('x/2', 'x', [i]) });
  }
  await turns(2);
  assert.is(heard.length, 1);
  ready();
  await turns(2);
  assert.equal(heard[1], [{ provider: provider('x/1', 'x', []) }, { provider: provider('x/2', 'x', [999]) }]);
  ready();
  await turns(2);
  assert.is(heard.length, 2);
});

test('who joins hears what there is, then everything of others, and nothing of itself', async () => {
  const hub = new Hub();
  const heard = new Map<string, News[]>();
  const join = (id: string) => {
    heard.set(id, []);
    return hub.join(id, async news => void heard.get(id)!.push(...news));
  };
  assert.equal(join('a'), []);
  assert.equal(join('b'), []);
  hub.up(place('a'));
  hub.hear('a', [{ provider: provider('a/1', 'a') }]);
  assert.equal(join('c'), [{ up: place('a') }, { provider: provider('a/1', 'a') }]);
  await turns(2);
  assert.equal(heard.get('a'), []);
  assert.equal(heard.get('b'), [{ up: place('a') }, { provider: provider('a/1', 'a') }]);
  hub.down('a');
  hub.down('b');
  await turns(2);
  assert.equal(heard.get('c'), [{ down: 'a' }], 'b has never been up');
  assert.equal(join('d'), []);
});

test('nobody speaks for others, before it is up, or after it has died', async () => {
  const hub = new Hub();
  const heard: News[] = [];
  hub.join('a', async news => void heard.push(...news));
  hub.join('b', async () => {});
  hub.hear('b', [{ provider: provider('b/1', 'b') }]);
  hub.up(place('b'));
  hub.hear('b', [{ provider: provider('a/1', 'a') }, { down: 'a' }, { up: place('c') }]);
  hub.down('b');
  hub.hear('b', [{ provider: provider('b/1', 'b') }]);
  hub.up(place('b'));
  await turns(2);
  assert.equal(heard, [{ down: 'b' }], 'it was up for less than a tick');
});

test('the directory hears what is said here, tells of others, and does not hear of those again', async () => {
  const hub = new Hub();
  const told: News[] = [];
  const heard: News[] = [];
  hub.share(async news => void told.push(...news));
  hub.join('a', async news => void heard.push(...news));
  hub.up(place('a'));
  hub.hear('a', [{ provider: provider('a/1', 'a') }]);
  const far = { ...place('far'), path: undefined, node: { host: '192.0.2.2', port: 22 } };
  hub.learn({ up: far });
  hub.learn({ provider: provider('far/1', 'far') });
  // What the directory has no word in.
  hub.learn({ provider: provider('a/2', 'a') });
  hub.learn({ up: place('a') });
  hub.learn({ down: 'a' });
  hub.learn({ provider: provider('nowhere/1', 'nowhere') });
  await turns(2);
  assert.equal(told, [{ up: place('a') }, { provider: provider('a/1', 'a') }]);
  assert.equal(heard, [{ up: far }, { provider: provider('far/1', 'far') }]);
  assert.equal(hub.ours, [{ place: place('a'), providers: [provider('a/1', 'a')] }]);
  assert.equal(
    hub.join('b', async () => {}),
    [
      ...[{ up: place('a') }, { provider: provider('a/1', 'a') }],
      ...[{ up: far }, { provider: provider('far/1', 'far') }],
    ],
  );
  hub.learn({ down: 'far' });
  hub.down('a');
  await turns(2);
  assert.equal(heard.slice(2), [{ down: 'far' }]);
  assert.equal(told.slice(2), [{ down: 'a' }]);
});

// A world of workers, callers and mishaps by a seed

interface Worker {
  readonly id: string;
  readonly board: Board;
  readonly outbox: Outbox;
  readonly peers: Peer[];
  /** News on their way, to the hub and from it, each in its order. */
  readonly up: (() => void)[];
  readonly down: (() => void)[];
  dead: boolean;
}

class World {
  readonly dice;
  readonly hub = new Hub();
  workers: Worker[] = [];
  #count = 0;
  #clock = 1000;
  /** Calls: put through here, put through elsewhere, refused where the line had been. */
  calls = { here: 0, elsewhere: 0, gone: 0 };

  constructor(seed: number) {
    this.dice = seeded(seed);
    for (let i = 0; i < 2 + this.dice.below(3); i++) this.start();
  }

  /** Clocks differ by up to ten seconds, and stand still at times. */
  start(): void {
    const id = `w${++this.#count}`;
    const skew = this.dice.below(10_000);
    const up: Worker['up'] = [];
    const down: Worker['down'] = [];
    const through = (pipe: (() => void)[], act: (news: News[]) => void) => (news: News[]) =>
      new Promise<void>(resolve => {
        // As JSON, like between processes.
        const text = JSON.stringify(news);
        pipe.push(() => {
          act(JSON.parse(text) as News[]);
          resolve();
        });
      });
    const outbox = new Outbox(through(up, news => this.hub.hear(id, news)));
    const board = new Board({
      changed: ({ client: _client, ...peer }) => outbox.put({ provider: { ...peer, lines: [...peer.lines] } }),
      now: () => this.#clock + skew,
    });
    const worker: Worker = { id, board, outbox, peers: [], up, down, dead: false };
    const learn = (news: News[]) => {
      for (const item of news) board.learn(item);
    };
    learn(this.hub.join(id, through(down, learn)));
    this.hub.up(place(id));
    this.workers.push(worker);
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.dice.below(list.length)];
  }

  step(): void {
    const { dice } = this;
    const worker = this.pick(this.workers)!;
    if (dice.below(3) === 0) this.#clock += dice.below(50);
    switch (dice.below(12)) {
      case 0: {
        const id = `${worker.id}/${++this.#count}`;
        const name = this.pick(['a', 'b', 'c'])!;
        worker.peers.push({
          ...{ id, place: worker.id, client: { id: this.#count } as Client, names: [], given: [], doubted: false },
          ...{ owner: `SHA256:${name}`, name, alias: `${name}-0`, address: '192.0.2.1', since: 0, lines: [] },
        });
        break;
      }
      case 1:
      case 2:
      case 3: {
        const peer = this.pick(worker.peers);
        const line = tcp(`${peer?.id}`, 1 + dice.below(3));
        if (peer && !peer.lines.some(one => lineKey(one) === lineKey(line))) worker.board.plug(peer, line);
        break;
      }
      case 4: {
        const peer = this.pick(worker.peers);
        if (peer?.lines[0]) worker.board.unplug(peer, peer.lines[0]);
        break;
      }
      case 5: {
        const peer = this.pick(worker.peers);
        if (peer === undefined || dice.below(3) > 0) break;
        worker.peers.splice(worker.peers.indexOf(peer), 1);
        worker.board.remove(peer);
        break;
      }
      case 6:
        if (dice.below(20) === 0) this.crash(worker);
        break;
      case 7:
      case 8:
        this.call(worker);
        break;
      default:
        this.pick([worker.up, worker.down])!.shift()?.();
    }
  }

  /** It dies: some of what it has said is on its way yet and arrives after everybody knows, and another one starts. */
  crash(worker: Worker): void {
    worker.dead = true;
    this.workers.splice(this.workers.indexOf(worker), 1);
    this.hub.down(worker.id);
    for (const late of worker.up) late();
    this.start();
  }

  /** As the application does: find, put through, and look again on arrival. */
  call(from: Worker): void {
    const name = this.pick(['a-0', 'b-0~1', 'c-0'])!;
    const port = 1 + this.dice.below(3);
    const caller = { owner: 'SHA256:a', fingerprint: 'SHA256:a', given: [], principals: [] };
    let found: ReturnType<Board['find']>;
    try {
      found = from.board.find(caller, tcp(name, port));
    } catch (error) {
      assert.instance(error, NoSuchLine);
      return;
    }
    const { provider: to } = found;
    assert.is(isPeer(to), to.place === from.id);
    if (isPeer(to)) {
      this.calls.here++;
      this.reached(to, name, port);
      return;
    }
    const there = this.workers.find(({ id }) => id === to.place);
    if (there === undefined) {
      // Its trunk is gone: refused.
      this.calls.gone++;
      return;
    }
    // While the call is under way, everything may happen.
    there.down.push(() => {
      try {
        const { peer, line } = there.board.here(to.id, String(port), found.name);
        this.calls.elsewhere++;
        assert.is(lineKey(line), String(port));
        assert.is(peer.id, to.id);
        this.reached(peer, name, port);
      } catch (error) {
        assert.instance(error, NoSuchLine);
        this.calls.gone++;
      }
    });
  }

  reached(peer: Peer, name: string, port: number): void {
    assert.is(peer.alias, name.replace(/~.*/, ''), 'the alias that was called');
    assert.ok(
      this.workers.some(({ peers }) => peers.includes(peer)),
      'somebody who is there',
    );
    assert.ok(
      peer.lines.some(line => line.kind === 'tcp' && line.port === port && line.host === peer.id),
      'a line that is plugged in',
    );
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      await undefined;
      const due = this.workers.flatMap(({ up, down }) => [...up.splice(0), ...down.splice(0)]);
      for (const act of due) act();
      quiet = due.length > 0 ? 0 : quiet + 1;
    }
  }
}

const sketch = ({ id, alias, since, lines }: Provider) => ({ id, alias, since, ports: lines.map(lineKey) });

test('over many seeds no call reaches a wrong line, and boards agree with each other and the truth', async () => {
  const sum = { here: 0, elsewhere: 0, gone: 0 };
  for (let seed = 1; seed <= 400; seed++) {
    const world = new World(seed);
    try {
      for (let i = 0; i < 400; i++) {
        world.step();
        // Sometimes what waits in outboxes leaves.
        if (world.dice.below(4) === 0) await undefined;
      }
      await world.settle();
      const truth = world.workers
        .flatMap(({ peers }) => peers.filter(({ lines }) => lines.length > 0))
        .sort((a, b) => b.since - a.since || (a.id < b.id ? 1 : -1));
      for (const alias of ['a-0', 'b-0', 'c-0']) {
        const expected = truth.filter(peer => peer.alias === alias).map(sketch);
        for (const { board } of world.workers) {
          assert.equal(board.providers.filter(peer => peer.alias === alias).map(sketch), expected);
        }
      }
    } catch (error) {
      (error as Error).message = `seed ${seed}: ${(error as Error).message}`;
      throw error;
    }
    for (const key of ['here', 'elsewhere', 'gone'] as const) sum[key] += world.calls[key];
  }
  assert.ok(sum.here > 1000 && sum.elsewhere > 1000 && sum.gone > 100, JSON.stringify(sum));
});

test.run();
