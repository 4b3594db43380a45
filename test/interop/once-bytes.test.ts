// What is no text on its way through `otssh`: commands, variables and file names that are not UTF-8, as sshd takes them; sizes in pixels.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { entriesOf } from '../../src/apps/once/play.ts';
import { dial } from '../../src/client/dial.ts';
import { type Door, door, otssh, recorded, verified } from '../kit/once.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { keyFile, keyLine, sshConfig, sshd, type Target } from '../kit/ssh.ts';
import { terminal } from '../kit/terminal.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'sh', 'bash', 'python3');

/** What a shell that reads these characters, one byte each, gives to ssh. */
async function byShell(scope: Scope, at: Target, user: string, args: string, before = ''): Promise<string> {
  const config = sshConfig(scope, at, user, { key: 'alice' });
  const line = `${before} exec ssh -F ${config} -p ${at.port} ${args.replace('HOST', `${user}@127.0.0.1`)}`;
  const script = join(scope.directory(), 'script');
  writeFileSync(script, Buffer.from(line, 'latin1'));
  const { stdout, code, stderr } = await soon('ssh', scope.run('bash', [script]), 90);
  return `${code} ${stdout.toString('latin1')}${code === 255 ? stderr : ''}`;
}

const over = ({ child }: Door) => soon('otssh', child.ended, 60);

for (const pty of [false, true])
  it(
    `a command that is not UTF-8 makes the file that is meant, ${pty ? 'in a terminal' : 'without a terminal'}, and is in the record`,
    bounded(180, async scope => {
      const here = join(scope.directory(), 'here');
      const there = join(scope.directory(), 'there');
      const [real, ours, plain] = await Promise.all([
        sshd(scope, [{ owner: 'alice' }]),
        door(scope, { log: 'session.cast', env: { LATIN: 'own' } }),
        door(scope),
      ]);
      const [option, end] = pty ? ['-tt', '; exit 3'] : ['-T', '; kill -TERM $$'];
      const command = (where: string) =>
        `${option} HOST 'mkdir ${where}; cd ${where}; echo "$0" >caf\xe9; printf "%s\\n" \xff\xe9; ls | od -An -c${end}'`;
      const results = [
        await byShell(scope, real, real.user, command(there), 'export SHELL=/bin/sh;'),
        await byShell(scope, ours, 'alice', command(here)),
      ];
      assert.is(results[1], results[0]);
      assert.equal(
        readdirSync(here, 'buffer').map(name => name.toString('latin1')),
        ['caf\xe9'],
      );
      await byShell(scope, plain, 'alice', `${option} HOST 'echo \xe9 done'`);
      await Promise.all([over(ours), over(plain)]);
      assert.match(recorded(plain.log), / runs echo \\xe9 done\n/);
      const runs = [...entriesOf(ours.log)].map(({ entry }) => entry).find(({ kind }) => kind === 'runs');
      assert.ok(runs?.kind === 'runs' && Buffer.from(runs.text).toString('latin1').includes('>caf\xe9; '));
      for (const each of [ours, plain]) assert.is((await verified(scope, each.log, '-key', each.publicKey)).code, 0);
    }),
  );

it(
  'a forced command gets what was asked for, a container’s own variables stay, TERM and refused names are as they came',
  bounded(180, async scope => {
    // A program is given bytes as its variables by a shell, not by this runtime.
    const through = join(scope.directory(), 'through');
    writeFileSync(through, Buffer.from('#!/bin/bash\nexport LATIN=\xe9t\xe9\nexec "$@"\n', 'latin1'), { mode: 0o755 });
    const show = 'printf %s:%s:%s "$SSH_ORIGINAL_COMMAND" "$LATIN" "$TERM" | od -An -tx1 | tr -d " \\n"';
    const open = await door(scope, {
      through: [through],
      keys: [`command="${show.replaceAll('"', '\\"')}" ${keyLine('alice')}`],
    });
    const said = await byShell(scope, open, 'alice', "-tt -o SetEnv='N\xe9=1' HOST 'caf\xe9'", "export TERM='x\xe9';");
    assert.is(said.trim(), '0 636166e93ae974e93a78e9');
    await over(open);
    assert.match(recorded(open.log), / asked caf\\xe9\n/);
    assert.match(recorded(open.log), / env TERM=x\\xe9\n/);
    assert.match(recorded(open.log), /refused: the variables N\\xe9\n|refused: the variables N\\\\xe9\n/);
  }),
);

it(
  'a file of keys, or an option, that would be another one is refused',
  bounded(180, async scope => {
    const keys = join(scope.directory(), 'keys');
    writeFileSync(keys, Buffer.from(`command="touch caf\xe9" ${keyLine('alice')}\n`, 'latin1'));
    const { code, stderr } = await otssh(scope, [`-authorized-keys=${keys}`], { input: '' }).ended;
    assert.equal([code, /line 1: command or environment is not UTF-8/.test(stderr)], [1, true], stderr);
    const through = join(scope.directory(), 'through');
    writeFileSync(through, Buffer.from('#!/bin/sh\nexec "$@" -log=/tmp/caf\xe9\n', 'latin1'), { mode: 0o755 });
    const other = await otssh(scope, [`-authorized-keys=${keys}`], { input: '', through: [through] }).ended;
    assert.equal([other.code, /log is not UTF-8/.test(other.stderr)], [2, true], other.stderr);
  }),
);

/** TIOCGWINSZ: rows, columns, width, height. */
const WINSIZE = `import fcntl, struct, termios; print(struct.unpack('4H', fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))))`;

it(
  'the size in pixels reaches the program, changes with the window, and is in the record',
  bounded(180, async scope => {
    for (const log of ['log', 'session.cast']) {
      const open = await door(scope, { log, env: { SHELL: '/bin/sh', PATH: process.env.PATH } });
      const config = sshConfig(scope, open, 'alice');
      const screen = await terminal(scope, 'ssh', [
        '-F',
        config,
        '-p',
        String(open.port),
        '-tt',
        '127.0.0.1',
        '-l',
        'alice',
      ]);
      const ask = `python3 -c "${WINSIZE}"\n`;
      await screen.type(ask);
      await screen.shows(/\(24, 80, 0, 0\)/);
      screen.resize(80, 24, 1360, 744);
      await screen.type(`while ! ${ask.trim()} | grep 744; do sleep 0.1; done\n`);
      await screen.shows(/\(24, 80, 1360, 744\)/);
      await screen.type('exit\n');
      await over(open);
      const sizes = [...entriesOf(open.log)].flatMap(({ entry }) => (entry.kind === 'size' ? [entry] : []));
      assert.equal(sizes, [{ kind: 'size', columns: 80, rows: 24, width: 1360, height: 744 }]);
      if (log === 'log') assert.match(recorded(open.log), / size 80x24 1360x744\n/);
    }
    const open = await door(scope, { env: { SHELL: '/bin/sh', PATH: process.env.PATH } });
    const keys = [readFileSync(keyFile('alice'), 'utf8')];
    const client = await dial({ host: '127.0.0.1', port: open.port, user: 'alice', keys, hostKey: () => true });
    scope.defer(() => client.close());
    const pty = { columns: 100, rows: 30, width: 900, height: 600 };
    const { stdout } = await client.exec(Buffer.from(`python3 -c "${WINSIZE}" #\xe9`, 'latin1'), { pty });
    assert.match(Buffer.from(stdout).toString(), /^\(30, 100, 900, 600\)/);
    await over(open);
    assert.match(readFileSync(open.log, 'utf8'), /^# terminal 100x30 \S+, 900x600 pixels$/m);
  }),
);

test.run();
