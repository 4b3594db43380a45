// A program: serves bytes without end to every connection on a loopback port that it prints.
import { createServer } from 'node:net';

const block = Buffer.alloc(1024 * 1024, 'cordboard ');

const server = createServer({ noDelay: true }, socket => {
  const send = () => {
    while (socket.write(block));
  };
  socket.on('drain', send);
  // Whoever measures leaves when it has enough.
  socket.on('error', () => {});
  socket.resume();
  send();
});
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`port ${(server.address() as { port: number }).port}`);
});
