// Trunks: how a call gets from the worker that has the caller to the one that has the line. Unix sockets in a private directory; whoever comes must know the token.
import {
  type ChannelOpen,
  equalBytes,
  type Fields,
  type GlobalRequest,
  type Layout,
  type Mux,
  OpenFailure,
  pack,
  unpack,
} from '../../protocol/index.ts';
import { faultFields } from '../../server/detached.ts';
import { PlainLink } from '../../server/plain-link.ts';
import { connectPath, type Socket } from '../../server/runtime/net.ts';
import { listenPath } from '../../server/runtime/paths.ts';
import type { Logger } from '../../server/server.ts';
import type { Place } from './lines.ts';

const layout = <const L extends Layout>(fields: L): L => fields;

/** The only type of channel on a trunk; between a client and its server there is no such type. */
export const CALL_CHANNEL = 'call@cordboard';
/** A call: for which provider's line (see `lineKey`), by which of its names, and from whom. */
const CALL = layout({ provider: 'text', line: 'text', name: 'text', originHost: 'text', originPort: 'uint32' });
export type Call = Fields<typeof CALL>;
export const packCall = (call: Call): Uint8Array => pack(CALL, call);
/** @throws ProtocolError */
export const unpackCall = (data: Uint8Array): Call => unpack(CALL, data);

/** The first word on a trunk: a global request that proves that one belongs here. */
const HELLO = 'hello@cordboard';

/**
 * Trunks from one worker to another, used in turn. The system takes some 200 KB from a Unix socket at a time, which is less than a
 * busy worker has for it: four carry half as much again as one, and eight carry no more.
 */
const TRUNKS = 4;
/**
 * Circuits between two processes at once. They are those of all clients of a worker with all of another, and each client may have 1,024,
 * so the number for one connection will not do; these cost each some 100 MB, which is a bound still.
 */
export const MAX_CIRCUITS = 65_536;
/** Milliseconds that whoever connects has to say hello. */
const HELLO_WITHIN = 10_000;

export interface TrunksOptions {
  /** The Unix socket to listen on. */
  readonly path: string;
  readonly token: Uint8Array;
  readonly log: Logger;
  /** A call from elsewhere. */
  arrive(open: ChannelOpen): void | Promise<void>;
}

export class Trunks {
  readonly #options: TrunksOptions;
  /** To other places, by place and number; those from there are theirs. */
  readonly #out = new Map<string, Promise<Mux>>();
  #turn = 0;
  readonly #links = new Set<PlainLink>();
  #listener: { close(): Promise<void> } | undefined;

  constructor(options: TrunksOptions) {
    this.#options = options;
  }

  /** Takes calls from now on. @throws the system's error */
  async listen(): Promise<void> {
    this.#listener = await listenPath(this.#options.path, socket => this.#accept(socket));
  }

  /** Ends all circuits between here and elsewhere, and takes no more calls. */
  async close(): Promise<void> {
    for (const link of this.#links) link.close();
    await this.#listener?.close();
  }

  /** A trunk to a place, connected if it is not yet. @throws the system's error, or if the place does not want us */
  to(place: Place): Promise<Mux> {
    this.#turn = (this.#turn + 1) % TRUNKS;
    const name = `${place.id} ${this.#turn}`;
    const known = this.#out.get(name);
    if (known !== undefined) return known;
    const trunk = this.#connect(place, () => this.#out.delete(name));
    this.#out.set(name, trunk);
    return trunk;
  }

  /** `over`: the next call has to connect again. */
  async #connect({ path, worker }: Place, over: () => void): Promise<Mux> {
    const { token, log } = this.#options;
    let link: PlainLink;
    try {
      if (path === undefined) throw new Error('there is no other process');
      link = this.#link(
        await connectPath(path),
        open => open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'calls go the other way here'),
        () => false,
      );
    } catch (error) {
      over();
      throw error;
    }
    const ended = (reason: Error) => {
      over();
      log.debug({ to: worker, reason: reason.message }, 'trunk closed');
    };
    link.closed.then(ended, ended);
    if ((await link.mux.request(HELLO, token)) === false) {
      link.close();
      throw new Error('it did not take our hello');
    }
    log.debug({ to: worker }, 'trunk opened');
    return link.mux;
  }

  #accept(socket: Socket): void {
    const { token, arrive } = this.#options;
    let known = false;
    const link = this.#link(
      socket,
      open => {
        if (known && open.type === CALL_CHANNEL) this.#heed(arrive(open), open);
        else open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'who is there?');
      },
      ({ type, data }) => {
        const right = type === HELLO && equalBytes(data, token);
        known ||= right;
        return right;
      },
    );
    const timer = setTimeout(() => {
      if (!known) link.close('nobody said hello');
    }, HELLO_WITHIN);
    const stop = () => clearTimeout(timer);
    link.closed.then(stop, stop);
  }

  /** A call that fails ends with its channel, and nothing else does. */
  #heed(working: void | Promise<void>, open: ChannelOpen): void {
    Promise.resolve(working).catch((error: unknown) => {
      this.#options.log.error(faultFields(error), 'a handler failed');
      open.reject(OpenFailure.CONNECT_FAILED, 'internal error');
    });
  }

  #link(
    socket: Socket,
    channelOpen: (open: ChannelOpen) => void,
    globalRequest: (request: GlobalRequest) => boolean,
  ): PlainLink {
    const fault = (error: unknown) => this.#options.log.error(faultFields(error), 'a handler failed');
    const link = new PlainLink(socket, { maxChannels: MAX_CIRCUITS / TRUNKS, channelOpen, globalRequest, fault });
    this.#links.add(link);
    const forget = () => this.#links.delete(link);
    link.closed.then(forget, forget);
    return link;
  }
}
