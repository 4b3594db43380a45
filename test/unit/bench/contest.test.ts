// The bench's rounds, ratios, goals and profile: who takes turns with whom, and what becomes of what they did.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { present, ratios, rivalOf } from '../../../bench/comparison.ts';
import { type Contender, contenders, RUNTIME_NAMES } from '../../../bench/contenders.ts';
import { goalsReport } from '../../../bench/goals.ts';
import { handshakeReport } from '../../../bench/handshake.ts';
import { AWAKE } from '../../../bench/latency.ts';
import { summary } from '../../../bench/profile.ts';
import { interleaved, type Series, type Task, unless } from '../../../bench/rounds.ts';

const quiet = () => {};

test('interleaved: by turns, after the warm-up; some in the first round only', async () => {
  const order: string[] = [];
  const task = (name: string, rounds?: number): Task<string> => ({
    name,
    title: name,
    group: 'g',
    rounds,
    async run() {
      order.push(name);
      return name;
    },
  });
  const all = await interleaved([task('a'), task('b', 1), task('c')], 2, [task('w')], quiet);
  assert.equal(order, ['w', 'a', 'b', 'c', 'a', 'c']);
  assert.equal(
    all.map(({ runs }) => runs),
    [
      ['a', 'a'],
      ['b', undefined],
      ['c', 'c'],
    ],
  );
});

test('interleaved: what fails is not tried again and does not keep the others; what has no part is no failure', async () => {
  let tries = 0;
  const write = process.stderr.write;
  process.stderr.write = () => true;
  try {
    const all = await interleaved<number>(
      [
        { name: 'a', title: 'a', group: 'g', run: () => Promise.reject(new Error(`try ${++tries}`)) },
        { name: 'b', title: 'b', group: 'g', run: async () => 1 },
        {
          name: 'c',
          title: 'c',
          group: 'g',
          run: () => Promise.reject<number>(new Error('no common x')).catch(unless(/no common/)),
        },
      ],
      2,
      [],
      quiet,
    );
    assert.is(tries, 1);
    assert.equal(
      all.map(({ runs, failure }) => [runs, failure]),
      [
        [[undefined, undefined], 'try 1'],
        [[1, 1], undefined],
        [[undefined, undefined], undefined],
      ],
    );
    assert.throws(() => unless(/no common/)(new Error('another')), /another/);
  } finally {
    process.stderr.write = write;
  }
});

const series = (name: string, group: string, ...runs: (number | undefined)[]): Series<number> => ({
  name,
  title: name,
  group,
  runs,
});

test('ratios: within a round and a group, where both have run', () => {
  const all = [series('a', 'x', 2, 9, 8), series('sshd', 'x', 1, undefined, 4), series('sshd', 'y', 5, 5, 5)];
  assert.equal(
    ratios(all[0], rivalOf(all, all[0], 'sshd'), value => value),
    [2, 2],
  );
  assert.equal(
    ratios(all[0], rivalOf(all, all[0], 'ssh2'), value => value),
    [],
  );
  assert.is(rivalOf(all, all[1], 'sshd'), undefined);
  assert.equal(present(all[1]), [1, 4]);
  assert.equal(present(undefined), []);
});

test('contenders: every name once; ours on the runtimes that are asked for', () => {
  const names = contenders(RUNTIME_NAMES).map(({ name }) => name);
  assert.equal(names, [...new Set(names)]);
  const ours = contenders(['bun']).filter(({ ours }) => ours);
  assert.equal(
    ours.map(({ name }) => name),
    ['cordboard', 'cordboard-bun'],
  );
});

