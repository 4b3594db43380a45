// Bans and invitations over several switchboards: in the end all agree, whoever was away meanwhile and whatever the directory has forgotten, and an invitation is used once.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hashOf } from '../../../src/apps/switchboard/codes.ts';
import type { Client } from '../../../src/apps/switchboard/redis.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import { fieldOf, KEEP, type Rule, Seal } from '../../../src/apps/switchboard/rules.ts';
import { SharedRules } from '../../../src/apps/switchboard/shared-rules.ts';
import { seeded } from '../../kit/insecure.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const secret = new Uint8Array(32).fill(7);

/** As much of Redis as rules need. */
class Fake {
  readonly hash = new Map<string, string>();
  readonly keys = new Set<string>();
  readonly nodes: Node[] = [];

  client(reached: () => boolean): Client {
    const there = async <T>(body: () => T): Promise<T> => {
      if (!reached()) throw new Error('away');
      return body();
    };
    const client = {
      memoryUsage: () => there(() => 100),
      hScan: () =>
        there(() => ({ cursor: '0', entries: Array.from(this.hash, ([field, value]) => ({ field, value })) })),
      hDel: (_key: string, fields: string[]) => there(() => fields.map(field => this.hash.delete(field)).length),
      set: (key: string) => there(() => (this.keys.size < this.keys.add(key).size ? 'OK' : null)),
      multi: () => {
        const todo: (() => void)[] = [];
        const chain = {
          hSet: (_key: string, field: string, value: string) => add(() => this.hash.set(field, value)),
          publish: (_channel: string, text: string) =>
            add(() => {
              for (const node of this.nodes) if (node.there) node.hear(text);
            }),
          exec: () => there(() => todo.map(body => body())),
        };
        const add = (body: () => void) => {
          todo.push(body);
          return chain;
        };
        return chain;
      },
    };
    return client as unknown as Client;
  }
}

interface Node {
  readonly registry: Registry;
  readonly rules: SharedRules;
  there: boolean;
  /** How often somebody may have had to go. */
  banned: number;
  hear(text: string): void;
}

async function join(directory: Fake, now: () => number = Date.now, mine = secret): Promise<Node> {
  const registry = await Registry.open(':memory:', now);
  const node: Node = {
    ...{ registry, there: true, banned: 0 },
    rules: new SharedRules({
      ...{ registry, log, channel: 'news', seal: new Seal(mine), commands: directory.client(() => node.there) },
      banned: () => void node.banned++,
    }),
    hear: text => {
      const { rule, sealed } = JSON.parse(text) as { rule: string; sealed: string };
      void node.rules.hear(rule, sealed);
    },
  };
  registry.ruled = rule => void node.rules.tell(rule).catch(() => {});
  directory.nodes.push(node);
  return node;
}

const settled = () => new Promise(resolve => setImmediate(resolve));
const view = ({ registry }: Node) => ({
  bans: registry
    .bans()
    .map(({ subject, until, reason }) => `${subject} ${until} ${reason}`)
    .sort(),
  invitations: registry
    .invitations()
    .map(({ id }) => id)
    .sort(),
});

for (let seed = 1; seed <= 60; seed++) {
  test(`whatever happens in whatever order, in the end all agree (seed ${seed})`, async () => {
    const { below } = seeded(seed);
    const random = () => below(1000) / 1000;
    const pick = <T>(all: readonly T[]): T => all[below(all.length)];
    const directory = new Fake();
    // Clocks differ by seconds, and much happens in the same millisecond.
    let clock = Date.now();
    const nodes = await Promise.all([0, 3000, -3000].map(skew => join(directory, () => clock + skew)));
    const subjects = ['192.0.2.1', '192.0.2.2', '198.51.100.0/24', `SHA256:${'a'.repeat(43)}`];
    for (let step = 0; step < 60; step++) {
      if (below(20) === 0) clock++;
      const node = pick(nodes);
      const { registry } = node;
      const what = random();
      if (what < 0.35) {
        const until = random() < 0.5 ? undefined : clock + 10 ** 6;
        await registry.ban({ subject: pick(subjects), until, reason: `step ${step}`, by: 'root' });
      } else if (what < 0.6) await registry.unban(pick(subjects));
      else if (what < 0.7) await registry.invite({ access: ['listen'], expires: Date.now() + 10 ** 6, by: 'root' });
      else if (what < 0.8) {
        const [one] = registry.invitations();
        if (one) await registry.withdraw(one.id);
      } else if (what < 0.95) {
        node.there = !node.there;
        if (node.there) await node.rules.share();
      } else directory.hash.clear();
      await settled();
    }
    for (const node of nodes) node.there = true;
    for (let round = 0; round < 2; round++) for (const node of nodes) await node.rules.share();
    await settled();
    const [first, ...others] = nodes.map(view);
    for (const other of others) assert.equal(other, first);
    // And whoever knows of a ban can lift it, however the clocks go.
    for (const subject of subjects) {
      await pick(nodes).registry.ban({ subject, reason: 'last', by: 'root' });
      await settled();
      for (const { registry } of nodes) assert.is(registry.banned([subject])?.reason, 'last');
      await pick(nodes).registry.unban(subject);
      await settled();
      for (const { registry } of nodes) assert.is(registry.banned([subject]), undefined);
    }
  });
}

