// How the switchboard's processes end: SIGINT and SIGTERM close orderly, a second one at once.

/** Ends the process once `close` is done, for a signal or when the function that is returned is called. */
export function stopOnSignals(close: () => Promise<void>): () => void {
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void close().then(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stop();
    });
  }
  return stop;
}
