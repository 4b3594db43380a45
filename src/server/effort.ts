// What strangers may have a server compute: exchanges of keys that cost it far more than a client that computes nothing are rationed.

/**
 * Work (`KexAlgorithm.work`) for all connections in a second: one of diffie-hellman-group18, five of group16, 32 of group14. That is
 * some 2 % of a core on Node, 5 to 10 % on Bun. They are for peers without elliptic curves, which are rare: every OpenSSH since 5.7 has
 * those. What is not rationed costs a server 0.1 to 4 ms (a signature by RSA of 3072 bits 1.4, ML-KEM and sntrup761 up to 4), once
 * for each connection before sign-in, about as much as the connection itself; and the client's half costs the client as much.
 */
export const WORK_PER_SECOND = 32;

interface Waiting {
  readonly work: number;
  readonly goOn: () => void;
  readonly gone: () => boolean;
}

/** Gives out the work of a server, second by second. Sources take turns, so that one that floods waits for itself. */
export class Effort {
  #left = WORK_PER_SECOND;
  /** By source, the next one first. */
  readonly #waiting = new Map<string, Waiting[]>();

  /** `goOn` is called when there is that much left, now or in a later second; not at all if it is `gone` by then. */
  ask(source: string, work: number, goOn: () => void, gone: () => boolean): void {
    const one = { work, goOn, gone };
    if (this.#waiting.size === 0 && this.#affords(work)) return this.#spend(one);
    const those = this.#waiting.get(source);
    if (those === undefined) this.#waiting.set(source, [one]);
    else those.push(one);
  }

  /** Exchanges that wait; those of connections that are gone are forgotten with the next second. */
  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, those) => sum + those.length, 0);
  }

  /** A second has passed. */
  tick(): void {
    this.#left = WORK_PER_SECOND;
    // Wherever they stand: what is kept for one that is gone is its whole connection.
    for (const [source, those] of this.#waiting) {
      const there = those.filter(({ gone }) => !gone());
      if (there.length > 0) this.#waiting.set(source, there);
      else this.#waiting.delete(source);
    }
    for (const [source, [next, ...rest]] of this.#waiting) {
      if (!this.#affords(next.work)) return;
      // To the end of the line, which this loop then comes to again.
      this.#waiting.delete(source);
      if (rest.length > 0) this.#waiting.set(source, rest);
      if (!next.gone()) this.#spend(next);
    }
  }

  /** What is more than there ever is may take a second for itself. */
  #affords(work: number): boolean {
    return work <= this.#left || this.#left === WORK_PER_SECOND;
  }

  #spend({ work, goOn }: Waiting): void {
    this.#left -= work;
    goOn();
  }
}
