// The lists of the two providers, where implementations come from, randomness, and what each file may import.
import * as crypto from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated, implementations } from '../../../src/crypto/accelerated.ts';
import type { Kem } from '../../../src/crypto/kex.ts';
import { portableMlkem768 } from '../../../src/crypto/mlkem768x25519.ts';
import { noble } from '../../../src/crypto/noble.ts';
import {
  byName,
  type CipherAlgorithm,
  type KexAlgorithm,
  type MacAlgorithm,
  type SignatureAlgorithm,
} from '../../../src/crypto/provider.ts';
import { checkCipher, checkKem, checkKex, checkMac, checkSignature } from '../../../src/crypto/self-test.ts';
import { implemented, providers } from './kit.ts';

const algorithms = {
  ciphers: [
    'chacha20-poly1305@openssh.com',
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
  ],
  macs: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  // In the order of OpenSSH 10, whose server does without Diffie-Hellman.
  kex: [
    'mlkem768x25519-sha256',
    'sntrup761x25519-sha512',
    'sntrup761x25519-sha512@openssh.com',
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256',
  ],
  signatures: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
};

/** With security tokens before RSA, and all of them once more with certificates. */
function everySignature(): string[] {
  const isRsa = (name: string) => name.startsWith('rsa-');
  const tokens = ['sk-ssh-ed25519', 'sk-ecdsa-sha2-nistp256', 'webauthn-sk-ecdsa-sha2-nistp256'];
  const plain = [
    ...algorithms.signatures.filter(name => !isRsa(name)),
    ...tokens.map(name => `${name}@openssh.com`),
    ...algorithms.signatures.filter(isRsa),
  ];
  return [...plain, ...plain.map(name => `${name.replace('@openssh.com', '')}-cert-v01@openssh.com`)];
}

test('both providers have the same algorithms in the same order, with the same lengths', () => {
  for (const provider of providers) {
    for (const [list, names] of Object.entries({ ...algorithms, signatures: everySignature() })) {
      assert.equal(
        provider[list as keyof typeof algorithms].map(({ name }) => name),
        names,
        provider.name,
      );
    }
  }
  const plain = (list: readonly object[]) =>
    list.map(entry => Object.fromEntries(Object.entries(entry).filter(([, value]) => typeof value !== 'function')));
  for (const list of Object.keys(algorithms) as (keyof typeof algorithms)[]) {
    assert.equal(plain(accelerated[list]), plain(noble[list]));
  }
});

test('implementations: one entry per algorithm, and on Node all of them the runtime’s', () => {
  const origins = implementations();
  assert.equal(Object.keys(origins).sort(), [...Object.values(algorithms).flat(), 'mlkem768', 'sha256'].sort());
  for (const [name, origin] of Object.entries(origins)) {
    assert.ok(origin === 'node' || origin === 'noble', name);
    // ML-KEM has come with Node 24.7.
    if (name === 'mlkem768' && !('encapsulate' in crypto)) assert.is(origin, 'noble');
    else if (!('Bun' in globalThis) && !('Deno' in globalThis)) assert.is(origin, 'node', name);
  }
});

test('random: fills all of an array of any size, and differently each time', () => {
  for (const { random, name } of providers) {
    assert.is(random(new Uint8Array(0)).length, 0);
    const large = new Uint8Array(200_001);
    assert.is(random(large), large);
    // Windows of 64 zeros do not happen by chance.
    for (let at = 0; at + 64 <= large.length; at += 64) {
      assert.ok(
        large.subarray(at, at + 64).some(byte => byte !== 0),
        `${name} at ${at}`,
      );
    }
    assert.ok(large.subarray(-16).some(byte => byte !== 0));
    const [a, b] = [random(new Uint8Array(32)), random(new Uint8Array(32))];
    assert.is.not(Buffer.from(a).toString('hex'), Buffer.from(b).toString('hex'));
    // A view gets its own bytes only.
    const view = new Uint8Array(100);
    random(view.subarray(20, 40));
    assert.ok(view.subarray(0, 20).every(byte => byte === 0) && view.subarray(40).every(byte => byte === 0));
  }
});

const folder = join(import.meta.dirname, '../../../src/crypto');

/** A file's own imports, those of types left out. */
function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^(?:import|export) (?!type )[^;]*? from '([^']+)'/gms)].map(match => match[1]);
}

test('the portable provider and all it imports need nothing of Node', () => {
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const name of imports(file)) {
      assert.not.match(name, /^node:/, file);
      if (name.startsWith('.')) visit(join(dirname(file), name));
      else assert.match(name, /^@noble\//, file);
    }
    assert.not.match(readFileSync(file, 'utf8'), /\bBuffer\b/, file);
  };
  visit(join(folder, 'noble.ts'));
  assert.ok(seen.size > 15, 'the walk has found the files');
});

test('only accelerated.ts and the folder node/ import node:crypto', () => {
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))) {
    const path = relative(folder, join(folder, file));
    if (path.startsWith('node/') || path === 'accelerated.ts') continue;
    for (const name of imports(join(folder, file))) assert.not.match(name, /^node:crypto/, file);
  }
});

