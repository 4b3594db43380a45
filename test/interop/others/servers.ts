// The real servers that our client is tried with: how each is started, and what it has.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { debianVersion, type Wanted } from '../../kit/interop-table.ts';
import { freePort, listening } from '../../kit/loopback.ts';
import { type Child, type Scope, type SpawnOptions, soon } from '../../kit/processes.ts';
import { type KeyType, keyFile, sshd } from '../../kit/ssh.ts';

/** Where a server listens, and as whom to sign in. */
export interface Reached {
  readonly port: number;
  readonly user: string;
  readonly child: Child;
}

/** What a server can be tried with; each is tried unless it stands in `RealServer.lacks`. */
export type Step =
  | 'rekey'
  | 'channels'
  | 'password'
  | 'keyboard-interactive'
  | 'terminal'
  | 'forward'
  | 'half-close'
  | 'remote listener';

/** A server, and what it takes. */
export interface RealServer {
  readonly who: string;
  readonly version: string;
  readonly wanted: Wanted;
  /** Types of key that may sign in; the trial's main connection uses the first. */
  readonly keys: readonly KeyType[];
  /** What it does not have, and what the page says to that. */
  readonly lacks?: Partial<Record<Step, string>>;
  start(scope: Scope): Promise<Reached>;
}

/** The password of the account at every server. */
export const PASSWORD = 'correct horse battery';

const here = import.meta.dirname;
const ALL_KEYS: readonly KeyType[] = ['ed25519', 'ecdsa', 'rsa'];
const PYTHON = '/usr/bin/python3';
// -P: what lies beside a program here has the names of libraries.
const packages = '/usr/lib/python3/dist-packages';

/** A file with the public keys of alice that may sign in, alone in a directory. */
function authorizedKeys(scope: Scope, types: readonly KeyType[] = ALL_KEYS): string {
  const file = join(scope.directory(), 'authorized_keys');
  writeFileSync(file, types.map(type => readFileSync(`${keyFile('alice', type)}.pub`, 'utf8')).join(''));
  return file;
}

/** The host key in a directory of its own under the name that sshd and OTP look for. */
async function hostKey(scope: Scope, type: KeyType): Promise<string> {
  const file = join(scope.directory(), `ssh_host_${type}_key`);
  copyFileSync(keyFile('host', type), file);
  // dev-tunnels-ssh does not read OpenSSH's own format.
  if (type !== 'ed25519') await compile(scope, 'ssh-keygen', ['-q', '-p', '-m', 'PKCS8', '-N', '', '-f', file]);
  return file;
}

/** Starts one of the programs in this directory, which say "listening PORT". */
async function program(
  scope: Scope,
  command: readonly string[],
  { hostKeyType = 'ed25519', keys = ALL_KEYS }: { hostKeyType?: KeyType; keys?: readonly KeyType[] } = {},
): Promise<Reached> {
  const given = [await hostKey(scope, hostKeyType), 'alice', PASSWORD, authorizedKeys(scope, keys)];
  return listens('alice', scope.start(command[0], [...command.slice(1), ...given], { input: '' }));
}

async function listens(user: string, child: Child): Promise<Reached> {
  const [, port] = await soon(`${child.title} to listen`, child.says(/^listening (\d+)$/m));
  return { port: Number(port), user, child };
}

/** Runs a compiler. @throws an error with what it says */
async function compile(scope: Scope, tool: string, args: readonly string[], env?: SpawnOptions['env']): Promise<void> {
  const { code, stderr } = await soon(tool, scope.run(tool, args, { env }), 120);
  if (code !== 0) throw new Error(`${tool} ${args.join(' ')}:\n${stderr}`);
}

