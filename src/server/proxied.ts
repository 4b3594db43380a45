// Connections that come through a balancer: it says in a PROXY header whose they are, and from then on they are that
// client's.
import { matchFrom, parseNetworks } from '../crypto/keys/address-match.ts';
import { UsageError } from '../protocol/errors.ts';
import { concat } from '../protocol/wire/reader.ts';
import { type End, type ProxyHeader, proxyHeader } from './proxy-header.ts';
import type { Socket, SocketEvents } from './runtime/net.ts';
import type { Logger } from './server.ts';

/** Seconds for the header: balancers send it at once; the protocol's text asks for no less than three. */
const PATIENCE = 10;
/**
 * Connections whose header has not come. Each is a socket and some hundred bytes; a balancer's own come in
 * milliseconds.
 */
export const MAX_WAITING = 1024;

/**
 * What takes new connections in place of `serve`, where there are balancers, as of `Proxied`. @throws UsageError if
 * that is no list of them
 */
export function behindProxies(
  balancers: string | undefined,
  log: Logger,
  serve: (socket: Socket) => void,
): (socket: Socket) => void {
  if (balancers === undefined) return serve;
  const proxied = new Proxied(balancers, log);
  return socket => proxied.take(socket, serve);
}

/** Which connections begin with a header, and what becomes of those. */
export class Proxied {
  /** Whether connections from an address must begin with a header. */
  readonly trusts: (address: string) => boolean;
  readonly #log: Logger;
  readonly #seconds: number;
  #waiting = 0;

  /**
   * `balancers`: addresses and networks, separated by commas. Those must send a header; of all others a header is not
   * heeded. `seconds` is for tests. @throws UsageError if `balancers` is no such list
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
    let later: SocketEvents | undefined;
    let rest: Uint8Array | undefined;
    const expected = this.expect(
      address,
      'connection',
      () => socket.destroy(),
      (header, behind) => {
        rest = behind;
        connected(under(socket, header.source, header.destination, start));
      },
    );
    if (expected === undefined) return;
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
        else if (rest === undefined) expected.heard(chunk);
        else rest = concat(rest, chunk);
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
        expected.gone();
        if (later === undefined) this.#log.debug({ address }, 'a connection without a PROXY header has ended');
        else later.close(error);
      },
    });
  }

  /**
   * Waits for the header of a connection that has just come; undefined if too many wait already. Either `refuse` is
   * called, once that has been logged of `what`, or `known` with the header and what came behind it.
   */
  expect(
    address: string,
    what: string,
    refuse: () => void,
    known: (header: ProxyHeader, behind: Uint8Array) => void,
  ): Expected | undefined {
    const refused = (reason: string) => {
      this.#log.warn({ address }, `${what} refused: ${reason}`);
      refuse();
    };
    if (this.#waiting >= MAX_WAITING) return void refused('too many wait for their PROXY header');
    this.#waiting++;
    let waiting = true;
    let begun: Uint8Array = new Uint8Array(0);
    const gone = () => {
      if (!waiting) return;
      waiting = false;
      this.#waiting--;
      clearTimeout(timer);
    };
    const timer = setTimeout(() => {
      gone();
      refused(`no PROXY header came within ${this.#seconds} s`);
    }, this.#seconds * 1000);
    const heard = (chunk: Uint8Array) => {
      if (!waiting) return;
      begun = concat(begun, chunk);
      const header = proxyHeader(begun);
      if (header === undefined) return;
      gone();
      if (typeof header === 'string') refused(header);
      else known(header, begun.slice(header.length));
    };
    return { heard, gone };
  }
}

/** A header that is on its way: what its connection says, and that it has ended. */
interface Expected {
  heard(chunk: Uint8Array): void;
  gone(): void;
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
