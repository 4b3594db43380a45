// The switchboard as a service: configured by a file, reloaded, drained, audited, with limits for each key.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, execute, fleet, says } from '../kit/board.ts';
import { echoes, echoServer, readAll, tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, soon } from '../kit/processes.ts';
import {
  boardData,
  consume,
  cordboard,
  keyLine,
  knownHost,
  provide,
  type Switchboard,
  ssh,
  switchboard,
} from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** What an audit says, without what differs from run to run. */
function audit(file: string): { event: string; [field: string]: unknown }[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map(line => {
    const { time, ...record } = JSON.parse(line);
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    return record;
  });
}

it(
  'nuttssh.ini as it is: listens, makes its host keys by their places, keeps all in its directory, enrols or does not',
  bounded(180, async scope => {
    const directory = scope.directory();
    const ini = (changes: (text: string) => string) =>
      writeFileSync(join(directory, 'nuttssh.ini'), changes(NUTTSSH.replace('listen_port = 2222', 'listen_port = 0')));
    /** Starts where nuttssh would be started, with nothing but its variable. */
    const start = async (): Promise<Switchboard> => {
      const env = { NUTTSSH_CONFIG_FILE: 'nuttssh.ini', XDG_STATE_HOME: join(directory, 'state') };
      const child = cordboard(scope, ['switchboard'], { cwd: directory, env });
      const [, host, port] = await soon('it to start', child.says(/^listening on (\S+):(\d+)\n[\s\S]*bob@\S+\n/m), 120);
      assert.is(host, '0.0.0.0');
      const keys = readdirSync(join(directory, 'keys')).filter(name => name.endsWith('.pub'));
      const known = keys.map(name => {
        return knownHost('127.0.0.1', Number(port), readFileSync(join(directory, 'keys', name), 'utf8'));
      });
      return { child, data: directory, host: '127.0.0.1', port: Number(port), known, greeting: child.stdout };
    };
    ini(text => text);
    const board = await start();
    assert.match(board.greeting, /ssh -p \d+ -R 6379:localhost:7000 alice@board\.example/);
    assert.equal(readdirSync(join(directory, 'keys')).sort(), [
      ...['alias_secret', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256.pub', 'ssh-ed25519', 'ssh-ed25519.pub'],
      ...['ssh-rsa', 'ssh-rsa.pub', 'switchboard.db', 'switchboard.db-shm', 'switchboard.db-wal'],
    ]);
    for (const name of ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa']) {
      assert.match(readFileSync(join(directory, 'keys', `${name}.pub`), 'utf8'), new RegExp(`^${name} `));
    }
    assert.not.ok(existsSync(join(directory, 'state')));
    const { alias, child } = await provide(scope, board, 'alice', [`80:localhost:${await says(scope, 'here')}`]);
    assert.is(await call(scope, board, `${alias}:80`), 'here');
    assert.match(readFileSync(join(directory, 'keys/authorized_keys'), 'utf8'), / alice@127\.0\.0\.1\n/);
    // What it says on a terminal that it may not have.
    assert.match(
      (await ssh(scope, board, 'alice', ['-tt'], { input: '' }).ended).stderr,
      /PTY allocation request failed/,
    );
    await board.child.stop();
    await soon('alice to hear it', child.ended);

    // Nobody new, and still the same alias and keys.
    ini(text => text.replace('allow_new_clients = True', 'allow_new_clients = False'));
    const closed = await start();
    assert.equal(closed.known.map(strip).sort(), board.known.map(strip).sort());
    assert.is((await execute(scope, closed, 'stranger', 'whoami')).code, 255);
    assert.is((await provide(scope, closed, 'alice', ['80:localhost:7'])).alias, alias);
    await closed.child.stop();

    // Anybody, and nobody is noted down.
    ini(text => text.replace('enable_auth = True', 'enable_auth = False'));
    const before = readFileSync(join(directory, 'keys/authorized_keys'), 'utf8');
    const open = await start();
    const anybody = await execute(scope, open, 'anybody', 'whoami --json');
    assert.equal(JSON.parse(anybody.stdout.toString()).rights, ['listen', 'initiate', 'list']);
    assert.is(readFileSync(join(directory, 'keys/authorized_keys'), 'utf8'), before);
  }),
);

const strip = (line: string) => line.split(' ').slice(1).join(' ');

/** As it comes with nuttssh, but for a terminal and a name. */
const NUTTSSH = `[server]
; Change this to only bind to a specific interface (e.g., 127.0.0.1).
listen_host = 0.0.0.0
listen_port = 2222
; Fully qualified domain name of the server.
server_fqdn = board.example
; If auth is disabled, anybody can connect and perform any action,
; INCLUDING listing all listeners. Not recommended for production.
enable_auth = True
; Allow new clients to connect, granting them default permissions
allow_new_clients = True
; Allow clients to allocate a pty. Must be true if using Nuttssh as a jump host (-J).
allow_pty = False
; Enable internal command shell
enable_shell = True

[keys]
; Relative or absolute path of keys directory. Must exist.
host_key_dir = ./keys
; Specify existing key files. Will be created if they don't exist.
host_key_ecdsa = %(host_key_dir)s/ecdsa-sha2-nistp256
host_key_ed25519 = %(host_key_dir)s/ssh-ed25519
host_key_rsa = %(host_key_dir)s/ssh-rsa
; Where to keep track of authorized public keys if auth is enabled.
authorized_keys_file = %(host_key_dir)s/authorized_keys`;

it(
  'a configuration that cannot be: one sentence, exit code 1',
  bounded(180, async scope => {
    const directory = scope.directory();
    const fails = async (text: string | undefined, sentence: RegExp) => {
      const file = join(directory, 'board.ini');
      if (text !== undefined) writeFileSync(file, text);
      const args = ['switchboard', '--data', boardData(scope), '--port', '0', '--config', file];
      const { code, stderr } = await cordboard(scope, args, { input: '' }).ended;
      assert.match(stderr, sentence);
      assert.is(code, 1);
    };
    await fails(undefined, /^cordboard: cannot read \S+board\.ini: there is no such file\n$/);
    await fails('[server\n', /^cordboard: \S+board\.ini: line 1: /);
    await fails('[cordboard]\ndead-after = soon\n', /^cordboard: \S+board\.ini: dead-after = soon: It is not a time/);
    const keys = ['a', 'b', 'c', 'd'].map(name => `${name} = ${join(directory, name)}\n`).join('');
    await fails(`[keys]\n${keys}`, /^cordboard: cannot read the host key \S+\/d: there is no such file\n$/);
  }),
);

it(
  'SIGHUP reads the files again: what may change does, who would not be let in any more goes, what makes no sense changes nothing',
  bounded(180, async scope => {
    const config = join(scope.directory(), 'board.ini');
    writeFileSync(config, '[cordboard]\nmax-lines = 1\nfqdn = one.example\n');
    const { board, file } = await fleet(scope, ['alice', 'bob'].map(keyLine), ['--config', config]);
    const alice = await provide(scope, board, 'alice', [`80:localhost:${await says(scope, 'here')}`]);
    const bob = await provide(scope, board, 'bob', ['81:localhost:7']);
    const two = ['-N', '-R', '82:localhost:7', '-R', '83:localhost:7'];
    const refused = await ssh(scope, board, 'bob', two, { input: '' }).ended;
    assert.match(refused.stderr, /remote port forwarding failed for listen port 83/);

    writeFileSync(config, '[cordboard]\nmax-lines = 2\nfqdn = two.example\nbalance = yes\nlog-level = debug\n');
    writeFileSync(file, `${keyLine('alice')}\n`);
    board.child.signal('SIGHUP');
    await soon('the files to be read', board.child.says(/files have been read again/, 'stderr'), 60);
    assert.match(board.child.stderr, /only a new start takes up what has changed of balance/);
    await soon('bob to be sent away', bob.child.ended, 60);
    assert.match(bob.child.stderr, /your key is not let in any more/);
    assert.not.ok(alice.child.over, alice.child.report);
    const fresh = ssh(scope, board, 'alice', ['-T', '-R', '90:localhost:7', '-R', '91:localhost:7']);
    await fresh.says(/^ {2}ssh -p \d+ -N -L 8090:alice:90 two\.example$/m);
    await fresh.stop();

    writeFileSync(config, '[cordboard]\nmax-lines = many\n');
    board.child.signal('SIGHUP');
    await soon('the refusal', board.child.says(/nothing has changed: \S+board\.ini: max-lines = many/, 'stderr'), 60);
    assert.not.ok(alice.child.over, alice.child.report);
  }),
);

it(
  'SIGTERM drains: who has no circuit goes at once, nobody new comes, circuits end in peace; a second signal ends all',
  bounded(180, async scope => {
    for (const impatient of [false, true]) {
      const board = await switchboard(scope, { args: ['--drain', '10m'] });
      const idle = await provide(scope, board, 'idle', ['80:localhost:7']);
      const alice = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
      const bob = await consume(scope, board, 'bob', [`${alice.alias}:80`]);
      const circuit = await tcpConnect(scope, bob.ports[0]);
      await echoes(circuit, 'before');
      board.child.signal('SIGTERM');
      await soon('the idle one to be let go', idle.child.ended, 60);
      await echoes(circuit, 'still here');
      const late = await tcpConnect(scope, bob.ports[0]);
      assert.is((await readAll(late)).length, 0, 'no new call');
      assert.match((await execute(scope, board, 'bob', 'whoami')).stderr, /Connection refused/);
      if (impatient) board.child.signal('SIGTERM');
      else circuit.end();
      const { code } = await soon('it to end', board.child.ended, 60);
      assert.is(code, impatient ? 1 : 0);
      if (!impatient) assert.match(alice.child.stderr, /the server is shutting down/);
    }
  }),
);

it(
  'a circuit that does not end is cut when the time for draining is over',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--drain', '1s'] });
    const alice = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:80`]);
    await echoes(await tcpConnect(scope, bob.ports[0]), 'before');
    board.child.signal('SIGTERM');
    assert.is((await soon('it to end', board.child.ended, 60)).code, 0);
  }),
);

it(
  'the audit says who, from where, to what, how many bytes and how long; moved away, it goes on in a new file',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'audit');
    const board = await switchboard(scope, { args: ['--audit', file] });
    const echo = await echoServer(scope);
    const alice = await provide(scope, board, 'alice', [`80:localhost:${echo}`]);
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:80`, 'nobody:80']);
    const circuit = await tcpConnect(scope, bob.ports[0]);
    await echoes(circuit, 'twelve bytes');
    circuit.end();
    await readAll(await tcpConnect(scope, bob.ports[1]));
    writeFileSync(join(board.data, 'authorized_keys'), `access="denied" ${keyLine('mallory')}\n`);
    await execute(scope, board, 'mallory', 'whoami');
    await alice.child.stop();
    await eventually('all to be written', () =>
      /"event":"signed-out".*"user":"alice"/.test(readFileSync(file, 'utf8')),
    );
    const records = audit(file);
    const of = (event: string, user: string) => records.find(one => one.event === event && one.user === user)!;
    assert.equal(
      records.filter(({ user }) => user === 'alice').map(({ event }) => event),
      ['enrolled', 'signed-in', 'plugged', 'unplugged', 'signed-out'],
    );
    const { client, port, key, ...plugged } = of('plugged', 'alice');
    assert.match(key as string, /^SHA256:/);
    assert.equal(plugged, {
      ...{ event: 'plugged', address: '127.0.0.1', user: 'alice', alias: alice.alias, line: '80', names: ['alice'] },
    });
    const closed = of('closed', 'bob');
    assert.equal(
      [closed.target, closed.provider, closed.providerAlias, closed.bytesToProvider, closed.bytesToCaller],
      [`${alice.alias}:80`, client, alice.alias, 12, 12],
    );
    assert.type(closed.seconds, 'number');
    assert.type(port, 'number');
    assert.is(of('call-refused', 'bob').target, 'nobody:80');
    renameSync(file, `${file}.1`);
    board.child.signal('SIGHUP');
    await soon('the files to be read', board.child.says(/files have been read again/, 'stderr'), 60);
    await execute(scope, board, 'bob', 'whoami');
    await eventually('the new file to be written', () => existsSync(file) && readFileSync(file, 'utf8').length > 0);
    assert.ok(audit(file).some(({ event, user }) => event === 'signed-in' && user === 'bob'));
  }),
);

