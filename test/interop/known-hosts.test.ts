// known_hosts between ssh-keygen, ssh-keyscan, ssh, sshd and us.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial, type KnownHostsOptions, knownHosts } from '../../src/client/index.ts';
import {
  certifiedKey,
  formatKnownHost,
  hostText,
  lookupHost,
  parseCertificateLine,
  parseKnownHosts,
  parsePublicKey,
  publicOf,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { PrivateKey } from '../../src/crypto/provider.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { anyKey, keyFile, readKey, serve, ssh, sshd, type Target } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const keygen = needs(test, 'ssh-keygen');
const real = needs(test, 'ssh', 'sshd', 'ssh-keygen');
const scan = needs(test, 'sshd', 'ssh-keygen', 'ssh-keyscan');

const policy = { now: Date.now(), provider: noble };
const keyOf = (owner: string, type?: 'ed25519' | 'ecdsa' | 'rsa') =>
  parsePublicKey(readFileSync(`${keyFile(owner, type)}.pub`, 'utf8'));

keygen(
  'ssh-keygen -F finds our lines, and ours finds what ssh-keygen -H has hashed',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'known_hosts');
    const key = keyOf('host');
    const names = [
      { host: 'plain.example.org' },
      { host: 'Mixed.Example.org', port: 2222 },
      { host: '::1', port: 22 },
      { host: 'fe80::1', port: 2200 },
    ];
    const lines = names.map((name, i) => formatKnownHost(hostText(name), key, i % 2 ? { hash: noble.random } : {}));
    writeFileSync(file, `${lines.join('\n')}\n`);
    for (const [i, name] of names.entries()) {
      const { stdout, code } = await scope.run('ssh-keygen', ['-F', hostText(name), '-f', file]);
      assert.is(code, 0, hostText(name));
      assert.match(stdout.toString(), new RegExp(`found: line ${i + 1}`));
    }
    assert.is((await scope.run('ssh-keygen', ['-F', 'other', '-f', file])).code, 1);
    await scope.run('ssh-keygen', ['-H', '-f', file]);
    const { entries, problems } = parseKnownHosts(readFileSync(file, 'utf8'));
    assert.equal(problems, []);
    assert.ok(entries.every(({ hosts }) => hosts.startsWith('|1|')));
    for (const [i, name] of names.entries())
      assert.equal(lookupHost(entries, name, key.blob, policy), { result: 'match', entry: entries[i] });
    assert.is(lookupHost(entries, { host: 'other' }, key.blob, policy).result, 'unknown');
  }),
);

/** Signs in with `dial` under these known_hosts files; the reason if it fails. */
async function attempt(target: Target & { user: string }, options: KnownHostsOptions): Promise<string> {
  try {
    const client = await dial({
      ...{ host: target.host, port: target.port, user: target.user },
      credentials: [{ method: 'publickey', key: readKey('alice') }],
      hostKey: knownHosts(options),
    });
    const { stdout } = await client.exec('echo in');
    await client.close();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    return (error as Error).message;
  }
}

/** A known_hosts file with these lines. */
function known(scope: Scope, ...lines: string[]): string {
  const file = join(scope.directory(), 'known_hosts');
  writeFileSync(file, lines.map(line => `${line}\n`).join(''));
  return file;
}

real(
  'dial against sshd: each type of key that is known is asked for; changed, unknown and revoked ones are refused with the line',
  bounded(180, async scope => {
    const target = await sshd(scope, [{ owner: 'alice' }]);
    const name = hostText(target);
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const file = known(scope, formatKnownHost(name, keyOf('sshd', type)));
      assert.is(await attempt(target, { files: [file] }), 'in', type);
    }
    const wrong = known(scope, formatKnownHost(name, keyOf('mallory')));
    assert.match(await attempt(target, { files: [wrong] }), new RegExp(`is not the one in ${wrong}:1`));
    const revoked = known(scope, formatKnownHost('*', keyOf('sshd'), { marker: 'revoked' }), ...target.known);
    assert.match(await attempt(target, { files: [revoked] }), new RegExp(`is marked as revoked in ${revoked}:1`));
    const empty = known(scope);
    assert.match(await attempt(target, { files: [empty] }), /is not known: no line of/);
    assert.is(await attempt(target, { files: [empty], strict: 'accept-new', hash: true }), 'in');
    assert.is(await attempt(target, { files: [empty] }), 'in');
    // What we have written is good enough for ssh, which checks strictly here.
    const lines = readFileSync(empty, 'utf8').trim().split('\n');
    const { code, stderr } = await ssh(scope, { ...target, known: lines }, target.user, ['--', 'true'], {
      key: 'alice',
    }).ended;
    assert.is(code, 0, stderr);
  }),
);

