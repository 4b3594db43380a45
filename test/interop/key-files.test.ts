// Private and public key files of ssh-keygen and OpenSSL, every form and cipher, read by us; ours read by them.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  formatPkcs8,
  formatPkcs8PublicKey,
  formatPrivateKey,
  formatPublicKey,
  formatSsh2PublicKey,
  isEncrypted,
  keyTypeNames,
  parsePrivateKey,
  parsePublicKey,
  parsePublicKeyFile,
  publicOf,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { needs } from '../kit/tools.ts';

const keygen = needs(test, 'ssh-keygen');
const openssl = needs(test, 'ssh-keygen', 'openssl');

const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe' });

/** Types that we know, by the arguments of `ssh-keygen -t`. */
const types = [
  ['ssh-ed25519', 'ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa', '-b', '256'],
  ['ecdsa-sha2-nistp384', 'ecdsa', '-b', '384'],
  ['ecdsa-sha2-nistp521', 'ecdsa', '-b', '521'],
  ['ssh-rsa', 'rsa', '-b', '2048'],
].filter(([name]) => keyTypeNames.includes(name));

/** A new key of ssh-keygen's; its file. */
function make(scope: Scope, type: readonly string[], ...more: string[]): string {
  const file = join(scope.directory(), 'key');
  run('ssh-keygen', '-q', '-t', ...type.slice(1), '-C', 'a comment', '-f', file, ...more);
  return file;
}

const read = (file: string) => readFileSync(file, 'utf8');
const typeAndBlob = (line: string) => line.split(' ', 2).join(' ').trim();

const CIPHERS = [
  ...['aes128', 'aes192', 'aes256'].flatMap(name => [`${name}-ctr`, `${name}-cbc`]),
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  '3des-cbc',
];

for (const cipher of CIPHERS)
  keygen(
    `openssh-key-v1 under ${cipher}, both ways`,
    bounded(60, async scope => {
      const file = make(scope, types[0], '-N', 'correct horse', '-Z', cipher, '-a', '2');
      const text = read(file);
      const key = parsePrivateKey(text, 'correct horse');
      assert.is(`${formatPublicKey(publicOf(key))}\n`, read(`${file}.pub`));
      assert.ok(isEncrypted(text));
      assert.throws(() => parsePrivateKey(text, 'incorrect horse'), /passphrase of the private key is wrong/);
      assert.throws(() => parsePrivateKey(text), /a passphrase is needed/);
      if (cipher === '3des-cbc') {
        assert.throws(() => formatPrivateKey(key, { passphrase: 'x', cipher }, noble.random), /"3des-cbc"/);
        return;
      }
      const ours = formatPrivateKey(key, { passphrase: 'battery', rounds: 2, cipher }, noble.random);
      assert.equal(parsePrivateKey(ours, 'battery'), key);
      writeFileSync(file, ours);
      assert.is(run('ssh-keygen', '-y', '-P', 'battery', '-f', file), read(`${file}.pub`));
    }),
  );

for (const type of types) {
  const [name] = type;
  if (name !== 'ssh-ed25519')
    for (const form of ['PEM', 'PKCS8'])
      keygen(
        `${name} in ${form}, in the clear and encrypted, as ssh-keygen writes it`,
        bounded(60, async scope => {
          const clear = make(scope, type, '-m', form, '-N', '');
          assert.is(typeAndBlob(formatPublicKey(parsePrivateKey(read(clear)))), typeAndBlob(read(`${clear}.pub`)));
          assert.not(isEncrypted(read(clear)));
          const sealed = make(scope, type, '-m', form, '-N', 'correct horse');
          const text = read(sealed);
          assert.ok(isEncrypted(text));
          const key = parsePrivateKey(text, 'correct horse');
          assert.is(typeAndBlob(formatPublicKey(key)), typeAndBlob(read(`${sealed}.pub`)));
          assert.throws(() => parsePrivateKey(text, 'incorrect horse'), /passphrase of the private key is wrong/);
          assert.throws(() => parsePrivateKey(text), /a passphrase is needed/);
          // All private numbers, not only the public half: the key signs.
          const algorithm = noble.signatures.find(({ keyType }) => keyType === name);
          const data = Uint8Array.of(1, 2, 3);
          assert.ok(algorithm?.verify(key.blob, data, algorithm.sign(key, data, noble.random)));
        }),
      );

  openssl(
    `${name} as PKCS#8 written by us: OpenSSL reads it, encrypted or not, and ssh-keygen where it can`,
    bounded(60, async scope => {
      const file = make(scope, type, '-N', '');
      const key = parsePrivateKey(read(file));
      for (const passphrase of [undefined, 'correct horse']) {
        const text = formatPkcs8(key, { passphrase, iterations: 1000 }, noble.random);
        assert.is(isEncrypted(text), passphrase !== undefined);
        assert.equal(parsePrivateKey(text, passphrase), { ...key, comment: '' });
        writeFileSync(file, text);
        const spki = run('openssl', 'pkey', '-in', file, '-passin', `pass:${passphrase ?? ''}`, '-pubout');
        assert.is(spki, formatPkcs8PublicKey(publicOf(key)));
        // Every number, the primes' exponents too.
        run('openssl', 'pkey', '-in', file, '-passin', `pass:${passphrase ?? ''}`, '-check', '-noout');
        if (name !== 'ssh-ed25519')
          assert.is(
            typeAndBlob(run('ssh-keygen', '-y', '-P', passphrase ?? '', '-f', file)),
            typeAndBlob(formatPublicKey(key)),
          );
      }
    }),
  );

  keygen(
    `${name} as a public key in RFC 4716, both ways`,
    bounded(60, async scope => {
      const file = `${make(scope, type, '-N', '')}.pub`;
      const key = parsePublicKey(read(file));
      const theirs = parsePublicKeyFile(run('ssh-keygen', '-e', '-f', file));
      assert.equal(theirs.blob, key.blob);
      assert.match(theirs.comment, /from .*/);
      const ours = formatSsh2PublicKey({ ...key, comment: 'é "a" comment '.repeat(12) });
      for (const line of ours.split('\n')) assert.ok(Buffer.byteLength(line) <= 72, line);
      assert.is(parsePublicKeyFile(ours).comment, `${"é 'a' comment ".repeat(12).trim()}`);
      writeFileSync(file, ours);
      assert.is(typeAndBlob(run('ssh-keygen', '-i', '-f', file)), typeAndBlob(formatPublicKey(key)));
    }),
  );

  if (name !== 'ssh-ed25519')
    keygen(
      `${name} as a public key in PKCS#8 and PEM, both ways`,
      bounded(60, async scope => {
        const file = `${make(scope, type, '-N', '')}.pub`;
        const key = parsePublicKey(read(file));
        for (const form of name === 'ssh-rsa' ? ['PKCS8', 'PEM'] : ['PKCS8']) {
          const text = run('ssh-keygen', '-e', '-m', form, '-f', file);
          assert.equal(parsePublicKeyFile(text).blob, key.blob);
          if (form === 'PKCS8') assert.is(formatPkcs8PublicKey(key), text);
        }
      }),
    );
}

