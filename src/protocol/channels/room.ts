// Room: what a relay may hold for one connection that does not read, shared by all circuits that lead there.
import type { Backlog } from './backlog.ts';
import type { Window } from './window.ts';

/**
 * Bytes that may wait here in each direction of a circuit whose two ends both wait to write. sshd's window is as large, and it
 * has it open whether or not what is behind it reads.
 */
const CROSSED = 2 * 1024 * 1024;

/**
 * Bytes for one connection: so much is promised to the senders of all its circuits, waits in backlogs, or waits for its socket.
 * Twice what one circuit can need (a window, MAX_AHEAD, and a socket's mark), so that one alone has all it wants.
 */
const TOTAL = 24 * 1024 * 1024;
/** Where there may be many more channels than usual, as between switchboards: so many bytes for each of them. */
const PER_CHANNEL = 4096;
/**
 * What each circuit may have in any case, in bytes, so that none waits for another. For 1,024 of them 8 MiB beside TOTAL:
 * 32 MiB in all for a connection that stalls.
 */
const LEAST = 8 * 1024;

/** The end of a circuit, as far as `count` looks at it: see Channel. */
export interface Counted {
  readonly host: { readonly room: Room };
  readonly partner: Counted | undefined;
  readonly inbound: Window;
  readonly outbound: Window;
  readonly eofReceived: boolean;
  readonly closeSent: boolean;
  readonly backlog: Backlog | undefined;
  counted: number;
  countedAhead: number;
}

/** What one connection's receiver may have waiting for it; or, as `Mux.inbox`, what its channels that end here may hold. */
export class Room {
  /** Bytes that senders have been granted and not sent, and that wait in backlogs, of all circuits that lead here. */
  used = 0;
  /** The part of `used` that is ahead of what the receivers have room for. */
  ahead = 0;
  /** Bytes in all. */
  total = TOTAL;
  /** Bytes that each circuit may have besides. */
  least = LEAST;
  /** Bytes that may wait for each circuit whose two ends both wait to write. */
  crossed = CROSSED;
  /** Such circuits for which nothing is left: the end whose sender waits, and what is to be called when there is some again. */
  readonly waiting = new Map<Counted, () => void>();
  #retrying = false;
  readonly #host: { readonly queued: number };

  /** `queued`: bytes that wait for the connection's socket, or in it. */
  constructor(host: { readonly queued: number }) {
    this.#host = host;
  }

  /** There may be so many channels. */
  scale(channels: number): void {
    this.total = Math.max(TOTAL, PER_CHANNEL * channels);
  }

  /**
   * Bytes that a circuit may have which has `own` now: half of what the others leave. So one alone has more than it can use,
   * some have their full windows, and a hundred that stall share what there is.
   */
  share(own: number): number {
    return Math.max(this.least, Math.floor((this.total - this.#host.queued - this.used + own) / 2));
  }

  /**
   * Bytes that a circuit may be offered which begins, as one of `count`. What is offered cannot be taken back from circuits
   * that idle, so the first two get a whole window, and later ones less (in sum some third of the room): they have their
   * share when they use it.
   */
  first(count: number): number {
    return Math.min(this.share(0), Math.max(this.least, Math.floor(this.total / (2 * count * count))));
  }

  /** Bytes that a circuit may be ahead which is so by `own` now; all together never take more than half of the room. */
  mayBeAhead(own: number): number {
    return Math.max(0, Math.floor(this.total / 2) - this.ahead + own);
  }

  /**
   * Bytes that may still be given to circuits whose two ends both wait to write: of what nobody uses, and of the half for being
   * ahead. Not less what waits for the socket, a mark at most: it goes without a word, and those who wait here would not hear of it.
   */
  get left(): number {
    return Math.min(Math.floor(this.total / 2) - this.ahead, this.total - this.used);
  }

  /** Bytes that were promised come back. */
  give(bytes: number): void {
    this.used -= bytes;
    this.retry();
  }

  /** Calls those who wait for room, the longest waiting first, until none is left. */
  retry(): void {
    // Who is called counts what they get, and that comes back here.
    if (this.#retrying) return;
    this.#retrying = true;
    for (const [from, again] of this.waiting) {
      if (this.left <= 0) break;
      this.waiting.delete(from);
      again();
    }
    this.#retrying = false;
  }
}

/** // hot — Brings the far connection's account up to date for the direction from `from` to `to`. */
export function count(from: Counted, to: Counted): void {
  const { room } = to.host;
  const waiting = to.backlog === undefined ? 0 : to.backlog.length;
  // After EOF nothing comes any more, and what comes for a channel that is closed is dropped.
  const over = from.eofReceived || from.closeSent || to.closeSent;
  const held = over ? waiting : waiting + from.inbound.size;
  const ahead = Math.max(0, held - to.outbound.size);
  room.used += held - from.counted;
  room.ahead += ahead - from.countedAhead;
  from.counted = held;
  from.countedAhead = ahead;
  if (room.waiting.size === 0) return;
  if (over) room.waiting.delete(from);
  room.retry();
}

/** The same for both directions of a circuit, when something has ended. */
export function recount(channel: Counted): void {
  const { partner } = channel;
  if (partner === undefined) return;
  count(channel, partner);
  count(partner, channel);
}