it(
  'several workers: kick and ban reach connections of all of them, and so does SIGHUP',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'keys');
    writeFileSync(file, `access="admin" ${keyLine('root')}\n${keyLine('alice')}\n${keyLine('bob')}\n`);
    const board = await switchboard(scope, { args: ['--no-enrol', '--authorized-keys', file, '--workers', '2'] });
    // Connections go to the workers in turn, so these are with both.
    const providers = [];
    for (let i = 0; i < 3; i++) providers.push(await provide(scope, board, 'alice', ['80:localhost:7']));
    const { code, stdout, stderr } = await execute(scope, board, 'root', 'ban alice');
    assert.is(code, 0, stderr);
    assert.match(stdout.toString(), /^Banned SHA256:\S+; 3 connections ended\.\n$/);
    for (const { child } of providers) await soon('alice to be sent away', child.ended, 60);
    assert.is((await execute(scope, board, 'alice', 'whoami')).code, 255);
    const bobs = [];
    for (let i = 0; i < 3; i++) bobs.push(await provide(scope, board, 'bob', ['80:localhost:7']));
    writeFileSync(file, `access="admin" ${keyLine('root')}\n`);
    board.child.signal('SIGHUP');
    for (const { child } of bobs) await soon('bob to be sent away', child.ended, 60);
    board.child.signal('SIGTERM');
    assert.is((await soon('it to end', board.child.ended, 60)).code, 0);
  }),
);

test.run();
