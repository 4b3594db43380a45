// The shell's parts that need no terminal: tables, measures, words and options of a line.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { momentText, parseBytes, parseDuration } from '../../../src/apps/switchboard/measures.ts';
import { parseQuotas } from '../../../src/apps/switchboard/quotas.ts';
import { CommandError, parseArguments, wordsOf } from '../../../src/apps/switchboard/shell/command.ts';
import { bytesText, durationText, table } from '../../../src/apps/switchboard/shell/table.ts';

test('a table has columns as wide as what is in them', () => {
  assert.is(
    table(
      ['A', 'LONG'],
      [
        ['one', '1'],
        ['two two', '22'],
      ],
    ),
    'A        LONG\none      1\ntwo two  22\n',
  );
});

test('where the window is too narrow the widest columns are cut, and no line is as wide as it', () => {
  const rows = [
    ['alice-0123456789', '127.0.0.1', 'SHA256:0123456789012345678901234567890123456789012'],
    ['b', '2001:db8::1', 'x'],
  ];
  for (let width = 25; width < 100; width++) {
    const lines = table(['NAME', 'FROM', 'KEY'], rows, width).split('\n');
    for (const line of lines) assert.ok(line.length < width, `${width}: ${line}`);
  }
  assert.is(table(['NAME', 'FROM', 'KEY'], rows, 40).split('\n')[1], 'alice-0123…  127.0.0.1    SHA256:01234…');
  assert.match(table(['NAME', 'FROM', 'KEY'], rows, 1), /alic… {2}127\.… {2}SHA2…/);
});

test('bytes and times, written and read', () => {
  assert.equal([0, 1023, 1024, 1536, 10 ** 6, 2 ** 40].map(bytesText), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '977 KiB',
    '1.0 TiB',
  ]);
  const times = [0, 900, 61_000, 3_600_000, 90_061_000].map(durationText);
  assert.equal(times, ['0 s', '0 s', '1 min 1 s', '1 h', '1 d 1 h']);
  assert.equal(['90', '90s', '15m', '2h', '7d', '2w', '', 'x', '-1', '1y'].map(parseDuration), [
    ...[90, 90, 900, 7200, 604_800, 1_209_600],
    ...[undefined, undefined, undefined, undefined],
  ]);
  assert.equal(['36500d', '36501d', '99999999w', '999999999'].map(parseDuration), [
    ...[3_153_600_000, undefined, undefined, 999_999_999],
  ]);
  assert.equal([0, 8.64e15, 8.64e15 + 2, 1e300, Number.NaN].map(momentText), [
    ...['1970-01-01T00:00:00.000Z', '+275760-09-13T00:00:00.000Z', 'unknown', 'unknown', 'unknown'],
  ]);
  assert.equal(['5', '64k', '10M', '1GiB', '2kb', '', '1T', '1.5M'].map(parseBytes), [
    ...[5, 65_536, 10_485_760, 1_073_741_824, 2048],
    ...[undefined, undefined, undefined],
  ]);
});

test('quotas of a key', () => {
  assert.equal(parseQuotas('circuits=10, rate=1M,circuit-idle=2m'), {
    circuits: 10,
    rate: 1_048_576,
    circuitIdle: 120,
  });
  assert.match(parseQuotas('circus=1') as string, /"circus" is not one of clients, lines/);
  assert.match(parseQuotas('rate') as string, /rate has no value/);
  assert.match(parseQuotas('lines=many') as string, /lines has no value/);
  assert.match(parseQuotas('toString=1') as string, /not one of/);
});

test('words, with quotes, and options', () => {
  assert.equal(wordsOf(`ban "two words" 'and more' plain ""`), ['ban', 'two words', 'and more', 'plain', '']);
  const { words, options } = parseArguments(['a', '--for', '2h', '--reason=x y', 'b'], ['for', 'reason']);
  assert.equal(words, ['a', 'b']);
  assert.equal(
    [...options],
    [
      ['for', '2h'],
      ['reason', 'x y'],
    ],
  );
  for (const args of [['--nope', '1'], ['--for']]) {
    assert.throws(
      () => parseArguments(args, ['for']),
      (error: Error) => error instanceof CommandError && error.status === 2,
    );
  }
});

test.run();
