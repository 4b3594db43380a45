// Attacks by clients that have signed in: floods whose answers nobody reads, circuits that stall, prompts, bans, names, files that others use.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConnection } from '../../../src/client/index.ts';
import { CHANNEL_OPEN, CHANNEL_REQUEST, GLOBAL_REQUEST, PING } from '../../../src/protocol/messages.ts';
import { encode } from '../../../src/protocol/wire/codec.ts';
import { encodeUtf8 } from '../../../src/protocol/wire/reader.ts';
import type { Attack, Round } from './round.ts';

/** Loaded before there are connections: it asks for a report of this process, which looks up the names of all peers, and waits for each. */
const { default: Database } = (await import('libsql')) as unknown as {
  default: new (file: string) => { exec(sql: string): void; close(): void };
};

const nothing = new Uint8Array(0);
/** Requests of one flood: what is small has the most overhead for each byte. */
const REQUESTS = 100_000;
/** Circuits to a provider that stalls. */
const STALLED = 100;
/** Data for each of them; its window is smaller. */
const EACH = 3 * 1024 * 1024;

/** Durations that no ban can have, or none should. */
const DURATIONS = ['99999999w', '1e99d', '-1s', '0s', '999999999999999999999s', '0.5w', 'NaN', '1w1w', '٣d', ''];
/** What a key on a terminal may send. */
const KEYS = [
  '\t',
  '\t\t',
  '\x03',
  '\x04',
  '\x1a',
  '\x1b[A',
  '\x1b[B',
  '\x1b[Z',
  '\x7f',
  '\x15',
  '\x1b',
  '\x1bOP',
  '\r',
  'ban ',
  'kick ',
  'help',
  'names\r',
  'whoami\r',
  '\x00',
  '\u{1f600}',
  '\xff',
  'x'.repeat(300),
];

/** Messages that have an answer, of every kind. */
const ANSWERED: readonly [string, (i: number) => Parameters<ClientConnection['connection']['send']>[0]][] = [
  ['global requests', () => encode(GLOBAL_REQUEST, { type: 'nobody-knows', wantReply: true, data: nothing })],
  ['pings', () => encode(PING, { data: new Uint8Array(200) })],
  [
    'channels of no known type',
    i => encode(CHANNEL_OPEN, { type: 'nobody-knows', sender: 10_000 + i, window: 1, maxPacket: 1, data: nothing }),
  ],
  ['unknown messages', () => encode({ ...GLOBAL_REQUEST, number: 79 }, { type: 'x', wantReply: true, data: nothing })],
];

/** Asks `what`, and reads no answer. */
async function unread(round: Round, say: (i: number) => Parameters<ClientConnection['connection']['send']>[0]) {
  const { client, socket, mute } = await round.client();
  mute();
  await round.repeat(socket, client, REQUESTS, i => client.connection.send(say(i)));
  await round.pause(2000);
}

/** A prompt that keys are typed at, which is then left, or closed, or cut off. */
async function prompted(round: Round, keys: readonly string[]): Promise<void> {
  // Without rights: what a tab completes must not end up in the ban of a circuit that is to live.
  const { client, socket } = await round.client();
  const shell = await client.shell({ columns: 1 + round.dice.below(200), rows: round.dice.below(60) });
  shell.exit.catch(() => {});
  for (const key of keys) {
    if (!(await shell.write(key))) break;
    if (round.dice.below(4) === 0) shell.resize(round.dice.below(3000), round.dice.below(3000));
  }
  const end = round.dice.below(4);
  if (end === 0) await sleep(50);
  if (end === 1) shell.stream.channel.close();
  if (end <= 2) socket.destroy();
  else await sleep(200);
}

async function execute(client: ClientConnection, command: string): Promise<void> {
  await client.exec(command);
}