/** The environment in which a server for the system's accounts finds alice's keys and password: see account.c. */
export async function account(scope: Scope, types: readonly KeyType[] = ALL_KEYS): Promise<Record<string, string>> {
  const library = join(scope.directory(), 'account.so');
  await compile(scope, 'gcc', ['-shared', '-fPIC', '-o', library, join(here, 'account.c'), '-lcrypt', '-ldl']);
  // tinysshd wants it where nobody else may write: not below /tmp.
  const home = mkdtempSync(join(process.getuid?.() === 0 ? '/run' : homedir(), 'cordboard-'));
  scope.defer(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, '.ssh'), { mode: 0o700 });
  copyFileSync(authorizedKeys(scope, types), join(home, '.ssh', 'authorized_keys'));
  return { LD_PRELOAD: library, ACCOUNT_HOME: home, ACCOUNT_PASSWORD: PASSWORD };
}

/** Starts dropbear. */
export async function dropbear(scope: Scope, args: readonly string[] = []): Promise<Reached> {
  const env = await account(scope);
  const keys = await Promise.all(
    ALL_KEYS.map(async type => {
      const file = join(scope.directory(), 'key');
      await scope.run('dropbearconvert', ['openssh', 'dropbear', keyFile('host', type), file]);
      return ['-r', file];
    }),
  );
  const port = await freePort();
  const child = scope.start('dropbear', ['-F', '-E', '-p', `127.0.0.1:${port}`, ...keys.flat(), ...args], {
    input: '',
    env,
  });
  await listening(port);
  return { port, user: userInfo().username, child };
}

/** Starts GNU lsh's server, with a key of its own. */
export async function lshd(scope: Scope): Promise<Reached> {
  const directory = scope.directory();
  const seed = join(directory, 'seed');
  const env = { LSH_YARROW_SEED_FILE: seed };
  // It asks for keystrokes, gets none, and writes what it has.
  await scope.run('lsh-make-seed', ['--sloppy', '-o', seed], { env });
  const key = await scope.run('lsh-keygen', ['-q', '-l', '2048'], { env });
  const file = join(directory, 'key');
  await scope.run('lsh-writekey', ['--server', '-c', 'none', '-o', file], { env, input: key.stdout });
  const port = await freePort();
  // The port before the interface: it is that interface's.
  const child = scope.start('lshd', ['-p', String(port), '--interface=127.0.0.1', '-h', file], { input: '', env });
  await listening(port);
  return { port, user: userInfo().username, child };
}

const npmVersion = (name: string): string => {
  const file = createRequire(import.meta.url).resolve(name);
  const [directory] = file.split(join('node_modules', name));
  return JSON.parse(readFileSync(join(directory, 'node_modules', name, 'package.json'), 'utf8')).version;
};

const python = (who: string, name: string): Pick<RealServer, 'who' | 'version' | 'wanted'> => ({
  who,
  version: debianVersion(`python3-${name}`),
  wanted: { programs: [PYTHON, 'ssh-keygen'], files: [join(packages, name === 'twisted' ? 'twisted/conch' : name)] },
});

