// The one session: a shell or a command, its client, and the transcript in between, which has everything before it goes on.
import { STDERR } from '../../protocol/channels/channel.ts';
import { printable } from '../../protocol/errors.ts';
import type { Session, Terminal } from '../../server/session.ts';
import { asGiven, type Entry, type Size, shown } from './entry.ts';
import { OnceError } from './failure.ts';
import { Hiding } from './hiding.ts';
import { HANGUP_GRACE, LAST_WORDS } from './limits.ts';
import { startWithPipes } from './pipes.ts';
import { assignment, type Exit, loginName, type Program, statusOf, type Variables } from './program.ts';
import { startInTerminal } from './pty.ts';
import type { Transcript } from './transcript.ts';

export interface SessionOptions {
  readonly transcript: Transcript;
  /** The user's shell, an absolute path. */
  readonly shell: string;
  /** Variables of the program: those that we have ourselves, and those that this session adds, which are recorded. */
  readonly env: Variables;
  readonly added: Variables;
  /** Runs in place of what the client asks for. */
  readonly forced?: string;
  /** Input that the terminal does not show is not recorded. */
  readonly hide: boolean;
  /** Aborted, with an OnceError, when the session has to end. */
  readonly stop: AbortSignal;
  /** How programs are started; by default as they are. */
  readonly programs?: Programs;
}

/** A command that the client asks for, bytes where it is not UTF-8; undefined for a shell. */
export type Asked = string | Uint8Array | undefined;

/** Both ways to start a program. */
export interface Programs {
  readonly startWithPipes: typeof startWithPipes;
  startInTerminal(...what: Parameters<typeof startInTerminal>): Promise<Program>;
}

/** Signals that a client may send (RFC 4254 §6.10). */
const SIGNALS = ['ABRT', 'ALRM', 'FPE', 'HUP', 'ILL', 'INT', 'KILL', 'PIPE', 'QUIT', 'SEGV', 'TERM', 'USR1', 'USR2'];

/**
 * Serves the session to its end.
 * @param asked a command; undefined for a shell
 * @returns how the program ended; the client has been told
 * @throws OnceError if the client is lost, the transcript cannot be written, the program not started, or `stop` said so; nothing runs then
 */
export async function serveSession(session: Session, asked: Asked, options: SessionOptions): Promise<Exit> {
  const { transcript, stop } = options;
  const size = sizeOf(session);
  let program: Program | undefined;
  let joined: Promise<Exit> | undefined;
  let exit: Exit;
  try {
    transcript.begin({
      ...size,
      command: commandOf(asked, options),
      term: session.terminal && shown(session.terminal.termBytes),
    });
    transcript.note(describe(session, asked, options));
    transcript.record(...beginning(session, asked, options));
    program = await start(session, asked, options, size);
    exit = await Promise.race([(joined = join(session, program, options, size)), lost(session), aborted(stop)]);
    transcript.exit(statusOf(exit));
  } catch (error) {
    const why = error instanceof OnceError ? error : new OnceError(`Internal error: ${(error as Error).message}`);
    cut(transcript, why);
    await Promise.all([farewell(session, why), program && hangUp(program, joined!, transcript)]);
    throw why;
  }
  const { status, signal, coreDumped } = exit;
  const told = signal === undefined ? session.exit(status ?? 1) : session.exitSignal(signal, { coreDumped });
  // A client that is gone by now, or reads no more, is not told; the transcript has it.
  await Promise.race([told, aborted(stop)]).catch(() => {});
  return exit;
}

/** What is said of a terminal whose client does not know its size; and the most that a terminal has (ioctl_tty(2), TIOCSWINSZ). */
const UNKNOWN_SIZE = { columns: 80, rows: 24 };
const MOST_SIDE = 0xffff;

const sides = ['columns', 'rows', 'width', 'height'] as const;

