// Real sockets of a test, on loopback ports or in files: servers and connections that its scope ends.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { eventually, type Scope, soon } from './processes.ts';

/** A TCP server on a loopback port that the system chooses; half-open connections are the handler's to end. */
export async function tcpServer(
  scope: Scope,
  handler: (socket: Socket) => void,
  port = 0,
): Promise<{ port: number; server: Server; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    handler(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port }, resolve);
  });
  scope.defer(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>(resolve => server.close(() => resolve()));
  });
  return { port: (server.address() as { port: number }).port, server, sockets };
}

/** Sends back what it gets, and ends when its client has. */
export async function echoServer(scope: Scope): Promise<number> {
  return (await tcpServer(scope, socket => void socket.pipe(socket))).port;
}

/** A Unix socket that echoes. */
export async function unixEcho(scope: Scope, path: string): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket));
  await new Promise<void>(resolve => server.listen(path, resolve));
  scope.defer(() => void server.close());
}

/** A connection to a loopback port, from `localAddress` if that is given: all of 127.0.0.0/8 are ours. */
export const tcpConnect = (scope: Scope, port: number, localAddress?: string): Promise<Socket> =>
  connected(scope, connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true, noDelay: true }));

/** The same from another address of 127.0.0.0/8. */
export const connectFrom = (scope: Scope, port: number, localAddress: string): Promise<Socket> =>
  connected(scope, connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true, noDelay: true }));

/** A connection to a Unix socket. */
export const unixConnect = (scope: Scope, path: string): Promise<Socket> =>
  connected(scope, connect({ path, allowHalfOpen: true }));

/** Whether nobody listens on a loopback port. */
export const refusesConnections = (scope: Scope, port: number): Promise<boolean> =>
  tcpConnect(scope, port).then(
    () => false,
    ({ code }: { code?: string }) => code === 'ECONNREFUSED',
  );

async function connected(scope: Scope, socket: Socket): Promise<Socket> {
  scope.defer(() => void socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', resolve);
  });
  socket.removeAllListeners('error').on('error', () => {});
  return socket;
}

/** All that comes from a socket until its end. */
export function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  return new Promise(resolve => {
    const done = () => resolve(Buffer.concat(parts));
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.on('end', done);
    socket.on('close', done);
  });
}

/** Sends `text` through a circuit to an echo server and waits until it is back. */
export async function echoes(socket: Socket, text: string): Promise<void> {
  let got = '';
  await soon(
    `the echo of ${JSON.stringify(text)}`,
    new Promise<void>((resolve, reject) => {
      const gone = () => reject(new Error(`closed before the echo of ${JSON.stringify(text)}`));
      const hear = (part: Buffer) => {
        got += part.toString('latin1');
        if (got.length < text.length) return;
        socket.off('data', hear);
        socket.off('close', gone);
        socket.off('end', gone);
        if (got === text) resolve();
        else reject(new Error(`sent ${JSON.stringify(text)}, got ${JSON.stringify(got)}`));
      };
      socket.on('data', hear);
      socket.on('close', gone);
      socket.on('end', gone);
      if (socket.destroyed) gone();
      else socket.write(text);
    }),
  );
}

/** A loopback port that nobody listens on just now, for programs that cannot be told to take any. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>(resolve => server.close(() => resolve()));
  return port;
}

/** When something accepts connections on a loopback port. */
export async function listening(port: number, seconds = 60): Promise<void> {
  await eventually(
    `somebody to listen on port ${port}`,
    () =>
      new Promise(resolve => {
        const socket = connect({ host: '127.0.0.1', port });
        socket.on('connect', () => {
          socket.destroy();
          resolve(true);
        });
        socket.on('error', () => resolve(false));
      }),
    seconds,
  );
}
