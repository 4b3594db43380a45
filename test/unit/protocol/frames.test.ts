// Byte stream to packets (RFC 4253 §6): for every cipher and provider the same packets come out, however the stream is cut into chunks.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Opener, Sealer } from '../../../src/crypto/provider.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { clearOpener, clearSealer } from '../../../src/protocol/transport/clear.ts';
import { FrameReader } from '../../../src/protocol/transport/frames.ts';
import { type Packet, release } from '../../../src/protocol/wire/packet.ts';
import { concat } from '../../../src/protocol/wire/reader.ts';
import { seeded } from '../../kit/insecure.ts';
import { bytes, openerOf, providers, same, sealed, sealerOf, suites } from '../crypto/kit.ts';

interface Kind {
  readonly name: string;
  sealer(): Sealer;
  opener(): Opener;
}

const kinds: Kind[] = [
  { name: 'in the clear', sealer: () => clearSealer(seeded(1).bytes), opener: () => clearOpener },
  ...providers.flatMap(provider =>
    suites.map(suite => ({
      name: `${suite.cipher}${suite.mac ? ` with ${suite.mac}` : ''} (${provider.name})`,
      sealer: () => sealerOf(provider, suite),
      opener: () => openerOf(provider, suite),
    })),
  ),
];

/** Small packets, so that every place where two frames meet is cut. */
const SIZES = [1, 20, 5];
const payloads = SIZES.map(size => bytes(size, size));

/** The frames of `payloads`, one after the other, as they are on the wire. */
function streamOf(kind: Kind, list: readonly Uint8Array[] = payloads): Uint8Array {
  const sealer = kind.sealer();
  return concat(...list.map((payload, sequence) => sealed(sealer, payload, sequence)));
}

/** Pushes the chunks one by one, pulls after each, and compares what comes out; checks the counters as it goes. */
function check(kind: Kind, chunks: readonly Uint8Array[], list: readonly Uint8Array[], what: string): void {
  const reader = new FrameReader(kind.opener());
  let came = 0;
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let packet = reader.next(); packet !== undefined; packet = reader.next()) {
      same(packet.payload, list[came], `${what}: packet ${came}`);
      came++;
      assert.is(reader.sequence, came);
    }
    // Asking again without new bytes changes nothing.
    assert.is(reader.next(), undefined);
  }
  assert.is(came, list.length, `${what}: packets`);
  assert.is(reader.packets, list.length);
  assert.is(reader.waiting, 0, what);
  assert.is(reader.bytes, concat(...chunks).length, what);
}

/** The stream cut at the given places, each chunk in memory of its own: openers decrypt in place. */
const cut = (stream: Uint8Array, ...places: number[]): Uint8Array[] =>
  [0, ...places].map((from, i) => stream.slice(from, places[i] ?? stream.length));

for (const kind of kinds) {
  test(`${kind.name}: whole, and byte by byte`, () => {
    const stream = streamOf(kind);
    check(kind, [stream.slice()], payloads, 'whole');
    check(
      kind,
      [...stream].map(byte => Uint8Array.of(byte)),
      payloads,
      'byte by byte',
    );
  });

  test(`${kind.name}: cut in two at every place`, () => {
    const stream = streamOf(kind);
    for (let at = 0; at <= stream.length; at++) check(kind, cut(stream, at), payloads, `cut at ${at}`);
  });

  test(`${kind.name}: cut in three around every head, empty chunks between`, () => {
    const stream = streamOf(kind);
    const head = kind.opener().headLength;
    // Where frames begin: the stream of the first packets is a prefix of the whole.
    const starts = payloads.map((_, i) => (i === 0 ? 0 : streamOf(kind, payloads.slice(0, i)).length));
    for (const start of starts) {
      for (let first = start; first <= start + head; first++) {
        for (let second = first; second <= Math.min(start + head + 1, stream.length); second++) {
          check(kind, cut(stream, first, first, second), payloads, `cut at ${first} and ${second}`);
        }
      }
    }
  });

  test(`${kind.name}: chunks of random sizes, packets of many`, () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seeded(seed);
      const list = Array.from({ length: 12 }, (_, i) => bytes(1 + random.below([30, 300, 5000][random.below(3)]), i));
      const stream = streamOf(kind, list);
      const places: number[] = [];
      for (let at = 0; at < stream.length; at += 1 + random.below([3, 50, 3000][random.below(3)])) places.push(at);
      check(kind, cut(stream, ...places), list, `seed ${seed}`);
    }
  });
}

