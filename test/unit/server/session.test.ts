// Sessions (RFC 4254 §6): what may be asked for, in what order, how much of it, and how a session ends.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../../src/client/client.ts';
import {
  ENV,
  EXEC,
  EXIT_STATUS,
  PTY_REQ,
  SIGNAL,
  SUBSYSTEM,
  WINDOW_CHANGE,
} from '../../../src/protocol/channels/session-requests.ts';
import { OpenError, OpenFailure } from '../../../src/protocol/errors.ts';
import { pack, unpack } from '../../../src/protocol/wire/codec.ts';
import { encodeUtf8 } from '../../../src/protocol/wire/reader.ts';
import { type Session, type SessionHandlers, sessions } from '../../../src/server/session.ts';
import type { ChannelStream } from '../../../src/server/streams.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns } from '../../kit/socket.ts';

const none = new Uint8Array(0);
const exec = (command: string) => pack(EXEC, { command: encodeUtf8(command) });
const env = (name: string, value: string) => pack(ENV, { name: encodeUtf8(name), value: encodeUtf8(value) });
const pty = (columns = 80, rows = 24, modes = none) =>
  pack(PTY_REQ, { term: encodeUtf8('vt100'), columns, rows, width: 0, height: 0, modes });
const resize = (columns: number, rows: number) => pack(WINDOW_CHANGE, { columns, rows, width: 0, height: 0 });

test('what a client says is there to the byte: the command, variables, TERM; and the size in pixels', async () => {
  const seen: unknown[] = [];
  const hex = (bytes?: Uint8Array) => Buffer.from(bytes ?? none).toString('hex');
  const client = await connected({
    exec: async (command, session) => {
      const { terminal, envBytes } = session;
      const size = () => [terminal!.columns, terminal!.rows, terminal!.width, terminal!.height];
      seen.push(command, hex(session.commandBytes), terminal!.term, hex(terminal!.termBytes), [...session.env]);
      seen.push(
        envBytes.map(({ name, value }) => [hex(name), hex(value)]),
        size(),
      );
      await new Promise<void>(resolve => (session.onresize = resolve));
      seen.push(size());
      await session.exit(0);
    },
  });
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
  const stream = await client.open('session');
  const term = bytes('vt\xe9');
  const sized = { term, columns: 80, rows: 24, width: 960, height: 552, modes: none };
  const ask = (type: string, data: Uint8Array) => stream.channel.request(type, data);
  assert.ok(await ask('env', pack(ENV, { name: bytes('N\xe9'), value: bytes('\xff') })));
  assert.ok(await ask('pty-req', pack(PTY_REQ, sized)));
  assert.ok(await ask('exec', pack(EXEC, { command: bytes('\xef\xbb\xbfcaf\xe9') })));
  await turns();
  stream.channel.notify('window-change', pack(WINDOW_CHANGE, { columns: 90, rows: 30, width: 1080, height: 690 }));
  await stream.closed;
  assert.equal(seen, [
    ...['\ufeffcaf\ufffd', 'efbbbf636166e9', 'vt\ufffd', '7674e9', [['N\ufffd', '\ufffd']], [['4ee9', 'ff']]],
    [80, 24, 960, 552],
    [90, 30, 1080, 690],
  ]);
});

async function connected(handlers: SessionHandlers): Promise<ClientConnection> {
  return (await call(testServer({ channels: { session: sessions(handlers) } }))).client;
}

/** All that a session writes, and the exit status that it reports. */
async function outcome(stream: ChannelStream): Promise<{ stdout: string; stderr: string; status?: number }> {
  const result: { stdout: string; stderr: string; status?: number } = { stdout: '', stderr: '' };
  stream.onrequest = ({ type, data, wantReply }) => {
    assert.is(type, 'exit-status');
    assert.is(wantReply, false, 'RFC 4254 §6.10');
    result.status = unpack(EXIT_STATUS, data).status;
    return true;
  };
  const read = async (name: 'stdout' | 'stderr', source: AsyncIterable<Uint8Array>) => {
    for await (const bytes of source) result[name] += new TextDecoder().decode(bytes);
  };
  await Promise.all([read('stdout', stream), read('stderr', stream.stderr)]);
  await stream.closed;
  return result;
}

test('whoever gives sessions hears what was refused, and nothing of what was not', async () => {
  const refused: string[] = [];
  const client = await connected({
    exec: (_command, session) => session.exit(0),
    refused: ({ type }) => void refused.push(type),
  });
  const stream = await client.open('session');
  assert.ok(await stream.channel.request('env', env('LANG', 'C')));
  for (const type of ['x11-req', 'auth-agent-req@openssh.com', 'subsystem', 'nonsense'])
    assert.not.ok(await stream.channel.request(type, type === 'subsystem' ? pack(SUBSYSTEM, { name: 'sftp' }) : none));
  assert.ok(await stream.channel.request('exec', exec('true')));
  assert.equal(refused, ['x11-req', 'auth-agent-req@openssh.com', 'subsystem', 'nonsense']);
});

