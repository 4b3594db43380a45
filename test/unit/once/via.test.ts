// Plugging into a switchboard that is not what it should be: whatever it says of us or of callers is checked before it is printed,
// announced or compared.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OnceError } from '../../../src/apps/once/failure.ts';
import { freshKey } from '../../../src/apps/once/life.ts';
import { isAddress, isHostName, isPort } from '../../../src/apps/once/names.ts';
import { plugIn } from '../../../src/apps/once/via.ts';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import type { Channel } from '../../../src/protocol/channels/channel.ts';
import { FORWARDED_PORT, FORWARDED_TCPIP } from '../../../src/protocol/channels/forwarding.ts';
import { Disconnect } from '../../../src/protocol/errors.ts';
import { pack } from '../../../src/protocol/wire/codec.ts';
import { publicKeys } from '../../../src/server/authenticators.ts';
import { listen, type Socket } from '../../../src/server/runtime/net.ts';
import { type Client, Server } from '../../../src/server/server.ts';
import { ChannelStream } from '../../../src/server/streams.ts';
import { bounded, eventually, type Scope, soon } from '../../kit/processes.ts';

interface Board {
  /** What stands in its greeting as the line's name; without it, it is a plain server. */
  readonly alias?: string;
  /** The port that it gives a plain line. */
  readonly port?: number;
  /** What it shows in place of a greeting. */
  readonly banner?: string;
  readonly refusal?: string;
}

/** A switchboard that says what it is told to. */
async function board(scope: Scope, { alias, port = 4022, refusal, ...rest }: Board) {
  const { key, fingerprint } = freshKey(accelerated);
  const clients: Client[] = [];
  const server = new Server({
    ...{ provider: accelerated, hostKeys: [key] },
    banner: rest.banner ?? (alias === undefined ? undefined : `Your lines are reached as ${alias}:\n  ssh …\n`),
    authenticators: [publicKeys({ acceptable: () => true, proven: () => true })],
    requests: { 'tcpip-forward': () => (alias === undefined ? pack(FORWARDED_PORT, { port }) : true) },
    signedIn: client => {
      clients.push(client);
      if (refusal !== undefined) client.connection.disconnect(Disconnect.BY_APPLICATION, refusal);
    },
  });
  const listener = await listen('127.0.0.1', 0, socket => void server.serve(socket));
  scope.defer(async () => {
    listener.close();
    await server.close('the test is over');
  });
  const said: string[] = [];
  const called: Socket[] = [];
  const plug = () =>
    plugIn(
      { at: `x@127.0.0.1:${listener.port}`, hostKey: fingerprint },
      accelerated,
      socket => void called.push(socket),
      line => said.push(line),
    );
  /** Somebody calls the line, from an address. */
  const call = (originHost: string, originPort: number) => {
    const stream = new ChannelStream();
    const data = pack(FORWARDED_TCPIP, { host: 'localhost', port: alias ? 22 : port, originHost, originPort });
    return new Promise<ChannelStream>((resolve, reject) => {
      const opened = (channel: Channel) => {
        stream.channel = channel;
        resolve(stream);
      };
      clients[0].connection.mux.open('forwarded-tcpip', data, stream.handler, opened, reject);
    });
  };
  return { plug, call, said, called };
}

/** Names that ssh or a shell takes for something else, or that no line is printed with. */
const BAD_NAMES = [
  ...[
    '-oProxyCommand=reboot',
    '-v',
    '~root',
    '$(reboot)',
    '`reboot`',
    'a;reboot',
    "a'b",
    'a"b',
    'a|b',
    'a&b',
    'a/b',
    'a\\b',
  ],
  ...['a@b', '[::1]', 'a:22', 'a*', 'a?', '!a', 'a,b', '#a', '\x1b[2J', 'a\u202eb', 'é', '.', '', 'x'.repeat(254)],
];

