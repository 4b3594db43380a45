// Our client and the real servers of Debian and npm, one after the other; docs/interop.md shows what came of it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientConnection } from '../../src/client/index.ts';
import { debianVersion, type Entry, InteropTable } from '../kit/interop-table.ts';
import { door } from '../kit/once.ts';
import { bounded, eventually, Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { readKey, sshd, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';
import { account, dropbear, lshd, PASSWORD, servers } from './others/servers.ts';
import { cat, KEEPALIVES, line, REKEY, reach, trial, withKey } from './others/trial.ts';

const { version: VERSION } = JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'));
const table = new InteropTable('servers');

/** Connections that say nothing while other servers are tried, since when, and the rows that wait for them. */
const idle: { client: ClientConnection; since: number; row: Omit<Entry, 'result'>; result: string }[] = [];
const whole = new Scope();
test.after(() => whole.end());
/** Milliseconds of silence after which a connection whose server answers no keepalive would be gone. */
const SILENCE = 6000;

for (const server of servers) {
  const start = shared(test, server.start);
  table.test(
    test,
    server.wanted,
    server.who,
    bounded(180, async scope => {
      const { who, version, keys } = server;
      const at = await start(scope);
      const client = await reach(whole, at, { ...withKey(keys[0]), times: KEEPALIVES });
      const { tried, lacks } = await trial(scope, server, at);
      const row = { who, version, role: 'server', tried: [...tried, 'idle', 'close'].join(', ') };
      idle.push({ client, since: Date.now(), row, result: lacks.length === 0 ? '✓' : `✓; ${lacks.join(', ')}` });
    }),
  );
}

test(
  'those that were left idle still answer',
  bounded(180, async () => {
    for (const { client, since, row, result } of idle) {
      await eventually('silence', () => Date.now() - since > SILENCE || client.connection.error !== undefined);
      assert.is(client.connection.error, undefined, row.who);
      const { stdout } = await client.exec('echo still here');
      assert.is(new TextDecoder().decode(stdout), 'still here\n', row.who);
      table.entry({ ...row, result });
    }
  }),
);

table.test(
  test,
  { programs: ['lshd', 'lsh-keygen', 'lsh-writekey', 'lsh-make-seed'] },
  'lshd',
  bounded(180, async scope => {
    const at = await lshd(scope);
    const refused = await reach(scope, at, { password: PASSWORD }).then(
      () => 'signed in',
      (error: Error) => error.message,
    );
    assert.match(refused, /no common key exchange.*: .*the server diffie-hellman-group14-sha1/);
    const result = 'refused at once: only Diffie-Hellman with SHA-1';
    table.entry({ who: 'lshd', version: debianVersion('lsh-server'), role: 'server', tried: 'key exchange', result });
  }),
);

table.test(
  test,
  { programs: ['ssh-keygen'] },
  'our own',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const known = { host: board.host, port: board.port, user: 'alice', child: board.child };
    let banner = '';
    const client = await reach(scope, known, { ...withKey('ed25519'), banner: message => void (banner += message) });
    const alias = /^Your lines are reached as (\S+):/m.exec(banner)![1];
    await soon('the line', line(client, alias));
    assert.is((await client.exec('help')).status, 0);
    await client.close();
    const row = { version: VERSION, role: 'server', result: '✓' };
    table.entry({
      ...row,
      who: 'cordboard switchboard',
      tried: 'ed25519 key, exit status, remote listener, forward, close',
    });

    const once = await door(scope);
    const session = await reach(scope, { ...once, user: 'alice' }, { ...withKey('ed25519'), rekeyBytes: REKEY });
    await soon('cat', cat(session));
    table.entry({ ...row, who: 'otssh', tried: 'ed25519 key, exit status, 2 MiB each way, rekey, close' });
  }),
);

needs(
  test,
  'sshd',
  'ssh-keygen',
)(
  'a banner in Latin-1 from sshd is shown, and does no harm',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'issue.net');
    writeFileSync(file, Buffer.from('Zutritt f\xfcr Befugte\n', 'latin1'));
    const at = await sshd(scope, [{ owner: 'alice' }], [`Banner ${file}`]);
    let shown = '';
    const client = await reach(scope, at, { ...withKey('ed25519'), banner: message => void (shown += message) });
    assert.match(shown, /^Zutritt f.r Befugte\n$/);
    assert.is((await client.exec('true')).status, 0);
  }),
);

needs(
  test,
  'sshd',
  'dropbear',
  'gcc',
  'ssh-keygen',
)(
  'servers that want two ways in, in the order that they say',
  bounded(180, async scope => {
    const both = { ...withKey('ed25519'), password: PASSWORD };
    const keys = (['rsa', 'ed25519', 'ecdsa'] as const).map(type => readKey(type === 'rsa' ? 'bob' : 'alice', type));
    const env = await account(scope);
    const allowed = (['ed25519', 'ecdsa'] as const).map(type => ({ owner: 'alice', type }));
    const cases = [
      ['publickey,password', both],
      ['password,publickey', both],
      // The first key is refused before and after one that counts.
      ['publickey,publickey', { keys }],
    ] as const;
    for (const [methods, options] of cases) {
      const config = ['PasswordAuthentication yes', `AuthenticationMethods ${methods}`];
      const first = await reach(scope, await sshd(scope, allowed, config, env), options);
      assert.is((await first.exec('true')).status, 0, methods);
    }
    const client = await reach(scope, await dropbear(scope, ['-t']), both);
    assert.is((await client.exec('true')).status, 0, 'dropbear -t');
  }),
);

table.compare(test);
test.run();
