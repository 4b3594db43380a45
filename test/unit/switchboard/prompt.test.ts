// The prompt, while its session ends at any time: at each step of what it does, in each way that a session can end.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Prompt, prompt } from '../../../src/apps/switchboard/shell/terminal.ts';
import type { Session } from '../../../src/server/session.ts';
import { seeded } from '../../kit/insecure.ts';

/** What ends the process, on each runtime. */
const faults: unknown[] = [];
process.on('unhandledRejection', error => faults.push(error));
process.on('uncaughtException', error => faults.push(error));

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

/** How long something takes: nothing, some microtasks, a tick, a turn of the loop. */
async function pause(chance: (below: number) => number): Promise<void> {
  switch (chance(4)) {
    case 0:
      return;
    case 1:
      for (let i = chance(6); i > 0; i--) await undefined;
      return;
    case 2:
      return new Promise(resolve => process.nextTick(resolve));
  }
  return turn();
}

/** As much of a session as the prompt uses. `step` is called at each thing that it does. */
class Terminal {
  readonly #chance: (below: number) => number;
  readonly #step: () => void;
  readonly #typed: Uint8Array[] = [];
  #wake = () => {};
  #over: (() => void) | undefined;
  #state: 'open' | 'eof' | 'closed' | 'broken' = 'open';
  /** It has said how it ended, and takes no more. */
  #exited = false;
  shown = '';
  onresize: (() => void) | undefined;
  readonly terminal = { term: 'xterm', columns: 80, rows: 24, modes: new Uint8Array(0) };
  readonly stream;

  constructor(chance: (below: number) => number, step: () => void) {
    this.#chance = chance;
    this.#step = step;
    const closed = new Promise<void>(resolve => (this.#over = resolve));
    this.stream = {
      closed,
      write: (bytes: Uint8Array) => this.#write(bytes),
      [Symbol.asyncIterator]: () => this.#read(),
    };
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.#step();
      await pause(this.#chance);
      const bytes = this.#typed.shift();
      if (bytes !== undefined) yield bytes;
      else if (this.#state === 'broken') throw new Error('the connection is gone');
      else if (this.#state !== 'open') return;
      else await new Promise<void>(resolve => (this.#wake = resolve));
    }
  }

  async #write(bytes: Uint8Array): Promise<boolean> {
    this.#step();
    await pause(this.#chance);
    if (this.#exited) throw new Error('write after the end of the channel');
    this.shown += new TextDecoder().decode(bytes);
    this.#step();
    return this.#state === 'open' || this.#state === 'eof';
  }

  type(keys: string): void {
    this.#typed.push(new TextEncoder().encode(keys));
    this.#wake();
  }

  end(how: 'eof' | 'closed' | 'broken' | 'exited'): void {
    if (how === 'exited') this.#exited = true;
    this.#state = how === 'exited' ? 'closed' : how;
    this.#wake();
    if (how !== 'eof') this.#over?.();
  }
}

const ENDS = [
  'closed',
  'broken',
  'exited',
  'eof',
  '\x03',
  '\x04',
  'unfinished\x03',
  '\t\x03',
  'whoami\r\x03',
  'whoami\r\x04',
  'resize',
  'news',
] as const;
const KEYS = [
  'wh',
  '\t',
  'oami\r',
  'whoami\r',
  'list\t\r',
  '\x1b[A',
  '\r',
  '\t\t',
  'x\x7f',
  'a\rb\rc\r',
  'fail\r',
  'stuck\t',
];

interface Outcome {
  readonly steps: number;
  readonly over: boolean;
  readonly ranAfterEnd: boolean;
  /** What the prompt said that it failed with. */
  readonly failed: readonly string[];
}

/** One session: some keys, and at step number `at` something that ends it, or disturbs it. */
async function play(seed: number, at: number, how: (typeof ENDS)[number]): Promise<Outcome> {
  const dice = seeded(seed);
  const chance = (below: number) => dice.below(below);
  const failed: string[] = [];
  let steps = 0;
  let shell: Prompt | undefined;
  let ended = false;
  let ranAfterEnd = false;
  const step = () => {
    if (++steps !== at) return;
    disturb().catch(error => faults.push(error));
  };
  const session = new Terminal(chance, step);
  const disturb = async () => {
    // Between two things that the prompt waits for, too.
    for (let i = chance(8); i > 0; i--) await undefined;
    if (how === 'resize') session.onresize?.();
    else if (how === 'news') shell?.say('a line is plugged in\n');
    else if (how === 'eof' || how === 'closed' || how === 'broken' || how === 'exited') session.end(how);
    else session.type(how);
  };
  const doing = async (text: string) => {
    ranAfterEnd ||= ended;
    step();
    await pause(chance);
    if (text.includes('fail') || text.includes('stuck')) throw new Error('on purpose');
    await pause(chance);
    step();
  };
  shell = prompt(session as unknown as Session, {
    prompt: '> ',
    run: async line => {
      if (line !== 'fail') await doing(line);
      return { text: `${line}\n`.repeat(chance(3)), goesOn: chance(8) > 0 };
    },
    complete: async line => {
      await doing(line);
      return ['whoami', 'whoever', 'listeners'].slice(chance(3));
    },
    failed: error => failed.push((error as Error).message),
  });
  let over = false;
  const ending = shell.over.then(() => {
    over = true;
  });
  for (let i = 0; i < 8; i++) {
    session.type(KEYS[chance(KEYS.length)]);
    await pause(chance);
  }
  for (let i = 0; i < 20 && !over; i++) await turn();
  // Whoever has not gone by now goes.
  session.end('closed');
  await ending;
  ended = true;
  shell.say('too late\n');
  session.onresize?.();
  await shell.drained();
  shell.say('too late\n');
  for (let i = 0; i < 5; i++) await turn();
  return { steps, over, ranAfterEnd, failed };
}

for (const how of ENDS) {
  test(`the session ends, or is disturbed, at each step: ${JSON.stringify(how)}`, async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const { steps } = await play(seed, 0, how);
      assert.ok(steps > 10, `${steps} steps`);
      for (let at = 1; at <= Math.min(steps, 60); at++) {
        const { over, failed, ranAfterEnd } = await play(seed, at, how);
        const where = `seed ${seed}, step ${at}`;
        assert.equal(faults.splice(0), [], where);
        assert.ok(over, where);
        assert.not(ranAfterEnd, where);
        for (const message of failed) assert.is(message, 'on purpose', where);
      }
    }
  });
}

test('a completion that fails completes nothing, and the prompt goes on; a command that fails ends it, and is heard of', async () => {
  const session = new Terminal(
    () => 0,
    () => {},
  );
  const failed: string[] = [];
  const shell = prompt(session as unknown as Session, {
    prompt: '> ',
    run: async line => {
      if (line === 'bad') throw new Error('a fault');
      return { text: `did ${line}\n`, goesOn: true };
    },
    complete: async () => {
      throw new Error('no completion');
    },
    failed: error => failed.push((error as Error).message),
  });
  session.type('go');
  session.type('\t');
  for (let i = 0; i < 5; i++) await turn();
  session.type('od\r');
  for (let i = 0; i < 5; i++) await turn();
  assert.match(session.shown, 'did good');
  assert.not.match(session.shown, 'no completion');
  assert.equal(failed, ['no completion']);
  session.type('bad\r');
  assert.is(await shell.over, false);
  assert.equal(failed, ['no completion', 'a fault']);
  session.end('closed');
  await shell.drained();
  assert.equal(faults, []);
});

test.run();
