// What a provider may ask for with -R: bind addresses, port 0, several lines, taking them back; and the commands that list them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { echoServer, tcpServer } from '../kit/loopback.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { keyFile, provide, type SshOptions, type Switchboard, ssh, sshConfig, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const theBoard = shared(test, switchboard);

/** What comes back for `input` over `ssh -W target`; undefined if the call was refused. */
async function call(scope: Scope, board: Switchboard, target: string, input = 'hello'): Promise<string | undefined> {
  const { code, stdout } = await ssh(scope, board, 'bob', ['-W', target], { input }).ended;
  return code === 0 ? stdout.toString() : undefined;
}

const execute = (scope: Scope, board: Switchboard, user: string, command: string, options?: SshOptions) =>
  ssh(scope, board, user, ['--', command], { input: '', ...options }).ended;

for (const bind of ['localhost:', '*:', ':', 'some.name.example:', '127.0.0.1:', '']) {
  it(
    `-R ${bind}PORT… is echoed as it was asked for, so ssh takes the call`,
    bounded(180, async scope => {
      const board = await theBoard(scope);
      const echo = await echoServer(scope);
      const { child, alias } = await provide(scope, board, 'alice', [
        `${bind}6379:localhost:${echo}`,
        `${bind}0:localhost:${echo}`,
      ]);
      assert.is(await call(scope, board, `${alias}:6379`), 'hello');
      const [, port] = await child.says(/Allocated port (\d+) for remote forward/, 'stderr');
      assert.is(await call(scope, board, `${alias}:${port}`), 'hello');
      // What ssh says when address or port are not to the letter what it asked for.
      assert.not.match(child.stderr, /unknown listen_port|WARNING/);
    }),
  );
}

it(
  'port 0 allocates a port of its own for each line',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const says = (text: string) => tcpServer(scope, socket => void socket.end(text));
    const [one, two] = [await says('one'), await says('two')];
    const { child, alias } = await provide(scope, board, 'alice', [
      `0:localhost:${one.port}`,
      `0:localhost:${two.port}`,
    ]);
    const allocated = (to: number) =>
      child.says(new RegExp(`Allocated port (\\d+) for remote forward to localhost:${to}`), 'stderr');
    const [, first] = await allocated(one.port);
    const [, second] = await allocated(two.port);
    assert.is.not(first, second);
    assert.is(await call(scope, board, `${alias}:${first}`), 'one');
    assert.is(await call(scope, board, `${alias}:${second}`), 'two');
  }),
);

it(
  'a port that is plugged in already is refused, with the rest of the connection unharmed',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const child = ssh(scope, board, 'alice', ['-N', '-R', `80:localhost:${echo}`, '-R', `*:80:localhost:${echo}`], {
      config: ['ExitOnForwardFailure no'],
    });
    const [, alias] = await soon('the banner', child.says(/^Your lines are reached as (\S+):/m, 'stderr'));
    await soon('the refusal', child.says(/remote port forwarding failed for listen port 80/, 'stderr'));
    assert.is(await call(scope, board, `${alias}:80`), 'hello');
  }),
);

it(
  'ssh -O cancel takes a line back, and only that one',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const control = join(scope.directory(), 'control');
    const { child, alias } = await provide(
      scope,
      board,
      'alice',
      [`80:localhost:${echo}`, `81:localhost:${echo}`, `0:localhost:${echo}`],
      { config: ['ControlMaster yes', `ControlPath ${control}`] },
    );
    const [, port] = await child.says(/Allocated port (\d+) for remote forward/, 'stderr');
    const ask = async (command: string, ...args: string[]) => {
      const done = await ssh(scope, board, 'alice', ['-O', command, ...args], {
        input: '',
        config: [`ControlPath ${control}`],
      }).ended;
      assert.is(done.code, 0, done.stderr);
    };
    assert.is(await call(scope, board, `${alias}:80`), 'hello');
    await ask('cancel', '-R', `80:localhost:${echo}`);
    assert.is(await call(scope, board, `${alias}:80`), undefined);
    assert.is(await call(scope, board, `${alias}:81`), 'hello');
    assert.is(await call(scope, board, `${alias}:${port}`), 'hello');
    // ssh cancels an allocated port by the number it was given.
    await ask('cancel', '-R', `0:localhost:${echo}`);
    assert.is(await call(scope, board, `${alias}:${port}`), undefined);
    await ask('forward', '-R', `80:localhost:${echo}`);
    assert.is(await call(scope, board, `${alias}:80`), 'hello');
  }),
);

