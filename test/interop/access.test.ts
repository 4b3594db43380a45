// Who gets in: keys the file denies, does not know, or lets in from elsewhere only; and that naming a key without owning it changes nothing.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { echoServer } from '../kit/loopback.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { keyLine, provide, type SshOptions, type Switchboard, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');

/** A switchboard with a file of its own, which tests fill. */
const started = (enrol: string) =>
  shared(test, async scope => {
    const file = join(scope.directory(), 'keys');
    writeFileSync(file, '');
    return { board: await switchboard(scope, { args: ['--authorized-keys', file, enrol] }), file };
  });
const closed = started('--no-enrol');
const enrolling = started('--enrol');

/** A switchboard that lets in who is in a file with these lines, and that file. */
async function guarded(scope: Scope, lines: readonly string[], which = closed) {
  const { board, file } = await which(scope);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return { board, file };
}

const listeners = (scope: Scope, board: Switchboard, user: string, options: SshOptions = {}) =>
  ssh(scope, board, user, ['--', 'listeners'], { input: '', ...options }).ended;

async function getsIn(scope: Scope, board: Switchboard, user: string, options?: SshOptions): Promise<void> {
  const { code, stderr, stdout } = await listeners(scope, board, user, options);
  assert.is(code, 0, stderr);
  assert.match(stdout.toString(), /^Listening clients:\n/);
}

async function staysOut(scope: Scope, board: Switchboard, user: string, options?: SshOptions): Promise<void> {
  const { code, stderr, stdout } = await listeners(scope, board, user, options);
  assert.is(code, 255);
  assert.match(stderr, /^\S+@127\.0\.0\.1: Permission denied \(publickey\)\.\r?$/m);
  assert.is(stdout.toString(), '');
}

it(
  'access="denied" keeps a key out, also where enrolment is on and another line of the file lets it in',
  bounded(180, async scope => {
    const lines = [keyLine('mallory'), `access="denied" ${keyLine('mallory')}`, keyLine('alice')];
    const { board, file } = await guarded(scope, lines, enrolling);
    const before = readFileSync(file, 'utf8');
    await staysOut(scope, board, 'mallory');
    await getsIn(scope, board, 'alice');
    assert.is(readFileSync(file, 'utf8'), before);
  }),
);

it(
  'with --no-enrol an unknown key stays out, and the file stays as it is',
  bounded(180, async scope => {
    const { board, file } = await guarded(scope, [keyLine('alice')]);
    const before = readFileSync(file, 'utf8');
    await staysOut(scope, board, 'mallory');
    await getsIn(scope, board, 'alice');
    assert.is(readFileSync(file, 'utf8'), before);
  }),
);

it(
  'offering a public key whose private half one does not have leaves the key file as it is',
  bounded(180, async scope => {
    const { board, file } = await guarded(scope, [], enrolling);
    // Only the public half is there: ssh asks whether the key would do, is told so, and cannot sign.
    const half = join(scope.directory(), 'half');
    writeFileSync(`${half}.pub`, keyLine('mallory'));
    const offer = async () => {
      const config = [`IdentityFile ${half}`];
      const args = ['-v', '-o', 'PubkeyAuthentication yes', '--', 'listeners'];
      const { code, stderr } = await ssh(scope, board, 'mallory', args, { input: '', config, key: 'nobody' }).ended;
      return { code, stderr };
    };
    writeFileSync(file, `access="denied" ${keyLine('nobody')}\n`);
    const before = readFileSync(file, 'utf8');
    const { code, stderr } = await offer();
    assert.match(stderr, /Server accepts key: \S+half /);
    assert.is(code, 255);
    assert.is(readFileSync(file, 'utf8'), before);
    await getsIn(scope, board, 'alice');
    const [type, blob] = keyLine('alice').split(' ');
    const after = `${before}access="listen",access="initiate" ${type} ${blob} alice@127.0.0.1\n`;
    assert.is(readFileSync(file, 'utf8'), after);
    await offer();
    assert.is(readFileSync(file, 'utf8'), after);
  }),
);

it(
  'from= lets a key in from where it says only',
  bounded(180, async scope => {
    const { board } = await guarded(scope, [
      `from="10.0.0.0/8" ${keyLine('far')}`,
      `from="127.0.0.*" ${keyLine('near')}`,
      `from="127.0.0.0/8,!127.0.0.1" ${keyLine('not')}`,
    ]);
    await staysOut(scope, board, 'far');
    await staysOut(scope, board, 'not');
    await getsIn(scope, board, 'near');
  }),
);

it(
  'permitlisten= and permitopen= hold for lines and calls',
  bounded(180, async scope => {
    const { board, file } = await guarded(scope, [`permitlisten="80" ${keyLine('alice')}`]);
    const echo = await echoServer(scope);
    const { alias } = await provide(scope, board, 'alice', [`80:localhost:${echo}`]);
    const other = await ssh(scope, board, 'alice', ['-N', '-R', `81:localhost:${echo}`], { input: '' }).ended;
    assert.is(other.code, 255);
    assert.match(other.stderr, /remote port forwarding failed for listen port 81/);
    writeFileSync(
      file,
      `${readFileSync(file, 'utf8')}permitopen="${alias}:80" ${keyLine('bob')}\npermitopen="elsewhere:80" ${keyLine('carol')}\n`,
    );
    const call = (user: string) => ssh(scope, board, user, ['-W', `${alias}:80`], { input: 'hello' }).ended;
    assert.is((await call('bob')).stdout.toString(), 'hello');
    assert.match((await call('carol')).stderr, /administratively prohibited: your key may not call this/);
  }),
);

it(
  'a key that is taken out of the file stays out from then on; who is connected stays connected',
  bounded(180, async scope => {
    const { board, file } = await guarded(scope, [keyLine('alice'), keyLine('bob')]);
    const { alias, child } = await provide(scope, board, 'alice', [`80:localhost:${await echoServer(scope)}`]);
    writeFileSync(file, `${keyLine('bob')}\n`);
    await staysOut(scope, board, 'alice');
    const { stdout } = await ssh(scope, board, 'bob', ['-W', `${alias}:80`], { input: 'hello' }).ended;
    assert.is(stdout.toString(), 'hello');
    assert.not.ok(child.over, child.report);
  }),
);

test.run();
