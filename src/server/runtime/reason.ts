// Human-readable messages for system error codes.

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOENT: 'no such file or directory',
  EEXIST: 'there is a file of that name',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
  EADDRINUSE: 'the port is in use',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by peer',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EAI_AGAIN: 'the name cannot be looked up now',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'no such host',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is too large',
  EPIPE: 'nobody reads it any more',
  EROFS: 'the file system is read-only',
  EIO: 'input/output error',
};

/** The same for a peer: nothing but words of ours, because any other message may name addresses and paths. */
export function reasonForPeer(error: unknown): string {
  return WORDS[(error as NodeJS.ErrnoException).code ?? ''] ?? 'connection failed';
}

/** An error of the system without the path or address, which whoever asks names themselves: "permission denied". Any other's message. */
export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code && WORDS[code]) || message;
}
