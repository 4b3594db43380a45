// The real ssh and sshd, and our servers for them to talk to; every client checks our host keys against a known_hosts file.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { aliasSecret, hostKeys as stateHostKeys } from '../../src/apps/switchboard/state.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { formatPublicKey, parsePrivateKey, publicOf } from '../../src/crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import {
  type Authenticator,
  type OfferedKey,
  publicKeys,
  Server,
  type ServerOptions,
  sessions,
} from '../../src/server/index.ts';
import { freePort } from './loopback.ts';
import { type Child, type Scope, type SpawnOptions, soon } from './processes.ts';
import { underTest } from './runtimes.ts';
import { which } from './tools.ts';

/** Where ssh is to connect, and the lines of its known_hosts file. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly known: readonly string[];
}

/** The types of key that we know, as ssh-keygen calls them; with the size where there are several. */
export type KeyType = 'ed25519' | 'ecdsa' | 'ecdsa384' | 'ecdsa521' | 'rsa' | 'rsa2047' | 'rsa1024';

const KEYGEN: Readonly<Record<KeyType, readonly string[]>> = {
  ed25519: ['-t', 'ed25519'],
  ecdsa: ['-t', 'ecdsa', '-b', '256'],
  ecdsa384: ['-t', 'ecdsa', '-b', '384'],
  ecdsa521: ['-t', 'ecdsa', '-b', '521'],
  rsa: ['-t', 'rsa', '-b', '2048'],
  rsa2047: ['-t', 'rsa', '-b', '2047'],
  rsa1024: ['-t', 'rsa', '-b', '1024'],
};

let shelf: string | undefined;
const keys = new Map<string, string>();

/** The file of `owner`'s private key, made by ssh-keygen once per test file; `.pub` lies beside it. */
export function keyFile(owner: string, type: KeyType = 'ed25519'): string {
  if (shelf === undefined) {
    shelf = mkdtempSync(join(tmpdir(), 'cordboard-keys-'));
    process.on('exit', () => rmSync(shelf!, { recursive: true, force: true }));
  }
  const name = `${owner}-${type}`;
  let file = keys.get(name);
  if (file === undefined) {
    file = join(shelf, name);
    const args = ['-q', ...KEYGEN[type], '-N', '', '-C', owner, '-f', file];
    execFileSync(which('ssh-keygen') ?? 'ssh-keygen', args);
    keys.set(name, file);
  }
  return file;
}

/** The public half of `keyFile`, as a line: of an authorized_keys file, for instance. */
export const keyLine = (owner: string): string => readFileSync(`${keyFile(owner)}.pub`, 'utf8').trim();

/** The same key as our own code reads it. */
export function readKey(owner: string, type: KeyType = 'ed25519'): PrivateKey {
  return parsePrivateKey(readFileSync(keyFile(owner, type), 'utf8'));
}

/** A line of a known_hosts file. */
export function knownHost(host: string, port: number, publicKey: string): string {
  return `${port === 22 ? host : `[${host}]:${port}`} ${publicKey.trim()}`;
}

export interface SshOptions extends SpawnOptions {
  /** Whose key; default the user's own. */
  readonly key?: string;
  readonly keyType?: KeyType;
  /** Further known_hosts lines. */
  readonly known?: readonly string[];
  /** Lines of the configuration file; they win over the defaults. */
  readonly config?: readonly string[];
}

/** The line of a configuration file that leaves the choice of key exchange to ssh. */
export const THEIR_KEX = 'KexAlgorithms +curve25519-sha256';

/**
 * A configuration file for `user`'s ssh. A file and not options, because the second ssh that `-J` starts gets it too.
 * The system's and the user's own files are left out by `-F`.
 */
