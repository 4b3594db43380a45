// Connections that come through a balancer: it says in a PROXY header whose they are, and from then on they are that client's.
import { matchFrom, parseNetworks } from '../crypto/keys/address-match.ts';
import { UsageError } from '../protocol/errors.ts';
import { concat } from '../protocol/wire/reader.ts';
import { type End, proxyHeader } from './proxy-header.ts';
import type { Socket, SocketEvents } from './runtime/net.ts';
import type { Logger } from './server.ts';

/** Seconds for the header: balancers send it at once; the protocol's text asks for no less than three. */
export const PATIENCE = 10;
/** Connections whose header has not come. Each is a socket and some hundred bytes; a balancer's own come in milliseconds. */
export const MAX_WAITING = 1024;

/** Which connections begin with a header, and what becomes of those. */
export class Proxied {
  /** Whether connections from an address must begin with a header. */
  readonly trusts: (address: string) => boolean;
  readonly #log: Logger;
  readonly #seconds: number;
  #waiting = 0;

  /**
   * `balancers`: addresses and networks, separated by commas. Those must send a header; of all others a header is not heeded.
   * `seconds` is for tests. @throws UsageError if `balancers` is no such list
   */
  constructor(balancers: string, log: Logger, seconds = PATIENCE) {
    const networks = parseNetworks(balancers);
    if (typeof networks === 'string') throw new UsageError(networks);
    this.trusts = address => matchFrom(networks, address);
    this.#log = log;
    this.#seconds = seconds;
  }

  /** Gives on a new connection, as it is or as the header says; or closes it, and logs why. */
  take(socket: Socket, connected: (socket: Socket) => void): void {
    const { address } = socket;
    if (address === '') {
      // It has been reset before anybody looked: whose it was cannot be told, and nobody waits for an answer.
      socket.start({ data() {}, end() {}, drain() {}, close() {} });
      return socket.destroy();
    }
    if (!this.trusts(address)) return connected(socket);
    if (this.#waiting >= MAX_WAITING) {
      this.#log.warn({ address }, 'connection refused: too many wait for their PROXY header');
      return socket.destroy();
    }
    this.#waiting++;
    let begun: Uint8Array = new Uint8Array(0);
    let later: SocketEvents | undefined;
    let rest: Uint8Array | undefined;
    const refuse = (reason: string) => {
      settle();
      this.#log.warn({ address }, `connection refused: ${reason}`);
      socket.destroy();
    };
    const timer = setTimeout(() => refuse(`no PROXY header came within ${this.#seconds} s`), this.#seconds * 1000);
    let waiting = true;
    const settle = () => {
      if (!waiting) return;
      waiting = false;
      this.#waiting--;
      clearTimeout(timer);
    };
    const heard = (chunk: Uint8Array) => {
      const bytes = concat(begun, chunk);
      begun = bytes;
      const header = proxyHeader(bytes);
      if (header === undefined) return;
      if (typeof header === 'string') return refuse(header);
      settle();
      rest = bytes.slice(header.length);
      connected(under(socket, header.source, header.destination, start));
    };
    /** The connection's user begins: what came behind the header comes first. */
    const start = (events: SocketEvents) => {
      later = events;
      const first = rest;
      rest = undefined;
      // Not from inside of `start`, like all that a socket tells.
      if (first !== undefined && first.length > 0) queueMicrotask(() => events.data(first));
    };
    socket.start({
      data(chunk, lent) {
        if (later !== undefined) later.data(chunk, lent);
        else if (waiting) heard(chunk);
        // Undefined of one that was refused, and is not closed yet.
        else if (rest !== undefined) rest = concat(rest, chunk);
      },
      get borrows() {
        // The header is copied; then its user decides.
        return later === undefined || later.borrows === true;
      },
      end() {
        // A balancer that looks whether somebody is there, and says nothing.
        if (later === undefined) socket.destroy();
        else later.end();
      },
      drain: () => later?.drain(),
      close: error => {
        settle();
        if (later === undefined) this.#log.debug({ address }, 'a connection without a PROXY header has ended');
        else later.close(error);
      },
    });
  }
}

/** The connection as its user sees it: with the client's ends, or, where the balancer speaks for itself, as a check. */
function under(socket: Socket, source: End | undefined, destination: End | undefined, start: Socket['start']): Socket {
  return {
    address: source?.address ?? socket.address,
    port: source?.port ?? socket.port,
    localAddress: destination?.address ?? socket.localAddress,
    localPort: destination?.port ?? socket.localPort,
    check: source === undefined,
    start,
    get pending() {
      return socket.pending;
    },
    ...(socket.progress && { progress: () => socket.progress!() }),
    ...(socket.probe && { probe: (seconds: number) => socket.probe!(seconds) }),
    write: chunks => socket.write(chunks),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    ...(socket.reset && { reset: () => socket.reset!() }),
  };
}
