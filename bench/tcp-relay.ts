// A program: the floor. A plain TCP relay on node:net to the loopback port of its first argument, without any SSH.
import { connect, createServer } from 'node:net';

const target = Number(process.argv[2]);

const server = createServer({ noDelay: true }, near => {
  const far = connect({ host: '127.0.0.1', port: target, noDelay: true });
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ]) {
    socket.on('error', () => other.destroy());
    socket.on('close', () => other.destroy());
    socket.pipe(other);
  }
});
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`port ${(server.address() as { port: number }).port}`);
});
