// Recorded conversations with the real OpenSSH: given what it sent and the same randomness, our core must send and say the same, byte for byte.
import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { concat } from '../../src/protocol/wire/reader.ts';
import { seeded } from '../kit/insecure.ts';
import { Conversation } from './conversation.ts';
import { directory, fromBase64, type Line, nameOf, type Recording, readRecording } from './recording.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/** Feeds a fresh core with what was recorded; `change` may change each chunk, or take it apart. */
function replay(scenario: Scenario, { head, lines }: Recording, change = (chunk: Uint8Array) => [chunk]): Line[] {
  const conversation = new Conversation(scenario, head);
  conversation.start();
  for (const line of lines) {
    if (line === '.') conversation.end();
    else if (line.startsWith('<')) for (const piece of change(chunkOf(line))) conversation.receive(piece);
  }
  return conversation.lines;
}

const chunkOf = (line: Line) => fromBase64(line.slice(2));
const received = (lines: readonly Line[]) => lines.filter(line => line.startsWith('<')).map(chunkOf);
const sent = (lines: readonly Line[]) => concat(...lines.filter(line => line.startsWith('>')).map(chunkOf));
const said = (lines: readonly Line[]) => lines.filter(line => line.startsWith('!'));

test('there is a recording for each scenario, and no other', () => {
  const names = readdirSync(directory).map(nameOf).filter(Boolean);
  assert.equal(names.sort(), scenarios.map(({ name }) => name).sort());
  assert.is(
    new Set(scenarios.map(({ seed }) => seed)).size,
    scenarios.length,
    'no two scenarios share their randomness',
  );
});

for (const scenario of scenarios) {
  test(`${scenario.name}: the same bytes and events`, () => {
    const recording = readRecording(scenario.name);
    // Line by line, so that a failure shows the first thing that differs.
    const now = replay(scenario, recording);
    for (const [i, line] of recording.lines.entries()) assert.is(now[i], line, `line ${i} after the head`);
    assert.is(now.length, recording.lines.length);
  });

  test(`${scenario.name}: however the network cuts it`, () => {
    const recording = readRecording(scenario.name);
    const { below } = seeded(scenario.seed);
    const now = replay(scenario, recording, chunk => {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < chunk.length; ) {
        const size = 1 + below(40);
        pieces.push(chunk.subarray(at, at + size));
        at += size;
      }
      return pieces;
    });
    assert.equal(said(now), said(recording.lines));
    assert.equal(sent(now), sent(recording.lines));
  });

  test(`${scenario.name}: a flipped bit does not go unnoticed`, () => {
    const recording = readRecording(scenario.name);
    const chunks = received(recording.lines);
    // The peer's name is part of what is signed; the last packet is authenticated, if things got as far as keys.
    const places = [[0, 10]];
    if (scenario.task.do !== 'scan') places.push([chunks.length - 1, chunks[chunks.length - 1].length - 5]);
    for (const [number, at] of places) {
      let count = 0;
      const now = replay(scenario, recording, chunk => {
        if (count++ === number) chunk[at] ^= 1;
        return [chunk];
      });
      assert.ok(
        Buffer.compare(sent(now), sent(recording.lines)) !== 0 || said(now).join() !== said(recording.lines).join(),
        `byte ${at} of chunk ${number}`,
      );
    }
  });
}

test('the recordings have every algorithm, key exchanges from both sides, and each way to end', () => {
  const all = scenarios.map(scenario => {
    const { head, lines } = readRecording(scenario.name);
    return { scenario, head, events: said(lines) };
  });
  for (const role of ['server', 'client'] as const) {
    const recordings = all.filter(({ scenario }) => scenario.role === role);
    const ready = recordings.flatMap(({ events }) => events.filter(event => event.startsWith('! ready')));
    const { head } = recordings[0];
    const used = new Set(ready.flatMap(event => event.split(' ')));
    for (const list of [head.kex, head.ciphers, head.macs, head.signatures]) {
      for (const name of list.split(',')) assert.ok(used.has(name), `${role}: ${name}`);
    }
    for (const side of ['peer', 'ours']) {
      const { events } = recordings.find(({ scenario }) => scenario.name === `${role}-rekey-${side}`)!;
      const [, exchanges] = /over after (\d+) key exchanges/.exec(events.join('\n'))!;
      assert.ok(Number(exchanges) >= 2, `${role}-rekey-${side}: ${exchanges}`);
    }
  }
  for (const { scenario, events } of all) {
    const refused = scenario.refuse === true || scenario.task.do === 'scan';
    assert.is(
      events.some(event => event.startsWith('! ready')),
      !refused,
      scenario.name,
    );
    assert.is(events.filter(event => event.startsWith('! over')).length, 1, scenario.name);
  }
});

test.run();
