// A channel (RFC 4254 §5): two windows, and a life in two halves. EOF ends one direction, CLOSE ends the channel.

import type { Account } from '../account.ts';
import { ProtocolError, UsageError } from '../errors.ts';
import { isLater } from '../guard.ts';
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_FAILURE,
  CHANNEL_REQUEST,
  CHANNEL_SUCCESS,
  CHANNEL_WINDOW_ADJUST,
} from '../messages.ts';
import { encode, encodeGiven } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { Packet as PacketClass, writeUint32 } from '../wire/packet.ts';
import { Answers, type Eventually } from './answers.ts';
import type { Backlog } from './backlog.ts';
import { type Room, recount } from './room.ts';
import { Window } from './window.ts';

/** The window we offer on channels that we read ourselves, and the most that a spliced channel may have under way; OpenSSH's figure. */
export const WINDOW = 2 * 1024 * 1024;
/** The largest DATA payload we accept and send; OpenSSH's figure, RFC 4253 §6.1 obliges everyone to take it. */
export const MAX_DATA = 32 * 1024;
/** SSH_EXTENDED_DATA_STDERR (RFC 4254 §5.2). */
export const STDERR = 1;

/** A request that the peer makes on a channel (RFC 4254 §5.4). */
export interface ChannelRequest {
  /** Its name, printable ASCII: "exec", "signal". */
  readonly type: string;
  /** Whether the peer waits for an answer; without, what the handler returns goes nowhere. */
  readonly wantReply: boolean;
  /** Payload by type; a copy. */
  readonly data: Uint8Array;
}

/**
 * What the owner of a channel wants to hear. Each call is made from inside the protocol: return soon. A handler that throws, or
 * returns a promise that is rejected, fails: its request is refused, or its channel closed, and nothing else ends. A
 * ProtocolError thrown at once (as `unpack` does) says that the peer's message was malformed: it refuses a request, and
 * elsewhere ends the connection.
 */
export interface ChannelHandler {
  /** Bytes came (`type` 0, or STDERR). They are lent until this returns; tell `channel.consumed` once they have left you. */
  data?(bytes: Uint8Array, type: number): void;
  /** The peer sends no more. */
  eof?(): void;
  /** A request; true grants it. Without this, all are refused. */
  request?(request: ChannelRequest): Eventually<boolean>;
  /** `write` may take more. */
  writable?(): void;
  /** The channel is over. Called exactly once; with the connection's error if that has ended and taken the channel with it. */
  closed?(error?: Error): void;
}

/** What a channel needs of its connection. */
export interface ChannelHost {
  /** No more data should be queued for this peer now. Asking marks the asker for a `relieved` call. */
  readonly congested: boolean;
  /** Milliseconds to the peer and back; 0 while that is not known. */
  readonly roundTrip: number;
  /** What waits on behalf of its peer. */
  readonly account: Account;
  /** Bytes that wait for its socket, or in it. */
  readonly queued: number;
  /** What may be held for it by circuits. */
  readonly room: Room;
  /** What its channels that end here may hold: credit, and what has not been read. */
  readonly inbox: Room;
  send(packet: Packet): void;
  /** A handler has failed: a fault of this program. Does not throw. */
  fault(error: unknown): void;
  /** Takes a channel that is closed on both sides out of the table. */
  forget(channel: Channel): void;
}

export interface ChannelEnds {
  localId: number;
  remoteId: number;
  /** Bytes we let the peer send, bytes it lets us send, largest payload either way. */
  inbound: number;
  /** What `inbound` may grow to by use, if the inbox has room; 0: it stays, and is not counted there. */
  most: number;
  outbound: number;
  maxInbound: number;
  maxOutbound: number;
}

/**
 * An open channel. `write` with what it returns, and `consumed` for what `ChannelHandler.data` was lent, are the two halves of
 * flow control; whoever wants streams instead takes a `ChannelStream`.
 */
