// The connection protocol (RFC 4254): the table of channels, opens in both directions, global requests.
import { QUESTION } from '../account.ts';
import {
  MAX_DESCRIPTION,
  OpenError,
  OpenFailure,
  type OpenFailureReason,
  ProtocolError,
  printable,
  UsageError,
} from '../errors.ts';
import { guarded, isLater } from '../guard.ts';
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_FAILURE,
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_OPEN_FAILURE,
  CHANNEL_REQUEST,
  CHANNEL_SUCCESS,
  CHANNEL_WINDOW_ADJUST,
  GLOBAL_REQUEST,
  PING,
  PONG,
  REQUEST_FAILURE,
  REQUEST_SUCCESS,
} from '../messages.ts';
import { decode, encode, encodeGiven, MAX_MESSAGE } from '../wire/codec.ts';
import { type Packet, readUint32 } from '../wire/packet.ts';
import { Answers, type Eventually, MAX_PENDING } from './answers.ts';
import { Channel, type ChannelHandler, type ChannelHost, MAX_DATA, WINDOW } from './channel.ts';
import { Room } from './room.ts';
import { flush, relay, splice, topUp } from './splice.ts';

/** Channels of one connection, both directions, opens under consideration included. A browser behind -D seldom holds more than a few hundred. */
const MAX_CHANNELS = 1024;

/** A request that concerns the whole connection (RFC 4254 §4). */
export interface GlobalRequest {
  /** Its name, printable ASCII: "tcpip-forward". */
  readonly type: string;
  /** Whether the peer waits for an answer; without, what the handler returns goes nowhere. */
  readonly wantReply: boolean;
  /** Payload by type; a copy. */
  readonly data: Uint8Array;
}
/** Refused, granted, or granted with data in the reply. */
export type GlobalReply = boolean | Uint8Array;

/** A peer's wish for a channel. Answer it once: accept, reject or forward, now or later. */
export interface ChannelOpen {
  /** Its name, printable ASCII: "session". */
  readonly type: string;
  /** Payload by type; a copy. */
  readonly data: Uint8Array;
  /** The peer or its connection has gone; an answer has no effect any more. */
  readonly gone: boolean;
  /**
   * `window`: bytes that the peer may send before `consumed` credits it; by default 2 MiB, which a connection's first channels
   * have at once and later ones by and by; `maxPacket`: bytes in one message, 32 KiB at most.
   */
  accept(handler: ChannelHandler, window?: number, maxPacket?: number): Channel;
  /** Refuses it; `message` is for people (RFC 4254 §5.1). */
  reject(reason: OpenFailureReason, message: string): void;
  /**
   * Opens a channel of `type` with `data` on another connection and, when it is confirmed, splices the two; a refusal
   * is passed back. Neither side is ever offered more than the other end has room for. `joined` hears of the two
   * channels once they are one circuit, `failed` that there will be none: one of them is called, once.
   */
  forward(
    to: Mux,
    type: string,
    data: Uint8Array,
    joined?: (near: Channel, far: Channel) => void,
    failed?: () => void,
  ): void;
}

/** Bytes of type and data that fit into CHANNEL_OPEN, beside its numbers. */
const MAX_OPEN = MAX_MESSAGE - 64;

export interface MuxOptions {
  readonly maxChannels?: number;
  /**
   * Asked for each channel the peer opens. Where it fails, that channel is refused, or closed if it has been accepted. A ProtocolError
   * that it throws at once (as `unpack` does) says that the payload makes no sense: the channel is refused, and it is no fault.
   */
  channelOpen(open: ChannelOpen): void | Promise<void>;
  /** Asked for each request of the peer. Where it fails, that request is refused; a ProtocolError as above. */
  globalRequest(request: GlobalRequest): Eventually<GlobalReply>;
}

