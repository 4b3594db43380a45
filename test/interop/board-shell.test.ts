// `ssh board`: the prompt with tabs, history and tables that fit; `ssh board COMMAND` with JSON and exit codes; kick, ban, invite.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/index.ts';
import { call, execute, says } from '../kit/board.ts';
import { echoes, echoServer, tcpConnect } from '../kit/loopback.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { consume, keyFile, keyLine, provide, type Switchboard, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** Root is its admin, and nobody comes who is not in the file or invited; the file is there to be added to. */
const started = shared(test, async scope => {
  const file = join(scope.directory(), 'keys');
  writeFileSync(file, `access="admin" ${keyLine('root')}\n`);
  const args = ['--no-enrol', '--no-public-names', '--authorized-keys', file];
  return { board: await switchboard(scope, { args }), file };
});

async function boardWith(scope: Scope, ...owners: string[]) {
  const { board, file } = await started(scope);
  const text = readFileSync(file, 'utf8');
  const missing = owners.filter(owner => !text.includes(keyLine(owner)));
  writeFileSync(file, text + missing.map(owner => `${keyLine(owner)}\n`).join(''));
  return { board, file };
}

/** Somebody at a terminal of ours, whose window has a size. */
async function seated(scope: Scope, board: Switchboard, user: string, columns = 80) {
  const client = await dial({
    ...{ host: board.host, port: board.port, user, hostKey: () => true },
    keys: [readFileSync(keyFile(user), 'utf8')],
  });
  scope.defer(() => client.close());
  const shell = await client.shell({ columns, rows: 24 });
  let text = '';
  const read = (async () => {
    for await (const bytes of shell.stdout) text += new TextDecoder().decode(bytes);
    // The test's end cuts it off.
  })().catch(() => {});
  /** What has come since this was called last, once `pattern` is in it, and the prompt after it. */
  const until = async (pattern: RegExp): Promise<string> => {
    await eventually(`${pattern} in ${JSON.stringify(text)}`, () => pattern.test(text));
    const seen = text;
    text = '';
    return seen;
  };
  await until(/board> \x1b\[8G$/);
  return { shell, until, read, type: (keys: string) => shell.write(keys), client };
}

const PROMPT = /board> \x1b\[8G$/;

it(
  'commands are completed, edited and remembered; Ctrl-C clears a line and then leaves; Ctrl-Z stops nobody',
  bounded(180, async scope => {
    const { board } = await boardWith(scope);
    const { type, until, shell } = await seated(scope, board, 'root');
    await type('wh');
    await type('\t');
    await until(/whoami/);
    await type('\r');
    assert.match(await until(PROMPT), /User name: root\r\n[\s\S]*Permissions: admin,listen,initiate,list\r\n/);
    await type('li');
    await type('\t');
    await until(/isteners/);
    // Backspaces, and in the middle of it Ctrl-A and Ctrl-K.
    await type('x\x7f\r');
    assert.match(await until(PROMPT), /Listening clients:\r\n {2}None\r\n/);
    await type('rubbish\x01\x0bnames\r');
    assert.match(await until(PROMPT), /No names\./);
    await type('\x1b[A\x1b[A\r');
    assert.match(await until(PROMPT), /Listening clients:/);
    await type('\x1a\x1a');
    await type('unfinished\x03');
    await until(/\^C\r\n/);
    await type('nonsense\r');
    assert.match(await until(PROMPT), /Unsupported command: nonsense\r\nTry: help, listeners/);
    await type('\x03');
    assert.is((await soon('the shell to end', shell.exit)).status, 0);
    // Whoever stops the process stops everybody.
    assert.is((await execute(scope, board, 'root', 'whoami')).code, 0);
  }),
);

it(
  'several candidates for a tab are shown, and what there is to name is completed, too',
  bounded(180, async scope => {
    const { board } = await boardWith(scope, 'alice');
    const { alias } = await provide(scope, board, 'alice', ['80:localhost:7']);
    const { type, until } = await seated(scope, board, 'root');
    await type('kick al');
    await type('\t');
    await until(new RegExp(alias));
    await type('\x15');
    await type('names r');
    await type('\t');
    await until(/release/);
    await type('\x15');
    await type('l');
    await type('\t');
    await until(/isteners/);
    await type('\x15');
    await type('\t');
    await type('\t');
    await until(/help[\s\S]*circuits[\s\S]*invite/);
  }),
);

it(
  'tables fit the window, and follow it',
  bounded(180, async scope => {
    const { board } = await boardWith(scope, 'alice');
    const { alias } = await provide(scope, board, 'alice', ['80:localhost:7', '443:localhost:7', '8080:localhost:7']);
    const { type, until, shell } = await seated(scope, board, 'root', 50);
    const tableOf = async () => {
      await type('listeners\r');
      const lines = (await until(PROMPT)).split('\r\n').filter(line => /^(NAME|alice)/.test(line));
      assert.is(lines.length, 2);
      return lines;
    };
    for (const line of await tableOf()) assert.ok(line.length < 50, line);
    shell.resize(160, 24);
    const [headings, row] = await tableOf();
    assert.match(headings, /^NAME +LINES +CALLED AS +FROM +FOR +CLIENT$/);
    assert.match(row, new RegExp(`^alice +80 443 8080 +${alias} +127\\.0\\.0\\.1 +`));
  }),
);

it(
  'a line of four thousand characters ends the session, and a thousand commands at once are no harm',
  bounded(180, async scope => {
    const { board } = await boardWith(scope);
    const long = await seated(scope, board, 'root');
    await long.type('x'.repeat(5000));
    assert.is((await soon('the shell to end', long.shell.exit)).status, 1);
    const many = await seated(scope, board, 'root');
    await many.type('whoami\r'.repeat(1000));
    await many.type('quit\r');
    assert.is((await soon('the shell to end', many.shell.exit, 60)).status, 0);
  }),
);

it(
  'without a terminal commands come line by line, and the last one’s status is the session’s',
  bounded(180, async scope => {
    const { board } = await boardWith(scope);
    const run = (input: string) => ssh(scope, board, 'root', ['-T'], { input }).ended;
    const good = await run('nonsense\nwhoami');
    assert.is(good.code, 0, good.stderr);
    assert.match(good.stdout.toString(), /^Hello root\n[\s\S]*User name: root\n/);
    assert.match(good.stderr, /Unsupported command: nonsense/);
    assert.is((await run('whoami\nnonsense\n')).code, 1);
    assert.is((await run(`whoami\nquit\nnonsense\n`)).code, 0);
    assert.is((await run('x'.repeat(5000))).code, 1);
  }),
);

it(
  'exit codes and --json of commands',
  bounded(180, async scope => {
    const { board } = await boardWith(scope, 'alice', 'bob');
    const echo = await echoServer(scope);
    const { alias } = await provide(scope, board, 'alice', [`80:localhost:${echo}`]);
    const { ports } = await consume(scope, board, 'bob', [`${alias}:80`]);
    await echoes(await tcpConnect(scope, ports[0]), 'twelve bytes');
    const json = async (command: string, user = 'root') => {
      const { stdout, code, stderr } = await execute(scope, board, user, `${command} --json`);
      assert.is(code, 0, stderr);
      return JSON.parse(stdout.toString());
    };
    const [line] = await json('listeners');
    assert.equal([line.name, line.alias, line.address, line.lines], ['alice', alias, '127.0.0.1', ['80']]);
    const [circuit] = await json('circuits');
    assert.equal(
      [circuit.caller.name, circuit.provider.alias, circuit.target, circuit.bytesToProvider, circuit.bytesToCaller],
      ['bob', alias, `${alias}:80`, 12, 12],
    );
    assert.is((await json('circuits', 'alice')).length, 1, 'hers, too');
    assert.equal(await json('circuits', 'carol').catch(() => 'refused'), 'refused');
    const me = await json('whoami', 'alice');
    assert.equal([me.user, me.alias, me.rights], ['alice', alias, ['listen', 'initiate']]);
    assert.equal(
      (await json('names')).map(({ name }: { name: string }) => name),
      ['alice'],
    );
    assert.ok((await json('help')).some(({ name }: { name: string }) => name === 'ban'));
    assert.not((await json('help', 'alice')).some(({ name }: { name: string }) => name === 'ban'));
    for (const [user, command, status, sentence] of [
      ['root', 'nonsense', 1, /^Unsupported command: nonsense$/m],
      ['root', 'kick nobody', 1, /^kick: nobody is connected as nobody$/m],
      ['root', 'kick', 2, /^Usage: kick WHO$/m],
      ['root', 'listeners now', 2, /^listeners: "now" makes no sense here$/m],
      ['root', 'ban x --for ever', 1, /^ban: nobody is known as x$/m],
      ['root', 'ban SHA256:x', 1, /^ban: /m],
      ['root', 'ban 10.0.0.0/99', 2, /^ban: /m],
      ['root', 'ban 127.0.0.1', 1, /^ban: that would be yourself$/m],
      ['root', 'unban nobody', 1, /^unban: nobody is not banned$/m],
      ['root', 'invite --access all', 2, /^invite: "all" is not one of admin, listen, initiate, list$/m],
      ['root', 'invite --for 90d', 2, /^invite: that is too long$/m],
      ['root', 'names release nobody', 1, /^names: nobody is no name of yours$/m],
      ['alice', 'ban bob', 3, /^ban: your key has no right to that$/m],
      ['alice', 'invite', 3, /^invite: your key has no right to that$/m],
      ['alice', 'kick bob', 1, /^kick: nobody is connected as bob$/m],
    ] as const) {
      const { code, stderr, stdout } = await execute(scope, board, user, command);
      assert.is(code, status, `${command}: ${stderr}`);
      assert.match(stderr, sentence);
      assert.is(stdout.toString(), '');
    }
  }),
);

it(
  'kick ends a connection; ban keeps out until it is lifted, and both end circuits',
  bounded(180, async scope => {
    const { board } = await boardWith(scope, 'alice', 'bob');
    const port = await says(scope, 'here');
    const first = await provide(scope, board, 'alice', [`80:localhost:${port}`]);
    const kicked = await execute(scope, board, 'root', `kick ${first.alias}`);
    assert.match(kicked.stdout.toString(), /^Disconnected alice-\S+ from 127\.0\.0\.1 \(client \d+\)\.\n$/);
    await soon('alice to hear it', first.child.ended);
    assert.match(first.child.stderr, /Received disconnect from .*: disconnected by root/);
    const again = await provide(scope, board, 'alice', [`80:localhost:${port}`]);
    assert.is(await call(scope, board, `${again.alias}:80`), 'here');

    const banned = await execute(scope, board, 'root', 'ban alice --for 1h --reason "too loud"');
    assert.match(banned.stdout.toString(), /^Banned SHA256:\S+; 1 connection ended\.\n$/);
    await soon('alice to hear it', again.child.ended);
    const refused = await execute(scope, board, 'alice', 'whoami');
    assert.is(refused.code, 255);
    assert.match(refused.stderr, /Permission denied \(publickey\)\./);
    await board.child.says(/sign-in refused: SHA256:\S+ is banned by root: too loud/, 'stderr');
    const bans = JSON.parse((await execute(scope, board, 'root', 'ban --json')).stdout.toString());
    assert.equal([bans[0].reason, bans[0].by], ['too loud', 'root']);
    assert.is((await execute(scope, board, 'root', 'unban alice')).code, 0);
    assert.is((await execute(scope, board, 'alice', 'whoami')).code, 0);
  }),
);

it(
  'an invitation lets one key in that nobody knows, once',
  bounded(180, async scope => {
    const { board, file } = await boardWith(scope);
    assert.is((await execute(scope, board, 'newcomer', 'whoami')).code, 255);
    const { stdout } = await execute(scope, board, 'root', 'invite --access list --hostname Watch --for 1h');
    const [, user] = /^Good for one new key, until .*:\n {2}ssh -p \d+ (watch\+\S+)@127\.0\.0\.1\n$/.exec(
      stdout.toString(),
    )!;
    const invited = await execute(scope, board, user, 'whoami --json', { key: 'newcomer' });
    assert.is(invited.code, 0, invited.stderr);
    const { name, rights } = JSON.parse(invited.stdout.toString());
    assert.equal([name, rights], ['watch', ['list']]);
    const [type, blob] = keyLine('newcomer').split(' ');
    const entry = `access="list",hostname="watch" ${type} ${blob} watch@127.0.0.1\n`;
    assert.ok(readFileSync(file, 'utf8').endsWith(entry));
    assert.is(
      (await execute(scope, board, 'anything', 'whoami', { key: 'newcomer' })).code,
      0,
      'from now on it is known',
    );
    assert.is((await execute(scope, board, user, 'whoami', { key: 'second' })).code, 255, 'the code is used up');
    // Nor does the log tell codes that may still be used.
    assert.not.match(board.child.stderr, /watch\+/);
    const another = await execute(scope, board, 'root', 'invite --json');
    const { code } = JSON.parse(another.stdout.toString());
    const [{ id }] = JSON.parse((await execute(scope, board, 'root', 'invite list --json')).stdout.toString());
    assert.is((await execute(scope, board, 'root', `invite revoke ${id}`)).code, 0);
    assert.is((await execute(scope, board, `x+${code}`, 'whoami', { key: 'second' })).code, 255);
  }),
);

it(
  'command= runs in place of what is asked for; no-pty and --no-shell are kept to',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'keys');
    const forced = `command="listeners --json",no-pty ${keyLine('watcher')}\n`;
    writeFileSync(file, `${forced}${keyLine('alice')}\n`);
    const board = await switchboard(scope, { args: ['--no-enrol', '--no-shell', '--authorized-keys', file] });
    for (const args of [['--', 'whoami'], ['-T']]) {
      const { stdout, code } = await ssh(scope, board, 'watcher', args, { input: '' }).ended;
      assert.equal([stdout.toString(), code], ['[]\n', 0]);
    }
    const tt = await ssh(scope, board, 'watcher', ['-tt'], { input: '' }).ended;
    assert.match(tt.stderr, /PTY allocation request failed/);
    const shell = await ssh(scope, board, 'alice', ['-tt'], { input: '' }).ended;
    assert.match(shell.stderr, /^This server does not support interactive sessions\.\r$/m);
    assert.is(shell.code, 1);
    // A provider is greeted all the same, and stays.
    const provider = ssh(scope, board, 'alice', ['-tt', '-R', '80:localhost:7']);
    await provider.says(/Press Ctrl-C to unplug/);
    provider.write('\x03');
    assert.is((await soon('ssh to end', provider.ended)).code, 0);
  }),
);

test.run();
