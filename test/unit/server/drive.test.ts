// The driver: one write a tick, reading that stops and goes on, and everything that depends on time, by counted seconds.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Connection, type ConnectionEvents } from '../../../src/protocol/connection.ts';
import { Disconnect, DisconnectError } from '../../../src/protocol/errors.ts';
import type { AuthAnswer } from '../../../src/protocol/userauth/questions.ts';
import { Packet } from '../../../src/protocol/wire/packet.ts';
import { concat } from '../../../src/protocol/wire/reader.ts';
import { Driver, TIMES, type Times } from '../../../src/server/drive.ts';
import { insecure, insecureKey, seeded } from '../../kit/insecure.ts';
import { FakeSocket, turn } from '../../kit/socket.ts';

/** The driver as a test sees it: a server's connection behind a fake socket, and a client without one. */
function driven(times: Partial<Times> = {}, events: Partial<ConnectionEvents> = {}, ident = 'SSH-2.0-Other_1') {
  const provider = insecure(seeded(1).bytes);
  const socket = new FakeSocket();
  const driver = new Driver(socket, { ...TIMES, ...times });
  const connection = new Connection(
    { role: 'server', provider, hostKeys: [insecureKey(new Uint8Array(8))], methods: ['publickey'] },
    { output: () => driver.wake(), auth: (_question, answer) => answer({ result: 'accept' }), ...events },
  );
  /** Global requests that the client has heard. */
  const heard: string[] = [];
  const client = new Connection(
    { role: 'client', provider, ident, user: 'alice', credentials: [] },
    {
      output() {},
      hostKey: (_question, answer) => answer(true),
      globalRequest: ({ type }) => {
        heard.push(type);
        return true;
      },
    },
  );
  driver.start(connection);
  client.start();
  /** Carries bytes until both are quiet. */
  const settle = async () => {
    for (let quiet = 0; quiet < 3; ) {
      await turn();
      const down = socket.take();
      if (down.length > 0) client.receive(down);
      const up = concat(...client.takeOutput());
      if (up.length > 0) socket.receive(up);
      quiet = down.length + up.length > 0 ? 0 : quiet + 1;
    }
  };
  /** What the client sends does not arrive: it is as good as dead, but for what it reads. */
  const hear = async () => {
    await turn();
    const down = socket.take();
    if (down.length > 0) client.receive(down);
  };
  const ticks = (count: number) => {
    for (let i = 0; i < count; i++) driver.tick();
  };
  return { socket, driver, connection, client, heard, settle, hear, ticks };
}

test('a client that waits for our offer gets it after a moment', async () => {
  const socket = new FakeSocket();
  const driver = new Driver(socket);
  const provider = insecure(seeded(1).bytes);
  const [{ name }] = provider.ciphers;
  const connection = new Connection(
    { role: 'server', provider, hostKeys: [insecureKey(new Uint8Array(8))], methods: [], preferCiphers: [name] },
    { output: () => driver.wake() },
  );
  driver.start(connection);
  await turn();
  const ident = new TextDecoder().decode(socket.take());
  assert.match(ident, /^SSH-2\.0-\S+\r\n$/, 'the identification, and no more');
  while (connection.transport.waitsToOffer) await new Promise(resolve => setTimeout(resolve, 20));
  await turn();
  assert.is(socket.take()[5], 20, 'KEXINIT');
  socket.close();
});

test('everything that comes up in one tick leaves in one write', async () => {
  const { socket, connection, heard, settle } = driven();
  await settle();
  const before = socket.writes;
  for (const type of ['a@x', 'b@x', 'c@x']) connection.mux.notify(type, new Uint8Array(0));
  assert.is(socket.writes, before, 'not before the end of the tick');
  await Promise.resolve();
  assert.is(socket.writes, before + 1);
  await settle();
  assert.equal(heard, ['a@x', 'b@x', 'c@x']);
});

test('while a question of the sign-in is open, nothing is read; its answer goes on', async () => {
  let answer!: (answer: AuthAnswer) => void;
  const { socket, connection, settle } = driven({}, { auth: (_question, decide) => (answer = decide) });
  await settle();
  assert.ok(socket.paused);
  assert.is(connection.stage, 'userauth');
  answer({ result: 'accept' });
  await settle();
  assert.not.ok(socket.paused);
  assert.is(connection.stage, 'connection');
});

test('once it is over, what still comes is read and dropped, an open question or not', async () => {
  const { socket, connection, settle } = driven({}, { auth() {} });
  await settle();
  connection.disconnect(Disconnect.BY_APPLICATION, 'enough');
  await turn();
  assert.ok(socket.pending > 0, 'the last words');
  assert.ok(socket.ended);
  assert.not.ok(socket.paused);
  socket.receive('something');
  await turn();
  // Unread data would make the system reset the connection, and the peer lose the last words.
  assert.not.ok(socket.paused);
});

