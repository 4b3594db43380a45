// Text from a peer made safe to show, and the numbers of RFC 4253 §11.1 and RFC 4254 §5.1.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect, DisconnectError, OpenFailure, ProtocolError, printable } from '../../../src/protocol/errors.ts';

test('printable: letters of any script stay, whatever moves a cursor or hides text goes', () => {
  assert.is(printable('zoë 日本 🙂 a-b_c'), 'zoë 日本 🙂 a-b_c');
  for (const bad of [
    '\0',
    '\n',
    '\r',
    '\t',
    '\x1b',
    '\x7f',
    '\x9b',
    '\u2028',
    '\u2029',
    '\u202e',
    '\u200b',
    '\ufeff',
    '\u2066',
    '\ud800',
    '\u{e0041}',
  ]) {
    assert.is(printable(`a${bad}b`), 'a\uFFFDb', `U+${bad.codePointAt(0)!.toString(16)}`);
  }
});

test('printable: what is too long is cut, and says so', () => {
  assert.is(printable('x'.repeat(200)), 'x'.repeat(200));
  assert.is(printable('x'.repeat(201)), `${'x'.repeat(200)}…`);
  assert.is(printable('abcdef', 3), 'abc…');
});

test('RFC 4253 §11.1: reason codes', () => {
  assert.equal(
    [Disconnect.PROTOCOL_ERROR, Disconnect.KEY_EXCHANGE_FAILED, Disconnect.MAC_ERROR, Disconnect.SERVICE_NOT_AVAILABLE],
    [2, 3, 5, 7],
  );
  assert.equal(
    [
      Disconnect.HOST_NOT_ALLOWED_TO_CONNECT,
      Disconnect.COMPRESSION_ERROR,
      Disconnect.PROTOCOL_VERSION_NOT_SUPPORTED,
      Disconnect.HOST_KEY_NOT_VERIFIABLE,
      Disconnect.CONNECTION_LOST,
      Disconnect.BY_APPLICATION,
      Disconnect.TOO_MANY_CONNECTIONS,
      Disconnect.AUTH_CANCELLED_BY_USER,
      Disconnect.NO_MORE_AUTH_METHODS_AVAILABLE,
      Disconnect.ILLEGAL_USER_NAME,
    ],
    [1, 6, 8, 9, 10, 11, 12, 13, 14, 15],
  );
});

test('RFC 4254 §5.1: reason codes', () => {
  assert.equal(OpenFailure, {
    ADMINISTRATIVELY_PROHIBITED: 1,
    CONNECT_FAILED: 2,
    UNKNOWN_CHANNEL_TYPE: 3,
    RESOURCE_SHORTAGE: 4,
  });
});

test('errors carry their reason and are told apart', () => {
  assert.is(new ProtocolError('x').reason, Disconnect.PROTOCOL_ERROR);
  assert.is(new ProtocolError('x', Disconnect.MAC_ERROR).reason, 5);
  assert.is(new DisconnectError('x').reason, Disconnect.CONNECTION_LOST);
  assert.not.instance(new DisconnectError('x'), ProtocolError);
});

test.run();