real(
  'a host certificate of sshd’s is accepted by @cert-authority, and refused for another name, without one, or revoked',
  bounded(180, async scope => {
    const certify = async (principals: string) => {
      const directory = scope.directory();
      const file = join(directory, 'host.pub');
      writeFileSync(file, readFileSync(`${keyFile('sshd')}.pub`));
      const made = await scope.run('ssh-keygen', ['-q', '-s', keyFile('ca'), '-I', 'id', '-h', '-n', principals, file]);
      assert.is(made.code, 0, made.stderr);
      return sshd(scope, [{ owner: 'alice' }], [`HostCertificate ${join(directory, 'host-cert.pub')}`]);
    };
    const authority = formatKnownHost('127.0.0.*', keyOf('ca'), { marker: 'cert-authority' });
    const target = await certify('127.0.0.1');
    assert.is(await attempt(target, { files: [known(scope, authority)] }), 'in');
    assert.match(await attempt(target, { files: [known(scope)] }), /is not known/);
    const revoked = known(scope, authority, formatKnownHost('*', keyOf('ca'), { marker: 'revoked' }));
    assert.match(await attempt(target, { files: [revoked] }), /marked as revoked in \S+:2$/);
    const elsewhere = await certify('other.example.org');
    assert.match(
      await attempt(elsewhere, { files: [known(scope, authority)] }),
      /is not known: .*its certificate is not for "127\.0\.0\.1"/,
    );
    // Its plain key still counts.
    const plain = formatKnownHost(hostText(elsewhere), keyOf('sshd'));
    assert.is(await attempt(elsewhere, { files: [known(scope, authority, plain)] }), 'in');
  }),
);

scan(
  'what ssh-keyscan prints is a known_hosts file',
  bounded(180, async scope => {
    const target = await sshd(scope, [{ owner: 'alice' }]);
    const { stdout } = await scope.run('ssh-keyscan', ['-p', String(target.port), target.host]);
    const { entries, problems } = parseKnownHosts(stdout.toString());
    assert.equal(problems, []);
    assert.equal(entries.map(({ key }) => key.type).sort(), ['ecdsa-sha2-nistp256', 'ssh-ed25519', 'ssh-rsa']);
    assert.is(lookupHost(entries, target, publicOf(readKey('sshd', 'rsa')).blob, policy).result, 'match');
  }),
);

/** A certificate of the host key, by an authority; plain text goes into the command line as it is. */
async function certified(scope: Scope, owner: string, authority: string): Promise<PrivateKey> {
  const directory = scope.directory();
  const file = join(directory, 'host.pub');
  writeFileSync(file, readFileSync(`${keyFile(owner)}.pub`));
  const args = ['-q', '-s', keyFile(authority), '-I', 'id', '-h', '-n', '127.0.0.1', file];
  const made = await scope.run('ssh-keygen', args);
  assert.is(made.code, 0, made.stderr);
  return certifiedKey(readKey(owner), parseCertificateLine(readFileSync(join(directory, 'host-cert.pub'), 'utf8')));
}