test('a socket with more than enough to send makes the connection congested, until it has drained', async () => {
  const { socket, connection, settle } = driven();
  await settle();
  assert.not.ok(connection.congested);
  const big = new Uint8Array(200_000);
  for (let i = 0; i < 6; i++) connection.mux.notify('big@x', big);
  await turn();
  assert.ok(connection.congested);
  socket.take();
  await turn();
  assert.not.ok(connection.congested);
});

test('a peer that asks and does not read the answers is not read from, until it does', async () => {
  let asked = 0;
  const { socket, connection, client, settle } = driven(
    {},
    {
      globalRequest: () => {
        asked++;
        return new Uint8Array(100_000);
      },
    },
  );
  await settle();
  const ask = async (count: number) => {
    for (let i = 0; i < count; i++) void client.mux.request('tell@x', new Uint8Array(0));
    socket.receive(concat(...client.takeOutput()));
    await turn();
  };
  await ask(11);
  assert.ok(connection.congested);
  assert.not.ok(socket.paused, 'what came before the socket was full does not count');
  await ask(3);
  assert.ok(socket.paused);
  await ask(5);
  assert.is(asked, 14, 'the rest waits');
  socket.take();
  await turn();
  assert.not.ok(socket.paused);
  assert.is(asked, 19);
});

test('whoever is not signed in by the end of the grace time is told so and disconnected', async () => {
  const { socket, driver, connection, client, settle, ticks } = driven({ loginGrace: 120 }, { auth() {} });
  await settle();
  ticks(119);
  assert.not.ok(connection.closed);
  assert.not.ok(driver.graceOver);
  ticks(1);
  assert.ok(driver.graceOver);
  await settle();
  assert.match(client.error!.message, /not signed in within 120 seconds/);
  assert.ok(socket.ended);
});

test('the grace time counts before the first byte, too; that peer gets a line', async () => {
  const { socket, ticks } = driven({ loginGrace: 3 });
  await turn();
  ticks(3);
  await turn();
  assert.match(new TextDecoder().decode(socket.take()), /\r\n.*not signed in within 3 seconds\r\n$/s);
});

test('who is signed in has no grace time; 0 means that nobody has', async () => {
  const signedIn = driven({ loginGrace: 2 });
  await signedIn.settle();
  signedIn.ticks(10);
  assert.not.ok(signedIn.connection.closed);
  const slow = driven({ loginGrace: 0 }, { auth() {} });
  await slow.settle();
  slow.ticks(10_000);
  assert.not.ok(slow.connection.closed);
});

test('a peer that does not close after our last words gets five seconds', async () => {
  const { socket, driver, connection, ticks } = driven();
  await turn();
  connection.disconnect(Disconnect.BY_APPLICATION, 'bye');
  await turn();
  ticks(4);
  assert.not.ok(socket.destroyed);
  ticks(1);
  assert.ok(socket.destroyed);
  await driver.closed;
  assert.ok(driver.tick(), 'nothing left to do');
});

test('after silence the peer is asked whether it lives; an answer is enough', async () => {
  const { connection, heard, settle, ticks } = driven({ keepaliveInterval: 15, keepaliveCount: 3 });
  await settle();
  ticks(15);
  await settle();
  assert.equal(heard, [], 'something was heard since the last tick before these');
  ticks(1);
  await settle();
  assert.equal(heard, ['keepalive@openssh.com']);
  for (let i = 0; i < 20; i++) {
    ticks(16);
    await settle();
  }
  assert.is(heard.length, 21);
  assert.not.ok(connection.closed);
});

/** Identifications of those that are judged by their answers whether they have been asked before or not, and of any other. */
const KNOWN = 'SSH-2.0-OpenSSH_9.2p1 Debian-2';

for (const known of [true, false]) {
  const who = known ? 'an OpenSSH that was never asked before' : 'a peer that has answered before';
  test(`${who} and leaves three questions unanswered is dead, and its socket is destroyed at once`, async () => {
    const times = { keepaliveInterval: 15, keepaliveCount: 3 };
    const { socket, connection, heard, settle, hear, ticks } = driven(times, {}, known ? KNOWN : undefined);
    // Its system lives: that of one that is stopped.
    socket.progress = async () => ({ taken: 0, waiting: 0, tries: 0 });
    await settle();
    ticks(1);
    if (!known) {
      ticks(15);
      await settle();
      ticks(1);
    }
    heard.length = 0;
    for (let question = 1; question <= 3; question++) {
      ticks(15);
      await hear();
      assert.is(heard.length, question);
    }
    ticks(14);
    await turn();
    assert.not.ok(connection.closed);
    ticks(1);
    await turn();
    assert.instance(connection.error, DisconnectError);
    assert.is((connection.error as DisconnectError).reason, Disconnect.CONNECTION_LOST);
    assert.match(connection.error!.message, /silent for 60 seconds/);
    assert.ok(socket.destroyed);
  });
}

