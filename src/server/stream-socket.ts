// A channel's stream with the face of a socket, so that a connection can run through another one.
import type { Socket, SocketEvents } from './runtime/net.ts';
import type { ChannelStream } from './streams.ts';

/**
 * A stream as a socket: what a connection through another one runs on (`ssh -J`).
 * `dial({ socket: streamSocket(await board.forward(host, 22)), … })`
 * @param address and `port` of the peer, where they are known
 */
export function streamSocket(stream: ChannelStream, address = '', port = 0): Socket {
  let events: SocketEvents | undefined;
  let pending = 0;
  let paused: Promise<void> | undefined;
  let resume = () => {};
  let heardEnd = false;
  let ended = false;
  let destroyed = false;
  const closeIfOver = () => {
    if (heardEnd && ended && pending === 0) stream.close().catch(() => {});
  };
  const read = async (tell: SocketEvents) => {
    try {
      for await (const chunk of stream) {
        await paused;
        if (destroyed) break;
        tell.data(chunk);
      }
    } catch (error) {
      if (error !== stream.error) throw error;
      await paused;
      ended = true;
      return tell.close(destroyed ? undefined : stream.error);
    }
    await paused;
    if (!destroyed) {
      heardEnd = true;
      tell.end();
      closeIfOver();
      await Promise.race([stream.closed, destruction]);
    }
    tell.close();
  };
  let destroy!: () => void;
  const destruction = new Promise<void>(resolve => (destroy = resolve));
  return {
    address,
    port,
    get pending() {
      return pending;
    },
    start(tell) {
      events = tell;
      read(tell).catch((error: Error) => {
        stream.channel.close();
        tell.close(error);
      });
    },
    write(chunks) {
      if (ended) return;
      for (const chunk of chunks) {
        const { length } = chunk;
        pending += length;
        const done = (taken: boolean) => {
          pending -= length;
          if (pending > 0 || destroyed) return;
          if (taken) events?.drain();
          closeIfOver();
        };
        stream.write(chunk).then(done, () => done(false));
      }
    },
    pause() {
      paused ??= new Promise(resolve => (resume = resolve));
    },
    resume() {
      paused = undefined;
      resume();
    },
    end() {
      if (ended) return;
      ended = true;
      stream.end().then(closeIfOver, closeIfOver);
    },
    destroy() {
      ended = true;
      destroyed = true;
      stream.discard();
      stream.channel.close();
      paused = undefined;
      resume();
      destroy();
    },
  };
}
