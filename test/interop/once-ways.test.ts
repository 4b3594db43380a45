// Other ways to the one session of `otssh`: as a line of a switchboard, on standard input and output, as `cordboard once`; and an end of its own.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { command, door, otssh, verified } from '../kit/once.ts';
import { bounded, type Child, soon } from '../kit/processes.ts';
import { cordboard, keyFile, keyLine, ssh, sshConfig, sshd, switchboard } from '../kit/ssh.ts';
import { needs, skip } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'ssh-keygen');
const isBinary = process.env.CORDBOARD_ONCE !== undefined;

/** A file of alice's key, and where a transcript may go. */
function files(directory: string): { keys: string; log: string } {
  const keys = join(directory, 'keys');
  writeFileSync(keys, `${keyLine('alice')}\n`);
  return { keys, log: join(directory, 'log') };
}

it(
  'a line of a switchboard: no port is open, the command that is announced works as it stands, and the line is gone after sign-in',
  bounded(180, async scope => {
    const board = await switchboard(scope, { args: ['--enrol'] });
    const directory = scope.directory();
    const { keys, log } = files(directory);
    const told = join(directory, 'told');
    const tell = join(directory, 'tell');
    writeFileSync(tell, `#!/bin/sh\nprintf '%s\\n' "$OTSSH_HOST" "$OTSSH_KNOWN_HOST" "$OTSSH_COMMAND" >${told}\n`, {
      mode: 0o755,
    });
    const hostKey = board.known
      .find(line => line.includes('ssh-ed25519'))!
      .split(' ')
      .slice(1)
      .join(' ');
    const once = otssh(
      scope,
      [
        `-authorized-keys=${keys}`,
        `-log=${log}`,
        `-announce=${tell}`,
        `-via=once@127.0.0.1:${board.port}`,
        `-via-host-key=${hostKey}`,
      ],
      { input: '' },
    );
    const [, words] = await soon('the line', once.says(/^connect with: (ssh .*)$/m, 'stderr'), 90);
    await soon('the announcement', once.says(/^host key/m, 'stderr'), 60);
    const [, jump, alias] = /^ssh -J (\S+) (once-\w+)$/.exec(words)!;
    assert.is(jump, `127.0.0.1:${board.port}`);
    assert.not.match(once.stderr, /listening on/);
    const [publicKey] = await once.says(/^ssh-ed25519 \S+$/m);
    // ssh -J starts a second ssh, that has the same configuration.
    const config = sshConfig(scope, { ...board, known: [...board.known, `${alias} ${publicKey}`] }, 'alice');
    const came = await scope.start(
      'ssh',
      ['-F', config, '-l', 'alice', ...words.split(' ').slice(1), 'echo here; exit 6'],
      {
        input: '',
      },
    ).ended;
    assert.equal([came.code, came.stdout.toString()], [6, 'here\n'], came.stderr);
    assert.is((await soon('otssh', once.ended, 60)).code, 6);
    assert.equal(readFileSync(told, 'utf8').split('\n').slice(0, 3), [alias, `${alias} ${publicKey}`, words]);
    assert.is((await verified(scope, log, '-key', publicKey)).code, 0);
    // Who called is known by the address that the switchboard saw.
    assert.match(readFileSync(log, 'utf8'), /the key is accepted by line 1; alice from 127\.0\.0\.1 port \d+/);
  }),
);

it(
  '--via: a switchboard that is started anew finds the line plugged in again; without it SIGTERM ends the session, and another name does',
  bounded(240, async scope => {
    const first = await switchboard(scope, { args: ['--enrol'] });
    const { data, port, known } = first;
    const restart = () => switchboard(scope, { args: ['--enrol'], data, port });
    const { keys, log } = files(scope.directory());
    const board = join(scope.directory(), 'known_hosts');
    writeFileSync(board, `${known.join('\n')}\n`);
    const plugged = async (name: string) => {
      const args = [`-authorized-keys=${keys}`, `-log=${log}.${name}`, `-via=once@127.0.0.1:${port}`];
      const identity = [`-via-known-hosts=${board}`, `-via-identity=${keyFile('carrier')}`];
      const once = otssh(scope, [...args, ...identity], { input: '' });
      const [, alias] = await soon('the line', once.says(/^connect with: ssh -J \S+ (once-\w+)$/m, 'stderr'), 90);
      return { once, alias };
    };
    /** Without a word. */
    const killed = async (child: Child) => {
      child.signal('SIGKILL');
      await child.ended;
    };
    const lost = ({ once }: Awaited<ReturnType<typeof plugged>>) =>
      soon('it to notice', once.says(/^The switchboard is lost: .*; trying again$/m, 'stderr'), 90);

    const one = await plugged('1');
    await killed(first.child);
    await lost(one);
    await soon(
      'a try',
      one.once.says(/^Could not plug into the switchboard 127\.0\.0\.1:\d+: .*nobody listens/m, 'stderr'),
      60,
    );
    const second = await restart();
    await soon('the line', one.once.says(/^plugged in again$/m, 'stderr'), 90);
    const [publicKey] = await one.once.says(/^ssh-ed25519 \S+$/m);
    const config = sshConfig(scope, { ...second, known: [...known, `${one.alias} ${publicKey}`] }, 'alice');
    const words = ['-F', config, '-l', 'alice', '-J', `127.0.0.1:${port}`, one.alias, 'echo here; exit 6'];
    const came = await soon('ssh', scope.start('ssh', words, { input: '' }).ended, 90);
    assert.equal([came.code, came.stdout.toString()], [6, 'here\n'], came.stderr);
    assert.is((await soon('otssh', one.once.ended, 60)).code, 6);

    const two = await plugged('2');
    await killed(second.child);
    await lost(two);
    two.once.signal('SIGTERM');
    assert.is((await soon('otssh', two.once.ended, 60)).code, 143);

    const third = await restart();
    const three = await plugged('3');
    await killed(third.child);
    await lost(three);
    // Names of lines are made with it.
    rmSync(join(data, 'alias_secret'));
    await restart();
    const ended = await soon('otssh', three.once.ended, 90);
    assert.match(ended.stderr, /^It is reached as once-\w+ port 22 now, which is not what was announced$/m);
    assert.is(ended.code, 1);
  }),
);

