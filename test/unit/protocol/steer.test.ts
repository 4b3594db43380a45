// The server may wait for the client's offer and answer with those ciphers alone that cost the least (RFC 4253 §7.1 lets either side begin).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import type { CryptoProvider } from '../../../src/crypto/provider.ts';
import { KEXINIT } from '../../../src/protocol/messages.ts';
import { kexInit, steer } from '../../../src/protocol/transport/negotiate.ts';
import { decode } from '../../../src/protocol/wire/codec.ts';
import { Packet } from '../../../src/protocol/wire/packet.ts';
import { insecure, insecureKey, seeded } from '../../kit/insecure.ts';
import { Pair } from '../../kit/pair.ts';

const CHACHA = 'chacha20-poly1305@openssh.com';
const GCM = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com'];

/** Real ciphers behind a key exchange that costs nothing; the client's are those named, in that order. */
function pair(clientCiphers: readonly string[], preferCiphers: readonly string[] | undefined = GCM): Pair {
  const provider: CryptoProvider = {
    ...insecure(seeded(1).bytes),
    ciphers: accelerated.ciphers,
    macs: accelerated.macs,
  };
  const mine = clientCiphers.map(name => accelerated.ciphers.find(cipher => cipher.name === name)!);
  return new Pair({
    provider,
    hostKey: insecureKey(new Uint8Array(8)),
    userKey: insecureKey(new Uint8Array([2])),
    server: { preferCiphers },
    client: { provider: { ...provider, ciphers: mine } },
  });
}

const agreed = ({ server }: Pair) => server.transport.negotiated?.serverToClient.cipher;

test('a client that has a preferred cipher gets it, whatever it would like better, and keeps it at every exchange', () => {
  const both = pair([CHACHA, 'aes128-ctr', ...GCM]).start();
  assert.is(both.server.stage, 'connection', String(both.server.error));
  assert.is(agreed(both), GCM[0]);
  for (const side of [both.client, both.server]) {
    const before = both.server.transport.exchanges;
    side.rekey();
    both.settle();
    assert.is(both.server.transport.exchanges, before + 1);
    assert.is(agreed(both), GCM[0]);
  }
  assert.is(both.server.closed || both.client.closed, false);
});

test('of several that are preferred the client takes the one it likes best', () => {
  assert.is(agreed(pair([CHACHA, GCM[1], GCM[0]]).start()), GCM[1]);
});

test('a client without any of them is offered everything', () => {
  assert.is(agreed(pair([CHACHA]).start()), CHACHA);
  assert.is(agreed(pair(['aes256-ctr', CHACHA]).start()), 'aes256-ctr');
});

test('a server that prefers nothing leaves the choice to the client, and does not wait', () => {
  const both = pair([CHACHA, ...GCM], []);
  both.server.start();
  assert.is(both.server.transport.waitsToOffer, false);
  assert.ok(offerIn(both.server.takeOutput()));
  assert.is(agreed(pair([CHACHA, ...GCM], []).start()), CHACHA);
});

test('a client that waits for our offer gets it when we have waited long enough, and once', () => {
  const both = pair([CHACHA, ...GCM]);
  both.server.start();
  assert.is(offerIn(both.server.takeOutput()), undefined, 'nothing yet but the identification');
  assert.ok(both.server.transport.waitsToOffer);
  both.server.offer();
  const said = both.server.takeOutput();
  assert.equal(
    offerIn(said)!.cipherServerToClient,
    accelerated.ciphers.map(({ name }) => name),
  );
  both.server.offer();
  assert.is(both.server.takeOutput().length, 0);
  // Whoever offers first does not matter to what follows.
  both.client.start();
  both.client.receive(new TextEncoder().encode(`${both.server.transport.ident}\r\n`));
  for (const chunk of said) both.client.receive(chunk);
  both.settle();
  assert.is(both.server.stage, 'connection', String(both.server.error));
  assert.is(agreed(both), CHACHA, 'its first choice of all that we have');
});

test('a client that has one of them in one direction only is offered everything', () => {
  const provider = accelerated;
  const offer = kexInit(provider, 'client', [], ['none'], true);
  const one = { ...offer, cipherServerToClient: [CHACHA] };
  assert.equal(steer(provider, offer, GCM), GCM);
  assert.equal(
    steer(provider, one, GCM),
    provider.ciphers.map(({ name }) => name),
  );
  assert.equal(
    steer(provider, offer, ['no-such-cipher']),
    provider.ciphers.map(({ name }) => name),
  );
});

/** The KEXINIT in the clear among `chunks`; undefined if there is none. */
function offerIn(chunks: readonly Uint8Array[]) {
  const found = chunks.find(chunk => chunk.length > 6 && chunk[5] === KEXINIT.number);
  if (found === undefined) return undefined;
  const frame = found.slice();
  return decode(KEXINIT, new Packet(frame, 5, frame.length - frame[4]));
}

test('the packet that decides may be the last of a chunk that is cut anywhere', () => {
  for (let at = 1; at < 60; at += 7) {
    const both = pair([CHACHA, ...GCM]);
    both.onbytes = (from, all) => {
      if (from === 'client' && all.length > at) {
        both.server.receive(all.slice(0, at));
        return all.slice(at);
      }
      return all;
    };
    both.start();
    assert.is(agreed(both), GCM[0], `cut at ${at}`);
  }
});

test.run();