test('names, addresses and ports by their grammar', () => {
  for (const name of BAD_NAMES.filter(name => name !== '')) assert.not.ok(isHostName(name), name);
  assert.not.ok(isHostName('') || isHostName('a b') || isHostName('a\nb'));
  for (const name of ['once-3k9v0xq2ma', 'Board.example.org', 'name~1', 'a_b', '127.0.0.1', '_x', 'x'.repeat(253)])
    assert.ok(isHostName(name), name);
  for (const address of ['127.0.0.1', '::1', 'fe80::1%eth0']) assert.ok(isAddress(address));
  for (const no of ['', 'localhost', '1.2.3', '127.0.0.1 22', '::1\n', '%', 'fe80::1%$(x)'])
    assert.not.ok(isAddress(no), no);
  assert.ok(isPort(1) && isPort(65535));
  assert.not.ok([0, -1, 65536, 4294967295, 1.5, Number.NaN].some(isPort));
});

test(
  'a line has the name in the greeting if it is one, and there is none otherwise',
  bounded(120, async scope => {
    const good = await board(scope, { alias: 'me-3k9v0xq2ma' });
    const line = await good.plug();
    assert.equal([line.host, line.port], ['me-3k9v0xq2ma', 22]);
    // A greeting has no blank in a name, and ssh none in an empty one.
    for (const alias of BAD_NAMES.filter(name => name !== '')) {
      const bad = await board(scope, { alias });
      const error = await bad.plug().catch((error: Error) => error);
      assert.instance(error, OnceError, alias);
      assert.match(
        (error as Error).message,
        /^Could not plug into the switchboard 127\.0\.0\.1:\d+: it calls the line ".*", which is no host name$/,
      );
      assert.not.match((error as Error).message, /[\x00-\x1f\u202e]/);
    }
  }),
);

test(
  'the port, the reason of a refusal, and an endless greeting',
  bounded(120, async scope => {
    assert.is((await (await board(scope, {})).plug()).port, 4022);
    for (const port of [0, 65536, 4294967295]) {
      const error = await (await board(scope, { port })).plug().catch((error: Error) => error);
      assert.match((error as Error).message, /: it gives the line the port \d+, which there is none of$/);
    }
    const refused = await (await board(scope, { refusal: `no\x1b]52;c;x\x07\n${'x'.repeat(2000)}` }))
      .plug()
      .catch((error: Error) => error);
    assert.instance(refused, OnceError);
    assert.not.match((refused as Error).message, /[\x00-\x1f]/);
    assert.ok((refused as Error).message.length < 1000);
    const long = `${'x'.repeat(200_000)}\nYour lines are reached as late:\n`;
    assert.is((await (await board(scope, { banner: long })).plug()).host, 'localhost');
  }),
);

test(
  'a caller has an address, which is compared with from= and given to the shell, or is not let in',
  bounded(120, async scope => {
    const { plug, call, said, called } = await board(scope, { alias: 'me' });
    await plug();
    for (const [host, port] of [
      ['127.0.0.1 22 0\nPATH=/tmp', 1],
      ['localhost', 1],
      ['', 1],
      ['127.0.0.1', 4294967295],
    ] as const) {
      const before = said.length;
      await soon('the end of the call', (await call(host, port)).closed, 60);
      await eventually('a word of it', () => said.length > before);
      assert.match(said.at(-1)!, /^a caller is refused: the switchboard gives ".*" port \d+ as its address$/);
    }
    assert.equal(called, []);
    await call('192.0.2.7', 50112);
    await eventually('the caller', () => called.length === 1);
    assert.equal([called[0].address, called[0].port], ['192.0.2.7', 50112]);
  }),
);

test(
  '--via itself',
  bounded(60, async () => {
    for (const at of ['x@-oProxyCommand=y:22', 'x@[evil]:22', 'x@host:0', 'x@host:99999', 'x@ho st', '@', '']) {
      const error = await plugIn(
        { at },
        accelerated,
        () => {},
        () => {},
      ).catch((error: Error) => error);
      assert.is((error as Error).message, `--via ${at} is not of the form user@host:port`);
      assert.is((error as OnceError).status, 2);
    }
  }),
);

test.run();
