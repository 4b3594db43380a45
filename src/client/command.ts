// A command, shell or subsystem on the server (RFC 4254 §6): its streams, its terminal, signals to it, and how it ended.
import {
  BREAK,
  ENV,
  EXEC,
  EXIT_STATUS,
  PTY_REQ,
  SIGNAL,
  SUBSYSTEM,
  WINDOW_CHANGE,
} from '../protocol/channels/session-requests.ts';
import type { Connection } from '../protocol/connection.ts';
import { printable, RequestError } from '../protocol/errors.ts';
import { pack, unpack } from '../protocol/wire/codec.ts';
import { asBytes, concat, encodeUtf8, Reader } from '../protocol/wire/reader.ts';
import type { ChannelStream } from '../server/streams.ts';

/** The terminal that is wanted at the server's end. */
export interface PtyOptions {
  /** What TERM is there: by default "xterm-256color". */
  readonly term?: string;
  /** Characters; by default 80 and 24. */
  readonly columns?: number;
  /** See `columns`. */
  readonly rows?: number;
  /** Pixels; by default 0, which is unknown. */
  readonly width?: number;
  /** See `width`. */
  readonly height?: number;
  /** Encoded terminal modes (RFC 4254 §8), as `formatTerminalModes` makes them; by default the server's. */
  readonly modes?: Uint8Array;
}

/** How a command is to run. */
export interface CommandOptions {
  /** Environment variables; a server takes those it likes (sshd: AcceptEnv) and says nothing of the others. Values may be bytes. */
  readonly env?: Readonly<Record<string, string | Uint8Array>>;
  /** A terminal for it, which then gets both outputs, on `stdout`; by default none. */
  readonly pty?: boolean | PtyOptions;
  /** When it is aborted the command is sent SIGTERM and its channel closed, and whoever waits gets the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The same, for a command that is run to its end. */
export interface ExecOptions extends CommandOptions {
  /** What it reads, whole or in pieces; by default nothing. */
  readonly stdin?: Uint8Array | string | AsyncIterable<Uint8Array | string>;
}

/** The same for a shell, which gets a terminal unless `pty` is false. */
export interface ShellOptions extends PtyOptions {
  /** See CommandOptions. */
  readonly env?: Readonly<Record<string, string | Uint8Array>>;
  /** False: no terminal. */
  readonly pty?: false;
  /** See CommandOptions. */
  readonly signal?: AbortSignal;
}

/** How a command ended (RFC 4254 §6.10). With neither status nor signal the server reported nothing. */
export interface Exit {
  /** 0 is success. */
  status: number | undefined;
  /** The signal that ended it, without "SIG": "KILL". */
  signal: string | undefined;
  /** What the server says to that; untrusted. */
  message: string | undefined;
}

/** What a command left behind. */
export interface Finished extends Exit {
  /** What it wrote to its standard output. */
  stdout: Uint8Array;
  /** And to standard error. */
  stderr: Uint8Array;
}

/** A command that runs on the server. What it writes waits for a reader, 2 MiB at most, and so then does the command. */
export class RemoteCommand {
  /** Both streams as they are: for requests, or to splice. */
  readonly stream: ChannelStream;
  /**
   * When it is over, and its channel closed. Rejects if the connection ended before the server said how it went (with
   * the reason), or the command was aborted.
   */
  readonly exit: Promise<Exit>;
  /** For `exec`: the server has said how it ended. */
  readonly reported: Promise<void>;

  /** For `ClientConnection`. */
  constructor(stream: ChannelStream, connection: Connection, signal: AbortSignal | undefined) {
    this.stream = stream;
    const exit: Exit = { status: undefined, signal: undefined, message: undefined };
    let heard!: () => void;
    this.reported = new Promise(resolve => (heard = resolve));
    stream.onrequest = ({ type, data }) => {
      if (type === 'exit-status') exit.status = unpack(EXIT_STATUS, data).status;
      else if (type === 'exit-signal') {
        // Not all servers say more than the signal, and no more may follow it than anybody understands.
        const reader = new Reader(data);
        exit.signal = printable(reader.anyName(), 40);
        if (reader.remaining > 0) reader.boolean(); // coreDumped
        exit.message = reader.prose();
      } else return false;
      heard();
      return true;
    };
    this.exit = new Promise((resolve, reject) => {
      const abort = () => {
        reject(signal!.reason);
        this.kill();
        stream.channel.close();
      };
      signal?.addEventListener('abort', abort, { once: true });
      const over = () => {
        signal?.removeEventListener('abort', abort);
        // Half an output must not pass for a whole one.
        const cut = exit.status === undefined && exit.signal === undefined && connection.error;
        if (cut) reject(cut);
        else resolve(exit);
      };
      stream.closed.then(over, reject);
      if (signal?.aborted) abort();
    });
    // Who does not ask for it need not hear of it.
    this.exit.catch(() => {});
  }

