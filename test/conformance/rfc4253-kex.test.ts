// RFC 4253 §7: KEXINIT, negotiation, guesses, and what may come while keys are exchanged; strict kex (OpenSSH PROTOCOL §1.10).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import { Disconnect } from '../../src/protocol/errors.ts';
import {
  DEBUG,
  GLOBAL_REQUEST,
  IGNORE,
  KEX_ECDH_INIT,
  KEX_ECDH_REPLY,
  KEXINIT,
  NEWKEYS,
  REQUEST_FAILURE,
  SERVICE_REQUEST,
  UNIMPLEMENTED,
  USERAUTH_REQUEST,
} from '../../src/protocol/messages.ts';
import type { HostKeyQuestion } from '../../src/protocol/transport/kex.ts';
import { concat, Writer } from '../../src/protocol/wire/reader.ts';
import { insecure, seeded } from '../kit/insecure.ts';
import { type Init, initOf, payloadOf, RawPeer, type RawPeerOptions } from '../kit/raw-peer.ts';

const roles = ['client', 'server'] as const;
type Role = (typeof roles)[number];
const nothing = new Uint8Array(0);
const KEX = 'insecure-kex';
const SIGNATURE = 'insecure-signature';
const STRICT = { client: 'kex-strict-c-v00@openssh.com', server: 'kex-strict-s-v00@openssh.com' };
const ignore = payloadOf(IGNORE, { data: nothing });
const service = payloadOf(SERVICE_REQUEST, { service: 'ssh-userauth' });

/** Exchanges keys and shows that they work in both directions. */
function finish(peer: RawPeer): void {
  peer.finishExchange();
  if (peer.role === 'client') peer.askService();
  else peer.take(SERVICE_REQUEST);
  peer.quiet();
}

/** Another provider's offer: what has no common element is refused. */
const lists: readonly (keyof Init)[] = [
  'kex',
  'hostKey',
  'cipherClientToServer',
  'cipherServerToClient',
  'compressionClientToServer',
  'compressionServerToClient',
];

