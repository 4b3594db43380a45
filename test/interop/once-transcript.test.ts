// The transcript of `otssh`: verified by stock ssh-keygen, after kill -9, with what was typed unseen left out; played.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Door, door, otssh, verified } from '../kit/once.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { ssh, sshConfig } from '../kit/ssh.ts';
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
      assert.match(played.stderr, /: whole: /);
      writeFileSync(open.log, readFileSync(open.log, 'utf8').replace('red', 'bad'));
      const refused = await otssh(scope, ['play', open.log], { input: '' }).ended;
      assert.equal([refused.code, refused.stdout.length], [1, 0]);
      assert.match(refused.stderr, /not played/);
    }
  }),
);

test.run();
