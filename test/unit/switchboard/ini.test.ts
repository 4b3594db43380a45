// The configuration file: configparser's rules, nuttssh's keys, and ours.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addFlags } from '../../../src/apps/switchboard/flags.ts';
import { parseBoolean, parseIni } from '../../../src/apps/switchboard/ini.ts';
import { changedForGood, type Started, settingsOf } from '../../../src/apps/switchboard/settings.ts';
import { StateError } from '../../../src/apps/switchboard/state.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-ini-'));
test.after(() => rmSync(directory, { recursive: true }));

const plain = (text: string) =>
  Object.fromEntries([...parseIni(text)].map(([name, all]) => [name, Object.fromEntries(all)]));

test('sections, comments, both delimiters, continued values, names without regard to case', () => {
  const text = `; a comment
[server]
Listen_Host = 0.0.0.0
 # another one
listen_port: 2222
empty =
long = one
   two
; between
   three
[other]
a = b = c ; not a comment
`;
  assert.equal(plain(text), {
    server: { listen_host: '0.0.0.0', listen_port: '2222', empty: '', long: 'one\ntwo\nthree' },
    other: { a: 'b = c ; not a comment' },
  });
});

test('values refer to others of the section, or of DEFAULT', () => {
  const text = '[DEFAULT]\nroot = /var\n[keys]\ndir = %(root)s/keys\nfile = %(DIR)s/a%%b\n';
  assert.equal(plain(text), { keys: { root: '/var', dir: '/var/keys', file: '/var/keys/a%b' } });
});

test('what makes no sense is named', () => {
  for (const [text, sentence] of [
    ['a = b\n', /^line 1: .*belongs to no \[section\]/],
    ['[a]\nnonsense\n', /^line 2: there is neither/],
    ['[a]\nb = 1\nB = 2\n', /^line 3: b has a value already/],
    ['[a]\n[a]\n', /^line 2: there is a section \[a\] already/],
    ['[a]\nb = %(c)s\n', /^in the value of b, %\(c\)s names nothing/],
    ['[a]\nb = 50%\n', /^in the value of b, "%" is neither/],
    ['[a]\nb = %(c)s\nc = %(b)s\n', /leads in a circle/],
  ] as const) {
    assert.throws(
      () => parseIni(text),
      (error: Error) => error instanceof StateError && sentence.test(error.message),
      text,
    );
  }
});

test('yes and no, as configparser has them', () => {
  for (const yes of ['1', 'yes', 'True', 'ON']) assert.is(parseBoolean(yes), true);
  for (const no of ['0', 'no', 'False', 'off']) assert.is(parseBoolean(no), false);
  assert.throws(() => parseBoolean('maybe'), /neither yes nor no/);
});

// Settings

let files = 0;
function file(text: string): string {
  const path = join(directory, `${files++}.ini`);
  writeFileSync(path, text);
  return path;
}