for (const role of roles) {
  test(`RFC 4253 §7.1: our KEXINIT offers what we have, and no guess (to a ${role})`, () => {
    const peer = RawPeer.started({ role, provider: noble, hostKey: noble.signatures[0].generate(noble.random) });
    const init = peer.take(KEXINIT);
    assert.equal(
      init.cipherClientToServer,
      noble.ciphers.map(({ name }) => name),
    );
    assert.equal(init.cipherServerToClient, init.cipherClientToServer);
    assert.ok(init.compressionClientToServer.includes('none'), 'RFC 4253 §6.2: REQUIRED');
    assert.ok(init.compressionServerToClient.includes('none'));
    assert.equal(init.languageClientToServer, []);
    assert.is(init.firstKexPacketFollows, false);
    assert.is(init.reserved, 0);
    if (role === 'client') assert.equal(init.hostKey, ['ssh-ed25519'], 'only what our host keys can sign');
  });

  test(`RFC 4253 §7.1: the cookie is random (to a ${role})`, () => {
    const random = seeded(5).bytes;
    const cookies = [0, 1].map(() => RawPeer.started({ role, provider: insecure(random) }).take(KEXINIT).cookie);
    assert.not.equal(cookies[0], cookies[1]);
  });

  for (const list of lists) {
    test(`RFC 4253 §7.1: no common name in ${list} of a ${role} ends with KEY_EXCHANGE_FAILED`, () => {
      for (const names of [[], ['unheard-of']]) {
        const peer = RawPeer.started({ role });
        peer.sendKexInit({ [list]: names });
        peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED, /no common/);
      }
    });
  }

  for (const list of ['macClientToServer', 'macServerToClient'] as const) {
    test(`RFC 4253 §7.1: no common name in ${list} of a ${role} is an error only for ciphers that need a MAC`, () => {
      const begin = (cipher: string) => {
        const peer = RawPeer.started({ role, provider: noble, hostKey: noble.signatures[0].generate(noble.random) });
        peer.sendKexInit({ cipherClientToServer: [cipher], cipherServerToClient: [cipher], [list]: [] });
        return peer;
      };
      begin('aes128-ctr').disconnected(Disconnect.KEY_EXCHANGE_FAILED, /no common MAC/);
      for (const cipher of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com']) {
        assert.is(begin(cipher).core.error, undefined, cipher);
      }
    });
  }

  test(`RFC 8308 §2.2: markers in the kex list are never taken for methods (${role})`, () => {
    for (const marker of [STRICT.client, STRICT.server, 'ext-info-c', 'ext-info-s']) {
      const peer = RawPeer.started({ role });
      peer.sendKexInit({ kex: [marker] });
      peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED, /no common key exchange/);
    }
    // First in the list, and the other side has it too: the method behind them is what counts.
    const peer = RawPeer.started({ role });
    peer.sendKexInit({ kex: [STRICT.client, STRICT.server, 'ext-info-c', 'ext-info-s', KEX] });
    peer.take(KEXINIT);
    peer.finishExchange();
    assert.is(peer.core.transport.negotiated!.kex, KEX);
  });

  test(`RFC 4253 §7.1: unknown names before and after ours, and language lists, do no harm (${role})`, () => {
    const peer = RawPeer.started({ role });
    const around = (name: string) => ['what', name, 'ever'];
    peer.sendKexInit({
      kex: around(KEX),
      hostKey: around(SIGNATURE),
      cipherClientToServer: around('none'),
      cipherServerToClient: around('none'),
      compressionClientToServer: around('none'),
      compressionServerToClient: around('none'),
      languageClientToServer: ['de', 'en'],
      languageServerToClient: ['fr'],
    });
    peer.take(KEXINIT);
    finish(peer);
  });

  test(`RFC 4253 §7.1: the reserved uint32 of a ${role}'s KEXINIT is part of the exchange hash, whatever its value`, () => {
    const peer = RawPeer.started({ role });
    peer.sendKexInit({ reserved: 0xdeadbeef });
    peer.take(KEXINIT);
    finish(peer);
  });

  test(`as OpenSSH: empty names of a ${role}'s KEXINIT are skipped, and others than printable US-ASCII are merely unknown`, () => {
    for (const names of [
      ['', 'none'],
      ['none', ''],
      ['a', '', '', 'none'],
      ['é', '\x1b[2J', 'a\0b', 'none'],
      ['none\0'],
    ]) {
      const peer = RawPeer.started({ role });
      peer.take(KEXINIT);
      const languages = { languageClientToServer: ['', 'é'], languageServerToClient: ['x', ''] };
      const init = { ...initOf(peer.provider, STRICT[role]), ...languages, cipherClientToServer: names };
      peer.payload(payloadOf(KEXINIT, init));
      assert.is(peer.core.transport.negotiated?.clientToServer.cipher, 'none', names.join());
      assert.is(peer.core.error, undefined);
    }
  });

  test(`a ${role} that offers names which nobody has is told which, in characters that can be shown`, () => {
    for (const names of [[''], ['é'], ['\x1b[2J', '']]) {
      const peer = RawPeer.started({ role });
      peer.sendKexInit({ cipherClientToServer: names });
      peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED, /^no common cipher: [^\x00-\x1f\x80-\xff]*$/);
    }
  });

  // Guesses.

  const wrongGuesses: readonly [string, Partial<Init>][] = [
    ['kex method', { kex: ['other', KEX, STRICT[role]] }],
    ['host key algorithm', { hostKey: ['other', SIGNATURE] }],
  ];
  for (const [what, init] of wrongGuesses) {
    test(`RFC 4253 §7: a packet that follows a wrong guess of the ${what} is ignored (${role})`, () => {
      const peer = RawPeer.started({ role });
      peer.take(KEXINIT);
      const number = role === 'client' ? KEX_ECDH_INIT.number : KEX_ECDH_REPLY.number;
      peer.sendKexInit({ ...init, firstKexPacketFollows: true });
      peer.payload(concat(Uint8Array.of(number), new Uint8Array(40)));
      finish(peer);
    });

    test(`RFC 4253 §7: so it is whatever kex message it is, in one chunk or several (${role}, ${what})`, () => {
      for (const number of [30, 31, 32, 34, 49]) {
        const peer = RawPeer.started({ role });
        peer.take(KEXINIT);
        peer.burst(peer.kexInit({ ...init, firstKexPacketFollows: true }), Uint8Array.of(number, 1, 2, 3));
        finish(peer);
      }
    });

    test(`RFC 4253 §7: only one packet is ignored (${role}, ${what})`, () => {
      const peer = RawPeer.started({ role });
      peer.sendKexInit({ ...init, firstKexPacketFollows: true });
      peer.payload(Uint8Array.of(30, 1));
      peer.payload(Uint8Array.of(role === 'client' ? 31 : 30, 1));
      peer.disconnected(Disconnect.PROTOCOL_ERROR);
    });

    test(`RFC 4253 §7: it must be a kex message (${role}, ${what})`, () => {
      for (const payload of [service, Uint8Array.of(50), Uint8Array.of(94), Uint8Array.of(NEWKEYS.number)]) {
        const peer = RawPeer.started({ role });
        peer.sendKexInit({ ...init, firstKexPacketFollows: true });
        peer.payload(payload);
        peer.disconnected(Disconnect.PROTOCOL_ERROR);
      }
    });
  }

  test(`RFC 4253 §7: a wrong guess is ignored at a re-exchange, too (${role})`, () => {
    const peer = RawPeer.ready({ role });
    peer.sendKexInit({ kex: ['other', KEX], firstKexPacketFollows: true });
    peer.take(KEXINIT);
    peer.payload(Uint8Array.of(30, 1, 2, 3));
    peer.finishExchange();
    peer.quiet();
  });

  test(`RFC 4253 §7: without the flag nothing is ignored (${role})`, () => {
    const peer = RawPeer.started({ role });
    peer.sendKexInit({ kex: ['other', KEX] });
    peer.payload(Uint8Array.of(30, 1, 2, 3));
    peer.disconnected(Disconnect.PROTOCOL_ERROR);
  });

  // What may come, and what may not.

  for (const [name, payload] of [
    ['SERVICE_REQUEST', service],
    ['EXT_INFO', Uint8Array.of(7, 0, 0, 0, 0)],
    ['NEWKEYS', Uint8Array.of(21)],
    ['KEX_ECDH_INIT', Uint8Array.of(30, 0, 0, 0, 0)],
    ['KEX_ECDH_REPLY', Uint8Array.of(31, 0, 0, 0, 0)],
  ] as const) {
    test(`as OpenSSH: ${name} of a ${role} before its KEXINIT is not known, and a strict exchange does not begin with it`, () => {
      const peer = RawPeer.started({ role });
      peer.take(KEXINIT);
      peer.payload(payload);
      assert.is(peer.take(UNIMPLEMENTED).sequence, 0);
      peer.sendKexInit({ kex: [KEX] });
      if (role === 'server') peer.take(KEX_ECDH_INIT);
      peer.quiet();
      const strict = RawPeer.started({ role });
      strict.payload(payload);
      strict.sendKexInit();
      strict.disconnected(Disconnect.PROTOCOL_ERROR, /strict kex/);
    });

    test(`as OpenSSH: ${name} of a ${role} where no keys are exchanged has no effect`, () => {
      if (payload[0] < 20) return;
      const peer = RawPeer.ready({ role });
      const { sendSequence } = peer;
      peer.payload(payload);
      assert.is(peer.take(UNIMPLEMENTED).sequence, sendSequence);
      peer.exchange();
      peer.quiet();
    });
  }

  for (const [name, payload] of [
    ['USERAUTH_REQUEST', Uint8Array.of(USERAUTH_REQUEST.number, 0)],
    ['CHANNEL_DATA', Uint8Array.of(94, 0, 0, 0, 0, 0, 0, 0, 0)],
  ] as const) {
    test(`RFC 4253 §7: ${name} of a ${role} before its KEXINIT is refused`, () => {
      const peer = RawPeer.started({ role });
      peer.payload(payload);
      peer.disconnected(Disconnect.PROTOCOL_ERROR);
    });
  }

  for (const number of [5, 6, 7, 20, 21, 50, 61, 80, 94, 200]) {
    test(`RFC 4253 §7.1: message ${number} of a ${role} right after its KEXINIT is refused`, () => {
      // What is for the layers above counts under the old keys, if there are any.
      for (const begin of number < 50 ? [RawPeer.started, RawPeer.ready] : [RawPeer.started]) {
        const peer = begin({ role });
        peer.sendKexInit();
        peer.payload(Uint8Array.of(number, 0, 0, 0, 0));
        peer.disconnected(Disconnect.PROTOCOL_ERROR);
      }
    });
  }

  test(`OpenSSH: what a ${role} still says under the old keys in a second exchange is heard, and answered under the new ones`, () => {
    const asks = payloadOf(GLOBAL_REQUEST, { type: 'x@example.com', wantReply: true, data: nothing });
    const peer = RawPeer.ready({ role });
    peer.sendKexInit();
    peer.payload(asks);
    peer.take(KEXINIT);
    peer.keyExchange();
    peer.take(NEWKEYS);
    peer.payload(asks);
    peer.sendNewKeys();
    assert.equal(
      peer.heard.map(({ number }) => number),
      [REQUEST_FAILURE.number, REQUEST_FAILURE.number],
    );
    peer.heard = [];
    peer.quiet();
  });

  for (const number of [5, 30, 31, 49]) {
    test(`RFC 4253 §7.3: message ${number} of a ${role} in place of its NEWKEYS is refused`, () => {
      const peer = RawPeer.ready({ role });
      peer.sendKexInit();
      peer.take(KEXINIT);
      peer.keyExchange();
      peer.take(NEWKEYS);
      peer.payload(Uint8Array.of(number, 0, 0, 0, 0));
      peer.disconnected(Disconnect.PROTOCOL_ERROR);
    });
  }

  test(`RFC 4253 §7.3: NEWKEYS has no fields (${role})`, () => {
    const peer = RawPeer.ready({ role });
    peer.sendKexInit();
    peer.take(KEXINIT);
    if (role === 'client') peer.sendInit();
    else peer.sendReply();
    peer.payload(Uint8Array.of(NEWKEYS.number, 0));
    peer.disconnected(Disconnect.PROTOCOL_ERROR);
  });

  test(`RFC 4253 §7.1: IGNORE, DEBUG and UNIMPLEMENTED are tolerated at every point of an exchange that is not strict (${role})`, () => {
    const some = [
      ignore,
      payloadOf(DEBUG, { display: false, message: '', language: nothing }),
      payloadOf(UNIMPLEMENTED, { sequence: 0 }),
    ];
    const peer = RawPeer.started({ role });
    peer.burst(...some);
    peer.sendKexInit({ kex: [KEX] });
    peer.take(KEXINIT);
    peer.burst(...some);
    peer.keyExchange();
    peer.take(NEWKEYS);
    peer.burst(...some);
    peer.sendNewKeys();
    peer.burst(...some);
    assert.not(peer.core.transport.strict);
    if (role === 'server') peer.take(SERVICE_REQUEST);
    peer.quiet();
  });

  // Strict kex.

  test(`strict kex: offered in our first KEXINIT, and in no other (to a ${role})`, () => {
    const other = role === 'client' ? STRICT.server : STRICT.client;
    const peer = RawPeer.started({ role });
    assert.ok(peer.theirs!.kex.includes(other));
    assert.is(peer.theirs!.kex.indexOf(other), peer.theirs!.kex.length - 1, 'behind every method');
    const ready = RawPeer.ready({ role });
    ready.sendKexInit();
    assert.not(ready.theirs!.kex.includes(other));
  });

  test(`strict kex: only the right marker of the ${role} switches it on`, () => {
    const wrong = role === 'client' ? STRICT.server : STRICT.client;
    const peer = RawPeer.keyed({ role }, { kex: [KEX, wrong] });
    assert.not(peer.core.transport.strict);
  });

  test(`strict kex: the marker in a later KEXINIT does not count (${role})`, () => {
    const peer = RawPeer.ready({ role }, { kex: [KEX] });
    peer.exchange({ kex: [KEX, STRICT[role]] });
    assert.not(peer.core.transport.strict);
    peer.payload(Uint8Array.of(200));
    peer.take(UNIMPLEMENTED);
    peer.quiet();
  });

  test(`strict kex: KEXINIT must be the first packet of a ${role}`, () => {
    for (const first of [
      ignore,
      Uint8Array.of(200),
      payloadOf(DEBUG, { display: false, message: '', language: nothing }),
    ]) {
      const peer = RawPeer.started({ role });
      peer.payload(first);
      assert.is(peer.core.error, undefined);
      peer.sendKexInit();
      peer.disconnected(Disconnect.PROTOCOL_ERROR, /strict/);
    }
  });

  for (const [name, payload] of [
    ['IGNORE', ignore],
    ['DEBUG', payloadOf(DEBUG, { display: false, message: '', language: nothing })],
    ['UNIMPLEMENTED', payloadOf(UNIMPLEMENTED, { sequence: 0 })],
    ['an unknown message', Uint8Array.of(200)],
    ['EXT_INFO', Uint8Array.of(7, 0, 0, 0, 0)],
  ] as const) {
    test(`strict kex: ${name} of a ${role} anywhere in the first exchange ends it`, () => {
      const early = RawPeer.started({ role });
      early.sendKexInit();
      early.payload(payload);
      early.disconnected(Disconnect.PROTOCOL_ERROR);

      const late = RawPeer.started({ role });
      late.sendKexInit();
      if (role === 'client') late.sendInit();
      else late.sendReply();
      late.payload(payload);
      late.disconnected(Disconnect.PROTOCOL_ERROR);
    });
  }

  test(`strict kex: IGNORE of a ${role} is tolerated again after the first exchange, and within later ones`, () => {
    const peer = RawPeer.ready({ role });
    peer.payload(ignore);
    peer.sendKexInit();
    peer.payload(ignore);
    peer.take(KEXINIT);
    peer.keyExchange();
    peer.payload(ignore);
    peer.take(NEWKEYS);
    peer.sendNewKeys();
    peer.payload(ignore);
    peer.quiet();
  });

  test(`strict kex: both sequence numbers are 0 right after each NEWKEYS (${role})`, () => {
    const peer = RawPeer.ready({ role });
    for (let round = 0; round < 2; round++) {
      peer.exchange();
      peer.payload(Uint8Array.of(200));
      const [{ sequence }] = peer.heard;
      assert.is(sequence, 0, 'of what we hear; real ciphers would not open it otherwise');
      assert.is(peer.take(UNIMPLEMENTED).sequence, 0, 'of what we say');
    }
  });
}

