// A prompt in a client's terminal: node:readline over the session's stream, with history and tabs, and bounds on what a client can make it hold.
import { createInterface, type Interface } from 'node:readline';
import { PassThrough, Writable } from 'node:stream';
import type { Session } from '../../../server/session.ts';

/** Characters of one line, as in nuttssh. */
const MAX_LINE = 4096;
/** Lines that the arrow keys bring back. */
const HISTORY = 50;

export interface PromptOptions {
  readonly prompt: string;
  /** Runs a line: what to show, and whether the session goes on. */
  run(line: string): Promise<{ readonly text: string; readonly goesOn: boolean }>;
  /** What the last word of `line` may become. */
  complete(line: string): Promise<string[]>;
  /** Hears of a fault in here. The session ends, unless only a completion has failed. */
  failed(error: unknown): void;
}

export interface Prompt {
  /** Shows text above the line that is being typed. */
  say(text: string): void;
  /** Resolves when the user wants to go (true), has gone, or has typed what is no line (false). */
  readonly over: Promise<boolean>;
  /** Resolves when all that was shown has left; nothing more is shown. */
  drained(): Promise<void>;
}

/**
 * Reads lines from the session's terminal until its user leaves. That may be at any time: readline throws if it is used after it
 * has been closed, so whatever comes after an `await` looks whether it is still open.
 */
export function prompt(session: Session, { prompt: text, run, complete, failed }: PromptOptions): Prompt {
  const input = new PassThrough();
  const output = terminalOf(session);
  /** Readline may be used. */
  let open = true;
  let ended = false;
  let end!: (wanted: boolean) => void;
  const over = new Promise<boolean>(resolve => {
    end = wanted => {
      if (ended) return;
      ended = true;
      resolve(wanted);
      // Not at once: readline goes on with a completion some microtasks after it was given, and must be open then.
      setImmediate(() => open && lines.close());
    };
  });
  const fault = (error: unknown) => {
    failed(error);
    end(false);
  };
  const completer = (line: string, done: (error: null, found: [string[], string]) => void) => {
    const answer = (found: string[]) => {
      // One that comes too late is not given: readline would go on with what it has closed.
      if (open && !ended) done(null, [found, line.split(/\s+/).pop()!]);
    };
    complete(line)
      .catch((error: unknown) => {
        failed(error);
        return [];
      })
      .then(answer)
      .catch(fault);
  };
  const lines: Interface = createInterface({
    ...{ input, output, terminal: true, prompt: text, historySize: HISTORY, removeHistoryDuplicates: true },
    completer,
  });
  session.onresize = () => open && output.emit('resize');
  const write = (shown: string) => void output.write(shown.replace(/\r?\n/g, '\r\n'));
  const ask = (preserveCursor = false) => {
    if (open && !ended) lines.prompt(preserveCursor);
  };
  // What a line shows may be thousands of times as long as the line: the next one waits until that has left.
  const waiting: string[] = [];
  let working: Promise<void> | undefined;
  const drain = async () => {
    if (output.writableNeedDrain) await Promise.race([new Promise(resolve => output.once('drain', resolve)), over]);
  };
  const work = async () => {
    for (let line = waiting.shift(); line !== undefined && !ended; line = waiting.shift()) {
      const { text: shown, goesOn } = await run(line);
      if (ended) break;
      // By the same way as what is typed, or the two would be mixed.
      write(shown);
      if (goesOn) ask();
      else end(true);
      await drain();
    }
    working = undefined;
  };
  lines.on('line', line => {
    waiting.push(line);
    if (working !== undefined) return;
    const started = work();
    // What has been typed before it is still carried out; `feed` waits for it.
    started.catch(fault);
    working = started;
  });
  lines.on('close', () => {
    open = false;
    const left = () => end(true);
    Promise.resolve(working).then(left, left);
  });
  lines.on('SIGINT', () => {
    if (lines.line === '') return end(true);
    output.write('^C\r\n');
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
  });
  // Without a listener readline would stop this whole process, as a shell's Ctrl-Z does.
  lines.on('SIGTSTP', () => {});
  const feed = async () => {
    for await (const bytes of session.stream) {
      if (ended || !open) return;
      input.write(bytes.slice());
      await drain();
      await working;
      if (lines.line.length > MAX_LINE) return end(false);
    }
    if (open) lines.close();
  };
  const gone = () => end(false);
  feed().catch(gone);
  session.stream.closed.then(gone, gone);
  ask();
  return {
    over,
    say: news => {
      if (!open || ended) return;
      write(`\r\x1b[K${news}`);
      ask(true);
    },
    drained: () => new Promise(resolve => output.end(resolve)),
  };
}

/** The client's terminal as readline writes to it; what it does not take makes readline wait. */
function terminalOf({ stream, terminal }: Session): Writable {
  const output = new Writable({
    // What comes after the session's end is lost, and no error of anybody's.
    write: (chunk: Buffer, _encoding, done) => {
      stream.write(chunk).then(
        () => done(),
        () => done(),
      );
    },
    decodeStrings: true,
  });
  output.on('error', () => {});
  // As tty.WriteStream has it; 0 is a window whose size nobody knows.
  Object.defineProperty(output, 'columns', { get: () => terminal?.columns || 80 });
  Object.defineProperty(output, 'rows', { get: () => terminal?.rows || 24 });
  return output;
}
