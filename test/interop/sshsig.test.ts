// SSHSIG between ssh-keygen -Y and us, in both directions: every key type and hash, certificates, allowed signers.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  certifiedKey,
  checkSigner,
  findPrincipals,
  parseAllowedSigners,
  parseCertificateLine,
  parsePrivateKey,
  parseSignature,
  signMessage,
  verifySignature,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { keyFile, readKey } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh-keygen');

const MESSAGE = 'the message\n';
const bytes = new TextEncoder().encode(MESSAGE);
const publicLine = (file: string) => readFileSync(`${file}.pub`, 'utf8').trim();

/** Runs ssh-keygen -Y; its output, or undefined if it does not agree. */
async function keygenY(scope: Scope, ...args: string[]): Promise<string | undefined> {
  const { code, stdout } = await scope.run('ssh-keygen', ['-Y', ...args], { input: MESSAGE });
  return code === 0 ? stdout.toString() : undefined;
}

/** Writes a file in a directory of its own. */
function file(scope: Scope, text: string): string {
  const path = join(scope.directory(), 'file');
  writeFileSync(path, text);
  return path;
}

for (const type of ['ed25519', 'ecdsa', 'rsa'] as const)
  for (const hash of ['sha256', 'sha512'] as const)
    it(
      `${type} with ${hash}: ours is verified by ssh-keygen, its by us`,
      bounded(180, async scope => {
        const path = keyFile('alice', type);
        const signers = file(scope, `alice@example.org,bob ${publicLine(path)}\n`);
        const ours = file(scope, signMessage(readKey('alice', type), bytes, { namespace: 'file', hash }, noble));
        const verify = (principal: string, namespace: string) =>
          keygenY(scope, 'verify', '-f', signers, '-I', principal, '-n', namespace, '-s', ours);
        assert.match(String(await verify('alice@example.org', 'file')), /Good "file" signature for alice@example.org/);
        assert.is(await verify('alice@example.org', 'other'), undefined);
        assert.is(await verify('carol', 'file'), undefined);
        assert.match(
          String(await keygenY(scope, 'check-novalidate', '-n', 'file', '-s', ours)),
          /Good "file" signature/,
        );
        assert.is(await keygenY(scope, 'find-principals', '-f', signers, '-s', ours), 'alice@example.org\nbob\n');

        const theirs = await keygenY(scope, 'sign', '-f', path, '-n', 'file', '-O', `hashalg=${hash}`);
        const signature = parseSignature(theirs ?? '');
        assert.is(signature.hash, hash);
        assert.is(verifySignature(signature, bytes, 'file', noble), undefined);
        // A digest of what is too large for memory does as well.
        const digest = (name: string) => new Uint8Array(createHash(name).update(MESSAGE).digest());
        assert.is(verifySignature(signature, digest, 'file', noble), undefined);
        assert.match(String(verifySignature(signature, bytes.subarray(1), 'file', noble)), /wrong/);
        assert.match(String(verifySignature(signature, bytes, 'git', noble)), /is for "file", not for "git"/);
        const { entries, problems } = parseAllowedSigners(readFileSync(signers, 'utf8'));
        assert.equal(problems, []);
        const policy = { now: Date.now(), provider: noble };
        assert.is(checkSigner(entries, 'alice@example.org', signature, policy), undefined);
        assert.match(String(checkSigner(entries, 'carol', signature, policy)), /no line allows carol/);
        assert.equal(findPrincipals(entries, signature, policy), ['alice@example.org', 'bob']);
      }),
    );

it(
  'RSA signs with rsa-sha2-512',
  bounded(180, async () => {
    const { signature } = parseSignature(signMessage(readKey('alice', 'rsa'), bytes, { namespace: 'n' }, noble));
    assert.is(new TextDecoder().decode(signature.subarray(4, 16)), 'rsa-sha2-512');
  }),
);

