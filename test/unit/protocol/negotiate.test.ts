// Algorithm negotiation (RFC 4253 §7.1), list by list.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noble } from '../../../src/crypto/noble.ts';
import { Disconnect, ProtocolError } from '../../../src/protocol/errors.ts';
import { guessedWrong, type KexInit, negotiate } from '../../../src/protocol/transport/negotiate.ts';

const offer = (more: Partial<KexInit> = {}): KexInit => ({
  cookie: new Uint8Array(16),
  kex: ['curve25519-sha256', 'ecdh-sha2-nistp256'],
  hostKey: ['ssh-ed25519', 'rsa-sha2-512'],
  cipherClientToServer: ['aes128-ctr', 'aes256-gcm@openssh.com'],
  cipherServerToClient: ['aes128-ctr', 'aes256-gcm@openssh.com'],
  macClientToServer: ['hmac-sha2-256', 'hmac-sha2-512'],
  macServerToClient: ['hmac-sha2-256', 'hmac-sha2-512'],
  compressionClientToServer: ['none', 'zlib'],
  compressionServerToClient: ['none', 'zlib'],
  languageClientToServer: [],
  languageServerToClient: [],
  firstKexPacketFollows: false,
  reserved: 0,
  ...more,
});

const agree = (client: Partial<KexInit>, server: Partial<KexInit> = {}) =>
  negotiate(noble, offer(client), offer(server));
const reversed = (list: readonly string[]) => [...list].reverse();

test("each list by itself: the client's first that the server has, whatever the server's order", () => {
  const { kex, hostKey } = agree({ kex: reversed(offer().kex) });
  assert.is(kex, 'ecdh-sha2-nistp256');
  assert.is(hostKey, 'ssh-ed25519');
  assert.is(agree({}, { kex: reversed(offer().kex) }).kex, 'curve25519-sha256');
  assert.is(agree({ hostKey: ['x', 'rsa-sha2-512', 'ssh-ed25519'] }).hostKey, 'rsa-sha2-512');
});

test('the two directions are two negotiations', () => {
  const { clientToServer, serverToClient } = agree({
    cipherServerToClient: ['aes256-gcm@openssh.com'],
    macClientToServer: ['hmac-sha2-512'],
    compressionServerToClient: ['zlib'],
  });
  assert.equal(clientToServer, { cipher: 'aes128-ctr', mac: 'hmac-sha2-512', compression: 'none' });
  assert.equal(serverToClient, { cipher: 'aes256-gcm@openssh.com', mac: undefined, compression: 'zlib' });
});

test('RFC 5647: with an AEAD cipher the MAC lists do not matter', () => {
  const gcm = ['aes256-gcm@openssh.com'];
  const { clientToServer } = agree({ cipherClientToServer: gcm, macClientToServer: [] });
  assert.is(clientToServer.mac, undefined);
});

for (const list of [
  'kex',
  'hostKey',
  'cipherClientToServer',
  'cipherServerToClient',
  'macClientToServer',
  'macServerToClient',
  'compressionClientToServer',
  'compressionServerToClient',
] as const) {
  test(`${list}: nothing in common is KEY_EXCHANGE_FAILED, and says what either side offers`, () => {
    for (const names of [[], ['what@example.com']]) {
      for (const [client, server] of [
        [{ [list]: names }, {}],
        [{}, { [list]: names }],
      ]) {
        try {
          agree(client, server);
        } catch (error) {
          assert.instance(error, ProtocolError);
          assert.is((error as ProtocolError).reason, Disconnect.KEY_EXCHANGE_FAILED);
          assert.match((error as Error).message, offer()[list][0]);
          assert.match((error as Error).message, names[0] ?? 'none');
          continue;
        }
        assert.unreachable();
      }
    }
  });
}

test('an endless list does not make an endless message', () => {
  try {
    agree({ kex: Array.from({ length: 5000 }, (_, i) => `method-${i}`) });
    assert.unreachable();
  } catch (error) {
    assert.ok((error as Error).message.length < 1500);
  }
});

test('RFC 4253 §7: a guess is wrong if the first kex method or the first host key algorithm differ', () => {
  const guess = { firstKexPacketFollows: true };
  assert.not(guessedWrong(offer(guess), offer()));
  assert.ok(guessedWrong(offer({ ...guess, kex: reversed(offer().kex) }), offer()));
  assert.ok(guessedWrong(offer({ ...guess, hostKey: reversed(offer().hostKey) }), offer()));
  assert.not(guessedWrong(offer({ kex: reversed(offer().kex) }), offer()), 'no packet, no guess');
  assert.not(guessedWrong(offer({ ...guess, cipherClientToServer: ['x'] }), offer()), 'ciphers are no part of it');
});

test.run();