test("RFC 4253 §7.1: the first of the client's names that the server has is chosen, for each direction by itself", () => {
  const hostKey = noble.signatures[0].generate(noble.random);
  for (const role of roles) {
    const peer = RawPeer.ready(
      { role, provider: noble, hostKey },
      {
        kex: ['nothing', 'ecdh-sha2-nistp256', 'curve25519-sha256'],
        cipherClientToServer: ['nothing', 'aes256-ctr', 'chacha20-poly1305@openssh.com'],
        cipherServerToClient: ['aes128-gcm@openssh.com', 'aes256-ctr'],
        macClientToServer: ['hmac-sha2-512', 'hmac-sha2-256-etm@openssh.com'],
      },
    );
    const { kex, clientToServer, serverToClient } = peer.core.transport.negotiated!;
    if (role === 'client') {
      assert.is(kex, 'ecdh-sha2-nistp256');
      assert.equal(clientToServer, { cipher: 'aes256-ctr', mac: 'hmac-sha2-512', compression: 'none' });
    } else {
      // Here the core is the client, so that the order is that of its provider.
      const first = (list: readonly { name: string }[], names: string[]) =>
        list.find(({ name }) => names.includes(name))!.name;
      assert.is(kex, first(noble.kex, ['ecdh-sha2-nistp256', 'curve25519-sha256']));
      assert.is(clientToServer.cipher, first(noble.ciphers, ['aes256-ctr', 'chacha20-poly1305@openssh.com']));
    }
    assert.is(serverToClient.cipher, 'aes128-gcm@openssh.com');
    assert.is(serverToClient.mac, undefined);
  }
});

