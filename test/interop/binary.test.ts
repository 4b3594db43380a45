// The one binary, built as for users and copied alone into an empty directory: it serves sessions from there, and leaves nothing behind.
import { copyFileSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { failuresIn } from '../kit/failures.ts';
import { bounded, type Child, type Scope, type SpawnOptions, soon } from '../kit/processes.ts';
import { record } from '../kit/recorded.ts';
import { shared } from '../kit/shared.ts';
import { boardData, cordboard, keyLine, knownHost, ssh, type Target } from '../kit/ssh.ts';
import { rewriteBlock, table } from '../kit/table.ts';
import { needs, skip } from '../kit/tools.ts';

const root = join(import.meta.dirname, '..', '..');
const bun = join(root, 'test', 'runtime', 'node_modules', 'bun', 'bin', 'bun');
const here = import.meta.dirname;

/** Where the binary is, and nothing else; and a directory for what it needs for a while, in which nothing may be. */
interface Alone {
  readonly directory: string;
  readonly temporary: string;
  start(scope: Scope, name: 'cordboard' | 'otssh', args: readonly string[], options?: SpawnOptions): Child;
}

const alone = shared(test, async (scope): Promise<Alone> => {
  const build = join(scope.directory(), 'cordboard');
  const args = ['--import', 'tsx', join(root, 'binary', 'build.ts'), '--output', build];
  const { code, stderr } = await soon('the binary', scope.run(process.execPath, args), 170);
  assert.is(code, 0, stderr);
  const directory = scope.directory();
  const temporary = scope.directory();
  copyFileSync(build, join(directory, 'cordboard'));
  symlinkSync('cordboard', join(directory, 'otssh'));
  return {
    directory,
    temporary,
    start: (scope, name, args, options) =>
      scope.start(join(directory, name), args, {
        cwd: directory,
        input: '',
        ...options,
        env: { TMPDIR: temporary, HOME: scope.directory(), SHELL: '/bin/sh', ...options?.env },
      }),
  };
});

/** A test with the binary; after it, there is nothing but the binary. */
function withBinary(name: string, body: (scope: Scope, binary: Alone) => Promise<void>): void {
  if (process.arch !== 'x64' || process.platform !== 'linux') return skip(test, name, 'the binary is for linux-x64');
  needs(
    test,
    bun,
    'ssh',
    'ssh-keygen',
  )(
    name,
    bounded(180, async scope => {
      const binary = await alone(scope);
      await body(scope, binary);
      assert.equal(readdirSync(binary.directory).sort(), ['cordboard', 'otssh']);
      assert.equal(readdirSync(binary.temporary), []);
    }),
  );
}

/** What a session gets, a shell adds, or `door` gives. */
const ITS_OWN = [
  'GIVEN',
  'LC_ALL',
  'SHELL',
  'HOME',
  'TMPDIR',
  'SSH_CLIENT',
  'SSH_CONNECTION',
  ...['USER', 'LOGNAME', 'PATH', 'MAIL'],
  'PWD',
  'OLDPWD',
  'SHLVL',
  '_',
];

/** Starts a session that waits for alice. */
async function door(
  scope: Scope,
  binary: Alone,
  options?: SpawnOptions,
): Promise<Target & { child: Child; log: string }> {
  const directory = scope.directory();
  const [keys, log] = [join(directory, 'keys'), join(directory, 'session.cast')];
  writeFileSync(keys, `${keyLine('alice')}\n`);
  const args = [`-authorized-keys=${keys}`, '-port=0', '-listen=127.0.0.1', `-log=${log}`];
  const child = binary.start(scope, 'otssh', args, options);
  const port = Number((await soon('a port', child.says(/^listening on \S+ port (\d+)$/m, 'stderr')))[1]);
  const [key] = await child.says(/^ssh-ed25519 \S+$/m);
  return { child, log, host: '127.0.0.1', port, known: [knownHost('127.0.0.1', port, key)] };
}

withBinary('says its version, and by its name which program it is', async (scope, binary) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const run = async (name: 'cordboard' | 'otssh', ...args: string[]) => {
    const { code, stdout, stderr } = await soon(name, binary.start(scope, name, args).ended);
    assert.equal([code, stderr], [0, '']);
    return stdout.toString();
  };
  for (const name of ['cordboard', 'otssh'] as const) assert.is(await run(name, '--version'), `${version}\n`);
  assert.match(await run('otssh', '--help'), /^Usage: otssh /);
});

