// The applications' lists (prompt, console, sessions, transcripts) on one runtime: each list is a process, and a test here.
// What is about the program from outside has only the program on that runtime; what calls our functions runs there itself.
import { basename, join } from 'node:path';
import { test } from 'uvu';
import { failuresIn } from '../kit/failures.ts';
import { bounded } from '../kit/processes.ts';
import { runtimeOf } from '../kit/runtimes.ts';
import { needs } from '../kit/tools.ts';

const root = join(import.meta.dirname, '..', '..');

/** They start the program. Each wants what its own first lines say: ssh, a browser. */
const OUTSIDE = [
  'board-shell',
  'console',
  'once',
  'once-environment',
  'once-session',
  'once-terminal',
  'once-transcript',
];
/** They import it. */
const INSIDE = [
  ...['shell', 'prompt', 'commands', 'log', 'console/exchange', 'console/feed', 'console/routes'].map(
    name => `switchboard/${name}`,
  ),
  ...['account', 'files', 'formats', 'hiding', 'life', 'master', 'peer', 'pipes', 'termios', 'verify', 'view'].map(
    name => `once/${name}`,
  ),
];

/** Defines a test for each list of one of the two kinds on the runtime `id`, and runs them. */
export function runApplications(id: string, kind: 'outside' | 'inside'): void {
  const { title, binary, args } = runtimeOf(id);
  const counts: string[] = [];
  const inside = kind === 'inside';
  for (const list of inside ? INSIDE : OUTSIDE) {
    const name = `test/${inside ? 'unit' : 'interop'}/${list}.test.ts`;
    const file = join(root, name);
    needs(test, binary)(
      `${title}: ${name}`,
      bounded(240, async scope => {
        const command = inside ? [binary, ...args] : [process.execPath, '--import', 'tsx'];
        // What is covered is measured elsewhere.
        const env = { CORDBOARD_TEST_RUNTIME: id, NODE_V8_COVERAGE: undefined };
        const { code, stdout, stderr } = await scope.run(command[0], [...command.slice(1), file], { cwd: root, env });
        const said = stdout.toString() + stderr;
        const [, passed] = /Passed:\s+([1-9]\d*)/.exec(said.replace(/\x1b\[[0-9;]*m/g, '')) ?? [];
        if (code === 0 && passed !== undefined) return void counts.push(`${basename(file, '.test.ts')} ${passed}`);
        const failures = failuresIn(said).map(({ name: failed = `exit code ${code}`, lines }) =>
          [failed, ...lines].join('\n    '),
        );
        throw new Error(`${passed ?? 0} passed, and these did not:\n${failures.join('\n')}`);
      }),
    );
  }
  test.after(() => console.log(`\nnote: passed on ${title}: ${counts.join(', ')}`));
  test.run();
}
