// The switchboard's files: made once, kept, replaced in one step, and named when they cannot be used.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Access } from '../../../src/apps/switchboard/access.ts';
import { tokenFrom } from '../../../src/apps/switchboard/console/sign-ins.ts';
import { readTrusted } from '../../../src/apps/switchboard/files.ts';
import { addFlags } from '../../../src/apps/switchboard/flags.ts';
import { Nodes } from '../../../src/apps/switchboard/nodes.ts';
import { readConfiguration } from '../../../src/apps/switchboard/nuttssh.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import { settingsOf } from '../../../src/apps/switchboard/settings.ts';
import {
  aliasSecret,
  hostKeys,
  hostKeysIn,
  openDirectory,
  replaceFile,
  StateError,
} from '../../../src/apps/switchboard/state.ts';
import { accelerated, formatPublicKey, publicOf } from '../../../src/crypto/index.ts';

const root = mkdtempSync(join(tmpdir(), 'cordboard-state-'));
test.after(() => rmSync(root, { recursive: true }));
const refused = (body: () => void, pattern: RegExp) =>
  assert.throws(body, (error: Error) => error instanceof StateError && pattern.test(error.message));

test('host keys and secret are made on first run, private, and the same afterwards', () => {
  const directory = join(root, 'a', 'b');
  openDirectory(directory);
  const first = hostKeys(directory, accelerated);
  assert.equal(
    first.map(key => key.type),
    ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'],
  );
  const secret = aliasSecret(directory, accelerated);
  assert.is(secret.length, 32);
  assert.is(statSync(directory).mode & 0o777, 0o700);
  for (const name of ['ssh_host_ed25519_key', 'ssh_host_ecdsa_key', 'ssh_host_rsa_key', 'alias_secret']) {
    assert.is(statSync(join(directory, name)).mode & 0o777, 0o600, name);
  }
  // Not the whole keys: one in 256 private numbers begins with a zero byte, which files leave out.
  const blobs = (keys: typeof first) => keys.map(({ blob }) => blob);
  assert.equal(blobs(hostKeys(directory, accelerated)), blobs(first));
  assert.equal(aliasSecret(directory, accelerated), secret);
  assert.not(readdirSync(directory).some(name => name.endsWith('.new')));
});

test('a damaged file is named and left as it is', () => {
  const directory = join(root, 'damaged');
  openDirectory(directory);
  writeFileSync(join(directory, 'ssh_host_ed25519_key'), 'rubbish', { mode: 0o600 });
  refused(() => hostKeys(directory, accelerated), /host key .*ssh_host_ed25519_key cannot be used: /);
  assert.is(readFileSync(join(directory, 'ssh_host_ed25519_key'), 'utf8'), 'rubbish');
  writeFileSync(join(directory, 'alias_secret'), 'short\n', { mode: 0o600 });
  refused(() => aliasSecret(directory, accelerated), /alias_secret does not hold 64 hexadecimal digits/);
});

test('a file that cannot be written leaves nothing behind', () => {
  const target = join(root, 'taken');
  mkdirSync(join(target, 'x'), { recursive: true });
  refused(() => replaceFile(target, 'text'), /cannot write .*taken: /);
  assert.not(readdirSync(root).some(name => name.endsWith('.new')));
  assert.ok(existsSync(join(target, 'x')));
  refused(() => replaceFile(join(root, 'nowhere', 'file'), 'text'), /no such file or directory/);
});

test('a directory that cannot be made', () => {
  refused(
    () => openDirectory(join(root, 'damaged', 'alias_secret', 'x')),
    /cannot use the data directory .*no directory$/,
  );
  refused(() => openDirectory(join(root, 'damaged', 'alias_secret')), /cannot use the data directory .*of that name$/);
  refused(() => openDirectory('/proc/cordboard/x'), /^cannot use the data directory \/proc\/cordboard\/x: /);
});

// StrictModes: what other users of the machine can read, or change

