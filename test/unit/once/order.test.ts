// Record, then deliver: a log that fails at its n-th write, for every n of a whole session. Nothing of the entry that could not be written,
// or of a later one, has reached the program or the client; and what has reached them stood in the log at that moment.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OnceError } from '../../../src/apps/once/failure.ts';
import { freshKey, Life } from '../../../src/apps/once/life.ts';
import type { Log } from '../../../src/apps/once/log-file.ts';
import type { Command, Exit, Program } from '../../../src/apps/once/program.ts';
import type { Programs } from '../../../src/apps/once/session.ts';
import { text as format } from '../../../src/apps/once/text.ts';
import { Transcript } from '../../../src/apps/once/transcript.ts';
import type { RemoteCommand } from '../../../src/client/command.ts';
import { dial } from '../../../src/client/dial.ts';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { parseAuthorizedKeys } from '../../../src/crypto/keys/index.ts';
import { listen } from '../../../src/server/runtime/net.ts';
import { bounded, eventually, type Scope, soon } from '../../kit/processes.ts';

/** In memory, and full at its n-th write. */
class FailingLog implements Log {
  readonly path = undefined;
  readonly room = Number.POSITIVE_INFINITY;
  text = '';
  writes = 0;
  readonly #failsAt: number;

  constructor(failsAt: number) {
    this.#failsAt = failsAt;
  }

  write(bytes: Uint8Array): void {
    if (this.writes++ >= this.#failsAt) throw new OnceError('the log is full');
    this.text += Buffer.from(bytes).toString();
  }

  finish(): void {}

  /** All bytes of a kind that are in it, with those whose character has only begun. */
  bytes(kind: 'input' | 'output' | 'error'): Buffer {
    const read = format.reader();
    const found: Uint8Array[] = [];
    let begun = '';
    for (const line of this.text.split('\n')) {
      const entry = read(line)?.entry;
      if (entry !== undefined && 'bytes' in entry && entry.kind === kind) {
        found.push(entry.bytes);
        begun = '';
      }
      begun = line.startsWith(`# begun ${kind} `) ? line.split(' ')[3] : begun;
    }
    return Buffer.concat([...found, Buffer.from(begun, 'hex')]);
  }
}

/** A stream that a test fills. */
class Source implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #wake = () => {};

  push(text: string): void {
    this.#chunks.push(Buffer.from(text, 'latin1'));
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#chunks.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await new Promise<void>(resolve => (this.#wake = resolve));
    }
  }
}

/** A program that does nothing, and says what reaches it. */
class Puppet {
  readonly stdout = new Source();
  readonly stderr = new Source();
  /** What has reached it, and what of that was not in the log by then. */
  readonly reached: string[] = [];
  readonly early: string[] = [];
  #input = Buffer.alloc(0);
  #exit!: (exit: Exit) => void;
  readonly #log: FailingLog;
  readonly #ended = new Promise<Exit>(resolve => (this.#exit = resolve));

  constructor(log: FailingLog) {
    this.#log = log;
  }

