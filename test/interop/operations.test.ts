// The switchboard as a service: sockets that it is given, metrics and health over HTTP, several workers behind one console, and files for systemd and Docker.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addFlags } from '../../src/apps/switchboard/flags.ts';
import { call, execute, says } from '../kit/board.ts';
import { echoServer } from '../kit/loopback.ts';
import { bounded, type Child, eventually, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { boardData, command, keyLine, knownHost, provide, type Switchboard, ssh, switchboard } from '../kit/ssh.ts';
import { needs, skip, which } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const root = resolve(import.meta.dirname, '../..');
const text = (file: string) => readFileSync(join(root, file), 'utf8');
const TOKEN = 'a token that only this test knows';

/** A listening socket, as systemd would make it. */
async function listener(scope: Scope, host = '127.0.0.1'): Promise<{ server: Server; port: number; fd: number }> {
  const server = createServer();
  await new Promise<void>(done => server.listen({ host, port: 0 }, done));
  scope.defer(() => void server.close());
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  return { server, port: (server.address() as { port: number }).port, fd };
}

/** A circuit by the stock ssh that stays open until its input ends. */
async function circuit(scope: Scope, board: Switchboard, caller: string): Promise<Child> {
  const { alias } = await provide(scope, board, 'harbour', [`7:localhost:${await echoServer(scope)}`]);
  const child = ssh(scope, board, caller, ['-W', `${alias}:7`]);
  child.write('x');
  await soon('the echo', child.wrote(1));
  return child;
}

const page = async (port: number, path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
  return { status: response.status, text: await response.text() };
};

const consolePort = ({ greeting }: { greeting: string }) => Number(/^Console: http:\S+:(\d+)\/ /m.exec(greeting)![1]);

/** A session of the console. */
async function signIn(port: number): Promise<string> {
  const body = new URLSearchParams({ token: TOKEN });
  const answer = await fetch(`http://127.0.0.1:${port}/sign-in`, { method: 'POST', body, redirect: 'manual' });
  return answer.headers.get('Set-Cookie')!.split(';')[0];
}

/** What the console would show. */
async function state(port: number, Cookie: string) {
  const stream = await fetch(`http://127.0.0.1:${port}/api/events`, { headers: { Cookie } });
  let said = '';
  for await (const part of stream.body!) {
    said += Buffer.from(part).toString();
    const [, data] = /^event: state\ndata: (.*)\n\n/.exec(said) ?? [];
    if (data === undefined) continue;
    return JSON.parse(data) as {
      clients: { id: string; user: string }[];
      circuits: { id: string; caller: { id: string; user: string } }[];
    };
  }
  throw new Error(`no state: ${said}`);
}

function tokenFile(scope: Scope): string {
  const file = join(scope.directory(), 'token');
  writeFileSync(file, TOKEN, { mode: 0o600 });
  return file;
}

for (const workers of [1, 2]) {
  it(
    `it serves on sockets that it is given, with ${workers} ${workers === 1 ? 'process' : 'workers'}, and opens no other`,
    bounded(180, async scope => {
      const [clients, watchers] = [await listener(scope), await listener(scope)];
      const data = boardData(scope);
      const args = ['switchboard', '--data', data, '--host', '192.0.2.1', '--workers', String(workers)];
      // The shell has the number that the program keeps when it takes its place.
      const child = scope.start('sh', ['-c', 'LISTEN_PID=$$ exec "$0" "$@"', ...command, ...args, '--enrol'], {
        env: { LISTEN_FDS: '2', LISTEN_FDNAMES: 'ssh:console' },
        descriptors: [clients.fd, watchers.fd],
      });
      const [, port] = await soon('it to start', child.says(/^listening on 127\.0\.0\.1:(\d+)\n[\s\S]*bob@\S+\n/m), 60);
      assert.is(Number(port), clients.port);
      assert.match(child.stdout, new RegExp(`^Console: http://127\\.0\\.0\\.1:${watchers.port}/ \\(token `, 'm'));
      // From now on it has them alone.
      clients.server.close();
      watchers.server.close();
      const known = [
        knownHost('127.0.0.1', clients.port, readFileSync(join(data, 'ssh_host_ed25519_key.pub'), 'utf8')),
      ];
      const board = { child, data, host: '127.0.0.1', port: clients.port, known, greeting: child.stdout };
      const caller = await circuit(scope, board, 'amelia');
      assert.equal(await page(watchers.port, '/healthz'), { status: 200, text: 'ok\n' });
      assert.match((await page(watchers.port, '/metrics')).text, /^cordboard_circuits 1$/m);
      caller.endInput();
      assert.is((await soon('ssh to end', caller.ended)).code, 0);
    }),
  );
}

it(
  'sockets that it is given decide whether keys are enrolled, and not the default of --host',
  bounded(180, async scope => {
    for (const [hosts, enrols] of [
      [['127.0.0.1'], true],
      [['0.0.0.0'], false],
      [['127.0.0.1', '0.0.0.0'], false],
      [['127.0.0.1', '127.0.0.2'], true],
    ] as const) {
      const sockets = await Promise.all(hosts.map(host => listener(scope, host)));
      const data = boardData(scope);
      const args = ['switchboard', '--data', data];
      const child = scope.start('sh', ['-c', 'LISTEN_PID=$$ exec "$0" "$@"', ...command, ...args], {
        env: { LISTEN_FDS: String(sockets.length) },
        descriptors: sockets.map(({ fd }) => fd),
      });
      await soon('it to start', child.says(/bob@\S+\n/m), 60);
      for (const { server } of sockets) server.close();
      assert.is(/any other on first contact/.test(child.stdout), enrols, hosts.join());
      const [{ port }] = sockets;
      const known = [knownHost('127.0.0.1', port, readFileSync(join(data, 'ssh_host_ed25519_key.pub'), 'utf8'))];
      const board = { child, data, host: '127.0.0.1', port, known, greeting: child.stdout };
      const { code } = await ssh(scope, board, 'stranger', ['--', 'whoami'], { input: '' }).ended;
      assert.is(code, enrols ? 0 : 255);
      assert.is(existsSync(join(data, 'authorized_keys')), enrols);
      await child.stop();
    }
  }),
);

for (const workers of [1, 2]) {
  it(
    `a reload that turns enrolment on leaves no plain name to the strangers who may come then, with ${workers} ${workers === 1 ? 'process' : 'workers'}`,
    bounded(180, async scope => {
      const directory = scope.directory();
      const [keys, config] = [join(directory, 'keys'), join(directory, 'board.ini')];
      const say = (enrol: string) => writeFileSync(config, `[cordboard]\nenrol = ${enrol}\n`);
      say('no');
      writeFileSync(keys, `${keyLine('alice')}\n${keyLine('bob')}\n`);
      const args = ['--config', config, '--authorized-keys', keys, '--workers', String(workers)];
      const board = await switchboard(scope, { args });
      const service = `80:localhost:${await says(scope, 'secret')}`;
      const { alias } = await provide(scope, board, 'alice', [service], { key: 'alice' });
      assert.is(await call(scope, board, 'alice:80'), 'secret', 'names are public among those who are known');
      assert.match(await call(scope, board, 'alice:80', { key: 'stranger' }), /Permission denied/);
      const heard = board.child.says(/files have been read again/, 'stderr');
      say('yes');
      board.child.signal('SIGHUP');
      await soon('the reload', heard);
      await eventually('the stranger to be enrolled', async () => {
        return (await execute(scope, board, 'stranger', 'whoami', { key: 'stranger' })).code === 0;
      });
      assert.match(await call(scope, board, 'alice:80', { key: 'stranger' }), /no line named alice/);
      assert.is(await call(scope, board, `${alias}:80`, { key: 'stranger' }), 'secret');
      assert.not.match(board.child.stderr, /only a new start/);
    }),
  );
}

const theWorkers = shared(test, scope =>
  switchboard(scope, {
    args: ['--workers', '2', '--console', '127.0.0.1:0', '--console-token-file', tokenFile(scope)],
  }),
);

it(
  'one console for several workers: it sees the clients of all, and kicks whoever it is',
  bounded(180, async scope => {
    const board = await theWorkers(scope);
    const port = consolePort(board);
    const Cookie = await signIn(port);
    const callers = [
      await circuit(scope, board, 'amelia'),
      await circuit(scope, board, 'bertha'),
      await circuit(scope, board, 'claude'),
    ];
    let seen = await state(port, Cookie);
    await eventually('all circuits', async () => (seen = await state(port, Cookie)).circuits.length === 3);
    assert.equal(seen.clients.map(({ user }) => user).sort(), [
      'amelia',
      'bertha',
      'claude',
      'harbour',
      'harbour',
      'harbour',
    ]);
    assert.is(new Set(seen.clients.map(({ id }) => id.split('/')[0])).size, 2, 'both workers have clients');
    const { text: measured } = await page(port, '/metrics');
    assert.match(measured, /^cordboard_clients 6$/m);
    assert.match(measured, /^cordboard_circuits 3$/m);
    assert.match(measured, /^cordboard_circuit_bytes_total\{to="provider"\} 3$/m);
    for (const { caller } of seen.circuits) {
      const headers = { Cookie, 'Content-Type': 'application/json' };
      const body = JSON.stringify({ id: caller.id });
      assert.is((await fetch(`http://127.0.0.1:${port}/api/kick`, { method: 'POST', headers, body })).status, 200);
    }
    for (const child of callers) assert.is((await soon('ssh to end', child.ended)).code, 255);
    for (const user of ['amelia', 'bertha', 'claude'])
      await soon('the log', board.child.says(new RegExp(`"user":"console".*"msg":"kicked ${user}-`), 'stderr'));
  }),
);

it(
  'while it drains it is healthy, but not ready; a circuit that ends in time is not cut',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--console', '127.0.0.1:0', '--drain', '90s'] });
    const port = consolePort(board);
    const child = await circuit(scope, board, 'amelia');
    assert.is((await page(port, '/readyz')).status, 200);
    board.child.signal('SIGTERM');
    await eventually('not to be ready', async () => (await page(port, '/readyz')).status === 503);
    assert.is((await page(port, '/healthz')).status, 200);
    // Metrics hold for a second.
    await eventually('the metric', async () => /^cordboard_draining 1$/m.test((await page(port, '/metrics')).text));
    child.write('y');
    await soon('the last echo', child.wrote(2));
    child.endInput();
    assert.is((await soon('ssh to end', child.ended)).code, 0);
    assert.is((await soon('the switchboard to end', board.child.ended)).code, 0);
  }),
);

