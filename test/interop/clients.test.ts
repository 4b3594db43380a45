// Other stock clients, and other ways to sign in: dropbear's dbclient, ssh-keyscan, sshpass, ssh with an agent.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import type { CryptoProvider } from '../../src/crypto/provider.ts';
import { keyboardInteractive, passwords, publicKeys, type ServerOptions } from '../../src/server/index.ts';
import { echoes, echoServer, freePort, listening, tcpConnect } from '../kit/loopback.ts';
import { bounded, type Child, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import {
  anyKey,
  consume,
  keyFile,
  only,
  provide,
  readKey,
  serve,
  ssh,
  sshConfig,
  switchboard,
  type Target,
} from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const theBoard = shared(test, switchboard);

// dropbear

const withDropbear = needs(test, 'dbclient', 'dropbearconvert', 'ssh', 'ssh-keygen');

/** Starts `dbclient ARGS user@host COMMAND` with a home of its own, whose known_hosts has the server's keys. */
async function dbclient(
  scope: Scope,
  target: Target,
  user: string,
  args: string[],
  command: string[] = [],
  input?: string,
): Promise<Child> {
  const home = scope.directory();
  const key = join(home, 'key');
  const converted = await scope.run('dropbearconvert', ['openssh', 'dropbear', keyFile(user), key]);
  assert.is(converted.code, 0, converted.stderr);
  // dbclient looks keys up by the host's name without its port, and takes a comment for a part of the key.
  const known = target.known.map(line => [target.host, ...line.split(' ').slice(1, 3)].join(' '));
  mkdirSync(join(home, '.ssh'));
  writeFileSync(join(home, '.ssh', 'known_hosts'), `${known.join('\n')}\n`);
  const options = { env: { HOME: home }, ...(input === undefined ? {} : { input }) };
  return scope.start(
    'dbclient',
    ['-i', key, '-p', String(target.port), ...args, `${user}@${target.host}`, ...command],
    options,
  );
}

const GUESSES: [string, Partial<ServerOptions> & { provider: CryptoProvider }][] = [
  ['all algorithms there', { provider: accelerated }],
  ['its guess of a key exchange right', { provider: only(accelerated, { kex: 'curve25519-sha256' }) }],
  ['its guess of a key exchange wrong', { provider: only(accelerated, { kex: 'ecdh-sha2-nistp256' }) }],
  ['its guess of a host key wrong', { provider: accelerated, hostKeys: [readKey('host', 'rsa')] }],
];
for (const [what, options] of GUESSES) {
  withDropbear(
    `dbclient runs commands, with ${what}`,
    bounded(180, async scope => {
      const server = await serve(scope, { authenticators: [anyKey()], ...options });
      const said = await (await dbclient(scope, server, 'alice', [], ['echo', 'hello'], '')).ended;
      assert.is(said.stdout.toString(), 'hello\n', said.stderr);
      assert.is(said.code, 0);
      const failed = await (await dbclient(scope, server, 'alice', [], ['fail', '7'], '')).ended;
      assert.is(failed.code, 7);
      assert.match(failed.stderr, /as you wish/);
      const input = 'line\n'.repeat(100_000);
      const cat = await (await dbclient(scope, server, 'alice', [], ['cat'], input)).ended;
      assert.ok(cat.stdout.toString() === input, `${cat.stdout.length} of ${input.length} bytes, or others`);
    }),
  );
}

withDropbear(
  'dbclient plugs in a line with -R and calls with -L and -B, also together with ssh',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const provider = await dbclient(scope, board, 'alice', ['-T', '-R', `80:127.0.0.1:${echo}`]);
    const [, alias] = await soon('the greeting', provider.says(/-L \d+:(alice-\S+):80/), 60);
    const theirs = await provide(scope, board, 'carol', [`81:localhost:${echo}`]);

    const [first, second] = [await freePort(), await freePort()];
    await dbclient(scope, board, 'bob', [
      '-N',
      '-L',
      `127.0.0.1:${first}:${alias}:80`,
      '-L',
      `127.0.0.1:${second}:${theirs.alias}:81`,
    ]);
    for (const port of [first, second]) {
      await listening(port, 60);
      await echoes(await tcpConnect(scope, port), 'x'.repeat(200_000));
    }
    const { ports } = await consume(scope, board, 'dave', [`${alias}:80`]);
    await echoes(await tcpConnect(scope, ports[0]), 'x'.repeat(200_000));

    const piped = await dbclient(scope, board, 'erin', ['-B', `${alias}:80`]);
    piped.write('through a pipe');
    await soon('the echo', piped.wrote('through a pipe'.length), 60);
    assert.is(piped.stdout, 'through a pipe');

    provider.signal('SIGKILL');
    const late = await ssh(scope, board, 'dave', ['-W', `${alias}:80`], { input: '' }).ended;
    assert.match(late.stderr, /no line named/);
  }),
);

// ssh-keyscan