/** All that let us in. */
export const servers: readonly RealServer[] = [
  {
    who: 'OpenSSH sshd',
    version: debianVersion('openssh-server'),
    wanted: { programs: ['sshd', 'ssh-keygen', 'gcc'] },
    keys: ALL_KEYS,
    lacks: { 'keyboard-interactive': 'no questions without PAM' },
    async start(scope) {
      const users = ALL_KEYS.map(type => ({ owner: 'alice', type }));
      const { port, user, child } = await sshd(scope, users, ['PasswordAuthentication yes'], await account(scope));
      return { port, user, child };
    },
  },
  {
    who: 'dropbear',
    version: debianVersion('dropbear-bin'),
    wanted: { programs: ['dropbear', 'dropbearconvert', 'ssh-keygen', 'gcc'] },
    keys: ALL_KEYS,
    lacks: { 'keyboard-interactive': 'no questions without PAM' },
    start: dropbear,
  },
  {
    who: 'tinysshd',
    version: debianVersion('tinysshd'),
    wanted: { programs: ['tinysshd', 'tinysshd-makekey', PYTHON, 'ssh-keygen', 'gcc'] },
    keys: ['ed25519'],
    lacks: {
      channels: 'one channel a connection',
      password: 'no passwords',
      'keyboard-interactive': 'no questions',
      forward: 'no forwarding',
      'half-close': 'no forwarding',
      'remote listener': 'answers no global request',
    },
    async start(scope) {
      const directory = join(scope.directory(), 'keys');
      await compile(scope, 'tinysshd-makekey', [directory]);
      const env = await account(scope, ['ed25519']);
      const child = scope.start(PYTHON, ['-P', join(here, 'inetd.py'), '/usr/sbin/tinysshd', '-v', directory], {
        input: '',
        env,
      });
      return listens(userInfo().username, child);
    },
  },
  {
    who: 'libssh',
    version: debianVersion('libssh-4'),
    wanted: { programs: ['gcc', 'ssh-keygen'], files: ['/usr/include/libssh/libssh.h'] },
    keys: ALL_KEYS,
    async start(scope) {
      const binary = join(scope.directory(), 'libssh-server');
      await compile(scope, 'gcc', ['-O1', '-w', '-o', binary, join(here, 'libssh-server.c'), '-lssh']);
      return program(scope, [binary]);
    },
  },
  {
    who: 'Go x/crypto',
    version: debianVersion('golang-golang-x-crypto-dev'),
    wanted: { programs: ['go', 'ssh-keygen'], files: ['/usr/share/gocode/src/golang.org/x/crypto/ssh'] },
    keys: ALL_KEYS,
    async start(scope) {
      const binary = join(scope.directory(), 'x-crypto-server');
      const env = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: scope.directory(), GOFLAGS: undefined };
      await compile(scope, 'go', ['build', '-o', binary, join(here, 'x-crypto-server.go')], env);
      return program(scope, [binary]);
    },
  },
  {
    who: 'Erlang/OTP ssh',
    version: debianVersion('erlang-ssh'),
    wanted: { programs: ['escript', 'ssh-keygen'], files: ['/usr/lib/erlang/lib'] },
    keys: ALL_KEYS,
    lacks: {
      'half-close': 'closes a forwarded channel at its EOF',
      // Its process for a channel is gone before our CLOSE has come.
      channels: 'lost now and then after much data: it dies of a WINDOW_ADJUST that crosses its CLOSE',
    },
    start: scope => program(scope, ['escript', join(here, 'erlang-server.escript')]),
  },
  {
    ...python('paramiko', 'paramiko'),
    keys: ALL_KEYS,
    start: scope => program(scope, [PYTHON, '-P', join(here, 'paramiko-server.py')]),
  },
  {
    ...python('AsyncSSH', 'asyncssh'),
    keys: ALL_KEYS,
    start: scope => program(scope, [PYTHON, '-P', join(here, 'asyncssh-server.py')]),
  },
  {
    ...python('Twisted Conch', 'twisted'),
    // Of the types that it takes it announces only that of its own key (server-sig-algs); for RSA keys we heed that.
    keys: ['ed25519', 'ecdsa'],
    lacks: {
      'keyboard-interactive': 'no questions',
      'half-close': 'passes on no EOF',
    },
    start: scope => program(scope, [PYTHON, '-P', join(here, 'conch-server.py')]),
  },
  {
    who: 'ssh2 (npm)',
    version: npmVersion('ssh2'),
    wanted: { programs: ['ssh-keygen'] },
    keys: ALL_KEYS,
    start: scope => program(scope, [process.execPath, join(here, 'ssh2-server.cjs')]),
  },
  ...(['rsa', 'ecdsa'] as const).map(
    (type): RealServer => ({
      who: `dev-tunnels-ssh (npm), host key ${type.toUpperCase()}`,
      version: npmVersion('@microsoft/dev-tunnels-ssh'),
      wanted: { programs: ['ssh-keygen'] },
      keys: ['ecdsa', 'rsa'],
      lacks: { rekey: 'takes no new keys from a client', 'half-close': 'passes on no EOF' },
      start: scope =>
        program(scope, [process.execPath, join(here, 'dev-tunnels-server.cjs')], {
          hostKeyType: type,
          keys: ['ecdsa', 'rsa'],
        }),
    }),
  ),
];
