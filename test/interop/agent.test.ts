// The real ssh-agent and ssh-add with our client of it, and `dial` against the real sshd and our own server through the agent.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Agent, dial, knownHosts } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import {
  certifiedKey,
  fingerprint,
  formatSignature,
  parseCertificateLine,
  parsePrivateKey,
  parseSignature,
  signatureInput,
  verifySignature,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { byName } from '../../src/crypto/provider.ts';
import { equalBytes } from '../../src/protocol/wire/reader.ts';
import { publicKeys } from '../../src/server/index.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { keyFile, readKey, type Sshd, serve, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh-agent', 'ssh-add', 'ssh-keygen');
const real = needs(test, 'ssh-agent', 'ssh-add', 'ssh-keygen', 'sshd');

interface Running {
  readonly agent: Agent;
  /** Runs ssh-add; its output. */
  add(...args: string[]): Promise<string>;
}

/** Starts an ssh-agent in the foreground. */
async function start(scope: Scope): Promise<Running> {
  const path = join(scope.directory(), 'agent');
  const child = scope.start('ssh-agent', ['-D', '-a', path]);
  await soon('the agent to start', child.says(/SSH_AUTH_SOCK/));
  return {
    agent: new Agent({ path, timeout: 30 }),
    async add(...args) {
      const { code, stdout, stderr } = await scope.run('ssh-add', args, { env: { SSH_AUTH_SOCK: path } });
      assert.ok(code === 0 || /no identities/.test(stdout.toString()), `ssh-add ${args.join(' ')}: ${stderr}`);
      return stdout.toString();
    },
  };
}

it(
  'what ssh-add has added is listed and signs, RSA with either hash',
  bounded(180, async scope => {
    const { agent, add } = await start(scope);
    assert.equal(await agent.keys(), []);
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) await add('-q', keyFile('alice', type));
    const keys = await agent.keys();
    assert.equal(
      keys.map(({ type, comment }) => [type, comment]),
      [
        ['ssh-ed25519', 'alice'],
        ['ecdsa-sha2-nistp256', 'alice'],
        ['ssh-rsa', 'alice'],
      ],
    );
    const data = Uint8Array.of(1, 2, 3);
    for (const { type, blob } of keys)
      for (const algorithm of type === 'ssh-rsa' ? ['rsa-sha2-256', 'rsa-sha2-512'] : [type])
        assert.ok(
          byName(noble.signatures, algorithm)?.verify(blob, data, await agent.sign(blob, data, algorithm)),
          algorithm,
        );
    try {
      await agent.sign(readKey('bob').blob, data, 'ssh-ed25519');
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, /the agent refuses to sign/);
    }
  }),
);

it(
  'what we add ssh-add lists, with its constraints; removed one by one and all',
  bounded(180, async scope => {
    const { agent, add } = await start(scope);
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) await agent.add(readKey('alice', type));
    await agent.add(readKey('bob'), { lifetime: 1000 });
    const listed = await add('-l');
    for (const key of [...(['ed25519', 'ecdsa', 'rsa'] as const).map(type => readKey('alice', type)), readKey('bob')])
      assert.ok(listed.includes(`${fingerprint(key.blob)} ${key.comment}`), listed);
    // -T signs with the private half that the agent has got.
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) await add('-T', `${keyFile('alice', type)}.pub`);
    await agent.remove(readKey('bob').blob);
    assert.not((await add('-l')).includes(fingerprint(readKey('bob').blob)));
    await agent.removeAll();
    assert.match(await add('-l'), /no identities/);
  }),
);

/** A key of `type` with a certificate for `principal` by the key of "ca"; in a directory of its own. */
async function certified(scope: Scope, type: 'ed25519' | 'ecdsa' | 'rsa', principal: string) {
  const path = join(scope.directory(), 'key');
  const bits = { ed25519: [], ecdsa: ['-b', '256'], rsa: ['-b', '2048'] }[type];
  await scope.run('ssh-keygen', ['-q', '-t', type, ...bits, '-N', '', '-f', path]);
  const made = await scope.run('ssh-keygen', ['-q', '-s', keyFile('ca'), '-I', 'id', '-n', principal, `${path}.pub`]);
  assert.is(made.code, 0, made.stderr);
  const certificate = parseCertificateLine(readFileSync(`${path}-cert.pub`, 'utf8'));
  return certifiedKey(parsePrivateKey(readFileSync(path, 'utf8')), certificate);
}

/** Signs in with the agent's keys, and runs a command. */
async function through(agent: Agent, target: Sshd): Promise<string> {
  const known = join(target.authorizedKeys, '..', 'known_for_us');
  writeFileSync(known, `${target.known.join('\n')}\n`);
  const client = await dial({
    ...{ host: target.host, port: target.port, user: target.user },
    credentials: await agent.credentials(),
    hostKey: knownHosts({ files: [known] }),
  });
  const { stdout } = await client.exec('echo in');
  await client.close();
  return new TextDecoder().decode(stdout).trim();
}

real(
  'dial against sshd through the agent: each type of key, behind others that do not fit',
  bounded(180, async scope => {
    const { agent, add } = await start(scope);
    await add('-q', keyFile('mallory'));
    await add('-q', keyFile('mallory', 'rsa'));
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const target = await sshd(scope, [{ owner: 'alice', type }]);
      await assertRefused(agent, target);
      await add('-q', keyFile('alice', type));
      assert.is(await through(agent, target), 'in', type);
      await add('-q', '-d', keyFile('alice', type));
      await target.child.stop();
    }
  }),
);

async function assertRefused(agent: Agent, target: Sshd): Promise<void> {
  try {
    await through(agent, target);
  } catch (error) {
    assert.match((error as Error).message, /refused .*: tried publickey ssh-ed25519, publickey rsa-sha2-512/);
    return;
  }
  assert.unreachable('let in');
}

real(
  'certificates in the agent, that we or ssh-add have put there, sign in at sshd',
  bounded(180, async scope => {
    const target = await sshd(scope, [], [`TrustedUserCAKeys ${keyFile('ca')}.pub`]);
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const { agent, add } = await start(scope);
      const key = await certified(scope, type, target.user);
      await agent.add(key);
      assert.match(await add('-l'), /-CERT\)/);
      assert.is(await through(agent, target), 'in', type);
    }
  }),
);

it(
  'our server takes a key that signs in the agent',
  bounded(180, async scope => {
    const { agent, add } = await start(scope);
    await add('-q', keyFile('bob'));
    await add('-q', keyFile('alice'));
    const alice = readKey('alice').blob;
    const fits = ({ key }: { key: Uint8Array }) => equalBytes(key, alice);
    const server = await serve(scope, {
      provider: accelerated,
      authenticators: [publicKeys({ acceptable: fits, proven: fits })],
    });
    const client = await dial({
      ...{ host: server.host, port: server.port, user: 'alice' },
      credentials: await agent.credentials(),
      hostKey: () => true,
    });
    assert.is(new TextDecoder().decode((await client.exec('echo hello')).stdout), 'hello\n');
    await client.close();
  }),
);

it(
  'an SSHSIG made in the agent',
  bounded(180, async scope => {
    const { agent, add } = await start(scope);
    await add('-q', keyFile('alice', 'rsa'));
    const { blob: key } = readKey('alice', 'rsa');
    const message = Uint8Array.of(7);
    const signature = await agent.sign(key, signatureInput(message, 'file', 'sha512'), 'rsa-sha2-512');
    const text = formatSignature({ key, namespace: 'file', hash: 'sha512', signature });
    assert.is(verifySignature(parseSignature(text), message, 'file', noble), undefined);
  }),
);

test.run();
