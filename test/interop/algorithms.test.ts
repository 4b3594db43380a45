// Every algorithm that we name, agreed on and used with the real ssh, with both providers; and what ssh says when there is none in common.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { CryptoProvider } from '../../src/crypto/provider.ts';
import type { OfferedKey } from '../../src/server/index.ts';
import { bounded, type Child, eventually, type Scope, soon } from '../kit/processes.ts';
import { anyKey, type InProcess, type KeyType, only, serve, ssh } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** ssh processes at once: enough to keep two cores busy. */
const AT_ONCE = 4;

const KEX = ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'];
const HOST_KEYS = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'];
const AEAD = ['chacha20-poly1305@openssh.com', 'aes128-gcm@openssh.com', 'aes256-gcm@openssh.com'];
const CTR = ['aes128-ctr', 'aes192-ctr', 'aes256-ctr'];
const MACS = ['hmac-sha2-256', 'hmac-sha2-512', 'hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'];

interface Combination {
  kex: string;
  hostKey: string;
  cipher: string;
  mac: string | undefined;
}

/** All of them; an AEAD cipher comes without a MAC. */
const COMBINATIONS: Combination[] = KEX.flatMap(kex =>
  HOST_KEYS.flatMap(hostKey => [
    ...AEAD.map(cipher => ({ kex, hostKey, cipher, mac: undefined })),
    ...CTR.flatMap(cipher => MACS.map(mac => ({ kex, hostKey, cipher, mac }))),
  ]),
);

