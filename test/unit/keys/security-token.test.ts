// Keys in security tokens (PROTOCOL.u2f): their blobs, files and signatures, the touch, and what a browser puts around a challenge.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  certifiedKey,
  describePublicKey,
  formatPrivateKey,
  formatPublicKey,
  issueCertificate,
  parseCertificate,
  parsePrivateKey,
  parsePublicKey,
  parsePublicKeyBlob,
  publicOf,
} from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName, type SignatureAlgorithm } from '../../../src/crypto/provider.ts';
import { UsageError } from '../../../src/protocol/errors.ts';
import { encodeUtf8, Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { EXTENSIONS, TOUCHED, Token, VERIFIED } from '../../kit/token.ts';
import { providers } from '../crypto/kit.ts';
import { refuses } from './files.ts';

const tokens = [new Token('ed25519'), new Token('ecdsa', 'ssh:work')];
const [onEd25519, onEcdsa] = tokens;
const WEBAUTHN = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com';
const data = encodeUtf8('what is signed');
const algorithms = (name: string): SignatureAlgorithm[] => providers.map(({ signatures }) => byName(signatures, name)!);
const usage = (error: Error) => error instanceof UsageError;

test('public keys: read, written and described like ssh-keygen does', () => {
  for (const token of tokens) {
    const key = parsePublicKeyBlob(token.blob, 'c');
    assert.is(key.type, token.type);
    assert.equal(parsePublicKey(formatPublicKey(key)), key);
    assert.match(describePublicKey(key), token === onEd25519 ? /^256 SHA256:\S+ c \(ED25519-SK\)$/ : /\(ECDSA-SK\)$/);
  }
  const point = new Reader(onEd25519.blob);
  point.string();
  const bytes = point.string();
  const made = (...rest: (string | Uint8Array)[]) => {
    const writer = new Writer().string(onEd25519.type);
    for (const value of rest) writer.string(value);
    return writer.finish();
  };
  refuses(() => parsePublicKeyBlob(made(bytes)), /damaged/);
  refuses(() => parsePublicKeyBlob(made(bytes.subarray(1), 'ssh:')), /32 bytes/);
  refuses(() => parsePublicKeyBlob(made(bytes, 'ssh:', '')), /trailing/);
  refuses(() => parsePublicKeyBlob(made(bytes, 'ssh:\0')), /NUL/);
  refuses(() => parsePublicKeyBlob(made(bytes, Uint8Array.of(0xff))), /UTF-8/);
});

test('private key files hold the handle and the flags, and come back as they were', () => {
  for (const token of tokens) {
    const text = formatPrivateKey(token.privateKey, {}, noble.random);
    const read = parsePrivateKey(text);
    assert.is(read.type, token.type);
    assert.is(read.comment, 'token');
    assert.equal(read.blob, token.blob);
    assert.equal(
      read.fields.map(field => [...field]),
      token.privateKey.fields.map(field => [...field]),
    );
  }
});

test('a signature verifies with both providers, and no changed byte of it, of the key or of the data does', () => {
  for (const token of tokens) {
    const signature = token.sign(data);
    for (const algorithm of algorithms(token.type)) {
      assert.ok(algorithm.verify(token.blob, data, signature));
      assert.not(algorithm.verify(token.blob, encodeUtf8('another'), signature));
      assert.not(algorithm.verify(new Token(token === onEd25519 ? 'ed25519' : 'ecdsa').blob, data, signature));
    }
    const [algorithm] = algorithms(token.type);
    for (let at = 0; at < signature.length; at++) {
      const changed = signature.slice();
      changed[at] ^= 0x40;
      assert.not(algorithm.verify(token.blob, data, changed), `signature byte ${at}`);
      assert.not(algorithm.verify(token.blob, data, signature.subarray(0, at)), `cut to ${at}`);
    }
    assert.not(algorithm.verify(token.blob, data, Uint8Array.from([...signature, 0])));
    // The application is signed too: a token's signature for a web page is none for ssh.
    const key = token.blob.slice();
    key[key.length - 1] ^= 1;
    assert.not(algorithm.verify(key, data, signature));
  }
});

test('a plain signature by the same numbers is none of a token, nor the other way round', () => {
  for (const token of tokens) {
    const signature = token.sign(data);
    for (const { signatures } of providers) {
      for (const other of signatures.filter(({ keyType }) => keyType !== token.type))
        assert.not(other.verify(token.blob, data, signature), `${token.type} by ${other.name}`);
    }
  }
});

test('presence: what the token says, and it is signed', () => {
  for (const token of tokens) {
    const [algorithm] = algorithms(token.type);
    for (const [flags, touched, verified] of [
      [0, false, false],
      [TOUCHED, true, false],
      [VERIFIED, false, true],
      [TOUCHED | VERIFIED, true, true],
      [0xfa, false, false],
    ] as const) {
      const signature = token.sign(data, { flags, counter: 0xfffffffe });
      assert.ok(algorithm.verify(token.blob, data, signature), 'without a touch it is a signature all the same');
      assert.equal(algorithm.presence!(signature), { touched, verified, counter: 0xfffffffe });
    }
    const signature = token.sign(data, { flags: 0 });
    signature[signature.length - 5] = TOUCHED;
    assert.not(algorithm.verify(token.blob, data, signature));
  }
});

test('we do not sign for a token, nor make its keys', () => {
  for (const name of [onEd25519.type, onEcdsa.type, WEBAUTHN]) {
    for (const algorithm of algorithms(name)) {
      assert.throws(() => algorithm.sign(onEcdsa.privateKey, data, noble.random), usage);
      assert.throws(() => algorithm.generate(noble.random), usage);
    }
  }
});

test('with a certificate: the same signature, and the same presence', () => {
  const authority = noble.signatures[0].generate(noble.random);
  for (const token of tokens) {
    const blob = issueCertificate(
      {
        ...{ key: parsePublicKeyBlob(token.blob), kind: 'user', keyId: 'id', principals: ['a'] },
        ...{ validAfter: 0n, validBefore: 1n },
      },
      authority,
      noble,
    );
    const key = certifiedKey(token.privateKey, parseCertificate(blob));
    const signature = token.sign(data, { flags: VERIFIED, counter: 5 });
    for (const algorithm of algorithms(key.type)) {
      assert.ok(algorithm.verify(key.blob, data, signature));
      assert.equal(algorithm.presence!(signature), { touched: false, verified: true, counter: 5 });
    }
    assert.is(publicOf(key).type, key.type);
  }
});

// WebAuthn

const verifyPage = (signature: Uint8Array): boolean => {
  const [first, second] = algorithms(WEBAUTHN).map(algorithm => algorithm.verify(onEcdsa.blob, data, signature));
  assert.is(first, second);
  return first;
};
const challenge = Buffer.from(data).toString('base64url');

test('webauthn: what a browser signs is taken, with and without extensions', () => {
  assert.ok(verifyPage(onEcdsa.signOnPage(data)));
  const extensions = encodeUtf8('CBOR');
  assert.ok(verifyPage(onEcdsa.signOnPage(data, { flags: TOUCHED | EXTENSIONS }, { extensions })));
  const minimal = `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://example.org"}`;
  assert.ok(verifyPage(onEcdsa.signOnPage(data, {}, { clientData: minimal })));
  const signature = onEcdsa.signOnPage(data, { flags: VERIFIED, counter: 9 });
  assert.ok(verifyPage(signature));
  assert.equal(algorithms(WEBAUTHN)[0].presence!(signature), { touched: false, verified: true, counter: 9 });
});

test('webauthn: client data about something else is refused, well signed as it is', () => {
  const page = (clientData: string) => onEcdsa.signOnPage(data, {}, { clientData });
  const other = Buffer.from('another challenge').toString('base64url');
  for (const [what, clientData] of [
    ['another challenge', `{"type":"webauthn.get","challenge":"${other}","origin":"https://example.org"}`],
    ['registration', `{"type":"webauthn.create","challenge":"${challenge}","origin":"https://example.org"}`],
    ['another origin', `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://example.com"}`],
    ['a longer origin', `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://example.org.evil"}`],
    ['another order', `{"challenge":"${challenge}","type":"webauthn.get","origin":"https://example.org"}`],
    ['blanks', `{ "type":"webauthn.get","challenge":"${challenge}","origin":"https://example.org"}`],
    ['padding', `{"type":"webauthn.get","challenge":"${challenge}=","origin":"https://example.org"}`],
    ['nothing', ''],
    ['a beginning', `{"type":"webauthn.get","challenge":"${challenge}"`],
  ])
    assert.not(verifyPage(page(clientData)), what);
});

test('webauthn: the flags must fit what is there, and the origin must not end early', () => {
  const extensions = encodeUtf8('CBOR');
  assert.not(verifyPage(onEcdsa.signOnPage(data, { flags: TOUCHED }, { extensions })), 'extensions without their flag');
  assert.not(verifyPage(onEcdsa.signOnPage(data, { flags: TOUCHED | EXTENSIONS })), 'the flag without extensions');
  assert.not(verifyPage(onEcdsa.signOnPage(data, { flags: TOUCHED | 0x40 })), 'attested data');
  for (const origin of ['https://a","challenge":"x', 'https://a\0b'])
    assert.not(verifyPage(onEcdsa.signOnPage(data, {}, { origin })), origin);
});

test('webauthn: no changed byte is taken', () => {
  const signature = onEcdsa.signOnPage(data, { flags: TOUCHED | EXTENSIONS }, { extensions: encodeUtf8('CBOR') });
  const [algorithm] = algorithms(WEBAUTHN);
  for (let at = 0; at < signature.length; at++) {
    const changed = signature.slice();
    changed[at] ^= 0x40;
    assert.not(algorithm.verify(onEcdsa.blob, data, changed), `byte ${at}`);
  }
});

test('webauthn: as in OpenSSH, the signature’s own type decides, whichever name of its key type it was asked for under', () => {
  const flags = { flags: TOUCHED };
  const page = onEcdsa.signOnPage(data, flags);
  const certified = new Writer()
    .string('webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com')
    .raw(page.subarray(4 + WEBAUTHN.length))
    .finish();
  const other = new Writer()
    .string('webauthn-sk-ecdsa-sha2-nistp256@example.com')
    .raw(page.subarray(4 + WEBAUTHN.length));
  for (const name of [onEcdsa.type, WEBAUTHN])
    for (const algorithm of algorithms(name)) {
      for (const signature of [page, certified, onEcdsa.sign(data, flags)]) {
        assert.ok(algorithm.verify(onEcdsa.blob, data, signature), name);
        assert.is(algorithm.presence!(signature).touched, true);
      }
      assert.not(algorithm.verify(onEcdsa.blob, data, other.finish()));
    }
});

test.run();
