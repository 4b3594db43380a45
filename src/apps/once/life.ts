// The life of the program: keys, a host key, a door that opens once, the session behind it, and the end.
import { fingerprint, formatPublicKey, type KeyRules, publicOf } from '../../crypto/keys/index.ts';
import { byName, type CryptoProvider, type PrivateKey } from '../../crypto/provider.ts';
import type { ChannelOpen } from '../../protocol/channels/mux.ts';
import { Disconnect, OpenFailure, printable } from '../../protocol/errors.ts';
import { unpack } from '../../protocol/wire/codec.ts';
import { Reader } from '../../protocol/wire/reader.ts';
import {
  type Admission,
  type Authenticator,
  authorizedKeys,
  type Client,
  type Logger,
  Server,
  type Session,
  type Socket,
  sessions,
} from '../../server/index.ts';
import { asGiven, shown } from './entry.ts';
import { OnceError } from './failure.ts';
import { ENFORCED, type readKeys } from './keys.ts';
import * as limits from './limits.ts';
import { statusOf, type Variables } from './program.ts';
import { type Asked, type Programs, serveSession } from './session.ts';
import type { Transcript } from './transcript.ts';

export interface LifeOptions {
  readonly provider: CryptoProvider;
  readonly hostKey: PrivateKey;
  readonly keys: ReturnType<typeof readKeys>;
  readonly transcript: Transcript;
  readonly shell: string;
  readonly env: Variables;
  /** Those that `env` lacks, and a session has always: HOME, USER. */
  readonly missing?: Readonly<Record<string, string>>;
  readonly hide: boolean;
  /** Seconds; 0 is for ever. */
  readonly timeout: number;
  readonly idle: number;
  readonly maxFailures: number;
  /** Seconds from the sign-in until there is a session; by default SESSION_START. */
  readonly sessionStart?: number;
  /** As for a session. */
  readonly programs?: Programs;
  /** A line for whoever runs the program. */
  say(line: string): void;
}

/** The channels and requests by which a client could have bytes pass that are in no transcript: refused, and noted. */
const CHANNELS = ['direct-tcpip', 'direct-streamlocal@openssh.com', 'tun@openssh.com', 'x11', 'auth-agent@openssh.com'];
const REQUESTS = ['tcpip-forward', 'streamlocal-forward@openssh.com'];

/** Channels of one connection: one session, and those that are refused while they are asked for. */
const MAX_CHANNELS = 16;

/**
 * Stock ssh says to nobody but "OpenSSH*" that its output is read no more. No version follows, as in Windows' "OpenSSH_for_Windows_9.5":
 * programs that look for faults of certain versions find none. DESIGN.md weighs it.
 */
const IDENT = 'SSH-2.0-OpenSSH_compatible_cordboard_0.1';

/** Serves whoever signs in first, once. */
export class Life {
  /** The exit code, when all is over. @throws OnceError */
  readonly over: Promise<number>;
  readonly #options: LifeOptions;
  readonly #server: Server;
  readonly #stop = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Closes the ways in. */
  readonly #doors: (() => unknown)[] = [];
  #resolve!: (status: number) => void;
  #reject!: (error: OnceError) => void;
  #owner: Client | undefined;
  #rules!: KeyRules;
  #failures = 0;
  #refusals = 0;
  #asked = false;
  #running = false;