test('a command gets what was set before, writes on both streams, and ends with its status', async () => {
  let seen: Session | undefined;
  const client = await connected({
    async exec(command, session) {
      seen = session;
      await session.write(`out ${command} ${session.env.get('LANG')}\n`);
      await session.error('err\n');
      await session.exit(7);
    },
  });
  const stream = await client.open('session');
  assert.ok(await stream.channel.request('env', env('LANG', 'de')));
  const ending = outcome(stream);
  assert.ok(await stream.channel.request('exec', exec('make "x y"')));
  assert.equal(await ending, { stdout: 'out make "x y" de\n', stderr: 'err\n', status: 7 });
  assert.is(seen?.client.user, 'alice');
  assert.is(seen?.terminal, undefined);
});

test('a terminal is for those for whom it is granted', async () => {
  for (const [grants, expected] of [
    [undefined, true],
    [false, false],
    [({ user }: { user: string }) => user === 'alice', true],
    [({ user }: { user: string }) => user !== 'alice', false],
  ] as const) {
    const client = await connected({ shell: session => session.exit(session.terminal ? 0 : 1), pty: grants });
    const stream = await client.open('session');
    assert.is(await stream.channel.request('pty-req', pty()), expected);
    const ending = outcome(stream);
    assert.ok(await stream.channel.request('shell', none));
    assert.is((await ending).status, expected ? 0 : 1);
  }
});

test('a shell and a subsystem; what there is no handler for is refused, inherited names too', async () => {
  const client = await connected({
    shell: session => session.exit(1),
    subsystem: { sftp: session => session.exit(2) },
  });
  const shell = await client.open('session');
  assert.not.ok(await shell.channel.request('exec', exec('x')));
  for (const name of ['nfs', 'toString', '__proto__']) {
    assert.not.ok(await shell.channel.request('subsystem', pack(SUBSYSTEM, { name })), name);
  }
  assert.not.ok(await shell.channel.request('x11-req', none));
  const ending = outcome(shell);
  assert.ok(await shell.channel.request('shell', none));
  assert.is((await ending).status, 1);
  const subsystem = await client.open('session');
  const ended = outcome(subsystem);
  assert.ok(await subsystem.channel.request('subsystem', pack(SUBSYSTEM, { name: 'sftp' })));
  assert.is((await ended).status, 2);

  const bare = await (await connected({})).open('session');
  assert.not.ok(await bare.channel.request('shell', none));
  assert.not.ok(await bare.channel.request('subsystem', pack(SUBSYSTEM, { name: 'sftp' })));
});

test('a session runs one thing only (RFC 4254 §6.5), and its terminal and environment stay as they were', async () => {
  let runs = 0;
  let session!: Session;
  const run = (running: Session) => {
    runs++;
    session = running;
  };
  const client = await connected({ exec: (_command, running) => run(running), shell: run });
  const { channel } = await client.open('session');
  assert.ok(await channel.request('exec', exec('first')));
  assert.not.ok(await channel.request('exec', exec('second')));
  assert.not.ok(await channel.request('shell', none));
  assert.not.ok(await channel.request('pty-req', pty()));
  assert.not.ok(await channel.request('env', env('A', 'late')));
  assert.is(runs, 1);
  assert.is(session.env.size, 0);
});

test('a terminal: granted once, follows its window, and turns line ends into CR LF', async () => {
  const sizes: string[] = [];
  const client = await connected({
    shell(session) {
      const { terminal } = session;
      const modes = Uint8Array.of(53, 0, 0, 0, 1, 0);
      const termBytes = encodeUtf8('vt100');
      assert.equal(terminal, { term: 'vt100', termBytes, columns: 80, rows: 24, width: 0, height: 0, modes });
      session.onresize = async () => {
        sizes.push(`${terminal!.columns}x${terminal!.rows}`);
        await session.write('one\ntwo\r\nthree');
        await session.exit(0);
      };
    },
  });
  const stream = await client.open('session');
  assert.not.ok(await stream.channel.request('window-change', resize(1, 1)), 'no terminal yet');
  assert.ok(await stream.channel.request('pty-req', pty(80, 24, Uint8Array.of(53, 0, 0, 0, 1, 0))));
  assert.not.ok(await stream.channel.request('pty-req', pty()));
  const ending = outcome(stream);
  assert.ok(await stream.channel.request('shell', none));
  stream.channel.notify('window-change', resize(132, 50));
  assert.is((await ending).stdout, 'one\r\ntwo\r\nthree');
  assert.equal(sizes, ['132x50']);
});

test('a window that changes before anybody listens is remembered', async () => {
  let size = '';
  const client = await connected({
    async shell(session) {
      size = `${session.terminal!.columns}x${session.terminal!.rows}`;
      await session.exit(0);
    },
  });
  const stream = await client.open('session');
  await stream.channel.request('pty-req', pty());
  assert.ok(await stream.channel.request('window-change', resize(99, 9)));
  await stream.channel.request('shell', none);
  await outcome(stream);
  assert.is(size, '99x9');
});

