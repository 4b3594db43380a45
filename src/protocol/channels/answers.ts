// Replies leave in the order of their requests, however late each becomes known (RFC 4254 §4 and §5.4).
import { Account, OVERHEAD, QUESTION } from '../account.ts';
import { ProtocolError } from '../errors.ts';
import { isLater } from '../guard.ts';

/** A reply, now or later. */
export type Eventually<T> = T | PromiseLike<T>;

/** Requests of one peer that may be under consideration at once, wanting a reply or not; replies given at once never count. */
export const MAX_PENDING = 256;

export class Answers<T> {
  readonly #send: (reply: T) => void;
  readonly #otherwise: T;
  readonly #fault: (error: unknown) => void;
  readonly #account: Account;
  /** `cost`: what is in the account for it. */
  readonly #queue: { reply?: T; known: boolean; cost: number }[] = [];
  /** Requests under consideration that want no reply. */
  #unasked = 0;

  /** `send` is called with each reply in turn; `otherwise` is the reply where a promise is rejected, and `fault` hears why. */
  constructor(send: (reply: T) => void, otherwise: T, fault: (error: unknown) => void, account = new Account()) {
    this.#send = send;
    this.#otherwise = otherwise;
    this.#fault = fault;
    this.#account = account;
  }

  /**
   * What was decided on a request; `wanted`: its sender awaits a reply; `bytes`: what is remembered of it until it is decided.
   * @throws ProtocolError if too many are undecided, or their replies too large
   */
  add(reply: Eventually<T>, wanted = true, bytes = 0): void {
    const later = isLater(reply);
    if (!later && (!wanted || this.#queue.length === 0)) {
      if (wanted) this.#send(reply);
      return;
    }
    // Memory: what is undecided is remembered.
    if (this.#queue.length + this.#unasked >= MAX_PENDING) throw new ProtocolError('too many requests at once');
    const cost = later ? QUESTION + bytes : OVERHEAD + sizeOf(reply);
    this.#account.keep(cost, 'requests at once');
    if (!wanted) {
      this.#unasked++;
      const decided = () => {
        this.#unasked--;
        this.#account.drop(cost);
      };
      if (later)
        reply.then(decided, (error: unknown) => {
          decided();
          this.#fault(error);
        });
      return;
    }
    const entry: { reply?: T; known: boolean; cost: number } = later
      ? { known: false, cost }
      : { reply, known: true, cost };
    this.#queue.push(entry);
    if (!later) return;
    const settle = (value: T) => {
      entry.reply = value;
      entry.known = true;
      this.#account.drop(entry.cost);
      entry.cost = OVERHEAD + sizeOf(value);
      // Not `keep`: who decides must not hear that the peer asks too much.
      this.#account.kept += entry.cost;
      this.#flush();
    };
    reply.then(settle, (error: unknown) => {
      settle(this.#otherwise);
      this.#fault(error);
    });
  }

  #flush(): void {
    while (this.#queue[0]?.known) {
      const { reply, cost } = this.#queue.shift()!;
      this.#account.drop(cost);
      this.#send(reply as T);
    }
  }
}

const sizeOf = (reply: unknown): number => (reply instanceof Uint8Array ? reply.length : 0);