test('an invitation is used once, on one switchboard, and by nobody while the directory is away', async () => {
  const directory = new Fake();
  const [a, b] = [await join(directory), await join(directory)];
  const code = (await a.registry.invite({ access: ['listen'], expires: Date.now() + 10 ** 6, by: 'root' }))!;
  await settled();
  assert.ok(b.registry.invitation(code));
  b.there = false;
  assert.not(await b.rules.redeem(hashOf(code)));
  b.there = true;
  // Before either has heard of the other.
  const both = await Promise.all([a, b].map(({ rules }) => rules.redeem(hashOf(code))));
  assert.equal(both.sort(), [false, true]);
});

test('one that has been used does not come back with a switchboard that was away, nor with an old copy', async () => {
  const directory = new Fake();
  const [a, b] = [await join(directory), await join(directory)];
  const code = (await a.registry.invite({ access: ['listen'], expires: Date.now() + 10 ** 6, by: 'root' }))!;
  await settled();
  const field = `invitation ${hashOf(code)}`;
  const old = directory.hash.get(field)!;
  b.there = false;
  assert.ok(await a.registry.redeem(code));
  a.registry.spent(code);
  await settled();
  assert.ok(b.registry.invitation(code));
  directory.hash.clear();
  b.there = true;
  await b.rules.share();
  await a.rules.share();
  await settled();
  for (const { registry, rules } of [a, b]) {
    assert.is(registry.invitation(code), undefined);
    await rules.hear(field, old);
    assert.is(registry.invitation(code), undefined);
  }
});

test('only what is sealed with our secret counts, under its own name, in its time; and bans send somebody away once', async () => {
  const directory = new Fake();
  const now = Date.now();
  const [a, b, stranger] = [
    await join(directory),
    await join(directory),
    await join(directory, Date.now, new Uint8Array(32)),
  ];
  const subject = '192.0.2.1';
  await stranger.registry.ban({ subject, reason: '', by: 'stranger' });
  await settled();
  assert.equal(
    [a, b].map(({ registry }) => registry.bans().length),
    [0, 0],
  );
  await a.rules.share();
  assert.is(a.registry.bans().length, 0);
  await a.registry.ban({ subject, reason: 'ours', by: 'root' });
  await settled();
  assert.equal(
    [a, b].map(({ registry }) => registry.bans().length),
    [1, 1],
  );
  assert.is(b.banned, 1);
  await b.rules.share();
  assert.is(b.banned, 1);
  const seal = new Seal(secret);
  const ban = { subject: '192.0.2.2', reason: '', by: 'root', made: now };
  const invitation = { hash: 'f'.repeat(64), access: ['listen'], expires: now + 1000, by: 'root' };
  const open = (rule: unknown, field = fieldOf(rule as Rule)) => seal.open(field, seal.seal(rule as Rule), now);
  assert.equal(open({ ban }), { ban });
  assert.equal(open({ invitation }), { invitation });
  const nonsense = [
    { ban: { ...ban, made: now + 2 * 86_400_000 } },
    { ban: { ...ban, until: 'soon' } },
    { ban: { ...ban, subject: 'everybody' } },
    { ban: { ...ban, reason: 'x'.repeat(5000) } },
    { invitation: { ...invitation, access: ['root'] } },
    { invitation: { ...invitation, hash: '' } },
    { invitation: { ...invitation, hostname: '-' } },
    { invitation: { ...invitation, expires: now + 2 * KEEP } },
  ];
  for (const rule of nonsense) assert.is(open(rule), undefined, JSON.stringify(rule).slice(0, 100));
  assert.is(open({ ban }, 'ban 192.0.2.3'), undefined);
  assert.is(seal.open('ban x', 'garbage', now), undefined);
});

test('what has been over for long is forgotten, here and in the directory', async () => {
  const directory = new Fake();
  let now = Date.now();
  const a = await join(directory, () => now);
  await a.registry.ban({ subject: '192.0.2.1', until: now + 1000, reason: '', by: 'root' });
  const code = (await a.registry.invite({ access: ['listen'], expires: now + 1000, by: 'root' }))!;
  await settled();
  assert.is(directory.hash.size, 2);
  now += KEEP + 2000;
  assert.equal(a.registry.rules(), []);
  const seal = new Seal(secret);
  const past = { ban: { subject: '192.0.2.9', until: Date.now() - KEEP - 1000, reason: '', by: 'root', made: 0 } };
  directory.hash.set(fieldOf(past), seal.seal(past));
  await a.rules.share();
  assert.is(directory.hash.has(fieldOf(past)), false);
  assert.is(a.registry.invitation(code), undefined);
});

test.run();
