// Replies in the order of their requests, however late (RFC 4254 §4, §5.4).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Answers } from '../../../src/protocol/channels/answers.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { seeded } from '../../kit/insecure.ts';

const turn = () => new Promise(resolve => setImmediate(resolve));

function collecting(): { sent: number[]; faults: string[]; answers: Answers<number> } {
  const sent: number[] = [];
  const faults: string[] = [];
  const answers = new Answers<number>(
    reply => void sent.push(reply),
    -1,
    fault => void faults.push(String(fault)),
  );
  return { sent, faults, answers };
}

test('what is known at once is sent at once', () => {
  const { sent, answers } = collecting();
  for (let i = 0; i < 5; i++) answers.add(i);
  assert.equal(sent, [0, 1, 2, 3, 4]);
});

test('what is known at once waits behind what is not', async () => {
  const { sent, answers } = collecting();
  let decide: (value: number) => void = () => {};
  answers.add(new Promise(resolve => (decide = resolve)));
  answers.add(1);
  answers.add(2);
  assert.equal(sent, []);
  decide(0);
  await turn();
  assert.equal(sent, [0, 1, 2]);
  answers.add(3);
  assert.equal(sent, [0, 1, 2, 3]);
});

test('in whatever order decisions come, replies go out in the order of the requests', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const { sent, answers } = collecting();
    const open: (() => void)[] = [];
    const expected: number[] = [];
    for (let i = 0; i < 30; i++) {
      const kind = random.below(3);
      if (kind === 0) answers.add(i);
      else
        answers.add(
          new Promise((resolve, reject) => open.push(() => (kind === 1 ? resolve(i) : reject(new Error('no'))))),
        );
      expected.push(kind === 2 ? -1 : i);
    }
    while (open.length > 0) {
      open.splice(random.below(open.length), 1)[0]();
      if (random.below(3) === 0) await turn();
      assert.equal(sent, expected.slice(0, sent.length), `seed ${seed}`);
    }
    await turn();
    assert.equal(sent, expected, `seed ${seed}`);
  }
});

test('any thenable counts as later', async () => {
  const { sent, answers } = collecting();
  // biome-ignore lint/suspicious/noThenProperty: what is tested is that it counts
  answers.add({ then: (done?: ((value: number) => unknown) | null) => done?.(7) } as PromiseLike<number>);
  answers.add(8);
  await turn();
  assert.equal(sent, [7, 8]);
});

test('replies known at once have no limit, undecided ones do', () => {
  const { sent, answers } = collecting();
  for (let i = 0; i < 10_000; i++) answers.add(i);
  assert.is(sent.length, 10_000);
  let pending = 0;
  try {
    for (; pending < 10_000; pending++) answers.add(new Promise(() => {}));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ProtocolError);
  }
  assert.ok(pending >= 100 && pending < 2000);
});

test('a request that wants no reply gets none, may fail, and counts while it is undecided', async () => {
  const { sent, faults, answers } = collecting();
  answers.add(1, false);
  let fail: (error: Error) => void = () => {};
  answers.add(new Promise((_, reject) => (fail = reject)), false);
  answers.add(2);
  assert.equal(sent, [2]);
  fail(new Error('on purpose'));
  // An unhandled rejection would end the process here.
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(faults, ['Error: on purpose']);
  assert.equal(sent, [2]);
  for (let i = 0; i < 256; i++) answers.add(new Promise(() => {}), false);
  assert.throws(() => answers.add(new Promise(() => {}), false), /too many requests/);
});

test.run();
