// The command line as its user meets it: what it prints, what it says when something is wrong, and with which exit code it ends.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../kit/loopback.ts';
import { bounded, type Child, type Ended, eventually, type Scope, soon } from '../kit/processes.ts';
import { boardData, command, cordboard, keyFile, provide, ssh, switchboard } from '../kit/ssh.ts';
import { needs, skip, which } from '../kit/tools.ts';

const root = join(import.meta.dirname, '..', '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const withSsh = needs(test, 'ssh', 'ssh-keygen');

const run = (scope: Scope, args: readonly string[], env?: Record<string, string>): Promise<Ended> =>
  soon('the program to end', cordboard(scope, args, { input: '', env }).ended, 60);

/** Starts the switchboard in a way that cannot work; what it said must be one sentence, without a stack. */
async function refuses(
  scope: Scope,
  args: readonly string[],
  code: number,
  sentence: RegExp,
  env?: Record<string, string>,
): Promise<void> {
  const ended = await run(scope, ['switchboard', '--port', '0', ...args], env);
  assert.match(ended.stderr, sentence);
  assert.is(ended.code, code, ended.stderr);
  assert.is(ended.stdout.toString(), '');
  assert.not.match(ended.stderr, /^\s+at |node:internal|Error:.*\n.*at /m);
  // Usage errors are followed by hints, in parentheses.
  const [, ...hints] = ended.stderr.trimEnd().split('\n');
  assert.ok(
    code === 2 ? hints.length > 0 && hints.every(line => /^\(.*\)$/.test(line)) : hints.length === 0,
    ended.stderr,
  );
}

/** The address in the line that scripts wait for. */
const address = async (child: Child) =>
  (await soon('the switchboard to start', child.says(/^listening on (\S+)\n[\s\S]*bob@/m), 60))[1];

// Help and version

test(
  '--help teaches, at both levels',
  bounded(180, async scope => {
    const top = await run(scope, ['--help']);
    assert.is(top.code, 0);
    assert.is(top.stderr, '');
    assert.match(top.stdout.toString(), /^Usage: cordboard .*command/m);
    assert.match(top.stdout.toString(), /^ {2}switchboard .*ssh -R/m);
    const own = await run(scope, ['switchboard', '--help']);
    assert.is(own.code, 0);
    const text = own.stdout.toString();
    const flags = [
      '--host',
      '--port',
      '--data',
      '--authorized-keys',
      '--enrol',
      '--no-enrol',
      '--workers',
      '--directory',
      '--log-level',
      '--fqdn',
    ];
    for (const flag of [...flags, '--help']) assert.match(text, new RegExp(`^ {2}(-\\w, )?${flag}\\b`, 'm'));
    for (const name of [
      'HOST',
      'PORT',
      'DATA',
      'AUTHORIZED_KEYS',
      'ENROL',
      'WORKERS',
      'DIRECTORY',
      'LOG_LEVEL',
      'FQDN',
    ]) {
      assert.match(text, `CORDBOARD_${name}`);
    }
    for (const example of [/ssh .*-R/, /ssh .*-L/, /ssh -J/]) assert.match(text, example);
  }),
);

test(
  '--version prints the package’s version',
  bounded(180, async scope => {
    const { stdout, code } = await run(scope, ['--version']);
    assert.is(stdout.toString(), `${version}\n`);
    assert.is(code, 0);
  }),
);

test(
  'without a command it shows its help, and says by its status that nothing was done',
  bounded(180, async scope => {
    const { stderr, code } = await run(scope, []);
    assert.match(stderr, /^Usage: cordboard/);
    assert.is(code, 2);
  }),
);

// Wrong usage

const WRONG: [string[], RegExp][] = [
  [['--prot', '1'], /^error: unknown option '--prot'\n/],
  [['--port', '65536'], /^error: .*--port.*65536.*port number \(0 to 65535\)/],
  [['--port', 'ssh'], /^error: .*--port.*ssh.*port number/],
  [['--port', '-1'], /^error: /],
  [['--port', ''], /^error: .*port number/],
  [['--port'], /^error: .*argument missing/],
  [['--workers', '0'], /^error: .*--workers.*0.*number from 1 to 64/],
  [['--advertise', 'board.example.org'], /^error: .*--advertise.*board\.example\.org.*address such as/],
  [['--workers', 'all'], /^error: .*--workers.*all.*number from 1 to 64/],
  [['--log-level', 'loud'], /^error: .*loud.*Allowed choices are silent, error, warn, info, debug/],
  [['extra'], /^error: too many arguments/],
];
for (const [args, sentence] of WRONG) {
  test(
    `wrong usage, exit code 2: ${args.join(' ')}`,
    bounded(180, scope => refuses(scope, ['--data', boardData(scope), ...args], 2, sentence)),
  );
}

test(
  'an unknown command is wrong usage',
  bounded(180, async scope => {
    const { stderr, code } = await run(scope, ['swichboard']);
    assert.match(stderr, /^error: unknown command 'swichboard'\n/);
    assert.match(stderr, /Did you mean switchboard\?/);
    assert.is(code, 2);
  }),
);

test(
  'a wrong value in the environment is wrong usage too',
  bounded(180, async scope => {
    const where = ['switchboard', '--data', boardData(scope)];
    const { stderr, code } = await run(scope, where, { CORDBOARD_PORT: 'many' });
    assert.match(stderr, /^error: .*'many' from env 'CORDBOARD_PORT' is invalid.*port number/);
    assert.is(code, 2);
    const switched = await run(scope, where, { CORDBOARD_ENROL: 'perhaps' });
    assert.match(
      switched.stderr,
      /^error: the value of CORDBOARD_ENROL is invalid: "perhaps" is neither yes nor no\n\(/,
    );
    assert.is(switched.code, 2);
  }),
);

// What cannot be

test(
  'a port in use: one sentence, exit code 1',
  bounded(180, async scope => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>(resolve => server.listen({ host: '127.0.0.1', port }, resolve));
    scope.defer(() => void server.close());
    const sentence = new RegExp(`^cordboard: cannot listen on 127\\.0\\.0\\.1 port ${port}: the port is in use\n$`);
    await refuses(scope, ['--data', boardData(scope), '--port', String(port)], 1, sentence);
    const workers = ['--workers', '2', '--log-level', 'silent'];
    await refuses(scope, ['--data', boardData(scope), '--port', String(port), ...workers], 1, sentence);
  }),
);

test(
  'a directory that is none, and one to which this node would have no address',
  bounded(180, async scope => {
    const data = ['--data', boardData(scope)];
    const url =
      /^cordboard: --directory is redis:\/\/host\[:port\] or rediss:\/\/host\[:port\], and not "(?:http:|redis)"\n$/;
    for (const text of ['http://a:secret@127.0.0.1/', 'redis'])
      await refuses(scope, [...data, '--directory', text], 1, url);
    const missing = ['--node-keys', join(scope.directory(), 'missing')];
    await refuses(scope, [...data, ...missing], 1, /^cordboard: --node-keys is of no use without --directory\n$/);
    const there = ['--directory', 'redis://127.0.0.1'];
    const unread = /^cordboard: --node-keys \S+missing cannot be read: no such file or directory\n$/;
    await refuses(scope, [...data, ...there, ...missing], 1, unread);
    const everywhere = ['--host', '0.0.0.0', '--directory', 'redis://127.0.0.1'];
    await refuses(
      scope,
      [...data, ...everywhere],
      1,
      /^cordboard: --directory needs --advertise HOST:PORT: .* at "0\.0\.0\.0"\n$/,
    );
  }),
);

test(
  'standard output that takes nothing: one sentence, exit code 1',
  bounded(180, async scope => {
    const full = ['-c', '"$0" "$@" >/dev/full', ...command, 'switchboard'];
    const where = ['--data', boardData(scope), '--port', '0', '--log-level', 'silent'];
    for (const args of [where, [...where, '--workers', '2'], [...where, 'names']]) {
      const { code, stderr } = await soon('the program to end', scope.run('sh', [...full, ...args]));
      assert.equal([code, stderr], [1, 'cordboard: cannot write to standard output: the disk is full\n']);
    }
  }),
);

test(
  'a worker is nothing by itself',
  bounded(180, async scope => {
    const { stderr, code } = await run(scope, ['switchboard-worker']);
    assert.match(stderr, /^cordboard: workers are started by `cordboard switchboard --workers` only\n$/);
    assert.is(code, 1);
  }),
);

test(
  'an address that this machine does not have, and one that is none',
  bounded(180, async scope => {
    // 192.0.2.0/24 is for documentation (RFC 5737): nobody has it.
    await refuses(
      scope,
      ['--data', boardData(scope), '--host', '192.0.2.1'],
      1,
      /^cordboard: cannot listen on 192\.0\.2\.1 port 0: this machine has no such address\n$/,
    );
    await refuses(
      scope,
      ['--data', boardData(scope), '--host', '1.2.3.4.5'],
      1,
      /^cordboard: cannot listen on 1\.2\.3\.4\.5 port 0: .*\n$/,
    );
  }),
);

test(
  'an authorized_keys file that cannot be read, at start',
  bounded(180, async scope => {
    const file = scope.directory();
    await refuses(
      scope,
      ['--data', boardData(scope), '--authorized-keys', file],
      1,
      /^cordboard: cannot read \/.*: it is a directory\n$/,
    );
    const missing = join(file, 'missing');
    await refuses(
      scope,
      ['--data', boardData(scope), '--authorized-keys', missing, '--no-enrol'],
      1,
      /^cordboard: cannot read \/.*missing: there is no such file, and without --enrol nobody could ever sign in\n$/,
    );
  }),
);

test(
  'a data directory that is none, or lies where none can be',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'file');
    writeFileSync(file, '');
    await refuses(
      scope,
      ['--data', file],
      1,
      /^cordboard: cannot use the data directory \/.*file: there is a file of that name\n$/,
    );
    await refuses(
      scope,
      ['--data', join(file, 'below')],
      1,
      /^cordboard: cannot use the data directory \/.*below: a part of its path is no directory\n$/,
    );
  }),
);

