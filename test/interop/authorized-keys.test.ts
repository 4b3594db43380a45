// authorized_keys between ssh-keygen, sshd and us: the same keys are read from a file, and the same lines let in and keep out.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import {
  fingerprint,
  formatAuthorizedKey,
  type KeyOption,
  keySize,
  parseAuthorizedKeys,
  publicOf,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { desk, failure } from '../kit/certificates.ts';
import { bounded } from '../kit/processes.ts';
import { type KeyType, keyFile, keyLine, readKey, ssh, sshd, type Target } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const keygen = needs(test, 'ssh-keygen');
const real = needs(test, 'ssh-keygen', 'sshd');

const FORCED = `echo 'forced "so", and so'`;

keygen(
  'what we write ssh-keygen reads, with every option in front, and we read the same keys in a file of all kinds of lines',
  bounded(180, async scope => {
    const options: KeyOption[] = [
      { name: 'command', value: FORCED },
      { name: 'from', value: '10.0.0.0/8,!10.1.*,::1' },
      { name: 'environment', value: 'A=b c' },
      { name: 'permitopen', value: '[::1]:22' },
      { name: 'permitlisten', value: 'localhost:*' },
      { name: 'expiry-time', value: '20991231' },
      { name: 'tunnel', value: '0' },
      { name: 'cert-authority' },
      { name: 'principals', value: 'alice,bob' },
      { name: 'restrict' },
      { name: 'pty' },
      { name: 'no-touch-required' },
      { name: 'verify-required' },
    ];
    const written = ['alice', 'bob'].map(owner =>
      formatAuthorizedKey({ options, key: publicOf(readKey(owner)), comment: `${owner} and more words` }),
    );
    const text = `# a comment\n\n${written[0]}\n \t${keyLine('carol')}\nnot a key\n${written[1]}\n`;
    const file = join(scope.directory(), 'authorized_keys');
    writeFileSync(file, text);
    const { stdout, stderr } = await scope.run('ssh-keygen', ['-l', '-f', file]);
    const listed = [...stdout.toString().matchAll(/^256 (SHA256:\S+) (.*) \(ED25519\)$/gm)].map(([, id, name]) => [
      id,
      name,
    ]);
    const { entries, problems } = parseAuthorizedKeys(text);
    assert.equal(
      entries.map(({ key, comment }) => [fingerprint(key.blob), comment]),
      listed,
      stderr,
    );
    assert.equal(
      listed.map(([, name]) => name),
      ['alice and more words', 'carol', 'bob and more words'],
    );
    assert.equal(entries[0].options, options);
    assert.equal(
      problems.map(({ line }) => line),
      [5],
    );
  }),
);

/** Options in front of Alice's key, and whether they let her in from 127.0.0.1. */
const CASES: [string, boolean][] = [
  ['', true],
  ['restrict', true],
  ['RESTRICT', true],
  ['no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc', true],
  ['from="127.0.0.1"', true],
  ['from="127.0.0.0/8"', true],
  ['from="127.?.*.1"', true],
  ['from="10.0.0.0/8"', false],
  ['from="10.0.0.0/8,127.0.0.1"', true],
  ['from="127.0.0.0/8,!127.0.0.1"', false],
  ['from="!127.0.0.1,127.0.0.0/8"', false],
  ['from="!10.0.0.1,*"', true],
  ['expiry-time="20991231"', true],
  ['expiry-time="20991231235959Z"', true],
  ['expiry-time="20200101"', false],
  ['expiry-time="soon"', false],
  ['cert-authority', false],
  ['no-such-option', false],
  ['no-pty="yes"', false],
  ['command="a",command="b"', false],
];

real(
  'the same lines let in, and keep out, at sshd and at our server; a command takes the place of what was asked for',
  bounded(180, async scope => {
    const target = await sshd(scope, []);
    const attempt = ({ host, port }: Target, user: string) =>
      dial({ host, port, user, credentials: [{ method: 'publickey', key: readKey('alice') }], hostKey: () => true });
    for (const [options, expected] of CASES) {
      const text = `${options} ${keyLine('alice')}\n`;
      writeFileSync(target.authorizedKeys, text);
      const theirs = await failure(attempt(target, target.user));
      assert.is(theirs === 'it got in', expected, `sshd: ${options}: ${theirs}`);
      const { server, log } = await desk(scope, [text]);
      const ours = await failure(attempt(server, 'alice'));
      assert.is(ours === 'it got in', expected, `${options}: ${ours}`);
      if (!expected)
        assert.ok(
          log.some(message => message.startsWith('sign-in refused: ')),
          options,
        );
    }
    // A further line of the same key lets in what the first does not.
    const both = `from="10.0.0.0/8" ${keyLine('alice')}\n${keyLine('alice')}\n`;
    writeFileSync(target.authorizedKeys, both);
    assert.is(await failure(attempt(target, target.user)), 'it got in');
    assert.is(await failure(attempt((await desk(scope, [both])).server, 'alice')), 'it got in');

    const forced = formatAuthorizedKey({
      options: [{ name: 'command', value: FORCED }],
      key: publicOf(readKey('alice')),
    });
    writeFileSync(target.authorizedKeys, `${forced}\n`);
    const said = async (at: Target, user: string) => {
      await using client = await attempt(at, user);
      return new TextDecoder().decode((await client.exec('echo as asked')).stdout);
    };
    assert.is(await said(target, target.user), 'forced "so", and so\n');
    assert.is(await said((await desk(scope, [forced])).server, 'alice'), `${FORCED}\n`);
  }),
);

real(
  'an RSA key of 2047 bits, which generators call 2048, signs in as user and as host, in both roles, as at sshd; one of 1024 is refused by its size',
  bounded(180, async scope => {
    const line = (type: KeyType) => readFileSync(`${keyFile('alice', type)}.pub`, 'utf8');
    const key = readKey('alice', 'rsa2047');
    assert.is(keySize(key.blob).bits, 2047);
    const { server, log } = await desk(scope, [line('rsa2047')], { hostKeys: [readKey('host', 'rsa2047')] });
    const client = ssh(scope, server, 'alice', ['--', 'in'], { key: 'alice', keyType: 'rsa2047' });
    assert.is((await client.ended).stdout.toString(), 'in\n', client.stderr);
    // Without what the runtime has of RSA, too.
    for (const provider of [accelerated, noble]) {
      const { host, port } = server;
      const credentials = [{ method: 'publickey', key }] as const;
      await using ours = await dial({ host, port, user: 'alice', credentials, provider, hostKey: () => true });
      assert.is(new TextDecoder().decode((await ours.exec('in')).stdout), 'in\n');
    }
    const target = await sshd(scope, [{ owner: 'alice', type: 'rsa2047' }]);
    await using there = await dial({
      ...{ host: target.host, port: target.port, user: target.user },
      ...{ credentials: [{ method: 'publickey', key }], hostKey: () => true },
    });
    assert.is(new TextDecoder().decode((await there.exec('echo in')).stdout), 'in\n');

    log.length = 0;
    const weak = ssh(scope, server, 'alice', ['--', 'in'], { key: 'alice', keyType: 'rsa1024' });
    assert.is((await weak.ended).code, 255);
    assert.ok(
      log.some(message => /RSA key of 1024 bits is too weak: 2048 is the least/.test(message)),
      log.join('\n'),
    );
  }),
);

test.run();
