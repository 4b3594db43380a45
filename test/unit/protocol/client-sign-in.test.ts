// Our client's sign-in with servers that are unusual (RFC 4252): their order of methods, their PK_OK, what they say too
// late.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect } from '../../../src/protocol/errors.ts';
import {
  EXT_INFO,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  UNIMPLEMENTED,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_PASSWD_CHANGEREQ,
  USERAUTH_PK_OK,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../../../src/protocol/messages.ts';
import type { Credential } from '../../../src/protocol/userauth/client.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { insecure, insecureKey, seeded } from '../../kit/insecure.ts';
import { payloadOf, RawPeer } from '../../kit/raw-peer.ts';

const nothing = new Uint8Array(0);
const key = insecureKey(Uint8Array.of(5));
const remote: Credential = { method: 'publickey', key, sign: (_data, _name, respond) => respond(new Uint8Array(8)) };
const password: Credential = { method: 'password', password: 'x' };

/** Our client, that has asked which methods there are. */
function begin(...credentials: Credential[]): RawPeer {
  return ask(RawPeer.keyed({ role: 'server', core: { credentials } }));
}

function ask(peer: RawPeer): RawPeer {
  peer.take(SERVICE_REQUEST);
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  assert.is(peer.take(USERAUTH_REQUEST).method, 'none');
  return peer;
}

const wants = (peer: RawPeer, methods: string[], partialSuccess = false): string => {
  peer.send(USERAUTH_FAILURE, { methods, partialSuccess });
  return peer.take(USERAUTH_REQUEST).method;
};

test('a server that wants a password first, or a key first, gets both, whatever order they were given in', () => {
  for (const credentials of [
    [remote, password],
    [password, remote],
  ]) {
    const first = begin(...credentials);
    assert.is(wants(first, ['password']), 'password');
    assert.is(wants(first, ['publickey'], true), 'publickey');
    const second = begin(...credentials);
    assert.is(wants(second, ['publickey']), 'publickey');
    assert.is(wants(second, ['password'], true), 'password');
    second.send(USERAUTH_SUCCESS, {});
    assert.is(second.core.stage, 'connection');
  }
});

test('what was refused is not tried again', () => {
  const peer = begin(password, remote);
  assert.is(wants(peer, ['password']), 'password');
  peer.send(USERAUTH_FAILURE, { methods: ['password'], partialSuccess: false });
  assert.is(peer.heard.at(-1)?.number, 1);
  assert.match(peer.core.error!.message, /tried password; it accepts password/);
});

test('a password that has expired is followed by any other method', () => {
  const answer: Credential = { method: 'keyboard-interactive', answer: (_round, respond) => respond([]) };
  const peer = begin(password, answer);
  assert.is(wants(peer, ['password', 'keyboard-interactive']), 'password');
  peer.send(USERAUTH_PASSWD_CHANGEREQ, { prompt: 'new?', language: nothing });
  assert.is(peer.take(USERAUTH_REQUEST).method, 'keyboard-interactive');
});

test('PK_OK for the key that was asked about is heeded, whatever algorithm it names', () => {
  for (const algorithm of ['ssh-rsa', 'insecure-signature', '']) {
    const peer = begin(remote);
    assert.is(wants(peer, ['publickey']), 'publickey');
    peer.send(USERAUTH_PK_OK, { algorithm, key: key.blob });
    const { data } = peer.take(USERAUTH_REQUEST);
    assert.is(data[0], 1, 'signed');
  }
  const peer = begin(remote);
  wants(peer, ['publickey']);
  peer.send(USERAUTH_PK_OK, { algorithm: 'ssh-rsa', key: new Writer().string('another').finish() });
  peer.disconnected(Disconnect.PROTOCOL_ERROR, /another key/);
});

test('SUCCESS, FAILURE or a banner after sign-in is answered UNIMPLEMENTED, and ends nothing', () => {
  const peer = begin(password);
  peer.send(USERAUTH_SUCCESS, {});
  assert.is(peer.core.stage, 'connection');
  for (let i = 0; i < 20; i++) {
    peer.send(USERAUTH_SUCCESS, {});
    peer.take(UNIMPLEMENTED);
    peer.send(USERAUTH_FAILURE, { methods: ['password'], partialSuccess: false });
    peer.take(UNIMPLEMENTED);
    peer.send(USERAUTH_BANNER, { message: 'late', language: nothing });
    peer.take(UNIMPLEMENTED);
  }
  peer.quiet();
});

test('a second SERVICE_ACCEPT has no effect', () => {
  const peer = begin(password);
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.quiet();
  assert.is(wants(peer, ['password']), 'password');
});

/** Our client with algorithms of these names for the type of `key`, at a server that announces `announced`. */
function choosing(names: readonly string[], credentials: Credential[], announced?: string): RawPeer {
  const provider = insecure(seeded(1).bytes);
  const [only] = provider.signatures;
  // The first is the server's own, too; a type like RSA's is none of its algorithms.
  const signatures = [
    { ...only, name: 'host', keyType: 'host' },
    ...names.map(name => ({ ...only, name, keyType: key.type })),
  ];
  const host = { ...insecureKey(Uint8Array.of(1)), type: 'host', blob: new Writer().string('host').finish() };
  const peer = RawPeer.keyed({
    role: 'server',
    core: { credentials },
    hostKey: host,
    provider: { ...provider, signatures },
  });
  if (announced !== undefined) {
    const extensions = new Writer().string('server-sig-algs').string(announced).finish();
    peer.payload(payloadOf(EXT_INFO, { count: 1, extensions }));
  }
  return ask(peer);
}

/** The algorithms under which it offers its keys to a server that refuses them all; what it says then. */
function offered(peer: RawPeer): string[] {
  const algorithms: string[] = [];
  for (;;) {
    peer.send(USERAUTH_FAILURE, { methods: ['publickey'], partialSuccess: false });
    if (peer.core.error) return [...algorithms, peer.core.error.message.replace(/^.*; /, '')];
    const reader = new Reader(peer.take(USERAUTH_REQUEST).data);
    reader.boolean();
    algorithms.push(reader.name());
  }
}

test('a key is offered under the next of its algorithms where one is refused, and only under those that may do', () => {
  const type = key.type;
  const named = (...algorithms: string[]): Credential => ({ ...remote, algorithms }) as Credential;
  const end = 'it accepts publickey';
  // Of a type that is an algorithm.
  assert.equal(offered(choosing([type, 'web'], [remote])), [type, 'web', end], 'no list');
  assert.equal(offered(choosing([type, 'web'], [remote], `web,${type}`)), [type, end]);
  assert.equal(offered(choosing([type, 'web'], [remote], 'other')), [type, end], 'Conch');
  assert.equal(offered(choosing([type, 'web'], [named('web', type)], `${type},web`)), ['web', type, end]);
  assert.equal(offered(choosing([type, 'web'], [named('web', type)])), ['web', type, end]);
  assert.equal(offered(choosing([type, 'web'], [named('web', type)], type)), [type, end]);
  assert.equal(offered(choosing([type, 'web'], [named('unknown', type)], type)), [type, end]);
  // Of one that is not, such as RSA.
  const local: Credential = { method: 'publickey', key };
  assert.equal(offered(choosing(['sha2', 'sha1'], [local, remote], 'sha1')), ['sha1', 'sha1', end]);
  assert.equal(offered(choosing(['sha2', 'sha1'], [local])), ['sha2', 'sha1', end]);
  assert.match(
    offered(choosing(['sha2', 'sha1'], [remote], 'md5'))[0],
    /signs by sha2 or sha1, and the server takes md5/,
  );
});

test('what an algorithm is refused for is no reason to leave out the next key, nor to sign without being asked', () => {
  const other: Credential = { method: 'publickey', key: insecureKey(Uint8Array.of(6)) };
  const signed: string[] = [];
  const token: Credential = {
    ...{ method: 'publickey', key, algorithms: ['web', key.type] },
    sign: (_data, name, respond) => respond(void signed.push(name) as undefined),
  };
  const peer = choosing([key.type, 'web'], [token, other]);
  wants(peer, ['publickey']);
  peer.send(USERAUTH_FAILURE, { methods: ['publickey'], partialSuccess: false });
  peer.take(USERAUTH_REQUEST);
  assert.equal(signed, []);
  peer.send(USERAUTH_PK_OK, { algorithm: key.type, key: key.blob });
  assert.equal(signed, [key.type]);
  assert.is(peer.take(USERAUTH_REQUEST).data[0], 1, 'the other key, as this one gave no signature');
});

test('keys that were refused are tried again after a partial success, behind the others; what has succeeded is not', () => {
  const keys = [6, 7, 8].map(id => insecureKey(Uint8Array.of(id)));
  const peer = begin(password, ...keys.map((one): Credential => ({ method: 'publickey', key: one })));
  const offers = (methods: string[], partialSuccess: boolean) => {
    peer.send(USERAUTH_FAILURE, { methods, partialSuccess });
    const { method, data } = peer.take(USERAUTH_REQUEST);
    return method === 'password' ? method : keys.findIndex(({ blob }) => Buffer.from(data).includes(Buffer.from(blob)));
  };
  assert.equal(
    [
      offers(['publickey'], false),
      offers(['publickey'], false),
      offers(['password'], false),
      offers(['publickey'], true),
      offers(['publickey'], true),
      offers(['publickey'], false),
    ],
    [0, 1, 'password', 2, 0, 1],
  );
  assert.is(offers(['publickey'], true), 0);
  peer.send(USERAUTH_FAILURE, { methods: ['publickey'], partialSuccess: true });
  assert.match(peer.core.error!.message, /it accepts publickey$/);
});

test.run();
