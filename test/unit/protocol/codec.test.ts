// Every message of the protocol: there and back with random values, cut short at every byte, and with bytes behind it (RFC 4251 §5).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { MESSAGES } from '../../../src/protocol/messages.ts';
import {
  decode,
  encode,
  type Fields,
  type FieldType,
  type Layout,
  pack,
  unpack,
} from '../../../src/protocol/wire/codec.ts';
import { HEAD_ROOM, Packet, TAIL_ROOM } from '../../../src/protocol/wire/packet.ts';
import { seeded } from '../../kit/insecure.ts';

const SEEDS = 40;

type Random = ReturnType<typeof seeded>;

const TEXTS = ['', 'a', 'zoë', '日本語', '\0\n', '🙂', 'x'.repeat(300)];
const NAMES = ['', 'a', 'ssh-ed25519', 'kex-strict-c-v00@openssh.com', '~!@#', 'y'.repeat(64)];

/** A value for each type of field; small and large ones, and those at the ends of the range. */
const values: { [T in FieldType]: (random: Random) => Fields<{ x: T }>['x'] } = {
  byte: random => random.below(256),
  boolean: random => random.below(2) === 1,
  uint32: random => [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, random.below(2 ** 32)][random.below(6)],
  cookie: random => random.bytes(new Uint8Array(16)),
  string: random => random.bytes(new Uint8Array([0, 1, 5, 300][random.below(4)])),
  text: random => TEXTS[random.below(TEXTS.length)],
  textOrNot: random => TEXTS[random.below(TEXTS.length)],
  prose: random => TEXTS[random.below(TEXTS.length)],
  language: random => random.bytes(new Uint8Array([0, 2, 5][random.below(3)])),
  name: random => NAMES[random.below(NAMES.length)],
  nameList: random => Array.from({ length: random.below(4) }, () => NAMES[1 + random.below(NAMES.length - 1)]),
  rest: random => random.bytes(new Uint8Array([0, 1, 40][random.below(3)])),
};

function fieldsFor(layout: Layout, random: Random): Fields<Layout> {
  return Object.fromEntries(Object.entries(layout).map(([field, type]) => [field, values[type](random)]));
}

function refused(body: () => unknown, what: string): void {
  try {
    body();
  } catch (error) {
    assert.instance(error, ProtocolError, what);
    return;
  }
  assert.unreachable(`${what}: was taken`);
}

for (const message of MESSAGES) {
  const { name, number, layout } = message;
  const openEnded = Object.values(layout).includes('rest');
  /** Text for people may be missing at the end, and its language tag be followed by anything. */
  const kinds = Object.values(layout);
  const prose = kinds.at(-1) === 'language' ? kinds.indexOf('prose') : -1;

  test(`${name}: what was encoded is decoded, from any place in memory`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seeded(seed);
      const fields = fieldsFor(layout, random);
      const packet = encode(message, fields);
      assert.is(packet.number, number);
      assert.equal(decode(message, packet), fields, `seed ${seed}`);
      const memory = random.bytes(new Uint8Array(packet.length + 20));
      memory.set(packet.payload, 7);
      assert.equal(decode(message, new Packet(memory, 7, 7 + packet.length)), fields, `seed ${seed}, elsewhere`);
    }
  });

  test(`${name}: there is room around it for framing, padding and tag`, () => {
    const packet = encode(message, fieldsFor(layout, seeded(3)));
    assert.ok(packet.start >= HEAD_ROOM);
    assert.ok(packet.bytes.length - packet.end >= TAIL_ROOM);
  });

  test(`${name}: cut short at any byte it is refused`, () => {
    for (let seed = 1; seed <= 5; seed++) {
      const packet = encode(message, fieldsFor(layout, seeded(seed)));
      // What "rest" takes has no length of its own; only what is before it can be cut.
      const least = prose >= 0 ? 1 + headLength(layout, seed, prose) : packet.length - restLength(layout, seed);
      for (let length = 1; length < least; length++) {
        const cut = new Packet(packet.bytes, packet.start, packet.start + length);
        refused(() => decode(message, cut), `${length} of ${packet.length} bytes`);
      }
    }
  });

  if (!openEnded && prose < 0) {
    test(`${name}: a byte behind it is refused`, () => {
      const packet = encode(message, fieldsFor(layout, seeded(2)));
      packet.end++;
      refused(() => decode(message, packet), 'one byte more');
    });
  }

  test(`${name}: a string whose length goes beyond the message, or wraps around, is refused`, () => {
    const fields = fieldsFor(layout, seeded(4));
    let at = 1;
    for (const [field, type] of Object.entries(layout)) {
      const length = pack({ [field]: type }, { [field]: fields[field] }).length;
      if (['string', 'text', 'textOrNot', 'prose', 'name', 'nameList'].includes(type)) {
        for (const claimed of [0xffffffff, 0x80000000, 0xfffffffb]) {
          const packet = encode(message, fields);
          new DataView(packet.bytes.buffer, packet.bytes.byteOffset).setUint32(packet.start + at, claimed);
          refused(() => decode(message, packet), `${field} of ${claimed} bytes`);
        }
      }
      at += length;
    }
  });
}

