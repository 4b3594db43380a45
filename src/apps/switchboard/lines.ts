// The board: who has plugged in which lines under which names, in this process and in others. Nothing here knows of sockets.
import type { Client } from '../../server/server.ts';
import { parseTarget } from './names.ts';

/** Lines of one client; a fleet's gateway plugs in a handful, and each costs a table entry. */
const MAX_LINES = 64;
/** Where allocated ports begin: the dynamic range (RFC 6335 §6), which no well-known service uses. */
const FIRST_PORT = 49152;
const LAST_PORT = 65535;
/** RFC 1035's limit of a host name; requested addresses are stored and echoed. */
const MAX_HOST = 255;

/** One virtual listener: what `ssh -R` asked for. */
export interface Line {
  /** Address and port to the letter as the provider asked for them: its ssh refuses calls that name anything else. */
  readonly host: string;
  readonly port: number;
}

/** A signed-in client as every process knows it. */
export interface Provider {
  /** Its connection, of all that there ever are: no other gets the same name, so a call that carries it reaches this one or none. */
  readonly id: string;
  /** The process that it is connected to: the `id` of a Place. */
  readonly place: string;
  /** The fingerprint of its key. */
  readonly fingerprint: string;
  /** Host name, and the alias that others reach it by. */
  readonly name: string;
  readonly alias: string;
  /** Its IP address. */
  readonly address: string;
  /** When it plugged in the first of its lines: see `Board.plug`. */
  readonly since: number;
  readonly lines: readonly Line[];
}

/** One that is connected to this process. */
export interface Peer extends Provider {
  readonly client: Client;
  /** Public key blob. */
  readonly key: Uint8Array;
  since: number;
  readonly lines: Line[];
}

/** A process with clients of its own. Each start of one is another place. */
export interface Place {
  readonly id: string;
  /** Counts from 1. */
  readonly worker: number;
  /** The Unix socket on which it takes calls for its lines. */
  readonly path: string;
}

/** What processes tell each other: who is there, and what a provider's lines are now; without any, it has none. */
export type News = { readonly up: Place } | { readonly down: string } | { readonly provider: Provider };

/** Why a call cannot be put through; the text is for the caller's terminal. */
export class NoSuchLine extends Error {}
/** Why a line cannot be plugged in. */
export class LineRefused extends Error {}

export const isPeer = (provider: Provider): provider is Peer => 'client' in provider;

export class Board {
  /** Providers by alias, newest first. One is in here while it has at least one line. */
  readonly #providers = new Map<string, Provider[]>();
  readonly #byId = new Map<string, Provider>();
  /** The other processes that live, by their ids. */
  readonly places = new Map<string, Place>();
  readonly #changed: (peer: Peer) => void;
  readonly #now: () => number;
  /** The highest `since` of all that were seen. */
  #latest = 0;

  /** `changed` hears of each change of a peer's lines; `now` is in milliseconds. */
  constructor(changed: (peer: Peer) => void = () => {}, now: () => number = Date.now) {
    this.#changed = changed;
    this.#now = now;
  }

