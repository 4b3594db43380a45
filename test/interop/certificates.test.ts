// Certificates with the real ssh-keygen, ssh and sshd, in both directions, each refusal with its line in the log.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial, knownHosts } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import {
  type Certificate,
  type CertificateRequest,
  certifiedKey,
  checkCertificate,
  checkRevoked,
  FOREVER,
  fingerprint,
  formatCertificate,
  formatPublicKey,
  parseCertificate,
  parseCertificateLine,
  parseRevokedKeys,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { PrivateKey } from '../../src/crypto/provider.ts';
import type { Credential } from '../../src/protocol/userauth/client.ts';
import { equalBytes, Writer } from '../../src/protocol/wire/reader.ts';
import { authority, caLine, type Desk, desk, failure, issue, now } from '../kit/certificates.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { hostKeys, type KeyType, keyFile, knownHost, readKey, type SshOptions, ssh, sshd } from '../kit/ssh.ts';
import { Token } from '../kit/token.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh-keygen', 'ssh', 'sshd');
const TYPES: KeyType[] = ['ed25519', 'ecdsa', 'rsa'];

// ssh-keygen

/** The sections of what `ssh-keygen -L` prints, by their titles. */
async function listed(scope: Scope, certificate: Certificate): Promise<Map<string, string>> {
  const file = join(scope.directory(), 'id-cert.pub');
  writeFileSync(file, `${formatCertificate(certificate)}\n`);
  const { code, stdout, stderr } = await scope.run('ssh-keygen', ['-L', '-f', file], { env: { TZ: 'UTC' } });
  assert.is(code, 0, stderr);
  const sections = new Map<string, string>();
  let title = '';
  for (const line of stdout.toString().split('\n').slice(1)) {
    const found = /^ {8}(\S[^:]*): ?(.*)$/.exec(line);
    if (found) sections.set((title = found[1]), found[2].trim());
    else if (line.trim()) sections.set(title, `${sections.get(title)}\n${line.trim()}`.trim());
  }
  return sections;
}

it(
  'ssh-keygen -L prints what we issue: every type of key, user and host, by every type of authority',
  bounded(240, async scope => {
    const tokens = [new Token('ed25519'), new Token('ecdsa')].map(token => token.privateKey);
    const labels = new Map([
      ['ssh-ed25519', 'ED25519'],
      ['ecdsa-sha2-nistp256', 'ECDSA'],
      ['ssh-rsa', 'RSA'],
      ['sk-ssh-ed25519@openssh.com', 'ED25519-SK'],
      ['sk-ecdsa-sha2-nistp256@openssh.com', 'ECDSA-SK'],
    ]);
    for (const key of [...TYPES.map(type => readKey('alice', type)), ...tokens]) {
      for (const by of TYPES.map(type => readKey('authority', type))) {
        for (const kind of ['user', 'host'] as const) {
          const extensions = kind === 'user' ? STANDARD_EXTENSIONS : undefined;
          const certificate = issue({ key: publicOf(key), kind, principals: ['a', 'b.example.org'], extensions }, by);
          const sections = await listed(scope, certificate);
          assert.is(sections.get('Type'), `${certificate.type} ${kind} certificate`);
          assert.is(sections.get('Public key'), `${labels.get(key.type)}-CERT ${fingerprint(key.blob)}`);
          const algorithm = by.type === 'ssh-rsa' ? 'rsa-sha2-512' : by.type;
          assert.is(sections.get('Signing CA'), `${labels.get(by.type)} ${fingerprint(by.blob)} (using ${algorithm})`);
          assert.is(sections.get('Principals'), 'a\nb.example.org');
          assert.is(sections.get('Key ID'), '"alice of test"');
          assert.is(sections.get('Serial'), '7');
        }
      }
    }
  }),
);

it(
  'ssh-keygen -L prints our options, extensions and times',
  bounded(180, async scope => {
    const certificate = issue({
      criticalOptions: {
        ...{ 'verify-required': true, 'source-address': '10.0.0.0/8,::1/128', 'force-command': 'ls -l' },
        ...{ 'zz@example.org': Uint8Array.of(1, 2) },
      },
      extensions: { 'no-touch-required': true, 'permit-pty': true },
      validAfter: 1_700_000_000n,
      validBefore: 1_800_000_000n,
      serial: 2n ** 64n - 1n,
    });
    const sections = await listed(scope, certificate);
    assert.match(
      sections.get('Critical Options')!,
      /^force-command ls -l\nsource-address 10\.0\.0\.0\/8,::1\/128\nverify-required\nzz@example\.org UNKNOWN .*\(len 2\)$/,
    );
    assert.is(sections.get('Extensions'), 'no-touch-required\npermit-pty');
    assert.is(sections.get('Valid'), 'from 2023-11-14T22:13:20 to 2027-01-15T08:00:00');
    assert.is(sections.get('Serial'), '18446744073709551615');
    const forever = await listed(scope, issue({ validAfter: 0n, validBefore: FOREVER }));
    assert.is(forever.get('Valid'), 'forever');
  }),
);

