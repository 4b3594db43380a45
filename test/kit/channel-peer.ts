// What tests of the connection protocol share (RFC 4254): a signed-in scripted peer that opens channels, sends data and counts windows.
import * as assert from 'uvu/assert';
import type { Channel, ChannelHandler } from '../../src/protocol/channels/channel.ts';
import type { ChannelOpen } from '../../src/protocol/channels/mux.ts';
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_OPEN_FAILURE,
  CHANNEL_REQUEST,
  CHANNEL_WINDOW_ADJUST,
  GLOBAL_REQUEST,
} from '../../src/protocol/messages.ts';
import { RawPeer, type RawPeerOptions } from './raw-peer.ts';

const nothing: Uint8Array = new Uint8Array(0);

/** A channel that the core has accepted. */
export interface Opened {
  /** The core's end. */
  readonly channel: Channel;
  /** The core's number for it, and what it lets us send. */
  readonly id: number;
  readonly window: number;
  readonly maxPacket: number;
}

/** What the handler of a channel heard: data as text, the rest by name. */
export type Log = string[];

/** A handler that writes down what it hears. */
export function logging(log: Log, more: Partial<ChannelHandler> = {}): ChannelHandler {
  return {
    data: (bytes, type) =>
      void log.push(`${type === 0 ? 'data' : `data${type}`} ${Buffer.from(bytes).toString('latin1')}`),
    eof: () => void log.push('eof'),
    closed: () => void log.push('closed'),
    ...more,
  };
}

export class ChannelPeer {
  readonly raw: RawPeer;
  /** Every wish for a channel that the core's owner has seen. */
  readonly wishes: ChannelOpen[] = [];

  constructor(options: RawPeerOptions = {}, open: (wish: ChannelOpen) => void = () => {}) {
    this.raw = RawPeer.ready({
      ...options,
      events: {
        channelOpen: wish => {
          this.wishes.push(wish);
          open(wish);
        },
        ...options.events,
      },
    });
  }

  /** Asks for a channel. */
  ask(sender = 7, window = 1_000_000, maxPacket = 32768, type = 'x', data = nothing): void {
    this.raw.send(CHANNEL_OPEN, { type, sender, window, maxPacket, data });
  }

  /** Asks for a channel that is accepted with `handler`. */
  open(
    handler: ChannelHandler = {},
    options: { sender?: number; window?: number; maxPacket?: number; ours?: number } = {},
  ): Opened {
    const { sender = 7, window, maxPacket, ours } = options;
    this.ask(sender, window, maxPacket);
    const channel = this.wishes.at(-1)!.accept(handler, ours);
    this.raw.pull();
    const confirmed = this.raw.take(CHANNEL_OPEN_CONFIRMATION);
    assert.is(confirmed.recipient, sender);
    return { channel, id: confirmed.sender, window: confirmed.window, maxPacket: confirmed.maxPacket };
  }

  refused(sender = 7): { reason: number; description: string } {
    const { recipient, reason, description } = this.raw.take(CHANNEL_OPEN_FAILURE);
    assert.is(recipient, sender);
    return { reason, description };
  }

  data(recipient: number, data: Uint8Array | string): void {
    this.raw.send(CHANNEL_DATA, { recipient, data: bytesOf(data) });
  }

  extended(recipient: number, type: number, data: Uint8Array | string): void {
    this.raw.send(CHANNEL_EXTENDED_DATA, { recipient, type, data: bytesOf(data) });
  }

  adjust(recipient: number, bytes: number): void {
    this.raw.send(CHANNEL_WINDOW_ADJUST, { recipient, bytes });
  }

  eof(recipient: number): void {
    this.raw.send(CHANNEL_EOF, { recipient });
  }

  close(recipient: number): void {
    this.raw.send(CHANNEL_CLOSE, { recipient });
  }

  request(recipient: number, type = 'x', wantReply = true, data = nothing): void {
    this.raw.send(CHANNEL_REQUEST, { recipient, type, wantReply, data });
  }

  global(type = 'x', wantReply = true, data = nothing): void {
    this.raw.send(GLOBAL_REQUEST, { type, wantReply, data });
  }

  /** All CHANNEL_DATA that has been heard, up to the next other packet, as one. */
  heardData(recipient: number): Uint8Array {
    const parts: Uint8Array[] = [];
    while (this.raw.heard[0]?.number === CHANNEL_DATA.number) {
      const { recipient: to, data } = this.raw.take(CHANNEL_DATA);
      assert.is(to, recipient);
      parts.push(data.slice());
    }
    return new Uint8Array(Buffer.concat(parts));
  }
}

const bytesOf = (data: Uint8Array | string): Uint8Array =>
  typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
