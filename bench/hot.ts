// The hot part: what each function of the data path (marked `// hot`) costs by itself, in memory, without any system call.
import type { Socket, SocketEvents } from '../src/server/index.ts';
import { table } from '../test/kit/table.ts';
import { type Batch, cpuTime, type Sampling, sample } from './sampling.ts';
import { figure, spread } from './statistics.ts';

/** Of a message of data: a keystroke, and what OpenSSH sends at most. */
const SIZES = [64, 32768];
const SAMPLING: Sampling = { samples: 9, target: 20_000, warmUp: 150_000, limit: 1_000_000 };
/** Bytes that go through before credit is given anew: half of a window. */
const CREDIT = 1024 * 1024;
/** Packets that come in one chunk, at most. */
const CHUNK = 16;

export interface HotCost {
  readonly name: string;
  /** By size, CPU µs for each packet in each sample. */
  readonly costs: readonly (readonly number[])[];
}

/**
 * Where each function marked `// hot` is measured; a test compares this with the sources. What is not here is part of
 * the crypto part's table, which has every cipher and MAC.
 */
export const MEASURED: Readonly<Record<string, readonly string[]>> = {
  'a packet received, spliced, sealed again': [
    'server/drive.ts data',
    'protocol/connection.ts receive',
    'protocol/connection.ts #dispatch',
    'protocol/transport/transport.ts next',
    'protocol/transport/transport.ts send',
    'protocol/transport/outbox.ts push',
  ],
  'Driver.flush': ['server/drive.ts flush'],
  'Channel.write': ['protocol/channels/channel.ts write', 'protocol/channels/channel.ts sendData'],
  'FrameReader.next, no cipher': ['protocol/transport/frames.ts next'],
  'Mux.receive: DATA into a splice': [
    'protocol/channels/mux.ts receive',
    'protocol/channels/mux.ts #data',
    'protocol/channels/mux.ts #channel',
    'protocol/channels/splice.ts relay',
    'protocol/channels/window.ts spend',
  ],
  'Mux.receive: WINDOW_ADJUST on a splice': [
    'protocol/channels/mux.ts #windowAdjust',
    'protocol/channels/splice.ts topUp',
    'protocol/channels/room.ts count',
  ],
  'Padder.pad': ['protocol/wire/framing.ts pad'],
  'release, memory included': ['protocol/wire/packet.ts release'],
  'sent and released, memory included': ['protocol/wire/packet.ts sent'],
  'a packet into a trunk': ['server/plain-link.ts #send', 'server/plain-link.ts flush'],
  'a packet out of a trunk': ['server/plain-link.ts #receive', 'server/plain-link.ts open'],
};

/** What is published, from `dist`, and not what tsx makes of the sources. */
async function built() {
  const part = (name: string) => import(new URL(`../dist/${name}.js`, import.meta.url).href);
  const { enableTransfer } = (await part('server/runtime/memory')) as typeof import('../src/server/runtime/memory.ts');
  enableTransfer();
  return {
    ...((await part('crypto/index')) as typeof import('../src/crypto/index.ts')),
    ...((await part('protocol/index')) as typeof import('../src/protocol/index.ts')),
    ...((await part('protocol/account')) as typeof import('../src/protocol/account.ts')),
    ...((await part('protocol/channels/mux')) as typeof import('../src/protocol/channels/mux.ts')),
    ...((await part('protocol/messages')) as typeof import('../src/protocol/messages.ts')),
    ...((await part('protocol/transport/clear')) as typeof import('../src/protocol/transport/clear.ts')),
    ...((await part('protocol/transport/frames')) as typeof import('../src/protocol/transport/frames.ts')),
    ...((await part('protocol/wire/framing')) as typeof import('../src/protocol/wire/framing.ts')),
    ...((await part('protocol/wire/packet')) as typeof import('../src/protocol/wire/packet.ts')),
    ...((await part('server/drive')) as typeof import('../src/server/drive.ts')),
    ...((await part('server/plain-link')) as typeof import('../src/server/plain-link.ts')),
  };
}
type Built = Awaited<ReturnType<typeof built>>;

export async function measureHot(progress: (text: string) => void): Promise<HotCost[]> {
  const all = await built();
  const names: string[] = [];
  const costs: number[][][] = [];
  const measure = async (titles: readonly string[], make: (all: Built, size: number) => Batch | Promise<Batch>) => {
    const first = names.push(...titles) - titles.length;
    for (const size of SIZES) {
      progress(`${titles[0]}, ${size} bytes`);
      for (const [i, values] of sample(await make(all, size), SAMPLING).entries())
        (costs[first + i] ??= []).push(values);
    }
  };
  await measure(
    ['Channel.write', 'a packet received, spliced, sealed again', 'Driver.flush', 'a packet received at its end'],
    circuit,
  );
  await measure(['FrameReader.next, no cipher'], frames);
  await measure(['Mux.receive: DATA into a splice', 'Mux.receive: WINDOW_ADJUST on a splice'], spliced);
  await measure(['Padder.pad'], padding);
  await measure(['release, memory included'], releasing);
  await measure(['sent and released, memory included'], sending);
  await measure(['a packet into a trunk', 'a packet out of a trunk'], trunk);
  return names.map((name, i) => ({ name, costs: costs[i] }));
}