function sizeOf({ terminal }: Session): Size {
  if (terminal === undefined) return UNKNOWN_SIZE;
  const most = (side: number) => Math.min(side, MOST_SIDE);
  const [columns, rows, width, height] = [terminal.columns, terminal.rows, terminal.width, terminal.height].map(most);
  const pixels = (width > 0 || height > 0) && { width, height };
  return { ...(columns === 0 || rows === 0 ? UNKNOWN_SIZE : { columns, rows }), ...pixels };
}

const commandOf = (asked: Asked, { forced, shell }: SessionOptions): string | Uint8Array => forced ?? asked ?? shell;

function describe({ terminal, envBytes }: Session, asked: Asked, { forced }: SessionOptions): string {
  const where =
    terminal === undefined ? 'without a terminal' : `in a terminal of type ${printable(shown(terminal.termBytes), 40)}`;
  const what = `${asked === undefined ? 'shell' : 'command'} ${where}`;
  const instead = forced === undefined ? what : `the key's own command in place of ${what}`;
  const names = envBytes.map(({ name }) => shown(name));
  return names.length === 0 ? instead : `${instead}; refused: the variables ${names.join(', ')}`;
}

/** All that the program starts with, to the letter. */
function beginning({ terminal }: Session, asked: Asked, options: SessionOptions): Entry[] {
  const { forced, added } = options;
  const variables = { ...added, ...termOf(terminal) };
  return [
    ...Object.entries(variables).map(([name, value]): Entry => ({ kind: 'env', text: assignment(name, value) })),
    ...(terminal ? [{ kind: 'modes', text: Buffer.from(terminal.modes).toString('hex') } as const] : []),
    ...(forced !== undefined && asked !== undefined ? [{ kind: 'asked', text: asked } as const] : []),
    { kind: 'runs', text: commandOf(asked, options) },
  ];
}

/** An empty one is none, as at sshd. */
const termOf = (terminal: Terminal | undefined): Record<string, string | Uint8Array> =>
  terminal !== undefined && terminal.termBytes.length > 0 ? { TERM: asGiven(terminal.termBytes) } : {};

async function start(
  { terminal }: Session,
  asked: Asked,
  { shell, forced, env, added, programs = { startWithPipes, startInTerminal } }: SessionOptions,
  size: Size,
): Promise<Program> {
  const command = forced ?? asked;
  const all = {
    ...env,
    ...added,
    ...termOf(terminal),
    ...(forced !== undefined && asked !== undefined && { SSH_ORIGINAL_COMMAND: asked }),
  };
  const login = loginName(shell);
  const argv = command === undefined ? [login] : [login.slice(1), '-c', command];
  const what = { file: shell, argv, env: all };
  try {
    // C would end it there, and something else would run than what is recorded.
    if (
      [...argv, ...Object.values(all)].some(given =>
        typeof given === 'string' ? given.includes('\0') : given.includes(0),
      )
    )
      throw new Error('it is given a NUL character');
    return await (terminal === undefined
      ? programs.startWithPipes(what)
      : programs.startInTerminal(what, size, terminal.modes));
  } catch (error) {
    throw new OnceError(`Could not start ${shell}: ${(error as Error).message}`);
  }
}

