// Runs every test/**/*.test.ts in a process of its own, a few at a time, and prints one closing line: "N passed, N failed, N skipped".
// Under a file that fails stands how its tests failed, and the last lines name them again: a record of a run may keep only its
// beginning and its end. Arguments select files by part of their path, and then errors are shown whole: `npm test -- interop`.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { failuresIn } from './kit/failures.ts';

const here = import.meta.dirname;
const wanted = process.argv.slice(2);
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.test.ts') && !name.includes('node_modules'))
  .filter(name => wanted.length === 0 || wanted.some(part => name.includes(part)))
  .sort();
/** A file that hangs is killed after this many milliseconds and counts as failed. */
const LIMIT = 8 * 60_000;

const sum = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];

/** uvu's closing lines ("Total: 3", "Passed: 3", "Skipped: 0"), added up. */
function count(text: string, word: string): number {
  const plain = text.replace(/\x1b\[[0-9;]*m/g, '');
  return [...plain.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce((n, match) => n + Number(match[1]), 0);
}

function run(file: string): Promise<void> {
  return new Promise(resolve => {
    const path = relative(process.cwd(), join(here, file));
    const started = Date.now();
    const child = spawn(process.execPath, ['--import', 'tsx', join(here, file)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const collect = (part: Buffer) => (text += part);
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const timer = setTimeout(() => {
      const ended = text.match(/[•✘]/g)?.length ?? 0;
      text += `\nkilled after ${LIMIT / 1000} s, in its test number ${ended + 1}\n`;
      child.kill('SIGKILL');
    }, LIMIT);
    child.on('close', code => {
      clearTimeout(timer);
      const total = count(text, 'Total');
      const passed = count(text, 'Passed');
      const skipped = count(text, 'Skipped');
      // A file that dies, or that runs nothing, must not pass for a green one.
      const failed = Math.max(total - passed, code === 0 && total + skipped > 0 ? 0 : 1);
      sum.passed += passed;
      sum.failed += failed;
      sum.skipped += skipped;
      const verdict = failed ? 'FAILED' : 'ok';
      process.stdout.write(
        `${verdict.padEnd(7)}${path}  ${passed} passed${skipped ? `, ${skipped} skipped` : ''}  ${((Date.now() - started) / 1000).toFixed(1)} s\n`,
      );
      const notes = text.match(/^(?:note|skipped): .*$/gm);
      if (notes) process.stdout.write(`${notes.map(line => `       ${line}`).join('\n')}\n`);
      if (failed) {
        for (const { name = `exit code ${code}`, lines } of failuresIn(text)) {
          failures.push(`FAILED ${path}: ${name}`);
          if (wanted.length === 0)
            process.stdout.write(`       ✘ ${name}\n${lines.map(line => `         ${line}\n`).join('')}`);
        }
        if (wanted.length > 0) process.stdout.write(`${text}\n`);
      }
      resolve();
    });
  });
}

const queue = [...files];
// One more than there are cores, and three at most: many files spend their time waiting, for a silence or a process.
const workers = Math.min(3, availableParallelism() + 1);
await Promise.all(
  Array.from({ length: workers }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await run(file);
  }),
);
process.stdout.write(
  `${['', ...failures, ''].join('\n')}${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`,
);
// Not process.exit, which cuts off what a pipe has not taken yet.
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
