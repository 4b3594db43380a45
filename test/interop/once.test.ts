// The life of `otssh` around its session, with stock programs: host key, keys, log, port, announcement, timeout; each error in the specification's words.
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { door, otssh } from '../kit/once.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { keyFile, keyLine, ssh } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** Runs it with alice's key to its end. */
async function fails(scope: Scope, args: readonly string[], input = `${keyLine('alice')}\n`) {
  const directory = scope.directory();
  const keys = join(directory, 'keys');
  writeFileSync(keys, `${keyLine('alice')}\n`);
  const all = [`-authorized-keys=${keys}`, '-listen=127.0.0.1', `-log=${join(directory, 'log')}`, '-port=0', ...args];
  const { code, stdout, stderr } = await soon('otssh to end', otssh(scope, all, { input }).ended, 90);
  return { code, stderr, stdout: stdout.toString() };
}

needs(
  test,
  'ssh-keygen',
  'ssh-keyscan',
)(
  '1: prints its host key, which is the one that it has, and another one each time',
  bounded(180, async scope => {
    const [one, two] = await Promise.all([door(scope), door(scope)]);
    assert.is(one.child.stdout, `${one.publicKey}\n`);
    assert.is.not(one.publicKey, two.publicKey);
    const listed = await scope.run('ssh-keygen', ['-lf', '-'], { input: one.child.stdout });
    assert.match(listed.stdout.toString(), /^256 SHA256:\S+ .*\(ED25519\)\n$/, listed.stderr);
    const [, said] = await soon('the fingerprint', one.child.says(/^host key (\S+)$/m, 'stderr'));
    assert.is(said, listed.stdout.toString().split(' ')[1]);
    const scan = await scope.run('ssh-keyscan', ['-p', String(one.port), '127.0.0.1']);
    assert.ok(scan.stdout.toString().includes(`]:${one.port} ${one.publicKey}`), scan.stdout.toString());
  }),
);

test(
  'without keys it is not run; both spellings of options are understood',
  bounded(180, async scope => {
    const { code, stderr } = await otssh(scope, ['-port', '0'], { input: '' }).ended;
    assert.equal([code, stderr], [1, 'Required flag "authorized-keys" not set\n']);
    const wrong = await otssh(scope, ['--authorized-keys', '-', '-port=x'], { input: '' }).ended;
    assert.is(wrong.code, 2);
    assert.match(wrong.stderr, /not a port number/);
    const timely = await fails(scope, ['-timeout', '1']);
    assert.is(timely.code, 0, timely.stderr);
  }),
);

it(
  '6: keys from standard input, a comment at the end; what is missing, unreadable, garbage or empty is said so',
  bounded(180, async scope => {
    const directory = scope.directory();
    const file = (name: string, text: string) => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    mkdirSync(join(directory, 'directory'));
    const absent = join(directory, 'absent');
    const cases: [string, RegExp][] = [
      [absent, / does not exist\n$/],
      [join(directory, 'directory'), / is not readable\n$/],
      [file('empty', ''), / contained no keys\n$/],
      [file('comments', '# nobody\n\n'), / contained no keys\n$/],
      [file('garbage', 'these are no keys\n'), / contains unparseable data \(line 1: .*\)\n$/],
      [file('half', `${keyLine('alice')}\nssh-ed25519 AAAA\n`), / contains unparseable data \(line 2: .*\)\n$/],
      [file('option', `tunnel="1" ${keyLine('alice')}\n`), / contains unparseable data \(line 1: .*tunnel.*\)\n$/],
    ];
    if (process.getuid?.() !== 0) {
      const locked = file('locked', keyLine('alice'));
      chmodSync(locked, 0);
      cases.push([locked, / is not readable\n$/]);
    }
    for (const [keys, words] of cases) {
      const { code, stderr, stdout } = await fails(scope, [`-authorized-keys=${keys}`]);
      assert.equal([code, stdout], [1, ''], keys);
      assert.ok(stderr.startsWith(`authorized keys invalid: ${keys} `), stderr);
      assert.match(stderr, words);
    }
    const stdin = await door(scope, { args: ['-authorized-keys=-'], input: `${keyLine('bob')}\n\n# the last line\n` });
    const came = await soon('ssh', ssh(scope, stdin, 'bob', ['--', 'exit 5'], { input: '' }).ended, 90);
    assert.is(came.code, 5, came.stderr);
  }),
);

