// CORDBOARD_TEST_RUNTIME decides what runs the program under test: asked of the program itself.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { command as otssh } from '../../kit/once.ts';
import { bounded } from '../../kit/processes.ts';
import { runtimeOf, runtimes, underTest } from '../../kit/runtimes.ts';
import { command as cordboard } from '../../kit/ssh.ts';
import { needs } from '../../kit/tools.ts';

test('both commands run on the runtime under test, which is this Node if nothing is said', () => {
  for (const command of [otssh, cordboard]) assert.equal(command.slice(0, -1), underTest);
  if (process.env.CORDBOARD_TEST_RUNTIME === undefined) assert.is(underTest[0], process.execPath);
});

for (const { id, title, binary } of runtimes) {
  needs(test, binary)(
    `${title}: what is started is that`,
    bounded(60, async scope => {
      const kit = JSON.stringify(import.meta.resolve('../../kit/runtimes.ts'));
      const program = `import(${kit}).then(({ underTest }) => console.log(JSON.stringify(underTest)))`;
      const { stdout } = await scope.run(process.execPath, ['--import', 'tsx', '-e', program], {
        env: { CORDBOARD_TEST_RUNTIME: id },
      });
      const [started] = JSON.parse(stdout.toString());
      assert.is(started, binary);
      const version = (await scope.run(started, ['--version'])).stdout.toString();
      assert.ok(version.includes(title.split(' ')[1]), version);
    }),
  );
}

test('a runtime that nobody knows is named', () => {
  assert.throws(() => runtimeOf('node12'), /^no runtime node12: it is one of node20, .*deno$/);
});

test.run();
