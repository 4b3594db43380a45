// A program: serves so many bytes (first argument) to every connection on a loopback port that it prints, and then leaves it open.
import { createServer } from 'node:net';

const total = Number(process.argv[2]);
const block = Buffer.alloc(1024 * 1024, 'cordboard ');

const server = createServer({ noDelay: true }, socket => {
  let left = total;
  const send = () => {
    while (left > 0) {
      const part = left < block.length ? block.subarray(0, left) : block;
      left -= part.length;
      if (!socket.write(part)) return;
    }
    // An end would end sessions and their processes, perhaps before their CPU time has been read.
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
