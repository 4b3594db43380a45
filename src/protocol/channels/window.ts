// One credit counter of a channel (RFC 4254 §5.2): bytes that one side may still send.
import { ProtocolError } from '../errors.ts';

/** RFC 4254 §5.2: a window never exceeds 2^32 − 1 bytes. */
const MAX_WINDOW = 0xffffffff;

export class Window {
  /** Bytes left. */
  size: number;

  constructor(size: number) {
    this.size = size;
  }

  /** // hot — Uses up credit. @throws ProtocolError if there is not enough: the sender overran the window */
  spend(bytes: number): void {
    // Windows, and so memory: what came cannot be taken back, and to drop it would leave a hole in the stream. OpenSSH ends it, too, since 9.7.
    if (bytes > this.size) throw new ProtocolError(`${bytes} bytes of data into a window of ${this.size}`);
    this.size -= bytes;
  }

  /** Adds credit. @throws ProtocolError beyond 2^32 − 1 */
  grant(bytes: number): void {
    // Windows: both ends would count another one. OpenSSH ends the connection as well.
    if (bytes > MAX_WINDOW - this.size) throw new ProtocolError('a window was raised beyond 2^32 - 1');
    this.size += bytes;
  }
}
