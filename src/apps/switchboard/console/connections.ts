// Connections of the console's HTTP server: so many at once, and when there are more, the one that has waited the longest makes room.
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Connection {
  readonly address: string;
  /** When it has last begun something: to be connected, or a request; in milliseconds. */
  since: number;
  /** It may not be dropped. */
  kept: boolean;
}

/**
 * Idle connections, slow headers and slow bodies must keep nobody out, least of all a health check: a new connection is always
 * taken, in place of the oldest of the address that has the most. Only those that are kept stay in any case; when there are no
 * others, the new one goes.
 */
export class Connections {
  readonly #limit: number;
  readonly #open = new Map<Socket, Connection>();

  /** `limit`: connections at once. */
  constructor(server: Server, limit: number) {
    this.#limit = limit;
    server.on('connection', (socket: Socket) => this.#take(socket));
    server.on('request', ({ socket }) => {
      const connection = this.#open.get(socket);
      if (connection !== undefined) connection.since = performance.now();
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

  #take(socket: Socket): void {
    this.#open.set(socket, { address: socket.remoteAddress ?? '', since: performance.now(), kept: false });
    socket.once('close', () => this.#open.delete(socket));
    if (this.#open.size <= this.#limit) return;
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
