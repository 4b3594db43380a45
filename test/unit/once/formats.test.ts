// Both formats of transcripts: what is written is what is read, to the byte; the cast is one by asciinema's rules.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cast } from '../../../src/apps/once/cast.ts';
import {
  comments,
  type Entry,
  type Format,
  type Heading,
  type Said,
  unfinished,
} from '../../../src/apps/once/entry.ts';
import { ENTRY, LINE } from '../../../src/apps/once/limits.ts';
import { text } from '../../../src/apps/once/text.ts';
import { MAX_PACKET } from '../../../src/protocol/wire/framing.ts';
import { seeded } from '../../kit/insecure.ts';

const heading: Heading = {
  ...{ key: 'ssh-ed25519 AAAA', began: Date.UTC(2026, 10, 25, 22, 58, 14, 123) },
  ...{ columns: 91, rows: 23, term: 'xterm-256color', command: '/bin/bash' },
};

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

/** One of each kind, and bytes of every sort. */
const entries: Entry[] = [
  { kind: 'note', text: 'shell: "/bin/sh"\\ é' },
  { kind: 'output', bytes: bytes('$ ls\r\nzwölf \\n \\\\n\tok\n\n\x1b[31mred\x1b[0m\x07') },
  { kind: 'error', bytes: bytes('no such file\n') },
  { kind: 'input', bytes: bytes('\x03\x7f\u0085\u202e\u2028😀\ufeff') },
  { kind: 'hidden' },
  { kind: 'size', columns: 132, rows: 43 },
  { kind: 'size', columns: 132, rows: 43, width: 1188, height: 0 },
  { kind: 'output', bytes: Uint8Array.of(0xff, 0x0a, 0x5c, 0x80, 0xc3, 0x28, 0x0a) },
  { kind: 'output', bytes: Uint8Array.from({ length: 256 }, (_, i) => i) },
  { kind: 'output', bytes: bytes('\n') },
  { kind: 'exit', status: 143 },
];

/** Writes the entries a bit apart, and reads them back; entries that became several lines are put together. */
function around(format: Format, all: readonly Entry[]): { written: string; read: { time: number; entry: Entry }[] } {
  let written = format.head(heading) + comments(heading);
  all.forEach((entry, i) => {
    written += format.entry(entry, i * 1_234_567, Math.max(0, i - 1) * 1_234_567);
  });
  const read = format.reader();
  const found: { time: number; entry: Entry }[] = [];
  for (const line of written.split('\n').slice(0, -1)) {
    const next = read(line);
    if (next === undefined) continue;
    const last = found.at(-1);
    if (last && 'bytes' in last.entry && 'bytes' in next.entry && last.time === next.time) {
      const joined = new Uint8Array(Buffer.concat([last.entry.bytes, next.entry.bytes]));
      found[found.length - 1] = { time: last.time, entry: { kind: last.entry.kind, bytes: joined } };
    } else found.push(next);
  }
  return { written, read: found };
}

const plain = ({ time, entry }: { time: number; entry: Entry }) => ({
  time,
  ...entry,
  ...('bytes' in entry && { bytes: Buffer.from(entry.bytes).toString('hex') }),
});

