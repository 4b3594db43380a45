// RFC 4252 §7 and RFC 8332: sign-in by public key. A query proves nothing; a signature has to be right in every part, for every algorithm.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { fingerprint } from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import { Disconnect } from '../../src/protocol/errors.ts';
import { USERAUTH_PK_OK } from '../../src/protocol/messages.ts';
import type { AuthAnswer } from '../../src/protocol/userauth/questions.ts';
import { Reader, Writer } from '../../src/protocol/wire/reader.ts';
import { publicKeys } from '../../src/server/authenticators.ts';
import type { Client } from '../../src/server/server.ts';
import { HOSTBOUND, SignIn, type Signing } from '../kit/sign-in.ts';

const accept: AuthAnswer = { result: 'accept' };
const reject: AuthAnswer = { result: 'reject' };
const hostKey = noble.signatures[0].generate(noble.random);
const types = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'];

const generate = (type: string): PrivateKey =>
  accelerated.signatures.find(({ keyType }) => keyType === type)!.generate(accelerated.random);
const keys = new Map(types.map(type => [type, generate(type)]));
const others = new Map(types.map(type => [type, generate(type)]));

/** Algorithms whose keys we can make here. */
const algorithms = (provider: CryptoProvider) =>
  provider.signatures.filter(({ name, keyType }) => keys.has(keyType) && !name.includes('cert'));

const begin = (provider: CryptoProvider, answer: AuthAnswer = accept) =>
  new SignIn(() => answer, { provider, hostKey });

for (const provider of [noble, accelerated]) {
  for (const { name: algorithm, keyType } of algorithms(provider)) {
    const key = keys.get(keyType)!;
    const title = `${algorithm} (${provider.name})`;

    test(`RFC 4252 §7: ${title}: a signature over this session lets in, and the owner is asked about a proven key`, () => {
      const signIn = begin(provider);
      signIn.signed({ key, algorithm });
      signIn.succeeded();
      assert.equal(signIn.methods, ['publickey']);
      const [question] = signIn.asked;
      assert.ok(question.method === 'publickey');
      assert.is(question.algorithm, algorithm);
      assert.equal(question.key, key.blob);
    });

    test(`RFC 4252 §7: ${title}: a right signature of a key that the owner does not want fails`, () => {
      const signIn = begin(provider, reject);
      signIn.signed({ key, algorithm });
      signIn.failed();
      assert.not(signIn.peer.core.stage === 'connection');
    });

    test(`RFC 4252 §7: ${title}: a query is answered with PK_OK, echoes algorithm and key, and lets nobody in`, () => {
      const signIn = begin(provider);
      signIn.probe(key, algorithm);
      const ok = signIn.peer.take(USERAUTH_PK_OK);
      assert.is(ok.algorithm, algorithm);
      assert.equal(ok.key, key.blob);
      signIn.peer.quiet();
      assert.equal(signIn.methods, ['publickey-query']);
      assert.not(signIn.peer.core.stage === 'connection');
    });

    // One thing wrong at a time; the owner must never hear of it.
    const lies: [string, Omit<Signing, 'key'>][] = [
      ['over another session id', { sessionId: new Uint8Array(32).fill(1) }],
      ['over another user name', { signedUser: 'root' }],
      ['over another service', { signedService: 'ssh-userauth' }],
      ['over another algorithm name', { signedAlgorithm: `${algorithm}x` }],
      ['over another key', { signedKey: others.get(keyType)!.blob }],
      ['by another key', { signer: others.get(keyType)! }],
      ['with a changed byte', { change: changed }],
      ['that is empty', { change: () => new Uint8Array(0) }],
      ['that has only a name', { change: () => new Writer().string(algorithm).finish() }],
      ['of no bytes', { change: () => new Writer().string(algorithm).string('').finish() }],
      ['with bytes behind it', { change: signature => new Writer().raw(signature).byte(0).finish() }],
      ['cut short', { change: signature => signature.subarray(0, -1) }],
      ['under another name', { change: signature => renamed(signature, 'ssh-dss') }],
      ['under the name of the key type with SHA-1', { change: signature => renamed(signature, 'ssh-rsa') }],
    ];
    for (const { name } of algorithms(provider)) {
      if (name !== algorithm) lies.push([`labelled ${name}`, { change: signature => renamed(signature, name) }]);
    }
    for (const [what, lie] of lies) {
      test(`RFC 4252 §7: ${title}: a signature ${what} fails, and nobody is asked`, () => {
        const signIn = begin(provider);
        signIn.signed({ key, algorithm, ...lie });
        signIn.failed();
        assert.equal(signIn.asked, []);
        assert.not(signIn.peer.core.stage === 'connection');
        // The right one still does after that.
        signIn.signed({ key, algorithm });
        signIn.succeeded();
      });
    }

    test(`RFC 4252 §7: ${title}: a signature seen in one session does not open another`, () => {
      const first = begin(provider);
      const second = begin(provider);
      second.signed({ key, algorithm, sessionId: first.peer.sessionId });
      second.failed();
      assert.equal(second.asked, []);
    });
  }

  test(`RFC 8332 §3: keys of one type under the algorithm of another are refused, query and signature alike (${provider.name})`, () => {
    for (const { name: algorithm, keyType } of algorithms(provider)) {
      for (const key of keys.values()) {
        if (key.type === keyType) continue;
        const signWith = algorithms(provider).find(other => other.keyType === key.type)!.name;
        const signIn = begin(provider);
        signIn.probe(key, algorithm);
        signIn.failed();
        signIn.signed({ key, algorithm, signWith });
        signIn.failed();
        signIn.signed({ key, algorithm, signWith, change: signature => renamed(signature, algorithm) });
        signIn.failed();
        assert.equal(signIn.asked, []);
      }
    }
  });

  test(`RFC 8332 §3.1: an RSA key signs with rsa-sha2-256 or rsa-sha2-512, each under its own name only (${provider.name})`, () => {
    const key = keys.get('ssh-rsa')!;
    for (const [algorithm, signWith] of [
      ['rsa-sha2-256', 'rsa-sha2-512'],
      ['rsa-sha2-512', 'rsa-sha2-256'],
    ]) {
      const signIn = begin(provider);
      signIn.signed({ key, algorithm, signWith });
      signIn.failed();
      signIn.signed({ key, algorithm, signWith, change: signature => renamed(signature, algorithm) });
      signIn.failed();
      assert.equal(signIn.asked, []);
    }
  });

  test(`RFC 8332 §3.2: ssh-rsa as an algorithm (SHA-1) is refused, query and signature alike (${provider.name})`, () => {
    const key = keys.get('ssh-rsa')!;
    const signIn = begin(provider);
    signIn.probe(key, 'ssh-rsa');
    signIn.failed();
    signIn.signed({
      key,
      algorithm: 'ssh-rsa',
      signWith: 'rsa-sha2-256',
      change: signature => renamed(signature, 'ssh-rsa'),
    });
    signIn.failed();
    assert.equal(signIn.asked, []);
  });
}

