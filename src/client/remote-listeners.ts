// Listeners on the server's side, `ssh -R` (RFC 4254 §7.1; OpenSSH PROTOCOL §2.4): what was asked for, and who has called.
import {
  FORWARDED_PORT,
  FORWARDED_STREAMLOCAL,
  FORWARDED_TCPIP,
  STREAMLOCAL_FORWARD,
  TCPIP_FORWARD,
} from '../protocol/channels/forwarding.ts';
import type { ChannelOpen } from '../protocol/channels/mux.ts';
import type { Connection } from '../protocol/connection.ts';
import { OpenFailure, RequestError } from '../protocol/errors.ts';
import { pack, unpack } from '../protocol/wire/codec.ts';
import { ChannelStream } from '../server/streams.ts';
import type { Endpoint } from './forwards.ts';

/** Somebody who has connected to a listener on the server's side. */
export interface RemoteCall {
  /** What he writes and reads. */
  readonly stream: ChannelStream;
  /** His address and port, as the server says; empty and 0 for a Unix socket. */
  readonly address: string;
  /** See `address`. */
  readonly port: number;
}

/** Callers that wait for whoever iterates over them; more are refused. What listen(2) commonly has. */
const BACKLOG = 128;

type Answer = (open: ChannelOpen, address: string, port: number) => void | Promise<void>;

/** The listeners of one connection on the server's side. */
export class RemoteForwards {
  readonly #connection: Connection;
  readonly #closed: Promise<Error>;
  /** By what was asked for, see `nameOf`. */
  readonly #listeners = new Map<string, Answer>();
  /** Those that left the port to the server, by what was asked for: AsyncSSH 2.10 opens their channels for port 0. */
  readonly #anyPort = new Map<string, Set<Answer>>();
  /** Requests to listen that await their answer. */
  readonly #asking = new Set<Promise<unknown>>();

  constructor(connection: Connection, closed: Promise<Error>) {
    this.#connection = connection;
    this.#closed = closed;
  }

  /** @throws RequestError if the server refuses, or what has ended the connection */
  async listen(at: Endpoint, called?: (call: RemoteCall) => void | Promise<void>): Promise<RemoteListener> {
    const waiting = new Waiting();
    const answer: Answer =
      called === undefined
        ? (open, address, port) => waiting.add({ open, address, port })
        : (open, address, port) => called(accept({ open, address, port }));
    const listener = await this.listenRaw(at, answer, waiting);
    const end = () => waiting.end();
    this.#closed.then(end, end);
    return listener;
  }

  /** The same for those who open the channels themselves. */
  async listenRaw(at: Endpoint, answer: Answer, waiting?: Waiting): Promise<RemoteListener> {
    const asking = this.#ask(at, answer, waiting);
    this.#asking.add(asking);
    try {
      return await asking;
    } finally {
      this.#asking.delete(asking);
    }
  }

  async #ask(at: Endpoint, answer: Answer, waiting: Waiting | undefined): Promise<RemoteListener> {
    const connection = this.#connection;
    const [request, data] =
      'path' in at
        ? ['streamlocal-forward@openssh.com', pack(STREAMLOCAL_FORWARD, at)]
        : ['tcpip-forward', pack(TCPIP_FORWARD, { host: at.host ?? 'localhost', port: at.port })];
    const reply = await connection.request(request, data);
    if (reply === undefined) {
      if (connection.error !== undefined) throw connection.error;
      throw new RequestError(
        'path' in at
          ? `the server refused to listen on ${at.path}: something may lie there already, or this user may not`
          : `the server refused to listen on ${at.host ?? 'localhost'}:${at.port}: the port may be taken, or this user may not; with port 0 the server chooses one`,
      );
    }
    const address =
      'path' in at ? at : { host: at.host ?? 'localhost', port: at.port || unpack(FORWARDED_PORT, reply).port };
    const name = nameOf(address);
    this.#listeners.set(name, answer);
    const asked = 'port' in at && at.port === 0 ? nameOf({ host: at.host ?? 'localhost', port: 0 }) : undefined;
    if (asked !== undefined) this.#anyPort.set(asked, (this.#anyPort.get(asked) ?? new Set()).add(answer));
    const cancel = async () => {
      this.#listeners.delete(name);
      if (asked !== undefined) this.#anyPort.get(asked)?.delete(answer);
      waiting?.end();
      const [kind, what] =
        'path' in address
          ? ['cancel-streamlocal-forward@openssh.com', pack(STREAMLOCAL_FORWARD, address)]
          : ['cancel-tcpip-forward', pack(TCPIP_FORWARD, address)];
      return (await connection.request(kind, what)) !== undefined;
    };
    return new RemoteListener(address, cancel, waiting);
  }

  /** A channel that the server opens. */
  called(open: ChannelOpen): void | Promise<void> {
    const refuse = () => open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not asked for');
    const found = callOf(open);
    if (found === undefined) return refuse();
    const { name, address, port } = found;
    const answer = this.#find(name);
    if (answer !== undefined) return answer(open, address, port);
    if (this.#asking.size === 0) return refuse();
    // A caller may come right behind the server's "yes", before `listen` has heard of that.
    return Promise.allSettled(this.#asking).then(() => (this.#find(name) ?? refuse)(open, address, port));
  }

  /** The listener of that name. Port 0 is of use only where one listener could be meant. */
  #find(name: string): Answer | undefined {
    const others = this.#anyPort.get(name);
    return this.#listeners.get(name) ?? (others?.size === 1 ? [...others][0] : undefined);
  }
}