  #reach(what: string, isRecorded: boolean): void {
    this.reached.push(what);
    if (!isRecorded) this.early.push(what);
  }

  #said(what: string, pattern: RegExp): void {
    this.#reach(what, pattern.test(this.#log.text));
  }

  exit(exit: Exit): void {
    this.stdout.end();
    this.stderr.end();
    this.#exit(exit);
  }

  #program(isTerminal: boolean): Program {
    const { stdout, stderr } = this;
    return {
      ...{ pid: 0, stdout, stderr, ended: this.#ended },
      terminal: isTerminal
        ? {
            resize: ({ columns, rows }) => this.#said('resize', new RegExp(` size ${columns}x${rows}\\n`)),
            echo: () => ({ echo: true, canonical: true }),
            sendBreak: () => this.#said('break', / note the client sends BREAK \(250 ms\)\n/),
          }
        : undefined,
      write: async bytes => {
        this.#input = Buffer.concat([this.#input, bytes]);
        const recorded = this.#log.bytes('input').subarray(0, this.#input.length);
        this.#reach(`input ${Buffer.from(bytes).toString('latin1')}`, recorded.equals(this.#input));
      },
      end: () => this.#said('end', / note the client sends no more \(EOF\)\n/),
      signal: name => this.#said(`signal ${name}`, new RegExp(` note the client sends the signal ${name}\\n`)),
      // The end that a session makes where the log cannot be written, too.
      signalAll: () => this.exit({ signal: 'HUP' }),
      abandon: () => this.exit({ signal: 'HUP' }),
    };
  }

  readonly programs: Programs = {
    startWithPipes: async ({ argv, env }) => this.#start(argv, env, false),
    startInTerminal: async ({ argv, env }, _size, modes) => {
      this.#said('modes', new RegExp(` modes ${Buffer.from(modes).toString('hex')}\\n`));
      return this.#start(argv, env, true);
    },
  };

  #start(argv: Command['argv'], env: Command['env'], isTerminal: boolean): Program {
    const said = (kind: 'runs' | 'asked' | 'env', text: string | Uint8Array) =>
      this.#log.text.includes(
        format.entry({ kind, text: Buffer.from(text).toString() }, 0, 0).slice('0.000000'.length),
      );
    for (const name of ['TERM', 'GIVEN', 'SSH_CLIENT'])
      if (name in env) this.#reach(`env ${name}`, said('env', `${name}=${env[name]}`));
    if ('SSH_ORIGINAL_COMMAND' in env) this.#reach('asked', said('asked', env.SSH_ORIGINAL_COMMAND));
    this.#reach('start', said('runs', argv.length > 1 ? argv[2] : '/bin/sh'));
    return this.#program(isTerminal);
  }
}

/** What happens in a session, step by step; each is over when it has had its effect. */
type Step = (running: RemoteCommand, puppet: Puppet, heard: () => string) => { act(): unknown; done(): boolean };

const reaches =
  (what: string, act: (running: RemoteCommand) => unknown): Step =>
  (running, puppet) => ({ act: () => act(running), done: () => puppet.reached.includes(what) });
const writes =
  (stream: 'stdout' | 'stderr', text: string): Step =>
  (_running, puppet, heard) => ({ act: () => puppet[stream].push(text), done: () => heard().includes(text) });
const types = (text: string): Step =>
  reaches(`input ${text}`, running => running.write(Uint8Array.from(Buffer.from(text, 'latin1'))));

/** Half of a character, and its other half. */
const HALVES = ['\xc3', '\xb6'];
/** Longer than any part of the transcript that is cut, with what a line or a terminal could be fooled by. */
const COMMAND = `echo ${'x'.repeat(5000)}\nrm -rf / # \x1b[2K\u202e é\\n`;
const MODES = Uint8Array.of(53, 0, 0, 0, 1, 0);

interface Scene {
  start(client: Awaited<ReturnType<typeof dial>>): Promise<RemoteCommand>;
  readonly steps: readonly Step[];
  /** What reaches the program when nothing fails. */
  readonly reached: readonly string[];
  readonly options?: string;
}

const pty = { term: 'xterm\n', columns: 91, rows: 23, modes: MODES };
const SCENES: Readonly<Record<string, Scene>> = {
  'a shell in a terminal': {
    start: client => client.shell({ ...pty, env: { LANG: 'C' } }),
    steps: [
      writes('stdout', '$ '),
      types('hello'),
      reaches('resize', running => running.resize(101, 37)),
      reaches('signal USR1', running => running.kill('USR1')),
      reaches('break', running => running.sendBreak(250)),
      ...HALVES.map(types),
      ...HALVES.map(half => writes('stdout', half)),
      reaches('end', running => running.end()),
    ],
    reached: [
      ...['modes', 'env TERM', 'env SSH_CLIENT', 'start', 'input hello', 'resize', 'signal USR1', 'break'],
      ...[...HALVES.map(half => `input ${half}`), 'end'],
    ],
  },
  'a long command with pipes': {
    start: client => client.start(COMMAND),
    steps: [
      writes('stdout', 'out'),
      writes('stderr', 'err'),
      types('hello'),
      reaches('signal TERM', running => running.kill('TERM')),
      reaches('end', running => running.end()),
    ],
    reached: ['env SSH_CLIENT', 'start', 'input hello', 'signal TERM', 'end'],
  },
  'the command of the key': {
    start: client => client.start(COMMAND),
    options: 'command="forced",environment="GIVEN=it" ',
    steps: [writes('stdout', 'out'), reaches('end', running => running.end())],
    reached: ['env GIVEN', 'env SSH_CLIENT', 'asked', 'start', 'end'],
  },
};

