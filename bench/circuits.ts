// A circuit through any contender: one ssh plugs in a line, another calls it, and what the backend sends comes out of the second.
import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { type Child, type Scope, soon } from '../test/kit/processes.ts';
import { ssh, type Target } from '../test/kit/ssh.ts';
import { OWNER, PATIENCE, type Running } from './contenders.ts';

export interface Circuit {
  /** What the backend sends, and what it is sent. */
  readonly from: Readable;
  readonly to: Writable;
  /** The two clients, if there are any. */
  readonly clients: readonly Child[];
  /** What they have agreed on with the server; `none` without clients. */
  readonly cipher: string;
}

export interface CircuitOptions {
  /** Without one, the clients take what they like best. */
  readonly cipher?: string;
  /** Distinguishes circuits that stand at the same time. */
  readonly index?: number;
  /** Ports that stand in front of the server's, for the one who plugs in and the one who calls. */
  readonly ways?: { readonly provider?: number; readonly caller?: number };
}

/** Where lines are plugged in; no port of the machine. */
const LINE = 6000;

/** Puts a circuit through; all that it starts belongs to `scope`. `backend` is the one that the contender was started with. */
export async function circuit(
  scope: Scope,
  server: Running,
  backend: number,
  { cipher, index = 0, ways = {} }: CircuitOptions = {},
): Promise<Circuit> {
  if (server.target === undefined) return direct(scope, server.port!);
  const { named, user } = server;
  const owner = user ?? `alice${index}`;
  const forward = `${named ? LINE : '127.0.0.1:0'}:127.0.0.1:${backend}`;
  // -v, because at its normal level ssh does not say when the other end has agreed. It says nothing per packet.
  const args = ['-v', ...algorithms(cipher)];
  const near = behind(server.target, ways.provider);
  const provider = ssh(scope, near, owner, [...args, '-N', '-R', forward], { key: OWNER });
  await soon('the line to be plugged in', provider.says(/remote forward success for/, 'stderr'), PATIENCE);
  // One key calls its own lines by the plain name. Elsewhere ssh tells the port after it has told of the success.
  const allocated = named
    ? undefined
    : await soon('a port', provider.says(/Allocated port (\d+) for/, 'stderr'), PATIENCE);
  const line = allocated ? `127.0.0.1:${allocated[1]}` : `${owner}:${LINE}`;
  const far = behind(server.target, ways.caller);
  const caller = ssh(scope, far, user ?? 'bob', [...args, '-W', line], { key: OWNER, unread: true });
  const agreed = / cipher: (\S+) MAC: (\S+) compression/;
  const [, taken, mac] = await soon('a caller to sign in', caller.says(agreed, 'stderr'), PATIENCE);
  for (const { stderr, report } of [provider, caller]) {
    if (!stderr.includes(` cipher: ${cipher ?? taken} MAC: ${mac} `)) {
      throw new Error(`${cipher ?? taken} was not what both agreed on:\n${report}`);
    }
  }
  return {
    from: caller.process.stdout!,
    to: caller.process.stdin!,
    clients: [provider, caller],
    // An AEAD's MAC is "<implicit>".
    cipher: mac.startsWith('<') ? taken : `${taken} + ${mac}`,
  };
}

function direct(scope: Scope, port: number): Circuit {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => {});
  scope.defer(() => void socket.destroy());
  return { from: socket, to: socket, clients: [], cipher: 'none' };
}

/**
 * The same for all servers. Without -m, OpenSSH would take umac-64-etm with its own sshd, which we do not have, and a
 * comparison of ciphers would compare MACs.
 */
const algorithms = (cipher?: string) =>
  cipher === undefined ? [] : ['-c', cipher, '-m', 'hmac-sha2-256-etm@openssh.com'];

/** The same server behind another port. */
const behind = ({ host, port, known }: Target, other = port): Target => ({
  host,
  port: other,
  known: known.map(line => line.replace(`]:${port} `, `]:${other} `)),
});
