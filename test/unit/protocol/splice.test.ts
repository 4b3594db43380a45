// A circuit that is held: its senders get no more credit until it is let go; what they had been granted still comes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, WINDOW } from '../../../src/protocol/channels/channel.ts';
import type { ChannelOpen } from '../../../src/protocol/channels/mux.ts';
import { hold } from '../../../src/protocol/channels/splice.ts';
import type { Client } from '../../../src/server/server.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';
import { turns } from '../../kit/socket.ts';

test.after(closeServers);

test('a circuit that is held stops both ways within a window, and goes on when it is let go', async () => {
  const clients: Client[] = [];
  let near: Channel | undefined;
  const server = testServer({
    signedIn: client => void clients.push(client),
    channels: {
      line: open => open.forward(clients[0].connection.mux, 'line', open.data, channel => (near = channel)),
    },
  });
  /** Bytes that have come at the provider and at the caller. */
  const came = [0, 0];
  const count = (at: number, of: () => Channel) => ({
    data: (bytes: Uint8Array) => {
      came[at] += bytes.length;
      of().consumed(bytes.length);
    },
  });
  let callee: Channel | undefined;
  const { client: provider } = await call(server);
  provider.called = open => {
    callee = open.accept({ ...count(0, () => callee!), writable: () => pour(callee!) });
  };
  const { client: caller } = await call(server);
  const piece = new Uint8Array(32 * 1024);
  const pour = (channel: Channel) => {
    while (came[0] + came[1] < 40 * WINDOW && channel.write(piece) === piece.length);
  };
  const stream = await new Promise<Channel>((resolve, reject) =>
    caller.connection.mux.open(
      'line',
      new Uint8Array(0),
      { ...count(1, () => stream), writable: () => pour(stream) },
      channel => resolve(channel),
      reject,
    ),
  );
  hold(near!, true);
  pour(stream);
  pour(callee!);
  await turns(200);
  assert.equal(came, [WINDOW, WINDOW], 'what was granted before');
  hold(near!, false);
  await turns(50);
  assert.ok(came[0] > WINDOW && came[1] > WINDOW, `${came}`);
});

test('whoever forwards hears of the circuit, or that there will be none', async () => {
  const clients: Client[] = [];
  const heard: string[] = [];
  const server = testServer({
    signedIn: client => void clients.push(client),
    channels: {
      line: open =>
        open.forward(
          ...([clients[0].connection.mux, 'line', open.data] as const),
          () => heard.push('joined'),
          () => heard.push('failed'),
        ),
    },
  });
  const { client: provider } = await call(server);
  const { client: caller } = await call(server);
  const attempt = () =>
    new Promise<string>(resolve =>
      caller.connection.mux.open(
        'line',
        new Uint8Array(0),
        {},
        () => resolve('opened'),
        ({ message }) => resolve(message),
      ),
    );
  provider.called = open => open.reject(2, 'not today');
  assert.is(await attempt(), 'not today');
  provider.called = open => void open.accept({});
  assert.is(await attempt(), 'opened');
  // The caller leaves while the provider thinks about it.
  let late: ChannelOpen | undefined;
  provider.called = open => void (late = open);
  void attempt();
  while (late === undefined) await turns(1);
  caller.connection.disconnect(11, 'bye');
  await turns(20);
  assert.equal(heard, ['failed', 'joined']);
  late.accept({});
  await turns(20);
  assert.equal(heard, ['failed', 'joined', 'failed']);
});

test.run();
