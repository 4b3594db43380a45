// C2SP's Wycheproof vectors against both providers, where they are at hand (see kit.ts).
import * as crypto from 'node:crypto';
import { test as suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { counterBlock, expandKey, xorKeystream } from '../../../src/crypto/aes.ts';
import { ghash, ghashTable } from '../../../src/crypto/ghash.ts';
import { portableMlkem768 } from '../../../src/crypto/mlkem768x25519.ts';
import { nodeMlkem768 } from '../../../src/crypto/node/mlkem.ts';
import { byName, type CryptoProvider } from '../../../src/crypto/provider.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { concat, equalBytes, Writer } from '../../../src/protocol/wire/reader.ts';
import { skip } from '../../kit/tools.ts';
import { fixed, hex, providers, same, type Wycheproof, wycheproof } from './kit.ts';

const test: Test = suite;

/** One test per file; `check` gets each case with its group. */
function run(name: string, least: number, check: (vector: Wycheproof, group: Wycheproof) => void): void {
  const file = wycheproof(name);
  if (file === undefined) {
    skip(test, `Wycheproof ${name}`, 'the vectors are not beside the repository');
    return;
  }
  test(`Wycheproof ${name}`, () => {
    let count = 0;
    for (const group of file.testGroups) {
      for (const vector of group.tests) {
        check(vector, group);
        count++;
      }
    }
    assert.ok(count >= least, `${count} vectors`);
  });
}

const what = (provider: CryptoProvider, { tcId, comment }: Wycheproof) => `${provider.name}, case ${tcId}: ${comment}`;

/** The shared secret as an mpint, or undefined if the key exchange refuses. */
function agree(provider: CryptoProvider, name: string, secret: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  try {
    return byName(provider.kex, name)!.initiate(fixed(secret)).finish(peer);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

run('x25519', 500, vector => {
  for (const provider of providers) {
    const secret = agree(provider, 'curve25519-sha256', hex(vector.private), hex(vector.public));
    if (vector.flags.includes('ZeroSharedSecret')) assert.is(secret, undefined, what(provider, vector));
    else same(secret!, new Writer().mpint(hex(vector.shared)).finish(), what(provider, vector));
  }
});

for (const [file, name, length] of [
  ['ecdh_secp256r1_ecpoint', 'ecdh-sha2-nistp256', 32],
  ['ecdh_secp384r1_ecpoint', 'ecdh-sha2-nistp384', 48],
  ['ecdh_secp521r1_ecpoint', 'ecdh-sha2-nistp521', 66],
] as const) {
  run(file, 300, vector => {
    const secret = hex(vector.private.slice(-2 * length).padStart(2 * length, '0'));
    for (const provider of providers) {
      const shared = agree(provider, name, secret, hex(vector.public));
      // "Acceptable" are compressed points, which we do not take.
      if (vector.result === 'valid')
        same(shared!, new Writer().mpint(hex(vector.shared)).finish(), what(provider, vector));
      else assert.is(shared, undefined, what(provider, vector));
    }
  });
}

/** The portable ML-KEM, and the runtime's where there is one. */
const kems = [portableMlkem768, ...('encapsulate' in crypto ? [nodeMlkem768()] : [])];

run('mlkem_768', 190, vector => {
  // Private keys come from nowhere but our own random source.
  if (vector.seed.length !== 128) return;
  for (const kem of kems) {
    const { publicKey, decapsulate } = kem.generate(fixed(hex(vector.seed)));
    if (vector.ek !== undefined) same(publicKey, hex(vector.ek), `case ${vector.tcId}`);
    const ciphertext = hex(vector.c);
    if (vector.result === 'valid') same(decapsulate(ciphertext), hex(vector.K), `case ${vector.tcId}`);
    // Lengths are the key exchange's to check.
    else assert.is.not(ciphertext.length, kem.ciphertextLength, `case ${vector.tcId}: ${vector.comment}`);
  }
  if (vector.result === 'valid') return;
  for (const provider of providers) {
    const name = 'mlkem768x25519-sha256';
    const x25519 = byName(provider.kex, 'curve25519-sha256')!.initiate(provider.random).init;
    assert.is(
      agree(provider, name, hex(vector.seed), concat(hex(vector.c), x25519)),
      undefined,
      what(provider, vector),
    );
  }
});

run('ed25519', 140, (vector, group) => {
  const blob = new Writer().string('ssh-ed25519').string(hex(group.publicKey.pk)).finish();
  const signature = new Writer().string('ssh-ed25519').string(hex(vector.sig)).finish();
  for (const provider of providers) {
    const verdict = byName(provider.signatures, 'ssh-ed25519')!.verify(blob, hex(vector.msg), signature);
    assert.is(verdict, vector.result === 'valid', what(provider, vector));
  }
});

/** The two numbers of a DER signature as SSH carries them; undefined where the DER itself is what is wrong. */
function sshSignature(der: Uint8Array): Uint8Array | undefined {
  let at = 0;
  const header = (tag: number): number => {
    if (der[at++] !== tag) return -1;
    const length = der[at++];
    if (length < 0x80) return length;
    if (length !== 0x81 || der[at] < 0x80) return -1;
    return der[at++];
  };
  if (header(0x30) !== der.length - at) return undefined;
  const writer = new Writer();
  for (let i = 0; i < 2; i++) {
    const length = header(0x02);
    const bytes = der.subarray(at, at + length);
    if (length < 1 || bytes.length !== length) return undefined;
    // As it stands: an mpint has the same two's complement as a DER INTEGER, zero apart.
    if (length > 1 && bytes[0] === 0 && bytes[1] < 0x80) return undefined;
    writer.string(length === 1 && bytes[0] === 0 ? new Uint8Array(0) : bytes);
    at += length;
  }
  return at === der.length ? writer.finish() : undefined;
}

for (const [file, curve] of [
  ['ecdsa_secp256r1_sha256', 'nistp256'],
  ['ecdsa_secp384r1_sha384', 'nistp384'],
  ['ecdsa_secp521r1_sha512', 'nistp521'],
]) {
  run(file, 450, (vector, group) => {
    const name = `ecdsa-sha2-${curve}`;
    const point = hex(group.publicKey.uncompressed);
    const blob = new Writer().string(name).string(curve).string(point).finish();
    const value = sshSignature(hex(vector.sig));
    if (value === undefined) {
      assert.is(vector.result, 'invalid', `case ${vector.tcId} cannot be told in SSH`);
      return;
    }
    const signature = new Writer().string(name).string(value).finish();
    for (const provider of providers) {
      const verdict = byName(provider.signatures, name)!.verify(blob, hex(vector.msg), signature);
      assert.is(verdict, vector.result === 'valid', what(provider, vector));
    }
  });
}

for (const [file, name] of [
  ['rsa_signature_2048_sha256', 'rsa-sha2-256'],
  ['rsa_signature_2048_sha512', 'rsa-sha2-512'],
  ['rsa_signature_3072_sha256', 'rsa-sha2-256'],
  ['rsa_signature_4096_sha512', 'rsa-sha2-512'],
]) {
  run(file, 250, (vector, group) => {
    const blob = new Writer()
      .string('ssh-rsa')
      .mpint(hex(evened(group.publicKey.publicExponent)))
      .mpint(hex(evened(group.publicKey.modulus)))
      .finish();
    const signature = new Writer().string(name).string(hex(vector.sig)).finish();
    for (const provider of providers) {
      const verdict = byName(provider.signatures, name)!.verify(blob, hex(vector.msg), signature);
      // "Acceptable" is a DigestInfo without NULL, which RFC 8017 tells verifiers to refuse if they compare encodings.
      assert.is(verdict, vector.result === 'valid', what(provider, vector));
    }
  });
}

const evened = (text: string) => (text.length % 2 ? `0${text}` : text);

for (const [file, name] of [
  ['hmac_sha256', 'hmac-sha2-256'],
  ['hmac_sha512', 'hmac-sha2-512'],
]) {
  run(file, 150, (vector, group) => {
    const message = hex(vector.msg);
    // The first four bytes go in as the sequence number; there is no packet without one.
    if (message.length < 4) return;
    const sequence = new DataView(message.buffer, message.byteOffset).getUint32(0);
    for (const provider of providers) {
      const tag = byName(provider.macs, name)!.create(hex(vector.key)).compute(sequence, message, 4, message.length);
      const right = equalBytes(tag.subarray(0, group.tagSize / 8), hex(vector.tag));
      assert.is(right, vector.result === 'valid', what(provider, vector));
    }
  });
}

run('aes_gcm', 200, (vector, group) => {
  if (group.ivSize !== 96 || group.keySize === 192) return;
  const keys = expandKey(hex(vector.key));
  const h = new Uint8Array(16);
  xorKeystream(keys, new Uint32Array(4), h, 0, 16);
  const counter = counterBlock(Uint8Array.of(...hex(vector.iv), 0, 0, 0, 1));
  const tag = new Uint8Array(16);
  xorKeystream(keys, counter, tag, 0, 16);
  const text = hex(vector.ct);
  const aad = hex(vector.aad);
  const lengths = new Uint8Array(16);
  new DataView(lengths.buffer).setUint32(4, aad.length * 8);
  new DataView(lengths.buffer).setUint32(12, text.length * 8);
  const y = new Uint32Array(4);
  for (const part of [aad, text, lengths]) ghash(ghashTable(h), y, part, 0, part.length);
  for (let i = 0; i < 16; i++) tag[i] ^= y[i >> 2] >>> (24 - 8 * (i & 3));
  assert.is(equalBytes(tag, hex(vector.tag)), vector.result === 'valid', `case ${vector.tcId}: ${vector.comment}`);
  if (vector.result !== 'valid') return;
  xorKeystream(keys, counter, text, 0, text.length);
  same(text, hex(vector.msg));
});

test.run();