test('RFC 4252 §7: a query of a key that would not do fails', () => {
  const signIn = begin(noble, reject);
  signIn.probe(keys.get('ssh-ed25519')!, 'ssh-ed25519');
  signIn.failed();
});

test('RFC 4252 §7: an algorithm that we do not have fails, and the connection lives', () => {
  const signIn = begin(noble);
  for (const algorithm of ['ssh-dss', 'none', '', 'x@example.com']) {
    signIn.probe(keys.get('ssh-ed25519')!, algorithm);
    signIn.failed();
  }
  assert.equal(signIn.asked, []);
});

test('RFC 4252 §7: a malformed request is a protocol error or a failure, never a question', () => {
  const { blob } = keys.get('ssh-ed25519')!;
  const right = new Writer().boolean(false).string('ssh-ed25519').string(blob).finish();
  for (let length = 0; length < right.length; length++) {
    const signIn = begin(noble);
    signIn.request('publickey', right.subarray(0, length));
    assert.equal(signIn.asked, []);
    assert.ok(signIn.peer.heard.length === 1);
  }
  const signIn = begin(noble);
  signIn.request('publickey', new Writer().raw(right).byte(0).finish());
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR);
  assert.equal(signIn.asked, []);
});

test('RFC 8332: an RSA key whose blob has the type of its signatures, or needless zeros, is the same key; signed as it was sent', () => {
  const key = keys.get('ssh-rsa')!;
  const [, e, n] = (({ blob }) => {
    const reader = new Reader(blob);
    return [reader.name(), reader.mpint(), reader.mpint()] as const;
  })(key);
  const padded = (bytes: Uint8Array) => Uint8Array.of(0, 0, ...bytes);
  for (const provider of [noble, accelerated])
    for (const blob of [
      new Writer().string('rsa-sha2-512').mpint(e).mpint(n).finish(),
      new Writer().string('rsa-sha2-256').mpint(e).mpint(n).finish(),
      new Writer().string('ssh-rsa').string(padded(e)).string(padded(n)).finish(),
    ])
      for (const algorithm of ['rsa-sha2-512', 'rsa-sha2-256']) {
        const signIn = new SignIn(() => accept, { provider, hostKey });
        signIn.probe({ blob }, algorithm);
        const ok = signIn.peer.take(USERAUTH_PK_OK);
        assert.is(ok.algorithm, algorithm);
        assert.equal(ok.key, blob, 'PK_OK repeats what was sent');
        signIn.signed({ key: { ...key, blob }, algorithm, signer: key, signedKey: key.blob });
        signIn.failed();
        signIn.signed({ key: { ...key, blob }, algorithm, signer: key });
        signIn.succeeded();
        for (const question of signIn.asked) assert.equal('key' in question && question.key, key.blob);
      }
});

