// Makes cases: an honest conversation, recorded, is followed up to some packet; what comes then is valid, damaged, repeated, swapped or made up.
import { CHANNEL_EOF } from '../../src/protocol/messages.ts';
import { encode } from '../../src/protocol/wire/codec.ts';
import { insecure, seeded } from '../kit/insecure.ts';
import { Pair } from '../kit/pair.ts';
import { Generator } from './generator.ts';
import { type Case, hostKey, IDENT, userKey, Victim, victimProvider } from './victim.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Every packet that an honest peer of `role` receives: key exchange, sign-in, channels, data, requests, a re-exchange, goodbye. */
function record(role: Case['role']): string[] {
  const packets: string[] = [];
  const [mine, other] = [victimProvider(), insecure(seeded(8).bytes)];
  const [server, client] = role === 'server' ? [mine, other] : [other, mine];
  const pair = new Pair({
    provider: other,
    hostKey,
    userKey,
    // The victim goes by its usual name, its peer by the one of `Victim.identify`.
    server: {
      provider: server,
      methods: ['publickey', 'password', 'keyboard-interactive'],
      banner: role === 'server' ? 'hello\n' : undefined,
      ident: role === 'client' ? IDENT : undefined,
    },
    client: { provider: client, ident: role === 'server' ? IDENT : undefined },
    serverEvents: { channelOpen: open => void open.accept({ request: () => true }), globalRequest: () => true },
    clientEvents: { channelOpen: open => void open.accept({ request: () => false }) },
  });
  const peer = role === 'server' ? 'client' : 'server';
  let greeted = false;
  pair.onbytes = (from, bytes) => {
    if (from !== peer) return bytes;
    let at = greeted ? 0 : bytes.indexOf(10) + 1;
    greeted = true;
    while (at < bytes.length) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
      packets.push(hex(bytes.subarray(at + 5, at + 4 + length - bytes[at + 4])));
      at += 4 + length;
    }
    return bytes;
  };
  pair.start();
  for (const connection of [pair.client, pair.server]) {
    connection.mux.open(
      'session',
      new Uint8Array(3),
      {},
      channel => {
        void channel.request('exec', new Uint8Array(4));
        channel.write(new Uint8Array(100));
        connection.send(encode(CHANNEL_EOF, { recipient: channel.remoteId }));
        channel.close();
      },
      () => {},
    );
    void connection.request('tcpip-forward', new Uint8Array(8));
    pair.settle();
  }
  pair.client.rekey();
  pair.settle();
  pair[peer].disconnect();
  pair.settle();
  return packets;
}

const recorded = { server: record('server'), client: record('client') };
/** How many of them lead to a finished sign-in. */
const signIn = (role: Case['role']) =>
  recorded[role].findIndex(packet => Number.parseInt(packet.slice(0, 2), 16) >= 80);

/** Runs the attack of a seed; `kept` is filled with the packets as they are fed, for a report. @returns how it ended */
export async function attack(seed: number, kept: Case): Promise<string> {
  const dice = seeded(seed);
  const { below } = dice;
  const generator = new Generator(dice);
  kept.role = below(2) === 0 ? 'server' : 'client';
  kept.app = seed ^ 0xa99;
  const honest = recorded[kept.role];
  // Half of the attacks begin after sign-in; before, an application that is not plain may refuse the peer.
  const late = below(2) === 0;
  const follow = late ? signIn(kept.role) : below(below(6) === 0 ? honest.length : signIn(kept.role));
  const victim = new Victim(kept, false);
  victim.identify();
  let next = 0;
  for (let i = 0; i < follow + 40 && !victim.connection.closed; i++) {
    const { connection } = victim;
    generator.ids = connection.mux.channels.map(({ localId }) => localId);
    const made = (damaged: boolean) => {
      const payload = generator.any(connection.stage === 'connection');
      return damaged ? generator.damage(payload) : payload;
    };
    let packet: string;
    const kind = i < follow ? 0 : below(24);
    if (kind < 3 && next < honest.length) packet = honest[next++];
    else if (kind === 3) packet = honest[below(honest.length)];
    else if (kind === 4 && below(3) === 0)
      packet = hex(generator.damage(Buffer.from(honest[below(honest.length)], 'hex')));
    else if (kind === 5 && below(10) === 0) packet = `raw:${hex(dice.bytes(new Uint8Array(1 + below(40))))}`;
    else packet = hex(made(kind === 6));
    kept.packets.push(packet);
    await step(victim, packet);
  }
  const { stage, error } = victim.connection;
  await finish(victim);
  return `${kept.role} ${stage} ${error?.message.replace(/\d+/g, 'N') ?? 'lives'}`;
}

/** Replays a case that was kept. */
export async function replay(kept: Case): Promise<Victim> {
  const victim = new Victim(kept);
  victim.identify();
  for (const packet of kept.packets) await step(victim, packet);
  await finish(victim);
  return victim;
}

async function step(victim: Victim, packet: string): Promise<void> {
  // While a decision is open the driver reads nothing.
  for (let i = 0; i < 200 && victim.connection.paused && !victim.connection.closed; i++) victim.turn();
  victim.feed(packet);
  victim.check();
  victim.turn();
  await undefined;
  victim.check();
}

async function finish(victim: Victim): Promise<void> {
  victim.connection.receiveEnd();
  for (let i = 0; i < 10; i++) victim.turn();
  await undefined;
  victim.bystander.settle();
  victim.check();
  const { server } = victim.bystander;
  for (const channel of victim.bystander.client.mux.channels) channel.close();
  victim.bystander.settle();
  if (server.mux.count !== 0) throw new Error(`${server.mux.count} channels are left at the bystander`);
}
