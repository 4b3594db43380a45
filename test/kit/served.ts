// Our server and our client in one process, with a wire in memory and cryptography that only goes through the motions.
import type { ClientConnection } from '../../src/client/client.ts';
import { type DialOptions, dial } from '../../src/client/dial.ts';
import type { Authenticator } from '../../src/server/authenticators.ts';
import { type Logger, Server, type ServerOptions } from '../../src/server/server.ts';
import { insecure, insecureKey, seeded } from './insecure.ts';
import { FakeSocket, socketPair } from './socket.ts';

export const provider = insecure(seeded(7).bytes);
export const hostKey = insecureKey(Uint8Array.of(1));

/** Lets everyone in who asks. */
export const anyone: Authenticator = { method: 'none', answer: () => ({ result: 'accept' }) };

const servers: Server[] = [];

/** A server that lets everyone in. */
export function testServer(options: Partial<ServerOptions> = {}): Server {
  const server = new Server({ provider, hostKeys: [hostKey], authenticators: [anyone], ...options });
  servers.push(server);
  return server;
}

/** Closes all of them, which lets the process end: `test.after(closeServers)`. */
export async function closeServers(): Promise<void> {
  await Promise.all(
    servers.splice(0).map(server => {
      const closed = server.close();
      // Peers that never close get five seconds; these have passed.
      for (let second = 0; second < 6; second++) server.tick();
      return closed;
    }),
  );
}

export interface Called {
  client: ClientConnection;
  /** The server's end of the wire, and the client's. */
  near: FakeSocket;
  far: FakeSocket;
}

/** Dials `server` by a wire in memory. */
export async function call(server: Server, options: Partial<DialOptions> = {}): Promise<Called> {
  const [near, far] = socketPair();
  server.serve(near);
  const client = await dial({ socket: far, provider, user: 'alice', credentials: [], hostKey: () => true, ...options });
  return { client, near, far };
}

/** A peer that has connected and says nothing. */
export function silent(server: Server, address?: string): FakeSocket {
  const socket = new FakeSocket(address);
  server.serve(socket);
  return socket;
}

/** What a socket was given, as text; it has left. */
export const textOf = (socket: FakeSocket): string => new TextDecoder().decode(socket.take());

/** A logger that remembers: "level message", with the error where there is one. */
export function notes(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) => {
    const { error } = fields as { error?: string };
    lines.push(error === undefined ? `${level} ${message}` : `${level} ${message}: ${error}`);
  };
  return { lines, debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
}
