// The variables of a session of `otssh` that is started with none, beside those of the real sshd; and mosh, which needs them.
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { door, otssh, recorded } from '../kit/once.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { keyLine, knownHost, ssh, sshConfig, sshd, type Target } from '../kit/ssh.ts';
import { terminal } from '../kit/terminal.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd');

/** As an image without ENV, or a unit of systemd, starts it. */
const bare = ['env', '-i'];

/** What `env` says in a session, without what the shell adds by itself. */
async function variables(scope: Scope, at: Target, user: string, pty: boolean): Promise<Record<string, string>> {
  const child = ssh(scope, at, user, [pty ? '-tt' : '-T', '--', 'env'], { key: 'alice', input: '' });
  const { stdout } = await soon('ssh', child.ended, 90);
  const pairs = stdout.toString().split(/\r?\n/).filter(Boolean);
  const own = /^(_|PWD|OLDPWD|SHLVL)=/;
  return Object.fromEntries(pairs.filter(pair => !own.test(pair)).map(pair => pair.split(/=(.*)/s).slice(0, 2)));
}

for (const pty of [false, true])
  it(
    `without any variables it has those that sshd sets, ${pty ? 'in a terminal' : 'without a terminal'}`,
    bounded(180, async scope => {
      const [real, ours] = await Promise.all([sshd(scope, [{ owner: 'alice' }]), door(scope, { through: bare })]);
      const [there, here] = [
        await variables(scope, real, real.user, pty),
        await variables(scope, ours, real.user, pty),
      ];
      for (const [{ port }, all] of [
        [real, there],
        [ours, here],
      ] as const) {
        const [, from] = /^127\.0\.0\.1 ([1-9]\d*) /.exec(all.SSH_CLIENT)!;
        assert.is(all.SSH_CLIENT, `127.0.0.1 ${from} ${port}`);
        assert.is(all.SSH_CONNECTION, `127.0.0.1 ${from} 127.0.0.1 ${port}`);
        assert.is(/^\/dev\/pts\/\d+$/.test(all.SSH_TTY ?? ''), pty);
        for (const name of ['SSH_CLIENT', 'SSH_CONNECTION', 'SSH_TTY']) delete all[name];
      }
      assert.equal(here, there);
      await soon('otssh', ours.child.ended, 60);
      assert.match(recorded(ours.log), new RegExp(` env HOME=${there.HOME}\n`));
    }),
  );

/** A uid that no passwd file has; only root can take it. */
const NOBODY = 54_321;

(process.getuid?.() === 0 ? needs(test, 'ssh', 'setpriv') : test.skip)(
  'a uid without an account has a home and a shell, and no name',
  bounded(180, async scope => {
    const directory = scope.directory();
    const keys = join(directory, 'keys');
    const log = join(directory, 'log');
    writeFileSync(keys, `${keyLine('alice')}\n`);
    chownSync(directory, NOBODY, NOBODY);
    const through = [
      'setpriv',
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      '--clear-groups',
      ...bare,
      `TMPDIR=${directory}`,
    ];
    const child = otssh(scope, ['-port=0', '-listen=127.0.0.1', `-log=${log}`, `-authorized-keys=${keys}`], {
      through,
    });
    const [, port] = await soon('otssh', child.says(/^listening on \S+ port (\d+)$/m, 'stderr'), 90);
    const [publicKey] = await child.says(/^ssh-ed25519 \S+$/m);
    const at = { host: '127.0.0.1', port: Number(port), known: [knownHost('127.0.0.1', Number(port), publicKey)] };
    const { HOME, SHELL, USER, SSH_CONNECTION } = await variables(scope, at, 'alice', true);
    assert.equal({ HOME, SHELL, USER }, { HOME: '/', SHELL: '/bin/sh', USER: undefined });
    assert.match(SSH_CONNECTION, / 127\.0\.0\.1 \d+$/);
    await soon('otssh', child.ended, 60);
    const via = ['-via=127.0.0.1', `-log=${log}2`, `-authorized-keys=${keys}`];
    const nameless = await soon('otssh', otssh(scope, via, { through, input: '' }).ended, 90);
    assert.is(nameless.code, 2);
    assert.match(nameless.stderr, /this uid has no name: write user@host/);
  }),
);

needs(
  test,
  'ssh',
  'mosh',
  'mosh-server',
)(
  'mosh finds its address, and a command runs in it when the session is over',
  bounded(180, async scope => {
    const open = await door(scope, { through: bare });
    const config = sshConfig(scope, open, 'alice');
    const screen = await terminal(
      scope,
      'mosh',
      [`--ssh=ssh -F ${config} -p ${open.port}`, 'alice@127.0.0.1', '--', 'sh', '-c', 'echo ro""ck; cat'],
      { LC_ALL: 'C.UTF-8' },
    );
    await soon('the command', screen.shows(/rock/), 90);
    await soon('otssh', open.child.ended, 60);
    await screen.type('rol""ling\n');
    await screen.shows(/rol""ling[\s\S]*rol""ling/);
    await screen.type('\x04');
    assert.equal(await soon('mosh', screen.ended, 60), { status: 0 });
    assert.not.match(
      recorded(open.log) + screen.shown,
      /SSH_CONNECTION (?:not found|is not)|Could not parse|binding to any/i,
    );
    assert.match(recorded(open.log), /MOSH CONNECT \d+ /);
  }),
);

test.run();