withBinary('a shell on a terminal: login shell, size, job control, exit status, transcript', async (scope, binary) => {
  const to = await door(scope, binary, { env: { SHELL: '/bin/bash', PS1: '$ ' } });
  const client = ssh(scope, to, 'alice', ['-tt']);
  client.write('echo "$0 is in $(tty)"\n');
  // A key that comes before the program has the terminal is for the shell.
  client.write(`sh -c 'stty size; exec sleep 100'\n`);
  await soon('the shell', client.says(/^-bash is in \/dev\/pts\/\d+\r[\s\S]*^24 80\r$/m));
  client.write('\x1a');
  await soon('job control', client.says(/Stopped/));
  client.write('exit\nexit 7\n');
  assert.is((await soon('ssh', client.ended)).code, 7, client.report);
  const ended = await soon('otssh', to.child.ended);
  assert.is(ended.code, 7, ended.stderr);
  // The program and the binary judge it alike.
  const verified = await cordboard(scope, [
    'once',
    'verify',
    '--key',
    to.known[0].split(' ').slice(1).join(' '),
    to.log,
  ]).ended;
  assert.is(verified.code, 0, verified.stdout.toString());
  const again = await binary.start(scope, 'otssh', [
    'verify',
    '-key',
    to.known[0].split(' ').slice(1).join(' '),
    to.log,
  ]).ended;
  assert.is(again.stdout.toString(), verified.stdout.toString());
});

withBinary(
  'the directory in which it is started has no say in what it does, and it adds nothing to the environment',
  async (scope, binary) => {
    const directory = scope.directory();
    writeFileSync(join(directory, '.env'), 'FROM_A_FILE=1\n');
    writeFileSync(join(directory, 'evil.js'), 'process.exit(99);\n');
    writeFileSync(join(directory, 'bunfig.toml'), 'preload = ["./evil.js"]\n');
    writeFileSync(join(directory, 'package.json'), '{ "imports": { "#x": "./evil.js" } }\n');
    const to = await door(scope, binary, { cwd: directory, env: { SHELL: '/bin/sh', GIVEN: 'yes' } });
    const { code, stdout, stderr } = await soon('ssh', ssh(scope, to, 'alice', ['--', 'env'], { input: '' }).ended);
    assert.is(code, 0, stderr);
    const names = stdout
      .toString()
      .split('\n')
      .map(line => line.split('=')[0]);
    assert.ok(names.includes('GIVEN'), names.join(' '));
    const added = names.filter(name => name !== '' && !(name in process.env) && !ITS_OWN.includes(name));
    assert.equal(added, []);
    await to.child.ended;
  },
);

withBinary(
  'the last byte that is written in a terminal arrives, even if somebody else still has it open',
  async (scope, binary) => {
    const bytes = 1_000_000;
    for (const before of ['', 'setsid sleep 20 & ']) {
      const to = await door(scope, binary, { env: { SHELL: '/bin/sh' } });
      const command = `${before}head -c ${bytes} /dev/zero | tr '\\0' x; printf end`;
      const { code, stdout } = await soon('ssh', ssh(scope, to, 'alice', ['-tt', '--', command], { input: '' }).ended);
      assert.is(code, 0);
      assert.is(stdout.toString().replaceAll('x', ''), 'end');
      assert.is(stdout.length, bytes + 3);
      assert.is((await soon('otssh', to.child.ended)).code, 0);
    }
  },
);

withBinary('a command without a terminal keeps its streams apart', async (scope, binary) => {
  const to = await door(scope, binary);
  const client = ssh(scope, to, 'alice', ['--', 'cat; echo err >&2; exit 3'], { input: 'in' });
  const { code, stdout, stderr } = await soon('ssh', client.ended);
  assert.equal([code, stdout.toString(), stderr], [3, 'in', 'err\n']);
  assert.is((await soon('otssh', to.child.ended)).code, 3);
});

