// The tally: how many connections and circuits each owner has, in all processes of a switchboard. It is kept by one of them, which the others ask.
import type { Eventually } from '../../protocol/index.ts';

/** What is counted. */
export type Thing = 'client' | 'circuit';

/** Somebody who is to have one more, and how many he may have; 0 is no limit. */
export interface Wish {
  readonly owner: string;
  readonly limit: number;
}

/** Who keeps the tally, or asks the process that does. */
export interface Counter {
  /** Counts one more thing, once for each owner; or nothing at all, and returns who has as many as he may have. */
  take(thing: Thing, wishes: readonly Wish[]): Eventually<string | undefined>;
  /** They have one less. */
  give(thing: Thing, owners: readonly string[]): void;
}

export class Tally {
  /** By thing and owner, then by the process that has them. */
  readonly #counts = new Map<string, Map<string, number>>();

  /** How one process counts. */
  for(place: string): Counter {
    return {
      take: (thing, wishes) => this.take(place, thing, wishes),
      give: (thing, owners) => this.give(place, thing, owners),
    };
  }

  take(place: string, thing: Thing, wishes: readonly Wish[]): string | undefined {
    const full = wishes.find(({ owner, limit }) => limit > 0 && this.#count(thing, owner) >= limit);
    if (full !== undefined) return full.owner;
    for (const owner of new Set(wishes.map(one => one.owner))) this.#add(place, thing, owner, 1);
    return undefined;
  }

  give(place: string, thing: Thing, owners: readonly string[]): void {
    for (const owner of new Set(owners)) this.#add(place, thing, owner, -1);
  }

  /** The process has died, with all that it had. */
  gone(place: string): void {
    for (const [key, counts] of this.#counts) if (counts.delete(place) && counts.size === 0) this.#counts.delete(key);
  }

  #count(thing: Thing, owner: string): number {
    let sum = 0;
    for (const count of this.#counts.get(keyOf(thing, owner))?.values() ?? []) sum += count;
    return sum;
  }

  #add(place: string, thing: Thing, owner: string, step: 1 | -1): void {
    const key = keyOf(thing, owner);
    const counts = this.#counts.get(key) ?? new Map<string, number>();
    const count = (counts.get(place) ?? 0) + step;
    if (count > 0) this.#counts.set(key, counts.set(place, count));
    else if (counts.delete(place) && counts.size === 0) this.#counts.delete(key);
  }
}

const keyOf = (thing: Thing, owner: string): string => `${thing} ${owner}`;