interface PendingOpen {
  type: string;
  /** What has come before the confirmation: EOF, CLOSE, data that was dropped, requests that want a reply. */
  eof: boolean;
  close: boolean;
  lost: boolean;
  refusals: number;
  window: number;
  most: number;
  maxInbound: number;
  handler: ChannelHandler;
  opened(channel: Channel): void;
  failed(error: OpenError): void;
}

/** What the channels of one connection need of it. */
export type MuxHost = Omit<ChannelHost, 'forget' | 'room' | 'inbox'>;

/** The channels and global requests of one connection (RFC 4254 §4 and §5); most users go by way of `Connection`. */
export class Mux {
  readonly #options: MuxOptions;
  readonly #host: MuxHost;
  /** By local id. An id whose open awaits its confirmation holds the pending open. */
  readonly #channels: (Channel | PendingOpen | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** Channels and pending opens, ours and the peer's. */
  count = 0;
  /** What circuits may hold for the peer. */
  readonly room: Room;
  /** What the channels that end here may hold. */
  readonly inbox = new Room({ queued: 0 });
  #maxChannels!: number;
  #closed = false;
  readonly #asked: ((reply: GlobalReply) => void)[] = [];
  /** Our PINGs that await their PONG; they come in order. */
  readonly #pings: (() => void)[] = [];
  readonly #answers: Answers<GlobalReply>;
  readonly #channelHost: ChannelHost;