/** Bytes of the fields before the one at `index`. */
function headLength(layout: Layout, seed: number, index: number): number {
  const head = Object.fromEntries(Object.entries(layout).slice(0, index));
  return pack(head, fieldsFor(layout, seeded(seed))).length;
}

function restLength(layout: Layout, seed: number): number {
  const fields = fieldsFor(layout, seeded(seed));
  return Object.entries(layout).reduce(
    (sum, [field, type]) => sum + (type === 'rest' ? (fields[field] as Uint8Array).length : 0),
    0,
  );
}

test('byte arrays of a decoded message are views of its packet, not copies', () => {
  const layout = { data: 'string', rest: 'rest' } as const;
  const bytes = pack(layout, { data: Uint8Array.of(1, 2), rest: Uint8Array.of(3) });
  const fields = unpack(layout, bytes);
  assert.is(fields.data.buffer, bytes.buffer);
  assert.is(fields.rest.buffer, bytes.buffer);
});

test('a layout is read between the bounds that are given', () => {
  const layout = { x: 'uint32' } as const;
  const bytes = Uint8Array.of(9, 9, 0, 0, 1, 0, 9);
  assert.equal(unpack(layout, bytes, 2, 6), { x: 256 });
  refused(() => unpack(layout, bytes, 2, 5), 'too short');
  refused(() => unpack(layout, bytes, 2, 7), 'too long');
});

test('known bytes: KEXINIT, DISCONNECT and CHANNEL_OPEN as other implementations send them', () => {
  const message = (name: string) => MESSAGES.find(candidate => candidate.name === name)!;
  const hex = (packet: Packet) => Buffer.from(packet.payload).toString('hex');
  assert.is(
    hex(encode(message('DISCONNECT'), { reason: 11, description: 'bye', language: new Uint8Array(0) })),
    '010000000b0000000362796500000000',
  );
  assert.is(
    hex(
      encode(message('CHANNEL_OPEN'), {
        type: 'session',
        sender: 2,
        window: 0x200000,
        maxPacket: 0x8000,
        data: new Uint8Array(0),
      }),
    ),
    '5a0000000773657373696f6e000000020020000000008000',
  );
  const lists = [
    'kex',
    'hostKey',
    'cipherClientToServer',
    'cipherServerToClient',
    'macClientToServer',
    'macServerToClient',
  ];
  const empty = [
    'compressionClientToServer',
    'compressionServerToClient',
    'languageClientToServer',
    'languageServerToClient',
  ];
  const fields = Object.fromEntries([...lists.map(list => [list, ['a', 'bc']]), ...empty.map(list => [list, []])]);
  assert.is(
    hex(
      encode(message('KEXINIT'), {
        cookie: new Uint8Array(16).fill(1),
        ...fields,
        firstKexPacketFollows: true,
        reserved: 0,
      }),
    ),
    `14${'01'.repeat(16)}${'00000004612c6263'.repeat(6)}${'00000000'.repeat(4)}0100000000`,
  );
});

test.run();
