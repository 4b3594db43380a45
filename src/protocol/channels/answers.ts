// Replies leave in the order of their requests, however late each becomes known (RFC 4254 §4 and §5.4).
import { ProtocolError } from '../errors.ts';
import { isLater } from '../guard.ts';

/** A reply, now or later. */
export type Eventually<T> = T | PromiseLike<T>;

/** Requests of one peer that may be under consideration at once, wanting a reply or not; replies given at once never count. */
const MAX_PENDING = 256;

export class Answers<T> {
  readonly #send: (reply: T) => void;
  readonly #otherwise: T;
  readonly #fault: (error: unknown) => void;
  readonly #queue: { reply?: T; known: boolean }[] = [];
  /** Requests under consideration that want no reply. */
  #unasked = 0;

  /** `send` is called with each reply in turn; `otherwise` is the reply where a promise is rejected, and `fault` hears why. */
  constructor(send: (reply: T) => void, otherwise: T, fault: (error: unknown) => void) {
    this.#send = send;
    this.#otherwise = otherwise;
    this.#fault = fault;
  }

  /** What was decided on a request; `wanted`: its sender awaits a reply. @throws ProtocolError if too many are undecided */
  add(reply: Eventually<T>, wanted = true): void {
    const later = isLater(reply);
    if (!later && (!wanted || this.#queue.length === 0)) {
      if (wanted) this.#send(reply);
      return;
    }
    if (this.#queue.length + this.#unasked >= MAX_PENDING) throw new ProtocolError('too many requests at once');
    if (!wanted) {
      this.#unasked++;
      const decided = () => void this.#unasked--;
      if (later)
        reply.then(decided, (error: unknown) => {
          decided();
          this.#fault(error);
        });
      return;
    }
    const entry: { reply?: T; known: boolean } = later ? { known: false } : { reply, known: true };
    this.#queue.push(entry);
    if (!later) return;
    const settle = (value: T) => {
      entry.reply = value;
      entry.known = true;
      this.#flush();
    };
    reply.then(settle, (error: unknown) => {
      settle(this.#otherwise);
      this.#fault(error);
    });
  }

  #flush(): void {
    while (this.#queue[0]?.known) this.#send(this.#queue.shift()!.reply as T);
  }
}