it(
  'a line that is plugged in later is announced to the session that is open',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const control = join(scope.directory(), 'control');
    const config = ['ControlMaster auto', `ControlPath ${control}`];
    const provider = ssh(scope, board, 'alice', ['-R', `80:localhost:${echo}`], { config });
    const [, alias] = await soon('the greeting', provider.says(/-L 8080:(alice-\S+):80/));
    await ssh(scope, board, 'alice', ['-O', 'forward', '-R', `81:localhost:${echo}`], { config, input: '' }).ended;
    await soon('the second line', provider.says(/^Virtual listener for ports \[81\] created\.$/m));
    assert.is(await call(scope, board, `${alias}:81`), 'hello');
  }),
);

it(
  'two providers with one key and name: the newest is the alias, the older alias~1, and it moves up',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const says = async (text: string) => (await tcpServer(scope, socket => void socket.end(text))).port;
    const older = await provide(scope, board, 'alice', [`80:localhost:${await says('older')}`]);
    const newer = await provide(scope, board, 'alice', [`80:localhost:${await says('newer')}`]);
    assert.is(newer.alias, older.alias);
    assert.is(await call(scope, board, `${older.alias}:80`), 'newer');
    assert.is(await call(scope, board, `${older.alias}~0:80`), 'newer');
    assert.is(await call(scope, board, `${older.alias}~1:80`), 'older');
    assert.is(await call(scope, board, `${older.alias}~2:80`), undefined);
    await newer.child.stop();
    await soon(
      'the older one to move up',
      (async () => {
        while ((await call(scope, board, `${older.alias}:80`)) !== 'older');
      })(),
    );
    assert.is(await call(scope, board, `${older.alias}~1:80`), undefined);
  }),
);

it(
  'one user name under two keys: two aliases, and neither reaches the other by the plain name',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const says = async (text: string) => (await tcpServer(scope, socket => void socket.end(text))).port;
    const one = await provide(scope, board, 'alice', [`80:localhost:${await says('one')}`]);
    const two = await provide(scope, board, 'alice', [`80:localhost:${await says('two')}`], { key: 'mallory' });
    assert.is.not(one.alias, two.alias);
    assert.is(await call(scope, board, `${one.alias}:80`), 'one');
    assert.is(await call(scope, board, `${two.alias}:80`), 'two');
    const own = await ssh(scope, board, 'whoever', ['-W', 'alice:80'], { input: '', key: 'alice' }).ended;
    assert.is(own.stdout.toString(), 'one');
  }),
);

it(
  'listeners shows one’s own lines, and everybody’s with the right to list',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const none = await execute(scope, board, 'alice', 'listeners');
    assert.is(none.stdout.toString(), 'Listening clients:\n  None\n');
    assert.is(none.code, 0);
    const { alias } = await provide(scope, board, 'alice', ['22:localhost:7', '80:localhost:7']);
    const row = `Listening clients:\n  alice: ip=127.0.0.1 aliases=${alias} ports=22,80\n`;
    assert.is((await execute(scope, board, 'alice', 'listeners')).stdout.toString(), row);
    assert.is((await execute(scope, board, 'bob', 'listeners')).stdout.toString(), none.stdout.toString());
    const file = join(board.data, 'authorized_keys');
    const carol = readFileSync(`${keyFile('carol')}.pub`, 'utf8');
    writeFileSync(file, `${readFileSync(file, 'utf8')}access="list" ${carol}`);
    assert.is((await execute(scope, board, 'carol', 'listeners')).stdout.toString(), row);
  }),
);

