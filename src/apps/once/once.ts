// Puts a life together in the order of the specification: keys, log, host key, port, announcement; and sees it to its end.
import { hostname } from 'node:os';
import { accelerated } from '../../crypto/accelerated.ts';
import { UNHANDLED } from '../../server/detached.ts';
import { listen, listenEverywhere } from '../../server/index.ts';
import { behindProxies } from '../../server/proxied.ts';
import { reason } from '../../server/runtime/reason.ts';
import { account, missingVariables, ownVariables } from './account.ts';
import { type Announcement, announce, findCommand } from './announce.ts';
import { OnceError } from './failure.ts';
import { readKeys } from './keys.ts';
import { freshKey, Life } from './life.ts';
import { LogFile } from './log-file.ts';
import { isHostName } from './names.ts';
import { print, say } from './output.ts';
import { peerOf } from './peer.ts';
import { statusOf } from './program.ts';
import { stdioSocket } from './stdio.ts';
import { Transcript } from './transcript.ts';
import { keepPlugged, plugIn, type Via } from './via.ts';

export interface OnceOptions {
  readonly authorizedKeys: string;
  readonly port: number;
  /** The address to listen on; by default all. */
  readonly listen?: string;
  /** Balancers in front of it, as in `ServerOptions.proxies`. */
  readonly proxyProtocol?: string;
  readonly log?: string;
  /** Bytes after which the session ends. */
  readonly maxTranscript: number;
  readonly announce?: string;
  readonly timeout: number;
  readonly idle: number;
  readonly maxFailures: number;
  readonly maskHiddenInput: boolean;
  /** The one client is at standard input and output. */
  readonly stdio: boolean;
  readonly via?: Via;
}

/** Serves one session. @returns the exit code: the shell's own @throws OnceError */
export async function once(options: OnceOptions): Promise<number> {
  const provider = accelerated;
  const keys = readKeys(options.authorizedKeys);
  const env = ownVariables();
  if (options.announce !== undefined) findCommand(options.announce);
  const log = LogFile.open(options.log, options.maxTranscript);
  const { key, publicKey, fingerprint } = freshKey(provider);
  if (options.stdio) say(publicKey);
  else print(`${publicKey}\n`);

  const transcript = new Transcript({ log, key, publicKey, provider });
  const { timeout, idle, maxFailures, maskHiddenInput: hide } = options;
  const own = account();
  const shell = process.env.SHELL || own.shell || '/bin/sh';
  const life = new Life({
    ...{
      provider,
      hostKey: key,
      keys,
      transcript,
      shell,
      env,
      missing: missingVariables(env, own, shell),
      hide,
      timeout,
      idle,
      maxFailures,
      say,
    },
  });
  const unheed = heedSignals(life);
  const faulty = endOnRejections(life);
  try {
    const at = await open(life, options);
    const about: Announcement = { ...at, publicKey, fingerprint, knownHost: `${nameOf(at)} ${publicKey}` };
    say(`host key ${fingerprint}`);
    if (!options.stdio) say(`connect with: ${at.ssh}`);
    if (options.announce !== undefined)
      await told(options.announce, about, life, log.path !== undefined && !options.stdio);
    return await life.over;
  } finally {
    await finish(life, transcript);
    unheed();
    faulty();
  }
}

interface At {
  readonly host: string;
  readonly port: number;
  readonly ssh: string;
}

/** "[host]:port", as known_hosts wants it. */
const nameOf = ({ host, port }: At): string => (port === 22 ? host : `[${host}]:${port}`);

/** Opens the way in. */
async function open(life: Life, options: OnceOptions): Promise<At> {
  if (options.stdio) {
    const client = life.serve(stdioSocket(await peerOf(process.stdin)));
    const gone = new OnceError('Connection closed unexpectedly');
    const over = () => life.stop(gone);
    client?.closed.then(over, over);
    return { host: '', port: 0, ssh: '' };
  }
  if (options.via !== undefined) {
    const line = await plugIn(options.via, accelerated, socket => void life.serve(socket), say);
    keepPlugged(line, life, say).catch((error: Error) => life.stop(new OnceError(`Internal error: ${error.message}`)));
    return { ...line, ssh: ssh(`-J ${line.jump} `, line) };
  }
  const listener = await bind(options, life);
  life.door(() => listener.close());
  const { port } = listener;
  say(`listening on ${listener.host} port ${port}`);
  const host = options.listen ?? ownName();
  return { host, port, ssh: ssh('', { host, port }) };
}

/** The system lets anything be a host name. */
function ownName(): string {
  const name = hostname();
  if (isHostName(name)) return name;
  say(`the name of this host is none that can be connected to: ${JSON.stringify(name)}`);
  return 'localhost';
}

const ssh = (jump: string, { host, port }: { host: string; port: number }): string =>
  `ssh ${port === 22 ? '' : `-p ${port} `}${jump}${host}`;

async function bind({ listen: address, port, proxyProtocol }: OnceOptions, life: Life) {
  const called = behindProxies(proxyProtocol, life.log(), socket => void life.serve(socket));
  try {
    if (address !== undefined) return await listen(address, port, called);
    return await listenEverywhere(port, called);
  } catch (error) {
    throw new OnceError(`Could not bind to port ${port}${address ? ` of ${address}` : ''}: ${reason(error)}`);
  }
}

/** Runs the announce command; meanwhile somebody may come already, or the life be over. */
async function told(command: string, about: Announcement, life: Life, toStdout: boolean): Promise<void> {
  const announced = announce(command, about).then(output => {
    // Standard output may be the transcript.
    if (toStdout) print(output);
    else if (output !== '') say(output.replace(/\n$/, ''));
  });
  // Who is there already has been told by somebody.
  announced.catch((error: OnceError) => (life.taken ? say(error.message) : life.stop(error)));
  await Promise.race([announced, life.over]);
}

/** SIGINT, SIGTERM and SIGHUP end the session in an orderly way. */
function heedSignals(life: Life): () => void {
  const signals = ['HUP', 'INT', 'TERM'].map(signal => {
    const heard = () => life.stop(new OnceError(`Ended by SIG${signal}`, statusOf({ signal })));
    process.on(`SIG${signal}`, heard);
    return () => process.off(`SIG${signal}`, heard);
  });
  return () => {
    for (const unheed of signals) unheed();
  };
}

/** The last resort: a fault that nobody has caught ends the session, with its transcript complete, and not the process in the middle of it. */
function endOnRejections(life: Life): () => void {
  const failed = (error: unknown) => {
    say(`${UNHANDLED}: ${error instanceof Error ? error.stack : String(error)}`);
    life.stop(new OnceError(`Internal error: ${error instanceof Error ? error.message : String(error)}`));
  };
  process.on('unhandledRejection', failed);
  return () => process.off('unhandledRejection', failed);
}

/** The transcript is completed before the client is let go. */
async function finish(life: Life, transcript: Transcript): Promise<void> {
  try {
    transcript.end();
  } finally {
    await life.close();
  }
}