  constructor(options: LifeOptions) {
    this.#options = options;
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // It may fail before anybody asks.
    this.over.catch(() => {});
    const { provider, hostKey } = options;
    this.#server = new Server({
      provider,
      hostKeys: [hostKey],
      ident: IDENT,
      authenticators: [this.#counted(this.#authenticator())],
      channels: {
        ...Object.fromEntries(CHANNELS.map(type => [type, (open: ChannelOpen) => this.#refuse(open)])),
        session: (open, client) => this.#open(open, client),
      },
      requests: Object.fromEntries(REQUESTS.map(type => [type, () => this.#refused(`the request ${type}`)])),
      maxTries: limits.TRIES,
      startups: limits.WAITING,
      maxChannels: MAX_CHANNELS,
      times: { loginGrace: limits.LOGIN_GRACE },
      log: this.log(),
      signedIn: client => this.#close(client),
    });
    if (options.timeout > 0) {
      const late = new OnceError(`Timeout: nobody has signed in within ${options.timeout} seconds`, 0);
      this.#after(options.timeout, () => this.#owner === undefined && this.stop(late));
    }
  }

  /** One more way in, that is closed as soon as somebody has signed in. */
  door(close: () => unknown): void {
    this.#doors.push(close);
  }

  /** Somebody has signed in. */
  get taken(): boolean {
    return this.#owner !== undefined;
  }

  /** Serves a client; undefined if it is turned away. */
  serve(socket: Socket): Client | undefined {
    return this.#server.serve(socket);
  }

  /** Ends it all, for a reason. */
  stop(error: OnceError): void {
    this.#stop.abort(error);
    // A session ends by itself then, and has more to say.
    if (!this.#running) this.#reject(error);
  }

  /** Says goodbye to everybody. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#shut();
    // Who has had a session leaves by himself, once he has read everything.
    if (this.#owner)
      await Promise.race([this.#owner.closed, new Promise(resolve => setTimeout(resolve, limits.FAREWELL * 1000))]);
    await this.#server.close('the session is over');
  }

  #after(seconds: number, body: () => void): void {
    // The longest that a timer takes.
    this.#timers.push(setTimeout(body, Math.min(seconds * 1000, 2 ** 31 - 1)));
  }

  // Sign-in

  #authenticator(): Authenticator {
    const heard = (fields: object, message: string) => this.#heard(fields, message);
    return authorizedKeys({
      provider: this.#options.provider,
      enforced: ENFORCED,
      keys: () => this.#options.keys,
      admitted: (admission, client) => this.#admit(admission, client),
      log: { debug: heard, info: heard, warn: heard, error: heard },
    });
  }

  /** What becomes of a key that somebody wants to sign in with. */
  #heard(fields: object, message: string): void {
    const { user, address, port, key } = fields as Record<string, string>;
    this.#note(`${message}; ${printable(user, 80)} from ${address} port ${port}, ${key}`);
  }

  /** Counts the keys that do not get in. */
  #counted(authenticator: Authenticator): Authenticator {
    return {
      ...authenticator,
      answer: async (question, client) => {
        const answer = await authenticator.answer(question, client);
        if (answer.result === 'reject' && ++this.#failures >= this.#options.maxFailures && this.#owner === undefined)
          this.stop(new OnceError(`Too many failed sign-ins: ${this.#failures}`));
        return answer;
      },
    };
  }

  #admit({ rules }: Admission, client: Client): boolean {
    if (this.#owner !== undefined || this.#stop.signal.aborted) return false;
    this.#owner = client;
    this.#rules = rules;
    if (rules.expiry !== undefined) {
      const expired = new OnceError('The key that signed in has expired');
      this.#after((rules.expiry - Date.now()) / 1000, () => Date.now() >= rules.expiry! && this.stop(expired));
    }
    return true;
  }

  /** Somebody has signed in: nobody else can. */
  #close(owner: Client): void {
    this.#shut();
    for (const { connection } of this.#server.clients.filter(client => client !== owner))
      connection.disconnect(Disconnect.BY_APPLICATION, 'somebody else has signed in');
    const { sessionStart = limits.SESSION_START } = this.#options;
    this.#after(sessionStart, () => {
      if (!this.#running) this.stop(new OnceError(`No session was asked for within ${sessionStart} seconds`));
    });
    const gone = () => void (this.#running || this.#reject(new OnceError('Connection closed unexpectedly')));
    owner.closed.then(gone, gone);
  }

  /** A door that cannot be closed leads nowhere any more: its listener, or its switchboard, is gone. */
  #shut(): void {
    for (const close of this.#doors.splice(0)) Promise.resolve(close()).catch(() => {});
  }

  // The session

  #open(open: ChannelOpen, client: Client): void | Promise<void> {
    if (client !== this.#owner || this.#asked) return this.#refuse(open);
    this.#asked = true;
    return sessions({
      pty: this.#rules.pty,
      shell: session => this.#run(session, undefined),
      exec: (_command, session) => this.#run(session, asGiven(session.commandBytes!)),
      refused: ({ type, data }) => {
        const name = type === 'subsystem' ? ` ${printable(subsystemIn(data), 80)}` : '';
        this.#refused(`the request ${printable(type, 80)}${name}`);
      },
    })(open, client);
  }

  async #run(session: Session, asked: Asked): Promise<void> {
    const { transcript, shell, env, missing, hide, idle, programs } = this.#options;
    this.#running = true;
    if (idle > 0) this.#watch(transcript, idle);
    try {
      const exit = await serveSession(session, asked, {
        ...{ transcript, shell, env, hide, programs, forced: this.#rules.command, stop: this.#stop.signal },
        added: { ...missing, ...Object.fromEntries(this.#rules.environment), ...connectionOf(session.client) },
      });
      this.#resolve(statusOf(exit));
    } catch (error) {
      this.#reject(error as OnceError);
    }
  }

  /** Ends a session in which nothing happens. */
  #watch(transcript: Transcript, idle: number): void {
    const look = () => {
      const left = idle - transcript.quiet;
      if (left <= 0) this.stop(new OnceError(`Nothing has happened for ${idle} seconds`));
      else this.#after(left, look);
    };
    look();
  }

  // What is refused

  #refuse(open: ChannelOpen): void {
    const where = open.type === 'direct-tcpip' ? target(open.data) : '';
    this.#refused(`a channel of type ${open.type}${where}`);
    open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'there is one session here, and nothing else');
  }

  #refused(what: string): false {
    this.#note(`refused: ${what}`, ++this.#refusals <= limits.REFUSALS);
    return false;
  }

  #note(text: string, isSaid = true): void {
    if (isSaid) this.#options.say(text);
    try {
      this.#options.transcript.note(text);
    } catch (error) {
      this.stop(error as OnceError);
    }
  }

  /** Of the server's own messages those that an operator has to see. */
  log(): Logger {
    const say = (fields: object, message: string) => {
      const { address, reason, error } = fields as Record<string, string | undefined>;
      this.#options.say([message, address, reason ?? error].filter(part => part).join('; '));
    };
    const info = (fields: object, message: string) => void ('key' in fields && this.#heard(fields, message));
    return { debug() {}, info, warn: say, error: say };
  }
}

/** What sshd says where an end of the connection is not known: over pipes, or at the other end of a switchboard's line. */
const UNKNOWN_END = { address: 'UNKNOWN', port: 65535 };

/** SSH_CLIENT and SSH_CONNECTION, as in ssh(1). */
function connectionOf({ address, port, localAddress, localPort }: Client): Record<string, string> {
  const peer = address === '' ? UNKNOWN_END : { address, port };
  const own = localAddress === '' ? UNKNOWN_END : { address: localAddress, port: localPort };
  return {
    SSH_CLIENT: `${peer.address} ${peer.port} ${own.port}`,
    SSH_CONNECTION: `${peer.address} ${peer.port} ${own.address} ${own.port}`,
  };
}

/** Also one that is no name, which the server has refused for that. */
function subsystemIn(data: Uint8Array): string {
  try {
    return shown(unpack({ name: 'string' }, data).name);
  } catch {
    return 'without a name';
  }
}

function target(data: Uint8Array): string {
  const reader = new Reader(data);
  return ` to ${printable(reader.prose(), 80)} port ${reader.uint32()}`;
}

/** A host key for one session, and what is said of it. */
export function freshKey(provider: CryptoProvider): { key: PrivateKey; publicKey: string; fingerprint: string } {
  const key = byName(provider.signatures, 'ssh-ed25519')!.generate(provider.random, '');
  return { key, publicKey: formatPublicKey(publicOf(key)), fingerprint: fingerprint(key.blob) };
}
