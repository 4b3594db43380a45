// What must hold in a relay at any time: credit never exceeds what the next hop granted, and what waits in the relay has a bound.

import { type Channel, WINDOW } from '../../src/protocol/channels/channel.ts';
import { ahead } from '../../src/protocol/channels/splice.ts';
import type { Connection } from '../../src/protocol/connection.ts';
import { CHANNEL_DATA } from '../../src/protocol/messages.ts';
import { MAX_PACKET } from '../../src/protocol/wire/framing.ts';
import type { Circuit, Member } from './world.ts';

/** ANSWERS_MARK of connection.ts, and what one delivered chunk of 64 KiB may cause before reading stops: a refusal is at most some four times the open it answers. */
const ANSWERS = 256 * 1024 + 4 * 64 * 1024;

/** Counts what a connection is given to send. */
export interface Meter {
  /** Payload bytes of channel data, ever, and of other messages since the output was last empty. */
  data: number;
  others: number;
}

export function meter(connection: Connection): Meter {
  const counts: Meter = { data: 0, others: 0 };
  const { transport } = connection;
  const send = transport.send.bind(transport);
  transport.send = packet => {
    if (packet.number === CHANNEL_DATA.number) counts.data += packet.length - 9;
    else counts.others += packet.length;
    send(packet);
  };
  return counts;
}

const fail = (circuit: Circuit, what: string): never => {
  throw new Error(`c${circuit.id}: ${what}`);
};

/** `sender` has a channel to `receiver` on one connection: it may never believe that it may send more than the other will take. */
function checkHop(circuit: Circuit, sender: Channel, receiver: Channel): void {
  if (sender.outbound.size < 0 || receiver.inbound.size < 0) fail(circuit, 'a window is negative');
  if (receiver.closeReceived || sender.closeSent) return;
  if (sender.outbound.size > receiver.inbound.size) {
    fail(circuit, `credit for ${sender.outbound.size} bytes where ${receiver.inbound.size} were granted`);
  }
}

/** Whether data for this member may be given to the relay now. */
const open = ({ relay, link, wasFull }: Member): boolean =>
  !relay.closed && !wasFull && !link.a.full && !relay.transport.exchanging && relay.transport.outputBytes < 1024 * 1024;

/** Both senders wait for credit: both ends may be writing before they read. Then there is none left to give. */
function checkCrossed({ id, near, far, from, to }: Circuit): void {
  if (near?.partner === undefined || far?.partner === undefined) return;
  for (const end of [near, far]) {
    if (end.inbound.size > 0 || end.eofReceived || end.closeSent || end.held) return;
  }
  for (const [onward, receiver] of [
    [to, far],
    [from, near],
  ] as const) {
    const { room } = onward.relay.mux;
    const waiting = receiver.backlog?.length ?? 0;
    if (open(onward) && waiting < room.crossed && room.left > 0) {
      throw new Error(`c${id}: both ends wait to write, though there are ${room.left} bytes of room`);
    }
  }
}

export function checkCircuit(circuit: Circuit): void {
  checkCrossed(circuit);
  const { near, far, caller, callee } = circuit;
  if (near === undefined || far === undefined) return;
  if (caller.channel) {
    checkHop(circuit, caller.channel, near);
    checkHop(circuit, near, caller.channel);
  }
  if (callee.channel) {
    checkHop(circuit, callee.channel, far);
    checkHop(circuit, far, callee.channel);
  }
  for (const [channel, onward] of [
    [near, circuit.to],
    [far, circuit.from],
  ] as const) {
    const { partner } = channel;
    const before = circuit.credit.get(channel);
    circuit.credit.set(channel, channel.inbound.size);
    // Within the step that fills the socket, credit may have come first.
    if (before !== undefined && channel.inbound.size > before && onward.wasFull && onward.link.a.full) {
      fail(circuit, 'the relay gave credit though the socket of the other end was full');
    }
    const { room } = onward.relay.mux;
    const more = Math.max(ahead(channel), room.crossed);
    if (channel.inbound.size > Math.max(WINDOW, more))
      fail(circuit, `${channel.inbound.size} bytes granted by the relay`);
    if (partner === undefined || partner.closeSent) continue;
    const waiting = partner.backlog?.length ?? 0;
    if (channel.inbound.size + waiting > partner.outbound.size + more) {
      fail(circuit, `the relay granted ${channel.inbound.size} bytes for a window of ${partner.outbound.size}`);
    }
    if (waiting > partner.outbound.size + more + WINDOW) fail(circuit, `${waiting} bytes wait in the relay`);
  }
}

