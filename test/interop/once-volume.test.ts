// Much at once through `otssh`: 200 MiB, and all that a terminal has when its program ends; to the client, and into the transcript.
import { rmSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { door, recorded, verified } from '../kit/once.ts';
import { bounded, soon } from '../kit/processes.ts';
import { ssh, sshConfig } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen', 'cksum');

it(
  '200 MiB of yes arrive as they left, and are in the transcript',
  bounded(420, async scope => {
    const open = await door(scope);
    const config = sshConfig(scope, open, 'alice');
    const command = `ssh -F ${config} -p ${open.port} alice@127.0.0.1 'yes | head -c 209715200' | cksum`;
    const { code, stdout, stderr } = await scope.run('sh', ['-c', command]);
    const direct = await scope.run('sh', ['-c', 'yes | head -c 209715200 | cksum']);
    assert.equal([code, stdout.toString()], [0, direct.stdout.toString()], stderr);
    await soon('otssh', open.child.ended, 120);
    const whole = await verified(scope, open.log, '-key', open.publicKey);
    assert.is(whole.code, 0, whole.text);
    // "y\n" is two bytes, and a line " y\\n" five.
    const lines = Number(/whole: (\d+) lines/.exec(whole.text)![1]);
    assert.ok(lines > 209715200 / 2, `${lines}`);
    rmSync(open.log);
  }),
);

it(
  'bytes of a terminal arrive in full at its end, however much it is',
  bounded(180, async scope => {
    for (let round = 0; round < 3; round++) {
      const open = await door(scope);
      const command = 'head -c 3000000 /dev/zero | tr "\\0" x';
      const { code, stdout } = await ssh(scope, open, 'alice', ['-tt', '--', command], { input: '' }).ended;
      assert.equal([code, stdout.length], [0, 3_000_000]);
      await open.child.ended;
      const all = [...recorded(open.log).matchAll(/^\d+\.\d+ out (x*)$/gm)];
      assert.is(
        all.reduce((sum, [, text]) => sum + text.length, 0),
        3_000_000,
      );
    }
  }),
);

test.run();