/** A socket that keeps what is written. */
function kept(sent: Uint8Array[], started: (events: SocketEvents) => void): Socket {
  return {
    address: '',
    port: 0,
    pending: 0,
    start: started,
    write: chunks => void sent.push(...chunks),
    pause() {},
    resume() {},
    end() {},
    destroy() {},
  };
}

/** Two ends of a trunk between workers. */
async function trunk({ PlainLink, release }: Built, size: number): Promise<Batch> {
  const wire: Uint8Array[][] = [[], []];
  const receive: ((chunk: Uint8Array) => void)[] = [];
  const [here, there] = wire.map((sent, i) => {
    const socket = kept(sent, events => {
      receive[i] = chunk => events.data(chunk, true);
    });
    return new PlainLink(socket, {
      globalRequest: () => false,
      channelOpen(open) {
        const channel = open.accept({ data: bytes => channel.consumed(bytes.length) });
      },
    });
  });
  /** What one end has written, as chunks of the size that sockets are read in. */
  const pass = (from: number): Uint8Array => {
    const bytes = Buffer.concat(wire[from]);
    for (const chunk of wire[from].splice(0)) release(chunk);
    return bytes;
  };
  const opening = new Promise<import('../src/protocol/index.ts').Channel>((resolve, reject) =>
    here.mux.open('call', new Uint8Array(0), {}, resolve, reject),
  );
  here.flush();
  receive[1](pass(0));
  there.flush();
  receive[0](pass(1));
  const channel = await opening;
  const payload = new Uint8Array(size).fill(7);
  const group = Math.min(CHUNK, CREDIT / size);
  return count => {
    let [into, out, done] = [0, 0, 0];
    for (; done < count; done += group) {
      into += cpuTime(() => {
        for (let i = 0; i < group; i++) channel.write(payload);
        here.flush();
      });
      const chunk = pass(0);
      out += cpuTime(() => receive[1](chunk));
      there.flush();
      const credit = pass(1);
      if (credit.length > 0) receive[0](credit);
    }
    return [(into * count) / done, (out * count) / done];
  };
}

/** A client, a server, another client: the whole way of a packet, in four parts. */
async function circuit(all: Built, size: number): Promise<Batch> {
  const { accelerated, Connection, Driver, release } = all;
  const ciphers = accelerated.ciphers.filter(({ name }) => name === 'aes128-gcm@openssh.com');
  const provider = { ...accelerated, ciphers };
  const hostKeys = [provider.signatures.find(({ name }) => name === 'ssh-ed25519')!.generate(provider.random)];
  const wire: Uint8Array[][] = [[], []];
  const sides = wire.map(sent => {
    let events!: SocketEvents;
    const driver = new Driver(kept(sent, tell => (events = tell)));
    const server = new Connection(
      { role: 'server', provider, hostKeys, methods: ['publickey'] },
      {
        output() {},
        auth: (_question, answer) => answer({ result: 'accept' }),
        channelOpen: open => open.forward(sides[1].server.mux, 'there', new Uint8Array(0)),
      },
    );
    const client = new Connection(
      { role: 'client', provider, user: 'alice', credentials: [] },
      {
        output() {},
        hostKey: (_question, answer) => answer(true),
        channelOpen(open) {
          const channel = open.accept({ data: bytes => channel.consumed(bytes.length) });
        },
      },
    );
    driver.start(server);
    client.start();
    return { driver, server, client, receive: (chunk: Uint8Array) => events.data(chunk, true), sent };
  });
  /** What one has to send, as one chunk. */
  const gathered = (chunks: readonly Uint8Array[]): Uint8Array => {
    const one = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const chunk of chunks) {
      one.set(chunk, at);
      at += chunk.length;
      if (chunk.length === chunk.buffer.byteLength) release(chunk);
    }
    return one;
  };
  const settle = () => {
    for (let round = 0; round < 100; round++) {
      for (const { driver, client, receive, sent } of sides) {
        const up = gathered(client.takeOutput());
        if (up.length > 0) receive(up);
        driver.flush();
        const down = gathered(sent.splice(0));
        if (down.length > 0) client.receive(down);
      }
    }
  };
  settle();
  const [near, far] = sides;
  const opening = near.client.open('here');
  settle();
  const channel = await opening;
  const payload = new Uint8Array(size).fill(7);
  const group = Math.min(CHUNK, CREDIT / size);
  const one = (): readonly number[] => {
    const write = cpuTime(() => {
      for (let i = 0; i < group; i++) channel.write(payload);
    });
    const chunk = gathered(near.client.takeOutput());
    const relay = cpuTime(() => near.receive(chunk));
    const flush = cpuTime(() => far.driver.flush());
    const end = gathered(far.sent.splice(0));
    const receive = cpuTime(() => far.client.receive(end));
    settleQuickly();
    return [write, relay, flush, receive];
  };
  /** Window adjustments go back. */
  const settleQuickly = () => {
    for (const { driver, client, receive, sent } of [far, near]) {
      const up = gathered(client.takeOutput());
      if (up.length > 0) receive(up);
      near.driver.flush();
      driver.flush();
      const down = gathered(sent.splice(0));
      if (down.length > 0) client.receive(down);
    }
  };
  return count => {
    const costs = [0, 0, 0, 0];
    for (let i = 0; i < count; i += group) for (const [part, cost] of one().entries()) costs[part] += cost;
    // Whole groups were sent.
    const excess = Math.ceil(count / group) * (group / count);
    return costs.map(cost => cost / excess);
  };
}

