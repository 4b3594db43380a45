// The console behind a balancer that speaks the PROXY protocol: its header is read before the request, so that limits
// and logs count the client.
import type { Server as HttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import type { Proxied } from '../../../server/proxied.ts';
import { plainAddress } from '../../../server/runtime/net.ts';

/**
 * Listens in place of `server`, and gives it the connections: those of balancers once their header has come, with the
 * address that it names.
 */
export function behindBalancers(server: HttpServer, proxied: Proxied): Server {
  // Like the server's own sockets.
  const door = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    const address = plainAddress(socket.remoteAddress ?? '');
    if (!proxied.trusts(address)) return void server.emit('connection', socket);
    socket.on('error', () => {});
    const expected = proxied.expect(
      address,
      'connection to the console',
      () => socket.destroy(),
      ({ source }, behind) => {
        socket.off('data', heard).off('end', left).off('close', left);
        socket.pause();
        if (source !== undefined) {
          Object.defineProperty(socket, 'remoteAddress', { value: source.address });
          Object.defineProperty(socket, 'remotePort', { value: source.port });
        }
        if (behind.length > 0) socket.unshift(behind);
        server.emit('connection', socket);
        socket.resume();
      },
    );
    if (expected === undefined) return;
    const { heard } = expected;
    /** A balancer that looks whether somebody is there, and says nothing. */
    const left = () => {
      expected.gone();
      socket.destroy();
    };
    socket.on('data', heard).on('end', left).on('close', left);
  });
  // From then on Node's server looks after its connections: an answer to those that are too slow.
  door.once('listening', () => server.emit('listening'));
  return door;
}