/** What `ssh-keygen -s` makes of a key. */
async function signed(scope: Scope, args: readonly string[], type: KeyType = 'ed25519', ca: KeyType = 'ed25519') {
  const file = join(scope.directory(), 'id.pub');
  writeFileSync(file, readFileSync(`${keyFile('alice', type)}.pub`));
  const { code, stderr } = await scope.run('ssh-keygen', ['-q', '-s', keyFile('authority', ca), ...args, file], {
    env: { TZ: 'UTC' },
  });
  assert.is(code, 0, stderr);
  return parseCertificateLine(readFileSync(file.replace('.pub', '-cert.pub'), 'utf8'));
}

it(
  'we read what ssh-keygen -s makes, and find it good',
  bounded(180, async scope => {
    for (const type of TYPES) {
      for (const ca of TYPES) {
        const certificate = await signed(scope, ['-I', 'an id', '-n', 'alice,bob', '-z', '99', '-V', '+1h'], type, ca);
        assert.is(certificate.keyId, 'an id');
        assert.is(certificate.serial, 99n);
        assert.equal(certificate.principals, ['alice', 'bob']);
        assert.equal([...certificate.extensions.keys()], Object.keys(STANDARD_EXTENSIONS));
        assert.equal(certificate.key.blob, readKey('alice', type).blob);
        assert.is(certificate.comment, 'alice');
        for (const provider of [noble, accelerated]) {
          const authority = (blob: Uint8Array) => equalBytes(blob, readKey('authority', ca).blob);
          const use = { kind: 'user', principals: ['bob'], now: Date.now(), authority, provider } as const;
          assert.is(checkCertificate(certificate, use), undefined);
        }
      }
    }
    const restricted = await signed(scope, [
      ...['-I', 'x', '-n', 'a', '-V', '20230101Z:20230102Z', '-O', 'clear', '-O', 'force-command=ls -l'],
      ...['-O', 'source-address=10.0.0.0/8', '-O', 'verify-required', '-O', 'no-touch-required', '-O', 'permit-pty'],
      ...['-O', 'critical:b@example.org=value', '-O', 'extension:a@example.org'],
    ]);
    assert.equal(
      [...restricted.criticalOptions].map(([name, value]) => [name, Buffer.from(value).toString('latin1')]),
      [
        ['b@example.org', '\0\0\0\x05value'],
        ['force-command', '\0\0\0\x05ls -l'],
        ['source-address', '\0\0\0\x0a10.0.0.0/8'],
        ['verify-required', ''],
      ],
    );
    assert.equal([...restricted.extensions.keys()], ['a@example.org', 'no-touch-required', 'permit-pty']);
    assert.is(restricted.validAfter, BigInt(Date.UTC(2023, 0, 1) / 1000));
    assert.is(restricted.validBefore, BigInt(Date.UTC(2023, 0, 2) / 1000));
    const host = await signed(scope, ['-h', '-I', 'h', '-n', '*.example.org']);
    assert.is(host.kind, 'host');
    assert.is(host.validBefore, FOREVER);
    assert.is(host.extensions.size, 0);
    // A certificate made here is, byte for byte but nonce and signature, one of ssh-keygen's.
    const args = ['-I', 'same', '-n', 'alice', '-z', '5', '-V', '20230101000000Z:20330101000000Z'];
    const theirs = await signed(scope, args);
    const ours = issue({
      ...{ keyId: 'same', serial: 5n, validAfter: theirs.validAfter, validBefore: theirs.validBefore },
    });
    const rest = ({ signed, nonce }: Certificate) => Buffer.from(signed.subarray(4 + 32 + 4 + nonce.length));
    assert.equal(rest(ours), rest(theirs));
  }),
);

// ssh with a certificate, our server