/** Works through `items`, some at a time. */
async function each<T>(items: readonly T[], body: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const work = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await body(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

const start = (scope: Scope, provider: CryptoProvider) => serve(scope, { provider, authenticators: [anyKey()] });

async function connects(scope: Scope, server: InProcess, wanted: Combination): Promise<void> {
  const { kex, hostKey, cipher, mac } = wanted;
  const title = Object.values(wanted).join(' ');
  const args = ['-v', '-o', `KexAlgorithms=${kex}`, '-o', `HostKeyAlgorithms=${hostKey}`, '-c', cipher];
  if (mac) args.push('-m', mac);
  const { code, stdout, stderr } = await ssh(scope, server, 'alice', [...args, '--', `echo ${title}`], { input: '' })
    .ended;
  assert.is(code, 0, `${title}\n${stderr}`);
  assert.is(stdout.toString(), `${title}\n`);
  // ssh's own word on what was agreed on.
  const agreed = [
    `kex: algorithm: ${kex}`,
    `kex: host key algorithm: ${hostKey}`,
    ...['server->client', 'client->server'].map(
      way => `kex: ${way} cipher: ${cipher} MAC: ${mac ?? '<implicit>'} compression: none`,
    ),
  ];
  for (const line of agreed) assert.ok(stderr.includes(`${line}\r\n`), `${title}: no "${line}" in\n${stderr}`);
}

for (const provider of [accelerated, noble]) {
  it(
    `each key exchange with each host key, cipher and MAC (${provider.name})`,
    bounded(240, async scope => {
      const server = await start(scope, provider);
      await each(COMBINATIONS, wanted => connects(scope, server, wanted));
    }),
  );

  it(
    `user keys of each type and signature algorithm (${provider.name})`,
    bounded(60, async scope => {
      const proven: OfferedKey[] = [];
      const server = await serve(scope, { provider, authenticators: [anyKey(offer => proven.push(offer))] });
      const signatures: [KeyType, string][] = [
        ['ed25519', 'ssh-ed25519'],
        ['ecdsa', 'ecdsa-sha2-nistp256'],
        ['rsa', 'rsa-sha2-256'],
        ['rsa', 'rsa-sha2-512'],
      ];
      for (const [keyType, algorithm] of signatures) {
        const args = ['-o', `PubkeyAcceptedAlgorithms=${algorithm}`, '--', 'echo in'];
        const { stdout, stderr } = await ssh(scope, server, 'alice', args, { input: '', keyType }).ended;
        assert.is(stdout.toString(), 'in\n', stderr);
        assert.is(proven.pop()!.algorithm, algorithm);
      }
      assert.is(proven.length, 0);
    }),
  );
}

for (const provider of [accelerated, noble]) {
  it(
    `what else is on the lists and known to this ssh, each by itself (${provider.name})`,
    bounded(120, async scope => {
      const server = await start(scope, provider);
      const [kex] = KEX;
      const [hostKey] = HOST_KEYS;
      const [cipher] = CTR;
      const [mac] = MACS;
      const further = async (list: readonly { name: string }[], tried: readonly string[], query: string) => {
        const names = list.map(({ name }) => name);
        for (const name of tried) assert.ok(names.includes(name), `${name} is missing`);
        const known = (await scope.run('ssh', ['-Q', query])).stdout.toString().split('\n');
        return names.filter(name => !tried.includes(name) && known.includes(name));
      };
      const more: Combination[] = [
        ...(await further(provider.kex, KEX, 'kex')).map(name => ({ kex: name, hostKey, cipher, mac })),
        ...(await further(provider.ciphers, [...AEAD, ...CTR], 'cipher')).map(name => {
          const aead = provider.ciphers.find(each => each.name === name)!.aead;
          return { kex, hostKey, cipher: name, mac: aead ? undefined : mac };
        }),
        ...(await further(provider.macs, MACS, 'mac')).map(name => ({ kex, hostKey, cipher, mac: name })),
      ];
      await each(more, wanted => connects(scope, server, wanted));
    }),
  );
}

it(
  'ssh -vv shows strict key exchange, and ext-info with the signature algorithms',
  bounded(60, async scope => {
    const server = await start(scope, accelerated);
    const { stderr } = await ssh(scope, server, 'alice', ['-vv', '--', 'echo'], { input: '' }).ended;
    assert.match(stderr, /KEX algorithms: .*,kex-strict-s-v00@openssh\.com\r\n/);
    assert.match(stderr, /resetting send seqnr/);
    assert.match(stderr, /resetting read seqnr/);
    const [, offered] = /server-sig-algs=<(.*)>/.exec(stderr)!;
    for (const name of HOST_KEYS) assert.ok(offered.split(',').includes(name), name);
    assert.not.ok(offered.split(',').includes('ssh-rsa'));
  }),
);

it(
  'strict key exchange and ext-info at a rekey: neither is announced again, and all goes on',
  bounded(60, async scope => {
    const server = await start(scope, accelerated);
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

/** A server whose warnings are kept. */
async function listened(scope: Scope, provider: CryptoProvider): Promise<{ server: InProcess; warnings: string[] }> {
  const warnings: string[] = [];
  const quiet = () => {};
  const warn = (fields: object) => void warnings.push((fields as { reason?: string }).reason ?? '');
  const log = { debug: quiet, info: quiet, warn, error: quiet };
  return { server: await serve(scope, { provider, authenticators: [anyKey()], log }), warnings };
}

const refused = async (child: Child) => {
  const { code, stderr } = await soon('ssh to give up', child.ended, 20);
  assert.is(code, 255);
  return stderr;
};

it(
  'without a common algorithm both sides say at once which one is missing, and what there would be',
  bounded(60, async scope => {
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
  'a key that may sign with SHA-1 only is refused, and ssh knows why',
  bounded(60, async scope => {
    const server = await start(scope, accelerated);
    const args = ['-v', '-o', 'PubkeyAcceptedAlgorithms=ssh-rsa', '--', 'echo'];
    const stderr = await refused(ssh(scope, server, 'alice', args, { input: '', keyType: 'rsa' }));
    assert.match(stderr, /no mutual signature (?:supported|algorithm)/);
    assert.match(stderr, /Permission denied \(publickey\)/);
  }),
);

test.run();
