// The programs in examples/, as they stand, on the package as it is built: with the real ssh, sshd, ssh-agent and ssh-keygen for the other end.
import { once } from 'node:events';
import { copyFileSync, cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { echoes, echoServer, freePort, listening, readAll, tcpConnect } from './kit/loopback.ts';
import { bounded, type Child, Scope, type SpawnOptions, soon } from './kit/processes.ts';
import { keyFile, knownHost, type Sshd, ssh, sshd } from './kit/ssh.ts';
import { needs } from './kit/tools.ts';

const root = join(import.meta.dirname, '..');
const modules = join(root, 'node_modules');
const tsx = pathToFileURL(join(modules, 'tsx', 'dist', 'loader.mjs')).href;
const shared = new Scope();
test.after(() => shared.end());

let folder: Promise<string> | undefined;

/** A folder that looks like this one after `npm run build`: there, `cordboard` is what is published. */
async function built(): Promise<string> {
  const directory = shared.directory();
  copyFileSync(join(root, 'package.json'), join(directory, 'package.json'));
  cpSync(join(root, 'examples'), join(directory, 'examples'), { recursive: true });
  symlinkSync(modules, join(directory, 'node_modules'), 'dir');
  const tsc = join(modules, 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(directory, 'dist')];
  const { code, stdout } = await shared.run(process.execPath, args);
  if (code !== 0) throw new Error(`the build failed: ${stdout}`);
  return directory;
}

/** Starts an example. */
async function example(
  scope: Scope,
  name: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Child> {
  folder ??= built();
  return scope.start(process.execPath, ['--import', tsx, join('examples', name), ...args], {
    cwd: await folder,
    ...options,
  });
}

let server: Promise<Sshd> | undefined;

/** The real sshd, one for all, by its address; and the variables that tell examples of key and known_hosts. */
async function real(): Promise<{ url: string; env: Record<string, string> }> {
  server ??= sshd(shared, [{ owner: 'alice' }]);
  const { host, port, user, known } = await server;
  const file = join(shared.directory(), 'known_hosts');
  writeFileSync(file, known.map(line => `${line}\n`).join(''));
  return { url: `ssh://${user}@${host}:${port}`, env: { SSH_KEY: keyFile('alice'), SSH_KNOWN_HOSTS: file } };
}

needs(
  test,
  'ssh',
  'ssh-keygen',
)(
  'hello-server greets the real ssh, and nobody who is not in the file',
  bounded(180, async scope => {
    const child = await example(scope, 'hello-server.ts', ['0', `${keyFile('alice')}.pub`, keyFile('host')], {
      input: '',
    });
    const [, host, port] = await soon(
      'it to listen',
      child.says(/^listening on (.*):(\d+), with the key SHA256:/m),
      120,
    );
    const target = {
      host,
      port: Number(port),
      known: [knownHost(host, Number(port), readFileSync(`${keyFile('host')}.pub`, 'utf8'))],
    };
    const said = await ssh(scope, target, 'alice', ['--', 'good morning']).ended;
    assert.equal([said.stdout.toString(), said.code], ['Hello alice, you said good morning.\n', 0], said.stderr);
    const shell = await ssh(scope, target, 'alice', [], { input: '' }).ended;
    assert.is(shell.stdout.toString(), 'Hello alice, you said nothing.\n');
    assert.match((await ssh(scope, target, 'mallory', ['--', 'x']).ended).stderr, /Permission denied \(publickey\)/);
  }),
);

const withSshd = needs(test, 'sshd', 'ssh-keygen');

withSshd(
  'exec-client runs a command on the real sshd: input, both outputs, status',
  bounded(180, async scope => {
    const { url, env } = await real();
    const run = async (command: string, input?: string) =>
      (await example(scope, 'exec-client.ts', [url, command], { env, input })).ended;
    const { code, stdout, stderr } = await run('cat; echo err >&2; exit 3', 'from here\n');
    assert.equal([stdout.toString(), stderr, code], ['from here\n', 'err\n', 3]);
    // It ends with the command, though nobody has closed its input.
    const killed = await run('echo out; kill -KILL $$');
    assert.equal([killed.stdout.toString(), killed.stderr, killed.code], ['out\n', 'ended by SIGKILL\n', 255]);
  }),
);

needs(
  test,
  'sshd',
  'ssh-keygen',
  'ssh-agent',
  'ssh-add',
)(
  'forward leads both ways through the real sshd, with a key of the real agent, until Ctrl-C',
  bounded(180, async scope => {
    const { url, env } = await real();
    const agent = join(scope.directory(), 'agent');
    await scope.start('ssh-agent', ['-D', '-a', agent]).says(/SSH_AUTH_SOCK/);
    const added = await scope.run('ssh-add', [keyFile('alice')], { env: { SSH_AUTH_SOCK: agent } });
    assert.is(added.code, 0, added.stderr);
    const target = `127.0.0.1:${await echoServer(scope)}`;
    const child = await example(scope, 'forward.ts', [url, '0', target, '0'], {
      env: { ...env, SSH_AUTH_SOCK: agent },
    });
    const [, local, remote] = await soon(
      'it to listen',
      child.says(/:(\d+) leads to .*; port (\d+) of the server/),
      120,
    );
    await echoes(await tcpConnect(scope, Number(local)), 'there and back');
    const answer = await soon('the answer', readAll(await tcpConnect(scope, Number(remote))), 60);
    assert.is(answer.toString(), 'Hello 127.0.0.1, this is the far end.\n');
    child.signal('SIGINT');
    assert.is((await child.ended).code, 0);
  }),
);

needs(test, 'ssh-keygen')(
  'certificate-issuer writes what ssh-keygen reads',
  bounded(180, async scope => {
    const directory = scope.directory();
    const file = join(directory, 'id.pub');
    copyFileSync(`${keyFile('alice')}.pub`, file);
    const child = await example(scope, 'certificate-issuer.ts', [keyFile('authority'), file, 'alice', '2']);
    const { code, stdout, stderr } = await child.ended;
    assert.is(code, 0, stderr);
    const certificate = join(directory, 'id-cert.pub');
    assert.match(stdout.toString(), new RegExp(`signed by ED25519 CA SHA256:\\S+ is in ${certificate}\n$`));
    const read = await scope.run('ssh-keygen', ['-L', '-f', certificate]);
    assert.match(
      read.stdout.toString(),
      /user certificate[\s\S]*Key ID: "alice alice"[\s\S]*Principals:\s+alice\s[\s\S]*permit-pty/,
    );
  }),
);

withSshd(
  'jump-host reaches the real sshd through itself',
  bounded(180, async scope => {
    const { url, env } = await real();
    const child = await example(scope, 'jump-host.ts', [url, url, 'echo "$SSH_CONNECTION"; echo err >&2; exit 4'], {
      env,
    });
    const { code, stdout, stderr } = await child.ended;
    assert.match(stdout.toString(), /^127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+\n$/);
    assert.equal([stderr, code], ['err\n', 4]);
  }),
);

needs(test, 'ssh-keygen')(
  'the README’s code runs as it stands, but for its ports',
  bounded(180, async scope => {
    const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)].map(
      ([, code]) => code,
    );
    assert.is(blocks.length, 2);
    const ports = new Map<string, number>();
    for (const name of ['2222', '8080', '9090']) ports.set(name, await freePort());
    const program = blocks.join('').replace(/\b(?:2222|8080|9090)\b/g, port => String(ports.get(port)));
    folder ??= built();
    const file = join(await folder, 'examples', 'readme.ts');
    writeFileSync(file, program);
    const directory = scope.directory();
    copyFileSync(keyFile('host'), join(directory, 'host_key'));
    copyFileSync(keyFile('alice'), join(directory, 'id_ed25519'));
    copyFileSync(`${keyFile('alice')}.pub`, join(directory, 'authorized_keys'));
    const line = knownHost('127.0.0.1', ports.get('2222')!, readFileSync(`${keyFile('host')}.pub`, 'utf8'));
    writeFileSync(join(directory, 'known_hosts'), `${line}\n`);
    const child = scope.start(process.execPath, ['--import', tsx, file], { cwd: directory });
    await soon('what the command says', child.says(/^you said that$/m), 120);
    for (const port of ['8080', '9090']) {
      await listening(ports.get(port)!, 60);
      const socket = await tcpConnect(scope, ports.get(port)!);
      const [greeting] = await soon('the server to greet', once(socket, 'data'), 60);
      assert.match(String(greeting), /^SSH-2\.0-cordboard/);
      socket.destroy();
    }
    assert.is(child.stderr, '');
  }),
);

test.run();