/** Framing by itself. */
function frames({ FrameReader, clearOpener, clearSealer, Packet }: Built, size: number): Batch {
  const chunk: Uint8Array[] = [];
  const sealer = clearSealer(bytes => bytes);
  for (let i = 0; i < CHUNK; i++) sealer.seal(Packet.from(new Uint8Array(size + 9).fill(94)), 0, chunk);
  const bytes = Buffer.concat(chunk);
  const reader = new FrameReader(clearOpener);
  return count => {
    const cost = cpuTime(() => {
      for (let i = 0; i < count; i += CHUNK) {
        reader.push(bytes);
        while (reader.next() !== undefined);
      }
    });
    return [cost / (Math.ceil(count / CHUNK) * (CHUNK / count))];
  };
}

/** The table of channels, a splice and its windows, without ciphers. */
function spliced(
  { Account, Mux, Packet, decode, encode, CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, writeUint32 }: Built,
  size: number,
): Batch {
  let last!: import('../src/protocol/index.ts').Packet;
  const host = {
    congested: false,
    roundTrip: 0,
    queued: 0,
    account: new Account(),
    send: (packet: typeof last) => void (last = packet),
    fault() {},
  };
  const WINDOW = 2 * 1024 * 1024;
  const common = { window: WINDOW, maxPacket: 32768, data: new Uint8Array(0) };
  const far = new Mux({ channelOpen() {}, globalRequest: () => false }, host);
  const near = new Mux(
    { channelOpen: open => open.forward(far, 'there', new Uint8Array(0)), globalRequest: () => false },
    host,
  );
  near.receive(encode(CHANNEL_OPEN, { type: 'here', sender: 0, ...common }));
  const { sender } = decode(CHANNEL_OPEN, last);
  far.receive(encode(CHANNEL_OPEN_CONFIRMATION, { recipient: sender, sender: 0, ...common }));
  const [from, to] = [near.channels[0], far.channels[0]];
  const message = (number: number, recipient: number, value: number, length: number) => {
    const packet = Packet.alloc(9 + length);
    packet.bytes[packet.start] = number;
    writeUint32(packet.bytes, packet.start + 1, recipient);
    writeUint32(packet.bytes, packet.start + 5, value);
    return packet;
  };
  const data = message(94, from.localId, size, size);
  const adjust = message(93, to.localId, size, 0);
  return count => {
    let [relayed, adjusted] = [0, 0];
    const group = Math.min(256, CREDIT / size);
    for (let done = 0; done < count; done += group) {
      const now = Math.min(group, count - done);
      relayed += cpuTime(() => {
        for (let i = 0; i < now; i++) {
          // The relay has written the far id there.
          writeUint32(data.bytes, data.start + 1, from.localId);
          near.receive(data);
        }
      });
      adjusted += cpuTime(() => {
        for (let i = 0; i < now; i++) far.receive(adjust);
      });
    }
    return [relayed, adjusted];
  };
}

function padding({ Padder, Packet, accelerated }: Built, size: number): Batch {
  const padder = new Padder(accelerated.random);
  const packet = Packet.alloc(9 + size);
  const { end } = packet;
  return count => [
    cpuTime(() => {
      for (let i = 0; i < count; i++) {
        packet.end = end;
        padder.pad(packet, 16, 0, 0, true);
      }
    }),
  ];
}

/** With what it is for: as much memory as a packet, taken and given back. */
function releasing({ release }: Built, size: number): Batch {
  return count => [
    cpuTime(() => {
      for (let i = 0; i < count; i++) release(new Uint8Array(size));
    }),
  ];
}

/** A packet sealed where it was, with room around it. */
function sending({ Packet, release, sent }: Built, size: number): Batch {
  return count => [
    cpuTime(() => {
      for (let i = 0; i < count; i++) {
        const packet = Packet.alloc(size);
        packet.owned = true;
        release(sent(packet, packet.start - 4, packet.end));
      }
    }),
  ];
}

export function hotReport(costs: readonly HotCost[]): string {
  const rows = costs.map(({ name, costs }) => [name, ...costs.map(values => figure(spread(values).median))]);
  const sizes = SIZES.map(size => (size < 1024 ? `${size} B` : `${size / 1024} KiB`));
  return [
    'CPU µs per packet on this Node, with aes128-gcm where there is a cipher, by bytes of data:',
    '',
    table(['what', ...sizes], rows),
    '',
    `Medians of ${costs[0].costs[0].length} batches.`,
  ].join('\n');
}