export class Channel {
  /** As it was opened: "session", "direct-tcpip". */
  readonly type: string;
  /** The connection, as far as a channel sees it. */
  readonly host: ChannelHost;
  /** The number by which the peer addresses it. */
  readonly localId: number;
  /** The number by which we address it. */
  readonly remoteId: number;
  /** Bytes that the peer may send now (RFC 4254 §5.2). */
  readonly inbound: Window;
  /** Bytes that we may send now. */
  readonly outbound: Window;
  /** Bytes in one message of data that the peer may send. */
  readonly maxInbound: number;
  /** Bytes in one message of data that we send: what the peer takes, and MAX_DATA at most. */
  readonly maxOutbound: number;
  /** We send no more data (RFC 4254 §5.3). */
  eofSent = false;
  /** The peer sends no more data. */
  eofReceived = false;
  /** We have sent CLOSE; nothing is sent after it. */
  closeSent = false;
  /** The peer has sent CLOSE. */
  closeReceived = false;
  /** It ended before the peer's EOF and before our CLOSE: what the peer has sent may be half of a whole. */
  cut = false;
  /** The other end of a splice: what comes here leaves there. */
  partner: Channel | undefined;
  /** What stands in the partner's room for what comes in here: see `count`. */
  counted = 0;
  /** The part of it that is ahead. */
  countedAhead = 0;
  /** The credit with which a circuit has begun, in bytes. */
  offered = 0;
  /** Bytes relayed to the partner. */
  relayed = 0;
  /** A relayed channel whose sender gets no more credit for now: see `hold`. */
  held = false;
  /** Relayed bytes for our peer that wait until the way is free; EOF and the end of the circuit wait behind them. */
  backlog: Backlog | undefined;

  /** Who hears what comes; may be exchanged for another. */
  handler: ChannelHandler;
  /** Credit given, and bytes not consumed yet; it may grow to `#most`. */
  #windowSize: number;
  readonly #most: number;
  #consumed = 0;
  #over = false;
  /** Our requests that await their reply. */
  readonly #asked: ((granted: boolean) => void)[] = [];
  readonly #answers: Answers<boolean>;

  constructor(type: string, host: ChannelHost, ends: ChannelEnds, handler: ChannelHandler) {
    this.type = type;
    this.host = host;
    this.localId = ends.localId;
    this.remoteId = ends.remoteId;
    this.inbound = new Window(ends.inbound);
    this.outbound = new Window(ends.outbound);
    this.maxInbound = ends.maxInbound;
    this.maxOutbound = Math.min(ends.maxOutbound, MAX_DATA);
    this.#windowSize = ends.inbound;
    this.#most = ends.most;
    if (ends.most > 0) host.inbox.used += ends.inbound;
    this.handler = handler;
    const answer = (granted: boolean) => {
      if (this.closeSent) return;
      const message = granted ? CHANNEL_SUCCESS : CHANNEL_FAILURE;
      this.host.send(encode(message, { recipient: this.remoteId }));
    };
    this.#answers = new Answers<boolean>(answer, false, error => host.fault(error), host.account);
  }

  /**
   * // hot — Sends as much of `bytes` as the peer's window and our output queue allow now; copies them.
   * @returns how many bytes were taken; after less than all, `handler.writable` tells when to go on
   * @throws UsageError after `eof` or `close`
   */
  write(bytes: Uint8Array, type = 0): number {
    if (this.eofSent) throw new UsageError('write after the end of the channel');
    if (this.closeSent) return 0;
    let sent = 0;
    while (sent < bytes.length && !this.host.congested) {
      const count = Math.min(bytes.length - sent, this.outbound.size, this.maxOutbound);
      if (count === 0) break;
      this.outbound.spend(count);
      this.sendData(bytes.subarray(sent, sent + count), type);
      sent += count;
    }
    return sent;
  }

  /** // hot — One message of data whose credit has been spent; copies `bytes`. For `write` and the relay. */
  sendData(bytes: Uint8Array, type = 0): void {
    const head = type === 0 ? 9 : 13;
    const packet = PacketClass.alloc(head + bytes.length);
    const { bytes: memory, start } = packet;
    memory[start] = type === 0 ? CHANNEL_DATA.number : CHANNEL_EXTENDED_DATA.number;
    writeUint32(memory, start + 1, this.remoteId);
    if (type !== 0) writeUint32(memory, start + 5, type);
    writeUint32(memory, start + head - 4, bytes.length);
    memory.set(bytes, start + head);
    this.host.send(packet);
  }

