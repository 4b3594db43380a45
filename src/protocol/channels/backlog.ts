// Relayed bytes that wait for a congested connection or a window, gathered into few blocks. What the sender was offered bounds them.

/** Blocks grow from the first to the second size in bytes: many circuits wait with little, few with much. */
const FIRST_BLOCK = 2048;
const LAST_BLOCK = 32 * 1024;

export class Backlog {
  /** Bytes that wait. */
  length = 0;
  /** What is to be sent once they have left. */
  eof = false;
  close = false;
  readonly #blocks: Uint8Array[] = [];
  /** Where the first block's unread bytes begin, and where the last one's free ones do. */
  #at = 0;
  #end = 0;

  /** Appends a copy of `bytes[start..end)`. */
  add(bytes: Uint8Array, start: number, end: number): void {
    this.length += end - start;
    for (let at = start; at < end; ) {
      let last = this.#blocks.at(-1);
      if (last === undefined || this.#end === last.length) {
        last = new Uint8Array(Math.min(LAST_BLOCK, Math.max(FIRST_BLOCK, this.length)));
        this.#blocks.push(last);
        this.#end = 0;
      }
      const count = Math.min(end - at, last.length - this.#end);
      last.set(bytes.subarray(at, at + count), this.#end);
      this.#end += count;
      at += count;
    }
  }

  /** The next bytes, `most` at most, as a view that is valid until the next call. There must be some. */
  take(most: number): Uint8Array {
    const [first] = this.#blocks;
    const end = this.#blocks.length === 1 ? this.#end : first.length;
    const bytes = first.subarray(this.#at, Math.min(end, this.#at + most));
    this.#at += bytes.length;
    this.length -= bytes.length;
    if (this.#at === end) {
      this.#blocks.shift();
      this.#at = 0;
    }
    return bytes;
  }
}