withBinary('the player is inside, too', async (scope, binary) => {
  const file = record(scope.directory(), 'a.cast', [[1, { kind: 'exit', status: 0 }]]);
  const { code, stdout, stderr } = await soon(
    'the page',
    binary.start(scope, 'otssh', ['view', file, '-output=-']).ended,
  );
  assert.is(code, 4, stderr);
  assert.match(stdout.toString(), /AsciinemaPlayer=.*<\/html>\n$/s);
});

withBinary('a switchboard with two workers, and its console', async (scope, binary) => {
  const data = boardData(scope);
  const args = ['switchboard', '--port=0', '--workers=2', '--enrol', '--console=0', `--data=${data}`];
  const child = binary.start(scope, 'cordboard', args);
  const port = Number((await soon('a port', child.says(/^listening on 127\.0\.0\.1:(\d+)$/m)))[1]);
  const keys = readdirSync(data).filter(name => name.endsWith('.pub'));
  const known = keys.map(name => knownHost('127.0.0.1', port, readFileSync(join(data, name), 'utf8')));
  const target = { host: '127.0.0.1', port, known };
  const { code, stdout, stderr } = await soon(
    'ssh',
    ssh(scope, target, 'alice', ['--', 'listeners'], { input: '' }).ended,
  );
  assert.is(code, 0, `${stdout}${stderr}`);
  const [, url] = await soon('the console', child.says(/^Console: (\S+) /m));
  const page = await fetch(`${url}sign-in`);
  assert.match(await page.text(), /<title>[^<]/);
  assert.is((await fetch(`${url}style.css`)).headers.get('content-type'), 'text/css; charset=utf-8');
  child.signal('SIGTERM');
  assert.is((await soon('the end', child.ended)).code, 0, child.stderr);
});

withBinary('its figures: size, start, memory', async (scope, binary) => {
  const milliseconds = async (run: () => Promise<unknown>): Promise<number> => {
    const started = performance.now();
    await run();
    return performance.now() - started;
  };
  const versions: number[] = [];
  const ports: number[] = [];
  const memory: number[] = [];
  for (let i = 0; i < 10; i++) {
    versions.push(await milliseconds(() => binary.start(scope, 'cordboard', ['--version']).ended));
    let waiting!: Target & { child: Child };
    ports.push(await milliseconds(async () => (waiting = await door(scope, binary))));
    // Pages of its own; those of its file are shared by all that run it.
    const status = readFileSync(`/proc/${waiting.child.pid}/status`, 'utf8');
    memory.push(Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)![1]) / 1024);
    await waiting.child.stop();
  }
  const file = join(binary.directory, 'cordboard');
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  // The least of several: what else the machine does only adds to it.
  const figures = [
    ['size', mebibytes(statSync(file).size)],
    ['to `--version`', `${Math.min(...versions).toFixed(0)} ms`],
    ['to a port that listens, host key included', `${Math.min(...ports).toFixed(0)} ms`],
    ['memory while it waits', `${Math.min(...memory).toFixed(0)} MiB of its own`],
  ];
  console.log(`\nnote: the binary: ${figures.map(([name, figure]) => `${name}: ${figure}`).join('; ')}`);
  if (!process.env.UPDATE) return;
  figures[0][1] += `, ${mebibytes(gzipSync(readFileSync(file)).length)} as .gz`;
  rewriteBlock(join(root, 'README.md'), 'binary', table(['linux-x64', ''], figures, 2));
});

/** The acceptance checks of `once`, and what people do in terminals. CORDBOARD_ONCE=build/otssh runs the other files with it, too. */
const LISTS = ['once', 'once-session', 'once-transcript', 'once-terminal', 'once-ways'];

withBinary('passes the lists that the program passes', async (scope, binary) => {
  const env = { CORDBOARD_ONCE: join(binary.directory, 'otssh'), CI: process.env.CI };
  // They wait more than they work.
  const ran = LISTS.map(async name => {
    const file = join(here, `${name}.test.ts`);
    const { code, stdout } = await scope.run(process.execPath, ['--import', 'tsx', file], { env });
    const found = failuresIn(stdout.toString()).map(
      ({ name = 'it', lines }) => `${name}: ${lines.slice(0, 20).join('\n')}`,
    );
    return code === 0 && /Passed:\s+[1-9]/.test(stdout.toString()) ? [] : [`${file}: exit code ${code}`, ...found];
  });
  assert.equal((await Promise.all(ran)).flat(), []);
});

test.run();