/** Lines of known_hosts by what they are; `name` is the host with its port, `plain` without. */
const verdicts = (name: string, plain: string): Record<string, readonly string[]> => {
  const line = (host: string, owner: string, type?: 'ecdsa') => formatKnownHost(host.split(','), keyOf(owner, type));
  const hashed = (host: string, owner: string) => formatKnownHost(host, keyOf(owner), { hash: noble.random });
  const revoked = (host: string, owner: string) => formatKnownHost(host, keyOf(owner), { marker: 'revoked' });
  const authority = (host: string, owner: string) => formatKnownHost(host, keyOf(owner), { marker: 'cert-authority' });
  return {
    nothing: [],
    'plain, right': [line(plain, 'host')],
    'plain, wrong': [line(plain, 'mallory')],
    'with port, right': [line(name, 'host')],
    'with port, wrong': [line(name, 'mallory')],
    'both right': [line(name, 'host'), line(plain, 'host')],
    'both wrong': [line(name, 'mallory'), line(plain, 'mallory')],
    'plain right, with port wrong': [line(plain, 'host'), line(name, 'mallory')],
    'plain wrong, with port right': [line(plain, 'mallory'), line(name, 'host')],
    'with port, several': [line(name, 'mallory'), line(name, 'host')],
    'another port': [line('[127.0.0.1]:9', 'host')],
    'hashed, right': [hashed(name, 'host')],
    'hashed, wrong': [hashed(name, 'mallory')],
    'hashed, plain right': [hashed(plain, 'host')],
    'hashed, plain right, with port wrong': [hashed(plain, 'host'), hashed(name, 'mallory')],
    'wildcard for all, right': [line('*', 'host')],
    'wildcard for all, wrong': [line('*', 'mallory')],
    'wildcard for all wrong, with port right': [line('*', 'mallory'), line(name, 'host')],
    'wildcard for all wrong, plain right': [line('*', 'mallory'), line(plain, 'host')],
    'wildcard for plain names, right': [line('127.0.0.?', 'host')],
    'wildcard with port, right': [line('[127.0.0.*]:*', 'host')],
    'wildcard with port wrong, plain right': [line('[127.0.0.*]:*', 'mallory'), line(plain, 'host')],
    'negated with port': [line(`*,!${name}`, 'host')],
    'negated with port, wrong': [line(`*,!${name}`, 'mallory')],
    'negated plain': [line(`*,!${plain}`, 'host')],
    'negated both': [line(`*,!${plain},!${name}`, 'mallory')],
    'revoked with port': [revoked(name, 'host'), line(name, 'host')],
    'revoked for all': [line(name, 'host'), revoked('*', 'host')],
    'revoked for all, plain': [line(plain, 'host'), revoked('*', 'host')],
    'revoked for all, nothing else': [revoked('*', 'host')],
    'another is revoked': [revoked('*', 'mallory'), line(name, 'host')],
    'another is revoked, nothing else': [revoked('*', 'mallory')],
    'another type with port': [line(name, 'mallory', 'ecdsa')],
    'another type plain': [line(plain, 'mallory', 'ecdsa')],
    'another type with port, plain right': [line(name, 'mallory', 'ecdsa'), line(plain, 'host')],
    'an authority with port': [authority(name, 'ca')],
    'an authority plain': [authority(plain, 'ca')],
    'an authority for all': [authority('*', 'ca')],
    'another authority': [authority(name, 'mallory')],
    'another authority with port, the right one plain': [authority(name, 'mallory'), authority(plain, 'ca')],
    'another authority, with port right': [authority(name, 'mallory'), line(name, 'host')],
    'the authority, with port wrong': [authority(name, 'ca'), line(name, 'mallory')],
    'the authority plain, with port wrong': [authority(plain, 'ca'), line(name, 'mallory')],
    'the authority is revoked': [authority(name, 'ca'), revoked('*', 'ca')],
    'the authority is revoked, with port right': [authority(name, 'ca'), revoked('*', 'ca'), line(name, 'host')],
  };
};

real(
  'which keys are accepted, and which remembered: for each of these files as ssh does it, strictly and with accept-new',
  bounded(180, async scope => {
    const plainKey = [readKey('host')];
    const differences: string[] = [];
    for (const [shown, hostKeys] of [
      ['key', plainKey],
      ['certificate', [await certified(scope, 'host', 'ca')]],
    ] as const) {
      const target = await serve(scope, { provider: noble, authenticators: [anyKey()], hostKeys });
      const one = async ([what, lines]: [string, readonly string[]]) => {
        for (const strict of ['yes', 'accept-new'] as const) {
          const [theirs, ours] = [known(scope, ...lines), known(scope, ...lines)];
          const { code, stderr } = await ssh(scope, target, 'alice', ['--', 'echo in'], {
            config: [`UserKnownHostsFile ${theirs}`, `StrictHostKeyChecking ${strict}`],
          }).ended;
          assert.ok(code === 0 || /[Hh]ost key verification failed|REVOKED/.test(stderr), stderr);
          const said = await attempt(
            { ...target, user: 'alice' },
            { files: [ours], strict: strict === 'yes' ? true : strict },
          );
          const verdict = (file: string, accepted: boolean) =>
            `${accepted ? 'accepted' : 'refused'}${readFileSync(file, 'utf8').split('\n').length > lines.length + 1 ? ', remembered' : ''}`;
          const [a, b] = [verdict(theirs, code === 0), verdict(ours, said === 'in')];
          if (a !== b) differences.push(`${shown}, ${what}, ${strict}: ssh ${a}, we ${b} (${said})`);
        }
      };
      const all = Object.entries(verdicts(hostText(target), target.host));
      // What says nothing of authorities is no different with a certificate; but ssh, when it goes on with the key in one, forgets what
      // it knows of the port (sshconnect.c, check_host_key), and accepts the key of the plain name. We do not.
      const cases = all.filter(([what]) => shown === 'key' || /authority|^with port|^nothing/.test(what));
      const worker = async () => {
        for (let next = cases.shift(); next !== undefined; next = cases.shift()) await one(next);
      };
      await Promise.all([worker(), worker(), worker(), worker()]);
    }
    assert.is(differences.join('\n'), '');
  }),
);

test.run();
