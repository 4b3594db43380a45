// No listening port: the session is plugged into a switchboard as a line (`ssh -R`), and reached by its name there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type ClientConnection, dial, type HostKeyCheck, knownHosts } from '../../client/index.ts';
import { fingerprint, parsePublicKey } from '../../crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { equalBytes } from '../../protocol/wire/reader.ts';
import { type Socket, streamSocket } from '../../server/index.ts';
import { reason } from '../../server/runtime/reason.ts';
import { account } from './account.ts';
import { OnceError } from './failure.ts';
import { freshKey, type Life } from './life.ts';
import { BANNER } from './limits.ts';
import { isAddress, isHostName, isPort } from './names.ts';

/** Where the switchboard is, and how to get in there. */
export interface Via {
  /** "user@host:port"; the port is 22 if none is given. */
  readonly at: string;
  /** A file with the private key to sign in with; by default the agent's keys, and without an agent a fresh one. */
  readonly identity?: string;
  /** Its host key: a fingerprint, or "type base64"; by default it must be in known_hosts. */
  readonly hostKey?: string;
  /** By default ~/.ssh/known_hosts. */
  readonly knownHosts?: string;
}

/** A line that is plugged in. */
export interface Line {
  /** The name that reaches it, and the port there. */
  readonly host: string;
  readonly port: number;
  /** What stands behind -J: "board.example.org:2222". */
  readonly jump: string;
  /** Nobody can call any more; who is connected stays. */
  unplug(): Promise<unknown>;
  /** When the switchboard is lost. */
  readonly closed: Promise<Error>;
  /** Plugs it in once more, under the same name if that can be had. @throws OnceError as `plugIn`, the signal's reason included */
  again(signal: AbortSignal): Promise<Line>;
}

/** Characters of what the switchboard says when it does not let us, or leaves. */
const MAX_REASON = 500;
/** The port of a line that ssh calls without being told one. */
const LINE_PORT = 22;

/**
 * Plugs the line in; `called` gets each caller.
 * @param say a line for whoever runs the program
 * @throws OnceError if there is no way to the switchboard, it does not let us, or what it says of itself cannot be
 */
export async function plugIn(
  via: Via,
  provider: CryptoProvider,
  called: (socket: Socket) => void,
  say: (line: string) => void,
): Promise<Line> {
  const parts = /^(?:([^@]+)@)?(?:\[([^\]]+)\]|([^:@]+))(?::(\d{1,5}))?$/.exec(via.at);
  const port = Number(parts?.[4] ?? 22);
  const host = parts?.[2] ?? parts?.[3] ?? '';
  if (parts === null || !isPort(port) || !(parts[2] === undefined ? isHostName(host) : isAddress(host)))
    throw new OnceError(`--via ${via.at} is not of the form user@host:port`, 2);
  const user = parts[1] ?? account().name;
  if (user === '')
    throw new OnceError(`--via ${via.at} is without a user, and this uid has no name: write user@host`, 2);
  const keys = signIn(via, provider);
  const hostKey = hostKeyCheck(via);
  const jump = `${host.includes(':') ? `[${host}]` : host}${port === 22 ? '' : `:${port}`}`;

  const plug = async (linePort?: number, signal?: AbortSignal): Promise<Line> => {
    let said = '';
    const banner = (message: string) => {
      said = (said + message).slice(0, BANNER);
    };
    let board: ClientConnection | undefined;
    try {
      board = await dial({
        ...{ host, port, user, provider, banner, hostKey, signal },
        ...keys,
      });
      // A switchboard says by which name its lines are reached; any other server opens a port, for itself.
      const alias = /^Your lines are reached as (\S+):/m.exec(said)?.[1];
      const wanted = linePort ?? (alias === undefined ? 0 : LINE_PORT);
      if (alias !== undefined && !isHostName(alias))
        throw new Error(`it calls the line "${printable(alias)}", which is no host name`);
      const listener = await board.listen('localhost', wanted, ({ stream, address, port }) => {
        if (isAddress(address) && port <= 0xffff) return called(streamSocket(stream, address, port));
        say(`a caller is refused: the switchboard gives "${printable(address, 80)}" port ${port} as its address`);
        stream.channel.close();
      });
      if (!isPort(listener.port))
        throw new Error(`it gives the line the port ${listener.port}, which there is none of`);
      return {
        ...{ host: alias ?? 'localhost', port: listener.port, jump, closed: board.closed },
        unplug: () => listener.close(),
        again: signal => plug(listener.port, signal),
      };
    } catch (error) {
      board?.close().catch(() => {});
      const why = printable((error as Error).message, MAX_REASON);
      throw new OnceError(`Could not plug into the switchboard ${host}:${port}: ${why}`);
    }
  };
  return plug();
}

/** Seconds until a switchboard that was lost is tried again: twice as many each time, to a limit. */
const AGAIN = { first: 1, most: 30 };

/** Sees to it that the line can be reached until somebody has signed in, even if the switchboard is started anew meanwhile. */
export async function keepPlugged(first: Line, life: Life, say: (line: string) => void): Promise<void> {
  const over = new AbortController();
  const done = () => over.abort();
  life.over.then(done, done);
  let line: Line | undefined = first;
  life.door(() => line?.unplug());
  for (;;) {
    const lost = `The switchboard is lost: ${printable((await line.closed).message, MAX_REASON)}`;
    line = undefined;
    // Who has signed in came that way.
    if (life.taken) return life.stop(new OnceError(lost));
    say(`${lost}; trying again`);
    for (let wait = AGAIN.first; line === undefined; wait = Math.min(2 * wait, AGAIN.most)) {
      await setTimeout(wait * 1000, undefined, { signal: over.signal }).catch(() => {});
      if (over.signal.aborted) return;
      line = await first.again(over.signal).catch((error: OnceError) => void say(error.message));
    }
    const { host, port } = line;
    if (host !== first.host || port !== first.port)
      return life.stop(new OnceError(`It is reached as ${host} port ${port} now, which is not what was announced`));
    say('plugged in again');
  }
}

function signIn({ identity }: Via, provider: CryptoProvider): { keys: (PrivateKey | string)[] } | { agent: true } {
  if (identity !== undefined) return { keys: [textOf(identity)] };
  if (process.env.SSH_AUTH_SOCK) return { agent: true };
  return { keys: [freshKey(provider).key] };
}

function textOf(identity: string): string {
  try {
    return readFileSync(identity, 'utf8');
  } catch (error) {
    throw new OnceError(`--via-identity ${identity} cannot be read: ${reason(error)}`);
  }
}

function hostKeyCheck({ hostKey, knownHosts: file }: Via): HostKeyCheck {
  if (hostKey === undefined) return knownHosts({ files: [file ?? join(home(), '.ssh', 'known_hosts')] });
  if (hostKey.startsWith('SHA256:')) return blob => fingerprint(blob) === hostKey;
  const wanted = blobOf(hostKey);
  return blob => equalBytes(blob, wanted);
}

const home = (): string => process.env.HOME || account().home || '/';

function blobOf(hostKey: string): Uint8Array {
  try {
    return parsePublicKey(hostKey).blob;
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    throw new OnceError(`--via-host-key ${hostKey} is neither a key nor a fingerprint: ${error.message}`, 2);
  }
}