needs(
  test,
  'ssh-keyscan',
  'ssh-keygen',
)(
  'ssh-keyscan sees all host keys of the switchboard, as its files have them',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const { stdout, code } = await scope.run('ssh-keyscan', ['-p', String(board.port), board.host]);
    assert.is(code, 0);
    // Newer ones say on standard output whom they ask, after a "#".
    const keys = (lines: readonly string[]) =>
      lines
        .filter(line => !line.startsWith('#'))
        .map(line => line.split(' ').slice(1, 3).join(' '))
        .sort();
    assert.equal(keys(stdout.toString().trim().split('\n')), keys(board.known));
    assert.is(board.known.length, 3);
  }),
);

// Passwords

const withSshpass = needs(test, 'ssh', 'sshpass', 'ssh-keygen');

/** ssh whose questions sshpass answers with `password`. */
function sshpass(scope: Scope, target: Target, password: string, methods: string, prompt = 'assword'): Child {
  const config = sshConfig(scope, target, 'alice', {
    config: ['BatchMode no', 'NumberOfPasswordPrompts 1', `PreferredAuthentications ${methods}`],
  });
  const command = ['ssh', '-F', config, '-p', String(target.port), `alice@${target.host}`, 'echo in'];
  return scope.start('sshpass', ['-P', prompt, '-p', password, ...command], { input: '' });
}

withSshpass(
  'sign-in by password',
  bounded(180, async scope => {
    const seen: string[] = [];
    const check = (user: string, password: string) => {
      seen.push(`${user} ${password}`);
      return password === 'correct hörse';
    };
    const server = await serve(scope, { provider: accelerated, authenticators: [passwords(check)] });
    const right = await sshpass(scope, server, 'correct hörse', 'password').ended;
    assert.is(right.stdout.toString(), 'in\n', right.stderr);
    const wrong = await sshpass(scope, server, 'battery', 'password').ended;
    assert.is(wrong.stdout.toString(), '');
    assert.is.not(wrong.code, 0);
    assert.equal(seen, ['alice correct hörse', 'alice battery']);
  }),
);

withSshpass(
  'sign-in by keyboard-interactive: our question is asked, its answer comes back',
  bounded(180, async scope => {
    const method = keyboardInteractive(
      [{ text: 'What is the word? ', echo: false }],
      (_user, [word]) => word === 'sesame',
    );
    const server = await serve(scope, { provider: accelerated, authenticators: [method] });
    const right = await sshpass(scope, server, 'sesame', 'keyboard-interactive', 'the word?').ended;
    assert.is(right.stdout.toString(), 'in\n', right.stderr);
    const wrong = await sshpass(scope, server, 'barley', 'keyboard-interactive', 'the word?').ended;
    assert.is(wrong.stdout.toString(), '');
    assert.is.not(wrong.code, 0);
  }),
);

withSshpass(
  'a key and then a password: neither is enough by itself',
  bounded(180, async scope => {
    const known = Buffer.from(readKey('alice').blob);
    const server = await serve(scope, {
      provider: accelerated,
      authenticators: [
        publicKeys({
          acceptable: ({ key }) => known.equals(key),
          proven: ({ key }) => known.equals(key),
        }),
        passwords((_user, password) => password === 'sesame'),
      ],
      require: [['publickey', 'password']],
    });
    const both = await sshpass(scope, server, 'sesame', 'publickey,password').ended;
    assert.is(both.stdout.toString(), 'in\n', both.stderr);
    const wrong = await sshpass(scope, server, 'barley', 'publickey,password').ended;
    assert.is(wrong.stdout.toString(), '');
    const password = await sshpass(scope, server, 'sesame', 'password').ended;
    assert.is(password.stdout.toString(), '');
    const key = await ssh(scope, server, 'alice', ['--', 'echo in'], { input: '' }).ended;
    assert.is(key.stdout.toString(), '');
    assert.match(key.stderr, /Permission denied \(password\)/);
  }),
);

// Agents

needs(
  test,
  'ssh',
  'ssh-agent',
  'ssh-add',
  'ssh-keygen',
)(
  'ssh signs in with a key that only its agent has, of each type; -A does no harm',
  bounded(180, async scope => {
    const known = (['ed25519', 'ecdsa', 'rsa'] as const).map(type => Buffer.from(readKey('agent', type).blob));
    const right = (key: Uint8Array) => known.some(blob => blob.equals(key));
    const server = await serve(scope, {
      provider: accelerated,
      authenticators: [publicKeys({ acceptable: ({ key }) => right(key), proven: ({ key }) => right(key) })],
    });
    const socket = join(scope.directory(), 'agent');
    const agent = scope.start('ssh-agent', ['-D', '-a', socket], { input: '' });
    await soon('the agent', agent.says(/SSH_AUTH_SOCK/));
    const config = [`IdentityAgent ${socket}`, 'IdentitiesOnly no'];
    const env = { SSH_AUTH_SOCK: socket };
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const added = await scope.run('ssh-add', ['-q', keyFile('agent', type)], { env });
      assert.is(added.code, 0, added.stderr);
      const { stdout, stderr } = await ssh(scope, server, 'alice', ['-A', '--', 'echo in'], {
        input: '',
        config,
        key: 'stranger',
      }).ended;
      assert.is(stdout.toString(), 'in\n', stderr);
      await scope.run('ssh-add', ['-q', '-D'], { env });
    }
    const { code } = await ssh(scope, server, 'alice', ['--', 'echo in'], { input: '', config, key: 'stranger' }).ended;
    assert.is(code, 255);
  }),
);

test.run();