it(
  'through a plain sshd it is reached by a port there; a wrong host key, or nobody there, is said so',
  bounded(180, async scope => {
    const server = await sshd(scope, [{ owner: 'carrier' }]);
    const { keys, log } = files(scope.directory());
    const known = join(scope.directory(), 'known_hosts');
    writeFileSync(known, `${server.known.join('\n')}\n`);
    const via = [
      ...[`-via=${server.user}@127.0.0.1:${server.port}`, `-via-known-hosts=${known}`],
      `-via-identity=${keyFile('carrier')}`,
    ];
    const args = [`-authorized-keys=${keys}`, ...via];
    const once = otssh(scope, [...args, `-log=${log}`], { input: '' });
    const [, port] = await soon(
      'the line',
      once.says(/^connect with: ssh -p (\d+) -J 127\.0\.0\.1:\d+ localhost$/m, 'stderr'),
      90,
    );
    const [publicKey] = await once.says(/^ssh-ed25519 \S+$/m);
    // The port is the server's own; this machine is the same one.
    const target = { host: 'localhost', port: Number(port), known: [`[localhost]:${port} ${publicKey}`] };
    const came = await ssh(scope, target, 'alice', ['--', 'exit 9'], { input: '' }).ended;
    assert.is(came.code, 9, came.stderr);
    assert.is((await soon('otssh', once.ended, 60)).code, 9);

    const wrong = await otssh(scope, [...args, `-log=${log}.2`, `-via-host-key=${keyLine('alice')}`], { input: '' })
      .ended;
    assert.is(wrong.code, 1);
    assert.match(wrong.stderr, /^Could not plug into the switchboard 127\.0\.0\.1:\d+: /m);
    const nobody = await otssh(scope, [`-authorized-keys=${keys}`, `-log=${log}.3`, '-via=x@127.0.0.1:1'], {
      input: '',
    }).ended;
    assert.is(nobody.code, 1);
    assert.match(nobody.stderr, /nobody listens there/);
  }),
);

it(
  '--via: what of it cannot be used is named',
  bounded(180, async scope => {
    const { keys } = files(scope.directory());
    const there = '-via=x@127.0.0.1:1';
    const directory = scope.directory();
    const cases: [string[], number, string][] = [
      [['-via=x@127.0.0.1:99999'], 2, '--via x@127.0.0.1:99999 is not of the form user@host:port\n'],
      [[there, '-via-host-key=rubbish'], 2, '--via-host-key rubbish is neither a key nor a fingerprint: '],
      [[there, `-via-identity=${directory}`], 1, `--via-identity ${directory} cannot be read: it is a directory\n`],
    ];
    for (const [via, code, words] of cases) {
      const ended = await otssh(scope, [`-authorized-keys=${keys}`, ...via], { input: '' }).ended;
      assert.is(ended.code, code, ended.stderr);
      assert.ok(ended.stderr.startsWith(words), ended.stderr);
    }
  }),
);

