// Which input stays out of the transcript: what is typed while the terminal does not show it, as passwords are.
import type { Entry } from './entry.ts';
import { PROMPT } from './limits.ts';
import type { Echo } from './termios.ts';

/**
 * The keys that act on a line or a program. They are no part of a secret, and always recorded: Return, newline, Ctrl-C, Ctrl-D,
 * Ctrl-Z, Ctrl-\.
 */
const ACTING = new Set([0x0d, 0x0a, 0x03, 0x04, 0x1a, 0x1c]);

/** How a last line ends that asks for a secret, with the stars that may stand for what has been typed of it. */
const ASKS = /(?:pass(?:word|phrase|code|wd)|\bpin\b|secret|token|otp|verification code)[^\n]{0,80}[:：?][\s*•●]*$/i;

/** Sequences that move the cursor or set colours (ECMA-48), and keypad modes. */
const CONTROL = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])/g;

/** Sorts a terminal's input into what is recorded as typed, and what is only said to be there. */
export class Hiding {
  /** The last line on the terminal, as far as a prompt would show in it. */
  #line = '';
  /** What is hidden now has been recorded as such: its length shall not be. */
  #hidden = false;

  /** The program has written to its terminal. */
  output(bytes: Uint8Array): void {
    const tail = Buffer.from(bytes.subarray(Math.max(0, bytes.length - 4 * PROMPT))).toString('utf8');
    const lines = (this.#line + tail).replace(CONTROL, '').split(/[\r\n]+/);
    this.#line = lines[lines.length - 1].slice(-PROMPT);
  }

  /** Something is typed, while the terminal does this with it. */
  input(bytes: Uint8Array, echo: Echo): Entry[] {
    if (!this.#hides(echo)) {
      this.#hidden = false;
      return [{ kind: 'input', bytes }];
    }
    const entries: Entry[] = [];
    let start = 0;
    for (let at = 0; at <= bytes.length; at++) {
      if (at < bytes.length && !ACTING.has(bytes[at])) continue;
      if (at > start && !this.#hidden) {
        entries.push({ kind: 'hidden' });
        this.#hidden = true;
      }
      if (at < bytes.length) {
        entries.push({ kind: 'input', bytes: bytes.slice(at, at + 1) });
        this.#hidden = false;
      }
      start = at + 1;
    }
    return entries;
  }

  /**
   * Lines that are gathered but not shown: the way of getpass(3), `stty -echo`, `read -s`. Without gathering, programs draw for
   * themselves: editors and shells what is typed, others stars. Then only the question can tell.
   */
  #hides({ echo, canonical }: Echo): boolean {
    return !echo && (canonical || ASKS.test(this.#line));
  }
}
