// A crowd of clients in a process of their own: `crowd.ts PORT KEY provide CLIENTS LINES` or `… call CIRCUITS ALIAS:PORT,…`. Says "ready" when all are there.
// Of the callers most say a little now and then, some write as fast as they can, some never read, some hang up and call again.
import { readFileSync } from 'node:fs';
import { type ChannelStream, type ClientConnection, dial } from '../../src/index.ts';

const [port, key, role, ...rest] = process.argv.slice(2);

/** Connections that are made at once; each costs both sides some milliseconds of arithmetic. */
const AT_ONCE = 8;
/** Circuits of one connection. */
const EACH = 40;
/** Milliseconds between two things that somebody quiet says. */
const PAUSE = 1000;
/** Of so many circuits one floods, one never reads, and one hangs up all the time. */
const ODD = 20;
const FLOOD = new Uint8Array(32 * 1024);
const pause = (milliseconds: number) => new Promise<void>(resolve => setTimeout(resolve, milliseconds));

const connected = (user: string): Promise<ClientConnection> =>
  dial({
    ...{ host: '127.0.0.1', port: Number(port), user, hostKey: () => true },
    keys: [readFileSync(key, 'utf8')],
  });

/** Runs `body` for each number below `count`, some at once. */
async function all(count: number, body: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await body(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function echo({ stream }: { stream: ChannelStream }): Promise<void> {
  for await (const bytes of stream) if (!(await stream.write(bytes))) return;
  await stream.close();
}

/** Each client has its own name, so that each has its own alias. */
async function provide(clients: number, lines: number): Promise<void> {
  const names: string[] = [];
  await all(clients, async i => {
    const client = await connected(`p${i}`);
    for (let line = 1; line <= lines; line++) await client.listen('localhost', line, echo);
    const { stdout } = await client.exec('whoami --json');
    names.push(JSON.parse(new TextDecoder().decode(stdout)).alias);
  });
  process.stdout.write(`ready ${names.join(',')}\n`);
}

async function call(circuits: number, targets: readonly string[]): Promise<void> {
  const clients: ClientConnection[] = [];
  await all(Math.ceil(circuits / EACH), async i => void (clients[i] = await connected(`c${i}`)));
  const reach = (i: number) => {
    const [host, line] = targets[i % targets.length].split(':');
    return clients[Math.floor(i / EACH)].forward(host, Number(line));
  };
  const streams: ChannelStream[] = [];
  await all(circuits, async i => {
    streams[i] = await reach(i);
  });
  const behaviours = [flood, never, hangUp];
  for (const [i, stream] of streams.entries()) {
    void (behaviours[i % ODD] ?? talk)(stream, () => reach(i)).catch(() => {});
  }
  process.stdout.write('ready\n');
}

async function talk(stream: ChannelStream): Promise<void> {
  void (async () => {
    for await (const _ of stream);
  })();
  for (;;) {
    await pause(PAUSE * (0.5 + Math.random()));
    if (!(await stream.write('how are you?'))) return;
  }
}

async function flood(stream: ChannelStream): Promise<void> {
  void (async () => {
    for await (const _ of stream);
  })();
  while (await stream.write(FLOOD));
}

async function never(stream: ChannelStream): Promise<void> {
  while (await stream.write(FLOOD));
}

async function hangUp(stream: ChannelStream, again: () => Promise<ChannelStream>): Promise<void> {
  for (let open = stream; ; open = await again()) {
    await open.write(FLOOD);
    open.channel.close();
    await pause(PAUSE / 5);
  }
}

if (role === 'provide') await provide(Number(rest[0]), Number(rest[1]));
else await call(Number(rest[0]), rest[1].split(','));