/** `ssh` with Alice's key and this certificate for it. */
async function signIn(scope: Scope, { server }: Desk, certificate: Certificate, options: SshOptions = {}) {
  const file = join(scope.directory(), 'cert.pub');
  writeFileSync(file, `${formatCertificate(certificate)}\n`);
  return ssh(scope, server, 'alice', ['--', 'as asked'], {
    input: '',
    ...options,
    config: [`CertificateFile ${file}`, 'NumberOfPasswordPrompts 0', ...(options.config ?? [])],
  }).ended;
}

for (const provider of [accelerated, noble]) {
  it(
    `ssh signs in with certificates of ours and of ssh-keygen, for every type of key (${provider.name})`,
    bounded(240, async scope => {
      const at = await desk(
        scope,
        TYPES.map(type => caLine('cert-authority', readKey('authority', type))),
        { provider },
      );
      for (const keyType of TYPES) {
        for (const ca of TYPES) {
          const key = publicOf(readKey('alice', keyType));
          const theirs = await signed(scope, ['-I', 'theirs', '-n', 'alice'], keyType, ca);
          for (const certificate of [issue({ key, keyId: 'ours' }, readKey('authority', ca)), theirs]) {
            const { stdout, stderr, code } = await signIn(scope, at, certificate, { keyType });
            assert.is(code, 0, stderr);
            assert.is(stdout.toString(), 'as asked\n');
            const { certificate: used, rules } = at.admissions.pop()!;
            assert.equal(used!.blob, certificate.blob);
            assert.ok(rules.pty && rules.portForwarding);
          }
        }
      }
    }),
  );
}

it(
  'rsa-sha2-256 with a certificate, and force-command in place of what was asked for',
  bounded(180, async scope => {
    const at = await desk(scope, [caLine()]);
    const certificate = issue({
      key: publicOf(readKey('alice', 'rsa')),
      criticalOptions: { 'force-command': 'as told', 'source-address': '127.0.0.0/8' },
    });
    const { stdout, stderr } = await signIn(scope, at, certificate, {
      keyType: 'rsa',
      config: ['PubkeyAcceptedAlgorithms rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-256'],
    });
    assert.is(stdout.toString(), 'as told\n', stderr);
  }),
);