test('goals: medians with their bounds, which Bun has of its own', () => {
  const ours = ['Node 24', 'Bun 1'].map((title, i) => ({ name: `c${i}`, title, ours: true })) as unknown as Contender[];
  const latency = (name: string, p50: number) => ({
    ...series(name, AWAKE),
    runs: [{ cipher: 'gcm', trips: 1, p50, p99: 1, cpu: 1 }],
  });
  const run = (cpu: number) => ({
    cipher: 'gcm',
    bytes: 2 ** 30,
    seconds: 1,
    cpu: { user: cpu, system: 0 },
    others: 0,
  });
  const relay = (name: string, cpu: number) => ({
    ...series(name, 'aes128-gcm@openssh.com'),
    circuits: 1,
    runs: [run(cpu)],
  });
  const report = goalsReport(
    {
      latency: {
        rounds: 1,
        trips: 1,
        seconds: 1,
        series: [latency('c0', 80), latency('c1', 90), latency('sshd', 100)],
      },
      relay: { rounds: 1, mebibytes: 1, seconds: 1, series: [relay('c0', 0.6), relay('c1', 0.6), relay('sshd', 1)] },
    },
    ours,
  );
  assert.match(
    report,
    /\| 64 bytes there and back, p50, beside sshd; processors stay awake +\| 0\.800 ≤ 0\.850 ✓ \| 0\.900 ≤ 0\.850 ✗ \|/,
  );
  assert.match(report, /\| relay, aes128-gcm, beside sshd +\| 0\.600 ≤ 0\.850 ✓ \| 0\.600 ≤ 0\.500 ✗ \|/);
  assert.not.match(report, /idle/, 'what was not measured is left out');
  assert.is(goalsReport({}, ours), '');
});

test('handshake: what a post-quantum exchange adds', () => {
  const signIn = (kex: string, cpu: number) => ({ ...series('cordboard', kex), runs: [{ cpu, perSecond: 1 }] });
  const all = [
    signIn('curve25519-sha256', 1.5),
    signIn('sntrup761x25519-sha512@openssh.com', 4),
    signIn('mlkem768x25519-sha256', 2),
  ];
  assert.match(
    handshakeReport({ rounds: 1, count: 1, seconds: 1, series: all }),
    /^- cordboard: sntrup761 2\.50 ms, mlkem768 0\.500 ms$/m,
  );
});

test('profile: the innermost function, or what it works for, decides the group', () => {
  const kernel = '([kernel.kallsyms])';
  const node = '(/usr/bin/node)';
  const block = (...frames: string[]) => `node \n${frames.map(frame => `\tffff ${frame}`).join('\n')}\n`;
  const { samples, groups, functions } = summary(
    [
      block(`_copy_from_iter ${kernel}`, `tcp_sendmsg ${kernel}`, `do_writev ${kernel}`, `uv__write ${node}`),
      block(`_copy_to_iter ${kernel}`, `ksys_read ${kernel}`),
      block(`clear_page ${kernel}`, `asm_exc_page_fault ${kernel}`, `ksys_read ${kernel}`),
      block(`_aesni_ctr32_ghash_6x ${node}`),
      block(
        `Builtins_LoadIC ${node}`,
        'JS:*relay file:///home/x/dist/protocol/channels/splice.js:18:22 (/tmp/perf-1.map)',
        `uv__read ${node}`,
      ),
      block(
        `v8::internal::JSObject::New ${node}`,
        `node::crypto::CipherBase::New ${node}`,
        'JS:*seal file:///x/dist/a.js:1:1 (/tmp/perf-1.map)',
      ),
      block(`malloc (/lib/libc.so.6)`, `node::crypto::CipherBase::New ${node}`),
      block(`v8::internal::Scavenger::Scavenge ${node}`),
    ].join('\n'),
  );
  assert.is(samples, 8);
  const part = (name: RegExp) => groups.filter(group => name.test(group.name)).map(group => group.part * 8);
  assert.equal(part(/kernel: write/), [1]);
  assert.equal(part(/kernel: read/), [1]);
  assert.equal(part(/^memory/), [2]);
  assert.equal(part(/^the cipher/), [1]);
  assert.equal(part(/our JavaScript/), [1]);
  assert.equal(part(/objects around/), [1]);
  assert.equal(part(/garbage/), [1]);
  assert.is(functions.length, 8);
});

test.run();