openssl(
  'PBES2 in every form of OpenSSL: each PRF, each cipher',
  bounded(60, async scope => {
    const directory = scope.directory();
    const file = join(directory, 'key');
    run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', file);
    const key = parsePrivateKey(read(file));
    for (const prf of ['hmacWithSHA1', 'hmacWithSHA224', 'hmacWithSHA256', 'hmacWithSHA384', 'hmacWithSHA512'])
      for (const cipher of ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc']) {
        const args = ['-v2', cipher, '-v2prf', prf, '-iter', '77', '-passout', 'pass:horse'];
        const text = run('openssl', 'pkcs8', '-topk8', '-in', file, ...args);
        assert.equal(parsePrivateKey(text, 'horse'), key, `${prf} ${cipher}`);
        assert.throws(() => parsePrivateKey(text, 'hors'), /passphrase of the private key is wrong/);
      }
    for (const args of [['-scrypt'], ['-v1', 'PBE-SHA1-3DES'], ['-v2', 'camellia-128-cbc']]) {
      const text = run('openssl', 'pkcs8', '-topk8', '-in', file, ...args, '-passout', 'pass:horse');
      assert.throws(() => parsePrivateKey(text, 'horse'), /not supported \([\d.]+\): change that with ssh-keygen -p/);
    }
  }),
);

openssl(
  'PEM under every cipher of DEK-Info that we know, and a curve in an armour of its own in front',
  bounded(60, async scope => {
    const file = join(scope.directory(), 'key');
    const text = run('openssl', 'ecparam', '-name', 'prime256v1', '-genkey');
    assert.match(text, /BEGIN EC PARAMETERS/);
    const key = parsePrivateKey(text);
    assert.is(key.type, 'ecdsa-sha2-nistp256');
    writeFileSync(file, text);
    for (const cipher of ['-aes128', '-aes192', '-aes256', '-des3']) {
      const sealed = run('openssl', 'ec', '-in', file, cipher, '-passout', 'pass:horse');
      assert.match(sealed, /DEK-Info/);
      assert.equal(parsePrivateKey(sealed, 'horse'), key, cipher);
    }
    const camellia = run('openssl', 'ec', '-in', file, '-camellia128', '-passout', 'pass:horse');
    assert.throws(() => parsePrivateKey(camellia, 'horse'), /"CAMELLIA-128-CBC,.*not supported/);
  }),
);

openssl(
  'a key without its public half, with a compressed one, and of kinds that SSH does not have',
  bounded(60, async scope => {
    const file = join(scope.directory(), 'key');
    run('openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file);
    const key = parsePrivateKey(read(file));
    for (const args of [['-no_public'], ['-conv_form', 'compressed']])
      assert.equal(parsePrivateKey(run('openssl', 'ec', '-in', file, ...args)), key);
    const compressed = run('openssl', 'ec', '-in', file, '-pubout', '-conv_form', 'compressed');
    assert.equal(parsePublicKeyFile(compressed).blob, key.blob);
    const explicit = run('openssl', 'ec', '-in', file, '-param_enc', 'explicit');
    assert.throws(() => parsePrivateKey(explicit), /spells its curve out/);
    assert.throws(
      () => parsePrivateKey(run('openssl', 'ecparam', '-name', 'secp256k1', '-genkey')),
      /1\.3\.132\.0\.10/,
    );
    for (const kind of ['x25519', 'ed448'])
      assert.throws(() => parsePrivateKey(run('openssl', 'genpkey', '-algorithm', kind)), new RegExp(kind, 'i'));
  }),
);

test.run();
