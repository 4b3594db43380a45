// What is compared: our switchboard, the machine's sshd and a plain TCP relay, each able to put one circuit through.
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Child, type Scope, soon } from '../test/kit/processes.ts';
import { keyFile, knownHost, ssh, sshd, type Target } from '../test/kit/ssh.ts';

/** One connection from the source to us, through a server. */
export interface Circuit {
  /** What the source sends. */
  readonly sink: Readable;
  /** The two clients, if there are any. */
  readonly clients: readonly Child[];
  /** What they have agreed on with the server; `none` without clients. */
  readonly cipher: string;
}

export interface Contender {
  readonly name: string;
  readonly child: Child;
  /** Puts a circuit through; all that it starts belongs to `scope`. Without a cipher, the clients take what they like best. */
  circuit(scope: Scope, cipher?: string): Promise<Circuit>;
}

/** Seconds for a program to start or to connect, on a busy machine. */
const PATIENCE = 60;
/** The name of both servers' only user key. */
const OWNER = 'bench';
/** Where our switchboard's line is plugged in; no port of the machine. */
const LINE = 6000;

const dist = join(import.meta.dirname, '..', 'dist');

/** Starts one of the programs of this directory and waits for the port that it prints. */
export async function helper(scope: Scope, file: string, argument: number): Promise<{ child: Child; port: number }> {
  const program = join(import.meta.dirname, file);
  const child = scope.start(process.execPath, ['--import', 'tsx', program, String(argument)]);
  const [, port] = await soon(`${file} to start`, child.says(/^port (\d+)$/m), PATIENCE);
  return { child, port: Number(port) };
}

/** Our switchboard as it is published. `nodeOptions` go to its node. */
export async function startSwitchboard(
  scope: Scope,
  source: number,
  nodeOptions: readonly string[] = [],
  runtime: string = process.execPath,
  from: string = dist,
): Promise<Contender> {
  const data = join(scope.directory(), 'data');
  const args = [join(from, 'cli.js'), 'switchboard', '--port', '0', '--data', data, '--log-level', 'warn'];
  const child = scope.start(runtime, [...nodeOptions, ...args]);
  const [, host, port] = await soon(
    'the switchboard to start',
    child.says(/^listening on (\S+):(\d+)\n[\s\S]*bob@\S+\n/m),
    PATIENCE,
  );
  const known = readdirSync(data)
    .filter(name => name.endsWith('.pub'))
    .map(name => knownHost(host, Number(port), readFileSync(join(data, name), 'utf8')));
  const target = { host, port: Number(port), known };
  return {
    name: 'cordboard',
    child,
    circuit: async (scope, cipher) => {
      const provider = await plugIn(scope, target, 'alice', cipher, `${LINE}:127.0.0.1:${source}`);
      // One key calls its own lines by the plain name.
      return call(scope, target, 'bob', cipher, `alice:${LINE}`, provider);
    },
  };
}

/** The machine's sshd with a configuration of its own. */
export async function startSshd(scope: Scope, source: number): Promise<Contender> {
  // Written before sshd reads it.
  keyFile(OWNER);
  const server = await sshd(scope, [{ owner: OWNER }]);
  return {
    name: 'sshd',
    child: server.child,
    circuit: async (scope, cipher) => {
      const provider = await plugIn(scope, server, server.user, cipher, `127.0.0.1:0:127.0.0.1:${source}`);
      // ssh tells the port after it has told of the success.
      const [, port] = await soon('a port from sshd', provider.says(/Allocated port (\d+) for/, 'stderr'), PATIENCE);
      return call(scope, server, server.user, cipher, `127.0.0.1:${port}`, provider);
    },
  };
}

/** The floor: what two sockets cost in Node. */
export async function startTcpRelay(scope: Scope, source: number): Promise<Contender> {
  const { child, port } = await helper(scope, 'tcp-relay.ts', source);
  return {
    name: 'TCP relay on node:net',
    child,
    circuit: async scope => {
      const sink = connect({ host: '127.0.0.1', port });
      sink.on('error', () => {});
      scope.defer(() => void sink.destroy());
      return { sink, clients: [], cipher: 'none' };
    },
  };
}

/**
 * The same for both servers. Without -m, OpenSSH would take umac-64-etm with its own sshd, which we do not have, and a
 * comparison of ciphers would compare MACs.
 */
const algorithms = (cipher?: string) =>
  cipher === undefined ? [] : ['-c', cipher, '-m', 'hmac-sha2-256-etm@openssh.com'];

async function plugIn(
  scope: Scope,
  target: Target,
  user: string,
  cipher: string | undefined,
  forward: string,
): Promise<Child> {
  // -v, because at its normal level ssh does not say when the other end has agreed. It says nothing per packet.
  const child = ssh(scope, target, user, ['-v', '-N', ...algorithms(cipher), '-R', forward], { key: OWNER });
  await soon('the line to be plugged in', child.says(/remote forward success for/, 'stderr'), PATIENCE);
  return child;
}

async function call(
  scope: Scope,
  target: Target,
  user: string,
  cipher: string | undefined,
  to: string,
  provider: Child,
): Promise<Circuit> {
  const child = ssh(scope, target, user, ['-v', ...algorithms(cipher), '-W', to], { key: OWNER, unread: true });
  const agreed = / cipher: (\S+) MAC: (\S+) compression/;
  const [, taken, mac] = await soon('a caller to sign in', child.says(agreed, 'stderr'), PATIENCE);
  for (const { stderr, report } of [provider, child]) {
    if (!stderr.includes(` cipher: ${cipher ?? taken} MAC: ${mac} `)) {
      throw new Error(`${cipher ?? taken} was not what both agreed on:\n${report}`);
    }
  }
  // An AEAD's MAC is "<implicit>".
  return {
    sink: child.process.stdout!,
    clients: [provider, child],
    cipher: mac.startsWith('<') ? taken : `${taken} + ${mac}`,
  };
}