/** Plays a scene. @returns whether the log has failed */
async function play(scope: Scope, scene: Scene, failsAt: number): Promise<boolean> {
  const log = new FailingLog(failsAt);
  const puppet = new Puppet(log);
  const [host, alice] = [freshKey(accelerated), freshKey(accelerated)];
  const life = new Life({
    ...{ provider: accelerated, hostKey: host.key, shell: '/bin/sh', env: {}, hide: true, say() {} },
    ...{ timeout: 0, idle: 0, maxFailures: 10, programs: puppet.programs },
    keys: parseAuthorizedKeys(`${scene.options ?? ''}${alice.publicKey}`).entries,
    transcript: new Transcript({ log, key: host.key, publicKey: host.publicKey, provider: accelerated }),
  });
  scope.defer(() => life.close());
  const listening = await listen('127.0.0.1', 0, socket => void life.serve(socket));
  scope.defer(() => listening.close());
  const { port } = listening;
  const client = await dial({ host: '127.0.0.1', port, user: 'alice', keys: [alice.key], hostKey: () => true });
  scope.defer(() => client.close());

  const running = await scene.start(client);
  const heard = { stdout: '', stderr: '' };
  let over = false;
  const listenTo = async (name: 'stdout' | 'stderr') => {
    for await (const bytes of running[name]) heard[name] += Buffer.from(bytes).toString('latin1');
  };
  const all = Promise.all([listenTo('stdout'), listenTo('stderr'), running.exit]).finally(() => (over = true));
  for (const step of scene.steps) {
    const { act, done } = step(running, puppet, () => heard.stdout + heard.stderr);
    await eventually('the program', () => over || puppet.reached.includes('start'));
    if (over) break;
    act();
    await eventually('the step', () => over || done());
  }
  puppet.exit({ status: 7 });
  const [, , { status }] = await soon('the end of the session', all, 60);
  const outcome = await soon(
    'the end',
    life.over.catch((error: OnceError) => error),
    60,
  );

  const failed = log.writes > failsAt;
  assert.equal(puppet.early, [], `write ${failsAt}: reached the program before it was recorded`);
  for (const [stream, kind] of [
    ['stdout', 'output'],
    ['stderr', 'error'],
  ] as const) {
    const recorded = log.bytes(kind).toString('latin1');
    const shown = heard[stream].replace(failed ? /\r?\nthe log is full\r?\n$/ : '', '');
    assert.ok(
      recorded.startsWith(shown),
      `write ${failsAt}: the client got ${stream} ${shown}, recorded is ${recorded}`,
    );
  }
  const isRecorded = / exit 7\n/.test(log.text);
  assert.is(status, isRecorded ? 7 : 255, `write ${failsAt}`);
  if (isRecorded) assert.is(outcome, 7);
  else assert.is((outcome as OnceError).message, 'the log is full');
  if (!failed) assert.equal(puppet.reached, scene.reached);
  return failed;
}

for (const [name, scene] of Object.entries(SCENES))
  test(
    `${name}: whichever write fails, nothing gets through that is not recorded`,
    bounded(180, async scope => {
      let n = 0;
      while (await play(scope, scene, n)) n++;
      // The beginning, what runs, its note, each step, and the exit.
      assert.ok(n >= scene.steps.length + 4, `${n} writes`);
    }),
  );

test.run();
