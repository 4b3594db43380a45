// What our client does with each real server: signs in by everything it takes, runs commands, exchanges keys in the middle of data, forwards.
import { createHash, randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import { type ClientConnection, type DialOptions, dial } from '../../../src/client/index.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { echoServer, readAll, tcpConnect, tcpServer } from '../../kit/loopback.ts';
import { type Scope, soon } from '../../kit/processes.ts';
import { type KeyType, readKey } from '../../kit/ssh.ts';
import { PASSWORD, type Reached, type RealServer, type Step } from './servers.ts';

/** Through each server, each way. */
const BYTES = 2 * 1024 * 1024;
/** Bytes after which our client asks for new keys: several times within BYTES. */
export const REKEY = 512 * 1024;
/** A silent connection asks after a second, and would be given up after four. */
export const KEEPALIVES = { keepaliveInterval: 1, keepaliveCount: 3 };

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A connection to a server, which any host key would do for: what matters is that the signature is checked. */
export async function reach(scope: Scope, at: Reached, options: Partial<DialOptions>): Promise<ClientConnection> {
  const client = await soon('sign-in', dial({ port: at.port, user: at.user, hostKey: () => true, ...options }));
  scope.defer(() => client.close());
  return client;
}

/** Signs in with one of alice's keys. */
export const withKey = (type: KeyType): Partial<DialOptions> => ({ keys: [readKey('alice', type)] });

/** All that the server has of this, on a connection that is closed then. */
const steps: Record<
  Exclude<Step, 'rekey' | 'channels'>,
  (scope: Scope, at: Reached, client: ClientConnection) => Promise<void>
> = {
  async password(scope, at) {
    const client = await reach(scope, at, { password: PASSWORD });
    await client.close();
  },
  async 'keyboard-interactive'(scope, at) {
    let asked = 0;
    const interactive = ({ prompts }: { prompts: readonly unknown[] }) => {
      asked += prompts.length;
      return prompts.map(() => PASSWORD);
    };
    const client = await reach(scope, at, { interactive });
    assert.is(asked, 1);
    await client.close();
  },
  async terminal(_scope, _at, client) {
    const shell = await client.shell({ term: 'vt100', columns: 90, rows: 30 });
    shell.resize(100, 40);
    await shell.write('echo and $((6 * 7))\nexit 5\n');
    let said = '';
    for await (const bytes of shell.stdout) said += text(bytes);
    assert.match(said, /and 42/);
    assert.is((await shell.exit).status, 5);
  },
  async forward(scope, _at, client) {
    const stream = await client.forward('127.0.0.1', await echoServer(scope));
    const input = randomBytes(BYTES);
    const output = whole(stream, BYTES);
    await stream.write(input);
    assert.is(sha256(await output), sha256(input));
    await stream.end();
    await stream.close();
    const { port, server } = await tcpServer(scope, () => {});
    server.close();
    // Conch opens the channel all the same, and closes it then.
    const nobody = client.forward('127.0.0.1', port).then(missing => whole(missing));
    await assertRejects(nobody, /connect|closed the channel/);
  },
  async 'half-close'(scope, _at, client) {
    const { port } = await tcpServer(scope, async socket => void socket.end(sha256(await readAll(socket))));
    const stream = await client.forward('127.0.0.1', port);
    await stream.write('all of it');
    await stream.end();
    assert.is(text(await whole(stream)), sha256(Buffer.from('all of it')));
  },
  async 'remote listener'(scope, _at, client) {
    const listener = await client.listen('127.0.0.1', 0, async ({ stream, address, port }) => {
      // OTP loses now and then what is said before its caller has said something.
      let greeting = `${address} ${port} `;
      for await (const bytes of stream) {
        await stream.write(greeting + text(bytes));
        greeting = '';
      }
      await stream.end();
    });
    const caller = await tcpConnect(scope, listener.port);
    const said = readAll(caller);
    const greeting = `127.0.0.1 ${caller.localPort} hello`;
    let heard = 0;
    await new Promise<void>(resolve => {
      caller.on('data', part => {
        heard += part.length;
        if (heard >= greeting.length) resolve();
      });
      caller.on('close', resolve);
      caller.write('hello');
    });
    caller.end();
    assert.is((await said).toString(), greeting);
    await listener.close();
  },
};

/** Everything that comes, or the first so many bytes. */
async function whole(source: AsyncIterable<Uint8Array>, bytes = Infinity): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) {
    parts.push(part.slice());
    bytes -= part.length;
    if (bytes <= 0) break;
  }
  return Buffer.concat(parts);
}

