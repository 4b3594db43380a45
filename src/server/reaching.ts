// How forwarding reaches a target whose addresses are known, and how it gives up when nobody waits any more.
import { connect, type Socket } from './runtime/net.ts';

/** Milliseconds after which the next address is tried: one that leads nowhere takes the system two minutes. */
const NEXT_AFTER = 5000;

/**
 * Connects to the first of the addresses that answers; to no other address, and without looking anything up.
 * @param signal gives up when it is aborted, and throws its reason
 * @throws the system's error for the last of them
 */
export async function connectFirst(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  for (const address of addresses.slice(0, -1)) {
    const stop = AbortSignal.timeout(NEXT_AFTER);
    try {
      return await connect(address, port, signal === undefined ? stop : AbortSignal.any([signal, stop]));
    } catch {
      signal?.throwIfAborted();
    }
  }
  return connect(addresses[addresses.length - 1], port, signal);
}

/** Whose end gives up what is being done for them: one signal each, however much that is. */
export class Ends {
  readonly #signals = new WeakMap<object, AbortSignal>();

  /** Aborted when `one` is closed. */
  of(one: { readonly closed: Promise<Error> }): AbortSignal {
    let signal = this.#signals.get(one);
    if (signal === undefined) {
      const end = new AbortController();
      ({ signal } = end);
      this.#signals.set(one, signal);
      const abort = (error?: unknown) => end.abort(error);
      one.closed.then(abort, abort);
    }
    return signal;
  }
}