  /** What it writes, chunk by chunk, until it ends. Who leaves the loop may begin another, and gets the rest. */
  get stdout(): AsyncIterable<Uint8Array> {
    return this.stream;
  }

  /** What it writes to standard error. It shares the window of 2 MiB with `stdout`, so that one should be read, too. */
  get stderr(): AsyncIterable<Uint8Array> {
    return this.stream.stderr;
  }

  /** Its standard output as a web stream, instead of `stdout`; cancelling it tells the server that nobody reads any more. */
  get readable(): ReadableStream<Uint8Array> {
    return this.stream.readable;
  }

  /** Its standard input as a web stream; closing it is `end`. */
  get writable(): WritableStream<Uint8Array> {
    return this.stream.writable;
  }

  /** Writes to its standard input. Resolves when the bytes are on their way; false if it has ended, and they are lost. */
  write(data: Uint8Array | string): Promise<boolean> {
    return this.stream.write(data);
  }

  /** The end of its standard input, after everything written so far. */
  end(): Promise<void> {
    return this.stream.end();
  }

  /** The terminal has another size now, in characters, and, where that is known, in pixels. */
  resize(columns: number, rows: number, width = 0, height = 0): void {
    this.stream.channel.notify('window-change', pack(WINDOW_CHANGE, { columns, rows, width, height }));
  }

  /** Sends it a signal (RFC 4254 §6.9), with or without "SIG" in front. Whether it arrives is not told; OpenSSH delivers since 7.9. */
  kill(signal = 'TERM'): void {
    this.stream.channel.notify('signal', pack(SIGNAL, { signal: signal.replace(/^SIG/, '') }));
  }

  /** A BREAK on its line (RFC 4335), `milliseconds` long, 0 for the usual length. False if there is no such thing. */
  sendBreak(milliseconds = 0): Promise<boolean> {
    return this.stream.channel.request('break', pack(BREAK, { length: milliseconds }));
  }

  /**
   * Closes its channel, whatever it is doing: nothing more goes either way. That ends a command in a terminal, and one that
   * reads or writes; sshd lets any other run on, and `exit` waits for it.
   */
  async close(): Promise<void> {
    this.stream.channel.close();
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What is to run. */
export interface Start {
  readonly type: 'exec' | 'shell' | 'subsystem';
  readonly data: Uint8Array;
  /** For the message of a refusal. */
  readonly what: string;
}

export const startExec = (command: string | Uint8Array): Start => ({
  type: 'exec',
  data: pack(EXEC, { command: asBytes(command) }),
  what: 'to run the command: it may offer a shell, a subsystem or forwarding only',
});

export const startShell: Start = {
  type: 'shell',
  data: new Uint8Array(0),
  what: 'a shell: it may run single commands, a subsystem or forwarding only',
};

export const startSubsystem = (name: string): Start => ({
  type: 'subsystem',
  data: pack(SUBSYSTEM, { name }),
  what: `the subsystem ${printable(name, 80)}: it has none of that name, or not for this user`,
});

/** Starts something on a session channel that has just been opened. @throws RequestError if that is refused, UsageError if something is too large for a packet */
export async function begin(
  stream: ChannelStream,
  connection: Connection,
  { type, data, what }: Start,
  { env = {}, pty = false, signal }: CommandOptions,
): Promise<RemoteCommand> {
  const { channel } = stream;
  const running = new RemoteCommand(stream, connection, signal);
  const ask = () => {
    // All at once: the server answers in order, and an answer costs a round trip.
    for (const [name, value] of Object.entries(env))
      channel.notify('env', pack(ENV, { name: encodeUtf8(name), value: asBytes(value) }));
    const terminal = pty === false ? true : channel.request('pty-req', ptyRequest(pty === true ? {} : pty));
    return Promise.all([terminal, channel.request(type, data)]);
  };
  const started = await Promise.resolve()
    .then(ask)
    .catch((error: unknown) => {
      channel.close();
      throw error;
    });
  const refused = started.indexOf(false);
  if (refused < 0) return running;
  channel.close();
  signal?.throwIfAborted();
  if (connection.error !== undefined) throw connection.error;
  throw new RequestError(refused === 0 ? 'the server refused a terminal: leave out pty' : `the server refused ${what}`);
}

/** Sends it everything, and then the end. */
export async function feed(
  { stream }: RemoteCommand,
  input: NonNullable<ExecOptions['stdin']> = new Uint8Array(0),
): Promise<void> {
  if (typeof input === 'string' || input instanceof Uint8Array) await stream.write(input);
  else for await (const part of input) if (!(await stream.write(part))) break;
  await stream.end();
}

/** All that comes, in one piece. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return concat(...chunks);
}

/** No modes: one byte, TTY_OP_END. */
const NO_MODES = Uint8Array.of(0);

const ptyRequest = ({
  term = 'xterm-256color',
  columns = 80,
  rows = 24,
  width = 0,
  height = 0,
  modes = NO_MODES,
}: PtyOptions) => pack(PTY_REQ, { term: encodeUtf8(term), columns, rows, width, height, modes });
