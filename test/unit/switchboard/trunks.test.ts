// Trunks between workers: one for all calls to a place, a call as it was made, and nobody takes calls from those who do not know the token.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CALL_CHANNEL, packCall, Trunks, unpackCall } from '../../../src/apps/switchboard/trunks.ts';
import { MAX_DATA } from '../../../src/protocol/channels/channel.ts';
import type { ChannelOpen, Mux } from '../../../src/protocol/channels/mux.ts';
import type { OpenError } from '../../../src/protocol/errors.ts';
import { PlainLink } from '../../../src/server/plain-link.ts';
import { connectPath } from '../../../src/server/runtime/net.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-trunks-'));
const all: Trunks[] = [];
test.after(async () => {
  await Promise.all(all.map(trunks => trunks.close()));
  rmSync(directory, { recursive: true });
});
const token = new Uint8Array(32).fill(7);
const log = { debug() {}, info() {}, warn() {}, error() {} };
const nothing = new Uint8Array(0);
const answered = () => assert.unreachable('there is a trunk');
let count = 0;

async function place(arrive: (open: ChannelOpen) => void = () => assert.unreachable('a call'), secret = token) {
  const id = `p${++count}`;
  const path = join(directory, id);
  const trunks = new Trunks({ path, token: secret, log, arrive });
  all.push(trunks);
  await trunks.listen();
  return { id, worker: count, path, trunks };
}

const call = { provider: 'x/7', line: '80', name: 'x-0', originHost: '2001:db8::1', originPort: 4711 };

test('a call arrives as it was made, by few trunks for all', async () => {
  const heard: ChannelOpen[] = [];
  const [a, b] = [
    await place(),
    await place(open => {
      heard.push(open);
      open.accept({ eof() {} });
    }),
  ];
  const trunks = await Promise.all(Array.from({ length: 40 }, () => a.trunks.to(b)));
  assert.is(new Set(trunks).size, 4);
  const [one, two] = trunks;
  const open = (trunk: Mux) =>
    new Promise((resolve, reject) => trunk.open(CALL_CHANNEL, packCall(call), {}, resolve, reject));
  await Promise.all([open(one), open(two)]);
  assert.equal(unpackCall(heard[1].data), call);
  assert.is(statSync(b.path).mode & 0o777, 0o600);
});

test('who does not know the token makes no call, and neither does one who says nothing', async () => {
  const a = await place(undefined, new Uint8Array(32).fill(8));
  const b = await place();
  await a.trunks.to(b).then(answered, (error: Error) => assert.match(error.message, /hello/));
  const stranger = new PlainLink(await connectPath(b.path), {
    channelOpen: open => open.reject(1, ''),
    globalRequest: () => false,
  });
  const refused = (type: string) =>
    new Promise<OpenError>((resolve, reject) => stranger.mux.open(type, packCall(call), {}, reject, resolve));
  assert.is((await refused(CALL_CHANNEL)).reason, 1);
  for (const data of [nothing, token.subarray(1)])
    assert.is(await stranger.mux.request('hello@cordboard', data), false);
  assert.is(await stranger.mux.request('other@cordboard', token), false);
  assert.is((await refused(CALL_CHANNEL)).reason, 1);
  assert.is.not(await stranger.mux.request('hello@cordboard', token), false);
  assert.is((await refused('session')).reason, 1, 'even then there is nothing but calls');
  stranger.close();
});

test('calls go one way: whoever has been connected to opens nothing', async () => {
  let incoming!: ChannelOpen;
  const [a, b] = [await place(), await place(open => (incoming = open))];
  const trunk = await a.trunks.to(b);
  const opened = new Promise((resolve, reject) => trunk.open(CALL_CHANNEL, packCall(call), {}, resolve, reject));
  while (incoming === undefined) await new Promise(resolve => setImmediate(resolve));
  const { host } = incoming.accept({});
  await opened;
  assert.ok(host);
});

test('a place that is not there is an error, and is tried again with the next call', async () => {
  const a = await place();
  const missing = { id: 'later', worker: 9, path: join(directory, 'later') };
  for (let i = 0; i < 10; i++) {
    await a.trunks.to(missing).then(answered, (error: Error) => assert.match(error.message, /ENOENT/));
  }
  const later = new Trunks({ path: missing.path, token, log, arrive() {} });
  all.push(later);
  await later.listen();
  assert.ok(await a.trunks.to(missing));
});

test('after a trunk has broken, the next call has another one', async () => {
  const heard: ChannelOpen[] = [];
  const a = await place();
  const b = await place(open => {
    if (open.data.length === 0) open.accept({});
    else heard.push(open);
  });
  const first = await a.trunks.to(b);
  const broken = new Promise<OpenError>((resolve, reject) => {
    first.open(CALL_CHANNEL, packCall(call), {}, reject, resolve);
  });
  // More than the window bears ends the trunk at the other end.
  first.open(
    CALL_CHANNEL,
    new Uint8Array(0),
    {},
    channel => {
      for (let i = 0; i < 80; i++) channel.sendData(new Uint8Array(MAX_DATA));
    },
    () => {},
  );
  assert.match((await broken).message, /closed/);
  for (let i = 0; i < 4; i++) assert.is.not(await a.trunks.to(b), first);
});

test.run();