/** A peer that never answers, behind a system of which `progress` tells; `pass` lets intervals pass. */
async function mute(ident?: string, rekeyAfter = 0) {
  const it = driven({ keepaliveInterval: 5, keepaliveCount: 2, rekeyAfter, exchange: 0 }, {}, ident);
  await it.settle();
  it.ticks(1);
  const state = { taken: 100, waiting: 0, tries: 0 };
  it.socket.progress = async () => ({ ...state });
  const probed: number[] = [];
  it.socket.probe = seconds => probed.push(seconds);
  const pass = async (intervals: number) => {
    for (let i = 0; i < intervals; i++) {
      it.ticks(5);
      await it.hear();
      await turn();
    }
  };
  return { ...it, state, probed, pass };
}

test('a peer that has never answered lives as long as its system acknowledges; it is asked no more, and the system asks', async () => {
  const { connection, heard, state, probed, pass } = await mute();
  await pass(500);
  assert.not.ok(connection.closed);
  assert.is(heard.length, 2, 'questions that nobody reads would fill its memory');
  assert.equal(probed, [5]);
  // Data wait for it, and its system says each time that it has no room: it lives.
  Object.assign(state, { waiting: 1000 });
  await pass(20);
  assert.not.ok(connection.closed);
});

test('a peer that has never answered gets new keys when it says something; before, only if nothing is known of its system', async () => {
  for (const [progress, exchanges] of [
    [undefined, 1],
    [async () => ({ taken: 0, waiting: 0, tries: 0 }), 1],
    [async () => undefined, 2],
  ] as const) {
    const { connection, client, socket, settle, ticks, pass } = await mute(undefined, 100);
    socket.progress = progress;
    await pass(50);
    await settle();
    assert.is(connection.transport.exchanges, exchanges);
    client.mux.notify('noise@x', new Uint8Array(0));
    await settle();
    ticks(1);
    await settle();
    assert.is(connection.transport.exchanges, 2);
  }
});

test('a peer that has never answered and whose system acknowledges nothing is dead as soon as any other', async () => {
  for (const before of [0, 1, 10]) {
    const { socket, connection, state, pass } = await mute();
    await pass(before);
    state.tries = 5;
    state.waiting = 50;
    // The first interval of silence counts, too, as long as nothing was acknowledged since.
    await pass(before === 1 ? 1 : 2);
    assert.not.ok(connection.closed, 'not before');
    await pass(1);
    assert.match(connection.error!.message, /silent for 15 seconds/);
    assert.ok(socket.destroyed);
  }
});

test('a peer that has never answered and takes slowly what waits, lost packets included, is not dead', async () => {
  const { connection, state, pass } = await mute();
  state.waiting = 100_000;
  state.tries = 3;
  await pass(2);
  for (let i = 0; i < 20; i++) {
    state.taken += 10;
    await pass(1);
  }
  assert.not.ok(connection.closed);
});

test('where nothing is known of its system, a peer that has never answered is not judged by us', async () => {
  for (const progress of [undefined, async () => undefined]) {
    const { socket, connection, heard, probed, pass } = await mute();
    socket.progress = progress;
    await pass(100);
    assert.not.ok(connection.closed);
    assert.is(heard.length, 2);
    assert.equal(probed, [5], 'but by the system');
  }
});

test('answers that come late, when it happens to read, say nothing about the next time', async () => {
  const { connection, client, socket, heard, settle, ticks, pass } = await mute();
  await pass(10);
  socket.receive(concat(...client.takeOutput()));
  await settle();
  ticks(1);
  await pass(10);
  assert.not.ok(connection.closed);
  assert.is(heard.length, 4);
});

test('a peer that talks now and then and never answers is not asked without end, nor given up', async () => {
  const { connection, client, socket, heard, settle, ticks, pass } = await mute();
  for (let i = 0; i < 20; i++) {
    await pass(1);
    // What it would have answered is lost; what it says is not.
    client.takeOutput();
    client.mux.notify('noise@x', new Uint8Array(0));
    const said = concat(...client.takeOutput());
    assert.ok(said.length > 0);
    socket.receive(said);
    await settle();
    ticks(1);
  }
  assert.is(heard.length, 2);
  assert.not.ok(connection.closed);
});

