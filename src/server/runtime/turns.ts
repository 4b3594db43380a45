// Everybody else waits while sockets are read that have much to say: so these take turns, while who says little is always heard.

/** The most that is read from a socket at once, in bytes, see `net.ts`. */
export const BLOCK = 512 * 1024;

/** What those with much to say get in one turn of the loop, in bytes: one to two milliseconds of relaying. */
const TURN = 2 * BLOCK;

/** Who has said less at once is never made to wait, nor counted. More than keystrokes, windows and requests; a client's packet of data is twice as long. */
const LITTLE = 16 * 1024;

/** The order in which sockets are read. */
export class Turns {
  readonly #schedule: (callback: () => void) => void;
  /** How those who wait go on, the first of them first. */
  readonly #waiting = new Set<() => void>();
  /** Bytes read in this turn of the loop. */
  #read = 0;
  #scheduled = false;

  /** @param schedule calls back in the loop's next turn */
  constructor(schedule: (callback: () => void) => void = setImmediate) {
    this.#schedule = schedule;
  }

  /**
   * A socket has been read; a whole BLOCK means that there may be more at once.
   * @returns whether it may be read again at any time; if not, `goOn` is called when it may
   */
  read(length: number, goOn: () => void): boolean {
    if (length < LITTLE) return true;
    this.#read += length;
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#schedule(this.#next);
    }
    if (length < BLOCK && this.#waiting.size === 0 && this.#read < TURN) return true;
    this.#waiting.add(goOn);
    return false;
  }

  readonly #next = (): void => {
    this.#read = 0;
    let room = TURN;
    for (const goOn of this.#waiting) {
      if (room <= 0) break;
      room -= BLOCK;
      this.#waiting.delete(goOn);
      goOn();
    }
    this.#scheduled = this.#waiting.size > 0;
    if (this.#scheduled) this.#schedule(this.#next);
  };
}
