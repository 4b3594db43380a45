// The last resort against promises that nobody catches: the process goes on, its log says so, and the test kit sees that.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { surviveRejections } from '../../../src/apps/switchboard/log.ts';
import { detached, faultsLogged, UNHANDLED } from '../../../src/server/detached.ts';
import { bounded } from '../../kit/processes.ts';
import { notes } from '../../kit/served.ts';
import { turns } from '../../kit/socket.ts';

test('a promise that fails unheard is logged, and the process goes on', async () => {
  const log = notes();
  surviveRejections(log);
  void Promise.reject(new Error('lost'));
  await turns(3);
  assert.equal(log.lines, [`error ${UNHANDLED}: Error: lost`]);
});

test('detached promises and faultsLogged callbacks are logged with their stack', async () => {
  const stacks: unknown[] = [];
  const log = { ...notes(), error: (fields: object, message: string) => stacks.push({ message, ...fields }) };
  detached(Promise.reject(new Error('far')), log, 'it failed', { client: 7 });
  faultsLogged(
    () => {
      throw new Error('near');
    },
    log,
    'it threw',
  )();
  await turns(3);
  const [near, far] = stacks as { message: string; client?: number; error: string; stack: string }[];
  assert.equal(
    [near.message, near.error, far.message, far.error, far.client],
    [...['it threw', 'Error: near', 'it failed', 'Error: far', 7]],
  );
  for (const { stack } of [near, far]) assert.match(stack, /log\.test\.ts:\d+/);
});

test('a test whose program has logged such a line fails, whatever it was about', async () => {
  const program = (line: string) =>
    bounded(60, async scope => {
      const { code } = await scope.run(process.execPath, ['-e', `console.error(${JSON.stringify(line)})`]);
      assert.is(code, 0);
    })();
  await program('all is well');
  await program(`{"level":50,"msg":"${UNHANDLED}"}`).then(
    () => assert.unreachable('it is seen'),
    (error: Error) => assert.match(error.message, UNHANDLED),
  );
});

test.run();
