// Nodes: switchboards that share a directory. A call for a line of another one goes over SSH, one connection for all; who is a node is known by its host key, or by a certificate of that.

import { dial } from '../../client/dial.ts';
import { accelerated } from '../../crypto/accelerated.ts';
import {
  type AuthorizedKey,
  type Certificate,
  checkCertificate,
  isCertificate,
  parseAuthorizedKeys,
  parseCertificate,
} from '../../crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import { equalBytes, KeyFormatError, type Mux } from '../../protocol/index.ts';
import type { OfferedKey } from '../../server/authenticators.ts';
import type { Times } from '../../server/drive.ts';
import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import { readTrusted } from './files.ts';
import { type NodeAddress, nodeName } from './lines.ts';
import { type Settings, timesFor } from './settings.ts';
import { MAX_CIRCUITS } from './trunks.ts';

/** As whom nodes sign in with each other. Whoever else comes with this name is an ordinary client. */
export const NODE = 'cordboard-node';
/** Seconds to reach a node. */
const CONNECT = 10;

export interface NodesOptions {
  readonly provider: CryptoProvider;
  /** Host keys of this switchboard: it signs in with them, and whoever has one of them is a node, too. */
  readonly hostKeys: readonly PrivateKey[];
  /** A file with the host keys of others, and with authorities that certify such keys, as in authorized_keys. */
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
    return user === NODE && this.#trusts(key);
  }

  /** The connection to a node, made if there is none yet. @throws whatever `dial` throws */
  to(address: NodeAddress): Promise<Mux> {
    const name = nodeName(address);
    const known = this.#connections.get(name);
    if (known !== undefined) return known;
    const over = () => this.#connections.delete(name);
    const connection = this.#connect(address, over);
    this.#connections.set(name, connection);
    // The next call tries again.
    connection.catch(over);
    return connection;
  }

  async #connect(address: NodeAddress, over: () => void): Promise<Mux> {
    const { host, port } = address;
    const { provider, hostKeys, times, log } = this.#options;
    const hostKey = Object.assign((key: Uint8Array) => this.#trusts(key, host), {
      prefer: () => this.#preferred(),
    });
    const { connection, closed } = await dial({
      ...{ host, port, provider, hostKey, user: NODE, keys: hostKeys },
      times: { ...times, connect: CONNECT, loginGrace: CONNECT },
    });
    const fields = { node: nodeName(address) };
    log.info(fields, 'connected to a node');
    const ended = ({ message: reason }: Error) => {
      over();
      log.info({ ...fields, reason }, 'connection to a node has ended');
    };
    closed.then(ended, ended);
    connection.mux.maxChannels = MAX_CIRCUITS;
    return connection.mux;
  }

  /** Whether a key, or a certificate of one, is a node's; for who is asked at an address, of the node there. */
  #trusts(blob: Uint8Array, host?: string): boolean {
    const { keys, authorities } = this.#known();
    if (keys.some(key => equalBytes(key.blob, blob))) return true;
    if (!isCertificate(blob)) return false;
    try {
      const certificate = parseCertificate(blob);
      // One that counts for nothing is taken for its key, as in ssh.
      if (keys.some(key => equalBytes(key.blob, certificate.key.blob))) return true;
      return authorities.some(one => this.#vouches(one, certificate, host));
    } catch (error) {
      if (error instanceof KeyFormatError) return false;
      throw error;
    }
  }

  /** Whether the certificate is one of this authority for a host: the one that was asked for, and one that the line names, if it names any. */
  #vouches({ key, options }: AuthorizedKey, certificate: Certificate, host: string | undefined): boolean {
    const named = options.filter(({ name }) => name === 'principals').flatMap(({ value = '' }) => value.split(','));
    if (named.length > 0 && !certificate.principals.some(name => named.includes(name))) return false;
    const problem = checkCertificate(certificate, {
      kind: 'host',
      ...(host !== undefined && { principals: [host] }),
      now: Date.now(),
      authority: blob => equalBytes(blob, key.blob),
      provider: this.#options.provider,
    });
    return problem === undefined;
  }

  /** Algorithms in which a server with several keys is to show one that is known. */
  #preferred(): string[] {
    const { keys, authorities } = this.#known();
    const types = new Set(keys.map(({ type }) => type));
    const { signatures } = this.#options.provider;
    const certificates = authorities.length > 0 ? signatures.filter(({ plain }) => plain !== undefined) : [];
    return [...certificates, ...signatures.filter(({ keyType }) => types.has(keyType))].map(({ name }) => name);
  }

  /** Who is not known cannot be a node; those with our own host keys can, whatever becomes of the file. */
  #read(file: string): string {
    try {
      return readTrusted(file) ?? '';
    } catch (error) {
      this.#options.log.error({ file }, `other nodes are not known: ${reason(error)}`);
      return '';
    }
  }

  /** The file may change at any time. */
  #known(): {
    readonly keys: readonly Pick<PrivateKey, 'type' | 'blob'>[];
    readonly authorities: readonly AuthorizedKey[];
  } {
    const { hostKeys, file } = this.#options;
    const { entries } = parseAuthorizedKeys(file === undefined ? '' : this.#read(file));
    const isAuthority = ({ options }: AuthorizedKey) => options.some(({ name }) => name === 'cert-authority');
    const others = entries.filter(entry => !isAuthority(entry)).map(({ key }) => key);
    const own = hostKeys.filter(({ blob }) => !isCertificate(blob));
    return { keys: [...own, ...others], authorities: entries.filter(isAuthority) };
  }
}
