// Calls: who may call what, which line it is, and how the call gets there, in this process or in another one.
import {
  type ChannelOpen,
  DIRECT_STREAMLOCAL,
  DIRECT_TCPIP,
  FORWARDED_STREAMLOCAL,
  FORWARDED_TCPIP,
  type Mux,
  OpenFailure,
  type OpenFailureReason,
  pack,
  printable,
  unpack,
} from '../../protocol/index.ts';
import type { Logger } from '../../server/server.ts';
import { type Call, Circuits } from './circuits.ts';
import type { Events } from './events.ts';
import { type Board, type Found, isPeer, type Line, lineKey, NoSuchLine, NotForYou, type Peer } from './lines.ts';
import type { Member } from './members.ts';
import type { Elsewhere } from './options.ts';
import type { Counter } from './tally.ts';
import { CALL_CHANNEL, packCall, unpackCall } from './trunks.ts';

/** Who calls: address and port. */
type Origin = { readonly originHost: string; readonly originPort: number };

export interface CallsOptions {
  readonly board: Board;
  readonly events: Events;
  readonly log: Logger;
  readonly counter: Counter;
  readonly elsewhere?: Elsewhere;
}

export class Calls {
  readonly circuits: Circuits;
  /** No calls are put through any more. */
  closed = false;
  readonly #options: CallsOptions;

  constructor(options: CallsOptions) {
    this.#options = options;
    this.circuits = new Circuits({ ...options, spent: options.elsewhere?.spent });
  }

  /** `ssh -L`, `-W`, `-J`, `-D`. */
  tcp(open: ChannelOpen, caller: Member): void | Promise<void> {
    const { host, port } = unpack(DIRECT_TCPIP, open.data);
    return this.#call(open, caller, { kind: 'tcp', host, port }, `${host}:${port}`);
  }

  /** `ssh -L PORT:/name/path`. */
  unix(open: ChannelOpen, caller: Member): void | Promise<void> {
    const { path } = unpack(DIRECT_STREAMLOCAL, open.data);
    return this.#call(open, caller, { kind: 'unix', path }, path);
  }

  #call(open: ChannelOpen, caller: Member, wanted: Line, text: string): void | Promise<void> {
    const target = printable(text, 300);
    const refuse = (code: OpenFailureReason, reason: string) => {
      this.#options.events.tell({ type: 'call-refused', client: caller.info, target, reason: printable(reason) });
      open.reject(code, printable(reason));
    };
    if (this.closed) return refuse(OpenFailure.CONNECT_FAILED, 'the switchboard is going down');
    if (!caller.grant.mayOpen(wanted)) {
      return refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'your key may not call this');
    }
    let found: Found;
    try {
      found = this.#options.board.find(caller.grant, wanted, caller);
    } catch (error) {
      if (error instanceof NotForYou) return refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, error.message);
      if (error instanceof NoSuchLine) return refuse(OpenFailure.CONNECT_FAILED, error.message);
      throw error;
    }
    const { provider, line, name } = found;
    const peer = isPeer(provider) ? (provider as Member) : undefined;
    const { id, alias, address, owner } = provider;
    const { worker } = this.#options.board.places.get(provider.place) ?? {};
    const node = this.#options.board.nodeOf(provider);
    const where = { ...(worker && { worker }), ...(node && { node }) };
    const call: Call = {
      caller: { info: caller.info, party: caller },
      ...{ provider: { id, alias, address, ...where }, peer, target, line: lineKey(line) },
      ...(peer === undefined && { farOwner: owner }),
    };
    // A real address and a port: Go's client drops the channel otherwise.
    const origin = { originHost: caller.client.address || '127.0.0.1', originPort: caller.client.port || 1 };
    const through = async () => {
      const full = await this.circuits.reserve(call);
      if (full !== undefined) return refuse(OpenFailure.RESOURCE_SHORTAGE, full);
      if (peer) return this.#ring(open, peer, line, origin, call);
      await this.#pass(open, provider.place, packCall({ provider: id, line: lineKey(line), name, ...origin }), call);
    };
    return through();
  }

  /** Rings a provider of this process. */
  #ring(open: ChannelOpen, { client }: Peer, line: Line, origin: Origin, call: Call): void {
    const { mux } = client.connection;
    if (line.kind === 'tcp') {
      const { host, port } = line;
      this.circuits.put(open, mux, 'forwarded-tcpip', pack(FORWARDED_TCPIP, { host, port, ...origin }), call);
    } else {
      const data = pack(FORWARDED_STREAMLOCAL, { path: line.path, reserved: new Uint8Array(0) });
      this.circuits.put(open, mux, 'forwarded-streamlocal@openssh.com', data, call);
    }
  }

  /** Passes a call on to the process that has the provider. */
  async #pass(open: ChannelOpen, place: string, data: Uint8Array, call: Call): Promise<void> {
    let trunk: Mux;
    try {
      trunk = await this.#options.elsewhere!.trunk(place);
    } catch (error) {
      const fields = { provider: call.provider.id, error: String(error) };
      this.#options.log.warn(fields, 'call failed: no way to the process that has the line');
      this.circuits.release(call);
      return open.reject(OpenFailure.CONNECT_FAILED, 'the line cannot be reached just now');
    }
    this.circuits.put(open, trunk, CALL_CHANNEL, data, call);
  }

  /**
   * A call that another process passes on to this one. It names a connection, not an alias: nobody else can be reached by it.
   * One that comes `from` another switchboard does not know our workers: this one may be the wrong one, and passes it on once more.
   */
  arrive(open: ChannelOpen, from: 'worker' | 'node'): void | Promise<void> {
    const { provider, line: key, name, ...origin } = unpackCall(open.data);
    const { board } = this.#options;
    if (this.closed) return open.reject(OpenFailure.CONNECT_FAILED, 'the switchboard is going down');
    const place = board.placeOf(provider);
    if (from === 'node' && place?.path !== undefined) {
      const through = { provider: { id: provider, alias: name, address: '' }, target: `${name}:${key}`, line: key };
      return this.#pass(open, place.id, open.data, through);
    }
    return this.#arrived(open, provider, key, name, origin);
  }

  async #arrived(open: ChannelOpen, provider: string, key: string, name: string, origin: Origin): Promise<void> {
    try {
      const { peer, line } = this.#options.board.here(provider, key, name);
      const { id, alias, address } = peer;
      // Others read of a circuit once, where its caller is.
      const call = { provider: { id, alias, address }, peer: peer as Member, target: `${alias}:${key}`, line: key };
      const full = await this.circuits.reserve(call);
      if (full !== undefined) return open.reject(OpenFailure.RESOURCE_SHORTAGE, full);
      this.#ring(open, peer, line, origin, call);
    } catch (error) {
      if (!(error instanceof NoSuchLine)) throw error;
      open.reject(OpenFailure.CONNECT_FAILED, error.message);
    }
  }
}