/** What circuits may hold for one member: the relay's account of it is true, and keeps within its bound. */
export function checkRoom(member: Member, members: readonly Member[], circuits: readonly Circuit[]): void {
  const { relay, name } = member;
  const { room } = relay.mux;
  if (relay.closed) return;
  let [used, ahead] = [0, 0];
  for (const other of members) {
    for (const from of other.relay.mux.channels) {
      if (from.partner?.host.room !== room) continue;
      const waiting = from.partner.backlog?.length ?? 0;
      const over = from.eofReceived || from.closeSent || from.partner.closeSent;
      const held = waiting + (over ? 0 : from.inbound.size);
      used += held;
      ahead += Math.max(0, held - from.partner.outbound.size);
    }
  }
  // Promised with opens that are not answered yet; and what waits of a circuit whose sender has gone.
  let more = 0;
  for (const channel of relay.mux.channels) {
    const { partner, backlog } = channel;
    if (partner !== undefined && partner.partner === undefined) more += backlog?.length ?? 0;
  }
  const pending = circuits.some(
    ({ from, state, near }) => from === member && state !== 'planned' && near === undefined,
  );
  if (pending ? room.used < used + more : room.used !== used + more) {
    throw new Error(`${name}: ${room.used} bytes of room are used, by its account; in truth ${used + more}`);
  }
  if (room.ahead < ahead) throw new Error(`${name}: ${room.ahead} bytes are ahead, by its account; in truth ${ahead}`);
  // Who calls themselves has both directions of a circuit.
  const most = room.total + 2 * circuits.length * room.least;
  if (room.used > most) throw new Error(`${name}: ${room.used} bytes of room are used, of ${most}`);
}

/** What waits in the relay for one member, and from it. */
export function checkMemory(member: Member, circuits: readonly Circuit[]): void {
  const { relay, link, meter } = member;
  member.wasFull = link.a.full;
  if (relay.closed) return;
  // A frame that is not complete, behind at most one chunk that was delivered before reading stopped.
  if (relay.transport.inputBytes > MAX_PACKET + 64 * 1024) {
    throw new Error(`${member.name}: ${relay.transport.inputBytes} bytes wait to be read`);
  }
  let arrived = 0;
  let granted = 0;
  for (const { from, to, caller, callee } of circuits) {
    if (from === member) {
      arrived += caller.read;
      granted += caller.plan.window;
    }
    if (to === member) {
      arrived += callee.read;
      granted += callee.plan.window;
    }
  }
  // Data that the member's ends have refused to hear after their CLOSE never counts as arrived, hence only while all live.
  const closed = circuits.some(
    ({ from, to, caller, callee }) => (from === member && caller.over) || (to === member && callee.over),
  );
  // What is sent is within the windows that the member's ends have opened, however far ahead the senders are.
  if (!closed && meter.data - arrived > granted) {
    throw new Error(`${member.name}: ${meter.data - arrived} bytes of data under way, ${granted} were granted`);
  }
  const waiting = relay.transport.outputBytes + link.toB.pending;
  if (waiting === 0 && !relay.transport.exchanging) meter.others = 0;
  if (meter.others > ANSWERS + 1024 * 1024) throw new Error(`${member.name}: ${meter.others} bytes of answers wait`);
}
