// The README of nuttssh, and that of its fork, followed line by line with our command in place of theirs. Where we differ on purpose is said here and in our README.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { echoServer, freePort, listening } from '../kit/loopback.ts';
import { bounded, type Child, eventually, type Scope, soon } from '../kit/processes.ts';
import { cordboard, keyFile, keyLine, type Sshd, sshConfig, sshd, sshOnPath } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'ssh-keygen', 'curl');
const withAutossh = needs(test, 'ssh', 'sshd', 'ssh-keygen', 'ssh-keyscan', 'curl', 'autossh');

/** Ports of this machine in place of those in the READMEs, which need not be free; longer ones first. */
type Ports = readonly (readonly [string, string | number])[];

interface Place {
  readonly board: Child;
  readonly directory: string;
  /** Runs a line of the README as `owner`, whose ssh knows hosts and keys. */
  run(owner: string, line: string): Child;
}

/** Starts the switchboard in a directory of its own, by a line such as one would type there. */
async function started(
  scope: Scope,
  line: string,
  prepare: (directory: string) => void | Promise<void>,
  ports: () => Ports,
  target?: Sshd,
  env: Record<string, string> = {},
): Promise<Place> {
  const directory = scope.directory();
  await prepare(directory);
  const replaced = (text: string) => ports().reduce((all, [from, to]) => all.replaceAll(from, String(to)), text);
  const [, ...args] = replaced(line).split(' ');
  const board = cordboard(scope, args, { cwd: directory, env });
  await soon('it to start', board.says(/^listening on/m), 120);
  const fingerprints = [...board.stdout.matchAll(/^ {2}(SHA256:\S+)/gm)].map(([, one]) => one);
  assert.ok(fingerprints.length > 0);
  const run = (owner: string, command: string) => {
    const config = sshConfig(
      scope,
      { host: '127.0.0.1', port: 0, known: (target?.known ?? []).map(key => key.replace(/^\S+/, 'myhost,user1')) },
      owner,
      {
        config: [
          'Host nuttsh.example.org nuttssh.example.org',
          'HostName 127.0.0.1',
          // What the README leaves to the reader: comparing fingerprints on first contact.
          'StrictHostKeyChecking no',
          'UserKnownHostsFile /dev/null',
          'Host myhost user1',
          `User ${target?.user ?? 'nobody'}`,
          `IdentityFile ${keyFile('carol')}`,
          'Host *',
        ],
      },
    );
    const path = sshOnPath(scope, config);
    const autossh = { AUTOSSH_PATH: join(path.split(':')[0], 'ssh'), AUTOSSH_GATETIME: '0' };
    return scope.start('sh', ['-c', `exec ${replaced(command)}`], { cwd: directory, env: { PATH: path, ...autossh } });
  };
  return { board, directory, run };
}

/** What a command that ends says. */
async function outcome(child: Child, input = ''): Promise<string> {
  child.write(input);
  child.endInput();
  const { code, stdout, stderr } = await child.ended;
  assert.is(code, 0, stderr);
  return stdout.toString();
}

/** A web page on a port of this machine. */
async function page(scope: Scope): Promise<number> {
  const web = createServer((request, response) => response.end(`page of ${request.headers.host}`));
  await new Promise<void>(resolve => web.listen(0, '127.0.0.1', resolve));
  scope.defer(() => {
    web.closeAllConnections();
    web.close();
  });
  return (web.address() as { port: number }).port;
}

