// A way to a loopback port that can be cut without either end hearing of it, as cables and NAT tables do, or made slow.
import { connect, type Socket } from 'node:net';
import { tcpServer } from './loopback.ts';
import type { Scope } from './processes.ts';

/** Milliseconds between two portions on a slow way. */
const BEAT = 100;

export interface Way {
  /** To connect to in place of the other. */
  readonly port: number;
  /** From now on nothing gets through, in neither direction, and no end is passed on either. */
  cut(): void;
  /** From now on so many bytes a second get through to whoever has connected. */
  slow(bytesPerSecond: number): void;
}

export async function wayTo(scope: Scope, target: number): Promise<Way> {
  let alive = true;
  let rate: number | undefined;
  const relays: (() => void)[] = [];
  const pass = (from: Socket, to: Socket, slowly: () => number | undefined) => {
    from.on('error', () => {});
    from.on('end', () => alive && to.end());
    from.on('close', () => alive && to.destroy());
    // Read by hand, so that what is not read stays with the sender.
    const move = () => {
      if (!alive) return;
      const limit = slowly();
      for (;;) {
        if (to.writableLength > 0) return;
        const chunk =
          limit === undefined ? from.read() : from.read(Math.min(from.readableLength, (limit * BEAT) / 1000));
        if (chunk === null || chunk.length === 0) return;
        to.write(chunk);
        if (limit !== undefined) return;
      }
    };
    from.on('readable', () => slowly() === undefined && move());
    to.on('drain', () => slowly() === undefined && move());
    relays.push(move);
  };
  const { port } = await tcpServer(scope, near => {
    const far = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true, noDelay: true });
    scope.defer(() => void far.destroy());
    pass(near, far, () => undefined);
    pass(far, near, () => rate);
  });
  const timer = setInterval(() => {
    for (const move of relays) move();
  }, BEAT);
  scope.defer(() => clearInterval(timer));
  return {
    port,
    cut: () => {
      alive = false;
    },
    slow: bytesPerSecond => {
      rate = bytesPerSecond;
    },
  };
}
