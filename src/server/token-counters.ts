// Counters of security tokens (WebAuthn Level 2 §6.1.1): each signature has a higher number, so one that comes twice is from a copy of the token.

/** Keys that are remembered, some 200 bytes each; beyond, those that have not signed for the longest are forgotten. */
const MAX_KEYS = 65_536;
/** Numbers below the highest that may still come, once each: sign-ins that are under way at the same time arrive in any order. */
const LATE = 31;

interface Seen {
  readonly highest: number;
  /** Bit i stands for `highest - i`. */
  readonly bits: number;
}

/** What the tokens have counted so far, in memory: it begins anew with the process. */
export class TokenCounters {
  /** In the order of their last signatures. */
  readonly #seen = new Map<string, Seen>();

  /**
   * Notes the number of a signature that has been verified. False if a token that made the ones before cannot have made this:
   * it has come already, or is far behind. A token that does not count says 0 each time, and is taken for that.
   * @param key anything that stands for the key, such as its fingerprint
   */
  note(key: string, counter: number): boolean {
    const before = this.#seen.get(key);
    if (before === undefined && counter === 0) return true;
    const after = before === undefined ? { highest: counter, bits: 1 } : next(before, counter);
    if (after === undefined) return false;
    this.#seen.delete(key);
    if (this.#seen.size >= MAX_KEYS) this.#seen.delete(this.#seen.keys().next().value!);
    this.#seen.set(key, after);
    return true;
  }
}

function next({ highest, bits }: Seen, counter: number): Seen | undefined {
  const ahead = counter - highest;
  if (ahead > 0) return { highest: counter, bits: ahead > LATE ? 1 : (bits << ahead) | 1 };
  const bit = 1 << -ahead;
  return -ahead > LATE || counter === 0 || bits & bit ? undefined : { highest, bits: bits | bit };
}
