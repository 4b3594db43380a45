// The web console: an HTTP server of its own, on loopback unless told otherwise, for operators, Prometheus and health checks.
import type { Server as HttpServer, ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import { createAdaptorServer, type HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { faultFields } from '../../../server/detached.ts';
import { Proxied } from '../../../server/proxied.ts';
import type { Logger } from '../../../server/server.ts';
import { behindBalancers } from './balancers.ts';
import { Connections } from './connections.ts';
import type { Exchange } from './exchange.ts';
import { Feed } from './feed.ts';
import { routes } from './routes.ts';
import { SignIns } from './sign-ins.ts';

const LIMITS = {
  /** Connections at once: a few browsers with six each, and whoever measures; more make room, see `Connections`. */
  connections: 128,
  /** Milliseconds for a request's header, and for all of it. */
  header: 10_000,
  request: 15_000,
  /** Milliseconds that a connection may wait for its next request. */
  idle: 5_000,
  /** Bytes of a request's header. */
  headerBytes: 8192,
};

export interface ConsoleOptions {
  readonly exchange: Exchange;
  readonly token: string;
  readonly log: Logger;
  /** Balancers in front of it, as in `ServerOptions.proxies`. */
  readonly proxies?: string;
  /** What is left out is as in LIMITS. */
  readonly limits?: Partial<typeof LIMITS>;
}

/** Where to listen: on an address, or on a socket that the process was given (`inherited.ts`). */
export type Where = { readonly host: string; readonly port: number } | { readonly fd: number };

export class Console {
  readonly #feed: Feed;
  readonly #server: HttpServer;
  readonly #open: Connections;
  /** What listens: the same, or what reads the headers of balancers first. */
  readonly #door: NetServer;
  readonly #log: Logger;
  #ready = false;

  constructor({ exchange, token, log, limits, proxies }: ConsoleOptions) {
    const { connections, header, request, idle, headerBytes } = { ...LIMITS, ...limits };
    this.#log = log;
    this.#feed = new Feed(exchange, log);
    const addressOf = (c: Context) => (c.env as HttpBindings).incoming.socket.remoteAddress ?? '';
    const app = routes({
      ...{ exchange, feed: this.#feed, signIns: new SignIns(token), addressOf },
      isReady: () => this.#ready && !this.#feed.draining,
      keep: (c, gone) => this.#open.keep((c.env as HttpBindings).outgoing as ServerResponse, gone),
      failed: error => log.error(faultFields(error), 'a request to the console failed'),
    });
    const interval = Math.min(1000, header);
    const serverOptions = {
      headersTimeout: header,
      requestTimeout: request,
      keepAliveTimeout: idle,
      maxHeaderSize: headerBytes,
      connectionsCheckingInterval: interval,
    };
    this.#server = createAdaptorServer({ fetch: app.fetch, serverOptions }) as HttpServer;
    this.#open = new Connections(this.#server, { most: connections, header, request, idle, interval });
    this.#door = proxies === undefined ? this.#server : behindBalancers(this.#server, new Proxied(proxies, log));
  }

  /** Clients are served from now on; until then /readyz says no. */
  ready(): void {
    this.#ready = true;
  }

  /** Resolves to where it listens. @throws the system's error */
  listen(where: Where): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#door.once('error', reject);
      this.#door.listen(where, () => {
        this.#door.off('error', reject);
        this.#door.on('error', error => this.#log.error(faultFields(error), 'the console cannot take a connection'));
        const address = this.#door.address();
        if (address === null || typeof address === 'string') return reject(new Error('it is no TCP socket'));
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.#feed.close();
    const closed = new Promise<void>(resolve => this.#door.close(() => resolve()));
    this.#open.end();
    await closed;
  }
}
