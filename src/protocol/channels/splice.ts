// The relay of two channels: what comes in on one leaves on the other with four bytes rewritten.
// A peer may send what the far peer has room for, and more where its way is long (`ahead`) or both ends wait to write (`uncross`).
import { type Packet, writeUint32 } from '../wire/packet.ts';
import { Backlog } from './backlog.ts';
import { type Channel, WINDOW } from './channel.ts';
import { count } from './room.ts';

/**
 * Bytes that a sender may have under way beyond what the far peer has room for, for each millisecond of its round trip: what
 * 40 MiB a second need, so that a long way to the sender does not add to the one to the receiver.
 */
const AHEAD = 40 * 1024;
/** The most of that, whatever a peer makes of its round trip; so much more may wait for a receiver that stalls. */
export const MAX_AHEAD = 4 * 1024 * 1024;
/** Milliseconds of a round trip that count as none: on a short way nothing is gained. */
const SHORT = 2;
/** Bytes of credit that are worth a message of their own where the way is long; where it is not, half a window is soon enough. */
const STEP = 64 * 1024;
/** Bytes of data below which a message that waits is gathered with others; what surrounds one costs some 150 bytes. */
const SMALL = 1024;

/**
 * Joins two open channels. Their windows must be coupled already: neither side may have been offered more
 * (`inbound`) than the other end grants (`outbound`), see `ChannelOpen.forward`. From then on it may be `ahead` of that.
 */
export function splice(a: Channel, b: Channel): void {
  a.partner = b;
  b.partner = a;
  a.offered = a.inbound.size;
  b.offered = b.inbound.size;
  count(a, b);
  count(b, a);
  topUp(a);
  topUp(b);
}

/** // hot — Passes on one DATA packet of `length` payload bytes that came in on `from` and has been checked against its window. */
export function relay(from: Channel, packet: Packet, length: number): void {
  const to = from.partner!;
  // An empty message uses up no credit: passed on, they could fill any queue.
  if (length === 0 || to.eofSent || to.closeSent) return;
  from.relayed += length;
  // More than the far peer takes in one message goes by way of the backlog, which leaves in pieces.
  const whole = length <= to.outbound.size && length <= to.maxOutbound;
  if (to.backlog !== undefined || !whole || (wasteful(packet, length) && to.host.congested)) {
    to.backlog ??= new Backlog();
    to.backlog.add(packet.bytes, packet.start + 9, packet.end);
    flush(to);
    topUp(from);
    return;
  }
  to.outbound.spend(length);
  writeUint32(packet.bytes, packet.start + 1, to.remoteId);
  to.host.send(packet);
  topUp(from);
}

/**
 * Whether a packet that has to wait costs much more memory than its data: it is small, or it keeps a large chunk alive.
 * A window of 2 MiB filled with messages of one byte would hold 280 MiB; gathered, it holds 2.
 */
function wasteful(packet: Packet, length: number): boolean {
  return length < SMALL || packet.bytes.buffer.byteLength > 2 * length + SMALL;
}

/** Sends what has been gathered for this channel's peer, as far as the way is free and its window open, and then what waits behind it. */
export function flush(channel: Channel): void {
  const { backlog, partner } = channel;
  while (backlog !== undefined && backlog.length > 0) {
    const most = Math.min(channel.maxOutbound, channel.outbound.size);
    if (channel.closeSent || most === 0 || channel.host.congested) break;
    const bytes = backlog.take(most);
    channel.outbound.spend(bytes.length);
    channel.sendData(bytes);
  }
  if (partner !== undefined) count(partner, channel);
  if (backlog !== undefined && backlog.length > 0) return;
  channel.backlog = undefined;
  if (backlog?.eof) channel.eof();
  if (backlog?.close) channel.close();
}

/** Bytes that the sender on this channel may be ahead of the far peer's window, if there is room. */
export function ahead({ host: { roundTrip } }: Channel): number {
  return roundTrip < SHORT ? 0 : Math.min(MAX_AHEAD, Math.floor(roundTrip * AHEAD));
}

/**
 * Gives the senders on both channels of a circuit no more credit, or credit again: whoever limits a rate lets go of a circuit
 * as often as its average allows. What they have been granted already (WINDOW each at most) still comes.
 */
export function hold(channel: Channel, on: boolean): void {
  for (const end of [channel, channel.partner]) {
    if (end === undefined || end.held === on) continue;
    end.held = on;
    if (!on) topUp(end);
  }
}

/**
 * // hot — Offers the sender on `from` what the far peer has room for, WINDOW at most, once half of that or more has been used;
 * more, and more often, on long ways.
 * "Half", not a fixed amount: with a fixed step a far window smaller than the step is never passed on, and both ends
 * wait for ever. Nothing is offered while the far connection is congested; `Mux.relieved` comes back here. Nor is more
 * offered than the circuit's share of the far connection's room; that is never nothing, so everybody goes on.
 */
export function topUp(from: Channel): void {
  const to = from.partner;
  if (to === undefined) return;
  offer(from, to);
  if (from.inbound.size > 0 || to.inbound.size > 0 || from.eofReceived || to.eofReceived) return;
  uncross(from, to);
  uncross(to, from);
}

/** For `topUp`: credit by what the far peer has room for. */
function offer(from: Channel, to: Channel): void {
  count(from, to);
  if (from.held || from.eofReceived || from.closeSent || to.closeSent) return;
  let more = ahead(from);
  const waiting = to.backlog === undefined ? 0 : to.backlog.length;
  let target = Math.min(to.outbound.size - waiting + more, Math.max(WINDOW, more));
  const often = more > 0 || to.host.roundTrip >= SHORT;
  // What is not worth it without regard to the room is not worth it with less.
  if (!worth(target, from, often) || to.host.congested) return;
  const { room } = to.host;
  more = Math.min(more, room.mayBeAhead(from.countedAhead));
  target = Math.min(to.outbound.size - waiting + more, target, room.share(from.counted) - waiting);
  // Credit cannot be taken back: so twice what has been used, and circuits that idle leave room to the others.
  target = Math.min(target, Math.max(from.offered, 2 * from.relayed, room.least));
  if (!worth(target, from, often)) return;
  from.credit(target - from.inbound.size);
  count(from, to);
}

/**
 * Gives the sender on `from` room in the relay, a STEP at a time, whatever the far peer has room for. For circuits where neither
 * sender has credit: both ends may be writing before they read, and would wait for each other for ever. A STEP is mostly enough,
 * because an end that takes turns reads once its write is through.
 */
function uncross(from: Channel, to: Channel): void {
  if (from.held || from.closeSent || to.closeSent) return;
  const { room } = to.host;
  const waiting = to.backlog === undefined ? 0 : to.backlog.length;
  // No more than it has relayed: circuits that are not used must not hold what all share.
  const wanted = Math.min(STEP, room.crossed - waiting, Math.max(room.least, from.relayed));
  if (wanted <= 0 || to.host.congested) return;
  // The least is everybody's, so circuits that have stalled for good leave something to each that only takes turns.
  const granted = Math.min(wanted, Math.max(room.left, room.least - waiting));
  if (granted <= 0) {
    room.waiting.set(from, () => topUp(from));
    return;
  }
  from.credit(granted);
  count(from, to);
}

/** Whether raising the sender's credit to `target` is worth a message. */
function worth(target: number, { inbound: { size } }: Channel, often: boolean): boolean {
  const grant = target - size;
  return grant > 0 && grant >= (often ? Math.min(STEP, target / 2) : target / 2);
}