it(
  '7: announced when the port is open, with the key as the one argument; a command that cannot be run, or fails',
  bounded(180, async scope => {
    const directory = scope.directory();
    const script = (name: string, body: string) => {
      const path = join(directory, name);
      writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
      return path;
    };
    const port = await freePort();
    const tell = script(
      'tell',
      `printf '%s|' "$#" "$1" "$OTSSH_HOST" "$OTSSH_PORT" "$OTSSH_FINGERPRINT" "$OTSSH_COMMAND" "$OTSSH_KNOWN_HOST" >${directory}/told.new
       ${process.execPath} -e 'require("net").connect(process.env.OTSSH_PORT, "127.0.0.1", () => process.exit()).on("error", () => process.exit(9))' &&
         echo said && mv ${directory}/told.new ${directory}/told`,
    );
    const open = await door(scope, { args: [`-announce=${tell}`, `-port=${port}`] });
    await eventually('the announcement', () => existsSync(join(directory, 'told')), 60);
    const [count, key, host, at, print, command, known] = readFileSync(join(directory, 'told'), 'utf8').split('|');
    assert.equal([count, key, host, at], ['1', open.publicKey, '127.0.0.1', String(port)]);
    assert.match(print, /^SHA256:/);
    assert.is(command, `ssh -p ${port} 127.0.0.1`);
    assert.is(known, open.known[0]);
    await open.child.says(/^said$/m);

    assert.equal(await fails(scope, ['-announce=/nope']), {
      code: 1,
      stdout: '',
      stderr: 'Invalid announce command: /nope\n',
    });
    const failing = await fails(scope, [`-announce=${script('failing', 'echo what went wrong >&2; exit 4')}`]);
    assert.is(failing.code, 1);
    assert.match(failing.stderr, /^Announce failed: 4 what went wrong\n/m);
  }),
);

it(
  '8: a port that is in use, and a log that cannot be written, which is found before there is a host key; no log is written over',
  bounded(180, async scope => {
    const { port } = await tcpServer(scope, () => {});
    const busy = await fails(scope, [`-port=${port}`]);
    assert.is(busy.code, 1);
    assert.match(
      busy.stderr,
      new RegExp(`^Could not bind to port ${port} of 127\\.0\\.0\\.1: the port is in use\n`, 'm'),
    );
    // 192.0.2.0/24 is for documentation (RFC 5737): nobody has it.
    const foreign = await fails(scope, ['-listen=192.0.2.1']);
    assert.match(foreign.stderr, /^Could not bind to port 0 of 192\.0\.2\.1: this machine has no such address\n/m);
    const nowhere = await fails(scope, ['-log=/nope/x']);
    assert.equal(nowhere, {
      code: 1,
      stdout: '',
      stderr: 'Could not write to log file: /nope/x: no such file or directory\n',
    });
    const old = join(scope.directory(), 'old');
    writeFileSync(old, 'what was done last time\n');
    const again = await fails(scope, [`-log=${old}`]);
    assert.is(again.stderr, `Could not write to log file: ${old}: ${old} exists already\n`);
    assert.is(readFileSync(old, 'utf8'), 'what was done last time\n');
    const first = await door(scope);
    assert.is(statSync(first.log).mode & 0o777, 0o600);
  }),
);

test(
  'its version, in each spelling, and help that names every option',
  bounded(180, async scope => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
    for (const option of ['-version', '--version', '-V']) {
      const { code, stdout, stderr } = await otssh(scope, [option], { input: '' }).ended;
      assert.equal([code, stdout.toString(), stderr], [0, `${version}\n`, '']);
    }
    const readme = readFileSync(join(import.meta.dirname, '../../src/apps/once/README.md'), 'utf8');
    const options = [...readme.matchAll(/^\| `-([a-z-]+)/gm)].map(([, option]) => option);
    const help = (await otssh(scope, ['-help'], { input: '' }).ended).stdout.toString();
    assert.ok(options.length > 10);
    for (const option of [...options, 'version']) assert.match(help, new RegExp(`--${option}\\b`));
  }),
);

it(
  'standard output that takes nothing is a sentence for the door, and for those who read transcripts',
  bounded(180, async scope => {
    const full = { input: '', through: ['sh', '-c', '"$0" "$@" >/dev/full'] };
    const sentence = 'Could not write to standard output: the disk is full\n';
    const keys = `${keyFile('alice')}.pub`;
    const once = await otssh(scope, [`-authorized-keys=${keys}`, '-port=0', '-timeout=1'], full).ended;
    assert.equal([once.code, once.stderr], [1, sentence]);
    const verify = await otssh(scope, ['verify', keys], full).ended;
    assert.equal([verify.code, verify.stderr], [1, sentence]);
  }),
);

it(
  '5: connections that say nothing keep nobody out, and do not keep the timeout from ending it, with status 0',
  bounded(180, async scope => {
    const open = await door(scope);
    for (let i = 0; i < 60; i++) await tcpConnect(scope, open.port);
    const came = await soon('ssh', ssh(scope, open, 'alice', ['--', 'echo in'], { input: '' }).ended, 90);
    assert.equal([came.code, came.stdout.toString()], [0, 'in\n'], came.stderr);

    const short = await door(scope, { args: ['-timeout=2'] });
    await tcpConnect(scope, short.port);
    const { code, stderr } = await soon('otssh to give up', short.child.ended, 90);
    assert.is(code, 0);
    assert.match(stderr, /^Timeout: nobody has signed in within 2 seconds\n/m);
    assert.match(readFileSync(short.log, 'utf8'), /\n# end\n# seal 1 \S+\n$/);
  }),
);

test.run();