test(
  'host keys and the alias secret, damaged: named, and left as they are',
  bounded(180, async scope => {
    const directory = boardData(scope);
    const cut = (text: string) => text.slice(0, 100);
    for (const [name, damage, sentence] of [
      ['ssh_host_ed25519_key', () => '', /^cordboard: the host key \/.*ssh_host_ed25519_key cannot be used: .*\n$/],
      ['ssh_host_rsa_key', cut, /^cordboard: the host key \/.*ssh_host_rsa_key cannot be used: .* cut off.*\n$/],
      ['alias_secret', () => 'rubbish\n', /^cordboard: \/.*alias_secret does not hold 64 hexadecimal digits\n$/],
    ] as const) {
      const file = join(directory, name);
      const good = readFileSync(file, 'utf8');
      const bad = damage(good);
      writeFileSync(file, bad);
      await refuses(scope, ['--data', directory], 1, sentence);
      assert.is(readFileSync(file, 'utf8'), bad);
      writeFileSync(file, good);
    }
  }),
);

/** Runs as somebody who may not do everything; root may. */
const unprivileged = (name: string, body: (scope: Scope, start: (args: string[]) => Child) => Promise<void>) => {
  if (process.getuid?.() !== 0) {
    test(
      name,
      bounded(180, scope => body(scope, args => cordboard(scope, args, { input: '' }))),
    );
  } else if (which('setpriv') === undefined) skip(test, name, 'root may read everything, and setpriv is not installed');
  else {
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', ...command];
    // Nobody may write down which lines ran, and node says so among the program's messages.
    const options = { input: '', cwd: root, env: { NODE_V8_COVERAGE: undefined } };
    test(
      name,
      bounded(180, async scope => {
        // Our sources need not be readable for everyone.
        const probe = await scope.run('setpriv', [...nobody, '--version'], options);
        if (probe.code !== 0) return void console.log(`\nnote: ${name}: not tried, nobody may not run this program`);
        await body(scope, args => scope.start('setpriv', [...nobody, ...args], options));
      }),
    );
  }
};

