// The switchboard's files: made once, kept, replaced in one step, and named when they cannot be used.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { aliasSecret, hostKeys, openDirectory, replaceFile, StateError } from '../../../src/apps/switchboard/state.ts';
import { accelerated } from '../../../src/crypto/index.ts';

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
  writeFileSync(join(directory, 'ssh_host_ed25519_key'), 'rubbish');
  refused(() => hostKeys(directory, accelerated), /host key .*ssh_host_ed25519_key cannot be used: /);
  assert.is(readFileSync(join(directory, 'ssh_host_ed25519_key'), 'utf8'), 'rubbish');
  writeFileSync(join(directory, 'alias_secret'), 'short\n');
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

test.run();