test("RFC 4253 §7: a packet that follows a client's right guess is used", () => {
  const peer = RawPeer.started();
  peer.take(KEXINIT);
  const init = peer.kexInit({ firstKexPacketFollows: true });
  peer.payload(init);
  peer.finishExchange();
  peer.askService();
  peer.quiet();
});

test("RFC 4253 §7: a packet that follows a client's right guess may come in one chunk with KEXINIT, before ours has been seen", () => {
  const peer = new RawPeer();
  peer.core.start();
  peer.pull();
  peer.bytes(concat(Buffer.from(`${peer.ident}\r\n`), peer.frame(peer.kexInit({ firstKexPacketFollows: true }))));
  peer.take(KEXINIT);
  finish(peer);
});

// The exchange itself (§8), as the client judges it.

test('RFC 4253 §8: the signature of the server is verified, before the user is asked about its key', () => {
  for (const wrong of ['signature', 'reply', 'hostKey'] as const) {
    let asked = 0;
    const peer = RawPeer.started({ role: 'server', events: { hostKey: () => asked++ } });
    peer.sendKexInit();
    const right = peer.reply();
    assert.ok(right.length > 0);
    const changed: Record<string, Uint8Array> = {
      signature: new Writer().string(SIGNATURE).string(new Uint8Array(32)).finish(),
      reply: new Uint8Array(8).fill(9),
      hostKey: new Writer().string(SIGNATURE).string(new Uint8Array(8).fill(9)).finish(),
    };
    peer.sendReply({ [wrong]: changed[wrong] });
    peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED, /signature/);
    assert.is(asked, 0, wrong);
  }
});

