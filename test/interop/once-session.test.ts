// The one session of `otssh` with stock ssh: shell, commands, who gets in, what is refused, how it ends; its transcript has all of it.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { account } from '../../src/apps/once/account.ts';
import { echoServer, readAll, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { door, recorded } from '../kit/once.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { keyFile, keyLine, type SshOptions, ssh, type Target } from '../kit/ssh.ts';
import { needs, which } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** Runs ssh to its end. */
async function run(scope: Scope, at: Target, args: readonly string[], options: SshOptions = {}) {
  const { code, stdout, stderr } = await soon(
    'ssh',
    ssh(scope, at, 'alice', args, { input: '', ...options }).ended,
    90,
  );
  return { code, stdout: stdout.toString(), stderr };
}

/** Whether somebody still listens there. */
const listens = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

it(
  '2: a login shell in a terminal, with all variables; its status is that of ssh and of otssh; the port is closed at once',
  bounded(180, async scope => {
    const open = await door(scope, { env: { MINE: 'whole', SHELL: '/bin/sh', HOME: scope.directory() } });
    const shell = ssh(scope, open, 'alice', ['-tt'], { env: { TERM: 'vt220' } });
    shell.write('echo "$0 $MINE $TERM $SHELL" is said; test -t 0 && tty\n');
    await soon('the shell', shell.says(/^(?:.*[$#] )?-sh whole vt220 \/bin\/sh is said\r\n\/dev\/pts\/\d+\r$/m), 90);
    assert.not.ok(await listens(open.port), 'the port is closed');
    shell.write('exit 7\n');
    assert.is((await soon('ssh', shell.ended, 60)).code, 7);
    assert.is((await soon('otssh', open.child.ended, 60)).code, 7);
  }),
);

it(
  '3: a command without a terminal: two separate streams, its status, input to its end',
  bounded(180, async scope => {
    const [first, second, third] = await Promise.all([door(scope), door(scope), door(scope)]);
    const apart = await run(scope, first, ['-T', '--', 'echo out; echo err >&2; exit 3']);
    assert.equal(apart, { code: 3, stdout: 'out\n', stderr: 'err\n' });
    assert.is((await first.child.ended).code, 3);
    assert.match(recorded(first.log), / out out\\n\n[\s\S]*exit 3$/);
    assert.match(recorded(first.log), / err err\\n\n/);
    const echoed = await run(scope, second, ['--', 'cat'], { input: 'x' });
    assert.equal(echoed, { code: 0, stdout: 'x', stderr: '' });
    assert.match(recorded(second.log), / in x\n[\s\S]* out x\n/);
    // A signal is told as such; ssh says so by 255, otssh as shells do.
    const killed = await run(scope, third, ['--', 'kill -TERM $$']);
    assert.is(killed.code, 255);
    assert.is((await third.child.ended).code, 128 + 15);
    assert.match(recorded(third.log), / exit 143$/);
  }),
);

it(
  '4: the wrong key is refused, and then the right one comes in, while others are still at the door; both are noted',
  bounded(180, async scope => {
    const open = await door(scope);
    const wrong = await soon('ssh', ssh(scope, open, 'bob', ['--', 'true'], { input: '' }).ended, 90);
    assert.is(wrong.code, 255);
    assert.match(wrong.stderr, /Permission denied \(publickey\)/);
    const waiting = await tcpConnect(scope, open.port);
    const hungUp = readAll(waiting);
    const right = ssh(scope, open, 'alice', ['--', 'echo in; cat'], {});
    await soon('the session', right.says(/^in$/m), 90);
    await soon('those who wait to be sent away', hungUp, 60);
    assert.not.ok(await listens(open.port), 'the port is closed');
    right.endInput();
    assert.is((await right.ended).code, 0);
    await open.child.ended;
    const log = readFileSync(open.log, 'utf8');
    assert.match(log, /^# note \S+ sign-in refused: no line admits the key; bob from 127\.0\.0\.1 port \d+, SHA256:/m);
    assert.match(log, /^# note \S+ the key is accepted by line 1; alice from 127\.0\.0\.1 port \d+, SHA256:/m);
  }),
);

it(
  'failed keys are counted: a connection has six, and after --max-failures it gives up',
  bounded(180, async scope => {
    const open = await door(scope, { args: ['-max-failures=3'] });
    for (const each of ['bob', 'carol', 'dave']) {
      const { code } = await soon('ssh', ssh(scope, open, each, ['--', 'true'], { input: '' }).ended, 90);
      assert.is(code, 255);
    }
    const { code, stderr } = await soon('otssh to give up', open.child.ended, 60);
    assert.is(code, 1);
    assert.match(stderr, /^Too many failed sign-ins: 3$/m);
  }),
);

it(
  'without SHELL it is the shell that the account has',
  bounded(180, async scope => {
    const open = await door(scope, { env: { SHELL: undefined, USER: undefined } });
    const { code, stdout } = await run(scope, open, ['--', 'echo "$0"']);
    assert.equal({ code, stdout }, { code: 0, stdout: `${basename(account().shell || '/bin/sh')}\n` });
  }),
);

it(
  '10: the client is lost: the shell and what it runs get SIGHUP, it is said, and the status is not 0',
  bounded(180, async scope => {
    const directory = scope.directory();
    // Not dash, which does nothing about a signal until somebody types.
    const open = await door(scope, { env: { SHELL: which('bash'), HOME: directory } });
    const shell = ssh(scope, open, 'alice', ['-tt']);
    const job = join(directory, 'job.sh');
    writeFileSync(job, `trap 'echo job >${directory}/job; exit' HUP\necho ready\nwhile :; do sleep 0.1; done\n`);
    shell.write(`trap 'echo shell >${directory}/shell; exit 0' HUP\nsh ${job}\n`);
    await soon('the shell', shell.says(/ready\r\n/), 90);
    shell.signal('SIGKILL');
    const { code, stderr } = await soon('otssh', open.child.ended, 90);
    assert.is(code, 1);
    assert.match(stderr, /^Connection closed unexpectedly$/m);
    const log = readFileSync(open.log, 'utf8');
    assert.match(
      log,
      / note the session was cut short: Connection closed unexpectedly\n[\s\S]*# end\n# seal \d+ \S+\n$/,
    );
    assert.is(readFileSync(join(directory, 'job'), 'utf8'), 'job\n');
    // bash that is at its prompt again by then dies of the signal, whatever it was told to do.
    const [, status] = / exit (\d+)\n/.exec(log)!;
    if (status !== '129') assert.is(readFileSync(join(directory, 'shell'), 'utf8'), 'shell\n');
  }),
);

it(
  '10: a program that takes no notice of SIGHUP is killed',
  bounded(180, async scope => {
    const open = await door(scope);
    const deaf = ssh(scope, open, 'alice', ['--', `trap '' HUP; echo $$; while :; do sleep 0.1; done`], {});
    const [pid] = await soon('the program', deaf.says(/^\d+$/m), 90);
    deaf.signal('SIGKILL');
    assert.is((await soon('otssh', open.child.ended, 90)).code, 1);
    assert.throws(() => process.kill(Number(pid), 0), /ESRCH/);
    assert.match(recorded(open.log), / exit 137$/);
  }),
);

it(
  '11: no forwarding in any direction, no second session, no agent, no X11, no subsystem; each try is noted',
  bounded(180, async scope => {
    const open = await door(scope);
    const echo = await echoServer(scope);
    const { port: far } = await tcpServer(scope, socket => socket.end());
    const free = await tcpServer(scope, () => {});
    const control = join(scope.directory(), 'control');
    free.server.close();
    const agent = join(scope.directory(), 'agent');
    await soon('the agent', scope.start('ssh-agent', ['-D', '-a', agent]).says(/SSH_AUTH_SOCK/), 60);
    const shell = ssh(
      scope,
      open,
      'alice',
      [
        ...['-v', '-tt', '-A', '-X', '-M', '-S', control, '-R', `0:127.0.0.1:${far}`],
        ...['-L', `127.0.0.1:${free.port}:127.0.0.1:${echo}`],
      ],
      {
        config: ['ExitOnForwardFailure no', `IdentityAgent ${agent}`],
        env: { DISPLAY: ':0', SSH_AUTH_SOCK: agent },
      },
    );
    shell.write('echo agent=$SSH_AUTH_SOCK display=$DISPLAY.\n');
    await soon('the shell', shell.says(/agent= display=\.\r$/m), 90);
    await soon('the refusal of -R', shell.says(/remote port forwarding failed for listen port 0/, 'stderr'), 60);
    const through = await tcpConnect(scope, free.port);
    await soon('-L to be hung up', readAll(through), 60);
    // What is asked over the same connection, as if by new ones.
    const again = ['-S', control];
    const second = await run(scope, open, [...again, '--', 'echo second']);
    assert.is(second.code, 255);
    assert.is(second.stdout, '');
    const nested = await run(scope, open, [...again, '-W', `127.0.0.1:${echo}`]);
    assert.is.not(nested.code, 0);
    const sftp = await run(scope, open, [...again, '-s', '--', 'sftp']);
    assert.is.not(sftp.code, 0);
    shell.write('exit 0\n');
    assert.is((await soon('ssh', shell.ended, 60)).code, 0, shell.report);
    await soon('otssh', open.child.ended, 60);
    const log = readFileSync(open.log, 'utf8');
    assert.match(log, new RegExp(` note refused: a channel of type direct-tcpip to 127\\.0\\.0\\.1 port ${echo}\n`));
    assert.match(log, /^# note \S+ refused: the request tcpip-forward\n/m);
    assert.match(log, / note refused: a channel of type session\n/);
    for (const request of ['auth-agent-req@openssh.com', 'x11-req'])
      assert.match(log, new RegExp(`^# note \\S+ refused: the request ${request}$`, 'm'));
  }),
);

it(
  '11: sftp in place of a session is refused, and ends it',
  bounded(180, async scope => {
    const open = await door(scope);
    const { code } = await run(scope, open, ['-s', '--', 'sftp']);
    assert.is.not(code, 0);
    const ended = await soon('otssh', open.child.ended, 60);
    assert.equal([ended.code, /^Connection closed unexpectedly$/m.test(ended.stderr)], [1, true]);
    assert.match(readFileSync(open.log, 'utf8'), /^# note \S+ refused: the request subsystem sftp$/m);
  }),
);

it(
  'options of keys are carried out: command, environment, no-pty, from, expiry-time',
  bounded(180, async scope => {
    const forced = `command="echo forced: $SSH_ORIGINAL_COMMAND $GIVEN",environment="GIVEN=given",restrict ${keyLine('alice')}`;
    const open = await door(scope, {
      keys: [forced, `from="10.0.0.0/8" ${keyLine('bob')}`, `expiry-time="20200101" ${keyLine('carol')}`],
    });
    for (const [each, why] of [
      ['bob', /may not be used from 127\.0\.0\.1/],
      ['carol', /expired at 2020/],
    ] as const) {
      const { code, stderr } = await ssh(scope, open, each, ['--', 'true'], { input: '' }).ended;
      assert.equal([code, /Permission denied/.test(stderr)], [255, true]);
      await soon('otssh to say why', open.child.says(why, 'stderr'), 60);
    }
    const came = await run(scope, open, ['--', 'what I want']);
    assert.equal(came, { code: 0, stdout: 'forced: what I want given\n', stderr: '' });
    await open.child.ended;
    assert.match(
      recorded(open.log),
      / note the key's own command in place of command without a terminal\n[\s\S]* env GIVEN=given\n[\s\S]* asked what I want\n[\s\S]* runs echo forced: /,
    );
  }),
);

it(
  'a certificate of an authority in the keys lets in, with what it permits',
  bounded(180, async scope => {
    const directory = scope.directory();
    const certificate = join(directory, 'alice-cert.pub');
    const issue = [
      '-q',
      '-s',
      keyFile('authority'),
      '-I',
      'alice for once',
      '-n',
      'alice',
      '-V',
      '-1m:+1h',
      '-O',
      'no-pty',
    ];
    writeFileSync(join(directory, 'alice.pub'), `${keyLine('alice')}\n`);
    assert.is((await scope.run('ssh-keygen', [...issue, join(directory, 'alice.pub')])).code, 0);
    const open = await door(scope, { keys: [`cert-authority ${keyLine('authority')}`] });
    const plain = await run(scope, open, ['--', 'true']);
    assert.is(plain.code, 255);
    // With -tt ssh wants a terminal or nothing.
    const came = await run(scope, open, ['-tt', '--', 'tty'], { config: [`CertificateFile ${certificate}`] });
    assert.is(came.code, 255);
    assert.match(came.stderr, /PTY allocation request failed/);
    await open.child.ended;
    assert.match(readFileSync(open.log, 'utf8'), / certificate "alice for once" \(serial 0\) signed by /);
  }),
);

it(
  'a transcript that cannot be written any more ends the session',
  bounded(180, async scope => {
    // Blocks of 512 bytes: room for the beginning, not for more.
    const limited = join(scope.directory(), 'limited');
    writeFileSync(limited, `#!/bin/sh\nulimit -f 16\nexec "$@"\n`, { mode: 0o755 });
    const open = await door(scope, { through: [limited] });
    const { code, stdout, stderr } = await run(scope, open, [
      '--',
      'while :; do echo 0123456789abcdef; sleep 0.01; done',
    ]);
    assert.is(code, 255);
    assert.match(stderr, /Could not write to log file/);
    const ended = await soon('otssh', open.child.ended, 60);
    assert.is(ended.code, 1);
    assert.match(ended.stderr, /^Could not write to log file: \S+: the file is too large$/m);
    // Nothing was shown that is not there.
    assert.ok(stdout.length > 0 && stdout.length <= statSync(open.log).size);
  }),
);

it(
  'a program that signals, a size that changes, and the end by SIGTERM are in the transcript',
  bounded(180, async scope => {
    const open = await door(scope, { log: 'session.cast' });
    const shell = ssh(scope, open, 'alice', ['-tt']);
    shell.write('echo rea""dy\n');
    await soon('the shell', shell.says(/ready/), 90);
    open.child.signal('SIGTERM');
    const ended = await soon('ssh', shell.ended, 60);
    assert.is(ended.code, 255);
    assert.match(ended.stderr + ended.stdout, /Ended by SIGTERM/);
    const { code, stderr } = await soon('otssh', open.child.ended, 60);
    assert.is(code, 128 + 15);
    assert.match(stderr, /^Ended by SIGTERM$/m);
    const [header, ...lines] = readFileSync(open.log, 'utf8').split('\n');
    assert.is(JSON.parse(header).version, 3);
    const events = lines.filter(line => line.startsWith('[')).map(line => JSON.parse(line));
    assert.ok(events.some(([, code, data]) => code === 'o' && data.includes('ready')));
    assert.equal(events.at(-1).slice(1), ['x', '129']);
    assert.is(statSync(`${open.log}.sig`).mode & 0o777, 0o600);
  }),
);

test.run();
