// A peer that sends one message without end and reads nothing, and what its victim holds then. The messages are made from the table of messages.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Connection, type ConnectionEvents } from '../../src/protocol/connection.ts';
import { CHANNEL_OPEN, MESSAGES } from '../../src/protocol/messages.ts';
import { encode, type FieldType, type Message, pack } from '../../src/protocol/wire/codec.ts';
import { concat, encodeUtf8, Writer } from '../../src/protocol/wire/reader.ts';
import { Driver } from '../../src/server/drive.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';
import { clearFrame } from '../kit/raw-peer.ts';
import { FakeSocket, turn } from '../kit/socket.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes in use, garbage not counted. */
export function inUse(): number {
  // Memory outside of the heap is given back by a thread of its own, for which the next collection waits.
  for (let i = 0; i < 2; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** How far the victim's connection has come when the flood begins; in the last the victim wants new keys, and the peer does not. */
export const STAGES = ['before key exchange', 'before sign-in', 'signed in', 'asked for new keys'] as const;
export type FloodStage = (typeof STAGES)[number];

/** Bytes that the peer sends at most, and in one chunk: what a socket is read in. */
const FLOOD = 4 * 1024 * 1024;
const CHUNK = 512 * 1024;
/** What a reply with data has: proofs for two host keys. */
const PROOF = 400;

/** A message to be sent without end. */
export interface Flood {
  readonly name: string;
  readonly payload: Uint8Array;
}

/** Requests and channels by their types: granted, answered with data, decided at some time that does not come. */
const TYPES = ['x', 'prove', 'never'];
/** What fits the state of the victim: its channel 0 is open. */
const FIELDS: Record<string, unknown> = { recipient: 0, sender: 0, window: 100_000, maxPacket: 32_768, bytes: 1 };
const VALUES: Record<FieldType, unknown> = {
  byte: 0,
  boolean: true,
  uint32: 0,
  string: new Uint8Array(1),
  text: 'a',
  textOrNot: 'a',
  prose: 'a',
  language: new Uint8Array(1),
  name: 'a',
  nameList: ['a'],
  cookie: new Uint8Array(16),
  rest: new Uint8Array(0),
};
const SPECIAL: Record<string, Record<string, unknown>> = {
  SERVICE_REQUEST: { service: 'ssh-userauth' },
  USERAUTH_REQUEST: { service: 'ssh-connection', method: 'none' },
};

/** Every message of the table, and numbers that are not in it. */
export function floods(): Flood[] {
  const all: Flood[] = [];
  for (const message of MESSAGES as readonly Message[]) {
    for (const type of 'type' in message.layout && message.layout.type === 'name' ? TYPES : ['']) {
      const fields: Record<string, unknown> = {};
      for (const [field, kind] of Object.entries(message.layout))
        fields[field] = SPECIAL[message.name]?.[field] ?? FIELDS[field] ?? VALUES[kind];
      if (type !== '') fields.type = type;
      const writer = new Writer(64).byte(message.number);
      all.push({ name: `${message.name} ${type}`, payload: pack(message.layout, fields as never, writer) });
    }
  }
  const known = new Set(MESSAGES.map(({ number }) => number));
  for (const number of [0, 22, 255]) {
    if (!known.has(number)) all.push({ name: `unknown message ${number}`, payload: new Uint8Array([number]) });
  }
  return all;
}

/** Both ends, as far as the stage says; the victim is driven over a socket of which nothing is read from then on. */
export class Victim {
  readonly socket = new FakeSocket();
  readonly connection: Connection;
  readonly #driver = new Driver(this.socket);
  readonly #peer: Connection;

  constructor(role: 'server' | 'client') {
    const provider = insecure(seeded(1).bytes);
    const server = { role: 'server', provider, hostKeys: [insecureKey(new Uint8Array(8))], methods: ['none'] } as const;
    const client = { role: 'client', provider, user: 'alice', credentials: [] } as const;
    const never = new Promise<never>(() => {});
    const events: ConnectionEvents = {
      output: () => this.#driver.wake(),
      auth: (_question, answer) => answer({ result: 'accept' }),
      hostKey: (_question, answer) => answer(true),
      globalRequest: ({ type }) => (type === 'never' ? never : type === 'prove' ? new Uint8Array(PROOF) : false),
      channelOpen: open => {
        if (open.type === 'never') return;
        if (open.type === 'x') return open.reject(1, 'no');
        // So small a window that each byte is worth a message.
        const channel = open.accept(
          { data: bytes => channel.consumed(bytes.length), request: ({ type }) => (type === 'never' ? never : true) },
          2,
        );
      },
    };
    const other: ConnectionEvents = { ...events, output() {} };
    this.connection = new Connection(role === 'server' ? server : client, events);
    this.#peer = new Connection(role === 'server' ? client : server, other);
  }

  async reach(stage: FloodStage): Promise<void> {
    this.#driver.start(this.connection);
    if (stage === 'before key exchange') {
      this.socket.receive(encodeUtf8('SSH-2.0-flood\r\n'));
      await turn();
      this.socket.take();
      return;
    }
    this.#peer.start();
    const there = () => (stage === 'before sign-in' ? this.#keyed : this.connection.stage === 'connection');
    for (let i = 0; i < 100 && !there(); i++) await this.#carry(there);
    if (!there()) throw new Error(`the victim does not come as far as ${stage}`);
    await turn();
    if (stage === 'before sign-in') return void this.socket.take();
    // Channel 0.
    const open = { type: 'open', sender: 0, window: 100_000, maxPacket: 32_768, data: new Uint8Array(0) };
    this.socket.receive(clearFrame(encode(CHANNEL_OPEN, open).payload));
    await turn();
    this.socket.take();
    if (stage === 'asked for new keys') this.connection.rekey();
    await turn();
  }

  get #keyed(): boolean {
    return this.connection.transport.exchanges > 0;
  }

  /** One packet at a time from the peer, so that no stage is missed. */
  async #carry(there: () => boolean): Promise<void> {
    await turn();
    const down = this.socket.take();
    if (down.length > 0) this.#peer.receive(down);
    for (const chunk of this.#peer.takeOutput()) {
      if (there()) return;
      this.socket.receive(chunk);
      await turn();
    }
    this.#peer.setSocketFull(false);
  }

  /** Sends until nobody reads any more, or all has been sent. @returns how many messages went */
  async flood({ payload }: Flood): Promise<number> {
    const frame = clearFrame(payload);
    const each = Math.floor(CHUNK / frame.length);
    const chunk = concat(...Array.from({ length: each }, () => frame));
    let sent = 0;
    while (sent * frame.length < FLOOD && !this.socket.paused && !this.connection.closed) {
      this.socket.receive(chunk);
      sent += each;
      await turn();
    }
    return sent;
  }

  /** What the victim knows itself to hold: its account, what it has not looked at, and memory that waits in its socket. */
  get known(): number {
    const { account, inputBytes } = this.connection.transport;
    return account.answers + account.kept + inputBytes + this.socket.kept;
  }

  /** The peer reads at last, until nothing comes any more. @returns how many packets came, by their numbers */
  async drain(): Promise<Map<number, number>> {
    const packets = new Map<number, number>();
    for (;;) {
      await turn();
      const bytes = this.socket.take();
      if (bytes.length === 0) return packets;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      for (let at = 0; at < bytes.length; at += 4 + view.getUint32(at)) {
        packets.set(bytes[at + 5], (packets.get(bytes[at + 5]) ?? 0) + 1);
      }
    }
  }
}
