// Commands on a server (RFC 4254 §6): how they are started, fed, read and signalled, and how they end.
import { getEventListeners } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import { Disconnect, OpenError, RequestError } from '../../../src/protocol/errors.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { type Session, type SessionHandlers, sessions } from '../../../src/server/session.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns, until } from '../../kit/socket.ts';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function read(source: AsyncIterable<Uint8Array>): Promise<string> {
  let all = '';
  for await (const bytes of source) all += text(bytes);
  return all;
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await promise.catch((error: Error) => error);
  if (value instanceof Error) return value;
  throw new Error(`it did not fail: ${JSON.stringify(value)}`);
}

async function connected(handlers: SessionHandlers): Promise<ClientConnection> {
  return (await call(testServer({ channels: { session: sessions(handlers) } }))).client;
}

const cat = async (session: Session) => {
  for await (const bytes of session.stream) await session.stream.write(bytes.slice());
  await session.exit(0);
};

test('a command that is started is written to and read while it runs, and reports how it ended', async () => {
  const client = await connected({
    async exec(command, session) {
      await session.error(`runs ${command}\n`);
      for await (const bytes of session.stream) await session.write(text(bytes).toUpperCase());
      await session.exit(7);
    },
  });
  const running = await client.start('upper');
  const out = running.stdout[Symbol.asyncIterator]();
  assert.ok(await running.write('one'));
  assert.is(text((await out.next()).value), 'ONE');
  await running.write(new TextEncoder().encode('two'));
  assert.is(text((await out.next()).value), 'TWO');
  await running.end();
  assert.ok((await out.next()).done);
  assert.is(await read(running.stderr), 'runs upper\n');
  assert.equal(await running.exit, { status: 7, signal: undefined, message: undefined });
  assert.is(await running.write('late'), false, 'nobody reads it any more');
  await client.close();
});

test('a shell has a terminal and an environment as they were asked for', async () => {
  const seen: object[] = [];
  const note = async (session: Session) => {
    const { termBytes: _, ...terminal } = session.terminal ?? { termBytes: undefined };
    seen.push({ ...terminal, modes: [...(session.terminal?.modes ?? [])], env: [...session.env] });
    await session.exit(0);
  };
  const client = await connected({ shell: note, exec: (_command, session) => note(session) });
  const modes = Uint8Array.of(53, 0, 0, 0, 0, 0);
  for (const running of [
    await client.shell(),
    await client.shell({
      term: 'vt100',
      columns: 132,
      rows: 50,
      width: 1188,
      height: 900,
      modes,
      env: { LANG: 'de', A: 'ü' },
    }),
    await client.shell({ pty: false, columns: 132 }),
    await client.start('x', { env: { A: '1' } }),
    await client.start('x', { pty: true }),
    await client.start('x', { pty: { rows: 1 } }),
  ])
    await running.exit;
  const usual = { term: 'xterm-256color', columns: 80, rows: 24, width: 0, height: 0, modes: [0], env: [] };
  const none = { modes: [], env: [] };
  assert.equal(seen, [
    usual,
    {
      ...{ term: 'vt100', columns: 132, rows: 50, width: 1188, height: 900, modes: [...modes] },
      env: [
        ['LANG', 'de'],
        ['A', 'ü'],
      ],
    },
    none,
    { ...none, env: [['A', '1']] },
    usual,
    { ...usual, rows: 1 },
  ]);
  await client.close();
});

test('subsystems; and what is refused says what, and leaves the connection as it was', async () => {
  const client = await connected({ subsystem: { echo: cat }, pty: false, exec: () => {} });
  const running = await client.subsystem('echo');
  await running.write('sftp or so');
  await running.end();
  assert.is(await read(running.stdout), 'sftp or so');
  assert.is((await running.exit).status, 0);

  for (const [start, sentence] of [
    [() => client.subsystem('nfs'), /refused the subsystem nfs: it has none of that name/],
    [() => client.shell({ pty: false }), /refused a shell: it may run single commands/],
    [() => client.start('x', { pty: true }), /refused a terminal: leave out pty/],
    [() => client.shell(), /refused a terminal/],
  ] as const) {
    const error = await failure(start());
    assert.instance(error, RequestError);
    assert.match(error.message, sentence);
  }
  // Nothing is left of those: there may be ten sessions at once.
  await turns();
  for (let i = 0; i < 10; i++) await client.start('x');
  assert.instance(await failure(client.start('x')), OpenError);
  await client.close();
});