async function assertRejects(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (failure: Error) => failure,
  );
  assert.match(String(error?.message), pattern);
}

/** A command's outputs and status, and BYTES both ways while keys are exchanged. */
async function commands(next: () => Promise<ClientConnection>, rekeys: boolean): Promise<void> {
  const { stdout, stderr, status } = await (await next()).exec('echo out; echo err >&2; exit 7');
  assert.equal([text(stdout), text(stderr), status], ['out\n', 'err\n', 7]);
  await cat(await next(), rekeys);
}

/** BYTES both ways through `cat`. */
export async function cat(client: ClientConnection, rekeys = true): Promise<void> {
  const before = client.connection.transport.exchanges;
  const input = randomBytes(BYTES);
  const { stdout, status } = await client.exec('cat', { stdin: input });
  assert.is(sha256(stdout), sha256(input));
  assert.is(status, 0);
  assert.is(client.connection.transport.exchanges > before, rekeys, 'new keys');
}

/** A line at the switchboard, and a call of it, both by one client. */
export async function line(client: ClientConnection, alias: string): Promise<void> {
  const listener = await client.listen('localhost', 80, async ({ stream }) => {
    for await (const bytes of stream) await stream.write(bytes.slice());
    await stream.end();
  });
  const stream = await client.forward(alias, 80);
  const input = randomBytes(BYTES);
  const [output] = await Promise.all([whole(stream), stream.write(input).then(() => stream.end())]);
  assert.is(sha256(output), sha256(input));
  assert.ok(await listener.close());
}

/** The error of a step says which one it was. */
async function step(name: string, done: Promise<void>): Promise<void> {
  try {
    await soon(name, done);
  } catch (error) {
    (error as Error).message = `${name}: ${(error as Error).message}`;
    throw error;
  }
}

/** Tries it all. What was done, and the texts of what it lacks. */
export async function trial(
  scope: Scope,
  { keys, lacks = {} }: RealServer,
  at: Reached,
): Promise<{ tried: string[]; lacks: string[] }> {
  const tried: string[] = [];
  for (const type of keys) {
    const client = await reach(scope, at, withKey(type));
    await client.close();
    tried.push(`${type} key`);
  }
  const rekeys = lacks.rekey === undefined;
  const again = () => reach(scope, at, { ...withKey(keys[0]), rekeyBytes: rekeys ? REKEY : undefined });
  const client = await again();
  const next = async () => (lacks.channels === undefined ? client : again());
  await step('commands', commands(next, rekeys));
  tried.push('exit status', 'stderr', '2 MiB each way', ...(rekeys ? ['rekey'] : []));
  for (const name of Object.keys(steps) as (keyof typeof steps)[]) {
    if (lacks[name] !== undefined) continue;
    await step(name, steps[name](scope, at, await next()));
    tried.push(name);
  }
  if (lacks.forward !== undefined) {
    // Refused, and nothing else is lost.
    const { connection } = await next();
    await assertRejects(soon('refusal', steps.forward(scope, at, await next())), /the server does not let this user/);
    assert.is(connection.error, undefined);
  }
  const reason = client.closed;
  await soon('goodbye', client.close());
  assert.not.ok((await reason) instanceof ProtocolError);
  return { tried, lacks: [...new Set(Object.values(lacks))] };
}