const file = (name: string, mode: number, text = 'x'.repeat(64)) => {
  const path = join(root, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};

test('a secret that others can read is refused, with the file and what to do: host keys, alias secret, token, a configuration with a password', () => {
  const directory = join(root, 'secrets');
  openDirectory(directory);
  hostKeys(directory, accelerated);
  aliasSecret(directory, accelerated);
  const key = join(directory, 'ssh_host_rsa_key');
  const secret = join(directory, 'alias_secret');
  const token = file('token', 0o600);
  const config = file(
    'redis.ini',
    0o600,
    '[cordboard]\ndirectory = redis://:hunter2@db.lan\nadvertise = 192.0.2.1:22\n',
  );
  const plain = file('plain.ini', 0o644, '[cordboard]\ndirectory = redis://db.lan\nadvertise = 192.0.2.1:22\n');
  const settings = (from: string) => {
    const command = addFlags(new Command('switchboard'));
    command.parse(['--config', from], { from: 'user' });
    return settingsOf(command);
  };
  const uses: [string, () => unknown][] = [
    [key, () => hostKeys(directory, accelerated)],
    [key, () => hostKeysIn([key], false, accelerated)],
    [secret, () => aliasSecret(directory, accelerated)],
    [token, () => tokenFrom(token)],
    [config, () => settings(config)],
  ];
  for (const [path, use] of uses) {
    for (const mode of [0o600, 0o400, 0o700]) {
      chmodSync(path, mode);
      use();
    }
    // As sshd has it: of a file of our own not even its group.
    for (const mode of [0o644, 0o604, 0o640, 0o660]) {
      chmodSync(path, mode);
      refused(use, new RegExp(`^${path} is not secret \\(mode 0${mode.toString(8)}\\): chmod 600 ${path}$`));
    }
    chmodSync(path, 0o600);
  }
  assert.is(settings(plain).directory, 'redis://db.lan');
});

test('what decides is refused if everybody can write to it, or to a directory above it; its group is only mentioned', () => {
  const directory = join(root, 'trusted', 'inner');
  openDirectory(directory);
  const doubts: string[] = [];
  const path = join(directory, 'keys');
  const use = () => readTrusted(path, doubt => void doubts.push(doubt));
  assert.is(use(), undefined, 'one that is not there');
  writeFileSync(path, 'text');
  for (const mode of [0o600, 0o644, 0o444]) {
    chmodSync(path, mode);
    assert.is(use(), 'text');
  }
  assert.equal(doubts, []);
  chmodSync(path, 0o664);
  assert.is(use(), 'text');
  assert.equal(doubts, [`its group can write to ${path} (mode 0664): chmod g-w ${path}`]);
  chmodSync(path, 0o666);
  refused(use, new RegExp(`^every user can write to ${path} \\(mode 0666\\): chmod o-w ${path}$`));
  chmodSync(path, 0o644);
  for (const above of [directory, join(root, 'trusted')]) {
    chmodSync(above, 0o777);
    refused(use, new RegExp(`^every user can write to the directory ${above} \\(mode 0777\\): chmod o-w ${above}$`));
    refused(() => openDirectory(directory), /every user can write to the directory/);
    // Nobody else's file can be replaced there.
    chmodSync(above, 0o1777);
    assert.is(use(), 'text');
    if (above === directory) refused(() => openDirectory(directory), /every user can write/);
    else openDirectory(directory);
    chmodSync(above, 0o755);
  }
  if (process.geteuid?.() === 0) {
    chownSync(path, 65534, 65534);
    assert.is(use(), 'text');
    assert.match(doubts.at(-1)!, /belongs to another user \(uid 65534\), who can change it$/);
    chmodSync(directory, 0o1777);
    refused(use, /keys belongs to another user \(uid 65534\), in .*inner, to which every user can write$/);
    chmodSync(directory, 0o755);
    chownSync(path, 0, 0);
  }
  // By a link, what counts is where it leads.
  const link = join(root, 'link');
  symlinkSync(path, link);
  assert.is(readTrusted(link), 'text');
  chmodSync(directory, 0o777);
  refused(() => readTrusted(link), /every user can write to the directory/);
  chmodSync(directory, 0o755);
});

test('the files that decide are read so: keys that may sign in, keys of nodes, the configuration, the database', async () => {
  const messages: string[] = [];
  const note = (_fields: object, message: string) => messages.push(message);
  const log = { debug: note, info: note, warn: note, error: note };
  const key = accelerated.signatures[0].generate(accelerated.random, 'test');
  const keys = file('keys', 0o644, `${formatPublicKey(publicOf(key))}\n`);
  const access = new Access({ file: keys, enrol: true, provider: accelerated, log });
  const visitor = { key: key.blob, user: 'alice', address: '192.0.2.7' };
  assert.ok(access.acceptable(visitor));
  chmodSync(keys, 0o646);
  assert.not(access.acceptable(visitor), 'it is noticed while it runs');
  assert.match(messages.at(-1)!, /^nobody can sign in: every user can write to .*keys \(mode 0646\): chmod o-w/);
  refused(() => new Access({ file: keys, enrol: true, provider: accelerated, log }), /every user can write/);
  chmodSync(keys, 0o644);
  assert.ok(access.acceptable(visitor));

  const nodes = new Nodes({ provider: accelerated, hostKeys: [], file: keys, times: {}, log });
  const node = { user: 'cordboard-node', key: key.blob, algorithm: key.type };
  assert.ok(nodes.isNode(node));
  chmodSync(keys, 0o646);
  assert.not(nodes.isNode(node));
  assert.match(messages.at(-1)!, /^other nodes are not known: every user can write/);

  const config = file('open.ini', 0o646, '[cordboard]\n');
  refused(() => readConfiguration(config), /every user can write to .*open.ini/);
  const database = file('open.db', 0o646, '');
  const error = await Registry.open(database).then(
    () => undefined,
    (reason: unknown) => reason as Error,
  );
  assert.instance(error, StateError);
  assert.match(error!.message, /every user can write to .*open.db/);
});

test.run();