test('the window, signals and breaks reach the program', async () => {
  const heard: unknown[] = [];
  const client = await connected({
    exec: (command, session) => {
      if (command === 'deaf') return;
      session.onresize = () => void heard.push([session.terminal?.columns, session.terminal?.rows]);
      session.onbreak = milliseconds => void heard.push(milliseconds);
      session.onsignal = signal => {
        heard.push(signal);
        if (signal === 'TERM') return session.exit(15);
      };
    },
  });
  const running = await client.start('listen', { pty: true });
  running.resize(132, 50);
  running.kill('INT');
  running.kill('SIGUSR1');
  assert.ok(await running.sendBreak());
  assert.ok(await running.sendBreak(700));
  running.kill();
  assert.is((await running.exit).status, 15);
  assert.equal(heard, [[132, 50], 'INT', 'USR1', 0, 700, 'TERM']);
  assert.not.ok(await (await client.start('deaf')).sendBreak(), 'there is no line to break');
  await client.close();
});

test('one that a signal ended says so, to exec as well, and that is no error', async () => {
  const client = await connected({
    async exec(command, session) {
      await session.write('half');
      if (command === 'plain') await session.exitSignal('KILL');
      else await session.exitSignal('SEGV', { coreDumped: true, message: 'at 0x0' });
    },
  });
  const { stdout, stderr, ...exit } = await client.exec('plain');
  assert.equal([text(stdout), text(stderr)], ['half', '']);
  assert.equal(exit, { status: undefined, signal: 'KILL', message: '' });
  assert.equal(await (await client.start('crash')).exit, {
    ...{ status: undefined, signal: 'SEGV' },
    message: 'at 0x0',
  });
  await client.close();
});

test('exec is fed with text, bytes, or pieces that come when they like', async () => {
  const client = await connected({ exec: (_command, session) => cat(session) });
  async function* pieces() {
    yield 'one ';
    await turns(5);
    yield new TextEncoder().encode('two ');
    yield 'three';
  }
  for (const [stdin, expected] of [
    ['ü', 'ü'],
    [Uint8Array.of(97, 98), 'ab'],
    [pieces(), 'one two three'],
    [undefined, ''],
  ] as const)
    assert.is(text((await client.exec('cat', { stdin })).stdout), expected);
  await client.close();
});

test('a source of input that fails, fails exec; one that goes on when nobody reads is left', async () => {
  let ended: Promise<void> | undefined;
  const client = await connected({
    async exec(command, session) {
      ended = session.stream.closed;
      if (command === 'cat') return cat(session);
      for await (const _first of session.stream) break;
      await session.exit(0);
    },
  });
  async function* failing() {
    yield 'one';
    throw new Error('the disk is gone');
  }
  assert.is((await failure(client.exec('cat', { stdin: failing() }))).message, 'the disk is gone');
  await ended;
  let left = false;
  async function* endless() {
    try {
      for (;;) yield new Uint8Array(10_000);
    } finally {
      left = true;
    }
  }
  assert.is((await client.exec('head', { stdin: endless() })).status, 0);
  await until(() => left);
  await client.close();
});

test('a command is given up: whoever waits gets the reason, and the program SIGTERM and the end of its channel', async () => {
  const heard: string[] = [];
  const client = await connected({
    async exec(_command, session) {
      session.onsignal = signal => void heard.push(signal);
      await session.write('begun');
      await session.stream.closed;
      heard.push('closed');
    },
  });
  const reason = new Error('enough');
  const running = new AbortController();
  const exec = client.exec('sleep', { signal: running.signal });
  const started = await client.start('sleep', { signal: running.signal });
  for await (const _begun of started.stdout) break;
  running.abort(reason);
  assert.is(await failure(exec), reason);
  assert.is(await failure(started.exit), reason);
  await until(() => heard.length === 4);
  assert.equal(heard.sort(), ['TERM', 'TERM', 'closed', 'closed']);

  // Before it began, and while it is being started.
  assert.is(await failure(client.exec('sleep', { signal: running.signal })), reason);
  const starting = new AbortController();
  const late = client.start('sleep', { signal: starting.signal });
  starting.abort(reason);
  assert.is(await failure(late), reason);
  await until(() => client.connection.mux.count === 0);
  assert.not.ok(client.connection.closed);
  await client.close();
});

