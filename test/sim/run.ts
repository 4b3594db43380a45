// One seed from beginning to end: life, then good behaviour until all is quiet, then goodbye; what must be true at each point.
import { type Circuit, World } from './world.ts';

/** Steps of life, and those within which everything must have come to rest. Seeds use some thousands. */
const LIFE = 3000;
const LIMIT = 400_000;

export async function run(seed: number, trace?: (line: string) => void): Promise<number> {
  const world = new World(seed, trace);
  for (let i = 0; i < LIFE; i++) {
    if (!world.step()) break;
    await undefined;
  }
  world.log('all stalls end');
  for (const { caller, callee } of world.circuits) {
    caller.behave();
    callee.behave();
  }
  for (const { toA, toB } of world.network.links) toA.stalledUntil = toB.stalledUntil = 0;
  world.ending = true;
  for (const open of world.unanswered) open.reject(2, 'never mind');
  await settle(world);
  for (const circuit of world.circuits) checkEnd(circuit);
  checkTables(world);
  world.log('goodbye');
  for (const { own, ownEnd, relayEnd } of world.members) if ((ownEnd ?? relayEnd) === undefined) own.disconnect();
  for (const member of world.members) member.doom ??= 'says goodbye';
  await settle(world);
  checkGone(world);
  return world.now;
}

async function settle(world: World): Promise<void> {
  for (let i = 0; ; i++) {
    if (i > LIMIT) throw new Error(`no rest after ${i} steps\n${report(world)}`);
    if (!world.step()) {
      // Promises of replies may still have something to say.
      for (let turn = 0; turn < 5; turn++) await undefined;
      if (!world.step()) return;
    }
    await undefined;
  }
}

function report(world: World): string {
  return world.circuits
    .map(({ id, state, caller, callee, near, far }) =>
      [
        `c${id} ${state}`,
        `  ${caller}`,
        `  near out ${near?.outbound.size} in ${near?.inbound.size} far out ${far?.outbound.size} in ${far?.inbound.size}`,
        `  ${callee}`,
      ].join('\n'),
    )
    .join('\n');
}

/** At rest each circuit has delivered all that was written, or it was closed for a reason, and then only the closer's reader lacks something. */
function checkEnd(circuit: Circuit): void {
  const { id, state, from, to, caller, callee, relayMood, calleeMood } = circuit;
  const doomed = (from.doom ?? to.doom) !== undefined;
  if (doomed) return;
  const fail = (what: string) => {
    throw new Error(`c${id} ${state}: ${what}\n  ${caller}\n  ${callee}`);
  };
  const refused = relayMood === 'refuse' || calleeMood === 'refuse' || calleeMood === 'never';
  if (state !== (refused ? 'refused' : 'open')) fail(`should be ${refused ? 'refused' : 'open'}`);
  if (refused) return;
  for (const [writer, reader] of [
    [caller, callee],
    [callee, caller],
  ]) {
    const { closes } = writer.plan;
    if (!writer.over || !reader.over) fail('is not closed on both sides');
    if (
      writer.answered !== writer.plan.requests &&
      writer.plan.requests > 0 &&
      closes === 'after eof' &&
      !reader.closedByUs
    )
      fail('a request was not answered');
    // The reader has closed before it heard the end: it does not want the rest.
    if (reader.closedByUs && !reader.eofHeard) continue;
    if (reader.read !== writer.written) fail(`${reader.name} lacks bytes that ${writer.name} wrote before its end`);
    if (!writer.closedByUs && writer.written < writer.plan.total) fail(`${writer.name} could not write everything`);
    if (closes === 'after eof' && !reader.closedByUs && !reader.eofHeard && writer.written === writer.plan.total)
      fail(`${reader.name} did not hear EOF`);
  }
}

/** No channel is left over in any table of a connection that lives, nor any of its room. */
function checkTables(world: World): void {
  // Junk that promises a long packet is not noticed as long as nothing follows: such a member's circuits wait for the rest.
  const mute = world.members.filter(
    ({ doom, relay, own }) => doom?.startsWith('sends junk') && !(relay.closed && own.closed),
  );
  for (const member of world.members) {
    const { name, relay, own, doom } = member;
    if (doom !== undefined) continue;
    if (
      world.circuits.some(({ from, to }) => [from, to].includes(member) && (mute.includes(from) || mute.includes(to)))
    )
      continue;
    const { used, ahead } = relay.mux.room;
    if (used !== 0 || ahead !== 0) throw new Error(`${name}: ${used} bytes of room are still used, ${ahead} ahead`);
    if (relay.mux.count !== 0 || own.mux.count !== 0) {
      throw new Error(
        `${name}: ${relay.mux.count} channels left at the relay, ${own.mux.count} at its end\n${report(world)}`,
      );
    }
  }
}

/** Both ends know that it is over, and junk was called by its name. */
function checkGone(world: World): void {
  for (const { name, relayEnd, ownEnd, doom, relay, own } of world.members) {
    const junk = doom?.startsWith('sends junk');
    if (relayEnd === undefined || ownEnd === undefined) {
      if (junk) continue;
      throw new Error(`${name} (${doom}): one end does not know that it is over: ${relayEnd} / ${ownEnd}`);
    }
    for (const error of [relayEnd, ownEnd]) {
      if (error.name !== 'ProtocolError' && error.name !== 'DisconnectError') {
        throw new Error(`${name} (${doom}): ended by a fault of this program: ${error.stack}`);
      }
    }
    if (relay.mux.channels.length > 0 || own.mux.channels.length > 0) throw new Error(`${name}: channels survive`);
  }
}