/** What a command line comes to, with these variables. */
function settings(args: readonly string[], env: Readonly<Record<string, string>> = {}, started?: Started) {
  const command = addFlags(new Command('switchboard'))
    .exitOverride()
    .configureOutput({ writeErr() {} });
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    command.parse([...args], { from: 'user' });
    return settingsOf(command, started);
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

const NUTTSSH = `[server]
; Change this to only bind to a specific interface (e.g., 127.0.0.1).
listen_host = 0.0.0.0
listen_port = 2223
server_fqdn = board.example
enable_auth = True
allow_new_clients = True
allow_pty = False
enable_shell = False

[keys]
host_key_dir = ./keys
host_key_ecdsa = %(host_key_dir)s/ecdsa-sha2-nistp256
host_key_ed25519 = %(host_key_dir)s/ssh-ed25519
authorized_keys_file = %(host_key_dir)s/authorized_keys`;

test('nuttssh.ini as it is', () => {
  const { host, port, shownHost, enrol, anyKey, pty, shell, data, hostKeys, authorizedKeys, publicNames } = settings(
    [],
    {
      NUTTSSH_CONFIG_FILE: file(NUTTSSH),
    },
  );
  assert.equal(
    { host, port, shownHost, enrol, anyKey, pty, shell, data, hostKeys, authorizedKeys, publicNames },
    {
      ...{
        host: '0.0.0.0',
        port: 2223,
        shownHost: 'board.example',
        enrol: true,
        anyKey: false,
        pty: false,
        shell: false,
      },
      ...{ data: './keys', authorizedKeys: './keys/authorized_keys', publicNames: false },
      hostKeys: { files: ['./keys/ecdsa-sha2-nistp256', './keys/ssh-ed25519'], made: true },
    },
  );
});

test('without authentication any key is let in; without new clients names are public', () => {
  const open = settings(['--config', file('[server]\nenable_auth = no\n')]);
  assert.ok(open.anyKey);
  const closed = settings(['--config', file('[server]\nallow_new_clients = no\n')]);
  assert.not(closed.enrol);
  assert.ok(closed.publicNames);
});

test('flags before the environment, that before the file, that before what follows from the rest', () => {
  const config = file('[server]\nlisten_port = 1\n[cordboard]\ndead-after = 30\nbalance = yes\nmax-rate = 2M\n');
  const from = (args: string[], env = {}) => settings(['--config', config, ...args], env);
  assert.is(from([]).port, 1);
  assert.is(from([], { CORDBOARD_PORT: '2' }).port, 2);
  assert.is(from(['--port', '3'], { CORDBOARD_PORT: '2' }).port, 3);
  assert.is(from([]).deadAfter, 30);
  assert.is(from(['--dead-after', '1m']).deadAfter, 60);
  assert.is(from([]).balance, true);
  assert.is(from([], { CORDBOARD_BALANCE: 'no' }).balance, false);
  assert.is(from([]).quotas.rate, 2 * 1024 * 1024);
  assert.is(settings([]).deadAfter, 15);
  assert.is(settings([], { CORDBOARD_PTY: 'no' }).pty, false);
  assert.is(settings([], { CORDBOARD_ENROL: 'no' }).enrol, false);
  assert.is(settings(['--no-enrol'], { CORDBOARD_ENROL: 'yes' }).enrol, false);
  assert.is(settings(['--host', '0.0.0.0']).enrol, false);
  assert.ok(settings(['--host', '0.0.0.0', '--any-key']).anyKey);
  assert.not(settings(['--host', '0.0.0.0', '--any-key']).publicNames);
});

test('how many may wait before sign-in, and how long: by flag, variable and file', () => {
  const config = file('[cordboard]\nlogin-grace = 1m\nmax-startups = 5:50:20\n');
  const waiting = (args: string[], env = {}) => {
    const { loginGrace, maxStartups } = settings(args, env);
    return [loginGrace, ...Object.values(maxStartups)];
  };
  assert.equal(waiting([]), [120, 10, 30, 100]);
  assert.equal(waiting(['--config', config]), [60, 5, 50, 20]);
  assert.equal(waiting(['--config', config], { CORDBOARD_LOGIN_GRACE: '30s' }), [30, 5, 50, 20]);
  assert.equal(waiting(['--config', config, '--login-grace', '0', '--max-startups', '7']), [0, 7, 100, 7]);
  for (const text of ['', '0', 'x', '10:30', '20:30:10', '10:0:20', '10:101:20', '1:2:3:4', '10:30:', '-1:30:10']) {
    assert.throws(
      () => settings(['--max-startups', text]),
      (error: Error) => error instanceof CommanderError && /BEGIN:RATE:FULL|It is not a number/.test(error.message),
      text,
    );
  }
});

test('a file that makes no sense is refused in one sentence', () => {
  for (const [text, sentence] of [
    ['[cordboard]\nprot = 1\n', /there is no --prot/],
    ['[server]\nlisten_hots = x\n', /\[server\] has no listen_hots/],
    ['[server]\nlisten_port = many\n', /port = many: It is not a port number/],
    ['[cordboard]\nlog-level = loud\n', /log-level = loud: it is not one of silent/],
    ['[cordboard]\nbalance = perhaps\n', /balance = perhaps: "perhaps" is neither yes nor no/],
    ['[cordboard]\nconfig = other\n', /there is no --config/],
  ] as const) {
    assert.throws(
      () => settings(['--config', file(text)]),
      (error: Error) => error instanceof StateError && sentence.test(error.message),
      text,
    );
  }
  assert.throws(
    () => settings(['--config', join(directory, 'missing')]),
    (error: Error) => error instanceof StateError && /there is no such file/.test(error.message),
  );
  assert.throws(
    () => settings([], { CORDBOARD_BALANCE: 'perhaps' }),
    (error: Error) => error instanceof CommanderError && /CORDBOARD_BALANCE/.test(error.message),
  );
});

test('times that no timer can wait, and leases that would never stop beating, are refused', () => {
  assert.is(settings(['--lease', '2s']).lease, 2);
  assert.is(settings(['--drain', '24d', '--client-idle', '0']).drain, 24 * 86_400);
  for (const [flag, value] of [
    ...['0', '0s', '2d', '99999999w', 'x'].map(value => ['--lease', value]),
    ...['--drain', '--dead-after', '--circuit-idle', '--client-idle'].map(flag => [flag, '999999999w']),
    ['--drain', '25d'],
  ]) {
    assert.throws(
      () => settings([flag, value]),
      (error: Error) => error instanceof CommanderError,
      `${flag} ${value}`,
    );
  }
});

test('whether keys are enrolled, and what is said of this server, follows from the addresses that are really listened on', () => {
  const started = (listened: string[], args: string[] = [], anyKey = false) => settings(args, {}, { listened, anyKey });
  for (const [listened, enrol, shown] of [
    [['127.0.0.1'], true, '127.0.0.1'],
    [['::1', '127.9.9.9'], true, '::1'],
    [['::'], false, 'localhost'],
    [['0.0.0.0'], false, 'localhost'],
    [['127.0.0.1', '::'], false, '127.0.0.1'],
    [['192.0.2.1'], false, '192.0.2.1'],
    [[''], false, 'localhost'],
  ] as const) {
    const found = started([...listened]);
    // Whatever --host says: the default of that is a loopback address.
    assert.equal([found.enrol, found.publicNames, found.shownHost], [enrol, !enrol, shown], listened.join());
    assert.is(started([...listened], ['--enrol']).enrol, true);
    assert.is(started([...listened], ['--no-enrol']).publicNames, true);
    assert.is(started([...listened], ['--no-enrol'], true).publicNames, false, 'any key is let in until a new start');
  }
  const directory = ['--directory', 'redis://127.0.0.1'];
  for (const wildcard of ['0.0.0.0', '::', '::0', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0', '']) {
    assert.throws(
      () => started([wildcard], directory),
      (error: Error) => error instanceof StateError && /--directory needs --advertise/.test(error.message),
      wildcard,
    );
    assert.is(started([wildcard], [...directory, '--advertise', '192.0.2.1:22']).advertise?.host, '192.0.2.1');
  }
  assert.is(started(['192.0.2.1'], directory).advertise, undefined);
});

test('what follows from a setting that a reload takes up is taken up with it', () => {
  const closed = settings(['--no-enrol']);
  const open = settings(['--enrol']);
  assert.not.equal(closed.publicNames, open.publicNames);
  assert.equal(changedForGood(closed, open), []);
});

test('what a running process does not take up is told from what it does', () => {
  const one = settings([]);
  assert.equal(changedForGood(one, settings(['--log-level', 'debug', '--max-lines', '3', '--fqdn', 'x'])), []);
  assert.equal(changedForGood(one, settings(['--port', '3', '--balance'])), ['port', 'balance']);
});

test.run();