  constructor(options: MuxOptions, host: MuxHost) {
    this.#options = options;
    this.room = new Room(host);
    this.maxChannels = options.maxChannels ?? MAX_CHANNELS;
    this.#host = host;
    const answer = (reply: GlobalReply) => {
      // One that does not fit is a fault of this program, and costs the peer no more than its answer.
      const tooLarge = typeof reply !== 'boolean' && reply.length > MAX_MESSAGE;
      if (reply === false || tooLarge) host.send(encode(REQUEST_FAILURE, {}));
      else host.send(encode(REQUEST_SUCCESS, { data: reply === true ? new Uint8Array(0) : reply }));
    };
    this.#answers = new Answers<GlobalReply>(answer, false, error => host.fault(error), host.account);
    this.#channelHost = {
      get queued() {
        return host.queued;
      },
      account: host.account,
      room: this.room,
      inbox: this.inbox,
      get congested() {
        return host.congested;
      },
      get roundTrip() {
        return host.roundTrip;
      },
      send: packet => host.send(packet),
      fault: error => host.fault(error),
      forget: channel => this.#free(channel.localId),
    };
  }

  /** The most channels that there may be; may be changed once it is known who the peer is. */
  get maxChannels(): number {
    return this.#maxChannels;
  }

  set maxChannels(most: number) {
    this.#maxChannels = most;
    this.room.scale(most);
  }

  /** The open channels, as they are now. */
  get channels(): Channel[] {
    return this.#channels.filter(entry => entry instanceof Channel);
  }

  /** // hot — Takes ownership of `packet`. @throws ProtocolError */
  receive(packet: Packet): void {
    switch (packet.number) {
      case CHANNEL_DATA.number:
        return this.#data(packet);
      case CHANNEL_WINDOW_ADJUST.number:
        return this.#windowAdjust(packet);
      case CHANNEL_EXTENDED_DATA.number:
        return this.#extendedData(packet);
      case CHANNEL_EOF.number: {
        const channel = this.#channel(packet, 5);
        // A second one has no effect: Go's `CloseWrite` may be called twice. Nor is it passed on, on a circuit.
        if (channel?.eofReceived === false) channel.receiveEof();
        return;
      }
      case CHANNEL_CLOSE.number:
        return this.#channel(packet, 5)?.receiveClose();
      case CHANNEL_REQUEST.number:
        return this.#channelRequest(packet);
      case CHANNEL_SUCCESS.number:
      case CHANNEL_FAILURE.number:
        return this.#channelReply(packet);
      case CHANNEL_OPEN.number:
        return this.#channelOpen(packet);
      case CHANNEL_OPEN_CONFIRMATION.number:
        return this.#confirmation(packet);
      case CHANNEL_OPEN_FAILURE.number:
        return this.#openFailure(packet);
      case GLOBAL_REQUEST.number: {
        const { type, wantReply, data } = decode(GLOBAL_REQUEST, packet);
        this.#answers.add(this.#decide({ type, wantReply, data: data.slice() }), wantReply, data.length);
        return;
      }
      case REQUEST_SUCCESS.number:
        return this.#globalReply(decode(REQUEST_SUCCESS, packet).data.slice());
      case REQUEST_FAILURE.number:
        return this.#globalReply(false);
      case PING.number:
        return this.#host.send(encode(PONG, { data: decode(PING, packet).data.slice() }));
      case PONG.number:
        // One to no PING has no effect.
        return this.#pings.shift()?.();
    }
    // Unknown numbers have been answered with UNIMPLEMENTED below, where there is a transport: a plain link has no such message.
    throw new ProtocolError(`message ${packet.number} is not expected after sign-in`);
  }

  /** // hot — `byte 94, uint32 recipient, uint32 length, data` at fixed offsets. */
  #data(packet: Packet): void {
    const { bytes, start, end } = packet;
    const channel = this.#channel(packet);
    if (channel === undefined) return;
    // What cannot be read may be anything: a relay would pass on the fault, and OpenSSH drop a connection for it.
    if (end - start < 9) throw new ProtocolError('a DATA message is too short');
    const length = readUint32(bytes, start + 5);
    if (length !== end - start - 9) throw new ProtocolError('a DATA message has the wrong length');
    channel.inbound.spend(length);
    // After EOF data have no effect, like in OpenSSH: those before it are the whole.
    if (channel.closeSent || channel.eofReceived) return;
    if (channel.partner !== undefined) relay(channel, packet, length);
    else channel.deliver(bytes.subarray(start + 9, end), 0);
  }

  #extendedData(packet: Packet): void {
    const { bytes, start, end } = packet;
    const channel = this.#channel(packet);
    if (channel === undefined) return;
    // As for DATA.
    if (end - start < 13) throw new ProtocolError('an EXTENDED_DATA message is too short');
    const length = readUint32(bytes, start + 9);
    if (length !== end - start - 13) throw new ProtocolError('an EXTENDED_DATA message has the wrong length');
    channel.inbound.spend(length);
    if (channel.closeSent || channel.eofReceived) return;
    // A relayed byte stream has no second stream: dropped, and its credit comes back with the next top-up.
    if (channel.partner !== undefined) topUp(channel);
    else channel.deliver(bytes.subarray(start + 13, end), readUint32(bytes, start + 5));
  }

  /** // hot — `byte 93, uint32 recipient, uint32 bytes` at fixed offsets. */
  #windowAdjust(packet: Packet): void {
    // Credit that cannot be read: both ends would count another window.
    if (packet.end - packet.start !== 9) throw new ProtocolError('a WINDOW_ADJUST message has the wrong length');
    const channel = this.#channels[readUint32(packet.bytes, packet.start + 1)];
    // It may cross our CLOSE; like OpenSSH, ignored where the channel is gone, or is not confirmed: that says how large the window is.
    if (!(channel instanceof Channel)) return;
    channel.outbound.grant(readUint32(packet.bytes, packet.start + 5));
    if (channel.backlog !== undefined) flush(channel);
    if (channel.partner !== undefined) topUp(channel.partner);
    else channel.wake();
  }

  /**
   * // hot — The channel that a message 94–97 is for; `length` checks the whole payload's length. Undefined where we have asked for
   * that channel and the peer has not confirmed it yet: then what came is noted.
   */
  #channel(packet: Packet, length?: number): Channel | undefined {
    if (packet.length < 5 || (length !== undefined && packet.length !== length)) {
      // As for DATA.
      throw new ProtocolError(`message ${packet.number} has the wrong length`);
    }
    const id = readUint32(packet.bytes, packet.start + 1);
    const channel = this.#channels[id];
    if (channel instanceof Channel) return channel;
    if (channel === undefined) throw unknown(packet.number, id);
    if (packet.number === CHANNEL_EOF.number) channel.eof = true;
    else if (packet.number === CHANNEL_CLOSE.number) channel.close = true;
    // Dropped, so that nobody waits in memory for a confirmation; what comes later would be half of a whole.
    else channel.lost = true;
    return undefined;
  }

  #channelRequest(packet: Packet): void {
    const { recipient, type, wantReply, data } = decode(CHANNEL_REQUEST, packet);
    const channel = this.#channels[recipient];
    if (channel === undefined) {
      // Like ssh: some servers tell the exit status after CLOSE. One that wants a reply can have none, which breaks the order of replies.
      if (wantReply) throw unknown(packet.number, recipient);
      return;
    }
    if (channel instanceof Channel) {
      if (!channel.closeSent) channel.receiveRequest({ type, wantReply, data: data.slice() });
      return;
    }
    // Before the confirmation (Ruby's net-ssh sends `env`) it is refused, once we know whom to tell. OpenSSH fails if a reply is wanted.
    if (!wantReply) return;
    // Memory: each refusal waits until then.
    if (++channel.refusals > MAX_PENDING) throw new ProtocolError('too many requests at once');
  }

  #channelReply(packet: Packet): void {
    // Order: which question it answers cannot be told.
    if (packet.length < 5) throw new ProtocolError(`message ${packet.number} has the wrong length`);
    const channel = this.#channels[readUint32(packet.bytes, packet.start + 1)];
    // Like OpenSSH: it may have crossed our CLOSE, or nobody asked for it.
    if (channel instanceof Channel) channel.receiveReply(packet.number === CHANNEL_SUCCESS.number);
  }

  #globalReply(reply: GlobalReply): void {
    // Nobody asked for it: old dropbear and phpseclib answer what wants no reply. It has no effect, like in OpenSSH.
    this.#asked.shift()?.(reply);
  }

  // Opening, the peer's wish.

  #channelOpen(packet: Packet): void {
    const { type, sender, window, maxPacket, data } = decode(CHANNEL_OPEN, packet);
    const refuse = (reason: number, said: string) => {
      const description = said.slice(0, MAX_DESCRIPTION);
      this.#host.send(
        encode(CHANNEL_OPEN_FAILURE, { recipient: sender, reason, description, language: new Uint8Array(0) }),
      );
    };
    const { account } = this.#host;
    const cost = QUESTION + data.length;
    if (this.count >= this.maxChannels || !account.fits(cost)) {
      refuse(OpenFailure.RESOURCE_SHORTAGE, 'too many channels');
      return;
    }
    this.count++;
    account.kept += cost;
    let answered = false;
    let accepted: Channel | undefined;
    const answer = (): boolean => {
      const first = !answered && !this.#closed;
      if (!answered) {
        this.count--;
        account.drop(cost);
      }
      answered = true;
      return first;
    };
    const mux = this;
    const confirm = (handler: ChannelHandler, inbound: number, maxInbound: number, most = 0): Channel => {
      if (!answer()) throw new UsageError('a channel open was answered twice, or its connection has gone');
      const localId = this.#allocate();
      const ends = { localId, remoteId: sender, inbound, most, outbound: window, maxInbound, maxOutbound: maxPacket };
      const channel = new Channel(type, this.#channelHost, ends, handler);
      this.#channels[localId] = channel;
      accepted = channel;
      this.#host.send(
        encode(CHANNEL_OPEN_CONFIRMATION, {
          recipient: sender,
          sender: localId,
          window: inbound,
          maxPacket: maxInbound,
          data: new Uint8Array(0),
        }),
      );
      return channel;
    };
    const open: ChannelOpen = {
      type,
      data: data.slice(),
      get gone() {
        return answered || mux.#closed;
      },
      accept: (handler, size, largest = MAX_DATA) =>
        size === undefined ? confirm(handler, this.#firstWindow, largest, WINDOW) : confirm(handler, size, largest),
      reject: (reason, message) => {
        if (answer()) refuse(reason, message);
      },
      forward: (to, farType, farData, joined, failed) => {
        const { room } = this;
        const promised = Math.min(window, WINDOW, room.first(this.count));
        room.used += promised;
        const offer = { window: promised, maxInbound: Math.min(maxPacket, MAX_DATA) };
        to.open(
          farType,
          farData,
          {},
          far => {
            const offered = Math.min(far.outbound.size, WINDOW, to.room.first(to.count));
            // From now on `count` does it.
            room.give(promised);
            if (open.gone) {
              far.close();
              return failed?.();
            }
            const near = confirm({}, offered, far.maxOutbound);
            splice(near, far);
            joined?.(near, far);
          },
          error => {
            room.give(promised);
            open.reject(error.reason as OpenFailureReason, error.message);
            failed?.();
          },
          offer,
        );
      },
    };
    const failed = (error: unknown) => {
      this.#host.fault(error);
      if (accepted === undefined) open.reject(OpenFailure.CONNECT_FAILED, 'internal error');
      else accepted.close();
    };
    try {
      const working: unknown = this.#options.channelOpen(open);
      if (isLater(working)) working.then(undefined, failed);
    } catch (error) {
      if (error instanceof ProtocolError) open.reject(OpenFailure.CONNECT_FAILED, error.message);
      else failed(error);
    }
  }

  // Opening, our wish.

  /** Opens a channel: exactly one of the two callbacks is called, `opened` while the confirmation is being handled. */
  open(
    type: string,
    data: Uint8Array,
    handler: ChannelHandler,
    opened: (channel: Channel) => void,
    failed: (error: OpenError) => void,
    offer?: { window: number; maxInbound: number },
  ): void {
    if (this.#closed) return this.#fail(failed, new OpenError('the connection has closed', OpenFailure.CONNECT_FAILED));
    if (this.count >= this.maxChannels) {
      return this.#fail(failed, new OpenError('too many channels', OpenFailure.RESOURCE_SHORTAGE));
    }
    // What a relay passes on may have grown; who asks for a channel of their own hears it from `open` of the connection.
    if (type.length + data.length > MAX_OPEN) {
      return this.#fail(failed, new OpenError('more than a packet holds', OpenFailure.RESOURCE_SHORTAGE));
    }
    const sender = this.#allocate();
    const { window, maxInbound } = offer ?? { window: this.#firstWindow, maxInbound: MAX_DATA };
    const most = offer === undefined ? WINDOW : 0;
    const early = { eof: false, close: false, lost: false, refusals: 0 };
    this.#channels[sender] = { type, ...early, window, most, maxInbound, handler, opened, failed };
    this.#host.send(encode(CHANNEL_OPEN, { type, sender, window, maxPacket: maxInbound, data }));
  }

  #confirmation(packet: Packet): void {
    const { recipient, sender, window, maxPacket } = decode(CHANNEL_OPEN_CONFIRMATION, packet);
    const pending = this.#pending(recipient);
    const ends = {
      localId: recipient,
      remoteId: sender,
      inbound: pending.window,
      most: pending.most,
      outbound: window,
      maxInbound: pending.maxInbound,
      maxOutbound: maxPacket,
    };
    const channel = new Channel(pending.type, this.#channelHost, ends, pending.lost ? {} : pending.handler);
    this.#channels[recipient] = channel;
    for (; pending.refusals > 0; pending.refusals--) this.#host.send(encode(CHANNEL_FAILURE, { recipient: sender }));
    if (pending.lost) {
      channel.close();
      this.#fail(pending.failed, new OpenError('data came before the confirmation', OpenFailure.CONNECT_FAILED));
    } else this.#tell(pending, channel);
    // What came too early comes now.
    if (pending.eof) channel.receiveEof();
    if (pending.close) channel.receiveClose();
  }

  /** That there is a channel. */
  #tell(pending: PendingOpen, channel: Channel): void {
    guarded(
      () => pending.opened(channel),
      error => {
        this.#host.fault(error);
        channel.close();
      },
    );
  }

  #openFailure(packet: Packet): void {
    const { recipient, reason, description } = decode(CHANNEL_OPEN_FAILURE, packet);
    const pending = this.#pending(recipient);
    this.#free(recipient);
    this.#fail(pending.failed, new OpenError(printable(description), reason));
  }

  /** Says that there will be no channel. */
  #fail(failed: (error: OpenError) => void, why: OpenError): void {
    guarded(
      () => failed(why),
      error => this.#host.fault(error),
    );
  }

  #decide(request: GlobalRequest): Eventually<GlobalReply> {
    try {
      return this.#options.globalRequest(request);
    } catch (error) {
      // What the peer has said may be wrong: that costs it the request, as what it may not have does.
      if (!(error instanceof ProtocolError)) this.#host.fault(error);
      return false;
    }
  }

  #pending(id: number): PendingOpen {
    const entry = this.#channels[id];
    if (entry !== undefined && !(entry instanceof Channel)) return entry;
    // Another's circuit: numbers are used again, and this could have been taken for the answer to another open.
    throw new ProtocolError(`an answer to an open of channel ${id} that was not made`);
  }

  /** The window of a channel that ends here, when it begins. */
  get #firstWindow(): number {
    return Math.min(WINDOW, this.inbox.first(this.count));
  }

  #allocate(): number {
    this.count++;
    return this.#freeIds.pop() ?? this.#channels.push(undefined) - 1;
  }

  #free(id: number): void {
    this.count--;
    this.#channels[id] = undefined;
    this.#freeIds.push(id);
  }

  // Global requests, ours.

  /** Resolves to the reply; false, too, if the connection ends before. @throws UsageError if it is too large for a packet */
  async request(type: string, data: Uint8Array): Promise<GlobalReply> {
    if (this.#closed) return false;
    this.#host.send(encodeGiven(GLOBAL_REQUEST, { type, wantReply: true, data }));
    return new Promise(resolve => this.#asked.push(resolve));
  }

  /** A global request that wants no reply. @throws UsageError if it is too large for a packet */
  notify(type: string, data: Uint8Array): void {
    if (!this.#closed) this.#host.send(encodeGiven(GLOBAL_REQUEST, { type, wantReply: false, data }));
  }

  /** Resolves when the peer's PONG has come, or the connection ends. Only for a server that announces ping@openssh.com. */
  ping(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#host.send(encode(PING, { data: new Uint8Array(0) }));
    return new Promise(resolve => this.#pings.push(resolve));
  }

  /** The way to the peer is free again: those who were told of congestion go on. */
  relieved(): void {
    for (const entry of this.#channels) {
      if (!(entry instanceof Channel)) continue;
      if (entry.backlog !== undefined) flush(entry);
      if (entry.partner !== undefined) topUp(entry.partner);
      else entry.wake();
    }
  }

  /** The connection is gone, for this reason: every channel ends, every wait is over. */
  destroy(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const entry of [...this.#channels]) {
      if (entry instanceof Channel) entry.end(error);
      else if (entry) this.#fail(entry.failed, new OpenError('the connection has closed', OpenFailure.CONNECT_FAILED));
    }
    this.#channels.length = 0;
    for (const resolve of this.#asked.splice(0)) resolve(false);
    for (const resolve of this.#pings.splice(0)) resolve();
  }
}

/** Another's circuit: numbers are used again, so what is meant for a channel that has gone would come out of the next one. */
const unknown = (number: number, id: number) =>
  new ProtocolError(`message ${number} for channel ${id}, which is not open`);