it(
  'each broken rule keeps ssh out, and the log says which',
  bounded(360, async scope => {
    const stranger = readKey('stranger');
    const revoked = issue({ serial: 666n });
    const directory = scope.directory();
    const [spec, list] = [join(directory, 'spec'), join(directory, 'krl')];
    writeFileSync(spec, 'serial: 666\n');
    const args = ['-q', '-k', '-f', list, '-s', `${keyFile('authority')}.pub`, spec];
    assert.is((await scope.run('ssh-keygen', args)).code, 0);
    const krl = parseRevokedKeys(new Uint8Array(readFileSync(list)));
    const at = await desk(scope, [caLine()], { revoked: blob => checkRevoked(krl, blob) });
    const unknown = await signed(scope, ['-I', 'u', '-n', 'alice', '-O', 'critical:new@example.org=1']);
    const cases: [string, Certificate, RegExp][] = [
      ['expired', issue({ validBefore: now() - 1n }), / expired at \d{4}-/],
      ['not yet valid', issue({ validAfter: now() + 600n }), / is not valid before \d{4}-/],
      ['another principal', issue({ principals: ['bob'] }), / is not for "alice": its principals are "bob"$/],
      ['a host', issue({ kind: 'host', extensions: {} }), / is for a host, not for a user$/],
      ['a foreign authority', issue({}, stranger), /^sign-in refused: no line admits .* signed by ED25519 CA /],
      ['revoked', revoked, / \(serial 666\) .* is revoked by its serial number, 666$/],
      [
        'elsewhere',
        issue({ criticalOptions: { 'source-address': '192.0.2.0/24' } }),
        / is not to be used from 127\.0\.0\.1: /,
      ],
      ['a critical option', unknown, / has the critical option new@example\.org, which is not supported$/],
      ['nobody', withoutPrincipals(), / has an empty list of principals$/],
      [
        'verify-required',
        issue({ criticalOptions: { 'verify-required': true } }),
        / has verify-required, which is for keys in/,
      ],
    ];
    const check = (what: string, sentence: RegExp) => {
      const refusals = at.log.splice(0).filter(line => /^sign-in refused: .*certificate "/.test(line));
      assert.ok(refusals.length > 0, `${what}: nothing in the log`);
      for (const line of refusals) assert.match(line, sentence, what);
    };
    for (const [what, certificate, sentence] of cases) {
      at.log.length = 0;
      const { host, port } = at.server;
      const credentials: Credential[] = [{ method: 'publickey', key: certifiedKey(readKey('alice'), certificate) }];
      const error = await failure(dial({ host, port, user: 'alice', credentials, hostKey: () => true }));
      assert.match(error, /^the server refused alice: tried publickey ssh-ed25519-cert-v01@openssh.com/, what);
      check(what, sentence);
      // That one ssh itself does not offer.
      if (certificate.kind === 'host') continue;
      const { code, stderr } = await signIn(scope, at, certificate);
      assert.is(code, 255, `${what}: ${stderr}`);
      assert.match(stderr, /Permission denied \(publickey\)/, what);
      check(what, sentence);
    }
    assert.is(at.admissions.length, 0);
    // The same desk lets in what breaks none.
    assert.is((await signIn(scope, at, issue())).code, 0);
  }),
);

/** As certificate authorities of old issued for everybody; we do not, so it is put together by hand. */
function withoutPrincipals(): Certificate {
  const { type, nonce, key, validAfter, validBefore } = issue();
  const writer = new Writer(1024)
    .string(type)
    .string(nonce)
    .raw(key.blob.subarray(4 + 'ssh-ed25519'.length))
    .uint64(1n)
    .uint32(1)
    .string('everybody')
    .string('')
    .uint64(validAfter)
    .uint64(validBefore);
  const signed = writer.string('').string('').string('').string(authority.blob).finish();
  const signature = accelerated.signatures[0].sign(authority, signed, accelerated.random);
  return parseCertificate(new Writer(1024).raw(signed).string(signature).finish());
}

// Host certificates of our server

const hostCertificate = (principals: readonly string[], changes: Partial<CertificateRequest> = {}): PrivateKey => {
  const [key] = hostKeys('ed25519');
  const request = {
    key: publicOf(key),
    kind: 'host',
    keyId: 'our host',
    principals,
    extensions: {},
    ...changes,
  } as const;
  return certifiedKey(key, issue(request));
};

it(
  'ssh accepts our server by its host certificate and @cert-authority, for every type of host key',
  bounded(180, async scope => {
    const known = [`@cert-authority * ${formatPublicKey(publicOf(authority))}`];
    for (const type of TYPES) {
      const [key] = hostKeys(type);
      const certificate = issue({ key: publicOf(key), kind: 'host', principals: ['127.0.0.1'], extensions: {} });
      const at = await desk(scope, [readFileSync(`${keyFile('alice')}.pub`, 'utf8')], {
        hostKeys: [key, certifiedKey(key, certificate)],
      });
      const target = { ...at.server, known };
      const { code, stderr } = await ssh(scope, target, 'alice', ['-v', '--', 'x'], { input: '' }).ended;
      assert.is(code, 0, stderr);
      assert.match(stderr, /Host '.*' is known and matches the .*-CERT host certificate\./);
      // Who knows the plain key gets that.
      const plain = {
        ...at.server,
        known: [knownHost(at.server.host, at.server.port, formatPublicKey(publicOf(key)))],
      };
      const second = await ssh(scope, plain, 'alice', ['-v', '--', 'x'], { input: '' }).ended;
      assert.is(second.code, 0, second.stderr);
      assert.match(second.stderr, /is known and matches the (ED25519|ECDSA|RSA) host key\./);
    }
  }),
);

it(
  'ssh refuses our host certificate where it must, and dial with known_hosts does the same',
  bounded(180, async scope => {
    const lines = [readFileSync(`${keyFile('alice')}.pub`, 'utf8')];
    const known = `@cert-authority * ${formatPublicKey(publicOf(authority))}`;
    const file = join(scope.directory(), 'known_hosts');
    writeFileSync(file, `${known}\n`);
    const cases: [PrivateKey, boolean][] = [
      [hostCertificate(['127.0.0.1']), true],
      [hostCertificate(['other.example.org']), false],
      [hostCertificate(['127.0.0.1'], { validBefore: now() - 1n }), false],
      [hostCertificate(['127.0.0.1'], { kind: 'user' }), false],
    ];
    for (const [key, good] of cases) {
      const at = await desk(scope, lines, { hostKeys: [key] });
      const { code, stderr } = await ssh(scope, { ...at.server, known: [known] }, 'alice', ['--', 'x'], { input: '' })
        .ended;
      assert.is(code === 0, good, stderr);
      const { host, port } = at.server;
      const credentials: Credential[] = [{ method: 'publickey', key: readKey('alice') }];
      const dialled = dial({ host, port, user: 'alice', credentials, hostKey: knownHosts({ files: [file] }) });
      assert.is((await failure(dialled)) === 'it got in', good);
    }
  }),
);

// The real sshd

it(
  'sshd takes certificates that we issued (TrustedUserCAKeys), by our client and by ssh; force-command holds',
  bounded(180, async scope => {
    const ca = join(scope.directory(), 'ca.pub');
    writeFileSync(ca, `${TYPES.map(type => readFileSync(`${keyFile('authority', type)}.pub`, 'utf8')).join('')}`);
    const real = await sshd(scope, [], [`TrustedUserCAKeys ${ca}`]);
    const { host, port, user } = real;
    const exec = async (provider: typeof noble, key: PrivateKey) => {
      const client = await dial({
        host,
        port,
        user,
        provider,
        credentials: [{ method: 'publickey', key }],
        hostKey: () => true,
      });
      const { stdout } = await client.exec('echo as asked');
      await client.close();
      return Buffer.from(stdout).toString();
    };
    for (const provider of [accelerated, noble]) {
      for (const type of TYPES) {
        const key = readKey('alice', type);
        const by = readKey('authority', TYPES[(TYPES.indexOf(type) + 1) % 3]);
        const certificate = issue({ key: publicOf(key), principals: [user] }, by);
        assert.is(await exec(provider, certifiedKey(key, certificate)), 'as asked\n');
      }
    }
    const key = readKey('alice');
    const of = (changes: Partial<CertificateRequest>) => certifiedKey(key, issue({ principals: [user], ...changes }));
    assert.is(await exec(accelerated, of({ criticalOptions: { 'force-command': 'echo as told' } })), 'as told\n');
    await exec(accelerated, of({ criticalOptions: { 'source-address': '127.0.0.0/8' } }));
    for (const wrong of [
      of({ principals: ['nobody-else'] }),
      of({ validBefore: now() - 1n }),
      of({ validAfter: now() + 600n }),
      of({ kind: 'host', extensions: {} }),
      of({ criticalOptions: { 'source-address': '192.0.2.1' } }),
      of({ criticalOptions: { 'new@example.org': 'x' } }),
      certifiedKey(key, issue({ principals: [user] }, readKey('stranger'))),
    ]) {
      const credentials: Credential[] = [{ method: 'publickey', key: wrong }];
      assert.match(await failure(dial({ host, port, user, credentials, hostKey: () => true })), /^the server refused/);
    }
    const file = join(scope.directory(), 'cert.pub');
    writeFileSync(file, `${formatCertificate(issue({ principals: [user] }))}\n`);
    const config = [`CertificateFile ${file}`];
    const { stdout, stderr } = await ssh(scope, real, user, ['--', 'echo in'], { input: '', key: 'alice', config })
      .ended;
    assert.is(stdout.toString(), 'in\n', stderr);
  }),
);

it(
  'our client checks the host certificate of the real sshd',
  bounded(180, async scope => {
    const directory = scope.directory();
    for (const type of TYPES) {
      const pub = join(directory, `${type}-cert.pub`);
      const key = publicOf(readKey('sshd', type));
      writeFileSync(
        pub,
        `${formatCertificate(issue({ key, kind: 'host', principals: ['127.0.0.1'], extensions: {} }))}\n`,
      );
    }
    const certificates = TYPES.map(type => `HostCertificate ${join(directory, `${type}-cert.pub`)}`);
    const { host, port, user } = await sshd(scope, [{ owner: 'alice' }], certificates);
    const file = join(directory, 'known_hosts');
    writeFileSync(file, `@cert-authority 127.0.0.1,[127.0.0.1]:* ${formatPublicKey(publicOf(authority))}\n`);
    const check = knownHosts({ files: [file] });
    const seen: string[] = [];
    const hostKey = Object.assign(
      (blob: Uint8Array, algorithm: string, target: { host: string; port: number }) => {
        seen.push(algorithm);
        return check(blob, algorithm, target);
      },
      { prefer: check.prefer },
    );
    const client = await dial({
      host,
      port,
      user,
      credentials: [{ method: 'publickey', key: readKey('alice') }],
      hostKey,
    });
    await client.close();
    assert.equal(seen, ['ssh-ed25519-cert-v01@openssh.com']);
    writeFileSync(file, `@cert-authority * ${formatPublicKey(publicOf(readKey('stranger')))}\n`);
    const refused = dial({ host, port, user, credentials: [{ method: 'publickey', key: readKey('alice') }], hostKey });
    assert.match(await failure(refused), /127\.0\.0\.1/);
  }),
);

test.run();
