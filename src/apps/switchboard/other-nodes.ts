// What nodes ask each other, over the connections that they have for calls: who is connected there, and that somebody is to go.
import { type ChannelOpen, type Mux, OpenFailure } from '../../protocol/index.ts';
import type { Logger } from '../../server/server.ts';
import { ChannelStream } from '../../server/streams.ts';
import type { Snapshot } from './events.ts';
import { type Board, type NodeAddress, nodeName } from './lines.ts';
import { within } from './redis.ts';
import { parseQuestion, parseSnapshot } from './shapes.ts';

/** On a connection between nodes, beside calls: its data is a question, what comes over it is the answer, both JSON. */
export const ASK_CHANNEL = 'ask@cordboard';

export type NodeQuestion =
  | { readonly survey: true }
  | { readonly kick: { readonly ids: readonly string[]; readonly reason: string } };

/** Milliseconds for a node to answer: somebody waits at a prompt, and one that is dead is given up soon. */
const PATIENCE = 5000;
/** Bytes of an answer: a node's 10,000 clients and as many circuits. */
const MAX_ANSWER = 16 * 1024 * 1024;
/** Connections that are named in one question, so that it fits into a message. */
const MAX_IDS = 1000;

export interface OtherNodesOptions {
  /** The connection to a node. */
  to(address: NodeAddress): Promise<Mux>;
  /** Once there is one. */
  board(): Board;
  readonly log: Logger;
}

export class OtherNodes {
  readonly #options: OtherNodesOptions;

  constructor(options: OtherNodesOptions) {
    this.#options = options;
  }

  /** What `own` has, and what all other nodes have; those that do not answer are named. */
  async join(own: Snapshot): Promise<Snapshot> {
    const silent: string[] = [];
    const parts = await Promise.all(
      [...this.#addresses()].map(async ([node, address]) => {
        try {
          const { clients, circuits } = parseSnapshot(await this.#ask(address, { survey: true }), Date.now());
          return { clients: clients.map(one => ({ ...one, node })), circuits: circuits.map(one => ({ ...one, node })) };
        } catch (error) {
          this.#options.log.warn({ node, error: String(error) }, 'a node does not say what it has');
          silent.push(node);
          return { clients: [], circuits: [] };
        }
      }),
    );
    return {
      clients: [...own.clients, ...parts.flatMap(({ clients }) => clients)],
      lines: own.lines,
      circuits: [...own.circuits, ...parts.flatMap(({ circuits }) => circuits)],
      ...(silent.length > 0 && { silent }),
    };
  }

  /** Ends those of the connections that are with other nodes. */
  kick(ids: readonly string[], reason: string): void {
    for (const [node, address] of this.#addresses()) {
      const there = ids.filter(id => this.#nodeOf(id) === node);
      for (let i = 0; i < there.length; i += MAX_IDS) {
        this.#ask(address, { kick: { ids: there.slice(i, i + MAX_IDS), reason } }).catch((error: unknown) =>
          this.#options.log.error({ node, error: String(error) }, 'a node did not take a kick'),
        );
      }
    }
  }

  /** Whether the connection is with this node, or with one that nobody knows. */
  isOurs(id: string): boolean {
    return this.#nodeOf(id) === undefined;
  }

  #nodeOf(id: string): string | undefined {
    const node = this.#options.board().places.get(id.split('/', 1)[0])?.node;
    return node && nodeName(node);
  }

  /** Each node once, however many workers it has. */
  #addresses(): Map<string, NodeAddress> {
    const all = [...this.#options.board().places.values()].flatMap(({ node }) => node ?? []);
    return new Map(all.map(address => [nodeName(address), address]));
  }

  #ask(address: NodeAddress, question: NodeQuestion): Promise<string> {
    const asked = this.#options.to(address).then(mux => ask(mux, question));
    return within(PATIENCE, asked, 'the node');
  }
}

async function ask(mux: Mux, question: NodeQuestion): Promise<string> {
  const stream = new ChannelStream();
  await new Promise<void>((resolve, reject) => {
    const opened = (channel: ChannelStream['channel']) => {
      stream.channel = channel;
      resolve();
    };
    mux.open(ASK_CHANNEL, Buffer.from(JSON.stringify(question)), stream.handler, opened, reject);
  });
  const timer = setTimeout(() => stream.channel.close(), PATIENCE);
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const bytes of stream) {
      size += bytes.length;
      if (size > MAX_ANSWER) throw new Error('its answer is too long');
      chunks.push(bytes.slice());
    }
    return Buffer.concat(chunks).toString();
  } finally {
    clearTimeout(timer);
    stream.channel.close();
  }
}

/** Answers another node. */
export async function answer(
  open: ChannelOpen,
  reply: (question: NodeQuestion) => Promise<object> | object,
): Promise<void> {
  const question = parseQuestion(Buffer.from(open.data).toString());
  if (question === undefined) {
    return open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'nobody here knows what to answer');
  }
  const text = JSON.stringify(await reply(question));
  const stream = new ChannelStream();
  stream.channel = open.accept(stream.handler);
  await stream.write(text);
  await stream.end();
  await stream.close();
}
