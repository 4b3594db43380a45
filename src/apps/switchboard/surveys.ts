// Surveys: one question to all workers, and what they answer, put together by the primary process.
import type { Snapshot } from './events.ts';

/** Milliseconds that a worker has to answer; one that hangs is left out. */
const PATIENCE = 2000;

/** A worker that may be asked. */
export interface Surveyed {
  readonly id: string;
  ask(survey: number): void;
}

interface Survey<Part> {
  /** Whose answers are missing. */
  readonly missing: Set<string>;
  /** By the worker's id. */
  readonly parts: Map<string, Part>;
  done(): void;
}

export class Surveys<Part> {
  readonly #open = new Map<number, Survey<Part>>();
  readonly #patience: number;
  #count = 0;

  /** `patience` in milliseconds. */
  constructor(patience = PATIENCE) {
    this.#patience = patience;
  }

  /** Resolves to the answers, by the workers' ids, when all have answered, are gone, or have had their time. */
  async take(workers: readonly Surveyed[]): Promise<Map<string, Part>> {
    const number = ++this.#count;
    const parts = new Map<string, Part>();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>(done => {
      this.#open.set(number, { missing: new Set(workers.map(({ id }) => id)), parts, done });
      timer = setTimeout(done, this.#patience);
      for (const { ask } of workers) ask(number);
      this.#check(number);
    });
    clearTimeout(timer);
    this.#open.delete(number);
    return parts;
  }

  /** A worker's answer. */
  hear(id: string, number: number, part: Part): void {
    const survey = this.#open.get(number);
    if (!survey?.missing.delete(id)) return;
    survey.parts.set(id, part);
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
