// Names that belong to keys, and whom a call reaches.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, execute, fleet, greeted, says } from '../kit/board.ts';
import { echoServer } from '../kit/loopback.ts';
import { bounded, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { cordboard, keyFile, keyLine, provide, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const theBoard = shared(test, switchboard);

it(
  'where only known keys come, plain names are for everybody, belong to who had them first, and survive a restart',
  bounded(180, async scope => {
    const keys = ['alice', 'mallory', 'bob'].map(keyLine);
    const { board, file } = await fleet(scope, keys);
    const alice = await provide(scope, board, 'gateway', [`80:localhost:${await says(scope, 'alice')}`], {
      key: 'alice',
    });
    assert.match(alice.child.stderr, /^Also reached as gateway\.\r?$/m);
    assert.is(await call(scope, board, 'gateway:80'), 'alice');
    await alice.child.stop();

    board.child.signal('SIGTERM');
    await soon('the server to end', board.child.ended);
    const again = await switchboard(scope, { data: board.data, args: ['--no-enrol', '--authorized-keys', file] });
    const mallory = greeted(scope, again, 'gateway', `80:localhost:${await says(scope, 'mallory')}`, {
      key: 'mallory',
    });
    const [, own] = await mallory.says(/^The name gateway belongs to another key: your lines are (\S+) only\.$/m);
    assert.not.match(mallory.stderr, /Also reached as/);
    assert.match(await call(scope, again, 'gateway:80'), /no line named gateway/);
    assert.is(await call(scope, again, `${own}:80`), 'mallory');
    await mallory.stop();

    const names = (...args: string[]) =>
      cordboard(scope, ['switchboard', '--data', board.data, 'names', ...args], { input: '' }).ended;
    const listed = JSON.parse((await names('--json')).stdout.toString());
    assert.is(listed.length, 1);
    assert.is(listed[0].name, 'gateway');
    assert.match((await names()).stdout.toString(), /^NAME +OWNER.*\ngateway +SHA256:/);
    assert.is((await names('release', 'gateway')).code, 0);
    const none = await names('release', 'gateway');
    assert.is(none.code, 1);
    assert.match(none.stderr, /^cordboard: nobody has the name gateway\n$/);
    await provide(scope, again, 'gateway', [`80:localhost:${await says(scope, 'mallory')}`], { key: 'mallory' });
    assert.is(await call(scope, again, 'gateway:80'), 'mallory');
  }),
);

it(
  'names that the file gives are their key’s, whatever it and others sign in as; allow= says who may call',
  bounded(180, async scope => {
    const { board } = await fleet(scope, [
      `hostname="web",alias="www",alias="shop" ${keyLine('alice')}`,
      `hostname="db",allow="ops" ${keyLine('carol')}`,
      `hostname="ops" ${keyLine('dave')}`,
      ...['mallory', 'bob'].map(keyLine),
    ]);
    await provide(scope, board, 'whoever', [`80:localhost:${await says(scope, 'web')}`], { key: 'alice' });
    for (const name of ['web', 'www', 'SHOP', 'web~0']) assert.is(await call(scope, board, `${name}:80`), 'web');
    const mallory = greeted(scope, board, 'web', `80:localhost:${await says(scope, 'mallory')}`, { key: 'mallory' });
    await mallory.says(/^The name web belongs to another key/m);
    assert.is(await call(scope, board, 'web:80'), 'web');

    const carol = await provide(scope, board, 'carol', [`5432:localhost:${await says(scope, 'db')}`]);
    for (const target of ['db:5432', `${carol.alias}:5432`]) {
      assert.match(await call(scope, board, target), /administratively prohibited: this line is not for your key/);
      assert.is(await call(scope, board, target, { key: 'dave' }), 'db');
    }
  }),
);

it(
  'where anybody may come, names that the file gives are for everybody, and others for their owners',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    writeFileSync(join(board.data, 'authorized_keys'), `hostname="web" ${keyLine('alice')}\n`);
    await provide(scope, board, 'alice', [`80:localhost:${await says(scope, 'web')}`]);
    const carol = await provide(scope, board, 'carol', [`80:localhost:${await says(scope, 'carol')}`]);
    assert.is(await call(scope, board, 'web:80'), 'web');
    assert.match(await call(scope, board, 'carol:80'), /no line named carol/);
    assert.is(await call(scope, board, 'carol:80', { key: 'carol' }), 'carol');
    assert.is(await call(scope, board, `${carol.alias}:80`), 'carol');
  }),
);

