// The transcript of `otssh`: verified by stock ssh-keygen, after kill -9, with what was typed unseen left out; played.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { account } from '../../src/apps/once/account.ts';
import { entriesOf } from '../../src/apps/once/play.ts';
import { dial } from '../../src/client/dial.ts';
import { type Door, door, otssh, recorded, verified } from '../kit/once.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { keyFile, keyLine, ssh, sshConfig, sshd, type Target } from '../kit/ssh.ts';
import { terminal } from '../kit/terminal.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen', 'bash');

/** What ssh-keygen says of the signature beside the file, by the key that was announced. */
async function byKeygen(scope: Scope, { log, publicKey }: Door, text = readFileSync(log)) {
  const allowed = join(scope.directory(), 'allowed');
  writeFileSync(allowed, `once ${publicKey}\n`);
  const args = ['-Y', 'verify', '-f', allowed, '-I', 'once', '-n', 'transcript@cordboard', '-s', `${log}.sig`];
  return scope.run('ssh-keygen', args, { input: text });
}

it(
  '12: stock ssh-keygen and otssh verify accept it; with one byte flipped neither does',
  bounded(180, async scope => {
    for (const log of ['session.cast', 'session.log']) {
      const open = await door(scope, { log });
      const { code } = await ssh(scope, open, 'alice', ['--', 'echo what was done'], { input: '' }).ended;
      assert.is(code, 0);
      await open.child.ended;
      const good = await byKeygen(scope, open);
      assert.is(good.code, 0, good.stderr);
      assert.match(good.stdout.toString(), /^Good "transcript@cordboard" signature for once with ED25519 key/);
      const whole = await verified(scope, open.log, '-key', open.publicKey);
      assert.is(whole.code, 0, whole.text);
      assert.match(whole.text, /: whole: \d+ lines with \d+ seals, signed by the key SHA256:/);

      const text = readFileSync(open.log);
      text[text.lastIndexOf('what was')] ^= 1;
      assert.is.not((await byKeygen(scope, open, text)).code, 0);
      writeFileSync(open.log, text);
      const changed = await verified(scope, open.log);
      assert.is(changed.code, 1);
      const line = text.subarray(0, text.lastIndexOf('hat was')).toString().split('\n').length;
      assert.match(
        changed.text,
        new RegExp(`CHANGED: lines ${line} to ${line + 1}: .*; all up to line ${line - 1} is as`),
      );
    }
  }),
);

