// Repeats an operation in batches until its cost stands out from the clock's, and tells what one costs.

/** Does an operation `count` times. @returns the CPU µs of each of its parts, always in the same order */
export type Batch = (count: number) => readonly number[];

export interface Sampling {
  /** Batches that count. */
  readonly samples: number;
  /** CPU µs that a batch is to take. */
  readonly target: number;
  /** CPU µs of batches that do not count, for the compiler. */
  readonly warmUp: number;
  /** CPU µs after which it is enough, with the samples that there are by then: one at least. */
  readonly limit: number;
  /** The largest batch, where memory bounds it. */
  readonly most?: number;
}

/** By part, what one operation cost in each sample, in CPU µs. */
export function sample(batch: Batch, options: Sampling): number[][] {
  const { samples, target, warmUp, limit, most = Number.MAX_SAFE_INTEGER } = options;
  let count = 1;
  let spent = 0;
  const run = () => {
    const costs = batch(count);
    // A batch may be too short for the clock to notice.
    const total = Math.max(
      1,
      costs.reduce((all, cost) => all + cost, 0),
    );
    spent += total;
    return { costs, total };
  };
  while (spent < warmUp) {
    const { total } = run();
    // Not by more than tenfold at once: the first batches are the dearest, and one that the clock missed tells nothing.
    count = Math.max(1, Math.min(most, count * 10, Math.round((count * target) / total)));
  }
  const parts: number[][] = [];
  for (let i = 0; i < samples && (i === 0 || spent < limit); i++) {
    for (const [part, cost] of run().costs.entries()) (parts[part] ??= []).push(cost / count);
  }
  return parts;
}

/** CPU µs of this process, its helper threads (collector, compiler) included, that `body` takes. */
export function cpuTime(body: () => void): number {
  const before = process.cpuUsage();
  body();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