for (const [name, format] of Object.entries({ cast, text })) {
  test(`${name}: what is written is read`, () => {
    const { read } = around(format, entries);
    assert.equal(
      read.map(plain),
      entries.map((entry, i) => plain({ time: i * 1_234_567, entry })),
    );
  });

  test(`${name}: any bytes`, () => {
    const { bytes: random } = seeded(11);
    for (let round = 0; round < 300; round++) {
      const data = random(new Uint8Array(1 + (round % 40)));
      // Much of it as it comes in terminals.
      if (round % 3 > 0)
        for (let i = 0; i < data.length; i++) data[i] = [10, 13, 92, 110, 27, 32, 0xc3, 0xb6][data[i] & 7];
      const [only, ...others] = around(format, [{ kind: 'output', bytes: data }]).read;
      assert.equal(others, []);
      assert.equal(plain(only), plain({ time: 0, entry: { kind: 'output', bytes: data } }));
    }
  });

  test(`${name}: what a program starts with is one line, of any length, and is read to the letter`, () => {
    for (const said of [
      'ls',
      '',
      `echo ${'x'.repeat(300_000)}`,
      'a\nb\r\n\n',
      '\x1b[2K\x00\x7f\u0085\u202e\u2028\ufeff😀\ufffd\u{e0001}\\n\\',
      '# seal 1 x\n# end\n',
    ])
      for (const kind of ['runs', 'asked', 'env', 'modes'] as const) {
        const entry: Said = { kind, text: said };
        const line = format.entry(entry, 0, 0);
        assert.match(line, /^[^\n]*\n$/);
        assert.not.match(line.slice(0, -1), /[\x00-\x1f\x7f\u0085\u202e\u2028\ufeff\u{e0001}]/u);
        assert.equal(format.reader()(line.slice(0, -1))?.entry, entry);
      }
  });

  test(`${name}: what a program is started with is there to the byte where it is not UTF-8`, () => {
    for (const said of ['caf\xe9', '\xff\n# end\n\\xe9', '\xc3\xbc\xe9']) {
      const entry: Said = { kind: 'runs', text: new Uint8Array(Buffer.from(said, 'latin1')) };
      const lines = format.entry(entry, 0, 0).split('\n').slice(0, -1);
      const read = format.reader();
      assert.equal(
        lines.map(line => read(line)?.entry).filter(found => found !== undefined),
        [entry],
      );
      assert.match(lines.at(-1)!, /\\xe9|\\xff/);
      for (const line of lines) assert.match(line, /^[\x20-\x7e]*$/);
      // The bytes are of this entry only.
      assert.equal(read(format.entry({ kind: 'runs', text: 'ls' }, 0, 0).trimEnd())?.entry, {
        kind: 'runs',
        text: 'ls',
      });
    }
  });

  test(`${name}: the longest that is written is no longer than what is read`, () => {
    const longest: Entry[] = [
      ...[0x00, 0xff].map(byte => ({ kind: 'error', bytes: new Uint8Array(ENTRY).fill(byte) }) as const),
      { kind: 'runs', text: '\x7f'.repeat(MAX_PACKET) },
      { kind: 'runs', text: new Uint8Array(MAX_PACKET).fill(0xff) },
      { kind: 'runs', text: '\u2028'.repeat(MAX_PACKET / 3) },
    ];
    for (const entry of longest)
      for (const line of format.entry(entry, 0, 0).split('\n')) assert.ok(Buffer.byteLength(line) < LINE);
  });

  test(`${name}: what cannot be is refused by what it is`, () => {
    const lines: Readonly<Record<string, readonly string[]>> =
      name === 'text'
        ? {
            time: [`${'9'.repeat(400)}.0 out x`, '99999999999999.0 out x'],
            size: ['1.0 size 99999999999x1', '1.0 size 0x24', '1.0 size x', '1.0 size 80x24x1', '1.0 size 70000x24'],
            status: ['1.0 exit 1e300', '1.0 exit -1', '1.0 exit 256', '1.0 exit '],
            'code point': ['1.0 out \\u{ffffffff}'],
          }
        : {
            time: ['[1e300, "o", "x"]', '[-1, "o", "x"]', '["1", "o", "x"]', '[null, "o", "x"]', '[1e400, "o", "x"]'],
            size: ['[1, "r", "99999999999x1"]', '[1, "r", "0x24"]', '[1, "r", "axb"]'],
            status: ['[1, "x", "1e300"]', '[1, "x", "-1"]'],
            event: [
              '[1, "o", {"a": 1}]',
              '[1, {}, "x"]',
              '[1]',
              `[1, "o", ${'['.repeat(10_000)}${']'.repeat(10_000)}]`,
            ],
            JSON: ['[1, "o"', `${'['.repeat(1_000_000)}`],
            comments: ['# error\n# error\n# error\n# error'],
          };
    for (const [what, bad] of Object.entries(lines))
      for (const each of bad) {
        const read = format.reader();
        assert.throws(
          () => each.split('\n').map(line => read(line)),
          (error: Error) => what === 'JSON' || error.message.includes(what),
          each.slice(0, 80),
        );
      }
    // Many that are each small enough.
    const read = format.reader();
    const hours = () => {
      for (let i = 0; i < 3; i++) read(name === 'text' ? `${i + 2}000000000.0 out x` : '[2000000000, "o", "x"]');
    };
    assert.throws(hours, (error: Error) => error.message.includes('time'));
  });

  test(`${name}: no line of an entry looks like a comment, and no entry is empty`, () => {
    for (const entry of [...entries, { kind: 'output', bytes: bytes('# seal 1 x\n# end\n# seal 2 y\n') } as const]) {
      const lines = format.entry(entry, 0, 0).split('\n');
      assert.is(lines.pop(), '');
      const said = lines.filter(line => !/^# (?:error|hidden|bytes [A-Za-z0-9+/=]+|pixels \d+x\d+)$/.test(line));
      assert.ok(said.length > 0 && said.every(line => !line.startsWith('#')), said.join('\n'));
    }
  });
}

test('text: lines are readable, and begin where the program begins them', () => {
  const { written } = around(text, [{ kind: 'output', bytes: bytes('one\r\ntwo\x1b[m\r\n$ ') }]);
  assert.is(
    written,
    [
      '# cordboard once transcript 1',
      '# key ssh-ed25519 AAAA',
      '# began 2026-11-25T22:58:14.123Z',
      '# terminal 91x23 xterm-256color',
      '# command /bin/bash',
      '0.000000 out one\\r\\n',
      ' two\\e[m\\r\\n',
      ' $ ',
      '',
    ].join('\n'),
  );
});

test('text: what is not seen, or turns the line around, is written out', () => {
  const shown = (data: string) =>
    text.entry({ kind: 'output', bytes: bytes(data) }, 0, 0).slice('0.000000 out '.length, -1);
  for (const [data, written] of [
    ['\u0085', '\\u{85}'],
    ['a\u202eb\n', 'a\\u{202e}b\\n'],
    ['\ufeff', '\\u{feff}'],
    ['\u{e0001}', '\\u{e0001}'],
    ['é日本😀', 'é日本😀'],
    ['\x00\x7f\\', '\\x00\\x7f\\\\'],
  ])
    assert.is(shown(data), written);
  assert.is(text.entry({ kind: 'output', bytes: Uint8Array.of(0x41, 0xff) }, 0, 0), '0.000000 out A\\xff\n');
});

test('cast: a header, and events of three elements with relative times, as asciicast v3 has them; all else are comments', () => {
  const { written } = around(cast, entries);
  const [first, ...lines] = written.trimEnd().split('\n');
  assert.equal(JSON.parse(first), {
    ...{ version: 3, term: { cols: 91, rows: 23, type: 'xterm-256color' } },
    ...{ timestamp: 1795647494, command: '/bin/bash' },
  });
  const events = lines.filter(line => !line.startsWith('#')).map(line => JSON.parse(line));
  for (const event of events) {
    assert.is(event.length, 3);
    assert.ok(event[0] >= 0 && ['o', 'i', 'r', 'm', 'x'].includes(event[1]) && typeof event[2] === 'string');
  }
  assert.is(events.length, entries.length);
  assert.equal(events[5], [1.234567, 'r', '132x43']);
  assert.equal(events.at(-1), [1.234567, 'x', '143']);
  // Standard error is seen in players, too.
  assert.equal(events[2], [1.234567, 'o', 'no such file\n']);
  assert.is(lines[lines.indexOf(lines.find(line => line.includes('no such file'))!) - 1], '# error');
});

test('a character is not cut in two', () => {
  for (const [data, behind] of [
    ['', 0],
    ['a', 0],
    ['ö', 0],
    ['€', 0],
    ['😀', 0],
  ] as const) {
    assert.is(unfinished(bytes(data)), behind, data);
    const whole = bytes(`x${data}`);
    for (let cut = 1; cut < bytes(data).length; cut++)
      assert.is(unfinished(whole.subarray(0, 1 + cut)), cut, `${data} after ${cut} bytes`);
  }
  // What is no UTF-8 anyway is not waited for for ever.
  assert.is(unfinished(Uint8Array.of(0x80, 0x80, 0x80, 0x80)), 0);
});

test.run();
