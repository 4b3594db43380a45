// What is compared: our switchboard on each runtime, sshd, relays of ours on other people's libraries, and a plain TCP relay as the floor.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { freePort } from '../test/kit/loopback.ts';
import { type Child, type Scope, soon } from '../test/kit/processes.ts';
import { keyFile, knownHost, sshd, type Target } from '../test/kit/ssh.ts';
import { which } from '../test/kit/tools.ts';

/** A server that is running. */
export interface Running {
  readonly child: Child;
  /** Where ssh connects; undefined for a relay that is no SSH server. */
  readonly target?: Target;
  /** The port of a relay that is no SSH server; it leads to `backend` (see `Contender.start`). */
  readonly port?: number;
  /** Its lines are called by their owner's user name and open no port; otherwise everyone is `user`, and `-R` opens one. */
  readonly named: boolean;
  readonly user?: string;
}

export interface Contender {
  /** As `--only` has it. */
  readonly name: string;
  /** As the tables have it. */
  readonly title: string;
  /** Ours: compared with the others, and measured more closely. */
  readonly ours: boolean;
  /** Shown for orientation: in the first round only, and not with everything. */
  readonly aside?: boolean;
  /** Each client has processes of its own: fewer clients will do. */
  readonly forks?: boolean;
  /** Why it cannot take part here. */
  readonly missing?: string;
  /** `backend` is the loopback port that lines lead to. */
  start(scope: Scope, backend: number, options?: StartOptions): Promise<Running>;
}

export interface StartOptions {
  /** Options for the runtime of our server. */
  readonly runtime?: readonly string[];
}

/** Seconds for a program to start or to connect, on a busy machine. */
export const PATIENCE = 60;
/** Rounds in which those take part that stand aside. */
export const ASIDE = 1;
/** The owner of the only user key. */
export const OWNER = 'bench';

const root = join(import.meta.dirname, '..');
const installed = join(root, 'test', 'runtime', 'node_modules');

/** Runtimes that `npm run runtimes` installs: name, folder there, program in there, how it is told to run a file. */
const RUNTIMES = [
  { name: 'node20', title: 'Node', binary: 'bin/node', run: [] },
  { name: 'node22', title: 'Node', binary: 'bin/node', run: [] },
  { name: 'node24', title: 'Node', binary: 'bin/node', run: [] },
  { name: 'node26', title: 'Node', binary: 'bin/node', run: [] },
  { name: 'bun', title: 'Bun', binary: 'bin/bun', run: [] },
  { name: 'deno', title: 'Deno', binary: 'deno', run: ['run', '-A', '--quiet'] },
] as const;
export const RUNTIME_NAMES: readonly string[] = RUNTIMES.map(({ name }) => name);

/** All there are; `runtimes` besides the Node that runs this. */
export function contenders(runtimes: readonly string[]): Contender[] {
  return [
    switchboard('cordboard', `cordboard, Node ${process.versions.node}`, process.execPath),
    ...RUNTIMES.filter(({ name }) => runtimes.includes(name)).map(({ name, title, binary, run }) => {
      const program = join(installed, name, binary);
      const missing = existsSync(program) ? undefined : 'not installed; npm run runtimes does that';
      const version = missing
        ? ''
        : ` ${JSON.parse(readFileSync(join(installed, name, 'package.json'), 'utf8')).version}`;
      return { ...switchboard(`cordboard-${name}`, `cordboard, ${title}${version}`, program, run), missing };
    }),
    openssh,
    library('ssh2-nodelay', 'ssh2 + add-on + setNoDelay', ssh2(true), ssh2Relay('no-delay')),
    library('ssh2', 'ssh2 + add-on', ssh2(true), ssh2Relay()),
    library('ssh2-plain', 'ssh2 without add-on', ssh2(false), ssh2Relay('no-add-on')),
    library('go', 'Go x/crypto/ssh', goMissing(), goRelay),
    library('asyncssh', 'AsyncSSH', asyncsshMissing(), async () => [PYTHON, '-W', 'ignore', peer('asyncssh-relay.py')]),
    dropbear,
    tcpRelay,
  ];
}

/** Starts one of the programs of this directory and waits for the port that it prints. */
export async function helper(
  scope: Scope,
  file: string,
  ...args: (string | number)[]
): Promise<{ child: Child; port: number }> {
  return listening(scope, process.execPath, ['--import', 'tsx', join(import.meta.dirname, file), ...args.map(String)]);
}

async function listening(
  scope: Scope,
  program: string,
  args: readonly string[],
): Promise<{ child: Child; port: number }> {
  const child = scope.start(program, args, { cwd: root });
  const [, port] = await soon(`${program} to start`, child.says(/^port (\d+)$/m), PATIENCE);
  return { child, port: Number(port) };
}

/** Our switchboard as it is published. */
function switchboard(name: string, title: string, program: string, run: readonly string[] = []): Contender {
  return {
    name,
    title,
    ours: true,
    async start(scope, _backend, { runtime = [] } = {}) {
      const data = join(scope.directory(), 'data');
      mkdirSync(data, { mode: 0o700 });
      copyFileSync(`${keyFile(OWNER)}.pub`, join(data, 'authorized_keys'));
      // All clients have one key here, and there are more of them than one key may have.
      const options = ['--port', '0', '--data', data, '--log-level', 'warn', '--max-clients', '0'];
      const child = scope.start(program, [...run, ...runtime, join(root, 'dist', 'cli.js'), 'switchboard', ...options]);
      const said = child.says(/^listening on (\S+):(\d+)\n[\s\S]*bob@\S+\n/m);
      const [, host, port] = await soon('the switchboard to start', said, PATIENCE);
      const hostKey = readFileSync(join(data, 'ssh_host_ed25519_key.pub'), 'utf8');
      return {
        child,
        named: true,
        target: { host, port: Number(port), known: [knownHost(host, Number(port), hostKey)] },
      };
    },
  };
}

