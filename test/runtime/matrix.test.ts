// The same list on every runtime: Node 20, 22, 24 and 26, Bun and Deno. `npm run runtimes` installs them; UPDATE=1 writes the README's table.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bounded } from '../kit/processes.ts';
import { runtimes } from '../kit/runtimes.ts';
import { rewriteBlock, table } from '../kit/table.ts';
import { needs } from '../kit/tools.ts';

const here = import.meta.dirname;
const root = join(here, '..', '..');
const readme = join(root, 'README.md');
const program = join(here, 'program.ts');

interface Step {
  readonly name: string;
  readonly ok: boolean;
  readonly error?: string;
}
interface Column {
  readonly title: string;
  readonly steps: readonly Step[];
  /** Algorithms that the runtime's cryptography does not have, or gets wrong. */
  readonly portable: readonly string[];
}
const columns: Column[] = [];

for (const { title, binary, args } of runtimes) {
  needs(test, binary)(
    `${title}: the whole list`,
    bounded(240, async scope => {
      // What is covered is measured elsewhere; it would take three times as long.
      const options = { cwd: root, env: { NODE_V8_COVERAGE: undefined } };
      const { stdout, stderr, code } = await scope.run(binary, [...args, program], options);
      const lines = stdout
        .toString()
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
      const steps: Step[] = lines.filter(line => 'ok' in line);
      for (const step of steps) assert.ok(step.ok, `${step.name}: ${step.error}`);
      assert.is(code, 0, stderr);
      const origins = lines.find(line => 'implementations' in line).implementations as Record<string, string>;
      columns.push({ title, steps, portable: Object.keys(origins).filter(name => origins[name] === 'noble') });
    }),
  );
}

test('the README shows what was measured', () => {
  if (columns.length < runtimes.length) return console.log('note: the table needs all runtimes');
  const rows = columns[0].steps.map(({ name }) => [
    name,
    ...columns.map(({ steps }) => (steps.find(step => step.name === name)?.ok ? '✓' : '✗')),
  ]);
  const portable = columns
    .filter(column => column.portable.length > 0)
    .map(({ title, portable }) => `- ${title}: ${portable.map(name => `\`${name}\``).join(', ')}`);
  const content = [
    table(['', ...columns.map(({ title }) => title)], rows),
    '',
    'Algorithms for which the portable implementation takes over there, because the runtime lacks them or fails the known-answer test:',
    '',
    ...portable,
  ].join('\n');
  if (process.env.UPDATE === '1') rewriteBlock(readme, 'runtimes', content);
  assert.ok(
    readFileSync(readme, 'utf8').includes(content),
    `README.md shows something else; UPDATE=1 writes this into it:\n${content}`,
  );
});

test.run();
