// The one session: a shell or a command, its client, and the transcript in between, which has everything before it goes on.
import { STDERR } from '../../protocol/channels/channel.ts';
import { printable } from '../../protocol/errors.ts';
import type { Session } from '../../server/session.ts';
import { OnceError } from './failure.ts';
import { Hiding } from './hiding.ts';
import { HANGUP_GRACE, LAST_WORDS } from './limits.ts';
import { type Exit, loginName, type Program, startWithPipes, statusOf } from './program.ts';
import { startInTerminal } from './pty.ts';
import type { Transcript } from './transcript.ts';

export interface SessionOptions {
  readonly transcript: Transcript;
  /** The user's shell, an absolute path. */
  readonly shell: string;
  /** All variables of the program. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs in place of what the client asks for. */
  readonly forced?: string;
  /** Input that the terminal does not show is not recorded. */
  readonly hide: boolean;
  /** Aborted, with an OnceError, when the session has to end. */
  readonly stop: AbortSignal;
}

/** Signals that a client may send (RFC 4254 §6.10). */
const SIGNALS = ['ABRT', 'ALRM', 'FPE', 'HUP', 'ILL', 'INT', 'KILL', 'PIPE', 'QUIT', 'SEGV', 'TERM', 'USR1', 'USR2'];

/**
 * Serves the session to its end.
 * @param asked a command; undefined for a shell
 * @returns how the program ended; the client has been told
 * @throws OnceError if the client is lost, the transcript cannot be written, the program not started, or `stop` said so; nothing runs then
 */
export async function serveSession(
  session: Session,
  asked: string | undefined,
  options: SessionOptions,
): Promise<Exit> {
  const { transcript, stop } = options;
  let program: Program | undefined;
  let joined: Promise<Exit> | undefined;
  try {
    transcript.begin(headingOf(session, asked, options));
    transcript.note(describe(session, asked, options));
    program = await start(session, asked, options);
    const exit = await Promise.race([(joined = join(session, program, options)), lost(session), aborted(stop)]);
    transcript.record({ kind: 'exit', status: statusOf(exit) });
    if (exit.signal === undefined) await session.exit(exit.status ?? 1);
    else await session.exitSignal(exit.signal, { coreDumped: exit.coreDumped });
    return exit;
  } catch (error) {
    await Promise.all([farewell(session, error as Error), program && hangUp(program, joined!, transcript)]);
    throw error;
  }
}

/** What is said of a terminal whose client does not know its size. */
const UNKNOWN_SIZE = { columns: 80, rows: 24 };

function sizeOf({ terminal }: Session): { columns: number; rows: number } {
  return terminal !== undefined && terminal.columns > 0 && terminal.rows > 0 ? terminal : UNKNOWN_SIZE;
}

function headingOf(session: Session, asked: string | undefined, { forced, shell }: SessionOptions) {
  const { columns, rows } = sizeOf(session);
  return { columns, rows, command: forced ?? asked ?? shell, term: session.terminal?.term };
}

function describe({ terminal }: Session, asked: string | undefined, { forced, shell }: SessionOptions): string {
  const where = terminal === undefined ? 'without a terminal' : `in a terminal of type ${printable(terminal.term, 40)}`;
  const what = asked === undefined ? `shell ${where}: ${shell}` : `command ${where}: ${asked}`;
  return forced === undefined ? what : `the key's own command: ${forced}; in place of ${what}`;
}

async function start(session: Session, asked: string | undefined, options: SessionOptions): Promise<Program> {
  const { terminal } = session;
  const { shell, forced } = options;
  const command = forced ?? asked;
  const env = {
    ...options.env,
    ...(terminal && { TERM: terminal.term }),
    ...(forced !== undefined && asked !== undefined && { SSH_ORIGINAL_COMMAND: asked }),
  };
  const login = loginName(shell);
  const argv = command === undefined ? [login] : [login.slice(1), '-c', command];
  const what = { file: shell, argv, env };
  try {
    return await (terminal === undefined
      ? startWithPipes(what)
      : startInTerminal(what, sizeOf(session), terminal.modes));
  } catch (error) {
    throw new OnceError(`Could not start ${shell}: ${(error as Error).message}`);
  }
}

/** Passes everything on, both ways. Resolves when the program has ended and its output is on its way; rejects with what the transcript throws. */
function join(session: Session, program: Program, { transcript, forced, hide }: SessionOptions): Promise<Exit> {
  const { stream } = session;
  const { terminal } = program;
  const hiding = new Hiding();

  const output = async (source: AsyncIterable<Uint8Array>, kind: 'output' | 'error') => {
    for await (const bytes of source) {
      hiding.output(bytes);
      transcript.record({ kind, bytes });
      const read = await stream.write(bytes, kind === 'error' ? STDERR : 0);
      // `ssh … | head`: the program learns it by SIGPIPE or SIGHUP. A client that is gone is another matter, see `lost`.
      if (!read && !stream.channel.closeSent) return terminal && program.abandon();
    }
  };
  let over = false;
  const ended = () => {
    over = true;
  };
  program.ended.then(ended, ended);
  const input = async () => {
    for await (const bytes of stream) {
      if (over) return;
      const entries = hide && terminal ? hiding.input(bytes, terminal.echo()) : [{ kind: 'input', bytes } as const];
      transcript.record(...entries);
      await program.write(bytes);
    }
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
    session.onresize = () =>
      attempt(() => {
        terminal?.resize(sizeOf(session).columns, sizeOf(session).rows);
        transcript.record({ kind: 'size', ...sizeOf(session) });
      });
    // A forced command is protected from its client, as with sshd.
    if (forced === undefined) {
      session.onsignal = name =>
        attempt(() => {
          transcript.note(`the client sends the signal ${name}`);
          if (SIGNALS.includes(name)) program.signal(name);
        });
    }
    if (terminal) session.onbreak = () => attempt(() => terminal.sendBreak());
    // A client that is gone has not said that this is all: see `lost`.
    input().catch(error => error !== stream.error && reject(error));
    Promise.all([program.ended, output(program.stdout, 'output'), output(program.stderr, 'error')]).then(
      ([exit]) => resolve(exit),
      reject,
    );
  });
}

/** Rejects when the client is gone, or has closed the session. */
const lost = ({ stream }: Session): Promise<never> =>
  stream.closed.then(() => {
    throw new OnceError('Connection closed unexpectedly');
  });

const aborted = (stop: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (stop.aborted) reject(stop.reason);
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
  });

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
    transcript.note('the session was cut short');
    if (exit) transcript.record({ kind: 'exit', status: statusOf(exit) });
  } catch {
    // That is why it was.
  }
}

const seconds = (count: number): Promise<undefined> =>
  new Promise(resolve => setTimeout(() => resolve(undefined), count * 1000));