unprivileged('files without permission: one sentence each', async (scope, start) => {
  const directory = scope.directory();
  chmodSync(directory, 0o755);
  const mine = join(directory, 'keys');
  writeFileSync(mine, '', { mode: 0o000 });
  const writable = join(directory, 'writable');
  mkdirSync(writable);
  chownSync(writable, 65534, 65534);
  const closed = join(directory, 'closed');
  mkdirSync(closed);
  chmodSync(closed, 0o500);
  for (const [args, sentence] of [
    [['--data', writable, '--authorized-keys', mine], /^cordboard: cannot read \/.*keys: permission denied\n$/],
    [
      ['--data', closed],
      /^cordboard: cannot write \/.*closed\/\S+: permission denied\n$|^cordboard: cannot read \/.*closed\/\S+: permission denied\n$/,
    ],
    [['--data', join(closed, 'below')], /^cordboard: cannot use the data directory \/.*below: permission denied\n$/],
  ] as const) {
    const { code, stderr } = await soon('the program to end', start(['switchboard', '--port', '0', ...args]).ended, 60);
    assert.match(stderr, sentence);
    assert.is(code, 1);
  }
});

// Life

test(
  'says where it listens; --port 0 takes any; SIGTERM and SIGINT end it orderly with exit code 0',
  bounded(180, async scope => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const child = cordboard(scope, ['switchboard', '--port', '0', '--data', boardData(scope)]);
      assert.match(await address(child), /^127\.0\.0\.1:[1-9]\d*$/);
      child.signal(signal);
      const { code, signal: killed } = await soon('it to end', child.ended);
      assert.is(code, 0, child.report);
      assert.is(killed, null);
    }
  }),
);