/** The machine's sshd with a configuration of its own. */
const openssh: Contender = {
  name: 'sshd',
  title: 'sshd',
  ours: false,
  forks: true,
  missing: which('sshd') ? undefined : 'not installed',
  async start(scope) {
    // Written before sshd reads it.
    keyFile(OWNER);
    const server = await sshd(scope, [{ owner: OWNER }]);
    return { child: server.child, target: server, named: false, user: server.user };
  },
};

/** Dropbear reads keys from its users' homes only, so it is shown an account of its own: in a namespace, which takes root. */
const dropbear: Contender = {
  name: 'dropbear',
  title: 'dropbear',
  ours: false,
  aside: true,
  forks: true,
  missing:
    !which('dropbear') || !which('dropbearconvert')
      ? 'not installed'
      : !which('unshare') || process.getuid?.() !== 0
        ? 'wants root and unshare'
        : undefined,
  async start(scope) {
    const home = scope.directory();
    mkdirSync(join(home, '.ssh'), { mode: 0o700 });
    copyFileSync(`${keyFile(OWNER)}.pub`, join(home, '.ssh', 'authorized_keys'));
    writeFileSync(join(home, 'passwd'), `${OWNER}:x:0:0::${home}:/bin/sh\n`);
    const hostKey = join(home, 'host_key');
    // It does not read ssh-keygen's format.
    execFileSync(which('dropbearconvert')!, ['openssh', 'dropbear', keyFile('host'), hostKey], { stdio: 'ignore' });
    // It does not take 0.
    const port = await freePort();
    const window = 2 * 1024 * 1024;
    const command = `mount --bind ${home}/passwd /etc/passwd && exec ${which('dropbear')} -F -E -r ${hostKey} -p 127.0.0.1:${port} -P '' -W ${window}`;
    const child = scope.start('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', command]);
    await soon('dropbear to start', child.says(/Not backgrounding/, 'stderr'), PATIENCE);
    const known = [knownHost('127.0.0.1', port, readFileSync(`${keyFile('host')}.pub`, 'utf8'))];
    return { child, target: { host: '127.0.0.1', port, known }, named: false, user: OWNER };
  },
};

/** The floor: what two sockets cost in Node. */
const tcpRelay: Contender = {
  name: 'tcp',
  title: 'TCP relay on node:net',
  ours: false,
  start: async (scope, backend) => ({ ...(await helper(scope, 'tcp-relay.ts', backend)), named: false }),
};

// Relays of ours on other people's libraries: programs that get a host key and a public key, and print their port.

type Command = (scope: Scope) => Promise<readonly string[]>;

function library(name: string, title: string, missing: string | undefined, command: Command): Contender {
  return {
    name,
    title,
    ours: false,
    aside: name !== 'ssh2-nodelay',
    missing,
    async start(scope) {
      const [program, ...args] = await command(scope);
      const at = args.indexOf(KEYS);
      const keys = [keyFile('host'), `${keyFile(OWNER)}.pub`];
      if (at < 0) args.push(...keys);
      else args.splice(at, 1, ...keys);
      const { child, port } = await listening(scope, program, args);
      const known = [knownHost('127.0.0.1', port, readFileSync(`${keyFile('host')}.pub`, 'utf8'))];
      return { child, target: { host: '127.0.0.1', port, known }, named: true };
    },
  };
}

/** Where the keys come among the arguments, if not last. */
const KEYS = '<keys>';
const PYTHON = '/usr/bin/python3';
const GOPATH = '/usr/share/gocode';

const peer = (file: string): string => join(import.meta.dirname, 'peers', file);

const ssh2Relay =
  (...flags: string[]): Command =>
  async () => [process.execPath, '--import', 'tsx', peer('ssh2-relay.ts'), KEYS, ...flags];

function ssh2(addOn: boolean): string | undefined {
  try {
    const require = createRequire(import.meta.url);
    const main = require.resolve('ssh2');
    if (!addOn) return undefined;
    require(join(main, '..', 'protocol', 'crypto', 'build', 'Release', 'sshcrypto.node'));
    return undefined;
  } catch {
    return addOn ? 'its add-on has not been built' : 'not installed';
  }
}

function asyncsshMissing(): string | undefined {
  return existsSync('/usr/lib/python3/dist-packages/asyncssh') ? undefined : 'not installed (python3-asyncssh)';
}

function goMissing(): string | undefined {
  const there = which('go') && existsSync(join(GOPATH, 'src', 'golang.org', 'x', 'crypto', 'ssh'));
  return there ? undefined : 'not installed (golang-go, golang-golang-x-crypto-dev)';
}

async function goRelay(scope: Scope): Promise<readonly string[]> {
  const directory = scope.directory();
  const program = join(directory, 'go-relay');
  const env = { GOPATH, GO111MODULE: 'off', GOCACHE: join(directory, 'cache'), GOFLAGS: '' };
  const { code, stderr } = await scope.run('go', ['build', '-o', program, '.'], { cwd: peer('go-relay'), env });
  if (code !== 0) throw new Error(`go build: ${stderr}`);
  return [program];
}
