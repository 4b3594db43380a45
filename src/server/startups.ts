// Connections that have not signed in, each counted with its source (MaxStartups of sshd_config(5)): one address cannot take the places of all others.
import type { Random } from '../crypto/provider.ts';
import { dropsEarly, isLoopback, type StartupLimits, sourceOf } from './penalties.ts';

/**
 * Where sshd refuses whoever comes when there are too many, here somebody goes: of the source that has the most, the one that has
 * waited longest. Who signs in needs a second or so; who only takes a place stays until then. So an address that floods drives out
 * itself, and those behind one NAT have, all together, what one source may have: as much as the others leave.
 */
export class Startups<T> {
  readonly #limits: StartupLimits;
  readonly #random: Random;
  /** By source; those that have waited longest first, with a number that counts up. */
  readonly #sources = new Map<string, Map<T, number>>();
  #last = 0;
  /** Connections that have not signed in. */
  size = 0;

  constructor(limits: StartupLimits, random: Random) {
    this.#limits = limits;
    this.#random = random;
  }

  /**
   * Whether one more from this address is refused at random, by what its source has already. Loopback is spared: there everybody
   * shares an address, as behind a proxy.
   */
  refuses(address: string): boolean {
    if (isLoopback(address)) return false;
    return dropsEarly(this.#sources.get(sourceOf(address))?.size ?? 0, this.#limits, this.#random);
  }

  /** One more has come. @returns who has to go for that, if there are too many now; it is counted no longer */
  add(address: string, one: T): T | undefined {
    const source = sourceOf(address);
    let those = this.#sources.get(source);
    if (those === undefined) {
      those = new Map();
      this.#sources.set(source, those);
    }
    those.set(one, ++this.#last);
    this.size++;
    if (this.size <= this.#limits.full) return undefined;
    const gone = this.#longestOfBusiest();
    this.delete(gone.source, gone.one);
    return gone.one;
  }

  /** It has signed in, or is gone; `address` is its address, or its source. False if it is not counted (any more). */
  delete(address: string, one: T): boolean {
    const source = this.#sources.has(address) ? address : sourceOf(address);
    const those = this.#sources.get(source);
    if (those?.delete(one) !== true) return false;
    this.size--;
    if (those.size === 0) this.#sources.delete(source);
    return true;
  }

  /** Of several sources that are the busiest, that of the one that has waited longest. */
  #longestOfBusiest(): { source: string; one: T } {
    let [most, least] = [0, Infinity];
    let found: { source: string; one: T } | undefined;
    for (const [source, those] of this.#sources) {
      const [[one, number]] = those;
      if (those.size < most || (those.size === most && number > least)) continue;
      [most, least] = [those.size, number];
      found = { source, one };
    }
    return found!;
  }
}
