// One life, in this process, with clients of ours: who is let in first keeps everybody else out, and each way in which it ends.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OnceError } from '../../../src/apps/once/failure.ts';
import { freshKey, Life, type LifeOptions } from '../../../src/apps/once/life.ts';
import { LogFile } from '../../../src/apps/once/log-file.ts';
import { Transcript } from '../../../src/apps/once/transcript.ts';
import { type DialOptions, dial } from '../../../src/client/dial.ts';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { parseAuthorizedKeys } from '../../../src/crypto/keys/index.ts';
import { EXEC } from '../../../src/protocol/channels/session-requests.ts';
import { pack } from '../../../src/protocol/wire/codec.ts';
import { listen } from '../../../src/server/runtime/net.ts';
import { bounded, type Scope, soon } from '../../kit/processes.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-life-'));
test.after(() => rmSync(directory, { recursive: true }));

const alice = freshKey(accelerated);
const bob = freshKey(accelerated);
let count = 0;

/** A life with alice's key, and what it says. */
function live(scope: Scope, options: Partial<LifeOptions> = {}, line = alice.publicKey) {
  const host = freshKey(accelerated);
  const log = join(directory, `log${count++}`);
  const said: string[] = [];
  const life = new Life({
    ...{ provider: accelerated, hostKey: host.key, keys: parseAuthorizedKeys(line).entries },
    transcript: new Transcript({
      log: LogFile.open(log),
      key: host.key,
      publicKey: host.publicKey,
      provider: accelerated,
    }),
    ...{ shell: '/bin/sh', env: { PATH: process.env.PATH ?? '' }, hide: true, timeout: 0, idle: 0, maxFailures: 10 },
    say: text => said.push(text),
    ...options,
  });
  scope.defer(() => life.close());
  const listening = listen('127.0.0.1', 0, socket => void life.serve(socket));
  // It waits for those who are connected.
  scope.defer(async () => void (await listening).close());
  const call = async (how: Partial<DialOptions> = {}) => {
    const { host, port } = await listening;
    const client = await dial({ host, port, user: 'alice', keys: [alice.key], hostKey: () => true, ...how });
    scope.defer(() => client.close());
    return client;
  };
  return { life, call, said, log };
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await soon(
    'the end',
    promise.catch((error: Error) => error),
    60,
  );
  if (value instanceof Error) return value;
  throw new Error(`it did not fail: ${value}`);
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

test(
  'one client, one session, one status',
  bounded(120, async scope => {
    const { life, call, log } = live(scope);
    let doors = 0;
    life.door(() => doors++);
    const client = await call();
    assert.is(doors, 1, 'the door is closed by the sign-in');
    const done = await client.exec('echo out; echo err >&2; cat; exit 5', { stdin: 'in' });
    assert.equal([text(done.stdout), text(done.stderr), done.status], ['out\nin', 'err\n', 5]);
    assert.is(await life.over, 5);
    assert.match((await failure(client.exec('echo again'))).message, /one session here, and nothing else/);
    assert.match(readFileSync(log, 'utf8'), / note refused: a channel of type session\n/);
    await client.close();
  }),
);

test(
  'requests that are no text, or nothing at all, are refused and noted, and the session goes on',
  bounded(120, async scope => {
    const { life, call, log } = live(scope);
    const client = await call();
    const stream = await client.open('session');
    const name = pack({ name: 'string' }, { name: Buffer.from('sftp\xe9', 'latin1') });
    for (const data of [name, new Uint8Array(3)]) assert.not.ok(await stream.channel.request('subsystem', data));
    for (const type of ['signal', 'pty-req', 'exec'])
      assert.not.ok(await stream.channel.request(type, Uint8Array.of(1)));
    assert.ok(await stream.channel.request('exec', pack(EXEC, { command: Buffer.from('exit 4') })));
    assert.is(await life.over, 4);
    const text = readFileSync(log, 'utf8');
    assert.match(text, / refused: the request subsystem sftp\\xe9\n/);
    for (const refused of ['subsystem without a name', 'signal', 'pty-req', 'exec'])
      assert.match(text, new RegExp(` refused: the request ${refused}\n`));
    await client.close();
  }),
);

test(
  'of many who sign in at once one is let in; the others are sent away',
  bounded(120, async scope => {
    const { life, call } = live(scope);
    const tries = await Promise.allSettled(Array.from({ length: 6 }, () => call()));
    const won = tries.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []));
    assert.ok(won.length >= 1);
    // Who was told "yes" a moment too late is disconnected, and can run nothing.
    const ran = await Promise.allSettled(won.map(client => client.exec('echo I; exit 3')));
    assert.is(ran.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.is(await life.over, 3);
  }),
);