export const MEMBERS: readonly Attack[] = [
  ...ANSWERED.map(
    ([name, say]): Attack => ({
      name: `${name} with answers that nobody reads`,
      every: 6000,
      run: round => unread(round, say),
    }),
  ),
  {
    name: 'requests of a channel with answers that nobody reads',
    every: 6000,
    async run(round) {
      const { client, socket, mute } = await round.client();
      const { channel } = (await client.shell({ pty: false })).stream;
      mute();
      const request = { recipient: channel.remoteId, type: 'nobody-knows', wantReply: true, data: new Uint8Array(64) };
      await round.repeat(socket, client, REQUESTS, () => client.connection.send(encode(CHANNEL_REQUEST, request)));
      await round.pause(2000);
    },
  },
  {
    name: 'a hundred circuits to a provider that stalls',
    every: 15_000,
    async run(round) {
      const provider = await round.client('mallory', `stall${round.dice.below(1000)}`);
      await provider.client.listen('localhost', 80, () => {});
      const { stdout } = await provider.client.exec('whoami --json');
      const { alias } = JSON.parse(Buffer.from(stdout).toString()) as { alias: string };
      const caller = await round.client('mallory');
      const streams = await Promise.all(Array.from({ length: STALLED }, () => caller.client.forward(alias, 80)));
      provider.mute();
      const chunk = new Uint8Array(32 * 1024);
      const ends = Promise.race([sleep(8000), caller.client.closed, provider.client.closed]);
      const write = async (stream: (typeof streams)[number]) => {
        for (let sent = 0; sent < EACH && (await stream.write(chunk.slice())); sent += chunk.length);
      };
      for (const stream of streams) write(stream).catch(() => {});
      await ends;
    },
  },
  {
    name: 'keys at a prompt that is left at once',
    every: 300,
    run: round => prompted(round, ['whoami\r\x03']),
  },
  {
    name: 'any keys at a prompt',
    every: 400,
    run: round =>
      prompted(
        round,
        Array.from({ length: 1 + round.dice.below(20) }, () => KEYS[round.dice.below(KEYS.length)]),
      ),
  },
  {
    name: 'output of a prompt that nobody reads',
    every: 5000,
    async run(round) {
      const { client, mute } = await round.client('admin');
      const shell = await client.shell({ columns: 200, rows: 50 });
      shell.exit.catch(() => {});
      mute();
      for (let i = 0; i < 500; i++) void shell.write('help\r').catch(() => {});
      await round.pause(3000);
    },
  },
  {
    name: 'bans with odd durations, and a look at them',
    every: 1000,
    async run(round) {
      const { client } = await round.client('admin');
      for (const duration of DURATIONS) {
        await execute(client, `ban 203.0.113.${round.dice.below(256)} --for ${duration}`);
        await execute(client, 'ban');
      }
      const shell = await client.shell({ columns: 80, rows: 24 });
      for (const command of ['ban', 'ban --json', `ban 203.0.113.9 --for ${DURATIONS[0]}`, 'ban', 'quit'])
        await shell.write(`${command}\r`);
      for await (const _ of shell.stdout);
      await execute(client, 'unban 203.0.113.9');
      await client.close();
    },
  },
  {
    name: 'ten thousand bans of addresses, in portions',
    every: 2000,
    async run(round) {
      const { client } = await round.client('admin');
      const { below } = round.dice;
      for (let i = 0; i < 50; i++) await execute(client, `ban 198.18.${below(256)}.${below(256)} --for 1h --reason x`);
      await client.close();
    },
  },
  {
    name: 'calls to a thousand names that nobody has',
    every: 3000,
    async run(round) {
      const { client, socket } = await round.client();
      const failed = () => {};
      await round.repeat(socket, client, 1000, i => {
        client.forward(`${'n'.repeat(i % 60)}${i}.example.org`, 1 + (i % 65_535)).catch(failed);
      });
      await round.pause(1000);
    },
  },
  {
    name: 'names and lines that should be none',
    every: 1500,
    async run(round) {
      const users = [`${'a'.repeat(50)}.`, '-oProxyCommand=x', '../../etc', 'x\n', '\u202e', '.', '', 'A'.repeat(5000)];
      const { client } = await round.client('mallory', users[round.dice.below(users.length)]);
      for (const host of ['', 'localhost', '*', '-o', 'x'.repeat(10_000)]) {
        const listener = await client.listen(host, 1 + round.dice.below(65_535), () => {}).catch(() => undefined);
        if (round.dice.below(2) === 0) await listener?.close();
      }
      await client.listenPath(`/${'x'.repeat(5000)}`).catch(() => {});
    },
  },
  {
    name: 'commands, environments and terminals that are too large, and commands that are none',
    every: 1500,
    async run(round) {
      const { client } = await round.client('admin');
      const large = 'x'.repeat(20_000);
      const commands = [
        large,
        'kick ../..',
        'kick -1',
        'names release \u0000',
        'invite --hostname ../../x --for 1e9w',
        'listeners now',
        '--json',
        '\u001b]52;c;x\u0007',
        'ban "',
        "unban '",
      ];
      for (const command of commands)
        await client.exec(command, { env: { [large.slice(0, 500)]: large } }).catch(() => {});
      await client.shell({ term: large }).then(
        shell => shell.close(),
        () => {},
      );
      await client.subsystem(large).catch(() => {});
    },
  },
  {
    name: 'connections that die in the middle of new keys',
    every: 1000,
    async run(round) {
      const { client, socket } = await round.client();
      const stream = await client.open('session');
      for (let i = 0; i < 1 + round.dice.below(3); i++) {
        client.connection.rekey();
        void stream.channel.request('env', new Uint8Array(3)).catch(() => {});
        await sleep(round.dice.below(30));
      }
      socket.destroy();
    },
  },
  {
    name: 'an offer of new keys that nothing follows but requests',
    every: 5000,
    async run(round) {
      const { client, socket, mute } = await round.client();
      // From its KEXINIT on the peer keeps its own answers back (RFC 4253 §7.1).
      mute();
      client.connection.rekey();
      await round.repeat(socket, client, 20_000, () => void client.connection.request('nobody-knows', encodeUtf8('x')));
      await round.pause(2000);
    },
  },
  {
    name: 'another process that holds the database’s lock',
    every: 10_000,
    async run(round) {
      const database = new Database(round.ground.database);
      try {
        database.exec('PRAGMA busy_timeout = 1000');
        database.exec('BEGIN IMMEDIATE');
        await round.pause(1500);
        database.exec('ROLLBACK');
      } finally {
        database.close();
      }
    },
  },
];
