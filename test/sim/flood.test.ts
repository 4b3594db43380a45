// Peers that send and never read: whatever message they send without end, at any stage, the victim holds little, and knows how much.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ACCOUNT_LIMIT, ANSWERS_MARK } from '../../src/protocol/account.ts';
import { MESSAGES } from '../../src/protocol/messages.ts';
import { SOCKET_MARK } from '../../src/server/drive.ts';
import { type FloodStage, floods, inUse, STAGES, Victim } from './flood.ts';

const MiB = 1024 * 1024;
/** A chunk that has been read, of which nothing more was looked at. */
const CHUNK = MiB / 2;
/** What a channel is with its handlers, some 3.5 KiB; and a connection with keys, driver and socket. */
const CHANNEL = 5120;
const VICTIM = 64 * 1024;
/** Compiled code, a heap that is not packed. */
const SLACK = 2 * MiB;
const BOUND = SOCKET_MARK + ANSWERS_MARK + CHUNK + MiB;

/** What a flood came to, by the name of its message. */
const answered = new Set<string>();

for (const role of ['server', 'client'] as const) {
  // Of a hostile server the first and the last tell nothing that the others do not.
  for (const stage of role === 'server' ? STAGES : STAGES.slice(1, 3)) {
    test(`${role}, ${stage}: no message fills its memory`, async () => {
      const bad: string[] = [];
      const victims: Victim[] = [];
      const before = inUse();
      let known = 0;
      let channels = 0;
      for (const flood of floods()) {
        const victim = new Victim(role);
        victims.push(victim);
        await victim.reach(stage);
        const sent = await victim.flood(flood);
        const { error } = victim.connection;
        if (error !== undefined && error.name !== 'ProtocolError' && error.name !== 'DisconnectError')
          bad.push(`${flood.name}: ${error.stack}`);
        // Reading cannot stop while the victim waits for keys.
        const bound = BOUND + (stage === 'asked for new keys' ? ACCOUNT_LIMIT : 0);
        const how = error?.message ?? (victim.socket.paused ? 'paused' : 'read');
        const figures = `${flood.name}: ${sent} sent, ${(victim.known / MiB).toFixed(1)} MiB known to be held, ${how}`;
        if (victim.known > bound) bad.push(figures);
        if (process.env.VERBOSE) console.log(figures);
        if (victim.socket.paused) answered.add(`${stage}: ${flood.name.trim()}`);
        known += victim.known;
        channels += victim.connection.mux.count;
      }
      // What all of them hold in truth is what they know, but for themselves.
      const growth = inUse() - before;
      const most = known + channels * CHANNEL + victims.length * VICTIM + SLACK;
      if (growth > most) bad.push(`${growth / MiB} MiB are held, ${known / MiB} known, ${most / MiB} at most`);
      if (process.env.VERBOSE) console.log(`${growth / MiB} MiB are held, ${known / MiB} known, ${most / MiB} at most`);
      assert.equal(bad, []);
    });
  }
}

test('the floods were floods: what has an answer stopped the reading', () => {
  const wanted: [FloodStage, string][] = [
    ['before sign-in', 'SERVICE_REQUEST'],
    ['signed in', 'GLOBAL_REQUEST x'],
    ['signed in', 'GLOBAL_REQUEST prove'],
    ['signed in', 'CHANNEL_OPEN x'],
    ['signed in', 'CHANNEL_OPEN prove'],
    ['signed in', 'CHANNEL_OPEN never'],
    ['signed in', 'CHANNEL_REQUEST x'],
    ['signed in', 'CHANNEL_DATA'],
    ['signed in', 'PING'],
    ['signed in', 'unknown message 255'],
  ];
  for (const [stage, name] of wanted) assert.ok(answered.has(`${stage}: ${name}`), `${stage}: ${name}`);
  assert.ok(MESSAGES.length > 30);
});

test('whoever reads at last gets every answer', async () => {
  for (const [name, answer] of [
    ['GLOBAL_REQUEST x', 82],
    ['GLOBAL_REQUEST prove', 81],
    ['CHANNEL_REQUEST x', 99],
    ['PING ', 193],
    ['unknown message 255', 3],
  ] as const) {
    const victim = new Victim('server');
    await victim.reach('signed in');
    const sent = await victim.flood(floods().find(flood => flood.name === name)!);
    assert.ok(victim.socket.paused);
    const packets = await victim.drain();
    assert.is(packets.get(answer), sent, `${name}: ${[...packets]}`);
    assert.not(victim.socket.paused);
  }
});

test.run();