for (const kind of kinds) {
  test(`${kind.name}: chunks that are only lent, and written over as soon as they are taken back`, () => {
    const list = [5000, 1, 300, 40_000, 20, 2100, 0].map((size, i) => bytes(1 + size, i));
    const stream = streamOf(kind, list);
    for (const size of [7, 333, 5000, 41_000, stream.length]) {
      const reader = new FrameReader(kind.opener());
      const came: Packet[] = [];
      for (let at = 0; at < stream.length; at += size) {
        const chunk = stream.slice(at, at + size);
        reader.push(chunk, true);
        // As when a decision is open: what has come is not looked at before the next chunk.
        if (at % 3 !== 1) for (let packet = reader.next(); packet; packet = reader.next()) came.push(packet);
        reader.keep();
        chunk.fill(0xa5);
      }
      for (let packet = reader.next(); packet; packet = reader.next()) came.push(packet);
      assert.is(came.length, list.length, `chunks of ${size}`);
      for (const [i, { payload }] of came.entries()) same(payload, list[i], `packet ${i}, chunks of ${size}`);
      assert.ok(came.every(({ owned }) => owned));
    }
  });
}

test('memory that holds a packet alone is given back; what shares its memory with others is not', () => {
  const [clear] = kinds;
  const reader = new FrameReader(clearOpener);
  reader.push(streamOf(clear, [bytes(6000, 1), bytes(6000, 2)]));
  assert.not(reader.next()!.owned);
  const whole = new Uint8Array(6000);
  release(whole);
  assert.is(whole.length, 'transfer' in ArrayBuffer.prototype ? 0 : 6000);
  const shared = new Uint8Array(20_000);
  release(shared.subarray(0, 10_000));
  assert.is(shared.length, 20_000, 'a part of it is somebody else’s');
  const small = new Uint8Array(100);
  release(small);
  assert.is(small.length, 100, 'left to the collector');
});

test('a frame that lies in one chunk is opened where it is; one that straddles chunks is copied once', () => {
  const [clear] = kinds;
  const stream = streamOf(clear);
  const reader = new FrameReader(clearOpener);
  reader.push(stream);
  assert.is(reader.next()!.bytes.buffer, stream.buffer);
  const pieces = new FrameReader(clearOpener);
  pieces.push(stream.slice(0, 10));
  pieces.push(stream.slice(10));
  const packet = pieces.next()!;
  assert.is(packet.bytes.length, 16, 'the length of its frame, no more');
});

test('the opener is replaced between two frames of one chunk', () => {
  const [suite, other] = suites;
  const [provider] = providers;
  const first = sealed(clearSealer(seeded(1).bytes), payloads[0], 0);
  const second = sealed(sealerOf(provider, suite), payloads[1], 1);
  const third = sealed(sealerOf(provider, other, 9), payloads[2], 0);
  for (const chunks of [
    [concat(first, second, third)],
    [...concat(first, second, third)].map(byte => Uint8Array.of(byte)),
  ]) {
    const reader = new FrameReader(clearOpener);
    const openers = [openerOf(provider, suite), openerOf(provider, other, 9)];
    let came = 0;
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let packet = reader.next(); packet !== undefined; packet = reader.next()) {
        same(packet.payload, payloads[came++]);
        const next = openers.shift();
        if (next) reader.opener = next;
        if (came === 2) reader.sequence = 0;
      }
    }
    assert.is(came, 3);
  }
});

test('sequence numbers wrap around after 2^32 - 1 (RFC 4253 §6.4)', () => {
  for (const provider of providers) {
    for (const suite of suites) {
      const sealer = sealerOf(provider, suite);
      const frames = [0xfffffffe, 0xffffffff, 0, 1].map(sequence => sealed(sealer, payloads[1], sequence));
      const reader = new FrameReader(openerOf(provider, suite));
      reader.sequence = 0xfffffffe;
      for (const frame of frames) reader.push(frame);
      for (const next of [0xffffffff, 0, 1, 2]) {
        same(reader.next()!.payload, payloads[1]);
        assert.is(reader.sequence, next);
      }
    }
  }
});

test('a head that announces too much is refused before its bytes have come', () => {
  const reader = new FrameReader(clearOpener);
  reader.push(Uint8Array.of(0x7f, 0xff, 0xff, 0xfc));
  assert.throws(
    () => reader.next(),
    (error: unknown) => error instanceof ProtocolError,
  );
});

test('the counters of a key epoch may be set back, and count on', () => {
  const [clear] = kinds;
  const reader = new FrameReader(clearOpener);
  reader.push(streamOf(clear));
  reader.next();
  assert.is(reader.bytes, 16);
  reader.bytes = 0;
  reader.packets = 0;
  reader.next();
  assert.is(reader.packets, 1);
  assert.is(reader.bytes, 32);
});

test.run();
