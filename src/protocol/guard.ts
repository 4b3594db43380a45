// Calling what belongs to the owner of a connection: a handler that fails must not take with it who has called.

/** A value, now or later. */
type Maybe<T> = T | PromiseLike<T>;

/** Whether it is a promise, of whatever make. */
export function isLater<T>(given: Maybe<T>): given is PromiseLike<T> {
  return typeof (given as PromiseLike<T> | undefined)?.then === 'function';
}

/** Calls a handler whose answer nobody awaits. What it throws, or its promise is rejected with, is for `failed`. */
export function guarded(handler: () => unknown, failed: (error: unknown) => void): void {
  try {
    const given = handler();
    if (isLater(given)) given.then(undefined, failed);
  } catch (error) {
    failed(error);
  }
}