needs(test, 'npm')(
  'npm start runs it, and takes flags after --',
  bounded(180, async scope => {
    const child = scope.start(
      'npm',
      ['start', '--', '--port', '0', '--data', boardData(scope), '--fqdn', 'board.example'],
      {
        cwd: root,
        detached: true,
      },
    );
    // npm does not always pass signals on: its whole group is ended.
    scope.defer(() => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {}
    });
    assert.match(await address(child), /^127\.0\.0\.1:\d+$/);
    assert.match(child.stdout, /ssh -p \d+ -R 6379:localhost:7000 alice@board\.example/);
  }),
);

test(
  'a fresh data directory is for its owner only, and is under XDG_STATE_HOME unless told otherwise',
  bounded(180, async scope => {
    const home = scope.directory();
    const child = cordboard(scope, ['switchboard', '--port', '0'], { env: { XDG_STATE_HOME: home } });
    await address(child);
    const directory = join(home, 'cordboard', 'switchboard');
    assert.is(statSync(directory).mode & 0o777, 0o700);
    const names = readdirSync(directory).sort();
    const keys = ['ecdsa', 'ed25519', 'rsa'].flatMap(type => [`ssh_host_${type}_key`, `ssh_host_${type}_key.pub`]);
    const registry = ['', '-shm', '-wal'].map(end => `switchboard.db${end}`);
    assert.equal(names, ['alias_secret', ...keys, ...registry].sort());
    for (const name of names) {
      assert.is(statSync(join(directory, name)).mode & 0o777, name.endsWith('.pub') ? 0o644 : 0o600, name);
    }
  }),
);

test(
  'the environment gives what flags do not, and flags win',
  bounded(180, async scope => {
    const [fromEnv, fromFlag] = [join(scope.directory(), 'new'), join(scope.directory(), 'new')];
    const env = {
      CORDBOARD_HOST: '127.0.0.2',
      CORDBOARD_PORT: '0',
      CORDBOARD_DATA: fromEnv,
      CORDBOARD_FQDN: 'env.example',
      CORDBOARD_LOG_LEVEL: 'silent',
      CORDBOARD_AUTHORIZED_KEYS: join(scope.directory(), 'env-keys'),
    };
    const child = cordboard(scope, ['switchboard'], { env });
    assert.match(await address(child), /^127\.0\.0\.2:\d+$/);
    assert.match(child.stdout, /alice@env\.example/);
    assert.match(child.stdout, env.CORDBOARD_AUTHORIZED_KEYS);
    assert.ok(existsSync(join(fromEnv, 'alias_secret')));

    const keys = join(scope.directory(), 'flag-keys');
    const flags = ['--host', '127.0.0.1', '--data', fromFlag, '--fqdn', 'flag.example', '--authorized-keys', keys];
    const other = cordboard(scope, ['switchboard', '--port', '0', ...flags], { env: { ...env, CORDBOARD_PORT: '1' } });
    assert.match(await address(other), /^127\.0\.0\.1:\d+$/);
    assert.match(other.stdout, /alice@flag\.example/);
    assert.match(other.stdout, keys);
    assert.ok(existsSync(join(fromFlag, 'alias_secret')));
  }),
);