it(
  'several connections of one key with a line each: every line is found under the one name',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const [web, db] = [await says(scope, 'web'), await says(scope, 'db')];
    const one = await provide(scope, board, 'multi', [`80:localhost:${web}`]);
    await provide(scope, board, 'multi', [`5432:localhost:${db}`]);
    assert.is(await call(scope, board, `${one.alias}:80`), 'web');
    assert.is(await call(scope, board, `${one.alias}:5432`), 'db');
    assert.match(await call(scope, board, `${one.alias}~0:80`), /has no line on port 80/);
  }),
);

// Unix sockets

needs(
  test,
  'ssh',
  'nc',
)(
  'a socket is a line, too: -R /name.sock, called as /alias/name.sock, and taken back',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const echo = await echoServer(scope);
    const config = ['ControlMaster yes', `ControlPath ${join(scope.directory(), 'control')}`];
    const { alias } = await provide(scope, board, 'erin', [`/docker.sock:localhost:${echo}`], { config });
    const forwards = [`/${alias}/docker.sock`, '/docker.sock', '/erin/docker.sock'];
    const socketsOf = async (user: string) => {
      const directory = scope.directory();
      const args = forwards.flatMap((target, i) => ['-L', `${join(directory, String(i))}:${target}`]);
      const child = ssh(scope, board, user, ['-v', '-N', ...args]);
      await soon('ssh to be ready', child.says(/Entering interactive session/, 'stderr'), 60);
      return forwards.map((_, i) => join(directory, String(i)));
    };
    const reaches = async (path: string) => {
      const { stdout } = await scope.run('nc', ['-N', '-U', path], { input: 'through a socket' });
      return stdout.toString() === 'through a socket';
    };
    // Others by the alias; whoever has the key by the plain name and by the path alone.
    const others = await socketsOf('frank');
    const own = await socketsOf('erin');
    assert.equal([await reaches(others[0]), await reaches(others[1]), await reaches(others[2])], [true, false, false]);
    assert.equal([await reaches(own[0]), await reaches(own[1]), await reaches(own[2])], [true, true, true]);
    const list = await execute(scope, board, 'erin', 'listeners');
    assert.match(list.stdout.toString(), `erin: ip=127.0.0.1 aliases=${alias} ports= sockets=/docker.sock\n`);
    const cancelled = await ssh(scope, board, 'erin', ['-O', 'cancel', '-R', `/docker.sock:localhost:${echo}`], {
      ...{ input: '', config: [config[1]] },
    }).ended;
    assert.is(cancelled.code, 0, cancelled.stderr);
    assert.not(await reaches(own[0]));
  }),
);

it(
  'a name belongs to the principal of a certificate: with another key it is the same, for whom the authority says so',
  bounded(180, async scope => {
    const { board } = await fleet(scope, [
      `cert-authority,restrict,port-forwarding,access="listen" ${keyLine('fleet')}`,
      keyLine('bob'),
      keyLine('mallory'),
    ]);
    /** As the guide has it. */
    const certified = async (key: string, principal: string) => {
      const args = [
        '-q',
        '-s',
        keyFile('fleet'),
        '-I',
        principal,
        '-n',
        principal,
        '-V',
        '+52w',
        `${keyFile(key)}.pub`,
      ];
      assert.is((await scope.run('ssh-keygen', args)).code, 0);
    };
    await certified('first', 'church');
    const first = await provide(scope, board, 'church', [`22:localhost:${await says(scope, 'first')}`], {
      key: 'first',
    });
    assert.is(await call(scope, board, 'church:22'), 'first');
    await first.child.stop();

    await certified('second', 'church');
    const second = await provide(scope, board, 'church', [`22:localhost:${await says(scope, 'second')}`], {
      key: 'second',
    });
    assert.is(second.alias, first.alias);
    assert.is(await call(scope, board, 'church:22'), 'second');
    await second.child.stop();

    const mallory = greeted(scope, board, 'church', `22:localhost:${await says(scope, 'mallory')}`, { key: 'mallory' });
    await mallory.says(/^The name church belongs to another key/m);
    await certified('third', 'tower');
    const other = await execute(scope, board, 'church', 'whoami', { key: 'third' });
    assert.is(other.code, 255, 'a principal is no other');
  }),
);

it(
  'a call reaches nobody by looking like an alias',
  bounded(180, async scope => {
    const { board } = await fleet(scope, ['alice', 'mallory', 'bob'].map(keyLine));
    const alice = await provide(scope, board, 'alice', [`80:localhost:${await says(scope, 'alice')}`]);
    await alice.child.stop();
    // Whoever knows an alias cannot sit down at its place when its owner is away.
    const mallory = await provide(scope, board, alice.alias, [`80:localhost:${await says(scope, 'mallory')}`], {
      key: 'mallory',
    });
    assert.match(await call(scope, board, `${alice.alias}:80`), /no line named/);
    assert.is(await call(scope, board, `${mallory.alias}:80`), 'mallory');
  }),
);

test.run();
