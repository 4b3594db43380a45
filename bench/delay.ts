// A program: a TCP proxy to the loopback port of its first argument that holds back what it passes on for so many milliseconds (second argument).
import { connect, createServer, type Socket } from 'node:net';

const [target, delay] = process.argv.slice(2).map(Number);

// The line is long, not narrow: it takes in what comes, and what is under way is bounded by SSH's own windows.
function pass(from: Socket, to: Socket): void {
  from.on('data', chunk => setTimeout(() => to.write(chunk), delay));
  from.on('end', () => setTimeout(() => to.end(), delay));
  from.on('error', () => to.destroy());
  from.on('close', () => setTimeout(() => to.destroy(), delay));
}

const server = createServer({ noDelay: true, allowHalfOpen: true }, near => {
  const far = connect({ host: '127.0.0.1', port: target, noDelay: true, allowHalfOpen: true });
  pass(near, far);
  pass(far, near);
});
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`port ${(server.address() as { port: number }).port}`);
});
