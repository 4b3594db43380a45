// The account of one connection: what its peer makes us remember, in bytes as memory is really used.
import { ProtocolError } from './errors.ts';

/**
 * What a small piece of memory costs beside its bytes: the objects around it and the allocator's part. Measured on Node 20:
 * 216 bytes for a Uint8Array of 16, 285 for one of 100 with a view, 330 for a packet without contents.
 */
export const OVERHEAD = 256;
/** What a question costs that waits for its answer: a promise, its callbacks, the object for the reply (392 bytes on Node 20). */
export const QUESTION = 512;
/**
 * Answers that may wait for a peer that does not read, in bytes; beyond, nothing more is read from it. Some 7,000 of the
 * small ones, where a client seldom has ten under way.
 */
export const ANSWERS_MARK = 256 * 1024;
/**
 * All that may wait on behalf of one peer. Answers alone stay near the mark, because reading stops; the rest waits for
 * the end of a key exchange or for a decision, for which reading has to go on. Some 10,000 small messages or requests.
 */
export const ACCOUNT_LIMIT = 4 * 1024 * 1024;

/** One connection's account. Channel data is not in it: windows and `Room` bound that. */
export class Account {
  /** Bytes of answers that are sealed and wait for the socket. */
  answers = 0;
  /** Bytes of what waits for something else than the peer's reading: the end of a key exchange, a decision, an earlier reply. */
  kept = 0;
  readonly #limit: number;

  /** `limit`: bytes beyond which the connection ends; Infinity where the peer is one of our own processes. */
  constructor(limit: number = ACCOUNT_LIMIT) {
    this.#limit = limit;
  }

  /** No more is to be read from the peer before it has read. */
  get full(): boolean {
    return this.answers > ANSWERS_MARK;
  }

  /** Whether so many bytes more are within the limit. */
  fits(bytes: number): boolean {
    return this.answers + this.kept + bytes <= this.#limit;
  }

  /** Bytes are kept until they are given to `drop`. @throws ProtocolError beyond the limit, with `what` waits */
  keep(bytes: number, what: string): void {
    // Memory.
    if (!this.fits(bytes)) throw new ProtocolError(`too many ${what}`);
    this.kept += bytes;
  }

  /** The end of `keep`. */
  drop(bytes: number): void {
    this.kept -= bytes;
  }
}