/** A listener on the server's side. Without a callback, loop over it: `for await (const { stream } of listener)`. */
export class RemoteListener implements AsyncIterable<RemoteCall> {
  /** As asked for; empty for a Unix socket. */
  readonly host: string;
  /** The port, which the server has chosen if 0 was asked for; 0 for a Unix socket. */
  readonly port: number;
  /** Of a Unix socket. */
  readonly path: string | undefined;
  readonly #cancel: () => Promise<boolean>;
  readonly #waiting: Waiting | undefined;
  #closing: Promise<boolean> | undefined;

  /** For `ClientConnection`. */
  constructor(
    at: { host: string; port: number } | { path: string },
    cancel: () => Promise<boolean>,
    waiting: Waiting | undefined,
  ) {
    this.host = 'path' in at ? '' : at.host;
    this.port = 'path' in at ? 0 : at.port;
    this.path = 'path' in at ? at.path : undefined;
    this.#cancel = cancel;
    this.#waiting = waiting;
  }

  /** Callers, until the listener or the connection is closed. Those that nobody takes wait, 128 at most. */
  async *[Symbol.asyncIterator](): AsyncGenerator<RemoteCall> {
    for (;;) {
      const next = await this.#waiting?.next();
      if (next === undefined) return;
      if (!next.open.gone) yield accept(next);
    }
  }

  /** Takes the listener back; those who are connected stay. False if the server has none such (any more). */
  close(): Promise<boolean> {
    return (this.#closing ??= this.#cancel());
  }

  /** `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A caller whose channel has not been answered yet. */
interface Ringing {
  readonly open: ChannelOpen;
  readonly address: string;
  readonly port: number;
}

/** Callers that wait for whoever iterates over them. */
class Waiting {
  readonly #calls: Ringing[] = [];
  #ended = false;
  #wake = () => {};

  add(call: Ringing): void {
    if (this.#ended) return call.open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not asked for');
    if (this.#calls.length >= BACKLOG) return call.open.reject(OpenFailure.RESOURCE_SHORTAGE, 'too many callers wait');
    this.#calls.push(call);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    for (const { open } of this.#calls.splice(0)) open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'not any more');
    this.#wake();
  }

  /** The next one, when there is one; undefined at the end. */
  async next(): Promise<Ringing | undefined> {
    for (;;) {
      const call = this.#calls.shift();
      if (call !== undefined && !call.open.gone) return call;
      if (call !== undefined) continue;
      if (this.#ended) return undefined;
      await new Promise<void>(resolve => (this.#wake = resolve));
    }
  }
}

function accept({ open, address, port }: Ringing): RemoteCall {
  const stream = new ChannelStream();
  stream.channel = open.accept(stream.handler);
  return { stream, address, port };
}

/** Which listener a channel is for, and who calls; undefined for channels that a client has no business with. @throws ProtocolError if it is malformed */
function callOf(open: ChannelOpen): { name: string; address: string; port: number } | undefined {
  switch (open.type) {
    case 'forwarded-tcpip': {
      const { host, port, originHost, originPort } = unpack(FORWARDED_TCPIP, open.data);
      return { name: nameOf({ host, port }), address: originHost, port: originPort };
    }
    case 'forwarded-streamlocal@openssh.com':
      return { name: nameOf(unpack(FORWARDED_STREAMLOCAL, open.data)), address: '', port: 0 };
  }
  return undefined;
}

/** A listener's name: the server says it to the letter as it was asked for. */
const nameOf = (at: { host: string; port: number } | { path: string }): string =>
  'path' in at ? `unix ${at.path}` : `tcp ${at.host} ${at.port}`;
