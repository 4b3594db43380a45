// RFC 4253 §4.2 and §5: identification lines, both roles.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect, ProtocolError } from '../../src/protocol/errors.ts';
import { KEXINIT } from '../../src/protocol/messages.ts';
import { RawPeer } from '../kit/raw-peer.ts';

const roles = ['client', 'server'] as const;

/** A peer that has said only `text` so far. */
function saying(text: string, role: 'client' | 'server' = 'client'): RawPeer {
  const peer = RawPeer.fresh({ role });
  peer.text(text);
  return peer;
}

/** The core has refused, as not speaking SSH-2. */
function refused(peer: RawPeer): void {
  const { error } = peer.core;
  assert.instance(error, ProtocolError);
  assert.is((error as ProtocolError).reason, Disconnect.PROTOCOL_VERSION_NOT_SUPPORTED);
}

for (const role of roles) {
  const who = role === 'client' ? "a client's" : "a server's";

  test(`RFC 4253 §4.2: our line begins with SSH-2.0-, ends with CR LF and has at most 255 bytes (to ${who})`, () => {
    const peer = new RawPeer({ role });
    peer.core.start();
    const bytes = Buffer.concat(peer.core.takeOutput());
    const end = bytes.indexOf('\r\n');
    assert.match(bytes.subarray(0, end).toString('latin1'), /^SSH-2\.0-[!-,.-~]+( [ -~]+)?$/);
    assert.ok(end + 2 <= 255);
  });

  test(`RFC 4253 §4.2: ${who} line ends with CR LF`, () => {
    const peer = saying('SSH-2.0-raw_1.0 some comment\r\n', role);
    assert.is(peer.core.transport.peerIdent, 'SSH-2.0-raw_1.0 some comment');
    peer.take(KEXINIT);
    peer.quiet();
  });

  test(`RFC 4253 §4.2: ${who} line may end with LF alone, for the sake of old implementations`, () => {
    assert.is(saying('SSH-2.0-raw\n', role).core.transport.peerIdent, 'SSH-2.0-raw');
  });

  test(`RFC 4253 §4.2: ${who} line may come byte by byte, with packets right behind it`, () => {
    const peer = RawPeer.fresh({ role });
    for (const byte of 'SSH-2.0-raw\r') peer.text(byte);
    assert.is(peer.core.transport.peerIdent, '');
    peer.bytes(Buffer.concat([Buffer.from('\n'), peer.frame(peer.kexInit())]));
    assert.is(peer.core.transport.peerIdent, 'SSH-2.0-raw');
    peer.take(KEXINIT);
    peer.finishExchange();
    assert.is(peer.core.transport.exchanges, 1);
  });

  test(`RFC 4253 §4.2: ${who} line of 255 bytes is read, one of 256 is refused`, () => {
    const longest = `SSH-2.0-${'x'.repeat(255 - 8 - 2)}`;
    assert.is(saying(`${longest}\r\n`, role).core.transport.peerIdent, longest);
    refused(saying(`${longest}x\r\n`, role));
  });

  test(`RFC 4253 §5.1: ${who} version 1.99 counts as 2.0`, () => {
    const peer = saying('SSH-1.99-raw\r\n', role);
    peer.ident = 'SSH-1.99-raw';
    peer.exchange();
    assert.is(peer.core.transport.exchanges, 1);
  });

  for (const line of [
    'SSH-1.5-raw',
    'SSH-1.0-raw',
    'SSH-3.0-raw',
    'SSH-2.0',
    'SSH-2.0-',
    'SSH-2.1-raw',
    'SSH-',
    'SSH-2x0-raw',
  ]) {
    test(`RFC 4253 §4.2: ${who} line "${line}" is refused`, () => refused(saying(`${line}\r\n`, role)));
  }

  test(`as OpenSSH: NUL, and CR that ends no line, in ${who} line are refused`, () => {
    for (const bad of ['\0', '\r']) refused(saying(`SSH-2.0-ra${bad}w\r\n`, role));
  });

  test(`as OpenSSH: other bytes in ${who} line go into the exchange hash as they came, and are not shown`, () => {
    const peer = RawPeer.fresh({ role });
    peer.ident = 'SSH-2.0-räw \x1b[2J\x7f';
    peer.bytes(new Uint8Array(Buffer.from(`${peer.ident}\r\n`)));
    assert.match(peer.core.transport.peerIdent, /^SSH-2\.0-r\ufffd+w \ufffd\[2J\ufffd$/);
    peer.exchange();
    assert.is(peer.core.transport.exchanges, 1);
    assert.is(peer.core.error, undefined);
  });
}

test('RFC 4253 §4.2: a server may send other lines before its identification', () => {
  const peer = saying('Authorised use only.\r\n\r\nSo there.\nSSH-2.0-raw\r\n', 'server');
  assert.is(peer.core.transport.peerIdent, 'SSH-2.0-raw');
  peer.exchange();
  assert.is(peer.core.transport.exchanges, 1);
});

test('RFC 4253 §4.2: lines before the identification may be longer than 255 bytes, and come in pieces', () => {
  const peer = RawPeer.fresh({ role: 'server' });
  for (const piece of ['x'.repeat(600), 'y\r', '\nSS', 'H-2.0-r', 'aw\r', '\n']) peer.text(piece);
  assert.is(peer.core.transport.peerIdent, 'SSH-2.0-raw');
});

test('RFC 4253 §4.2: a client may not send other lines first', () => {
  refused(saying('hello\r\n'));
  refused(saying('GET / HTTP/1.1\r\n'));
});

test('a client that sends no line end is refused as soon as its line is too long', () => {
  const peer = saying('x'.repeat(254));
  assert.is(peer.core.error, undefined);
  peer.text('xx');
  refused(peer);
});

test('a server that greets for ever is refused', () => {
  const peer = RawPeer.fresh({ role: 'server' });
  let lines = 0;
  while (!peer.core.closed && lines < 100_000) {
    peer.text('\r\n'.repeat(16));
    lines += 16;
  }
  refused(peer);
  assert.ok(lines < 20_000);
});

test('one who does not speak SSH is told so in a line of text, not in packets', () => {
  const { coreText } = saying('GET / HTTP/1.1\r\n');
  assert.match(coreText, /^[ -~]+\r\n$/);
  assert.match(coreText, /does not speak SSH-2/);
});

test('what a peer sends instead of an identification is shown without its control characters', () => {
  const peer = saying('\x1b[2Jboo\r\n');
  assert.not.match(peer.core.error!.message, /\x1b/);
});

test.run();
