// Clients that are not OpenSSH, each in a small program of its own language, in every role that it has; docs/interop.md is their table.
import { join } from 'node:path';
import { test } from 'uvu';
import { debianVersion, InteropTable, npmVersion } from '../kit/interop-table.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import type { KeyType } from '../kit/ssh.ts';
import { drive, ground, type Program } from './others/drive.ts';

const folder = join(import.meta.dirname, 'others');
const rows = new InteropTable('clients');
const theGround = shared(test, ground);

/** What the table says of clients that know no Ed25519, which is all that otssh has. */
const ONE_KEY = 'no host key algorithm in common';
/** A URL, because the programs run in directories of their own. */
const tsx = import.meta.resolve('tsx');
const everything = ['server', 'consume', 'provide', 'once'] as const;

/** Compiles a C program. */
async function compiled(scope: Scope, directory: string, name: string, library: string): Promise<string[]> {
  const program = join(directory, name);
  const { code, stderr } = await scope.run('gcc', ['-O1', '-o', program, join(folder, `${name}.c`), `-l${library}`]);
  if (code !== 0) throw new Error(stderr);
  return [program];
}

/** A program for Debian's Python. Isolated, so that it may have the name of the package that it imports. */
const python = (name: string, from: string, module = name): Program => ({
  who: name,
  version: () => debianVersion(from),
  wanted: { programs: ['/usr/bin/python3'], files: [`/usr/lib/python3/dist-packages/${module}`] },
  key: 'ed25519',
  modes: everything,
  ...(name === 'conch' ? { eof: 'ends' } : {}),
  command: () => ['/usr/bin/python3', '-I', join(folder, `${name}.py`)],
});

/** A client that is a command. */
const commandLine = (who: string, client: string, from: string, more: readonly string[]): Program => ({
  who,
  version: () => debianVersion(from),
  wanted: { programs: ['bash', client, ...more] },
  key: 'ed25519',
  modes: everything,
  command: () => ['bash', join(folder, 'command-line.sh'), client],
});

const phpseclib = (version: string, from: string, file: string, key: KeyType): Program => ({
  who: `phpseclib ${version}`,
  version: () => debianVersion(from),
  wanted: { programs: ['php'], files: [file] },
  key,
  pem: key === 'rsa',
  modes: ['server', 'once'],
  ...(key === 'rsa' ? { refused: { mode: 'once', error: /the host key none/, result: ONE_KEY } } : {}),
  command: () => ['php', join(folder, 'phpseclib.php'), version],
});