it(
  'kill -9 in mid-session: what is there verifies to its last record, and is said to be unfinished',
  bounded(180, async scope => {
    const open = await door(scope, { log: 'session.cast' });
    const shell = ssh(scope, open, 'alice', ['-tt']);
    shell.write('echo rea""dy\n');
    await soon('the shell', shell.says(/^(?:.*[$#] )?ready\r$/m), 90);
    // The prompt behind it, and then nothing more.
    await eventually('the transcript to be quiet', async () => {
      const size = readFileSync(open.log).length;
      await new Promise(resolve => setTimeout(resolve, 300));
      return readFileSync(open.log).length === size;
    });
    open.child.signal('SIGKILL');
    await open.child.ended;
    const lines = readFileSync(open.log, 'utf8').split('\n').length - 1;
    const dead = await verified(scope, open.log, `--key=${open.publicKey}`);
    assert.is(dead.code, 3, dead.text);
    assert.match(
      dead.text,
      new RegExp(`UNFINISHED: the session has no end; all up to line ${lines} is as it was written`),
    );
    assert.match(readFileSync(open.log, 'utf8'), /"o", ".*ready\\r/);
  }),
);

it(
  'what is typed unseen is left out, its length too: read -s, stty -echo, ssh-keygen, and a question in a raw terminal',
  bounded(180, async scope => {
    const secrets = ['correct horse', 'battery staple', 'open sesame', 'rosebud'];
    const directory = scope.directory();
    const raw = join(directory, 'raw.cjs');
    // As programs do that draw for themselves, or an ssh inside the session.
    writeFileSync(
      raw,
      `process.stdin.setRawMode(true); process.stdout.write('Token for db: ');
       let all = ''; process.stdin.on('data', each => { all += each; if (/[\\r\\n]/.test(all)) { process.stdin.setRawMode(false);
         console.log('\\ngot ' + all.length); process.exit(); } });`,
    );
    const play = async (args: readonly string[]) => {
      const open = await door(scope, { args, env: { SHELL: '/bin/bash', HOME: directory } });
      const config = sshConfig(scope, open, 'alice');
      const screen = await terminal(scope, 'ssh', ['-F', config, '-p', String(open.port), '-tt', 'alice@127.0.0.1']);
      const step = async (command: string, question: RegExp, secret: string, then: RegExp) => {
        screen.clear();
        await screen.type(`${command}\n`);
        await screen.shows(question);
        for (const key of secret) await screen.type(key);
        await screen.type('\n');
        await screen.shows(then);
      };
      await step('read -s -p "Pass: " it; echo "has $(printf %s "$it" | wc -c)"', /Pass: $/, secrets[0], /has 13\r/);
      await step(
        'stty -echo; printf "sec""ret> "; read it; stty echo; echo "has $(printf %s "$it" | wc -c)"',
        /secret> $/,
        secrets[1],
        /has 14\r/,
      );
      const key = join(directory, `key${args.length}`);
      await step(`ssh-keygen -q -t ed25519 -f ${key}`, /passphrase\): $/, secrets[2], /again: $/);
      screen.clear();
      await screen.type(`${secrets[2]}\n`);
      await screen.shows(/[$#] $/);
      await step(`${process.execPath} ${raw}`, /Token for db: $/, secrets[3], /got 8\r/);
      await screen.type('exit\n');
      await screen.ended;
      await soon('otssh', open.child.ended, 60);
      return readFileSync(open.log, 'utf8');
    };
    const [masked, whole] = await Promise.all([play([]), play(['-no-mask-hidden-input'])]);
    // Typed key by key, so each stands in a line of its own.
    const typed = (log: string) =>
      [...log.matchAll(/^\d+\.\d+ (?:in|hidden) (.*)\n/gm)].map(([, text]) => text.replace('\\n', '\n')).join('');
    for (const secret of secrets) {
      assert.ok(typed(whole).includes(`${secret}\n`), `${secret} in ${typed(whole)}`);
      assert.not.ok(typed(masked).includes(secret), `${secret} in ${typed(masked)}`);
    }
    assert.is(masked.match(/^\d+\.\d+ hidden \*{8}\n/gm)?.length, 5);
    // What was seen is there.
    for (const command of ['read -s -p', 'stty -echo; printf', 'ssh-keygen -q', 'exit'])
      assert.ok(typed(masked).includes(command));
  }),
);

it(
  'without a log it is on standard output, behind the key, with the signature at its end',
  bounded(180, async scope => {
    const open = await door(scope, { args: ['-log=-'] });
    const { code } = await ssh(scope, open, 'alice', ['--', 'echo on standard output'], { input: '' }).ended;
    assert.is(code, 0);
    const { stdout } = await open.child.ended;
    const file = join(scope.directory(), 'captured');
    writeFileSync(file, stdout);
    const whole = await verified(scope, file, '-key', open.publicKey);
    assert.is(whole.code, 0, whole.text);
    const [key, ...lines] = stdout.toString().split('\n');
    assert.is(key, open.publicKey);
    const at = lines.indexOf('-----BEGIN SSH SIGNATURE-----');
    writeFileSync(`${file}.sig`, lines.slice(at).join('\n'));
    const good = await byKeygen(scope, { ...open, log: file }, Buffer.from(lines.slice(0, at).join('\n').concat('\n')));
    assert.is(good.code, 0, good.stderr);
    assert.match(lines.join('\n'), / out on standard output\\n\n/);
  }),
);

it(
  'a command of any length is in it to the letter before it runs, in both formats',
  bounded(180, async scope => {
    const body = `printf %s '${'x'.repeat(5000)}\\ \u202e é\x1b[2K' >/dev/null\nexit 5 # "end"`;
    const commands = await Promise.all(
      ['session.cast', 'session.log'].map(async log => {
        const open = await door(scope, { log });
        const { code } = await ssh(scope, open, 'alice', ['--', body], { input: '' }).ended;
        assert.is(code, 5);
        await open.child.ended;
        assert.is((await verified(scope, open.log, '-key', open.publicKey)).code, 0);
        const lines = readFileSync(open.log, 'utf8').split('\n');
        const at = lines.findIndex(line => / runs /.test(line));
        assert.match(lines[at + 1], /^# seal /);
        const entries = [...entriesOf(open.log)].map(({ entry }) => entry);
        return entries.flatMap(entry => (entry.kind === 'runs' ? [entry.text] : []));
      }),
    );
    assert.equal(commands, [[body], [body]]);
  }),
);

it(
  'a transcript that has the size that it may have ends the session, with the reason in it, and for the client',
  bounded(180, async scope => {
    for (const [log, args] of [
      ['session.cast', []],
      ['session.log', ['-tt']],
    ] as const) {
      const open = await door(scope, { log, args: ['-max-transcript=256k'] });
      const { code, stdout, stderr } = await soon(
        'ssh',
        ssh(scope, open, 'alice', [...args, '--', 'yes'], { input: '' }).ended,
        90,
      );
      assert.is(code, 255);
      assert.match(stderr, /The transcript is full: it may have 256 KiB/);
      const ended = await soon('otssh', open.child.ended, 60);
      assert.is(ended.code, 1);
      assert.match(ended.stderr, /^The transcript is full: it may have 256 KiB$/m);
      assert.is((await verified(scope, open.log, '-key', open.publicKey)).code, 0);
      const text = readFileSync(open.log, 'utf8');
      assert.match(text, /the session was cut short: The transcript is full: it may have 256 KiB/);
      assert.ok(text.length > 100_000 && text.length < 300_000, String(text.length));
      assert.ok(stdout.length <= text.length);
    }
    const wrong = await otssh(scope, ['-authorized-keys=x', '-max-transcript=1K'], { input: '' }).ended;
    assert.equal([wrong.code, /not a size of 64K or more/.test(wrong.stderr)], [2, true]);
  }),
);

it(
  'a client that reads no more, and one that reads no more and says so',
  bounded(180, async scope => {
    // To a server that does not call itself OpenSSH ssh would say nothing, and take what comes until the limit ends it.
    const real = await sshd(scope, [{ owner: 'alice' }]);
    const head = async (at: Target, user: string, args: string) => {
      const config = sshConfig(scope, at, user, { key: 'alice' });
      const command = `(ssh -F ${config} -p ${at.port} ${args} ${user}@127.0.0.1 yes; echo $? >&2) | head -1`;
      const { stdout, stderr } = await soon('ssh', scope.run('sh', ['-c', command]), 90);
      return { stdout: stdout.toString().trim(), status: stderr.trim() };
    };
    for (const args of ['-T', '-tt']) {
      const open = await door(scope, { args: ['-max-transcript=64M'], env: { SHELL: account().shell } });
      const here = await head(open, 'alice', args);
      const { code, stderr } = await soon('otssh', open.child.ended, 60);
      assert.not.match(stderr, /The transcript is full/);
      assert.match(recorded(open.log), / note the client reads no more\n/);
      // In a terminal sshd leaves the program running for ever, blocked.
      if (args === '-tt') assert.is(here.stdout, 'y');
      else assert.equal([here, code], [await head(real, real.user, args), 128 + 13]);
      assert.is((await verified(scope, open.log, '-key', open.publicKey)).code, 0);
    }

    for (const pty of [false, true]) {
      const other = await door(scope);
      const key = readFileSync(keyFile('alice'), 'utf8');
      const client = await dial({
        host: '127.0.0.1',
        port: other.port,
        user: 'alice',
        keys: [key],
        hostKey: () => true,
      });
      scope.defer(() => client.close());
      const running = await client.start('yes', { pty });
      for await (const _ of running.stdout) break;
      // What `discard` says to OpenSSH's servers.
      running.stream.channel.notify('eow@openssh.com', new Uint8Array(0));
      running.stream.discard();
      const exit = await soon('the end', running.exit, 60);
      // By SIGPIPE, which a shell may report; or SIGHUP, or of its own because it can write no more, whichever comes first.
      assert.ok(exit.signal !== undefined || [1, 128 + 13].includes(exit.status!), `${exit.signal} ${exit.status}`);
      await soon('otssh', other.child.ended, 60);
      assert.match(recorded(other.log), / note the client reads no more\n[\s\S]* exit \d+$/);
    }
  }),
);

it(
  'play: what would have the terminal of whoever looks do more than show is left out, unless it is wanted; -key is heeded',
  bounded(180, async scope => {
    for (const log of ['session.cast', 'session.log']) {
      const open = await door(scope, { log });
      // The clipboard, a title, a question for the device, modes of mouse and paste; and in two pieces.
      const sent = 'a\\033]52;c;aGVsbG8=\\007b\\033]0;t\\033\\\\\\033[c\\2336n\\033[?1000;2004hc\\033[31md';
      const command = `printf '${sent}\\033]52;c'; sleep 1; printf ';aGk=\\007e\\n'`;
      const { stdout } = await ssh(scope, open, 'alice', ['--', command], { input: '' }).ended;
      await open.child.ended;
      const played = await otssh(scope, ['play', '-speed=1000', '-key', open.publicKey, open.log], { input: '' }).ended;
      assert.equal([played.code, played.stdout.toString('latin1')], [0, 'abc\x1b[31mde\n'], played.stderr);
      assert.match(played.stderr, /: whole: [\s\S]*: 6 sequences were left out that do more than show/);
      const raw = await otssh(scope, ['play', '-speed=1000', '-raw', open.log], { input: '' }).ended;
      assert.is(raw.stdout.toString('latin1'), stdout.toString('latin1'));
      assert.match(raw.stderr, /: whole, but by whom is not known: /);
      const other = await otssh(scope, ['play', '-key', keyLine('bob'), open.log], { input: '' }).ended;
      assert.equal([other.code, other.stdout.length], [1, 0]);
      assert.match(other.stderr, /CHANGED: it is sealed by the key \S+, not by/);
    }
  }),
);

it(
  'played in a terminal it shows what was shown; one that was changed is not played',
  bounded(180, async scope => {
    for (const log of ['session.cast', 'session.log']) {
      const open = await door(scope, { log });
      const command = 'printf "\\033[31mred\\033[m \\303\\266\\377\\n"; echo err >&2; sleep 1.5; echo end';
      const { stdout, stderr } = await ssh(scope, open, 'alice', ['--', command], { input: '' }).ended;
      await open.child.ended;
      const played = await otssh(scope, ['play', '-speed=1000', open.log], { input: '' }).ended;
      assert.is(played.code, 0);
      assert.is(played.stdout.toString('latin1').replace('err\n', ''), stdout.toString('latin1'));
      assert.ok(played.stdout.includes(stderr));
      assert.match(played.stderr, /: whole, but by whom is not known: /);
      writeFileSync(open.log, readFileSync(open.log, 'utf8').replace('red', 'bad'));
      const refused = await otssh(scope, ['play', open.log], { input: '' }).ended;
      assert.equal([refused.code, refused.stdout.length], [1, 0]);
      assert.match(refused.stderr, /not played/);
    }
  }),
);

test.run();
