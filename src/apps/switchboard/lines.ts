// The board: which client has plugged in which lines under which names. Nothing here knows of sockets.
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

/** A signed-in client. */
export interface Peer {
  readonly client: Client;
  /** Public key blob, and its fingerprint. */
  readonly key: Uint8Array;
  readonly fingerprint: string;
  /** Host name, and the alias that others reach it by. */
  readonly name: string;
  readonly alias: string;
  readonly lines: Line[];
}

/** Why a call cannot be put through; the text is for the caller's terminal. */
export class NoSuchLine extends Error {}
/** Why a line cannot be plugged in. */
export class LineRefused extends Error {}

export class Board {
  /** Providers by alias, newest first. A peer is in here while it has at least one line. */
  readonly #providers = new Map<string, Peer[]>();

  /** Peers that have lines, by alias. */
  get providers(): Peer[] {
    return [...this.#providers.values()].flat();
  }

  /** Plugs a line in. @throws LineRefused @returns the line, with its port chosen if 0 was asked for */
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
      const others = this.#providers.get(peer.alias);
      if (others) others.unshift(peer);
      else this.#providers.set(peer.alias, [peer]);
    }
    return line;
  }

  /** Takes a line out; false if there was none. */
  unplug(peer: Peer, host: string, port: number): boolean {
    const at = peer.lines.findIndex(line => line.host === host && line.port === port);
    if (at < 0) return false;
    peer.lines.splice(at, 1);
    if (peer.lines.length === 0) this.#withdraw(peer);
    return true;
  }

  /** The peer has gone: all its lines with it. */
  remove(peer: Peer): void {
    if (peer.lines.length === 0) return;
    peer.lines.length = 0;
    this.#withdraw(peer);
  }

  #withdraw(peer: Peer): void {
    const others = this.#providers.get(peer.alias);
    const at = others?.indexOf(peer) ?? -1;
    if (others === undefined || at < 0) return;
    others.splice(at, 1);
    if (others.length === 0) this.#providers.delete(peer.alias);
  }

  /**
   * Finds the line for a call to `host:port` by `caller`. Everyone reaches a line by its alias; whoever holds the
   * provider's key reaches it by the plain host name too.
   * @throws NoSuchLine
   */
  find(caller: Peer, host: string, port: number): { peer: Peer; line: Line } {
    const { name, index } = parseTarget(host);
    const providers = this.#providers.get(name) ?? this.#own(caller, name);
    const peer = providers?.[index];
    if (providers === undefined || providers.length === 0) throw new NoSuchLine(`no line named ${host} is plugged in`);
    if (peer === undefined) throw new NoSuchLine(`${name} has no provider number ${index}`);
    const line = peer.lines.find(candidate => candidate.port === port);
    if (line === undefined) throw new NoSuchLine(`${host} has no line on port ${port}`);
    return { peer, line };
  }

  /** The caller's own providers under a plain host name: one key under one name has one alias. */
  #own(caller: Peer, name: string): Peer[] | undefined {
    return this.providers.filter(peer => peer.name === name && peer.fingerprint === caller.fingerprint);
  }
}