test('no terminal where the handlers grant none', async () => {
  const client = await connected({ pty: false, shell: session => session.exit(0) });
  const { channel } = await client.open('session');
  assert.not.ok(await channel.request('pty-req', pty()));
});

test('signals reach whoever listens', async () => {
  const signals: string[] = [];
  const client = await connected({
    exec: (command, session) => {
      if (command === 'listen') session.onsignal = signal => void signals.push(signal);
    },
  });
  for (const [command, granted] of [
    ['listen', true],
    ['ignore', false],
  ] as const) {
    const { channel } = await client.open('session');
    await channel.request('exec', exec(command));
    await turns();
    assert.is(await channel.request('signal', pack(SIGNAL, { signal: 'TERM' })), granted, command);
  }
  assert.equal(signals, ['TERM']);
});

test('an environment has its bounds: 64 names, 32 KiB', async () => {
  let env_: ReadonlyMap<string, string> = new Map();
  const client = await connected({
    exec: (_command, session) => {
      env_ = session.env;
    },
  });
  const many = (await client.open('session')).channel;
  for (let i = 0; i < 64; i++) assert.ok(await many.request('env', env(`N${i}`, 'x')));
  assert.not.ok(await many.request('env', env('N64', 'x')));
  await many.request('exec', exec('x'));
  await turns();
  assert.is(env_.size, 64);

  const large = (await client.open('session')).channel;
  assert.ok(await large.request('env', env('A', 'x'.repeat(20_000))));
  assert.not.ok(await large.request('env', env('B', 'x'.repeat(20_000))));
  assert.not.ok(await large.request('env', env('A', 'again')), 'what was refused counts, and so does what is replaced');
  await large.request('exec', exec('x'));
  await turns();
  assert.equal([...env_.keys()], ['A']);
});

test('a malformed request is refused, and costs nothing else', async () => {
  const client = await connected({ exec() {} });
  const stream = await client.open('session');
  assert.not.ok(await stream.channel.request('exec', Uint8Array.of(0, 0, 0, 9, 1)));
  assert.is(client.connection.error, undefined);
  await client.close();
});

test('a handler that fails ends its session with status 1, wherever it has come to', async () => {
  const failures: Record<string, (session: Session) => void | Promise<void>> = {
    'at once': () => {
      throw new Error('a secret');
    },
    later: async () => {
      await turns(3);
      throw new Error('a secret');
    },
    'after its output has ended': async session => {
      await session.stream.end();
      throw new Error('a secret');
    },
    'after a write that came too late': async session => {
      await session.stream.end();
      await session.write('more');
    },
  };
  const client = await connected({ exec: (command, session) => failures[command](session) });
  for (const command of Object.keys(failures)) {
    const stream = await client.open('session');
    const ending = outcome(stream);
    assert.ok(await stream.channel.request('exec', exec(command)), command);
    const { stdout, stderr, status } = await ending;
    assert.is(status, 1, command);
    assert.is(stdout, '');
    assert.is(stderr, command.startsWith('after') ? '' : 'internal error\n', command);
  }
});

test('what is written after the exit is lost, and nobody is hurt', async () => {
  let late: Promise<boolean> | undefined;
  const client = await connected({
    async exec(_command, session) {
      await session.write('before\n');
      await session.exit(0);
      late = session.write('after\n');
      await late;
      await session.exit(5);
      throw new Error('and that');
    },
  });
  const stream = await client.open('session');
  const ending = outcome(stream);
  await stream.channel.request('exec', exec('x'));
  assert.equal(await ending, { stdout: 'before\n', stderr: '', status: 0 });
  await late;
  await turns();
  assert.not.ok(client.connection.closed);
});

test('ten sessions at once, and one that closes makes room, whatever its handler does with onclose', async () => {
  let closed = 0;
  const client = await connected({
    exec: (_command, session) => {
      session.stream.onclose = () => closed++;
    },
  });
  const open: ChannelStream[] = [];
  for (let round = 0; round < 3; round++) {
    while (open.length < 10) {
      const stream = await client.open('session');
      await stream.channel.request('exec', exec('x'));
      await turns(2);
      open.push(stream);
    }
    const error = await client.open('session').catch((thrown: unknown) => thrown);
    assert.instance(error, OpenError);
    assert.is((error as OpenError).reason, OpenFailure.RESOURCE_SHORTAGE);
    for (const stream of open.splice(0, 4)) await stream.close().then(() => stream.closed);
  }
  assert.is(closed, 12);
});

test('the limit is for each client by itself', async () => {
  const server = testServer({ channels: { session: sessions({}) } });
  const clients = [await call(server), await call(server)];
  for (const { client } of clients) for (let i = 0; i < 10; i++) await client.open('session');
});

test.after(closeServers);
test.run();
