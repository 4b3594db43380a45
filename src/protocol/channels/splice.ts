// The relay of two channels: what comes in on one leaves on the other with four bytes rewritten. It buffers nothing: a peer may send only what the far peer has room for.
import { type Packet, writeUint32 } from '../wire/packet.ts';
import { type Channel, WINDOW } from './channel.ts';

/**
 * Joins two open channels. Their windows must be coupled already: neither side may have been offered more
 * (`inbound`) than the other end grants (`outbound`), see `ChannelOpen.forward`.
 */
export function splice(a: Channel, b: Channel): void {
  a.partner = b;
  b.partner = a;
  topUp(a);
  topUp(b);
}

/** // hot — Passes on one DATA packet of `length` payload bytes that came in on `from` and has been checked against its window. */
export function relay(from: Channel, packet: Packet, length: number): void {
  const to = from.partner!;
  if (to.eofSent || to.closeSent) return;
  to.outbound.spend(length);
  from.relayed += length;
  writeUint32(packet.bytes, packet.start + 1, to.remoteId);
  to.host.send(packet);
  topUp(from);
}

/**
 * // hot — Offers the sender on `from` what the far peer has room for, WINDOW at most, once half of that or more has been used.
 * "Half", not a fixed amount: with a fixed step a far window smaller than the step is never passed on, and both ends
 * wait for ever. Nothing is offered while the far connection is congested; `Mux.relieved` comes back here.
 */
export function topUp(from: Channel): void {
  const to = from.partner;
  if (to === undefined || from.eofReceived || from.closeSent || to.closeSent) return;
  const target = Math.min(to.outbound.size, WINDOW);
  const grant = target - from.inbound.size;
  if (grant <= 0 || grant * 2 < target || to.host.congested) return;
  from.credit(grant);
}
