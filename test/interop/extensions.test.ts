// What OpenSSH adds to the RFCs, with the real ssh: sign-in bound to the host key, host keys announced and proven, compression.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import { zlib } from '../../src/crypto/zlib.ts';
import { type Authenticator, publicKeys } from '../../src/server/index.ts';
import { bounded, eventually, soon } from '../kit/processes.ts';
import { serve, ssh, sshConfig } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const anyone: Authenticator[] = [publicKeys({ acceptable: () => true, proven: () => true })];

it(
  'ssh signs the host key too, and its signature is taken',
  bounded(180, async scope => {
    for (const keyType of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const server = await serve(scope, { provider: accelerated, authenticators: anyone });
      const { code, stdout, stderr } = await ssh(scope, server, 'alice', ['-vvv', '--', 'echo in'], { keyType }).ended;
      assert.is(code, 0, stderr);
      assert.is(stdout.toString(), 'in\n');
      assert.match(
        stderr,
        /publickey-hostbound@openssh\.com=<0>|publickey-hostbound@openssh\.com \(unrecognised\)|using publickey-hostbound-v00@openssh\.com/,
      );
      assert.match(stderr, /publickey-hostbound-v00@openssh\.com/);
    }
  }),
);

it(
  'ssh learns the other host keys, and has them proven',
  bounded(180, async scope => {
    const server = await serve(scope, { provider: accelerated, authenticators: anyone });
    for (const algorithm of ['ssh-ed25519', 'rsa-sha2-256', 'rsa-sha2-512']) {
      const known = server.known.filter(line =>
        line.includes(algorithm.startsWith('rsa') ? ' ssh-rsa ' : ` ${algorithm} `),
      );
      assert.is(known.length, 1);
      const only = { ...server, known };
      const config = [
        'UpdateHostKeys yes',
        `HostKeyAlgorithms ${algorithm},ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512`,
      ];
      const file = sshConfig(scope, only, 'alice', { config });
      const list = /UserKnownHostsFile (\S+)/.exec(readFileSync(file, 'utf8'))![1];
      const child = scope.start('ssh', ['-vvv', '-N', '-F', file, '-p', String(server.port), `alice@${server.host}`]);
      await eventually(
        'all host keys to be written down',
        () => server.known.every(line => readFileSync(list, 'utf8').includes(line.split(' ').slice(1, 3).join(' '))),
        60,
      );
      // The new ones only: ssh has it proven that the server holds their private halves.
      await soon('ssh to say so', child.says(/verify \w+ key \d using sigalg/, 'stderr'));
    }
  }),
);

for (const provider of [accelerated, noble]) {
  it(
    `compression (${provider.name}): both ways, over exchanges of keys, and not unless the server has it`,
    bounded(180, async scope => {
      const text = Buffer.from('the same words again and again, and again\n'.repeat(10_000));
      const noise = Buffer.alloc(200_000);
      for (let i = 0, x = 1; i < noise.length; i++) noise[i] = (x = (x * 1103515245 + 12345) & 0x7fffffff) >> 16;
      const input = Buffer.concat([text, noise, text]);
      for (const compression of [[zlib], []]) {
        const server = await serve(scope, { provider, authenticators: anyone, compression });
        // So low a limit has ssh exchange keys for every packet.
        const args = ['-vvv', '-o', 'Compression=yes', '-o', 'RekeyLimit=64K', '--', 'cat'];
        const { code, stdout, stderr } = await ssh(scope, server, 'alice', args, { input }).ended;
        assert.is(code, 0, stderr);
        assert.ok(stdout.equals(input), `${stdout.length} of ${input.length} bytes, or others`);
        const name = compression.length > 0 ? 'zlib@openssh.com' : 'none';
        assert.match(stderr, new RegExp(`compression: ${name}`));
        assert.match(stderr, /SSH2_MSG_NEWKEYS received[\s\S]*SSH2_MSG_NEWKEYS received/);
        if (compression.length > 0) {
          const [, raw, compressed] = /compress outgoing: raw data (\d+), compressed (\d+)/.exec(stderr)!;
          assert.ok(Number(compressed) < Number(raw), stderr);
        }
      }
    }),
  );
}

test.run();
