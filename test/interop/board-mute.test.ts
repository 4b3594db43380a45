// Providers made with libraries that read only while they are called: Ruby's net-ssh. They answer no keepalive, and live.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, says } from '../kit/board.ts';
import { bounded, pause, type Scope, soon } from '../kit/processes.ts';
import { type Switchboard, switchboard } from '../kit/ssh.ts';
import { needs, skip } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen', 'ruby');

/** net-ssh with a line on port 80; nothing is read there before `go`. */
async function provider(scope: Scope, board: Switchboard, target: number, sent: Record<string, string> = {}) {
  const config = join(scope.directory(), 'config');
  writeFileSync(config, 'Host *\n    SendEnv LANG LC_*\n');
  const script = join(import.meta.dirname, '../kit/peers/net-ssh-provider.rb');
  const args = [script, String(board.port), 'ruby', config, String(target)];
  const child = scope.start('ruby', args, { env: { ...process.env, ...sent } });
  await soon('the line', child.says(/plugged in/));
  return { child, go: () => child.process.stdin!.write('\n') };
}

it(
  'net-ssh sends environment variables on the channel of a caller before it confirms it: the call gets through',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--public-names'] });
    const { child, go } = await provider(scope, board, await says(scope, 'here'), { LANG: 'C.UTF-8', LC_X: 'y' });
    go();
    for (let i = 0; i < 2; i++) assert.is(await call(scope, board, 'ruby:80'), 'here', child.stderr);
    assert.not.match(board.child.stderr, /not open/);
  }),
);

it(
  'net-ssh that is busy elsewhere for longer than --dead-after answers nothing, and keeps its line: its TCP acknowledges',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--public-names', '--dead-after', '3s'] });
    const { child, go } = await provider(scope, board, await says(scope, 'here'));
    // Twice as long as somebody gets who has answered before.
    await pause(6000);
    assert.not.match(board.child.stderr, /silent for/);
    go();
    assert.is(await call(scope, board, 'ruby:80'), 'here', child.stderr);
  }),
);

// The network of loopback is switched off, which wants a network of its own, and so a right that not every machine gives.
const alone = spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up']).status === 0;
if (!alone) skip(test, 'a client that answers nothing goes with its network', 'no network namespaces here');
else {
  test(
    'a client that answers nothing lives while its system acknowledges, and goes with its network as fast as any other',
    bounded(180, async scope => {
      const script = join(import.meta.dirname, '../kit/peers/gone.ts');
      const { stdout, stderr } = await scope.start('unshare', ['--net', process.execPath, '--import', 'tsx', script])
        .ended;
      assert.match(stdout.toString(), /^lives\nended: silent for 3 seconds\n$/, stderr);
    }),
  );
}

test.run();
