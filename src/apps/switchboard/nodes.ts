// Nodes: switchboards that share a directory. A call for a line of another one goes over SSH, one connection for all; who is a node is known by its host key.

import { dial } from '../../client/dial.ts';
import { accelerated } from '../../crypto/accelerated.ts';
import { fingerprint, parseAuthorizedKeys } from '../../crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import type { Mux } from '../../protocol/index.ts';
import type { OfferedKey } from '../../server/authenticators.ts';
import type { Times } from '../../server/drive.ts';
import type { Logger } from '../../server/server.ts';
import { type NodeAddress, nodeName } from './lines.ts';
import { type Settings, timesFor } from './settings.ts';
import { readIfThere } from './state.ts';
import { MAX_CIRCUITS } from './trunks.ts';

/** As whom nodes sign in with each other. Whoever else comes with this name is an ordinary client. */
export const NODE = 'cordboard-node';
/** Seconds to reach a node. */
const CONNECT = 10;

export interface NodesOptions {
  readonly provider: CryptoProvider;
  /** Host keys of this switchboard: it signs in with them, and whoever has one of them is a node, too. */
  readonly hostKeys: readonly PrivateKey[];
  /** A file with the host keys of others, as in authorized_keys. */
  readonly file?: string;
  readonly times: Partial<Times>;
  readonly log: Logger;
}

/** Undefined where no directory is shared. */
export function nodesFor(settings: Settings, hostKeys: readonly PrivateKey[], log: Logger): Nodes | undefined {
  if (settings.directory === undefined) return undefined;
  const { nodeKeys: file, deadAfter } = settings;
  return new Nodes({ provider: accelerated, hostKeys, file, times: timesFor(deadAfter), log });
}

export class Nodes {
  readonly #options: NodesOptions;
  /** By address. */
  readonly #connections = new Map<string, Promise<Mux>>();

  constructor(options: NodesOptions) {
    this.#options = options;
  }

  /** Whether the key, with which somebody signs in, is a node's. */
  isNode({ user, key }: OfferedKey): boolean {
    return user === NODE && this.#trusted().has(fingerprint(key));
  }

  /** The connection to a node, made if there is none yet. @throws whatever `dial` throws */
  to(address: NodeAddress): Promise<Mux> {
    const name = nodeName(address);
    let connection = this.#connections.get(name);
    if (connection === undefined) {
      const over = () => this.#connections.delete(name);
      connection = this.#connect(address, over);
      this.#connections.set(name, connection);
      // The next call tries again.
      connection.catch(over);
    }
    return connection;
  }

  async #connect(address: NodeAddress, over: () => void): Promise<Mux> {
    const { host, port } = address;
    const { provider, hostKeys, times, log } = this.#options;
    const trusted = this.#trusted();
    const hostKey = Object.assign((key: Uint8Array) => trusted.has(fingerprint(key)), {
      prefer: () => provider.signatures.filter(({ keyType }) => this.#types().has(keyType)).map(({ name }) => name),
    });
    const { connection, closed } = await dial({
      ...{ host, port, provider, hostKey, user: NODE, keys: hostKeys },
      times: { ...times, connect: CONNECT, loginGrace: CONNECT },
    });
    const fields = { node: nodeName(address) };
    log.info(fields, 'connected to a node');
    void closed.then(({ message: reason }) => {
      over();
      log.info({ ...fields, reason }, 'connection to a node has ended');
    });
    connection.mux.maxChannels = MAX_CIRCUITS;
    return connection.mux;
  }

  /** Fingerprints of the host keys of nodes; the file may change at any time. */
  #trusted(): Set<string> {
    return new Set(this.#keys().map(({ blob }) => fingerprint(blob)));
  }

  /** Types of those keys: a server with several is to show one that is known. */
  #types(): Set<string> {
    return new Set(this.#keys().map(({ type }) => type));
  }

  #keys(): { readonly type: string; readonly blob: Uint8Array }[] {
    const { hostKeys, file } = this.#options;
    const text = file === undefined ? '' : (readIfThere(file) ?? '');
    return [...hostKeys, ...parseAuthorizedKeys(text).entries.map(({ key }) => key)];
  }
}
