// Connections of the console's HTTP server: so many at once, when there are more the one that has waited the longest
// makes room, and each has its time.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * How many there may be at once, and milliseconds: for a request's header, for all of it, until the next one, and
 * between two looks at them.
 */
export interface ConnectionLimits {
  readonly most: number;
  readonly header: number;
  readonly request: number;
  readonly idle: number;
  readonly interval: number;
}

interface Connection {
  readonly address: string;
  /** When it has last begun something: to be connected, a request, or to wait for the next one; in milliseconds. */
  since: number;
  /** The last one. */
  request?: IncomingMessage;
  /** Requests that are being answered: some clients send the next one before. */
  answering: number;
  /** It may not be dropped. */
  kept: boolean;
}

/**
 * Idle connections, slow headers and slow bodies must keep nobody out, least of all a health check: a new connection is always
 * taken, in place of the oldest of the address that has the most. Only those that are kept stay in any case; when there are no
 * others, the new one goes.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #open = new Map<Socket, Connection>();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(server: Server, limits: ConnectionLimits) {
    this.#limits = limits;
    server.on('connection', (socket: Socket) => this.#take(socket));
    server.on('request', (request, response) => {
      const connection = this.#open.get(request.socket);
      if (connection === undefined) return;
      connection.request = request;
      connection.answering++;
      connection.since = performance.now();
      response.once('close', () => {
        connection.answering--;
        connection.since = performance.now();
      });
    });
  }

  /** The connection of a response stays until that has ended. `gone` is called then, or at once if it has already. */
  keep(response: ServerResponse, gone: () => void): void {
    const connection = response.socket === null ? undefined : this.#open.get(response.socket);
    if (response.destroyed || response.writableFinished || response.socket?.destroyed !== false) return gone();
    if (connection !== undefined) connection.kept = true;
    response.once('close', () => {
      if (connection !== undefined) connection.kept = false;
      gone();
    });
  }

  /** Ends all. */
  end(): void {
    clearInterval(this.#sweeper);
    for (const socket of this.#open.keys()) socket.destroy();
  }

  /**
   * Ends those whose time is over, two intervals late: Node's server answers such clients before, and only that of Bun
   * knows no limits for connections that another one has listened for.
   */
  #sweep(): void {
    const now = performance.now() - 2 * this.#limits.interval;
    for (const [socket, one] of this.#open) if (now - one.since > this.#timeOf(one)) socket.destroy();
    if (this.#open.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #timeOf({ request, answering }: Connection): number {
    if (request === undefined) return this.#limits.header;
    if (!request.complete) return this.#limits.request;
    return answering > 0 ? Infinity : this.#limits.idle;
  }

  #take(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    this.#open.set(socket, { address, since: performance.now(), answering: 0, kept: false });
    socket.once('close', () => this.#open.delete(socket));
    this.#sweeper ??= setInterval(() => this.#sweep(), this.#limits.interval).unref();
    if (this.#open.size <= this.#limits.most) return;
    const leaving = this.#longest(socket) ?? socket;
    this.#open.delete(leaving);
    leaving.destroy();
  }

  /** The oldest of the address that has the most connections, but for `newcomer`. */
  #longest(newcomer: Socket): Socket | undefined {
    const counts = new Map<string, number>();
    for (const { address } of this.#open.values()) counts.set(address, (counts.get(address) ?? 0) + 1);
    let found: [Socket, Connection] | undefined;
    for (const [socket, one] of this.#open) {
      if (one.kept || socket === newcomer) continue;
      const more = found === undefined ? 1 : counts.get(one.address)! - counts.get(found[1].address)!;
      if (more > 0 || (more === 0 && one.since < found![1].since)) found = [socket, one];
    }
    return found?.[0];
  }
}
