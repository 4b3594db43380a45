// Surveys: what there is in all workers at one moment, asked for by one of them and put together by the primary process.
import type { Snapshot } from './events.ts';

/** Milliseconds that a worker has to answer; one that hangs is left out. */
const PATIENCE = 2000;

/** A worker that may be asked. */
export interface Surveyed {
  readonly id: string;
  ask(survey: number): void;
}

interface Survey {
  /** Whose answers are missing. */
  readonly missing: Set<string>;
  readonly parts: Snapshot[];
  done(): void;
}

export class Surveys {
  readonly #open = new Map<number, Survey>();
  #count = 0;

  /** Resolves when all have answered, are gone, or have had their time. */
  async take(workers: readonly Surveyed[]): Promise<Snapshot> {
    const number = ++this.#count;
    const parts: Snapshot[] = [];
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>(done => {
      this.#open.set(number, { missing: new Set(workers.map(({ id }) => id)), parts, done });
      timer = setTimeout(done, PATIENCE);
      for (const { ask } of workers) ask(number);
      this.#check(number);
    });
    clearTimeout(timer);
    this.#open.delete(number);
    return together(parts);
  }

  /** A worker's answer. */
  hear(id: string, number: number, part: Snapshot): void {
    const survey = this.#open.get(number);
    if (!survey?.missing.delete(id)) return;
    survey.parts.push(part);
    this.#check(number);
  }

  /** A worker has died. */
  gone(id: string): void {
    for (const [number, { missing }] of this.#open) if (missing.delete(id)) this.#check(number);
  }

  #check(number: number): void {
    const survey = this.#open.get(number);
    if (survey?.missing.size === 0) survey.done();
  }
}

/** Each worker knows the lines of all, and its own clients and circuits. */
export const together = (parts: readonly Snapshot[]): Snapshot => ({
  clients: parts.flatMap(({ clients }) => clients),
  lines: parts[0]?.lines ?? [],
  circuits: parts.flatMap(({ circuits }) => circuits),
});
