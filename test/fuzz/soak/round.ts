// One round of one attack: its sockets and clients, from loopback addresses of all kinds, all of which end with it.
import { readFileSync } from 'node:fs';
import type { Socket as NetSocket } from 'node:net';
import { type ClientConnection, dial } from '../../../src/client/index.ts';
import { type Socket, wrap } from '../../../src/server/runtime/net.ts';
import type { seeded } from '../../kit/insecure.ts';
import { readAll, tcpConnect } from '../../kit/loopback.ts';
import { pause, Scope, soon } from '../../kit/processes.ts';

/** Where the attackers are, and what they have. */
export interface Ground {
  /** The switchboard's ports. */
  readonly ssh: number;
  readonly console: number;
  /** The console's token. */
  readonly token: string;
  /** The URL of the directory. */
  readonly directory: string;
  /** The switchboard's database. */
  readonly database: string;
  /** Files of private keys by their owner: `admin` has all rights, `mallory` may listen and initiate, `stranger` is not known. */
  readonly keys: Readonly<Record<'admin' | 'mallory' | 'stranger', string>>;
}

/** A kind of attack: a new one is an entry in a table. */
export interface Attack {
  readonly name: string;
  /** Milliseconds from the beginning of a round to that of the next, at least. */
  readonly every: number;
  /** @throws if the attack could not be made; that the peer hangs up is no failure */
  run(round: Round): Promise<void>;
}

/** Seconds that connecting and signing in may take. */
const PATIENCE = 60;

export class Round {
  readonly ground: Ground;
  readonly dice: ReturnType<typeof seeded>;
  readonly scope = new Scope();

  constructor(ground: Ground, dice: ReturnType<typeof seeded>) {
    this.ground = ground;
    this.dice = dice;
  }

  /** Any address of 127.0.0.0/8. */
  address(): string {
    const { below } = this.dice;
    return `127.${1 + below(250)}.${below(250)}.${1 + below(250)}`;
  }

  /** A connection to the switchboard, or to another port. What comes is not read. */
  connect(port = this.ground.ssh, from = this.address()): Promise<NetSocket> {
    return soon('a connection', tcpConnect(this.scope, port, from), PATIENCE);
  }

  /** A client that has signed in; `mute` stops reading, whatever comes. */
  async client(
    owner: keyof Ground['keys'] = 'mallory',
    user: string = owner,
  ): Promise<{ client: ClientConnection; socket: Socket; mute(): void }> {
    const inner = wrap(await this.connect());
    // Wrapped, it may be another socket than the one that ends with the round by itself.
    this.scope.defer(() => inner.destroy());
    let deaf = false;
    // The driver would go on reading as soon as its own queues allow.
    const socket: Socket = Object.assign(Object.create(inner), { resume: () => void (deaf || inner.resume()) });
    const dialled = dial({ socket, user, keys: [readFileSync(this.ground.keys[owner], 'utf8')], hostKey: () => true });
    const client = await soon('the sign-in', dialled, PATIENCE);
    const mute = () => {
      deaf = true;
      inner.pause();
    };
    return { client, socket, mute };
  }

  /** Writes `chunk` again and again, `bytes` in all, and gives up when nobody takes it for a second. @returns bytes that were taken */
  async flood(socket: NetSocket, chunk: Uint8Array, bytes: number): Promise<number> {
    const before = socket.bytesWritten - socket.writableLength;
    const taken = () => socket.bytesWritten - socket.writableLength - before;
    for (let written = 0; written < bytes && !socket.destroyed; written += chunk.length) {
      if (!socket.write(chunk) && !(await emptied(() => socket.destroyed || !socket.writableNeedDrain))) break;
    }
    return taken();
  }

  /** `say` as long as the client's socket takes it: `times` in all, at most a mebibyte of it waiting. @returns how often */
  async repeat(socket: Socket, client: ClientConnection, times: number, say: (i: number) => void): Promise<number> {
    for (let i = 0; i < times; i++) {
      if (i % 64 === 0 && !(await emptied(() => client.connection.closed || socket.pending < 1024 * 1024))) return i;
      if (client.connection.closed) return i;
      say(i);
    }
    return times;
  }

  /** One HTTP request to the console, and the whole answer. */
  async http(head: string, body = ''): Promise<string> {
    const socket = await this.connect(this.ground.console);
    socket.write(request(head, body));
    const answer = await soon(`an answer to ${head}`, readAll(socket), PATIENCE);
    return answer.toString('latin1');
  }

  /** Milliseconds, some more or fewer than that. */
  pause(milliseconds: number): Promise<void> {
    return pause(milliseconds * (0.75 + this.dice.below(500) / 1000));
  }
}

/** "GET /path" with headers below it becomes a request whose answer ends with the connection. */
export const request = (head: string, body = ''): string =>
  `${head.replace(/^.*/, '$& HTTP/1.1').replaceAll('\n', '\r\n')}\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** When a queue has room again; false if it has none for a second. */
async function emptied(hasRoom: () => boolean): Promise<boolean> {
  for (let i = 0; i < 50; i++) {
    if (hasRoom()) {
      // Others in this process want to attack, too.
      await pause(i === 0 ? 0 : 1);
      return true;
    }
    await pause(20);
  }
  return false;
}
