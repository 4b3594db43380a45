// Every function marked `// hot` is measured: by the bench's hot part, or, if it belongs to a cipher, by its crypto part.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type HotCost, hotReport, MEASURED } from '../../../bench/hot.ts';

const src = join(import.meta.dirname, '../../../src');

/** `file name` of each function that stands behind a mark. */
function marked(): string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .flatMap(file => {
      const text = readFileSync(join(src, file), 'utf8');
      // The mark, the rest of its comment, and what the comment is for.
      const found = text.matchAll(
        /\/\/ hot\b.*\n(?:\s*(?:\*|\/\/).*\n)*\s*(?:export )?(?:function |const |type |return )?(#?\w*)/g,
      );
      return Array.from(found, ([, name]) => `${file.replaceAll('\\', '/')} ${name}`);
    });
}

test('what is marked as hot has a micro-benchmark', () => {
  const all = marked();
  assert.ok(all.includes('protocol/transport/frames.ts next'), all.join('\n'));
  const measured = new Set(Object.values(MEASURED).flat());
  for (const name of all)
    assert.ok(measured.has(name) || name.startsWith('crypto/'), `${name} is in no micro-benchmark`);
});

test('what the hot part says it measures is marked as hot', () => {
  const all = new Set(marked());
  for (const name of Object.values(MEASURED).flat()) assert.ok(all.has(name), `${name} is not marked`);
});

test('hot: a row for each function, a column for each size, medians', () => {
  const costs: HotCost[] = [
    {
      name: 'relay',
      costs: [
        [1, 3, 2],
        [10, 30, 20],
      ],
    },
  ];
  assert.match(hotReport(costs), /\| relay +\| +2\.00 \| +20\.0 \|/);
});

test.run();
