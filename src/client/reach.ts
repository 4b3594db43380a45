// The way to a server: a TCP connection, or a channel through another server; within a time, and with errors that say what to look at.
import { connect, type Socket } from '../server/runtime/net.ts';
import { streamSocket } from '../server/stream-socket.ts';
import type { ClientConnection } from './client.ts';

/**
 * A socket that is connected.
 * @param seconds after which it is given up; 0 for never
 * @throws the system's error (`code` is kept), the reason of `signal`, or OpenError if `via` does not let us through
 */
export async function reach(
  via: ClientConnection | undefined,
  { host, port }: { host: string; port: number },
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  const stop = new AbortController();
  const abort = () => stop.abort(signal!.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const late = () => stop.abort(systemError('ETIMEDOUT', `no answer within ${seconds} s`));
  const timer = seconds > 0 ? setTimeout(late, seconds * 1000) : undefined;
  if (signal?.aborted) abort();
  try {
    return await (via === undefined ? connect(host, port, stop.signal) : through(via, host, port, stop.signal));
  } catch (error) {
    throw signal?.aborted ? signal.reason : explained(error as Error, host, port);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

async function through(via: ClientConnection, host: string, port: number, stop: AbortSignal): Promise<Socket> {
  stop.throwIfAborted();
  return new Promise((resolve, reject) => {
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
    via.forward(host, port).then(stream => {
      if (stop.aborted) stream.channel.close();
      resolve(streamSocket(stream));
    }, reject);
  });
}

/** What commonly is the matter, by the system's code. */
const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there: check the port, and whether the server runs',
  ENOTFOUND: 'there is no such host: check the name',
  EAI_AGAIN: 'its name cannot be looked up just now: check the network',
  ETIMEDOUT: 'check the address, and whether a firewall is in the way',
  EHOSTUNREACH: 'there is no way to that host: check the address and the network',
  ENETUNREACH: 'there is no way to that network: check the network',
  ECONNRESET: 'it hung up at once: check whether a firewall is in the way',
};

/** The same error, with a sentence for its message. */
function explained(error: Error, host: string, port: number): Error {
  const { code } = error as { code?: string };
  if (code === undefined) return error;
  const cause = CAUSES[code];
  error.message = `cannot connect to ${host}:${port}: ${error.message}${cause === undefined ? '' : `; ${cause}`}`;
  return error;
}

const systemError = (code: string, message: string): Error => Object.assign(new Error(message), { code });
