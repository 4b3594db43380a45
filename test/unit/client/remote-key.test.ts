// Sign-in with a key that signs somewhere else (RFC 4252 §7): asked about first, signed with only if it would do, at once or later.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noble } from '../../../src/crypto/noble.ts';
import { byName, type PrivateKey } from '../../../src/crypto/provider.ts';
import { SERVICE_ACCEPT, USERAUTH_FAILURE, USERAUTH_PK_OK } from '../../../src/protocol/messages.ts';
import { ClientAuth, type Credential, type RemoteKey } from '../../../src/protocol/userauth/client.ts';
import type { AuthQuestion } from '../../../src/protocol/userauth/questions.ts';
import { encode } from '../../../src/protocol/wire/codec.ts';
import { equalBytes } from '../../../src/protocol/wire/reader.ts';
import { Pair } from '../../kit/pair.ts';

const generate = () => byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random);
const [hostKey, right, wrong] = [generate(), generate(), generate()];

type Respond = (signature: Uint8Array | undefined) => void;

/** A remote key that counts how often it is asked to sign; `how` gets the signature and who wants it. */
function remote(key: PrivateKey, how: (signature: Uint8Array, respond: Respond) => void = (s, respond) => respond(s)) {
  const credential: RemoteKey & { asked: string[] } = {
    method: 'publickey',
    key: { type: key.type, blob: key.blob },
    asked: [],
    sign(data, algorithm, respond) {
      this.asked.push(algorithm);
      how(byName(noble.signatures, algorithm)!.sign(key, data, noble.random), respond);
    },
  };
  return credential;
}

/** A client with these credentials and a server that takes the right key. */
function signIn(...credentials: Credential[]) {
  const questions: AuthQuestion[] = [];
  const pair = new Pair({
    provider: noble,
    hostKey,
    client: { credentials },
    serverEvents: {
      auth(question, answer) {
        questions.push(question);
        const isKey = question.method === 'publickey' || question.method === 'publickey-query';
        const known = isKey && equalBytes(question.key, right.blob);
        answer({ result: known ? 'accept' : 'reject' });
      },
    },
  }).start();
  return { pair, questions };
}

test('the server is asked first; only the key that would do is signed with', () => {
  const [no, yes, after] = [remote(wrong), remote(right), remote(right)];
  const { pair, questions } = signIn(no, yes, after);
  assert.is(pair.client.stage, 'connection');
  assert.equal([no.asked, yes.asked, after.asked], [[], ['ssh-ed25519'], []]);
  assert.equal(
    questions.map(({ method }) => method),
    ['none', 'publickey-query', 'publickey-query', 'publickey'],
  );
});

test('the signature may come later; nothing is read meanwhile, and a second answer counts for nothing', () => {
  let finish = () => {};
  const slow = remote(right, (signature, respond) => {
    finish = () => {
      respond(signature);
      respond(signature);
      respond(undefined);
    };
  });
  const { pair } = signIn(slow);
  assert.is(pair.client.stage, 'userauth');
  assert.ok(pair.client.paused);
  finish();
  pair.settle();
  assert.is(pair.client.stage, 'connection');
  assert.is(pair.server.stage, 'connection');
});

test('a key that cannot sign after all gives way to the next, at once or later', () => {
  for (const later of [false, true]) {
    let fail = () => {};
    const broken = remote(right, (_, respond) => {
      fail = () => respond(undefined);
      if (!later) fail();
    });
    const next = remote(right);
    const { pair } = signIn(broken, next);
    if (later) {
      assert.is(pair.client.stage, 'userauth');
      fail();
      pair.settle();
    }
    assert.is(pair.client.stage, 'connection');
    assert.is(next.asked.length, 1);
  }
});

test('when the last key cannot sign, the reason says what was tried', () => {
  for (const later of [false, true]) {
    let fail = () => {};
    const { pair } = signIn(
      remote(right, (_, respond) => {
        fail = () => respond(undefined);
        if (!later) fail();
      }),
    );
    if (later) fail();
    assert.match(
      String(pair.client.error?.message),
      /refused alice: tried publickey ssh-ed25519; it accepts publickey/,
    );
  }
});

test('a wrong signature is refused, and the next key is tried', () => {
  const forged = remote(right, (signature, respond) => {
    signature[signature.length - 1] ^= 1;
    respond(signature);
  });
  const { pair } = signIn(forged, { method: 'publickey', key: right });
  assert.is(pair.client.stage, 'connection');
  assert.is(forged.asked.length, 1);
});

test('an answer that comes when the connection is over is ignored', () => {
  let finish = () => {};
  const { pair } = signIn(
    remote(right, (signature, respond) => {
      finish = () => respond(signature);
    }),
  );
  pair.client.disconnect();
  finish();
  pair.settle();
  assert.is(pair.client.stage, 'userauth');
});

test('a server that answers for another key gets no signature; what it calls the algorithm is of no concern', () => {
  for (const [algorithm, key, message] of [
    ['ssh-ed25519', wrong.blob, /answers for another key/],
    ['ssh-rsa', right.blob, undefined],
    ['ssh-ed25519', right.blob, undefined],
  ] as const) {
    const credential = remote(right);
    const auth = new ClientAuth(
      {
        ...{ provider: noble, user: 'alice', credentials: [credential], prompt() {}, ask() {} },
        sign: (key, data, name, respond) => key.sign(data, name, respond),
      },
      { sessionId: new Uint8Array(32), hostKey: hostKey.blob, extensions: new Map(), send() {} },
    );
    auth.start();
    auth.receive(encode(SERVICE_ACCEPT, { service: 'ssh-userauth' }));
    auth.receive(encode(USERAUTH_FAILURE, { methods: ['publickey'], partialSuccess: false }));
    const answer = () => auth.receive(encode(USERAUTH_PK_OK, { algorithm, key }));
    if (message) assert.throws(answer, message);
    else answer();
    assert.is(credential.asked.length, message ? 0 : 1);
    // Nobody asked a second time.
    assert.throws(answer);
  }
});

test.run();
