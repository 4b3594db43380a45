// Every key exchange, and ECDSA keys on the larger curves, with the real ssh and sshd in both roles and with both providers.
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { formatPrivateKey, formatPublicKey, publicOf } from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { byName, type CryptoProvider } from '../../src/crypto/provider.ts';
import { equalBytes } from '../../src/protocol/wire/reader.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { anyKey, hostKeys, type KeyType, keyFile, only, readKey, type Sshd, serve, ssh, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'ssh-keygen');
const names = noble.kex.map(({ name }) => name);
/** More than what passes between two exchanges below. */
const input = Buffer.alloc(1_500_000, 'once more, ');

let noted = false;

/** Those of ours that the installed OpenSSH has; which it has not is said once. */
async function common(scope: Scope): Promise<string[]> {
  const theirs = (await scope.run('ssh', ['-Q', 'kex'])).stdout.toString().split('\n');
  const missing = names.filter(name => !theirs.includes(name));
  if (missing.length > 0 && !noted) console.log(`note: this OpenSSH has no ${missing.join(', ')}`);
  noted = true;
  return names.filter(name => theirs.includes(name));
}

async function login(
  scope: Scope,
  { host, port, user }: Sshd,
  provider: CryptoProvider,
  hostKey: KeyType,
  keyType: KeyType = 'ed25519',
  rekeyBytes?: number,
) {
  const expected = readKey('sshd', hostKey).blob;
  const client = await dial({
    host,
    port,
    user,
    provider,
    rekeyBytes,
    credentials: [{ method: 'publickey', key: readKey('alice', keyType) }],
    hostKey: blob => equalBytes(blob, expected),
  });
  scope.defer(() => client.close());
  return client;
}

for (const provider of [accelerated, noble]) {
  it(
    `ssh agrees on each key exchange with our server, again and again (${provider.name})`,
    bounded(240, async scope => {
      const server = await serve(scope, { provider, authenticators: [anyKey()] });
      for (const kex of await common(scope)) {
        const args = ['-v', '-o', `KexAlgorithms=${kex}`, '-o', 'RekeyLimit=512K', '--', 'cat'];
        const { code, stdout, stderr } = await ssh(scope, server, 'alice', args, { input }).ended;
        assert.is(code, 0, stderr);
        assert.ok(stdout.equals(input), kex);
        assert.ok(stderr.includes(`kex: algorithm: ${kex}\r\n`), stderr);
        assert.ok([...stderr.matchAll(/SSH2_MSG_NEWKEYS received/g)].length > 2, `${kex}: ${stderr}`);
      }
    }),
  );

  it(
    `our client agrees on each key exchange with sshd, again and again (${provider.name})`,
    bounded(240, async scope => {
      const kexes = await common(scope);
      const server = await sshd(scope, [{ owner: 'alice' }], [`KexAlgorithms ${kexes.join(',')}`]);
      for (const kex of kexes) {
        const narrowed = only(provider, { kex, signatures: ['ssh-ed25519'] });
        const client = await login(scope, server, narrowed, 'ed25519', 'ed25519', 500_000);
        assert.is(client.connection.transport.negotiated!.kex, kex);
        const { stdout, status } = await client.exec('cat', { stdin: input });
        assert.is(status, 0);
        assert.ok(Buffer.compare(stdout, input) === 0, kex);
        assert.ok(client.connection.transport.exchanges > 2, kex);
        await client.close();
      }
    }),
  );

  it(
    `ECDSA keys on P-384 and P-521 are host and user keys in both roles (${provider.name})`,
    bounded(120, async scope => {
      const types = ['ecdsa384', 'ecdsa521'] as const;
      const directory = scope.directory();
      const config = types.map(type => {
        const file = join(directory, type);
        copyFileSync(keyFile('sshd', type), file);
        chmodSync(file, 0o600);
        return `HostKey ${file}`;
      });
      const theirs = await sshd(
        scope,
        types.map(type => ({ owner: 'alice', type })),
        config,
      );
      for (const type of types) {
        const algorithm = `ecdsa-sha2-nistp${type.slice('ecdsa'.length)}`;

        const ours = await serve(scope, { provider, authenticators: [anyKey()], hostKeys: hostKeys(type) });
        const args = ['-v', '-o', `PubkeyAcceptedAlgorithms=${algorithm}`, '--', 'echo in'];
        const { stdout, stderr } = await ssh(scope, ours, 'alice', args, { input: '', keyType: type }).ended;
        assert.is(stdout.toString(), 'in\n', stderr);
        assert.ok(stderr.includes(`kex: host key algorithm: ${algorithm}\r\n`), stderr);

        const client = await login(scope, theirs, only(provider, { signatures: [algorithm] }), type, type);
        assert.is(client.connection.transport.negotiated!.hostKey, algorithm);
        assert.is((await client.exec('exit 3')).status, 3);
        await client.close();
      }
    }),
  );

  it(
    `ssh-keygen reads the ECDSA keys that we generate (${provider.name})`,
    bounded(60, async scope => {
      for (const bits of [256, 384, 521]) {
        const made = byName(provider.signatures, `ecdsa-sha2-nistp${bits}`)!.generate(provider.random, 'made here');
        const file = join(scope.directory(), 'key');
        writeFileSync(file, formatPrivateKey(made, {}, provider.random), { mode: 0o600 });
        const { stdout, stderr } = await scope.run('ssh-keygen', ['-y', '-f', file]);
        assert.is(stdout.toString().trim(), formatPublicKey(publicOf(made)), stderr);
        const listed = await scope.run('ssh-keygen', ['-l', '-f', file]);
        assert.match(listed.stdout.toString(), new RegExp(`^${bits} .* \\(ECDSA\\)\\n$`));
      }
    }),
  );
}

it(
  'ECDSA keys of ssh-keygen are read as they are written',
  bounded(60, async () => {
    for (const type of ['ecdsa', 'ecdsa384', 'ecdsa521'] as const) {
      const line = readFileSync(`${keyFile('alice', type)}.pub`, 'utf8').trim();
      assert.is(formatPublicKey(publicOf(readKey('alice', type))), line);
    }
  }),
);

it(
  'left to themselves, ssh and we agree on a post-quantum key exchange, and ssh warns of nothing',
  bounded(120, async scope => {
    const ours = await serve(scope, { provider: accelerated, authenticators: [anyKey()] });
    const postQuantum = /kex: algorithm: (?:mlkem768x25519-sha256|sntrup761x25519-sha512(?:@openssh\.com)?)\r\n/;
    const { stdout, stderr } = await ssh(scope, ours, 'alice', ['-v', '--', 'echo in'], { input: '' }).ended;
    assert.is(stdout.toString(), 'in\n', stderr);
    assert.match(stderr, postQuantum);
    assert.not.match(stderr, /post-quantum/);

    const client = await login(scope, await sshd(scope, [{ owner: 'alice' }]), accelerated, 'ed25519');
    assert.match(client.connection.transport.negotiated!.kex, /^(?:mlkem768|sntrup761)x25519-/);
    await client.close();
  }),
);

test.run();
