// Nodes with host keys of their own and certificates of one authority: they know each other, and nobody else; and stock ssh knows them by the authority.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CALL_CHANNEL, packCall } from '../../src/apps/switchboard/trunks.ts';
import { dial } from '../../src/client/index.ts';
import type { OpenError } from '../../src/protocol/index.ts';
import { call, says } from '../kit/board.ts';
import { knows, node, type Redis, redis } from '../kit/nodes.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { boardData, cordboard, keyFile, knownHost, provide, type Switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen', 'redis-server');

const publicKey = (owner: string) => readFileSync(`${keyFile(owner)}.pub`, 'utf8');

/** A file with the key of `owner`, and a certificate by the authority beside it. */
async function certifiedFile(scope: Scope, owner: string, args: readonly string[], by = 'authority'): Promise<string> {
  const file = join(scope.directory(), owner);
  for (const end of ['', '.pub']) copyFileSync(`${keyFile(owner)}${end}`, `${file}${end}`);
  await scope.run('ssh-keygen', ['-q', '-s', keyFile(by), '-I', owner, ...args, `${file}.pub`]);
  return file;
}

/** A node that is known by its certificate alone, and knows others so. */
async function certifiedNode(
  scope: Scope,
  directory: Redis,
  file: string,
  args: readonly string[] = [],
): Promise<Switchboard> {
  const nodes = join(scope.directory(), 'nodes');
  writeFileSync(nodes, `cert-authority,principals="127.0.0.1" ${publicKey('authority')}`);
  const board = await node(scope, directory, ['--host-key', file, '--node-keys', nodes, ...args]);
  return { ...board, known: [`@cert-authority * ${publicKey('authority')}`] };
}

const HOST = ['-h', '-n', '127.0.0.1'];

it(
  'nodes know each other by certificates, with one process or several; a certificate for somebody else is none',
  bounded(180, async scope => {
    const directory = await redis(scope);
    const files = await Promise.all([
      certifiedFile(scope, 'host1', HOST),
      certifiedFile(scope, 'host2', HOST),
      certifiedFile(scope, 'host3', ['-h', '-n', '192.0.2.1']),
      certifiedFile(scope, 'host4', HOST, 'stranger'),
    ]);
    const [a, b] = [
      await certifiedNode(scope, directory, files[0]),
      await certifiedNode(scope, directory, files[1], ['--workers', '2']),
    ];
    const text = await says(scope, 'hello');
    const lines = [];
    for (const [i, board] of [a, b].entries()) {
      // Stock ssh checks the certificate, too: it knows nothing but the authority.
      lines.push(await provide(scope, board, `p${i}`, [`80:localhost:${text}`], { key: 'alice' }));
    }
    for (const board of [a, b])
      for (const { alias } of lines) {
        await knows(scope, board, alias);
        assert.is(await call(scope, board, `${alias}:80`), 'hello');
      }
    // Another name, and another authority.
    for (const [i, file] of [files[2], files[3]].entries()) {
      const board = await certifiedNode(scope, directory, file);
      const stranger = { ...board, known: [knownHost(board.host, board.port, readFileSync(`${file}.pub`, 'utf8'))] };
      const line = await provide(scope, stranger, `s${i}`, [`80:localhost:${text}`], { key: 'alice' });
      await knows(scope, a, line.alias);
      await knows(scope, stranger, lines[0].alias);
      assert.match(await call(scope, a, `${line.alias}:80`), /cannot be reached just now/);
      // Where keys are enrolled, the stranger comes in as everybody does, and makes no calls for others.
      const refused = /cannot be reached just now|not served here/;
      assert.match(await call(scope, stranger, `${lines[0].alias}:80`), refused);
      await board.child.stop();
    }
    // A node of this name by other certificates of the authority is an ordinary client, or nobody.
    const called = packCall({ provider: 'nobody/1', line: '80', name: 'x', originHost: '192.0.2.1', originPort: 1 });
    const as = async (file: string) => {
      const client = await dial({
        ...{ port: a.port, user: 'cordboard-node', keys: [readFileSync(file, 'utf8')], hostKey: () => true },
        certificates: [readFileSync(`${file}-cert.pub`, 'utf8')],
      });
      const refused = await client.open(CALL_CHANNEL, called).then(
        () => assert.unreachable('a call'),
        (error: OpenError) => error.message,
      );
      await client.close();
      return refused;
    };
    assert.match(String(await as(files[1])), /unplugged this moment/, 'a node');
    const user = await certifiedFile(scope, 'user', ['-n', '127.0.0.1,cordboard-node']);
    const late = await certifiedFile(scope, 'late', [...HOST, '-V', '20200101:20200102']);
    // Their keys are enrolled, as everybody's.
    for (const file of [user, late, files[2]]) assert.match(String(await as(file)), /not served here/);
  }),
);

it(
  'a certificate that cannot be used keeps the switchboard from starting, with a sentence',
  bounded(180, async scope => {
    const file = await certifiedFile(scope, 'host5', ['-n', '127.0.0.1']);
    const start = () =>
      cordboard(scope, ['switchboard', '--port', '0', '--data', boardData(scope), '--host-key', file]).ended;
    const { code, stderr } = await start();
    assert.is(code, 1);
    assert.match(stderr, /the host certificate \S+host5-cert.pub cannot be used: it is for a user/);
    copyFileSync(`${await certifiedFile(scope, 'host1', HOST)}-cert.pub`, `${file}-cert.pub`);
    assert.match((await start()).stderr, /it is for another key/);
    writeFileSync(`${file}-cert.pub`, 'nonsense\n');
    assert.match((await start()).stderr, /cannot be used: /);
  }),
);

test.run();
