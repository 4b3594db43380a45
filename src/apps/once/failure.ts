// Why the program ends without a session, or with one that was cut short: one line for standard error, and the exit code.

/** Its message is complete, as the specification words it. */
export class OnceError extends Error {
  /** The exit code. */
  readonly status: number;
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}