test('RFC 4253 §8: a host key of another type than was agreed is refused, even if it has signed', () => {
  let asked = 0;
  const blob = new Writer().string('ssh-rsa').string(new Uint8Array(8)).finish();
  const hostKey = { type: SIGNATURE, blob, fields: [], comment: '' };
  const peer = RawPeer.started({ role: 'server', hostKey, events: { hostKey: () => asked++ } });
  peer.sendKexInit();
  peer.sendReply();
  peer.disconnected(Disconnect.KEY_EXCHANGE_FAILED);
  assert.is(asked, 0);
});

test('an RSA host key named like an algorithm, as dev-tunnels-ssh has it, is the key that it is, and judged as ssh-rsa', () => {
  const rsa = accelerated.signatures.find(({ name }) => name === 'rsa-sha2-512')!;
  const key = rsa.generate(accelerated.random);
  const numbers = key.blob.subarray(new Writer().string('ssh-rsa').finish().length);
  for (const name of ['rsa-sha2-512', 'rsa-sha2-256']) {
    for (const algorithm of ['rsa-sha2-512', 'rsa-sha2-256']) {
      const asked: HostKeyQuestion[] = [];
      const peer = RawPeer.keyed(
        {
          role: 'server',
          provider: accelerated,
          hostKey: { ...key, blob: new Writer().string(name).raw(numbers).finish() },
          events: {
            hostKey(question, answer) {
              asked.push(question);
              answer(true);
            },
          },
        },
        { hostKey: [algorithm] },
      );
      peer.take(SERVICE_REQUEST);
      assert.equal(
        asked.map(question => [question.algorithm, question.hostKey]),
        [[algorithm, key.blob]],
      );
    }
  }
});