test('RFC 8332: an RSA key under two names counts once', () => {
  const key = keys.get('ssh-rsa')!;
  const fields = key.blob.subarray(4 + 'ssh-rsa'.length);
  const again = { ...key, blob: new Writer().string('rsa-sha2-512').raw(fields).finish() };
  const core = { methods: ['publickey'], require: [['publickey', 'publickey']] };
  const signIn = new SignIn(() => accept, { provider: accelerated, hostKey, core });
  signIn.signed({ key, algorithm: 'rsa-sha2-512' });
  signIn.failed(['publickey'], true);
  signIn.signed({ key: again, algorithm: 'rsa-sha2-512', signer: key });
  signIn.failed();
});

test('each refusal of a key that nobody is asked about says why, once, with the key', () => {
  const refused: string[] = [];
  const events = {
    authRefused: ({ key, reason }: { key?: Uint8Array; reason: string }) =>
      void refused.push(`${fingerprint(key ?? new Uint8Array(0))} ${reason}`),
  };
  const one = keys.get('ssh-ed25519')!;
  const rsa = keys.get('ssh-rsa')!;
  const weak = {
    blob: new Writer().string('ssh-rsa').mpint(Uint8Array.of(3)).mpint(new Uint8Array(128).fill(255)).finish(),
  };
  const certificate = { blob: new Writer().string('ssh-ed25519-cert-v01@openssh.com').string('cut off').finish() };
  const core = { maxTries: 20 };
  const signIn = new SignIn(() => accept, { provider: noble, hostKey, events, core });
  const expected: [Uint8Array, RegExp][] = [];
  const refuses = (key: { blob: Uint8Array }, reason: RegExp) => {
    signIn.failed();
    expected.push([key.blob, reason]);
  };
  signIn.probe(one, 'ssh-dss');
  refuses(one, /algorithm is not offered/);
  signIn.probe(one, 'ssh-r\u00e9');
  refuses(one, /algorithm is not offered/);
  signIn.probe(rsa, 'ssh-ed25519');
  refuses(rsa, /keys of another type/);
  signIn.probe(weak, 'rsa-sha2-512');
  refuses(weak, /an RSA key of 1024 bits/);
  signIn.signed({ key: { ...rsa, ...weak }, signer: rsa, algorithm: 'rsa-sha2-512' });
  refuses(weak, /an RSA key of 1024 bits/);
  signIn.probe(certificate, 'ssh-ed25519-cert-v01@openssh.com');
  refuses(certificate, /certificate is damaged/);
  signIn.signed({ key: one, signer: others.get('ssh-ed25519') });
  refuses(one, /signature is wrong/);
  signIn.signed({ key: one, method: HOSTBOUND, hostKey: one.blob });
  refuses(one, /another server's host key/);
  assert.is(refused.length, expected.length);
  for (const [i, [blob, reason]] of expected.entries()) {
    assert.ok(refused[i].startsWith(fingerprint(blob)), refused[i]);
    assert.match(refused[i], reason);
  }
  assert.equal(signIn.asked, []);
});

test('RFC 4252 §7: a key blob that is no key never counts as signed for', () => {
  for (const blob of [
    new Uint8Array(0),
    Uint8Array.of(0, 0),
    new Writer().string('ssh-ed25519').finish(),
    new Uint8Array(100),
  ]) {
    const signIn = begin(noble);
    signIn.signed({ key: { ...keys.get('ssh-ed25519')!, blob } });
    assert.not(signIn.methods.includes('publickey'));
    assert.not(signIn.peer.core.stage === 'connection');
  }
});

test('RFC 4252 §7: a query and a proof are two questions: `proven` is never called on a query, nor on a wrong signature', async () => {
  const called: string[] = [];
  const { answer } = publicKeys({
    acceptable: () => called.push('acceptable') > 0,
    proven: () => called.push('proven') > 0,
  });
  const key = keys.get('ssh-ed25519')!;
  const signIn = new SignIn((question, later) => void Promise.resolve(answer(question, {} as Client)).then(later), {
    provider: noble,
    hostKey,
  });
  const turn = () => new Promise(resolve => setImmediate(resolve));
  signIn.probe(key, 'ssh-ed25519');
  await turn();
  signIn.peer.take(USERAUTH_PK_OK);
  signIn.probe(key, 'ssh-ed25519');
  await turn();
  signIn.peer.take(USERAUTH_PK_OK);
  signIn.signed({ key, change: changed });
  await turn();
  signIn.failed();
  assert.equal(called, ['acceptable', 'acceptable']);
  assert.not(signIn.peer.core.stage === 'connection');
  signIn.signed({ key });
  await turn();
  signIn.succeeded();
  assert.equal(called, ['acceptable', 'acceptable', 'proven']);
});

test('RFC 4252 §7: a key that was acceptable as a query is judged anew when it is proven', () => {
  const key = keys.get('ssh-ed25519')!;
  const signIn = new SignIn(({ method }) => (method === 'publickey-query' ? accept : reject), {
    provider: noble,
    hostKey,
  });
  signIn.probe(key, 'ssh-ed25519');
  signIn.peer.take(USERAUTH_PK_OK);
  signIn.signed({ key });
  signIn.failed();
});

test('RFC 4252 §7: the key in a question is a copy, not memory of the packet', () => {
  const key = keys.get('ssh-ed25519')!;
  const signIn = begin(noble);
  signIn.probe(key, 'ssh-ed25519');
  const [question] = signIn.asked;
  assert.ok(question.method === 'publickey-query');
  assert.is(question.key.buffer.byteLength, question.key.length);
});

test(`OpenSSH PROTOCOL §3.1: ${HOSTBOUND} lets in by a signature over our host key, under the name publickey`, () => {
  const key = keys.get('ssh-ed25519')!;
  const signIn = begin(noble);
  signIn.signed({ key, method: HOSTBOUND });
  signIn.succeeded();
  assert.equal(signIn.methods, ['publickey']);
});

test(`OpenSSH PROTOCOL §3.1: ${HOSTBOUND} with another server's key, in the request or under the signature, fails`, () => {
  const key = keys.get('ssh-ed25519')!;
  const { blob } = others.get('ssh-ed25519')!;
  for (const lie of [{ hostKey: blob }, { signedHostKey: blob }, { hostKey: blob, signedHostKey: hostKey.blob }]) {
    const signIn = begin(noble);
    signIn.signed({ key, method: HOSTBOUND, ...lie });
    signIn.failed();
    assert.equal(signIn.asked, []);
  }
});

test(`OpenSSH PROTOCOL §3.1: ${HOSTBOUND} is refused where publickey is`, () => {
  const signIn = new SignIn(() => accept, { provider: noble, hostKey, core: { methods: ['password'] } });
  signIn.signed({ key: keys.get('ssh-ed25519')!, method: HOSTBOUND });
  signIn.failed(['password']);
  assert.equal(signIn.asked, []);
});

function changed(signature: Uint8Array): Uint8Array {
  const copy = signature.slice();
  copy[copy.length - 3] ^= 1;
  return copy;
}

function renamed(signature: Uint8Array, name: string): Uint8Array {
  const reader = new Reader(signature);
  reader.name();
  return new Writer().string(name).string(reader.string()).finish();
}

test.run();
