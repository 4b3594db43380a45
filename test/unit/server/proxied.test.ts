// Connections through a balancer, over sockets without a network: whose they are afterwards, what is refused, and what
// is only a check.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../../src/protocol/errors.ts';
import { MAX_WAITING, Proxied } from '../../../src/server/proxied.ts';
import type { Socket } from '../../../src/server/runtime/net.ts';
import { FakeSocket, turn, turns } from '../../kit/socket.ts';

const LINE = 'PROXY TCP4 203.0.113.9 198.51.100.7 56324 22\r\n';

function gate(seconds?: number) {
  const said: string[] = [];
  const note = (level: string) => (_fields: object, message: string) => void said.push(`${level} ${message}`);
  const log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const proxied = new Proxied('192.0.2.0/24,2001:db8::1', log, seconds);
  const taken: Socket[] = [];
  const call = (address: string): FakeSocket => {
    const socket = new FakeSocket(address, 40_000);
    proxied.take(socket, known => void taken.push(known));
    return socket;
  };
  return { said, taken, call };
}

/** What a user of the socket hears. */
function listen(socket: Socket, borrows = false): string[] {
  const heard: string[] = [];
  socket.start({
    data: chunk => void heard.push(Buffer.from(chunk).toString('latin1')),
    borrows,
    end: () => void heard.push('end'),
    drain: () => void heard.push('drain'),
    close: () => void heard.push('close'),
  });
  return heard;
}

test('an address that is no balancer is itself, at once, and its header is bytes like others', async () => {
  const { taken, call } = gate();
  const socket = call('198.51.100.1');
  assert.is(taken[0], socket);
  socket.receive(LINE);
  const heard = listen(taken[0]);
  await turns();
  assert.equal(heard, [LINE]);
});

for (const borrows of [false, true]) {
  test(`a balancer's connection is the client's once the header has come, whatever the pieces (borrows: ${borrows})`, async () => {
    const all = `${LINE}SSH-2.0-x\r\n`;
    for (let cut = 1; cut < all.length; cut++) {
      const { taken, call, said } = gate();
      const socket = call('192.0.2.1');
      socket.receive(all.slice(0, cut));
      await turn();
      socket.receive(all.slice(cut));
      await turn();
      const [known] = taken;
      const heard = listen(known, borrows);
      await turn();
      socket.receive('more');
      await turn();
      assert.is(heard.join(''), 'SSH-2.0-x\r\nmore', `cut at ${cut}`);
      const { address, port, localAddress, localPort, check } = known;
      assert.equal(
        { address, port, localAddress, localPort, check },
        { address: '203.0.113.9', port: 56_324, localAddress: '198.51.100.7', localPort: 22, check: false },
      );
      known.write([Uint8Array.of(1, 2)]);
      assert.is(known.pending, 2);
      assert.equal([...socket.take()], [1, 2]);
      socket.receiveEnd();
      known.destroy();
      await turns();
      assert.is(heard.at(-1), 'close');
      assert.equal(said, []);
    }
  });
}

test('a balancer that speaks for itself is a check, with its own address', () => {
  const { taken, call } = gate();
  const socket = call('2001:db8::1');
  socket.receive('PROXY UNKNOWN\r\n');
  assert.is(taken[0].address, '2001:db8::1');
  assert.ok(taken[0].check);
});

test('a balancer without a header is refused with one line; one that leaves without a word is no news', async () => {
  const { taken, call, said } = gate();
  const wrong = call('192.0.2.1');
  wrong.receive('SSH-2.0-x\r\n');
  wrong.receive(LINE);
  await turns();
  assert.ok(wrong.destroyed);
  assert.equal(said, [
    'warn connection refused: it does not begin with a PROXY header',
    'debug a connection without a PROXY header has ended',
  ]);
  said.length = 0;
  const silent = call('192.0.2.1');
  silent.receiveEnd();
  await turns();
  assert.ok(silent.destroyed);
  assert.equal(said, ['debug a connection without a PROXY header has ended']);
  assert.equal(taken, []);
});

test('a header has its time', async () => {
  const { call, said } = gate(0.01);
  const slow = call('192.0.2.1');
  slow.receive('PROXY');
  while (!slow.destroyed) await new Promise(resolve => setTimeout(resolve, 5));
  assert.match(said[0], /warn connection refused: no PROXY header came within/);
});

test('so many wait for a header, and no more; one that has come makes room', async () => {
  const { call, said, taken } = gate();
  const waiting = Array.from({ length: MAX_WAITING }, () => call('192.0.2.1'));
  assert.ok(call('192.0.2.1').destroyed);
  assert.match(said[0], /too many wait/);
  waiting[0].receive(LINE);
  assert.is(taken.length, 1);
  waiting.push(call('192.0.2.1'));
  assert.not(waiting.at(-1)!.destroyed);
  for (const socket of waiting) socket.destroy();
  await turns();
  const last = call('192.0.2.1');
  assert.not(last.destroyed);
  last.destroy();
});

test('a list that is none is named', () => {
  for (const list of ['', 'localhost', '10.0.0.0/33', '10.0.0.1,'])
    assert.throws(
      () => new Proxied(list, { debug() {}, info() {}, warn() {}, error() {} }),
      (error: unknown) => error instanceof UsageError,
    );
});

test.run();