it(
  '--stdio: the client is at the other end of standard input and output, as with ProxyCommand',
  bounded(180, async scope => {
    const { keys, log } = files(scope.directory());
    const quoted = [...command, '-stdio', `-authorized-keys=${keys}`, `-log=${log}`].map(part => `'${part}'`).join(' ');
    const config = [`ProxyCommand ${quoted}`, 'StrictHostKeyChecking no', 'LogLevel ERROR'];
    const target = { host: 'nowhere', port: 22, known: [] };
    const came = await soon(
      'ssh',
      ssh(scope, target, 'alice', ['-tt', '--', 'echo through; tty; echo $SSH_CONNECTION; exit 4'], {
        input: '',
        config,
      }).ended,
      90,
    );
    assert.is(came.code, 4, came.stderr);
    assert.match(came.stdout.toString(), /through\r\n\/dev\/pts\/\d+\r\nUNKNOWN 65535 UNKNOWN 65535\r\n/);
    const [publicKey] = /^ssh-ed25519 \S+$/m.exec(came.stderr) ?? ['it is not on standard error'];
    assert.is((await verified(scope, log, '-key', publicKey)).code, 0);
    const without = await otssh(scope, ['-stdio', `-authorized-keys=${keys}`], { input: '' }).ended;
    assert.equal([without.code, /needs --log FILE/.test(without.stderr)], [2, true]);
    // A client that says nothing and goes.
    const gone = await soon(
      'otssh',
      otssh(scope, ['-stdio', `-authorized-keys=${keys}`, `-log=${log}.2`], { input: '' }).ended,
      90,
    );
    assert.is(gone.code, 1);
    assert.match(gone.stderr, /^Connection closed unexpectedly$/m);
  }),
);

it(
  'under inetd: one socket for both, and the address of the client is known',
  bounded(180, async scope => {
    const { keys, log } = files(scope.directory());
    writeFileSync(keys, `from="127.0.0.1" ${keyLine('alice')}\n`);
    // What inetd does: the accepted connection becomes standard input and output.
    const inetd = join(scope.directory(), 'inetd.cjs');
    writeFileSync(
      inetd,
      `const { spawn } = require('node:child_process');
       const server = require('node:net').createServer({ pauseOnConnect: true }, socket => {
         server.close();
         const child = spawn(process.argv[2], process.argv.slice(3), { stdio: [socket, socket, 'inherit'] });
         child.on('exit', code => process.exit(code));
       });
       server.listen(0, '127.0.0.1', () => console.error('inetd at', String(server.address().port)));`,
    );
    const args = [...command, '-stdio', `-authorized-keys=${keys}`, `-log=${log}`];
    const daemon = scope.start(process.execPath, [inetd, ...args], { input: '' });
    const [, port] = await soon('inetd', daemon.says(/^inetd at (\d+)$/m, 'stderr'), 60);
    const came = await ssh(
      scope,
      { host: '127.0.0.1', port: Number(port), known: [] },
      'alice',
      ['--', 'echo $SSH_CONNECTION; exit 8'],
      {
        input: '',
        config: ['StrictHostKeyChecking no'],
      },
    ).ended;
    assert.is(came.code, 8, came.stderr);
    assert.match(came.stdout.toString(), new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port}\n$`));
    assert.is((await soon('inetd', daemon.ended, 60)).code, 8);
    assert.match(readFileSync(log, 'utf8'), /alice from 127\.0\.0\.1 port \d+/);
  }),
);

it(
  'a session in which nothing happens is brought to an end',
  bounded(180, async scope => {
    const open = await door(scope, { args: ['-idle=2'] });
    const client = await soon('ssh', ssh(scope, open, 'alice', ['--', 'echo begun; cat'], {}).ended, 90);
    assert.equal([client.code, client.stdout.toString()], [255, 'begun\n']);
    assert.match(client.stderr, /Nothing has happened for 2 seconds/);
    const { code, stderr } = await soon('otssh', open.child.ended, 60);
    assert.is(code, 1);
    assert.match(stderr, /^Nothing has happened for 2 seconds$/m);
    assert.is((await verified(scope, open.log, '-key', open.publicKey)).code, 0);
  }),
);

if (isBinary) skip(test, 'cordboard once', 'the binary is otssh');
else
  it(
    '`cordboard once` is the same command',
    bounded(180, async scope => {
      const { keys, log } = files(scope.directory());
      const once = cordboard(scope, [
        'once',
        '--authorized-keys',
        keys,
        '--port',
        '0',
        '--listen',
        '127.0.0.1',
        '--log',
        log,
      ]);
      const [, port] = await soon('it to listen', once.says(/^listening on \S+ port (\d+)$/m, 'stderr'), 90);
      const [publicKey] = await once.says(/^ssh-ed25519 \S+$/m);
      const target = { host: '127.0.0.1', port: Number(port), known: [`[127.0.0.1]:${port} ${publicKey}`] };
      assert.is((await ssh(scope, target, 'alice', ['--', 'exit 2'], { input: '' }).ended).code, 2);
      assert.is((await once.ended).code, 2);
      const verdict = await cordboard(scope, ['once', 'verify', '--key', publicKey, log], { input: '' }).ended;
      assert.equal([verdict.code, /: whole: /.test(verdict.stdout.toString())], [0, true]);
    }),
  );

test.run();