test('RFC 4253 §8: a refused host key ends with HOST_KEY_NOT_VERIFIABLE, and nothing is sent under keys', () => {
  const peer = RawPeer.started({ role: 'server', events: { hostKey: (_question, answer) => answer(false) } });
  peer.sendKexInit();
  peer.sendReply();
  assert.not(peer.heard.some(({ number }) => number === NEWKEYS.number));
  peer.disconnected(Disconnect.HOST_KEY_NOT_VERIFIABLE);
});

test('RFC 4253 §8: without anybody to judge it a host key is refused', () => {
  const peer = RawPeer.started({ role: 'server', events: { hostKey: undefined } });
  peer.sendKexInit();
  peer.sendReply();
  peer.disconnected(Disconnect.HOST_KEY_NOT_VERIFIABLE);
});

test('a host key may be judged later; nothing is read meanwhile', () => {
  let answer: (accepted: boolean) => void = () => {};
  let hostKey: Uint8Array = nothing;
  const peer = RawPeer.started({
    role: 'server',
    events: {
      hostKey: (question, later) => {
        hostKey = question.hostKey;
        answer = later;
      },
    },
  });
  peer.sendKexInit();
  peer.take(KEXINIT);
  peer.take(KEX_ECDH_INIT);
  const reply = peer.frame(peer.reply());
  const newKeys = peer.frame(payloadOf(NEWKEYS, {}));
  peer.newKeys();
  peer.bytes(concat(reply, newKeys, peer.frame(Uint8Array.of(200))));
  peer.quiet();
  assert.equal(hostKey, peer.hostKey.blob);
  answer(true);
  peer.pull();
  peer.take(NEWKEYS);
  peer.take(SERVICE_REQUEST);
  peer.take(UNIMPLEMENTED);
  peer.quiet();
  answer(true);
  peer.quiet();
});

/** Those whose keys are not in a security token, nor in a certificate. */
const KEY_TYPES = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'];
for (const provider of [noble, accelerated]) {
  for (const signature of provider.signatures.filter(({ keyType }) => KEY_TYPES.includes(keyType))) {
    test(`RFC 4253 §8: an exchange signed with ${signature.name} by ${provider.name} is accepted on both sides`, () => {
      const hostKey = keyFor(signature.keyType);
      const options = (role: Role): RawPeerOptions => ({ role, provider, hostKey });
      for (const role of roles) {
        const peer = RawPeer.ready(options(role), { hostKey: [signature.name] });
        assert.is(peer.core.transport.negotiated!.hostKey, signature.name);
        assert.equal(peer.core.transport.sessionId, peer.sessionId);
      }
    });
  }
}

const keys = new Map<string, ReturnType<(typeof noble.signatures)[0]['generate']>>();
function keyFor(type: string) {
  let key = keys.get(type);
  if (key === undefined) {
    key = accelerated.signatures.find(({ keyType }) => keyType === type)!.generate(accelerated.random);
    keys.set(type, key);
  }
  return key;
}

test.run();