  /** Providers that have lines, by alias. */
  get providers(): Provider[] {
    return [...this.#providers.values()].flat();
  }

  /**
   * Plugs a line in. A peer's first one makes it the newest of its alias: later than now as the clock has it, and later than
   * everything that this board has heard of, however the clock of whoever it comes from goes.
   * @throws LineRefused
   * @returns the line, with its port chosen if 0 was asked for
   */
  plug(peer: Peer, host: string, port: number): Line {
    if (host.length > MAX_HOST || host.includes('\0')) throw new LineRefused('the listen address is no address');
    if (port > LAST_PORT) throw new LineRefused(`port ${port} does not exist`);
    if (peer.lines.length >= MAX_LINES) throw new LineRefused(`more than ${MAX_LINES} lines of one client`);
    const taken = (wanted: number) => peer.lines.some(line => line.port === wanted);
    if (port === 0) {
      port = FIRST_PORT;
      while (taken(port)) port++;
    } else if (taken(port)) throw new LineRefused(`port ${port} is plugged in already`);
    const line = { host, port };
    peer.lines.push(line);
    if (peer.lines.length === 1) {
      peer.since = Math.max(this.#now(), this.#latest + 1);
      this.#enter(peer);
    }
    this.#changed(peer);
    return line;
  }

  /** Takes a line out; false if there was none. */
  unplug(peer: Peer, host: string, port: number): boolean {
    const at = peer.lines.findIndex(line => line.host === host && line.port === port);
    if (at < 0) return false;
    peer.lines.splice(at, 1);
    if (peer.lines.length === 0) this.#withdraw(peer);
    this.#changed(peer);
    return true;
  }

  /** The peer has gone: all its lines with it. */
  remove(peer: Peer): void {
    if (peer.lines.length === 0) return;
    peer.lines.length = 0;
    this.#withdraw(peer);
    this.#changed(peer);
  }

  /** Something has happened in another process. What is said of one that is not up, or not any more, comes late and is not heeded. */
  learn(news: News): void {
    if ('up' in news) this.places.set(news.up.id, news.up);
    else if ('down' in news) {
      this.places.delete(news.down);
      for (const provider of this.#byId.values()) if (provider.place === news.down) this.#withdraw(provider);
    } else if (this.places.has(news.provider.place)) {
      const known = this.#byId.get(news.provider.id);
      if (known) this.#withdraw(known);
      if (news.provider.lines.length > 0) this.#enter(news.provider);
    }
  }

  #enter(provider: Provider): void {
    this.#latest = Math.max(this.#latest, provider.since);
    this.#byId.set(provider.id, provider);
    const others = this.#providers.get(provider.alias);
    if (others === undefined) {
      this.#providers.set(provider.alias, [provider]);
      return;
    }
    const at = others.findIndex(other => isNewer(provider, other));
    others.splice(at < 0 ? others.length : at, 0, provider);
  }

  #withdraw(provider: Provider): void {
    this.#byId.delete(provider.id);
    const others = this.#providers.get(provider.alias);
    const at = others?.indexOf(provider) ?? -1;
    if (others === undefined || at < 0) return;
    others.splice(at, 1);
    if (others.length === 0) this.#providers.delete(provider.alias);
  }

  /**
   * Finds the line for a call to `host:port` by `caller`. Everyone reaches a line by its alias; whoever holds the
   * provider's key reaches it by the plain host name too.
   * @throws NoSuchLine
   */
  find(caller: Provider, host: string, port: number): { provider: Provider; line: Line } {
    const { name, index } = parseTarget(host);
    const providers = this.#providers.get(name) ?? this.#own(caller, name);
    const provider = providers?.[index];
    if (providers === undefined || providers.length === 0) throw new NoSuchLine(`no line named ${host} is plugged in`);
    if (provider === undefined) throw new NoSuchLine(`${name} has no provider number ${index}`);
    const line = provider.lines.find(candidate => candidate.port === port);
    if (line === undefined) throw new NoSuchLine(`${host} has no line on port ${port}`);
    return { provider, line };
  }

  /** Finds the line of a call that another process has put through to here. @throws NoSuchLine if it has gone meanwhile */
  here(id: string, port: number): { peer: Peer; line: Line } {
    const peer = this.#byId.get(id);
    const line = peer?.lines.find(candidate => candidate.port === port);
    if (peer === undefined || !isPeer(peer) || line === undefined) {
      throw new NoSuchLine('the line has been unplugged this moment');
    }
    return { peer, line };
  }

  /** The caller's own providers under a plain host name: one key under one name has one alias. */
  #own(caller: Provider, name: string): Provider[] | undefined {
    return this.providers.filter(peer => peer.name === name && peer.fingerprint === caller.fingerprint);
  }
}

/** The same on every board, also where two have plugged in at the same moment. */
function isNewer(a: Provider, b: Provider): boolean {
  return a.since === b.since ? a.id > b.id : a.since > b.since;
}