/** Passes everything on, both ways. Resolves when the program has ended and its output is on its way; rejects with what the transcript throws. */
function join(session: Session, program: Program, options: SessionOptions, first: Size): Promise<Exit> {
  const { transcript, forced, hide } = options;
  const { stream } = session;
  const { terminal } = program;
  const hiding = new Hiding();

  const output = async (source: AsyncIterable<Uint8Array>, kind: 'output' | 'error') => {
    for await (const bytes of source) {
      hiding.output(bytes);
      transcript.record({ kind, bytes });
      const read = await stream.write(bytes, kind === 'error' ? STDERR : 0).catch(gone);
      // What comes after the end that we have made of it is only recorded.
      if (read || stream.channel.closeSent) continue;
      // `ssh … | head`, where ssh says so (eow@openssh.com): the program learns it by SIGPIPE or SIGHUP.
      transcript.note('the client reads no more');
      return terminal && program.abandon();
    }
  };
  let over = false;
  const ended = () => {
    over = true;
  };
  program.ended.then(ended, ended);
  const input = async () => {
    for await (const bytes of received(stream)) {
      if (over) return;
      const entries = hide && terminal ? hiding.input(bytes, terminal.echo()) : [{ kind: 'input', bytes } as const];
      transcript.record(...entries);
      await program.write(bytes);
    }
    // Closed without it, the client is lost.
    if (over || !stream.channel.eofReceived) return;
    transcript.note('the client sends no more (EOF)');
    program.end();
  };

  return new Promise((resolve, reject) => {
    /** For what the protocol calls, which must not throw. */
    const attempt = (body: () => void) => {
      try {
        body();
      } catch (error) {
        reject(error);
      }
    };
    let last = first;
    const follow = () => {
      const size = sizeOf(session);
      if (sides.every(side => size[side] === last[side])) return;
      last = size;
      transcript.record({ kind: 'size', ...size });
      terminal?.resize(size);
    };
    session.onresize = () => attempt(follow);
    // It may have changed while the program was started.
    attempt(follow);
    // A forced command is protected from its client, as with sshd.
    if (forced === undefined) {
      session.onsignal = name =>
        attempt(() => {
          transcript.note(`the client sends the signal ${name}`);
          if (SIGNALS.includes(name)) program.signal(name);
        });
    }
    if (terminal) {
      session.onbreak = milliseconds =>
        attempt(() => {
          transcript.note(`the client sends BREAK (${milliseconds} ms)`);
          terminal.sendBreak();
        });
    }
    input().catch(reject);
    Promise.all([program.ended, output(program.stdout, 'output'), output(program.stderr, 'error')]).then(
      ([exit]) => resolve(exit),
      reject,
    );
  });
}

const GONE = 'Connection closed unexpectedly';

/** The client's stream has failed: however that came about, it is gone. */
const gone = (): never => {
  throw new OnceError(GONE);
};

async function* received(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch {
    gone();
  }
}

/** Rejects when the client is gone, or has closed the session. */
const lost = ({ stream }: Session): Promise<never> => stream.closed.then(gone, gone);

const aborted = (stop: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (stop.aborted) reject(stop.reason);
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
  });

/** Records why, before anybody is told. */
function cut(transcript: Transcript, { message }: Error): void {
  try {
    transcript.cut(message);
  } catch {
    // That is why.
  }
}

/** Tells a client that is still there why its session ends. */
async function farewell(session: Session, error: Error): Promise<void> {
  if (!session.stream.wanted) return;
  const said = session.error(`\n${error.message}\n`).then(() => session.exit(255));
  // It may have stopped reading.
  await Promise.race([said, seconds(LAST_WORDS)]).catch(() => {});
  session.stream.channel.close();
}

/** Ends the program as a lost line does: SIGHUP, and SIGKILL for one that takes no notice. What it still writes is recorded. */
async function hangUp(program: Program, joined: Promise<Exit>, transcript: Transcript): Promise<void> {
  // With all of its output, or without it where that is what has failed.
  const over = joined.catch(() => program.ended);
  let exit: Exit | undefined;
  const signal = async (name: string) => {
    for (let second = 0; exit === undefined && second < HANGUP_GRACE; second++) {
      program.signalAll(name);
      program.signalAll('CONT');
      exit = await Promise.race([over, seconds(1)]);
    }
  };
  // More than once: a shell that is just about to do something may put the first aside.
  await signal('HUP');
  // Others hear of it only when they find the terminal gone. From here on nothing is recorded.
  program.abandon();
  await signal('HUP');
  await signal('KILL');
  try {
    if (exit) transcript.exit(statusOf(exit));
  } catch {
    // That is why it was cut short.
  }
}

const seconds = (count: number): Promise<undefined> =>
  new Promise(resolve => setTimeout(() => resolve(undefined), count * 1000));
