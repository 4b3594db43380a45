// Who has lines, in this process or another one, and what processes tell each other of them.
import type { Client } from '../../server/server.ts';
import type { Line } from './line.ts';

/** A signed-in client as every process knows it: plain data. */
export interface Provider {
  /** Its connection, of all that there ever are: no other gets the same name, so a call that carries it reaches this one or none. */
  readonly id: string;
  /** The process that it is connected to: the `id` of a Place. */
  readonly place: string;
  /** See `Grant`. */
  readonly owner: string;
  /** Host name, and the alias that others reach it by. */
  readonly name: string;
  readonly alias: string;
  /** Names that are its own beyond the alias; `given` are those of them that the file gives. */
  readonly names: readonly string[];
  readonly given: readonly string[];
  /** See `admits`. */
  readonly allow?: readonly string[];
  /** Its IP address. */
  readonly address: string;
  /** When it plugged in the first of its lines: see `Board.plug`. */
  readonly since: number;
  /** The same owner has come back from elsewhere, and this connection has not answered since: calls go to it last. */
  readonly doubted: boolean;
  readonly lines: readonly Line[];
}

/** One that is connected to this process. */
export interface Peer extends Provider {
  readonly client: Client;
  names: readonly string[];
  since: number;
  doubted: boolean;
  readonly lines: Line[];
}

/** A process with clients of its own. Each start of one is another place. */
export interface Place {
  readonly id: string;
  /** Counts from 1. */
  readonly worker: number;
  /** Of the same switchboard: the Unix socket on which it takes calls for its lines; absent where there is one process only. */
  readonly path?: string;
  /** Of another switchboard: where that is reached. */
  readonly node?: NodeAddress;
}

/** Where a switchboard's SSH server is reached by others that share its directory. */
export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

/** What processes tell each other: who is there, and what a provider's lines are now; without any, it has none. */
export type News = { readonly up: Place } | { readonly down: string } | { readonly provider: Provider };

export const isPeer = (provider: Provider): provider is Peer => 'client' in provider;

/** As it stands in front of a port: ssh takes what follows the last colon of an address for one. */
export const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** What people know a node by: "10.0.0.7:2222". */
export const nodeName = ({ host, port }: NodeAddress): string => `${bracketed(host)}:${port}`;
