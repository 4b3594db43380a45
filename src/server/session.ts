// Session channels (RFC 4254 §6): a handler for `session` that collects pty and environment and then calls what the client asked for.

import { type ChannelRequest, STDERR } from '../protocol/channels/channel.ts';
import type { ChannelOpen } from '../protocol/channels/mux.ts';
import {
  BREAK,
  ENV,
  EXEC,
  EXIT_SIGNAL,
  EXIT_STATUS,
  PTY_REQ,
  SIGNAL,
  SUBSYSTEM,
  WINDOW_CHANGE,
} from '../protocol/channels/session-requests.ts';
import { takesEow } from '../protocol/compat.ts';
import { OpenFailure } from '../protocol/errors.ts';
import { isLater } from '../protocol/guard.ts';
import { checkSize, pack, unpack } from '../protocol/wire/codec.ts';
import { decodeLenient } from '../protocol/wire/reader.ts';
import type { ChannelOpenHandler, Client } from './server.ts';
import { ChannelStream } from './streams.ts';

/** Environment variables that one session may set, and their size in bytes; sshd's default accepts two names. */
const MAX_ENV = 64;
const MAX_ENV_BYTES = 32 * 1024;
/** Sessions of one connection at once (OpenSSH's MaxSessions). */
const MAX_SESSIONS = 10;

/** The terminal that a client has at its end. */
export interface Terminal {
  /** What TERM says there: "xterm-256color"; what is not UTF-8 of it, replaced by U+FFFD. */
  term: string;
  /** The same to the byte. */
  readonly termBytes: Uint8Array;
  /** Characters. */
  columns: number;
  /** Characters. */
  rows: number;
  /** Pixels, as far as the client knows them, otherwise 0: what kitty and sixel graphics are scaled by. */
  width: number;
  /** See `width`. */
  height: number;
  /** Encoded terminal modes (RFC 4254 §8): see `parseTerminalModes`. */
  modes: Uint8Array;
}

/** An environment variable as it came, which is bytes to the system. */
export interface Variable {
  /** Without "=" as a rule; nobody has checked that. */
  readonly name: Uint8Array;
  /** Any bytes. */
  readonly value: Uint8Array;
}

/** One session, from the moment the client says what it wants. */
export interface Session {
  /** Whose it is. */
  readonly client: Client;
  /** What the client writes (`for await`), and what it reads (`write`). */
  readonly stream: ChannelStream;
  /** Undefined without a pty; its size follows the client's window. */
  readonly terminal: Terminal | undefined;
  /** What the client has set; untrusted, like all that it says. What is not UTF-8 is replaced by U+FFFD. */
  readonly env: ReadonlyMap<string, string>;
  /** The same to the byte, in the order in which it came. */
  readonly envBytes: readonly Variable[];
  /** The command to the byte, as it is to reach execve(2): it need not be UTF-8, nor free of NUL. Undefined where none was asked for. */
  readonly commandBytes: Uint8Array | undefined;
  /** Hears of a new window size. */
  onresize: (() => void) | undefined;
  /** Hears of signals (RFC 4254 §6.9), named without "SIG": "TERM", "INT". */
  onsignal: ((signal: string) => void) | undefined;
  /** Hears of a BREAK (RFC 4335) of so many milliseconds, 0 for the device's own default. Without it they are refused. */
  onbreak: ((milliseconds: number) => void) | undefined;
  /** Writes text; line ends become CR LF if there is a terminal. False if nobody reads it (`ssh host command | head`): time to stop. */
  write(text: string): Promise<boolean>;
  /** The same, to the client's standard error. */
  error(text: string): Promise<boolean>;
  /** Reports the exit status (RFC 4254 §6.10) and closes. Without a status stock clients exit with 255. */
  exit(status: number): Promise<void>;
  /** Reports that a signal, named without "SIG", ended the program, and closes. @throws UsageError if the message is too large for a packet */
  exitSignal(signal: string, details?: { coreDumped?: boolean; message?: string }): Promise<void>;
}

/** What a client may run. What is not here is refused, and so are X11 and agent forwarding. */
export interface SessionHandlers {
  /** `ssh host command`; what is not UTF-8 of it is replaced by U+FFFD, and whole in `session.commandBytes`. */
  exec?(command: string, session: Session): void | Promise<void>;
  /** `ssh host` */
  shell?(session: Session): void | Promise<void>;
  /** `ssh -s host name` */
  subsystem?: Readonly<Record<string, (session: Session) => void | Promise<void>>>;
  /** Grants terminals, to everybody or to those for whom it says so; default true. */
  pty?: boolean | ((client: Client) => boolean);
  /** Hears of each request that has been refused. */
  refused?(request: ChannelRequest, client: Client): void;
}