it(
  'a line of allowed signers lets the same signatures pass here as there: patterns, namespaces, times',
  bounded(180, async scope => {
    const path = keyFile('alice');
    const key = publicLine(path);
    const signature = signMessage(readKey('alice'), bytes, { namespace: 'git', hash: 'sha512' }, noble);
    const signed = file(scope, signature);
    const cases: [string, string, boolean][] = [
      ['*@example.org', 'alice@example.org', true],
      ['*@example.org', 'alice@example.com', false],
      ['*@example.org,!alice@*', 'alice@example.org', false],
      ['ALICE', 'alice', false],
      ['"alice"', 'alice', true],
      ['alice namespaces="file,git"', 'alice', true],
      ['alice namespaces="file"', 'alice', false],
      ['alice namespaces="g*,!git"', 'alice', false],
      ['alice valid-after="20200101",valid-before="20991231"', 'alice', true],
      ['alice valid-after="20990101Z"', 'alice', false],
      ['alice valid-before="20200101000000Z"', 'alice', false],
      ['alice NAMESPACES="git"', 'alice', true],
      ['alice cert-authority', 'alice', false],
      ['alice no-such-option', 'alice', false],
      ['alice valid-before="soon"', 'alice', false],
    ];
    for (const [line, principal, good] of cases) {
      const text = `# signers\n\n${line} ${key} a comment\n`;
      const signers = file(scope, text);
      const theirs = await keygenY(scope, 'verify', '-f', signers, '-I', principal, '-n', 'git', '-s', signed);
      assert.is(theirs !== undefined, good, `ssh-keygen: ${line}`);
      const { entries } = parseAllowedSigners(text);
      const ours = checkSigner(entries, principal, parseSignature(signature), { now: Date.now(), provider: noble });
      assert.is(ours === undefined, good, `${line}: ${ours}`);
    }
  }),
);

it(
  'certificates: signed with one, allowed by its authority for the names that both have',
  bounded(180, async scope => {
    const path = join(scope.directory(), 'key');
    await scope.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path]);
    await scope.run('ssh-keygen', ['-q', '-s', keyFile('ca'), '-I', 'id', '-n', 'alice@a,bob@b', `${path}.pub`]);
    const certificate = parseCertificateLine(readFileSync(`${path}-cert.pub`, 'utf8'));
    const key = certifiedKey(parsePrivateKey(readFileSync(path, 'utf8')), certificate);
    const ours = file(scope, signMessage(key, bytes, { namespace: 'file' }, noble));
    const theirs = await keygenY(scope, 'sign', '-f', `${path}-cert.pub`, '-n', 'file');
    const signers = file(scope, `*@a cert-authority ${publicLine(keyFile('ca'))}\n`);
    const { entries } = parseAllowedSigners(readFileSync(signers, 'utf8'));
    const policy = { now: Date.now(), provider: noble };
    for (const text of [readFileSync(ours, 'utf8'), theirs ?? '']) {
      const signature = parseSignature(text);
      assert.equal(signature.key, certificate.blob);
      assert.is(verifySignature(signature, bytes, 'file', noble), undefined);
      assert.is(checkSigner(entries, 'alice@a', signature, policy), undefined);
      assert.match(String(checkSigner(entries, 'bob@b', signature, policy)), /no line allows/);
      assert.match(String(checkSigner(entries, 'carol@a', signature, policy)), /is not for "carol@a"/);
      assert.equal(findPrincipals(entries, signature, policy), ['alice@a']);
      const later = { ...policy, now: 8e15 };
      assert.is(checkSigner(entries, 'alice@a', signature, later), undefined);
    }
    const verify = (principal: string) =>
      keygenY(scope, 'verify', '-f', signers, '-I', principal, '-n', 'file', '-s', ours);
    assert.match(String(await verify('alice@a')), /Good "file" signature/);
    assert.is(await verify('bob@b'), undefined);
    assert.is(await verify('carol@a'), undefined);
    assert.is(await keygenY(scope, 'find-principals', '-f', signers, '-s', ours), 'alice@a\n');
  }),
);

test.run();