it(
  'a key with only the right to list may neither plug in nor call, and keeps its connection',
  bounded(180, async scope => {
    const keys = join(scope.directory(), 'keys');
    const line = (owner: string) => readFileSync(`${keyFile(owner)}.pub`, 'utf8');
    writeFileSync(keys, `access="listen" ${line('alice')}access="list" ${line('carol')}`);
    const board = await switchboard(scope, { args: ['--no-enrol', '--authorized-keys', keys] });
    const { alias } = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
    const control = join(scope.directory(), 'control');
    const config = ['ControlMaster auto', `ControlPath ${control}`, 'ExitOnForwardFailure no'];
    const master = ssh(scope, board, 'carol', ['-v', '-N', '-R', '80:localhost:7'], { config });
    await soon('the refusal', master.says(/remote port forwarding failed for listen port 80/, 'stderr'));
    const refused = await ssh(scope, board, 'carol', ['-W', `${alias}:80`], { input: '' }).ended;
    assert.match(refused.stderr, /administratively prohibited/);
    assert.match(refused.stderr, /stdio forwarding failed/);
    assert.is(refused.code, 255);
    const shared = await ssh(scope, board, 'carol', ['-W', `${alias}:80`], { input: '', config }).ended;
    assert.is(shared.code, 255);
    const listed = await execute(scope, board, 'carol', 'listeners', { config });
    assert.match(listed.stdout.toString(), alias);
    assert.not.ok(master.over);
    // Whoever may only listen may not call.
    const alice = await ssh(scope, board, 'alice', ['-W', `${alias}:80`], { input: '' }).ended;
    assert.match(alice.stderr, /administratively prohibited/);
  }),
);

it(
  'an unknown command ends with status 1 and says which there are; help helps',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const unknown = await execute(scope, board, 'alice', 'rm -rf \x1b[31m/');
    assert.is(unknown.code, 1);
    assert.is(unknown.stdout.toString(), '');
    assert.match(unknown.stderr, /Unsupported command: rm -rf \uFFFD\[31m\//);
    assert.match(unknown.stderr, /help, listeners/);
    const help = await execute(scope, board, 'alice', 'help');
    assert.is(help.code, 0);
    assert.match(help.stdout.toString(), /listeners/);
    for (const subsystem of ['sftp', 'netconf']) {
      const refused = await ssh(scope, board, 'alice', ['-s', '--', subsystem], { input: '' }).ended;
      assert.is(refused.code, 255);
      assert.match(refused.stderr, /subsystem request failed/);
    }
  }),
);

it(
  'without a line a shell says how to plug one in, with commands that work, and ends',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const { code, stdout } = await ssh(scope, board, 'alice', ['-tt'], { input: '' }).ended;
    assert.is(code, 0);
    const text = stdout.toString();
    assert.match(text, /^Hello alice\r\n/);
    const config = sshConfig(scope, board, 'alice');
    const [, plug] = /^ {2}(ssh .* -R .*?)\r$/m.exec(text)!;
    const words = plug.split(' ').slice(1);
    const provider = scope.start('ssh', ['-F', config, ...words]);
    await soon('the greeting', provider.says(/Virtual listener for ports \[80\]/));
  }),
);

it(
  'Ctrl-C in a terminal unplugs the line',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const child = ssh(scope, board, 'alice', ['-tt', '-R', '80:localhost:7']);
    await soon('the greeting', child.says(/Press Ctrl-C to unplug/));
    child.write('\x03');
    assert.is((await soon('ssh to end', child.ended)).code, 0);
  }),
);

test.run();