export function sshConfig(scope: Scope, target: Target, user: string, options: SshOptions = {}): string {
  const directory = scope.directory();
  const known = join(directory, 'known_hosts');
  writeFileSync(known, `${[...target.known, ...(options.known ?? [])].join('\n')}\n`);
  const file = join(directory, 'config');
  const lines = [
    ...(options.config ?? []),
    `IdentityFile ${keyFile(options.key ?? user, options.keyType)}`,
    'IdentitiesOnly yes',
    'IdentityAgent none',
    `UserKnownHostsFile ${known}`,
    'GlobalKnownHostsFile /dev/null',
    'StrictHostKeyChecking yes',
    'UpdateHostKeys no',
    'BatchMode yes',
    'ConnectTimeout 60',
    'ExitOnForwardFailure yes',
    // The quickest first, where a test does not say otherwise: post-quantum ones cost a tenth of a second a connection.
    'KexAlgorithms ^curve25519-sha256',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Starts `ssh ARGS user@host`, or, with a `--` in `args`, what follows it comes after the host: the command. */
export function ssh(
  scope: Scope,
  target: Target,
  user: string,
  args: readonly string[],
  options: SshOptions = {},
): Child {
  const config = sshConfig(scope, target, user, options);
  const at = args.indexOf('--');
  const [before, after] = at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
  return scope.start(
    'ssh',
    ['-F', config, '-p', String(target.port), ...before, `${user}@${target.host}`, ...after],
    options,
  );
}

/** A directory with a program `ssh` that reads `config`: in front of PATH, it lets a printed command run as it stands. */
export function sshOnPath(scope: Scope, config: string): string {
  const directory = scope.directory();
  writeFileSync(join(directory, 'ssh'), `#!/bin/sh\nexec ${which('ssh')} -F ${config} "$@"\n`, { mode: 0o755 });
  return `${directory}:${process.env.PATH}`;
}

// Our switchboard, as a process

export interface Switchboard extends Target {
  readonly child: Child;
  readonly data: string;
  /** What it printed on standard output when it had started. */
  readonly greeting: string;
}

/** Program and first arguments of `cordboard` under test. */
export const command: readonly [string, ...string[]] = [
  ...underTest,
  join(import.meta.dirname, '..', '..', 'src', 'cli.ts'),
];

/** Runs `cordboard ARGS`. */
export function cordboard(scope: Scope, args: readonly string[], options?: SpawnOptions): Child {
  const [program, ...first] = command;
  return scope.start(program, [...first, ...args], options);
}

let template: string | undefined;

/** A new data directory that has its host keys and secret already, because making an RSA key takes longer than all the rest. */
export function boardData(scope: Scope): string {
  if (template === undefined) {
    template = mkdtempSync(join(tmpdir(), 'cordboard-data-'));
    process.on('exit', () => rmSync(template!, { recursive: true, force: true }));
    stateHostKeys(template, accelerated);
    aliasSecret(template, accelerated);
  }
  const directory = join(scope.directory(), 'data');
  cpSync(template, directory, { recursive: true });
  return directory;
}

/** Starts the switchboard on a free port and waits until it listens. */
export async function switchboard(
  scope: Scope,
  options: { data?: string; args?: readonly string[]; port?: number; env?: SpawnOptions['env'] } = {},
): Promise<Switchboard> {
  const data = options.data ?? boardData(scope);
  const child = cordboard(
    scope,
    ['switchboard', '--port', String(options.port ?? 0), '--data', data, ...(options.args ?? [])],
    { env: options.env },
  );
  const said = await soon('the switchboard to start', child.says(/^listening on (.*):(\d+)\n[\s\S]*bob@\S+\n/m), 60);
  const host = said[1];
  const port = Number(said[2]);
  const known = readdirSync(data)
    .filter(name => name.endsWith('.pub'))
    .map(name => knownHost(host, port, readFileSync(join(data, name), 'utf8')));
  return { child, data, host, port, known, greeting: child.stdout };
}

/** A line plugged in by `user`'s ssh. */
export interface Provider {
  readonly child: Child;
  readonly alias: string;
}

/** `ssh -N -R FORWARD user@board`; ready once the server has logged all lines. */
export async function provide(
  scope: Scope,
  board: Switchboard,
  user: string,
  forwards: readonly string[],
  options?: SshOptions,
): Promise<Provider> {
  const args = forwards.flatMap(forward => ['-R', forward]);
  // -v, because at its normal level ssh does not say when the other end has agreed.
  const child = ssh(scope, board, user, ['-v', '-N', ...args], options);
  const [, alias] = await soon('the alias in the banner', child.says(/^Your lines are reached as (\S+):/m, 'stderr'));
  await soon(
    'the lines to be plugged in',
    child.says(new RegExp(`(?:remote forward success for[\\s\\S]*?){${forwards.length}}`), 'stderr'),
  );
  return { child, alias };
}

/** `ssh -N -L …`: a local port for each target `alias:port`, ready to be called. */
export async function consume(
  scope: Scope,
  board: Target,
  user: string,
  targets: readonly string[],
  options?: SshOptions,
): Promise<{ child: Child; ports: number[] }> {
  for (let attempt = 0; ; attempt++) {
    const ports: number[] = [];
    for (let i = 0; i < targets.length; i++) ports.push(await freePort());
    const args = targets.flatMap((target, i) => ['-L', `127.0.0.1:${ports[i]}:${target}`]);
    const child = ssh(scope, board, user, ['-v', '-N', ...args], options);
    try {
      // With -v it says so when it has signed in; the ports are open by then.
      await soon('ssh to be ready', child.says(/Entering interactive session/, 'stderr'));
      return { child, ports };
    } catch (error) {
      // Somebody else may have taken a port meanwhile.
      if (attempt < 3 && child.stderr.includes('Address already in use')) continue;
      throw error;
    }
  }
}

// Our server, in this process

export interface InProcess extends Target {
  readonly server: Server;
}

/** Host keys of all types, made by ssh-keygen. */
export function hostKeys(...types: KeyType[]): PrivateKey[] {
  return (types.length === 0 ? (['ed25519', 'ecdsa', 'rsa'] as const) : types).map(type => readKey('host', type));
}

/** Commands enough for tests: `echo TEXT`, `fail N` (says so on stderr), `cat`. */
export const commands = sessions({
  async exec(command, session) {
    const [, word, rest] = /^(\S+) ?(.*)$/s.exec(command) ?? [];
    if (word === 'echo') await session.write(`${rest}\n`);
    if (word === 'fail') await session.error('as you wish\n');
    if (word === 'cat') {
      for await (const bytes of session.stream) if (!(await session.stream.write(bytes.slice()))) break;
    }
    await session.exit(word === 'fail' ? Number(rest) : 0);
  },
});

/** Sign-in for everyone who has a key; `proven` hears of those who proved that they own theirs. */
export function anyKey(proven: (offer: OfferedKey) => void = () => {}): Authenticator {
  return publicKeys({
    acceptable: () => true,
    proven(offer) {
      proven(offer);
      return true;
    },
  });
}

/** Starts a Server on a free port; by default those who have signed in may run `commands`. */
export async function serve(
  scope: Scope,
  options: Partial<ServerOptions> & Pick<ServerOptions, 'provider' | 'authenticators'>,
): Promise<InProcess> {
  const server = new Server({ hostKeys: hostKeys(), channels: { session: commands }, ...options });
  const { host, port } = await server.listen(0);
  scope.defer(() => server.close());
  const known = (options.hostKeys ?? hostKeys()).map(key => knownHost(host, port, formatPublicKey(publicOf(key))));
  return { server, host, port, known };
}

/** A provider that offers only what is named; what is not named stays as it is. */
export function only(
  provider: CryptoProvider,
  names: { kex?: string; cipher?: string; mac?: string; signatures?: readonly string[] },
): CryptoProvider {
  return {
    ...provider,
    kex: provider.kex.filter(({ name }) => names.kex === undefined || name === names.kex),
    ciphers: provider.ciphers.filter(({ name }) => names.cipher === undefined || name === names.cipher),
    macs: provider.macs.filter(({ name }) => names.mac === undefined || name === names.mac),
    signatures: provider.signatures.filter(({ name }) => names.signatures?.includes(name) ?? true),
  };
}

// The real sshd

export interface Sshd extends Target {
  readonly child: Child;
  /** The one account that it lets in when it does not run as root. */
  readonly user: string;
  /** Keys that may sign in, a line each. */
  readonly authorizedKeys: string;
}

/** From OpenSSH 9.8 on it keeps out for a while who has failed to sign in, which the tests do a lot. */
let knowsPenalties = true;

/** Starts OpenSSH's server on loopback; `users` are owners of keys that may sign in as `user`. */
export async function sshd(
  scope: Scope,
  users: readonly { owner: string; type?: KeyType }[],
  config: readonly string[] = [],
  env: SpawnOptions['env'] = {},
): Promise<Sshd> {
  const directory = scope.directory();
  // Privilege separation wants it; the system's start script would have made it.
  if (process.getuid?.() === 0 && !existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  const types: KeyType[] = ['ed25519', 'ecdsa', 'rsa'];
  const hostKeyFiles = types.map(type => {
    const file = join(directory, `host_${type}`);
    copyFileSync(keyFile('sshd', type), file);
    copyFileSync(`${keyFile('sshd', type)}.pub`, `${file}.pub`);
    return file;
  });
  const authorizedKeys = join(directory, 'authorized_keys');
  writeFileSync(
    authorizedKeys,
    users.map(({ owner, type }) => readFileSync(`${keyFile(owner, type)}.pub`, 'utf8')).join(''),
  );
  for (let attempt = 0; ; attempt++) {
    const port = await freePort();
    const file = join(directory, 'sshd_config');
    const lines = [
      ...config,
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      ...hostKeyFiles.map(name => `HostKey ${name}`),
      `AuthorizedKeysFile ${authorizedKeys}`,
      'StrictModes no',
      'UsePAM no',
      'PidFile none',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'AllowTcpForwarding yes',
      'GatewayPorts clientspecified',
      'PrintMotd no',
      'MaxStartups 200',
      'LogLevel VERBOSE',
      ...(knowsPenalties ? ['PerSourcePenalties no'] : []),
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const child = scope.start('sshd', ['-D', '-e', '-f', file], { input: '', env });
    try {
      await soon('sshd to start', child.says(/Server listening on/, 'stderr'));
    } catch (error) {
      if (knowsPenalties && /PerSourcePenalties/.test(child.stderr)) {
        knowsPenalties = false;
        continue;
      }
      // Somebody else may have taken the port meanwhile.
      if (attempt < 3 && child.stderr.includes('Address already in use')) continue;
      throw error;
    }
    const known = types.map(type => knownHost('127.0.0.1', port, readFileSync(`${keyFile('sshd', type)}.pub`, 'utf8')));
    return { child, host: '127.0.0.1', port, known, user: userInfo().username, authorizedKeys };
  }
}
