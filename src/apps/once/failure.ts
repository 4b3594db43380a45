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

/** A system error in words, without the path. */
export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    EPERM: 'not permitted',
    ENOENT: 'no such file or directory',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of its path is no directory',
    EADDRINUSE: 'it is in use',
    EADDRNOTAVAIL: 'this machine has no such address',
    ENOTFOUND: 'no such host',
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'the file is too large',
    EPIPE: 'nobody reads it any more',
    EROFS: 'the file system is read-only',
    EIO: 'input/output error',
  };
  return (code && words[code]) || message;
}
