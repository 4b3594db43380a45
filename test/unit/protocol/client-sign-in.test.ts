// Our client's sign-in with servers that are unusual (RFC 4252): their order of methods, their PK_OK, what they say too late.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect } from '../../../src/protocol/errors.ts';
import {
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
import { Writer } from '../../../src/protocol/wire/reader.ts';
import { insecureKey } from '../../kit/insecure.ts';
import { RawPeer } from '../../kit/raw-peer.ts';

const nothing = new Uint8Array(0);
const key = insecureKey(Uint8Array.of(5));
const remote: Credential = { method: 'publickey', key, sign: (_data, _name, respond) => respond(new Uint8Array(8)) };
const password: Credential = { method: 'password', password: 'x' };

/** Our client, that has asked which methods there are. */
function begin(...credentials: Credential[]): RawPeer {
  const peer = RawPeer.keyed({ role: 'server', core: { credentials } });
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

test.run();
