// Standard input and output as a socket: for inetd, where they are one, and for ProxyCommand, where they are two pipes.
import type { Readable, Writable } from 'node:stream';
import type { Socket } from '../../server/runtime/net.ts';
import type { Peer } from './peer.ts';

/** Each stream belongs to the socket from now on. */
export function stdioSocket(peer: Peer, input: Readable = process.stdin, output: Writable = process.stdout): Socket {
  let failure: Error | undefined;
  const failed = (error: Error) => (failure ??= error);
  input.on('error', failed);
  output.on('error', failed);
  return {
    ...peer,
    get pending() {
      return output.writableLength;
    },
    start({ data, end, drain, close }) {
      let closed = false;
      const over = () => {
        if (closed) return;
        closed = true;
        close(failure);
      };
      input.on('data', (chunk: Buffer) => data(new Uint8Array(chunk)));
      input.on('end', end);
      input.on('close', over);
      output.on('drain', drain);
      // The last bytes before the end are followed by no 'drain' unless there were many.
      output.on('finish', drain);
      output.on('close', over);
    },
    write(chunks) {
      for (const chunk of chunks) output.write(chunk);
    },
    pause: () => void input.pause(),
    resume: () => void input.resume(),
    end: () => void output.end(),
    destroy() {
      input.destroy();
      output.destroy();
    },
  };
}