test('a peer that is silent because our question waits behind what it takes slowly is not dead', async () => {
  const { connection, heard, state, pass } = await mute(KNOWN);
  state.waiting = 1000;
  for (let i = 0; i < 20; i++) {
    await pass(1);
    state.taken += 10;
    state.waiting -= 10;
  }
  assert.is(heard.length, 2, 'two questions are enough');
  assert.not.ok(connection.closed);
  // All has been taken, that last time as well, and it gets as long as any other to answer.
  state.waiting = 0;
  await pass(1);
  assert.not.ok(connection.closed);
  await pass(1);
  assert.match(connection.error!.message, /silent/);
});

test('an OpenSSH whose system takes our questions, but that does not answer them, is dead; and so is one that takes nothing', async () => {
  for (const waits of [0, 1000]) {
    const { connection, state, pass } = await mute(KNOWN);
    state.waiting = waits;
    for (let i = 0; i < 2; i++) {
      await pass(1);
      if (waits === 0) state.taken += 50;
    }
    assert.not.ok(connection.closed);
    await pass(1);
    assert.match(connection.error!.message, /silent for 15 seconds/);
  }
});

test('a peer that sends anything at all is not asked', async () => {
  const { client, heard, settle, ticks } = driven({ keepaliveInterval: 5 });
  await settle();
  for (let i = 0; i < 10; i++) {
    client.mux.notify('noise@x', new Uint8Array(0));
    await settle();
    ticks(5);
  }
  assert.equal(heard, []);
});

test('interval 0 asks nobody', async () => {
  const { connection, heard, settle, ticks } = driven({ keepaliveInterval: 0, rekeyAfter: 0 });
  await settle();
  ticks(10_000);
  await settle();
  assert.equal(heard, []);
  assert.is(connection.transport.exchanges, 1);
});

test('with clients that end at an exchange which the server begins, the age of keys does not count', async () => {
  for (const [ident, exchanges] of [
    ['SSH-2.0-dev-tunnels-ssh_3.12.42', 1],
    ['SSH-2.0-vs-ssh_3.0', 1],
    ['SSH-2.0-Microsoft.DevTunnels.Ssh_3.12', 2],
  ] as const) {
    const { connection, settle, ticks } = driven({ rekeyAfter: 100, keepaliveInterval: 0 }, {}, ident);
    await settle();
    ticks(101);
    await settle();
    assert.is(connection.transport.exchanges, exchanges, ident);
  }
});

test('keys are exchanged anew at their age, however they got that old', async () => {
  const { connection, client, settle, ticks } = driven({ rekeyAfter: 100, keepaliveInterval: 0 });
  await settle();
  ticks(100);
  await settle();
  assert.is(connection.transport.exchanges, 1, 'the first tick saw new keys');
  ticks(1);
  await settle();
  assert.is(connection.transport.exchanges, 2);
  ticks(50);
  client.rekey();
  await settle();
  assert.is(connection.transport.exchanges, 3);
  ticks(100);
  await settle();
  assert.is(connection.transport.exchanges, 3, "the peer's exchange made the keys young again");
  ticks(1);
  await settle();
  assert.is(connection.transport.exchanges, 4);
});

test('a peer that leaves a key re-exchange unfinished is disconnected', async () => {
  const { connection, settle, hear, ticks } = driven({ exchange: 60, keepaliveInterval: 0, rekeyAfter: 0 });
  await settle();
  connection.rekey();
  await hear();
  ticks(59);
  assert.not.ok(connection.closed);
  ticks(1);
  assert.is((connection.error as DisconnectError).reason, Disconnect.KEY_EXCHANGE_FAILED);
});

test('the end of the socket is the end of the connection: in order, or with its error', async () => {
  const orderly = driven();
  await orderly.settle();
  orderly.socket.receiveEnd();
  assert.match(orderly.connection.error!.message, /the peer closed the connection/);
  const reset = driven();
  await reset.settle();
  reset.socket.close(new Error('read ECONNRESET'));
  assert.is(reset.connection.error!.message, 'read ECONNRESET');
  await reset.driver.closed;
  assert.ok(reset.driver.tick());
});

test('small frames that wait in a slow socket do not keep large chunks alive', async () => {
  const { socket, driver, connection, settle } = driven();
  await settle();
  const chunk = new Uint8Array(64 * 1024);
  for (let i = 0; i < 100; i++) {
    connection.transport.send(new Packet(chunk.slice(), 1000, 1100));
    driver.flush();
  }
  // All but the first, which went out while nothing waited.
  assert.ok(socket.kept < 2 * chunk.length, `${socket.kept} bytes for ${socket.pending}`);
});

test.run();