test('a signal that comes after the end has no effect, and is not held on to', async () => {
  const client = await connected({ exec: (_command, session) => session.exit(0) });
  const { signal } = new AbortController();
  assert.is((await client.exec('true', { signal })).status, 0);
  assert.is(getEventListeners(signal, 'abort').length, 0);
  await client.close();
});

test('half of an output is not given for the whole of it, to exec or to whoever reads', async () => {
  const client = await connected({
    async exec(_command, session) {
      await session.write('half');
      await session.error('oops');
      await turns(5);
      session.client.connection.disconnect(Disconnect.BY_APPLICATION, 'restarting');
    },
  });
  const whole = failure(client.exec('x'));
  const running = await client.start('x');
  for (const [stream, said] of [
    [running.stdout, 'half'],
    [running.stderr, 'oops'],
  ] as const) {
    let got = '';
    const reading = async () => {
      for await (const bytes of stream) got += text(bytes);
    };
    assert.is((await failure(reading())).message, 'restarting');
    assert.is(got, said);
  }
  assert.is((await whole).message, 'restarting');
});

test('when the connection ends first, that is why; the status that had come counts all the same', async () => {
  const client = await connected({
    async exec(command, session) {
      if (command === 'reported') void session.exit(3);
      await turns(5);
      session.client.connection.disconnect(Disconnect.BY_APPLICATION, 'restarting');
    },
  });
  const running = await client.start('x');
  assert.is((await failure(running.exit)).message, 'restarting');
  assert.not.ok(await running.write('x'));
  const other = await connected({
    async exec(_command, session) {
      await session.exit(3);
      session.client.connection.disconnect(Disconnect.BY_APPLICATION, 'restarting');
    },
  });
  assert.is((await other.exec('reported')).status, 3);
});

test('await using closes the command, and the connection', async () => {
  const closed: string[] = [];
  const server = testServer({
    channels: {
      session: sessions({
        exec: (_command, session) => void session.stream.closed.then(() => closed.push('command')),
      }),
    },
    gone: () => closed.push('connection'),
  });
  {
    await using client = (await call(server)).client;
    await using running = await client.start('sleep');
    assert.ok(running.stream.wanted);
    assert.equal(closed, []);
  }
  await until(() => closed.length === 2);
  assert.equal(closed.sort(), ['command', 'connection']);
});

test('the streams of a command may be web streams', async () => {
  const client = await connected({ exec: (_command, session) => cat(session) });
  const running = await client.start('cat');
  const words = new ReadableStream<string>({
    start(controller) {
      for (const word of ['one ', 'two ', 'three']) controller.enqueue(word);
      controller.close();
    },
  });
  const sent = words.pipeThrough(new TextEncoderStream()).pipeTo(running.writable);
  let got = '';
  for await (const part of running.readable.pipeThrough(new TextDecoderStream())) got += part;
  await sent;
  assert.is(got, 'one two three');
  assert.is((await running.exit).status, 0);
  await client.close();
});

test.after(closeServers);
test('as far as a server says it: a signal alone, with a text in Latin-1, with more behind it', async () => {
  const latin1 = Uint8Array.of(0xe9);
  const ends: [Uint8Array, string, string][] = [
    [new Writer().string('KILL').finish(), 'KILL', ''],
    [new Writer().string('TERM').boolean(false).finish(), 'TERM', ''],
    [new Writer().string('SEGV').boolean(true).string(latin1).finish(), 'SEGV', 'é'],
    [new Writer().string('HUP').boolean(true).string('x').string('').byte(1).finish(), 'HUP', 'x'],
    [new Writer().string(latin1).boolean(true).string('x').finish(), '\ufffd', 'x'],
  ];
  for (const [data, signal, message] of ends) {
    const exec = async (_command: string, session: Session) => {
      session.stream.channel.notify('exit-signal', data);
      await session.stream.close();
    };
    const { client } = await call(testServer({ channels: { session: sessions({ exec }) } }));
    const { status, signal: ended, message: said } = await client.exec('x');
    assert.equal([status, ended, said], [undefined, signal, message]);
    await client.close();
  }
});

test.run();
