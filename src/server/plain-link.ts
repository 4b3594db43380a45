// Channels without SSH's transport: a Mux on a socket between processes of one machine that trust each other. Each message is a string (RFC 4251 §5).
import type { Opener } from '../crypto/provider.ts';
import { Account } from '../protocol/account.ts';
import { Mux, type MuxOptions } from '../protocol/channels/mux.ts';
import { Disconnect, DisconnectError, ProtocolError } from '../protocol/errors.ts';
import { FrameReader } from '../protocol/transport/frames.ts';
import { MAX_PACKET } from '../protocol/wire/framing.ts';
import { Packet, readUint32, release, writeUint32 } from '../protocol/wire/packet.ts';
import { SOCKET_MARK } from './drive.ts';
import type { Socket } from './runtime/net.ts';

/** What a link is made with. */
export interface PlainLinkOptions extends MuxOptions {
  /** A handler has failed: a fault of this program. Must not throw itself. */
  fault?(error: unknown): void;
}

/**
 * One end. It keeps to the same marks as a connection and its driver do, but for one: it never stops reading. What may wait
 * besides the data that windows bound are answers, a few for each channel, and `maxChannels` bounds those.
 */
export class PlainLink {
  /** The link's channels and global requests. */
  readonly mux: Mux;
  /** Resolves to the reason when it is over; its channels have ended by then. */
  readonly closed: Promise<Error>;
  readonly #socket: Socket;
  readonly #frames = new FrameReader(opener);
  #output: Uint8Array[] = [];
  #outputBytes = 0;
  #scheduled = false;
  #socketFull = false;
  /** Somebody was told that we are congested and waits for `Mux.relieved`. */
  #askedToWait = false;
  #error: Error | undefined;
  #over!: (error: Error) => void;
  readonly #flush = () => this.flush();

  /** Takes over a connected socket. */
  constructor(socket: Socket, options: PlainLinkOptions) {
    this.#socket = socket;
    this.closed = new Promise(resolve => (this.#over = resolve));
    const link = this;
    this.mux = new Mux(options, {
      get congested() {
        return link.congested;
      },
      roundTrip: 0,
      get queued() {
        return link.#outputBytes + link.#socket.pending;
      },
      // What the clients of another process may ask for is counted there.
      account: new Account(Infinity),
      send: packet => this.#send(packet),
      fault: error => options.fault?.(error),
    });
    socket.start({
      borrows: true,
      data: (chunk, lent) => this.#receive(chunk, lent),
      end: () => this.#end(new DisconnectError('the other end closed the link', Disconnect.CONNECTION_LOST)),
      drain: this.#flush,
      close: error => this.#end(error ?? new DisconnectError('the link was closed', Disconnect.CONNECTION_LOST)),
    });
  }

  /** Whether data for the other end should wait; asking marks, as with `Connection.congested`. */
  get congested(): boolean {
    const congested = this.#socketFull || this.#outputBytes >= SOCKET_MARK;
    if (congested) this.#askedToWait = true;
    return congested;
  }

  /** Ends it, and its channels, at once. */
  close(reason = 'closed'): void {
    this.#end(new DisconnectError(reason, Disconnect.BY_APPLICATION));
  }

  /** // hot */
  #receive(chunk: Uint8Array, lent?: boolean): void {
    try {
      this.#frames.push(chunk, lent);
      while (this.#error === undefined) {
        const packet = this.#frames.next();
        if (packet === undefined) break;
        this.mux.receive(packet);
      }
      if (lent) this.#frames.keep();
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** // hot */
  #send(packet: Packet): void {
    if (this.#error !== undefined) return;
    const { length } = packet;
    // Memory of its own, which goes round: the socket gives it back (see `release`), and the packet's is given back here.
    const frame = new Uint8Array(4 + length);
    writeUint32(frame, 0, length);
    frame.set(packet.payload, 4);
    if (packet.owned) release(packet.bytes);
    this.#output.push(frame);
    this.#outputBytes += frame.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  /** // hot — Writes what there is, in one go; called at the end of each tick that has sent something, and when the socket has drained. */
  flush(): void {
    this.#scheduled = false;
    if (this.#error !== undefined) return;
    const chunks = this.#output;
    this.#output = [];
    this.#outputBytes = 0;
    if (chunks.length > 0) this.#socket.write(chunks);
    this.#socketFull = this.#socket.pending > SOCKET_MARK;
    if (this.#socketFull || !this.#askedToWait) return;
    this.#askedToWait = false;
    try {
      this.mux.relieved();
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #end(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#output = [];
    // First, so that who waits for the end hears of it before anybody who had a channel does something about it.
    this.#over(error);
    this.mux.destroy(error);
    this.#socket.destroy();
  }
}

/** Takes each message into memory of its own, with the room that a cipher wants around it. */
const opener: Opener = {
  headLength: 4,
  copiesFrom: 0,
  frameLength(bytes, at) {
    const length = readUint32(bytes, at);
    // Memory; and without a number it is no message.
    if (length === 0 || length > MAX_PACKET) throw new ProtocolError(`a message of ${length} bytes`);
    return 4 + length;
  },
  // hot
  open(bytes, start, end) {
    const packet = Packet.alloc(end - start - 4);
    packet.bytes.set(bytes.subarray(start + 4, end), packet.start);
    return packet;
  },
};
