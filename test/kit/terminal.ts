// A terminal in front of a program, as a person has one: what it shows, what is typed, its size. Linux, by the terminals of `once`.

import type { Exit } from '../../src/apps/once/program.ts';
import { startInTerminal } from '../../src/apps/once/pty.ts';
import { type Scope, soon } from './processes.ts';
import { which } from './tools.ts';

/** Seconds that a program gets to show something. */
const SHOWN = 60;

export interface Screen {
  /** All that it has shown so far. */
  readonly shown: string;
  /** Forgets what has been shown, so that `shows` waits for something new. */
  clear(): void;
  type(text: string): Promise<void>;
  resize(columns: number, rows: number, width?: number, height?: number): void;
  /** The first match in what is shown, as soon as there is one. @throws if it ends without */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<Exit>;
}

/** Starts a program in a terminal of 80 columns and 24 rows. */
export async function terminal(
  scope: Scope,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Screen> {
  const all = Object.entries({ ...process.env, LC_ALL: 'C', TERM: 'xterm', ...env });
  const command = {
    file: which(program) ?? program,
    argv: [program, ...args],
    env: Object.fromEntries(all.filter((pair): pair is [string, string] => pair[1] !== undefined)),
  };
  const running = await startInTerminal(command, { columns: 80, rows: 24 }, new Uint8Array(1));
  scope.defer(async () => {
    running.signalAll('KILL');
    running.abandon();
    await running.ended;
  });
  let shown = '';
  let over = false;
  let wake = () => {};
  const read = (async () => {
    for await (const bytes of running.stdout) {
      shown += Buffer.from(bytes).toString('utf8');
      wake();
    }
    over = true;
    wake();
  })();
  return {
    get shown() {
      return shown;
    },
    clear() {
      shown = '';
    },
    type: text => running.write(Buffer.from(text)),
    resize: (columns, rows, width, height) => running.terminal!.resize({ columns, rows, width, height }),
    async shows(pattern) {
      const waiting = (async () => {
        for (;;) {
          const found = pattern.exec(shown);
          if (found) return found;
          if (over) throw new Error(`ended without showing ${pattern}:\n${shown.slice(-2000)}`);
          await new Promise<void>(resolve => (wake = resolve));
        }
      })();
      try {
        return await soon(`${pattern}`, waiting, SHOWN);
      } catch (error) {
        throw new Error(`${(error as Error).message}; shown so far:\n${shown.slice(-2000)}`);
      }
    },
    ended: running.ended.then(async exit => {
      await read;
      return exit;
    }),
  };
}
