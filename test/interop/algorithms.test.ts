// What is negotiated with the real ssh and sshd beside the algorithms that sweep.test.ts goes through: strict key exchange, ext-info, the choice of both sides, and what is said when there is none.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import type { CryptoProvider } from '../../src/crypto/provider.ts';
import { bounded, type Child, eventually, type Scope, soon } from '../kit/processes.ts';
import { anyKey, type InProcess, only, readKey, serve, ssh, sshd, THEIR_KEX } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'ssh-keygen');

const start = (scope: Scope) => serve(scope, { provider: accelerated, authenticators: [anyKey()] });

it(
  'ssh -vv shows strict key exchange, and ext-info with the signature algorithms',
  bounded(180, async scope => {
    const server = await start(scope);
    const { stderr } = await ssh(scope, server, 'alice', ['-vv', '--', 'echo'], { input: '' }).ended;
    assert.match(stderr, /KEX algorithms: .*,kex-strict-s-v00@openssh\.com\r\n/);
    assert.match(stderr, /resetting send seqnr/);
    assert.match(stderr, /resetting read seqnr/);
    const [, offered] = /server-sig-algs=<(.*)>/.exec(stderr)!;
    for (const name of ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'])
      assert.ok(offered.split(',').includes(name), name);
    assert.not.ok(offered.split(',').includes('ssh-rsa'));
  }),
);

it(
  'strict key exchange and ext-info at a rekey: neither is announced again, and all goes on',
  bounded(180, async scope => {
    const server = await start(scope);
    const input = Buffer.alloc(3_000_000, 'again and again ');
    const args = ['-vv', '-o', 'RekeyLimit=500K', '--', 'cat'];
    const { stdout, stderr, code } = await ssh(scope, server, 'alice', args, { input }).ended;
    assert.is(code, 0);
    assert.ok(stdout.equals(input));
    const count = (pattern: RegExp) => [...stderr.matchAll(pattern)].length;
    assert.ok(count(/SSH2_MSG_NEWKEYS received/g) > 4);
    assert.is(count(/KEX algorithms: .*kex-strict-s/g), 1);
    assert.is(count(/server-sig-algs=/g), 1);
    // The sequence numbers are reset at each exchange of a strict connection, which ssh says as often.
    assert.is(count(/resetting send seqnr/g), count(/SSH2_MSG_NEWKEYS sent/g));
  }),
);

it(
  'left to themselves, ssh and we agree on a post-quantum key exchange, and ssh warns of nothing',
  bounded(180, async scope => {
    const postQuantum = /kex: algorithm: (?:mlkem768x25519-sha256|sntrup761x25519-sha512(?:@openssh\.com)?)\r\n/;
    const { stdout, stderr } = await ssh(scope, await start(scope), 'alice', ['-v', '--', 'echo in'], {
      input: '',
      config: [THEIR_KEX],
    }).ended;
    assert.is(stdout.toString(), 'in\n', stderr);
    assert.match(stderr, postQuantum);
    assert.not.match(stderr, /post-quantum/);

    const { host, port, user } = await sshd(scope, [{ owner: 'alice' }]);
    const client = await dial({ host, port, user, keys: [readKey('alice')], hostKey: () => true });
    assert.match(client.connection.transport.negotiated!.kex, /^(?:mlkem768|sntrup761)x25519-/);
    await client.close();
  }),
);

it(
  'diffie-hellman-group18 is not offered unless it is named; group16 is, and waits its turn without anybody noticing',
  bounded(180, async scope => {
    const wanting = (server: InProcess, kex: string) =>
      ssh(scope, server, 'alice', ['-v', '-o', `KexAlgorithms=${kex}`, '--', 'echo in'], { input: '' }).ended;
    const server = await start(scope);
    const none = await wanting(server, 'diffie-hellman-group18-sha512');
    assert.is(none.code, 255);
    assert.match(none.stderr, /no matching key exchange method found/);
    const old = 'diffie-hellman-group16-sha512';
    const [young, ...others] = await Promise.all([
      wanting(server, 'curve25519-sha256'),
      ...Array.from({ length: 7 }, () => wanting(server, old)),
    ]);
    for (const { stdout, stderr } of [young, ...others]) assert.is(stdout.toString(), 'in\n', stderr);
    const kex = ['diffie-hellman-group18-sha512', 'curve25519-sha256'];
    const named = await serve(scope, { provider: accelerated, authenticators: [anyKey()], kex });
    const asked = await wanting(named, kex[0]);
    assert.is(asked.stdout.toString(), 'in\n', asked.stderr);
    assert.match(asked.stderr, /kex: algorithm: diffie-hellman-group18-sha512/);
  }),
);

/** A server whose warnings are kept. */
async function listened(scope: Scope, provider: CryptoProvider): Promise<{ server: InProcess; warnings: string[] }> {
  const warnings: string[] = [];
  const quiet = () => {};
  const warn = (fields: object) => void warnings.push((fields as { reason?: string }).reason ?? '');
  const log = { debug: quiet, info: quiet, warn, error: quiet };
  return { server: await serve(scope, { provider, authenticators: [anyKey()], log }), warnings };
}

const refused = async (child: Child) => {
  const { code, stderr } = await soon('ssh to give up', child.ended, 60);
  assert.is(code, 255);
  return stderr;
};

it(
  'without a common algorithm both sides say at once which one is missing, and what there would be',
  bounded(180, async scope => {
    const { server, warnings } = await listened(scope, only(accelerated, { kex: 'curve25519-sha256' }));
    const cases: [string[], RegExp, RegExp][] = [
      [
        ['-o', 'KexAlgorithms=diffie-hellman-group14-sha256'],
        /no matching key exchange method found\. Their offer: curve25519-sha256/,
        /no common key exchange method: the client offers diffie-hellman-group14-sha256,.*, the server curve25519-sha256,/,
      ],
      [
        ['-o', 'HostKeyAlgorithms=ssh-rsa'],
        /no matching host key type found\. Their offer: .*rsa-sha2-512/,
        /no common host key algorithm: the client offers ssh-rsa, the server .*rsa-sha2-256/,
      ],
      [
        ['-c', 'aes256-cbc'],
        /no matching cipher found\. Their offer: .*aes256-ctr/,
        /no common cipher: the client offers aes256-cbc, the server .*aes256-ctr/,
      ],
      [
        ['-c', 'aes128-ctr', '-m', 'hmac-sha1'],
        /no matching MAC found\. Their offer: .*hmac-sha2-512/,
        /no common MAC: the client offers hmac-sha1, the server .*hmac-sha2-256/,
      ],
    ];
    for (const [args, theirs, ours] of cases) {
      assert.match(await refused(ssh(scope, server, 'alice', [...args, '--', 'echo'], { input: '' })), theirs);
      await eventually('our word on it', () => warnings.some(reason => ours.test(reason)));
    }
    const { stdout } = await ssh(scope, server, 'alice', ['--', 'echo still here'], { input: '' }).ended;
    assert.is(stdout.toString(), 'still here\n');
  }),
);

it(
  'a key that may sign with SHA-1 only is of no use, and ssh knows that: our extensions do not name it',
  bounded(180, async scope => {
    const server = await start(scope);
    const args = ['-v', '-o', 'PubkeyAcceptedAlgorithms=ssh-rsa', '--', 'echo'];
    const stderr = await refused(ssh(scope, server, 'alice', args, { input: '', keyType: 'rsa' }));
    const [, accepted] = /server-sig-algs=<(\S+)>/.exec(stderr)!;
    assert.not.ok(accepted.split(',').includes('ssh-rsa'));
    assert.not.match(stderr, /Server accepts key/);
    // Newer ones do not say it.
    if (!/OpenSSH_1\d/.test(stderr)) assert.match(stderr, /no mutual signature (?:supported|algorithm)/);
    assert.match(stderr, /Permission denied \(publickey\)/);
  }),
);

test.run();