test('the page for operators names the metrics that there are, and variables that exist', async () => {
  const guide = text('src/apps/switchboard/operations.md');
  const variables = new Set(addFlags(new Command()).options.map(({ envVar }) => envVar));
  for (const file of ['Dockerfile', 'src/apps/switchboard/operations.md', 'deploy/cordboard-switchboard.service']) {
    for (const [name] of text(file).matchAll(/\bCORDBOARD_[A-Z_]+\b/g))
      assert.ok(variables.has(name), `${file}: ${name}`);
  }
  const source = text('src/apps/switchboard/console/metrics.ts');
  const made = [...source.matchAll(/(?:metric|now)\(\s*'([a-z_]+)'/g)].map(([, name]) => `cordboard_${name}`);
  const told = [...guide.matchAll(/^\| `(cordboard_[a-z_]+)/gm)].map(([, name]) => name);
  assert.ok(made.length > 8);
  assert.equal(told.toSorted(), made.toSorted());
});

test('what the Dockerfile copies is there, and what it runs is what the package has', () => {
  const ignored = text('.dockerignore').split('\n');
  for (const [, from, what] of text('Dockerfile').matchAll(/^COPY (--from=\S+ )?(.+) \S+$/gm)) {
    if (from !== undefined) continue;
    for (const file of what.split(' ')) {
      assert.ok(existsSync(join(root, file)), file);
      assert.ok(ignored.includes(`!${file}`), `${file} reaches the build`);
    }
  }
  const { scripts, bin } = JSON.parse(text('package.json'));
  assert.ok(scripts.build);
  assert.match(text('Dockerfile'), new RegExp(`ENTRYPOINT \\["node", "${bin.cordboard.slice(2)}"\\]`));
});

test('nobody enrols, and no privileged port is asked for, where only the units decide', () => {
  const set = (file: string, name: string) =>
    [...text(file).matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value);
  assert.equal(set('deploy/cordboard-switchboard.socket', 'ListenStream'), ['2222']);
  const service = 'deploy/cordboard-switchboard.service';
  assert.equal(set(service, 'Environment'), ['CORDBOARD_ENROL=no']);
  const lines = text(service).split('\n');
  const at = (name: string) => lines.findIndex(line => line.startsWith(`${name}=`));
  assert.ok(at('Environment') < at('EnvironmentFile'), 'the operator has the last word');
  assert.match(text('Dockerfile'), /CORDBOARD_ENROL=no/);
});

const UNITS = 'systemd takes the unit files as they are, and finds the service well shut in';
if (which('systemd-analyze') === undefined) skip(test, UNITS, 'systemd-analyze not installed');
else {
  test(
    UNITS,
    bounded(180, async scope => {
      const directory = scope.directory();
      const units = readdirSync(join(root, 'deploy')).map(name => join(directory, name));
      for (const unit of units) {
        // It looks whether the program is there.
        writeFileSync(unit, text(join('deploy', basename(unit))).replace('/usr/local/bin/cordboard', '/bin/true'));
      }
      const verified = await scope.run('systemd-analyze', ['verify', ...units]);
      assert.equal({ code: verified.code, said: verified.stderr }, { code: 0, said: '' });
      const service = units.find(unit => unit.endsWith('.service'))!;
      const exposed = await scope.run('systemd-analyze', ['security', '--offline=yes', '--threshold=15', service]);
      assert.is(exposed.code, 0, exposed.stdout.toString().split('\n').at(-2));
    }),
  );
}

test.run();
