// Two cores glued together in one process: what one sends, the other receives, until both are quiet.
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import {
  type ClientConnectionOptions,
  Connection,
  type ConnectionEvents,
  type ServerConnectionOptions,
} from '../../src/protocol/connection.ts';
import { concat } from '../../src/protocol/wire/reader.ts';

export interface PairOptions {
  provider: CryptoProvider;
  hostKey: PrivateKey;
  userKey?: PrivateKey;
  server?: Partial<ServerConnectionOptions>;
  client?: Partial<ClientConnectionOptions>;
  serverEvents?: Partial<ConnectionEvents>;
  clientEvents?: Partial<ConnectionEvents>;
}

export class Pair {
  readonly server: Connection;
  readonly client: Connection;
  /** Sees every batch of bytes on its way, and may change it; undefined drops it. */
  onbytes: ((from: 'client' | 'server', bytes: Uint8Array) => Uint8Array | undefined) | undefined;

  constructor(options: PairOptions) {
    const { provider, hostKey, userKey } = options;
    this.server = new Connection(
      {
        role: 'server',
        provider,
        hostKeys: [hostKey],
        methods: ['publickey'],
        ...options.server,
      } as ServerConnectionOptions,
      { output() {}, auth: (_question, answer) => answer({ result: 'accept' }), ...options.serverEvents },
    );
    this.client = new Connection(
      {
        role: 'client',
        provider,
        user: 'alice',
        credentials: userKey ? [{ method: 'publickey', key: userKey }] : [],
        ...options.client,
      } as ClientConnectionOptions,
      { output() {}, hostKey: (_question, answer) => answer(true), ...options.clientEvents },
    );
  }

  start(): this {
    this.server.start();
    this.client.start();
    this.settle();
    return this;
  }

  /** Carries bytes both ways until there are none. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      const moved = this.carry('client', this.client, this.server) + this.carry('server', this.server, this.client);
      if (moved === 0) return;
    }
    throw new Error('the pair does not come to rest');
  }

  private carry(name: 'client' | 'server', from: Connection, to: Connection): number {
    const bytes = concat(...from.takeOutput());
    if (bytes.length === 0) return 0;
    const carried = this.onbytes ? this.onbytes(name, bytes) : bytes;
    if (carried !== undefined) to.receive(carried);
    from.setSocketFull(false);
    return bytes.length;
  }
}