test(
  'what a client is refused is noted each time, and said so often only',
  bounded(120, async scope => {
    const { call, said, log, life } = live(scope);
    const client = await call();
    const running = await client.start('cat');
    for (let i = 0; i < 150; i++) await failure(client.forward('localhost', i));
    for (let i = 0; i < 150; i++)
      assert.not.ok(await running.stream.channel.request('x-of-its-own', new Uint8Array(0)));
    await running.end();
    assert.is(await life.over, 0);
    assert.is(said.filter(line => line.startsWith('refused: ')).length, 100);
    const noted = readFileSync(log, 'utf8').match(/ note refused: .*/g) ?? [];
    assert.is(noted.length, 300);
    assert.is(noted.at(-1), ' note refused: the request x-of-its-own');
  }),
);

test(
  'failed keys count, and too many are the end',
  bounded(120, async scope => {
    const { life, call, said } = live(scope, { maxFailures: 3 });
    for (let i = 0; i < 3; i++) await failure(call({ keys: [bob.key] }));
    const error = await failure(life.over);
    assert.instance(error, OnceError);
    assert.equal([error.message, (error as OnceError).status], ['Too many failed sign-ins: 3', 1]);
    assert.is(said.filter(line => line.startsWith('sign-in refused: no line admits the key')).length, 3);
    await failure(call());
  }),
);

test(
  'nobody comes; somebody comes and asks for nothing; somebody comes and goes',
  bounded(120, async scope => {
    const late = (await failure(live(scope, { timeout: 1 }).life.over)) as OnceError;
    assert.equal([late.message, late.status], ['Timeout: nobody has signed in within 1 seconds', 0]);

    const idle = live(scope, { sessionStart: 2 });
    await idle.call();
    const nothing = (await failure(idle.life.over)) as OnceError;
    assert.equal([nothing.message, nothing.status], ['No session was asked for within 2 seconds', 1]);

    const short = live(scope);
    const client = await short.call();
    await client.close();
    assert.is((await failure(short.life.over)).message, 'Connection closed unexpectedly');
  }),
);

test(
  'a session ends with the key that it was opened with',
  bounded(120, async scope => {
    const end = new Date(Math.ceil(Date.now() / 1000) * 1000 + 5000);
    const expiry = end.toISOString().replace(/[-:T]|\..*/g, '');
    const { life, call } = live(scope, {}, `expiry-time="${expiry}Z" ${alice.publicKey}`);
    const client = await call();
    const running = await client.start('echo begun; cat');
    const error = await failure(life.over);
    assert.is(error.message, 'The key that signed in has expired');
    assert.ok(Date.now() >= end.getTime());
    assert.is((await running.exit).status, 255);
  }),
);

test(
  'an operator stops it, before somebody has come and in the middle',
  bounded(120, async scope => {
    const before = live(scope);
    before.life.stop(new OnceError('enough', 143));
    assert.is((await failure(before.life.over)).message, 'enough');
    await failure(before.call());

    const during = live(scope);
    const client = await during.call();
    const running = await client.start('trap "" HUP; echo $$; sleep 1000');
    let pid = 0;
    for await (const bytes of running.stdout) {
      pid = Number(text(bytes));
      break;
    }
    during.life.stop(new OnceError('enough', 143));
    assert.is((await failure(during.life.over)).message, 'enough');
    assert.throws(() => process.kill(pid, 0), /ESRCH/);
    assert.match(readFileSync(during.log, 'utf8'), / exit 137\n/);
  }),
);

test.run();