/** A channel handler for the type `session`. A handler that throws ends its session with status 1; the server logs why. */
export function sessions(handlers: SessionHandlers): ChannelOpenHandler {
  const open = new WeakMap<Client, number>();
  return (request, client) => {
    const count = (open.get(client) ?? 0) + 1;
    if (count > MAX_SESSIONS) return request.reject(OpenFailure.RESOURCE_SHORTAGE, 'too many sessions');
    open.set(client, count);
    const { stream, done } = serve(request, client, handlers);
    const free = () => open.set(client, open.get(client)! - 1);
    // Not by `onclose`: that is the handlers'.
    stream.closed.then(free, free);
    return done;
  };
}

/** One session; `done` rejects with what a handler has thrown, once the client has been told that it has. */
function serve(
  open: ChannelOpen,
  client: Client,
  handlers: SessionHandlers,
): { stream: ChannelStream; done: Promise<void> } {
  let finished!: (running: Promise<void>) => void;
  const done = new Promise<void>(resolve => (finished = resolve));
  const stream = new ChannelStream({ eow: takesEow(client.connection.transport.peerIdent) });
  const env = new Map<string, string>();
  const envBytes: Variable[] = [];
  let envSize = 0;
  let started = false;
  const say = (text: string, type: number) =>
    stream.write(session.terminal ? text.replace(/\r?\n/g, '\r\n') : text, type);
  const finish = async (type: string, data: Uint8Array) => {
    checkSize(type, data.length);
    await stream.end();
    stream.channel.notify(type, data);
    await stream.close();
  };
  const session: Session & { terminal: Terminal | undefined; commandBytes: Uint8Array | undefined } = {
    client,
    stream,
    terminal: undefined,
    env,
    envBytes,
    commandBytes: undefined,
    onresize: undefined,
    onsignal: undefined,
    onbreak: undefined,
    write: text => say(text, 0),
    error: text => say(text, STDERR),
    exit: status => finish('exit-status', pack(EXIT_STATUS, { status })),
    exitSignal: (signal, { coreDumped = false, message = '' } = {}) =>
      finish('exit-signal', pack(EXIT_SIGNAL, { signal, coreDumped, message, language: new Uint8Array(0) })),
  };
  const fault = (error: unknown) => client.connection.fault(error);
  const heed = (given: unknown) => void (isLater(given) && given.then(undefined, fault));
  const run = (body: () => void | Promise<void>): boolean => {
    if (started) return false;
    started = true;
    // After the reply has gone out, and whatever happens, the client gets an exit status.
    const running = Promise.resolve().then(body);
    const failed = async (error: unknown): Promise<never> => {
      // It may have ended its output already, or its session.
      await session.error('internal error\n').catch(() => {});
      await session.exit(1).catch(() => {});
      throw error;
    };
    finished(running.catch(failed));
    return true;
  };
  const grant = ({ type, data }: ChannelRequest): boolean => {
    switch (type) {
      case 'pty-req': {
        const { pty = true } = handlers;
        if (started || session.terminal) return false;
        const granted = typeof pty === 'function' ? pty(client) : pty;
        heed(granted);
        // A promise grants nothing.
        if (granted !== true) return false;
        const { term, ...size } = unpack(PTY_REQ, data);
        session.terminal = { ...size, term: decodeLenient(term), termBytes: term.slice() };
        return true;
      }
      case 'env': {
        const { name, value } = unpack(ENV, data);
        envSize += name.length + value.length;
        if (started || envBytes.length >= MAX_ENV || envSize > MAX_ENV_BYTES) return false;
        env.set(decodeLenient(name), decodeLenient(value));
        envBytes.push({ name: name.slice(), value: value.slice() });
        return true;
      }
      case 'shell':
        return handlers.shell !== undefined && run(() => handlers.shell!(session));
      case 'exec': {
        const { command } = unpack(EXEC, data);
        if (handlers.exec === undefined || started) return false;
        session.commandBytes = command.slice();
        const text = decodeLenient(command);
        return run(() => handlers.exec!(text, session));
      }
      case 'subsystem': {
        const { name } = unpack(SUBSYSTEM, data);
        const { subsystem } = handlers;
        if (subsystem === undefined || !Object.hasOwn(subsystem, name)) return false;
        return run(() => subsystem[name](session));
      }
      case 'window-change': {
        if (!session.terminal) return false;
        Object.assign(session.terminal, unpack(WINDOW_CHANGE, data));
        heed(session.onresize?.());
        return true;
      }
      case 'signal':
        heed(session.onsignal?.(unpack(SIGNAL, data).signal));
        return session.onsignal !== undefined;
      case 'break':
        heed(session.onbreak?.(unpack(BREAK, data).length));
        return session.onbreak !== undefined;
    }
    return false;
  };
  stream.onrequest = request => {
    let granted = false;
    try {
      granted = grant(request);
    } finally {
      // Also one that cannot be read: what that throws refuses it.
      if (!granted) heed(handlers.refused?.(request, client));
    }
    return granted;
  };
  stream.channel = open.accept(stream.handler);
  return { stream, done };
}
