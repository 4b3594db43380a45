// Known hosts for `dial`: what is accepted, what is remembered and how, and messages that name file and line.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addKnownHost, type KnownHostsOptions, knownHosts, type NewHost } from '../../../src/client/index.ts';
import { fingerprint, formatKnownHost, publicOf } from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { Disconnect, KeyFormatError, ProtocolError } from '../../../src/protocol/errors.ts';

const [key, other] = [1, 2].map(() => publicOf(byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random)));
const ecdsa = publicOf(byName(noble.signatures, 'ecdsa-sha2-nistp256')!.generate(noble.random));
const host = { host: 'h', port: 2222 };

/** A test with a directory of its own. */
const it = (name: string, body: (file: string) => Promise<void>) =>
  test(name, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'known-'));
    try {
      await body(join(directory, 'known_hosts'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

const ask = (options: KnownHostsOptions, blob = key.blob) =>
  knownHosts({ provider: noble, ...options })(blob, '', host);

/** Asserts that the key is refused with a message that matches. */
async function refused(options: KnownHostsOptions, message: RegExp, blob = key.blob): Promise<void> {
  try {
    await ask(options, blob);
  } catch (error) {
    assert.instance(error, ProtocolError, (error as Error).stack);
    assert.is((error as ProtocolError).reason, Disconnect.HOST_KEY_NOT_VERIFIABLE);
    assert.match((error as Error).message, message);
    assert.not.match((error as Error).message, /undefined|\n|\.$/);
    return;
  }
  assert.unreachable('accepted');
}

it('a known key is accepted, from any of the files; a file that is not there holds none', async file => {
  writeFileSync(file, `${formatKnownHost('[h]:2222', key)}\n`);
  assert.is(await ask({ files: [file] }), true);
  assert.is(await ask({ files: [`${file}.none`, file] }), true);
  await refused(
    { files: [`${file}.none`] },
    /^the key of host \[h\]:2222, ED25519 SHA256:\S+, is not known: no line of /,
  );
  await refused({ files: [] }, /no known_hosts file/);
});

it('a changed key names file, line, both keys and the way out, and is refused however lax the policy', async file => {
  writeFileSync(file, `# hosts\n${formatKnownHost('[h]:2222', ecdsa)}\n${formatKnownHost('[h]:2222', other)}\n`);
  const sentence = new RegExp(
    `ED25519 ${fingerprint(key.blob).replace(/[+/]/g, '\\$&')}, is not the one in ${file}:3, ED25519 ${fingerprint(other.blob).replace(/[+/]/g, '\\$&')}:.*ssh-keygen -R '\\[h\\]:2222' -f ${file}$`,
  );
  for (const strict of [true, 'accept-new', () => true] as const) await refused({ files: [file], strict }, sentence);
  assert.is(readFileSync(file, 'utf8').split('\n').length, 4);
});

it('a revoked key names its line, and is refused however lax the policy', async file => {
  writeFileSync(file, `${formatKnownHost('[h]:2222', key)}\n${formatKnownHost('*', key, { marker: 'revoked' })}\n`);
  for (const strict of [true, 'accept-new', () => true] as const)
    await refused({ files: [file], strict }, new RegExp(`is marked as revoked in ${file}:2$`));
});

it('accept-new remembers, in the first file, and sees a change from then on', async file => {
  const options = { files: [file, `${file}2`], strict: 'accept-new' } as const;
  assert.is(await ask(options), true);
  assert.is(readFileSync(file, 'utf8'), `${formatKnownHost('[h]:2222', { ...key, comment: '' })}\n`);
  assert.is(statSync(file).mode & 0o777, 0o600);
  assert.not(existsSync(`${file}2`));
  assert.is(await ask(options), true);
  assert.is(readFileSync(file, 'utf8').split('\n').length, 2);
  await refused(options, /is not the one in/, other.blob);
});

it('hash hides the name', async file => {
  assert.is(await ask({ files: [file], strict: 'accept-new', hash: true }), true);
  assert.match(readFileSync(file, 'utf8'), /^\|1\|/);
  assert.is(await ask({ files: [file] }), true);
});

it('a function decides, and what it accepts is remembered', async file => {
  const questions: NewHost[] = [];
  const strict = (answer: boolean) => (question: NewHost) => {
    questions.push(question);
    return Promise.resolve(answer);
  };
  await refused({ files: [file], strict: strict(false) }, /is not known/);
  assert.not(existsSync(file));
  assert.is(await ask({ files: [file], strict: strict(true) }), true);
  assert.is(await ask({ files: [file], strict: strict(false) }), true);
  assert.is(questions.length, 2);
  assert.equal(questions[1], { ...host, key: { ...key, comment: '' }, fingerprint: fingerprint(key.blob) });
});

it('a last line without its end is not swallowed, and several additions at once all arrive', async file => {
  writeFileSync(file, formatKnownHost('first', other));
  await addKnownHost(file, host, key);
  await Promise.all(Array.from({ length: 20 }, (_, i) => addKnownHost(file, { host: `n${i}` }, key)));
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  assert.is(lines[0], formatKnownHost('first', other));
  assert.is(lines.length, 22);
  assert.is(new Set(lines).size, 22);
});

it('a directory that is not there is made; a file that cannot be read is an error and no empty one', async file => {
  await addKnownHost(join(file, 'deep', 'known_hosts'), host, key);
  assert.is(await ask({ files: [join(file, 'deep', 'known_hosts')] }), true);
  try {
    await ask({ files: [file] });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code?: string }).code, 'EISDIR');
  }
});

it('lines that are not understood are told, with their place, and skipped', async file => {
  writeFileSync(file, `nonsense\n${formatKnownHost('[h]:2222', key)}\n`);
  const problems: string[] = [];
  assert.is(await ask({ files: [file], problem: message => problems.push(message) }), true);
  assert.equal(problems, [`${file}:1: the line holds no key after "nonsense"`]);
});

it('a file that is too large is an error, and no empty one: a changed key would be a new one', async file => {
  const changed = `${formatKnownHost('[h]:2222', other)}\n`;
  const size = 8 * 1024 * 1024;
  for (const filler of ['#', '# é']) {
    // Both before and behind what would be read of it; and less than that in characters.
    const comment = `${filler.repeat(size / Buffer.byteLength(filler))}\n`;
    for (const content of [`${changed}${comment}`, `${comment}${changed}`]) {
      writeFileSync(file, content);
      for (const strict of [true, 'accept-new', () => true] as const) {
        const said = await Promise.resolve(ask({ files: [file], strict })).catch((error: Error) => error);
        assert.instance(said, KeyFormatError);
        assert.is((said as Error).message, `${file} is larger than ${size} bytes`);
      }
      assert.is(readFileSync(file, 'utf8'), content);
    }
  }
  writeFileSync(file, `${'#'.repeat(size - changed.length - 1)}\n${changed}`);
  await refused({ files: [file], strict: 'accept-new' }, /is not the one in/);
});

it('a file that is a pipe is read to its end', async file => {
  execFileSync('mkfifo', [file]);
  const writing = writeFile(file, `${formatKnownHost('[h]:2222', key)}\n`);
  assert.is(await ask({ files: [file] }), true);
  await writing;
});

it('the algorithms of known keys are asked for first', async file => {
  writeFileSync(file, `${formatKnownHost('[h]:2222', ecdsa)}\n`);
  assert.is((await knownHosts({ files: [file] }).prefer?.(noble.signatures, host))?.[0], 'ecdsa-sha2-nistp256');
});

test.run();
