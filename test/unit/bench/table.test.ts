// The bench's tables, the blocks of its README, and what stands in the reports.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CryptoResult, cryptoReport, suites, unaliased } from '../../../bench/crypto.ts';
import { PARTS } from '../../../bench/parts.ts';
import { type RelaySeries, relayReport } from '../../../bench/relay.ts';
import type { Measurement } from '../../../bench/transfer.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { rewriteBlock, table } from '../../kit/table.ts';

test('table: texts to the left, numbers to the right, as wide as the widest', () => {
  assert.is(
    table(
      ['name', 'n'],
      [
        ['a', '1'],
        ['longer', '12345'],
      ],
    ),
    ['| name   |     n |', '| ------ | ----: |', '| a      |     1 |', '| longer | 12345 |'].join('\n'),
  );
});

function inFile(text: string, body: (file: string) => void): string {
  const directory = mkdtempSync(join(tmpdir(), 'cordboard-'));
  try {
    const file = join(directory, 'README.md');
    writeFileSync(file, text);
    body(file);
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const page = '# Bench\n<!-- begin a -->\nold\n<!-- end a -->\nbetween\n<!-- begin b -->\n<!-- end b -->\nafter\n';

test('rewriteBlock: replaces one block and nothing else, and does so again', () => {
  const once = inFile(page, file => rewriteBlock(file, 'a', 'new $& figures\n'));
  assert.is(
    once,
    page.replace('\nold\n', () => '\n\nnew $& figures\n\n'),
  );
  const twice = inFile(once, file => rewriteBlock(file, 'a', 'new $& figures'));
  assert.is(twice, once);
  const other = inFile(page, file => rewriteBlock(file, 'b', 'x'));
  assert.is(other, page.replace('<!-- begin b -->\n', '<!-- begin b -->\n\nx\n\n'));
});

test('rewriteBlock: a file without the block, or with half of it, stays as it is', () => {
  for (const text of ['nothing', '<!-- begin a -->', '<!-- end a --> <!-- begin a -->']) {
    const after = inFile(text, file => assert.throws(() => rewriteBlock(file, 'a', 'x'), /no place .* "a"/));
    assert.is(after, text);
  }
});

test('the README has the blocks that a run rewrites', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../bench/README.md'), 'utf8');
  for (const name of [...PARTS, 'goals']) {
    inFile(text, file => rewriteBlock(file, name, 'figures'));
  }
});

/** The cells of a table's row, by its first cells. */
function cells(report: string, ...first: string[]): string[] {
  const rows = report
    .split('\n')
    .filter(line => line.startsWith('|'))
    .map(line => line.split('|').slice(1, -1))
    .map(row => row.map(cell => cell.trim()));
  const found = rows.filter(row => first.every((cell, i) => row[i] === cell));
  assert.is(found.length, 1, `${first.join(', ')} in\n${report}`);
  return found[0].slice(first.length);
}

const GIB = 1024 ** 3;
const measured = (cpu: number, gib = 1, clients = true): Measurement => ({
  cipher: 'gcm',
  bytes: gib * GIB,
  seconds: 4,
  cpu: { user: cpu * 0.75, system: cpu * 0.25 },
  clients: clients ? { user: 2, system: 1 } : undefined,
  others: 0.1,
});
const series = (
  name: string,
  asked: string | undefined,
  runs: (Measurement | undefined)[],
  circuits = 1,
): RelaySeries => ({
  name,
  title: name,
  group: `${asked}, ${circuits}`,
  asked,
  circuits,
  runs,
});
const relayed = (...all: RelaySeries[]) => relayReport({ rounds: 2, mebibytes: 512, seconds: 2, series: all });

test('relay: seconds for each GiB, MiB per second, and the ratio taken within each round', () => {
  const report = relayed(
    series('cordboard', undefined, [measured(4), measured(9)]),
    series('sshd', undefined, [measured(2), measured(3)]),
    // Half a GiB for one second is two seconds for each GiB.
    series('cordboard', 'gcm', [measured(1, 0.5), measured(4)], 8),
    series('sshd', 'gcm', [measured(4), measured(4)], 8),
    series('ssh2-nodelay', 'gcm', [measured(1), undefined], 8),
    series('floor', undefined, [measured(1, 1, false), measured(1, 1, false)]),
  );
  const rest = ['256', '3.00', '0.100'];
  const ours = cells(report, 'no option: gcm', 'cordboard');
  assert.equal(ours, ['6.50 (4.00–9.00)', '4.88', '1.63', ...rest, '2.50 (2.00–3.00)', '–']);
  assert.is(cells(report, 'no option: gcm', 'sshd')[6], '–');
  const several = cells(report, 'gcm, 8 circuits', 'cordboard');
  assert.is(several[0], '3.00 (2.00–4.00)');
  assert.equal(several.slice(6), ['0.750 (0.500–1.00)', '2.00'], 'one round only in which ssh2 took part');
  // The floor does less work: it has no ratio, even where nobody asked sshd for a cipher either.
  assert.equal(cells(report, 'gcm', 'floor').slice(3), ['256', '–', '0.100', '–', '–']);
  assert.match(report, /^2 rounds of 512 MiB or 2 s each; median \(min–max\)\.$/m);
});

test('what failed is said, in one line, and has no row', () => {
  const report = relayed(
    { ...series('cordboard', 'gcm', [undefined, undefined]), failure: 'it broke\nand this is the log' },
    series('sshd', 'gcm', [measured(1), measured(1)]),
  );
  assert.match(report, /^Failed:\n\n- cordboard, gcm, 1: it broke\n\n2 rounds/m);
  assert.not.match(report, /the log|\| cordboard/);
});

test('crypto: a row for each cipher and provider with the sizes beside each other, operations in milliseconds', () => {
  const cost = (provider: string, size: number, seal: number) => ({
    cipher: 'ctr',
    mac: 'hmac',
    provider,
    size,
    seal: [seal, seal * 2, seal * 3],
    open: [1, 2, 3],
  });
  const result: CryptoResult = {
    packets: [
      cost('noble', 64, 1),
      cost('noble', 32768, 10),
      cost('accelerated', 64, 3),
      cost('accelerated', 32768, 4),
    ],
    kex: [{ name: 'x25519', provider: 'noble', halves: [[1500], [2500]] }],
    signatures: [{ name: 'ed25519', provider: 'noble', halves: [[100, 300, 200], [4000]] }],
  };
  const report = cryptoReport(result);
  assert.equal(cells(report, 'cipher', 'provider'), ['64 B', '32 KiB']);
  assert.equal(cells(report, 'ctr + hmac', 'noble'), ['2.00 / 2.00', '20.0 / 2.00']);
  assert.equal(cells(report, 'ctr + hmac', 'accelerated'), ['6.00 / 2.00', '8.00 / 2.00']);
  assert.equal(cells(report, 'x25519', 'noble'), ['1.50', '2.50']);
  assert.equal(cells(report, 'ed25519', 'noble'), ['0.200', '4.00']);
  assert.match(report, /Medians of 3 batches; the batches of one cell lie 100 % apart/);
});

test('crypto: every cipher and every MAC is measured, and no algorithm under two names', () => {
  const all = suites(noble);
  for (const { name } of noble.ciphers)
    assert.ok(
      all.some(({ cipher }) => cipher === name),
      name,
    );
  for (const { name } of noble.macs)
    assert.ok(
      all.some(({ mac }) => mac === name),
      name,
    );
  for (const { cipher, mac } of all) {
    assert.is(mac === undefined, noble.ciphers.find(({ name }) => name === cipher)?.aead, cipher);
  }
  const names = ['a', 'a@libssh.org', 'b@openssh.com', 'c'].map(name => ({ name }));
  assert.equal(
    unaliased(names).map(({ name }) => name),
    ['a', 'b@openssh.com', 'c'],
  );
});

test.run();
