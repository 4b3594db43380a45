// The failures that the test runner reads out of uvu's output.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { failuresIn, SHOWN } from '../../kit/failures.ts';

/** What uvu prints for this file. */
function outputOf(source: string): string {
  // Where uvu is found, and no test runner looks for tests.
  const directory = mkdtempSync(join(import.meta.dirname, '../../../node_modules/.failing-'));
  try {
    const file = join(directory, 'a.test.ts');
    writeFileSync(file, `import { suite, test } from 'uvu';\nimport * as assert from 'uvu/assert';\n${source}`);
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', file], { encoding: 'utf8' });
    return stdout + stderr;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('each test that failed, with its name, its message and the line', () => {
  const [first, second, third, ...rest] = failuresIn(
    outputOf(`
      test('good', () => {});
      test('a "bad" one', () => { assert.is(1, 2, 'one is two'); });
      test('a long one', () => { throw new Error('not done\\n' + 'and on\\n'.repeat(100)); });
      test.run();
      const named = suite('named');
      named('in a suite', () => { assert.ok(false); });
      named.run();
    `),
  );
  assert.is(first.name, 'a "bad" one');
  assert.match(first.lines[0], 'one is two');
  assert.match(first.lines.join('\n'), /a\.test\.ts:5:\d+/);
  assert.not.match(first.lines.join('\n'), 'a long one');
  assert.is(second.name, 'a long one');
  assert.match(second.lines[0], 'not done');
  assert.is(second.lines.length, SHOWN + 2);
  assert.match(second.lines.at(-1)!, /a\.test\.ts:6:\d+/);
  assert.is(third.name, 'named: in a suite');
  assert.not.match(third.lines.join('\n'), 'Total');
  assert.equal(rest, []);
});

test('a file that dies: its last words', () => {
  const [only, ...rest] = failuresIn(outputOf(`throw new Error('no such thing');`));
  assert.is(only.name, undefined);
  assert.match(only.lines.join('\n'), 'Error: no such thing');
  assert.equal(rest, []);
});

test.run();