withAutossh(
  'the original: host key and authorized_keys by hand, hosts by their names',
  bounded(180, async scope => {
    const target = await sshd(scope, [{ owner: 'carol' }]);
    const web = await page(scope);
    const [port, local, socks] = [await freePort(), await freePort(), await freePort()];
    const ports = (): Ports => [
      ['1878', port],
      ['localhost:8080', `localhost:${web}`],
      ['localhost:22', `localhost:${target.port}`],
      ['-L 22:', `-L ${local}:`],
      ['3128', socks],
    ];
    const place = await started(
      scope,
      'cordboard switchboard --host 0.0.0.0 --port 1878 --host-key ssh_host_key --authorized-keys authorized_keys --no-enrol --data .',
      async directory => {
        // SSH host key
        const made = scope.start('sh', ['-c', 'ssh-keygen -t rsa -b 2048 -P "" -f ssh_host_key'], { cwd: directory });
        assert.is((await made.ended).code, 0);
        // Access control
        const listen = `access="listen" ${keyLine('gateway')}`;
        const initiate = `access="listen",access="initiate",from="127.0.0.0/8" ${keyLine('operator')}`;
        const elsewhere = `access="listen",access="initiate",from="192.168.1.0/24" ${keyLine('elsewhere')}`;
        const named = `access="listen",hostname="lora7",alias="church",alias="tower" ${keyLine('named')}`;
        writeFileSync(join(directory, 'authorized_keys'), [listen, initiate, elsewhere, named, ''].join('\n'));
      },
      ports,
      target,
    );
    const { run, board } = place;
    const plugged = (count: number) =>
      eventually('the lines to be plugged in', () => board.stderr.split('line plugged in').length > count);

    // Connecting listening clients, on and on with autossh, which needs no monitoring port here.
    const gateway = run('gateway', 'autossh -M 0 myhost@nuttsh.example.org -p 1878 -R 22:localhost:22 -N');
    // Changing port numbers
    run('gateway', 'ssh myhost@nuttsh.example.org -p 1878 -R 80:localhost:8080 -N');
    await plugged(2);

    // Connecting initiating clients
    const there = () => outcome(run('operator', 'ssh -J nuttsh.example.org:1878 myhost echo there'));
    assert.is(await there(), 'there\n');
    // Forwarding local ports through a circuit
    run('operator', 'ssh -L 22:myhost:22 nuttsh.example.org -p 1878 -N');
    await listening(local, 60);
    assert.match((await scope.run('ssh-keyscan', ['-p', String(local), '127.0.0.1'])).stdout.toString(), /ssh-ed25519/);
    // Forwarding stdin/stdout through a circuit
    const banner = run('operator', 'ssh -W myhost:22 nuttsh.example.org -p 1878');
    await banner.says(/^SSH-2\.0-OpenSSH/);
    await banner.stop();
    // Routing a SOCKS proxy requests through a circuit
    run('operator', 'ssh -D 3128 nuttsh.example.org -p 1878 -N');
    await listening(socks, 60);
    const proxy = ['-sS', '-m', '60', '--noproxy', '', '--socks5-hostname', `127.0.0.1:${socks}`];
    assert.is((await scope.run('curl', [...proxy, 'http://myhost/'])).stdout.toString(), 'page of myhost');
    assert.is.not((await scope.run('curl', [...proxy, 'http://127.0.0.1/'])).code, 0, 'no other hosts');

    // Slave hostnames and aliases: whatever it signs in as, and several with one name by their index.
    run('named', 'ssh whatever@nuttsh.example.org -p 1878 -R 80:localhost:8080 -N');
    await plugged(3);
    for (const name of ['lora7', 'church', 'tower', 'tower~0']) {
      const answer = run('operator', `ssh -W ${name}:80 nuttsh.example.org -p 1878`);
      assert.match(await outcome(answer, `GET / HTTP/1.0\r\nHost: ${name}\r\n\r\n`), `page of ${name}`);
    }

    // access= and from=
    const refused = run('gateway', 'ssh -W myhost:22 nuttsh.example.org -p 1878');
    assert.is((await refused.ended).code, 255);
    assert.match(refused.stderr, /administratively prohibited/);
    const outside = run('elsewhere', 'ssh nuttsh.example.org -p 1878 listeners');
    assert.match((await outside.ended).stderr, /Permission denied \(publickey\)/);

    // The connection of autossh breaks, and it comes back with its name.
    const [ssh] = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8').split(' ');
    process.kill(Number(ssh), 'SIGKILL');
    await plugged(4);
    assert.is(await there(), 'there\n');
  }),
);

it(
  'the fork: nuttssh.ini, any key, and aliases that others need',
  bounded(180, async scope => {
    const echo = await echoServer(scope);
    const target = await sshd(scope, [{ owner: 'carol' }]);
    const [port, local, socks] = [await freePort(), await freePort(), await freePort()];
    const ports = (): Ports => [
      ['localhost:6379', `localhost:${echo}`],
      ['-L 6379:', `-L ${local}:`],
      ['localhost:22', `localhost:${target.port}`],
      ['2222', port],
      ['3128', socks],
    ];
    const ini = `[server]
listen_host = 0.0.0.0
listen_port = ${port}
server_fqdn = nuttssh.example.org
enable_auth = True
allow_new_clients = True
allow_pty = True
enable_shell = True
[keys]
host_key_dir = ./keys
host_key_ed25519 = %(host_key_dir)s/ssh-ed25519
authorized_keys_file = %(host_key_dir)s/authorized_keys
`;
    const { run, board } = await started(
      scope,
      'cordboard switchboard',
      directory => writeFileSync(join(directory, 'nuttssh.ini'), ini),
      ports,
      target,
      { NUTTSSH_CONFIG_FILE: 'nuttssh.ini' },
    );

    // Connecting listening clients. In the background: -n, and no end of input ends it.
    const user1 = run('user1', 'ssh user1@nuttssh.example.org -p 2222 -n -R 6379:localhost:6379');
    const [, hint, alias] = await soon('the hint', user1.says(/^ {2}(ssh .*-L 6379:(user1-[0-9a-z]+):6379.*)$/m), 60);
    // It prints a command for a client; the README's has the user in front of the host, as one may.
    run('user2', hint.replace('nuttssh.example.org', 'user2@nuttssh.example.org'));
    await listening(local, 60);
    // Changing port numbers
    run('user1', 'ssh user1@nuttssh.example.org -p 2222 -n -R 9736:localhost:6379');
    await eventually('the second line', () => /"line":"9736","msg":"line plugged in"|"line":"9736"/.test(board.stderr));
    const say = (line: string) => outcome(run('user2', line), 'hello');
    assert.is(await say(`ssh user2@nuttssh.example.org -p 2222 -W ${alias}:9736`), 'hello');
    // Forwarding stdin/stdout through a circuit
    assert.is(await say(`ssh user2@nuttssh.example.org -p 2222 -W ${alias}:6379`), 'hello');

    // Connecting initiating clients: `ssh -J nuttssh.example.org:2222 user1` cannot work there, since only aliases are
    // targets. Here it does for whoever has the key of the line; others need the alias, which is the fork's secret.
    const login = run('user1', 'ssh user1@nuttssh.example.org -p 2222 -n -R 22:localhost:22');
    await login.says(/ssh -J nuttssh\.example\.org:\d+ user1-/);
    assert.is(await outcome(run('user1', 'ssh -J nuttssh.example.org:2222 user1 echo there')), 'there\n');
    const stranger = run('user2', 'ssh -J nuttssh.example.org:2222 user1 echo there');
    assert.is((await stranger.ended).code, 255);

    // Routing a SOCKS proxy requests through a circuit
    run('user2', 'ssh -D 3128 nuttssh.example.org -p 2222 -N');
    await listening(socks, 60);
  }),
);

test.run();