const PROGRAMS: readonly Program[] = [
  {
    who: 'libssh',
    version: () => debianVersion('libssh-dev'),
    wanted: { programs: ['gcc'], files: ['/usr/include/libssh/libssh.h'] },
    key: 'ed25519',
    modes: everything,
    command: (scope, directory) => compiled(scope, directory, 'libssh', 'ssh'),
  },
  {
    who: 'Go x/crypto/ssh',
    version: () => debianVersion('golang-golang-x-crypto-dev'),
    wanted: { programs: ['go'], files: ['/usr/share/gocode/src/golang.org/x/crypto/ssh'] },
    key: 'ed25519',
    modes: everything,
    async command(scope, directory) {
      const program = join(directory, 'x-crypto');
      // The library lies where Debian puts it, not in modules.
      const env = {
        GO111MODULE: 'off',
        GOPATH: '/usr/share/gocode',
        GOCACHE: join(directory, 'cache'),
        CGO_ENABLED: '0',
      };
      const { code, stderr } = await scope.run('go', ['build', '-o', program, join(folder, 'x-crypto.go')], { env });
      if (code !== 0) throw new Error(stderr);
      return [program];
    },
  },
  python('paramiko', 'python3-paramiko'),
  python('asyncssh', 'python3-asyncssh'),
  python('conch', 'python3-twisted', 'twisted'),
  {
    who: 'Ruby net-ssh',
    version: () => debianVersion('ruby-net-ssh'),
    wanted: { programs: ['ruby'], files: ['/usr/share/doc/ruby-net-ssh'] },
    // For Ed25519 it wants a library that Debian does not have.
    key: 'ecdsa',
    pem: true,
    modes: everything,
    eof: 'ends',
    command: () => ['ruby', join(folder, 'net-ssh.rb')],
  },
  {
    who: 'Erlang/OTP ssh',
    version: () => debianVersion('erlang-ssh'),
    wanted: { programs: ['escript'], files: ['/usr/share/doc/erlang-ssh'] },
    key: 'ed25519',
    modes: everything,
    eof: 'ends',
    command: () => ['escript', join(folder, 'erlang.escript')],
  },
  {
    who: 'libssh2',
    version: () => debianVersion('libssh2-1-dev'),
    wanted: { programs: ['gcc'], files: ['/usr/include/libssh2.h'] },
    key: 'ed25519',
    modes: everything,
    command: (scope, directory) => compiled(scope, directory, 'libssh2', 'ssh2'),
  },
  {
    who: 'JSch',
    refused: { mode: 'once', error: /Algorithm negotiation fail/, result: ONE_KEY },
    version: () => debianVersion('libjsch-java'),
    wanted: { programs: ['java', 'javac'], files: ['/usr/share/java/jsch.jar'] },
    key: 'ecdsa',
    pem: true,
    modes: everything,
    eof: 'ends',
    async command(scope, directory) {
      const jar = '/usr/share/java/jsch.jar';
      const { code, stderr } = await scope.run('javac', ['-cp', jar, '-d', directory, join(folder, 'Jsch.java')]);
      if (code !== 0) throw new Error(stderr);
      return ['java', '-cp', `${jar}:${directory}`, 'Jsch'];
    },
  },
  phpseclib('2', 'php-phpseclib', '/usr/share/php/phpseclib/autoload.php', 'rsa'),
  phpseclib('3', 'php-phpseclib3', '/usr/share/php/phpseclib3/autoload.php', 'ed25519'),
  {
    who: 'ssh2 (npm)',
    version: () => npmVersion('ssh2'),
    wanted: {},
    key: 'ed25519',
    modes: everything,
    command: () => [process.execPath, join(folder, 'ssh2.js')],
  },
  {
    who: '@microsoft/dev-tunnels-ssh',
    version: () => npmVersion('@microsoft/dev-tunnels-ssh'),
    wanted: {},
    key: 'rsa',
    pem: true,
    eof: 'ignored',
    ownRekey: true,
    refused: { mode: 'once', error: /Failed PublicKey negotiation/, result: ONE_KEY },
    modes: everything,
    command: () => [process.execPath, '--import', tsx, join(folder, 'dev-tunnels.ts')],
  },
  commandLine('OpenSSH ssh', 'ssh', 'openssh-client', ['sshpass']),
  {
    ...commandLine('autossh -M', 'autossh', 'autossh', ['ssh']),
    modes: ['provide'],
  },
  commandLine('dropbear dbclient', 'dbclient', 'dropbear-bin', ['dropbearconvert']),
  commandLine('PuTTY plink', 'plink', 'putty-tools', ['puttygen', 'ssh-keygen']),
  {
    who: 'lsh',
    version: () => debianVersion('lsh-client'),
    wanted: { programs: ['lsh'] },
    key: 'rsa',
    modes: ['server'],
    // It has group1 and group14 with SHA-1, and ssh-rsa.
    refused: {
      mode: 'server',
      error: /No common key exchange method/,
      result: 'refused: no key exchange in common',
    },
    command: () => ['bash', join(folder, 'lsh.sh')],
  },
];

/** At once so many: they idle most of the time. */
const LANES = 3;
/** ONLY=libssh tries the programs whose names have that word. */
const only = process.env.ONLY;
const chosen = PROGRAMS.filter(({ who }) => only === undefined || who.includes(only));
const queue = chosen
  .filter(({ wanted }) => rows.has(wanted))
  .map(program => {
    const run = bounded(170, async scope => drive(scope, program, await theGround(scope), rows));
    let settle: (outcome: Promise<void>) => void = () => {};
    const outcome = new Promise<void>(resolve => (settle = resolve));
    // The test that waits for it may come late.
    outcome.catch(() => {});
    return { program, run, settle, outcome };
  });
const outcomes = new Map(queue.map(({ program, outcome }) => [program, outcome]));
for (let lane = 0; lane < LANES; lane++) {
  void (async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const done = next.run();
      next.settle(done);
      await done.catch(() => {});
    }
  })();
}
for (const program of chosen) rows.test(test, program.wanted, program.who, async () => outcomes.get(program));
if (only === undefined) rows.compare(test);

test.run();
