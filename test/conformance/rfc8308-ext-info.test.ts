// RFC 8308: when EXT_INFO is sent, what it says, and what one may say to us.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import { Disconnect } from '../../src/protocol/errors.ts';
import {
  EXT_INFO,
  GLOBAL_REQUEST,
  REQUEST_FAILURE,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_FAILURE,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../../src/protocol/messages.ts';
import { Reader, Writer } from '../../src/protocol/wire/reader.ts';
import { payloadOf, RawPeer } from '../kit/raw-peer.ts';

const roles = ['client', 'server'] as const;
const nothing = new Uint8Array(0);
const STRICT = 'kex-strict-c-v00@openssh.com';
const STRICT_SERVER = 'kex-strict-s-v00@openssh.com';
const hostKey = noble.signatures[0].generate(noble.random);
const rsa = accelerated.signatures.find(({ name }) => name === 'rsa-sha2-256')!.generate(accelerated.random);

/** The payload of an EXT_INFO. */
function extInfo(...extensions: [string, string | Uint8Array][]): Uint8Array {
  const writer = new Writer();
  for (const [name, value] of extensions) writer.string(name).string(value);
  return payloadOf(EXT_INFO, { count: extensions.length, extensions: writer.finish() });
}

function parsed(peer: RawPeer): Map<string, string> {
  const { count, extensions } = peer.take(EXT_INFO);
  const reader = new Reader(extensions);
  const map = new Map<string, string>();
  for (let i = 0; i < count; i++) map.set(reader.name(), reader.text());
  reader.finish();
  assert.is(map.size, count, 'no name twice');
  return map;
}

test('RFC 8308 §2.1: our client asks for EXT_INFO in its first KEXINIT, and in no other', () => {
  const peer = RawPeer.ready({ role: 'server' });
  assert.not(RawPeer.started({ role: 'client' }).theirs!.kex.includes('ext-info-c'), 'that is the name for clients');
  assert.ok(RawPeer.started({ role: 'server' }).theirs!.kex.includes('ext-info-c'));
  peer.sendKexInit();
  assert.not(peer.theirs!.kex.includes('ext-info-c'));
});

test('RFC 8308 §2.4: to a client that asks, EXT_INFO is the next packet after our first NEWKEYS', () => {
  const peer = RawPeer.started();
  peer.exchange({ kex: ['insecure-kex', 'ext-info-c', STRICT] });
  assert.is(peer.heard[0].sequence, 0, 'strict kex: the first under the new keys');
  const { 'server-sig-algs': _algorithms, ...others } = Object.fromEntries(parsed(peer));
  assert.equal(others, { 'publickey-hostbound@openssh.com': '0', 'ping@openssh.com': '0' });
  peer.quiet();
});

test('OpenSSH PROTOCOL §1.11: to a server that asks, our client says that it hears EXT_INFO during sign-in, in the next packet after NEWKEYS', () => {
  const kex = ['insecure-kex', 'ext-info-s', STRICT_SERVER];
  const peer = RawPeer.keyed({ role: 'server' }, { kex });
  assert.is(peer.heard[0].sequence, 0, 'strict kex: the first under the new keys');
  assert.equal([...parsed(peer)], [['ext-info-in-auth@openssh.com', '0']]);
  peer.take(SERVICE_REQUEST);
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.take(USERAUTH_REQUEST);
  peer.send(USERAUTH_SUCCESS, {});
  peer.exchange({ kex });
  peer.quiet();
});

test('RFC 8308 §2.1: a server that does not ask gets none', () => {
  for (const kex of [['insecure-kex'], ['insecure-kex', 'ext-info-c'], ['insecure-kex', STRICT_SERVER]]) {
    const peer = RawPeer.keyed({ role: 'server' }, { kex });
    peer.take(SERVICE_REQUEST);
    peer.quiet();
  }
});

test('RFC 8308 §2.4: it is sent before the client has sent its NEWKEYS', () => {
  const peer = RawPeer.started();
  peer.sendKexInit({ kex: ['insecure-kex', 'ext-info-c', STRICT] });
  peer.sendInit();
  assert.equal(
    peer.heard.map(({ number }) => number),
    [20, 31, 21, 7],
  );
});

test('RFC 8308 §2.1: a client that does not ask gets none', () => {
  for (const kex of [['insecure-kex'], ['insecure-kex', 'ext-info-s'], ['insecure-kex', STRICT]]) {
    const peer = RawPeer.keyed({}, { kex });
    peer.quiet();
  }
});

test('RFC 8308 §2.4: EXT_INFO is not sent again after a re-exchange', () => {
  const kex = ['insecure-kex', 'ext-info-c', STRICT];
  const peer = RawPeer.keyed({}, { kex });
  parsed(peer);
  peer.askService();
  peer.send(USERAUTH_REQUEST, { user: 'a', service: 'ssh-connection', method: 'none', data: nothing });
  peer.take(USERAUTH_SUCCESS);
  peer.exchange({ kex });
  peer.quiet();
});

test('RFC 8308 §2.4: a client that asks only at a re-exchange gets none', () => {
  const peer = RawPeer.ready();
  peer.exchange({ kex: ['insecure-kex', 'ext-info-c'] });
  peer.quiet();
});

for (const provider of [noble, accelerated]) {
  test(`RFC 8308 §3.1: server-sig-algs names every signature that we verify, RSA with SHA-2 among them, none with SHA-1 (${provider.name})`, () => {
    const peer = RawPeer.started({ provider, hostKey });
    peer.exchange({ kex: ['curve25519-sha256', 'ext-info-c'] });
    const names = parsed(peer).get('server-sig-algs')!.split(',');
    // Algorithms for certificates are no signatures of their own, and OpenSSH does not list them either.
    const own = provider.signatures.filter(({ plain }) => plain === undefined).map(({ name }) => name);
    assert.equal(names.filter(name => own.includes(name)).sort(), own.sort());
    for (const name of ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-256', 'rsa-sha2-512']) {
      assert.ok(names.includes(name), name);
    }
    assert.not(names.includes('ssh-rsa'));
  });
}

for (const role of roles) {
  const keyed = () => {
    const peer = RawPeer.keyed({ role });
    if (role === 'server') peer.take(SERVICE_REQUEST);
    return peer;
  };

  test(`RFC 8308 §2.4: EXT_INFO of a ${role} right after its NEWKEYS is read`, () => {
    const peer = keyed();
    peer.payload(extInfo(['server-sig-algs', 'ssh-ed25519,rsa-sha2-256'], ['no-flow-control', 'p']));
    peer.quiet();
    assert.is(
      Buffer.from(peer.core.transport.extensions.get('server-sig-algs')!).toString(),
      'ssh-ed25519,rsa-sha2-256',
    );
  });

  test(`RFC 8308 §2.5: unknown extensions of a ${role} are ignored, their values may be any bytes`, () => {
    const peer = keyed();
    peer.payload(extInfo(['what@example.com', Uint8Array.of(0, 255, 10, 0)], ['ever', '']));
    peer.payload(extInfo());
    peer.quiet();
  });

  test(`RFC 8308 §2.3: an EXT_INFO of a ${role} whose count and extensions disagree is refused`, () => {
    const one = new Writer().string('a').string('b').finish();
    for (const count of [0, 2, 3, 0xffffffff]) {
      const peer = keyed();
      peer.payload(payloadOf(EXT_INFO, { count, extensions: one }));
      peer.disconnected(Disconnect.PROTOCOL_ERROR);
    }
  });

  test(`an EXT_INFO of a ${role} cannot make us remember more and more`, () => {
    const peer = keyed();
    const value = new Uint8Array(200_000);
    for (let i = 0; i < 1000 && !peer.core.closed; i++) peer.payload(extInfo([`extension-${i}`, value]));
    let held = 0;
    for (const bytes of peer.core.transport.extensions.values()) held += bytes.length;
    assert.ok(held < 1024 * 1024, `${held} bytes`);
  });

  test(`many extensions of a ${role} in one message or in many are not all remembered`, () => {
    const inOne = keyed();
    inOne.payload(extInfo(...Array.from({ length: 2000 }, (_, i): [string, string] => [`e${i}`, ''])));
    assert.is(inOne.core.transport.extensions.size, 64);
    const inMany = keyed();
    for (let i = 0; i < 2000; i++) inMany.payload(extInfo([`e${i}`, '']));
    assert.is(inMany.core.transport.extensions.size, 64);
    const large = keyed();
    for (let i = 0; i < 8; i++) large.payload(extInfo([`e${i}`, 'x'.repeat(10_000)]));
    assert.is(large.core.transport.extensions.size, 3);
    for (const { core } of [inOne, inMany, large]) assert.is(core.error, undefined);
  });
}

test('RFC 8308 §2.4: EXT_INFO of a server just before USERAUTH_SUCCESS is read', () => {
  const peer = RawPeer.keyed({ role: 'server' });
  peer.take(SERVICE_REQUEST);
  peer.payload(extInfo(['server-sig-algs', 'ssh-ed25519']));
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.take(USERAUTH_REQUEST);
  peer.burst(extInfo(['server-sig-algs', 'rsa-sha2-512'], ['x', 'y']), payloadOf(USERAUTH_SUCCESS, {}));
  assert.is(peer.core.stage, 'connection');
  assert.is(Buffer.from(peer.core.transport.extensions.get('server-sig-algs')!).toString(), 'rsa-sha2-512');
  peer.send(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
  peer.take(REQUEST_FAILURE);
  peer.quiet();
});

/** What our client with an RSA key signs with, once the server has said what it verifies; undefined if it does not try. */
function triedWith(...extensions: [string, string][]): string | undefined {
  const peer = RawPeer.keyed({
    role: 'server',
    provider: accelerated,
    hostKey,
    core: { credentials: [{ method: 'publickey', key: rsa }] },
  });
  peer.take(SERVICE_REQUEST);
  if (extensions.length > 0) peer.payload(extInfo(...extensions));
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.take(USERAUTH_REQUEST);
  peer.send(USERAUTH_FAILURE, { methods: ['publickey'], partialSuccess: false });
  if (peer.core.closed) return undefined;
  const { method, data } = peer.take(USERAUTH_REQUEST);
  assert.match(method, /^publickey/);
  const reader = new Reader(data);
  reader.boolean();
  return reader.name();
}

test('RFC 8332 §3.3 and RFC 8308 §3.1: our client signs with what the server says that it verifies', () => {
  assert.is(triedWith(['server-sig-algs', 'ssh-ed25519,rsa-sha2-256']), 'rsa-sha2-256');
  assert.is(triedWith(['server-sig-algs', 'rsa-sha2-512,ssh-rsa']), 'rsa-sha2-512');
  assert.is(triedWith(['server-sig-algs', 'rsa-sha2-256,rsa-sha2-512']), 'rsa-sha2-512', 'our order counts');
});

test('OpenSSH PROTOCOL §1.11: what the server says once it knows the user counts from then on', () => {
  const peer = RawPeer.keyed({
    role: 'server',
    provider: accelerated,
    hostKey,
    core: { credentials: [{ method: 'publickey', key: rsa }] },
  });
  peer.take(SERVICE_REQUEST);
  peer.payload(extInfo(['server-sig-algs', 'rsa-sha2-512,rsa-sha2-256']));
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.take(USERAUTH_REQUEST);
  peer.payload(extInfo(['server-sig-algs', 'rsa-sha2-256']));
  peer.send(USERAUTH_FAILURE, { methods: ['publickey'], partialSuccess: false });
  const reader = new Reader(peer.take(USERAUTH_REQUEST).data);
  reader.boolean();
  assert.is(reader.name(), 'rsa-sha2-256');
});

test('RFC 8332 §3.3: without server-sig-algs our client tries SHA-2 all the same', () => {
  assert.match(triedWith()!, /^rsa-sha2-/);
  assert.match(triedWith(['other', 'x'])!, /^rsa-sha2-/);
});

test('RFC 8332 §3.3: our client never falls back to SHA-1', () => {
  assert.is(triedWith(['server-sig-algs', 'ssh-rsa,ssh-ed25519']), undefined);
});

test.run();