withSsh(
  'keys that the file does not know: taken in on loopback, refused with --no-enrol and elsewhere, unless --enrol says so',
  bounded(180, async scope => {
    const file = (owner: string) => {
      const path = join(scope.directory(), 'keys');
      writeFileSync(path, readFileSync(`${keyFile(owner)}.pub`));
      return path;
    };
    const cases: [string[], Record<string, string>, boolean][] = [
      [[], {}, true],
      [['--no-enrol'], {}, false],
      [['--no-enrol'], { CORDBOARD_ENROL: 'true' }, false],
      [['--host', '0.0.0.0'], {}, false],
      [['--host', '0.0.0.0', '--enrol'], {}, true],
      [['--host', '0.0.0.0'], { CORDBOARD_ENROL: 'true' }, true],
    ];
    for (const [args, env, expected] of cases) {
      const board = await switchboard(scope, {
        data: boardData(scope),
        args: ['--authorized-keys', file('somebody'), ...args],
        env,
      });
      const local = {
        ...board,
        host: '127.0.0.1',
        known: board.known.map(line => line.replace('0.0.0.0', '127.0.0.1')),
      };
      const { code, stderr } = await ssh(scope, local, 'stranger', ['--', 'listeners'], { input: '' }).ended;
      assert.is(code, expected ? 0 : 255, `${args.join(' ')} ${JSON.stringify(env)}\n${stderr}`);
      assert.is(board.greeting.includes('any other on first contact'), expected);
      await board.child.stop();
    }
  }),
);

withSsh(
  'authorized_keys becomes unreadable while it runs: nobody gets in, who is in stays, and it heals',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const file = join(board.data, 'authorized_keys');
    const { child } = await provide(scope, board, 'alice', ['80:localhost:7']);
    renameSync(file, `${file}.away`);
    mkdirSync(file);
    const list = (user: string) => ssh(scope, board, user, ['--', 'listeners'], { input: '' }).ended;
    for (const user of ['alice', 'stranger']) {
      const { code, stderr } = await list(user);
      assert.is(code, 255);
      assert.match(stderr, /Permission denied/);
    }
    await board.child.says(/nobody can sign in: cannot read \S+authorized_keys: it is a directory/, 'stderr');
    assert.not.ok(child.over, child.report);
    rmSync(file, { recursive: true });
    renameSync(`${file}.away`, file);
    const healed = await list('alice');
    assert.is(healed.code, 0, healed.stderr);
    assert.match(healed.stdout.toString(), /alice: .*ports=80/);
  }),
);

withSsh(
  'a second instance on the same data directory serves with the same keys and aliases',
  bounded(180, async scope => {
    const first = await switchboard(scope);
    const second = await switchboard(scope, { data: first.data });
    const alias = async (board: typeof first) => (await provide(scope, board, 'alice', ['80:localhost:7'])).alias;
    assert.is(await alias(first), await alias(second));
    assert.equal(first.greeting.match(/SHA256:\S+/g), second.greeting.match(/SHA256:\S+/g));
    // Each enrols a key; neither loses the other's.
    for (const [board, user] of [
      [first, 'bob'],
      [second, 'carol'],
    ] as const) {
      const { code, stderr } = await ssh(scope, board, user, ['--', 'listeners'], { input: '' }).ended;
      assert.is(code, 0, stderr);
    }
    const kept = readFileSync(join(first.data, 'authorized_keys'), 'utf8');
    for (const user of ['alice', 'bob', 'carol']) assert.match(kept, ` ${user}@127.0.0.1\n`);
  }),
);

withSsh(
  'SIGTERM with clients connected: they are told why, and it still ends with exit code 0',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const { child } = await provide(scope, board, 'alice', ['80:localhost:7']);
    board.child.signal('SIGTERM');
    assert.is((await soon('the server to end', board.child.ended)).code, 0);
    await soon('ssh to hear it', child.ended);
    assert.match(child.stderr, /Received disconnect from .*: the server is shutting down/);
  }),
);

test(
  'the log is JSON lines on standard error, as much as --log-level says',
  bounded(180, async scope => {
    const loud = cordboard(scope, ['switchboard', '--port', '0', '--data', boardData(scope), '--log-level', 'debug']);
    const port = Number((await address(loud)).split(':')[1]);
    connect({ host: '127.0.0.1', port })
      .on('error', () => {})
      .end('GET / HTTP/1.0\r\n\r\n');
    await eventually('a line of log', () => loud.stderr.includes('protocol error'));
    for (const line of loud.stderr.trimEnd().split('\n')) assert.type(JSON.parse(line).msg, 'string');
  }),
);

test.run();