  /** `bytes` of received data have been used: gives the peer credit for them, in steps of half a window. */
  consumed(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed * 2 < this.#windowSize || this.eofReceived || this.closeSent) return;
    this.credit(this.#consumed + this.#grow());
    this.#consumed = 0;
  }

  /** Doubles a window that is used and has begun small, as far as there is room. @returns by how many bytes */
  #grow(): number {
    const size = this.#windowSize;
    if (size >= this.#most) return 0;
    const { inbox } = this.host;
    const more = Math.max(0, Math.min(this.#most, 2 * size, inbox.share(size)) - size);
    inbox.used += more;
    this.#windowSize += more;
    return more;
  }

  /** Lets the peer send `bytes` more. */
  credit(bytes: number): void {
    this.inbound.grant(bytes);
    this.host.send(encode(CHANNEL_WINDOW_ADJUST, { recipient: this.remoteId, bytes }));
  }

  /** We send no more; the other direction goes on. */
  eof(): void {
    if (this.eofSent || this.closeSent) return;
    if (this.backlog !== undefined) {
      this.backlog.eof = true;
      return;
    }
    this.eofSent = true;
    this.host.send(encode(CHANNEL_EOF, { recipient: this.remoteId }));
  }

  /** Ends both directions. */
  close(): void {
    if (this.closeSent) return;
    this.closeSent = true;
    this.backlog = undefined;
    recount(this);
    this.host.send(encode(CHANNEL_CLOSE, { recipient: this.remoteId }));
    if (this.closeReceived) this.end();
  }

  /** Sends a channel request; resolves to whether it was granted (false, too, if the channel ends before). @throws UsageError if it is too large for a packet */
  async request(type: string, data: Uint8Array): Promise<boolean> {
    if (this.closeSent || this.#over) return false;
    this.host.send(encodeGiven(CHANNEL_REQUEST, { recipient: this.remoteId, type, wantReply: true, data }));
    return new Promise(resolve => this.#asked.push(resolve));
  }

  /** Sends a channel request that wants no reply. @throws UsageError if it is too large for a packet */
  notify(type: string, data: Uint8Array): void {
    if (this.closeSent || this.#over) return;
    this.host.send(encodeGiven(CHANNEL_REQUEST, { recipient: this.remoteId, type, wantReply: false, data }));
  }

  // What follows is for the mux.

  /** CHANNEL_REQUEST: asks the handler, and answers in the order of the requests. */
  receiveRequest(request: ChannelRequest): void {
    // A byte stream that is relayed has no requests; they are refused here, not passed on.
    let reply: Eventually<boolean> = false;
    if (this.partner === undefined) {
      try {
        reply = this.handler.request?.(request) ?? false;
      } catch (error) {
        // What the peer has said may be wrong: that costs it the request.
        if (!(error instanceof ProtocolError)) this.host.fault(error);
      }
    }
    this.#answers.add(reply, request.wantReply, request.data.length);
  }

  /** A reply; has no effect if no request waits for one. */
  receiveReply(granted: boolean): void {
    this.#asked.shift()?.(granted);
  }

  /** CHANNEL_EOF: for the handler, or passed on by a splice. */
  receiveEof(): void {
    this.eofReceived = true;
    recount(this);
    if (this.partner !== undefined) this.partner.eof();
    // After our CLOSE the data before it was dropped: whoever heard EOF then would take what it has for the whole.
    else if (!this.closeSent) this.#tell('eof');
  }

  /** CHANNEL_CLOSE: answers it, and ends the channel. */
  receiveClose(): void {
    this.closeReceived = true;
    this.cut = !this.eofReceived && !this.closeSent;
    this.close();
    this.end();
  }

  /** The channel is over: closed on both sides, or the connection is gone, for the reason in `error`. */
  end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    if (error !== undefined) this.cut = !this.eofReceived && !this.closeSent;
    this.closeSent = true;
    this.backlog = undefined;
    if (this.#most > 0) this.host.inbox.used -= this.#windowSize;
    this.host.forget(this);
    for (const resolve of this.#asked.splice(0)) resolve(false);
    recount(this);
    const { partner } = this;
    if (partner !== undefined) {
      this.partner = undefined;
      if (partner.backlog !== undefined) partner.backlog.close = true;
      else partner.close();
    }
    this.#tell('closed', error);
  }

  /** Received data, for the handler: never more at once than `maxInbound`, whatever came in one message. */
  deliver(bytes: Uint8Array, type: number): void {
    const most = this.maxInbound || bytes.length;
    for (; bytes.length > most && !this.closeSent; bytes = bytes.subarray(most))
      this.#give(bytes.subarray(0, most), type);
    if (!this.closeSent) this.#give(bytes, type);
  }

  #give(bytes: Uint8Array, type: number): void {
    try {
      const given: unknown = this.handler.data?.(bytes, type);
      if (isLater(given)) given.then(undefined, this.#failed);
    } catch (error) {
      this.#threw(error);
    }
  }

  /** The handler may write more. */
  wake(): void {
    if (!this.closeSent) this.#tell('writable');
  }

  #tell(event: 'eof' | 'writable' | 'closed', why?: Error): void {
    try {
      const given: unknown = this.handler[event]?.(why);
      if (isLater(given)) given.then(undefined, this.#failed);
    } catch (error) {
      this.#threw(error);
    }
  }

  /** What the peer has done wrong is the connection's business, as long as there is one. */
  #threw(error: unknown): void {
    if (error instanceof ProtocolError && !this.#over) throw error;
    this.#failed(error);
  }

  /** A handler has failed: its channel ends, and whoever runs this program hears why. */
  readonly #failed = (error: unknown): void => {
    this.host.fault(error);
    this.close();
  };
}