// What the self-test must notice: an implementation that is wrong in one respect.

const [chacha, gcm] = noble.ciphers;
const ctr = noble.ciphers[3];
const macs = [noble.macs[0], noble.macs[2]];

test('self-test: passes for what is right', () => {
  for (const cipher of noble.ciphers) checkCipher(cipher, cipher, macs);
  for (const mac of noble.macs) checkMac(mac, mac);
  // Hybrids are checked by their parts.
  for (const kex of noble.kex.filter(({ name }) => !/^(mlkem|sntrup)/.test(name))) checkKex(kex, kex);
  checkKem(portableMlkem768, portableMlkem768);
  for (const signature of implemented(noble)) checkSignature(signature);
});

test('self-test: a cipher that takes any tag, forgets its counter or pads another way does not pass', () => {
  for (const cipher of [chacha, gcm, ctr]) {
    const lenient: CipherAlgorithm = {
      ...cipher,
      opener(key, iv, mac, macKey) {
        const opener = cipher.opener(key, iv, mac, macKey);
        return {
          headLength: opener.headLength,
          copiesFrom: opener.copiesFrom,
          frameLength: (bytes, at, sequence) => opener.frameLength(bytes, at, sequence),
          open(bytes, start, end, sequence) {
            const copy = bytes.slice();
            try {
              return opener.open(bytes, start, end, sequence);
            } catch {
              // As if there had been no tag: opens what was sent, by undoing the last bit.
              copy[end - 1] ^= 1;
              return cipher.opener(key, iv, mac, macKey).open(copy, start, end, sequence);
            }
          },
        };
      },
    };
    assert.throws(() => checkCipher(lenient, cipher, macs), undefined, `${cipher.name} without a tag`);
    const stuck: CipherAlgorithm = {
      ...cipher,
      sealer: (key, iv, random, mac, macKey) => ({
        seal: (packet, sequence, out) =>
          cipher.sealer(key, iv, random, mac, macKey).seal(packet, sequence & 0xffff, out),
      }),
    };
    assert.throws(() => checkCipher(stuck, cipher, macs), undefined, `${cipher.name} without a counter`);
  }
});

test('self-test: a MAC, a hash, a key exchange or a signature that is wrong does not pass', () => {
  const mac: MacAlgorithm = { ...macs[0], create: () => macs[0].create(new Uint8Array(32)) };
  assert.throws(() => checkMac(mac, macs[0]));
  for (const name of ['curve25519-sha256', 'ecdh-sha2-nistp521', 'diffie-hellman-group14-sha256']) {
    const kex = byName(noble.kex, name)!;
    const hash: KexAlgorithm = { ...kex, hash: data => kex.hash(data.subarray(1)) };
    assert.throws(() => checkKex(hash, kex), undefined, `${name} with another hash`);
    const trusting: KexAlgorithm = {
      ...kex,
      initiate(random) {
        const initiator = kex.initiate(random);
        const finish = (reply: Uint8Array) => {
          try {
            return initiator.finish(reply);
          } catch {
            return new Uint8Array(5);
          }
        };
        return { init: initiator.init, finish };
      },
    };
    assert.throws(() => checkKex(trusting, kex), undefined, `${name} that takes anything`);
    const own: KexAlgorithm = { ...kex, initiate: () => kex.initiate(noble.random) };
    assert.throws(() => checkKex(own, kex), undefined, `${name} with randomness of its own`);
    assert.throws(() => checkKex({ ...kex, name: 'unheard-of' }, kex), /no known answers/);
  }
  for (const signature of implemented(noble)) {
    const yes: SignatureAlgorithm = { ...signature, verify: () => true };
    assert.throws(() => checkSignature(yes));
    const no: SignatureAlgorithm = { ...signature, verify: () => false };
    assert.throws(() => checkSignature(no));
  }
});

test('self-test: a KEM with other keys, one that takes any key, and one that rejects nothing do not pass', () => {
  const kem = portableMlkem768;
  const broken: Record<string, Partial<Kem>> = {
    'other keys': { generate: () => kem.generate(noble.random) },
    'any key': {
      encapsulate(publicKey, random) {
        try {
          return kem.encapsulate(publicKey, random);
        } catch {
          return { ciphertext: new Uint8Array(kem.ciphertextLength), secret: new Uint8Array(32) };
        }
      },
    },
    'no rejection': {
      generate(random) {
        const { publicKey, decapsulate } = kem.generate(random);
        const honest: Uint8Array[] = [];
        return {
          publicKey,
          decapsulate(text) {
            const like = honest.find(other => Buffer.compare(other.subarray(0, -1), text.subarray(0, -1)) === 0);
            if (like === undefined) honest.push(text.slice());
            return decapsulate(like ?? text);
          },
        };
      },
    },
    'another secret': {
      encapsulate(publicKey, random) {
        const { ciphertext, secret } = kem.encapsulate(publicKey, random);
        return { ciphertext, secret: secret.map(byte => byte ^ 1) };
      },
    },
  };
  for (const [what, change] of Object.entries(broken)) {
    assert.throws(() => checkKem({ ...kem, ...change }, kem), undefined, what);
  }
});

test.run();
