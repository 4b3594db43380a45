// A channel joined to a TCP socket, with backpressure both ways and half-close (EOF ≠ CLOSE).
import type { Channel, ChannelHandler } from '../protocol/channels/channel.ts';
import { concat } from '../protocol/wire/reader.ts';
import { SOCKET_MARK } from './drive.ts';
import type { Socket } from './runtime/net.ts';

/** One half of the join: the handler for a channel that is yet to be opened. Call `join` once it is. */
export class SocketJoin {
  /** Give to `accept` or `open`. */
  readonly handler: ChannelHandler;
  readonly #socket: Socket;
  #channel: Channel | undefined;
  /** Bytes from the socket that the channel would not take yet. */
  #left: Uint8Array = new Uint8Array(0);
  #socketEnded = false;
  #socketClosed = false;
  /** The socket has failed: what came from it may be half of a whole. */
  #socketFailed = false;
  /** So may what the channel has brought: the socket ends with a reset, when all of it has left. */
  #cut = false;
  /** Bytes for the socket, until the end of this tick: one write, however many packets they came in. */
  #gathered: Uint8Array[] = [];
  /** Bytes for the socket that still want credit. */
  #uncredited = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.handler = {
      data: (bytes, type) => {
        if (type !== 0) return this.#channel?.consumed(bytes.length);
        if (this.#gathered.push(bytes.slice()) === 1) queueMicrotask(() => this.#flush());
      },
      eof: () => {
        this.#flush();
        socket.end();
      },
      writable: () => this.#push(),
      closed: () => {
        this.#flush();
        this.#cut = this.#channel?.cut ?? false;
        // An end in order would say that this is all.
        if (!this.#cut) socket.end();
        socket.resume();
        if (socket.pending === 0) this.#destroy();
      },
    };
  }

  /** Begins to pass bytes on, both ways; from now on each ends with the other. */
  join(channel: Channel): void {
    this.#channel = channel;
    this.#socket.start({
      borrows: true,
      data: (chunk, lent) => {
        // Nobody is left to read it.
        if (channel.closeSent) return;
        const alone = this.#left.length === 0;
        this.#left = alone ? chunk : concat(this.#left, chunk);
        this.#push();
        // What the channel did not take is ours only as a copy.
        if (lent && alone) this.#left = this.#left.slice();
      },
      end: () => {
        this.#socketEnded = true;
        this.#push();
      },
      drain: () => {
        this.#credit();
        if (channel.closeSent) this.#destroy();
      },
      // What came before is still delivered: the channel may have had no room for it.
      close: error => {
        this.#socketFailed = error !== undefined;
        this.#socketEnded = true;
        this.#socketClosed = true;
        this.#push();
      },
    });
  }

  #destroy(): void {
    if (this.#cut && this.#socket.reset !== undefined) this.#socket.reset();
    else this.#socket.destroy();
  }

  #flush(): void {
    if (this.#gathered.length === 0) return;
    // Before they are written: a socket may take the memory away at once.
    for (const { length } of this.#gathered) this.#uncredited += length;
    this.#socket.write(this.#gathered);
    this.#gathered = [];
    this.#credit();
  }

  #credit(): void {
    if (this.#uncredited === 0 || this.#socket.pending > SOCKET_MARK) return;
    this.#channel?.consumed(this.#uncredited);
    this.#uncredited = 0;
  }

  #push(): void {
    const channel = this.#channel;
    if (channel === undefined || channel.closeSent) return;
    if (!channel.eofSent) {
      if (this.#left.length > 0) this.#left = this.#left.subarray(channel.write(this.#left));
      if (this.#left.length > 0) return this.#socket.pause();
      this.#socket.resume();
      // CLOSE without EOF: see `Channel.cut`.
      if (this.#socketFailed) return channel.close();
      if (this.#socketEnded) channel.eof();
    }
    // Both directions have ended: so does the channel.
    if (channel.eofSent && (channel.eofReceived || this.#socketClosed)) channel.close();
  }
}
