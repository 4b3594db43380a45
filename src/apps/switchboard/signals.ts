// What the switchboard's processes do on signals: SIGTERM ends them gracefully, SIGINT at once, a second one whatever happens; SIGHUP reads files again.

/**
 * Ends the process once `close` is done, for a signal or when the function that is returned is called; `gracefully` is for those
 * who are in the middle of something.
 */
export function stopOnSignals(close: (gracefully: boolean) => Promise<void>): (gracefully: boolean) => void {
  let stopping = false;
  const stop = (gracefully: boolean) => {
    if (stopping) return;
    stopping = true;
    const failed = (error: unknown) => {
      process.stderr.write(`cannot end in an orderly way: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    };
    close(gracefully).then(() => process.exit(0), failed);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stop(signal === 'SIGTERM');
    });
  }
  return stop;
}

/** Calls `reload` on SIGHUP. On a terminal that signal says that it is gone, and ends the process as it does any other. */
export function reloadOnSignal(reload: () => void): void {
  if (!process.stdout.isTTY) process.on('SIGHUP', reload);
}
