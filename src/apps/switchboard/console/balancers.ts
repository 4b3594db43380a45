// The console behind a balancer that speaks the PROXY protocol: its header is read before the request, so that limits and logs count the client.
import type { Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { MAX_WAITING, PATIENCE, type Proxied } from '../../../server/proxied.ts';
import { proxyHeader } from '../../../server/proxy-header.ts';
import { plainAddress } from '../../../server/runtime/net.ts';
import type { Logger } from '../../../server/server.ts';

/** Listens in place of `server`, and gives it the connections: those of balancers once their header has come, with the address that it names. */
export function behindBalancers(server: HttpServer, { trusts }: Proxied, log: Logger): Server {
  let waiting = 0;
  // Like the server's own sockets.
  const door = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    const address = plainAddress(socket.remoteAddress ?? '');
    if (!trusts(address)) return void server.emit('connection', socket);
    socket.on('error', () => {});
    if (++waiting > MAX_WAITING) {
      waiting--;
      log.warn({ address }, 'connection to the console refused: too many wait for their PROXY header');
      return void socket.destroy();
    }
    read(socket, reason => {
      waiting--;
      if (reason !== undefined) log.warn({ address }, `connection to the console refused: ${reason}`);
      if (reason !== undefined || socket.destroyed) socket.destroy();
      else server.emit('connection', socket);
    });
  });
  // From then on Node's server looks after its connections: time limits, and an end to all at once.
  door.once('listening', () => server.emit('listening'));
  return door;
}

/** Calls `settled` once: when the header has been taken off, when there is none (with the reason), or when the balancer has left without a word. */
function read(socket: Socket, settled: (reason?: string) => void): void {
  let begun = Buffer.alloc(0);
  const settle = (reason?: string) => {
    clearTimeout(timer);
    socket.off('data', heard).off('end', left).off('close', left);
    settled(reason);
  };
  const timer = setTimeout(() => settle(`no PROXY header came within ${PATIENCE} s`), PATIENCE * 1000);
  const left = () => {
    socket.destroy();
    settle();
  };
  const heard = (chunk: Buffer) => {
    begun = Buffer.concat([begun, chunk]);
    const header = proxyHeader(begun);
    if (header === undefined) return;
    if (typeof header === 'string') return settle(header);
    socket.pause();
    const { source } = header;
    if (source !== undefined) {
      Object.defineProperty(socket, 'remoteAddress', { value: source.address });
      Object.defineProperty(socket, 'remotePort', { value: source.port });
    }
    const rest = begun.subarray(header.length);
    if (rest.length > 0) socket.unshift(rest);
    settle();
    socket.resume();
  };
  socket.on('data', heard).on('end', left).on('close', left);
}
