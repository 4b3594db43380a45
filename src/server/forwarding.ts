// Port and Unix-socket forwarding on the server's side (RFC 4254 §7; OpenSSH PROTOCOL §2.4): handlers that connect, or listen, for a client.
import type { Eventually } from '../protocol/channels/answers.ts';
import {
  DIRECT_STREAMLOCAL,
  DIRECT_TCPIP,
  type DirectTcpip,
  FORWARDED_PORT,
  FORWARDED_STREAMLOCAL,
  FORWARDED_TCPIP,
  STREAMLOCAL_FORWARD,
  TCPIP_FORWARD,
} from '../protocol/channels/forwarding.ts';
import type { ChannelOpen } from '../protocol/channels/mux.ts';
import { OpenError, OpenFailure, type OpenFailureReason } from '../protocol/errors.ts';
import { pack, unpack, unpackHead } from '../protocol/wire/codec.ts';
import { encodeUtf8 } from '../protocol/wire/reader.ts';
import { detached } from './detached.ts';
import { connectFirst, Ends } from './reaching.ts';
import { MAX_NAME, names } from './runtime/names.ts';
import { connectPath, listen, listenEverywhere, type Socket } from './runtime/net.ts';
import { listenPath, MAX_PATH } from './runtime/paths.ts';
import { reasonForPeer } from './runtime/reason.ts';
import { type ChannelOpenHandler, type Client, describe, type GlobalRequestHandler, type Logger } from './server.ts';
import { SocketJoin } from './tcp.ts';

/** Listeners of one client at once, those under way included: each costs a file descriptor. */
const MAX_LISTENERS = 64;

/** Where a client wants to be connected to. */
export interface DirectTarget extends DirectTcpip {
  /**
   * The IP address that `host` stands for, and that is connected to; loopback, too, where the client wrote 0.0.0.0 or ::.
   * Empty for a name without any, which is told only to a client that may connect to it.
   */
  readonly address: string;
}

/**
 * A handler for `direct-tcpip` (`ssh -L`, `-W`, `-J`, `-D`) that connects where the client wishes, as far as `allowed`
 * says so. Names are looked up first, and `allowed` is asked about each address in turn: a name may lead anywhere, to
 * this host, too. Exactly those addresses are connected to that it allows, until one of them answers.
 */
export function directTcpip(
  allowed: (target: DirectTarget, client: Client) => Eventually<boolean>,
): ChannelOpenHandler {
  const ends = new Ends();
  return (open, client) => {
    const target = unpack(DIRECT_TCPIP, open.data);
    const signal = ends.of(client);
    return put(open, async () => {
      if (target.port === 0 || target.port > 65535) throw new OpenError('there is no such port', CONNECT_FAILED);
      const addresses: string[] = [];
      let unknown: unknown;
      const found = await names.addresses(target.host, client, signal).catch((error: unknown) => {
        unknown = error;
        return [''];
      });
      for (const address of found) if (await allowed({ ...target, address }, client)) addresses.push(address);
      if (addresses.length === 0) throw NOT_ALLOWED;
      if (unknown !== undefined) return failed(unknown);
      return connectFirst(addresses, target.port, signal).catch(failed);
    });
  };
}

/** A handler for `direct-streamlocal@openssh.com` (`ssh -L PORT:/PATH`) that connects to Unix sockets, as far as `allowed` says so. */
export function directStreamlocal(allowed: (path: string, client: Client) => Eventually<boolean>): ChannelOpenHandler {
  const ends = new Ends();
  return (open, client) => {
    const { path } = unpack(DIRECT_STREAMLOCAL, open.data);
    const signal = ends.of(client);
    return put(open, async () => {
      if (!isSocketPath(path) || !(await allowed(path, client))) throw NOT_ALLOWED;
      return connectPath(path, signal).catch(failed);
    });
  };
}

const { ADMINISTRATIVELY_PROHIBITED, CONNECT_FAILED } = OpenFailure;
const NOT_ALLOWED = new OpenError('not allowed', ADMINISTRATIVELY_PROHIBITED);

/** Why not, for the client: in words of ours, because the system's name addresses and paths. */
function failed(error: unknown): never {
  throw new OpenError(reasonForPeer(error), CONNECT_FAILED);
}

/** Answers with a channel to what has been reached, or with an OpenError. What else is thrown is a fault of `allowed`. */
async function put(open: ChannelOpen, reach: () => Promise<Socket>): Promise<void> {
  let socket: Socket;
  try {
    socket = await reach();
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    return open.reject(error.reason as OpenFailureReason, error.message);
  }
  if (open.gone) return socket.destroy();
  const half = new SocketJoin(socket);
  half.join(open.accept(half.handler));
}

/** What a client would have this host listen on: an address (as it wrote it) and a port, 0 for any; or the path of a Unix socket. */
export type ListenTarget =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** The same, and for TCP the IP address that it comes to: `::` is all of both families, unless it is what the client wrote. */
export type ListenRequest =
  | (Extract<ListenTarget, { kind: 'tcp' }> & { readonly address: string })
  | Extract<ListenTarget, { kind: 'unix' }>;

/** What `remoteForwarding` is given. */
export interface RemoteForwardingOptions {
  /** Whether the client may have that. Sockets are opened with the rights of this process, whoever the client is. */
  allowed(target: ListenRequest, client: Client): Eventually<boolean>;
  /**
   * Who can reach the ports, as sshd's GatewayPorts. False, and by default: this host only, whatever address the client asks
   * for. True: everybody, whatever it asks for. 'clientspecified': the address that it asks for, an empty one or `*` for everybody.
   */
  readonly gatewayPorts?: boolean | 'clientspecified';
  /** Listeners of one client at once; 64 if not given. */
  readonly limit?: number;
  /** Hears why somebody could not listen: the protocol has no place for reasons. */
  readonly log?: Logger;
}

/** One thing that is listened on for a client. */
interface Open {
  /** As the client asked for it, with the port that it got. */
  readonly target: ListenTarget;
  readonly close: () => void;
}

/**
 * Handlers for `ssh -R`: spread them into a Server's `requests`. They open real listeners, which end when the client
 * takes them back or is gone. A Unix socket's file must not be there yet: none is ever replaced.
 */
export function remoteForwarding(options: RemoteForwardingOptions): Readonly<Record<string, GlobalRequestHandler>> {
  const clients = new WeakMap<Client, Listeners>();
  const of = (client: Client) => {
    let listeners = clients.get(client);
    if (listeners === undefined) {
      listeners = new Listeners(client, options);
      clients.set(client, listeners);
    }
    return listeners;
  };
  return {
    'tcpip-forward': ({ data }, client) => {
      const { host, port } = unpackHead(TCPIP_FORWARD, data);
      const added = of(client).add({ kind: 'tcp', host, port });
      return added.then(given => {
        if (given?.kind !== 'tcp') return false;
        return port === 0 ? pack(FORWARDED_PORT, { port: given.port }) : true;
      });
    },
    'cancel-tcpip-forward': ({ data }, client) => {
      return of(client).remove({ kind: 'tcp', ...unpackHead(TCPIP_FORWARD, data) });
    },
    'streamlocal-forward@openssh.com': ({ data }, client) => {
      const { path } = unpackHead(STREAMLOCAL_FORWARD, data);
      return of(client)
        .add({ kind: 'unix', path })
        .then(given => given !== undefined);
    },
    'cancel-streamlocal-forward@openssh.com': ({ data }, client) => {
      return of(client).remove({ kind: 'unix', ...unpackHead(STREAMLOCAL_FORWARD, data) });
    },
  };
}

/** All that one client listens on. */
class Listeners {
  readonly #client: Client;
  readonly #options: RemoteForwardingOptions;
  readonly #open = new Set<Open>();
  /** Listeners, and those that are being opened. */
  #count = 0;
  #gone = false;

  constructor(client: Client, options: RemoteForwardingOptions) {
    this.#client = client;
    this.#options = options;
    const gone = () => {
      this.#gone = true;
      for (const { close } of this.#open) close();
      this.#open.clear();
    };
    client.closed.then(gone, gone);
  }

  /** What was opened, or undefined. */
  async add(target: ListenTarget): Promise<ListenTarget | undefined> {
    const { limit = MAX_LISTENERS } = this.#options;
    if (this.#count >= limit) return this.#refuse(target, `it has ${limit} listeners already`);
    this.#count++;
    const open = await this.#listen(target).catch((error: unknown) => this.#refuse(target, String(error)));
    if (open !== undefined && !this.#gone) {
      this.#open.add(open);
      return open.target;
    }
    this.#count--;
    open?.close();
    return undefined;
  }

  /** Nobody new is connected; who is already stays. False if nothing is listened on by that name. */
  remove(target: ListenTarget): boolean {
    for (const open of this.#open) {
      if (!same(open.target, target)) continue;
      this.#open.delete(open);
      this.#count--;
      open.close();
      return true;
    }
    return false;
  }

  #refuse(target: ListenTarget, reason: string): undefined {
    this.#options.log?.info({ ...describe(this.#client), ...target, reason }, 'the client may not listen');
  }

  async #listen(target: ListenTarget): Promise<Open | undefined> {
    const { allowed, gatewayPorts = false } = this.#options;
    if (target.kind === 'unix') {
      if (!isSocketPath(target.path)) return this.#refuse(target, 'such a path cannot be');
      if (!(await allowed(target, this.#client))) return this.#refuse(target, 'not allowed');
      const data = pack(FORWARDED_STREAMLOCAL, { path: target.path, reserved: new Uint8Array(0) });
      const { close } = await listenPath(target.path, socket =>
        this.#called(socket, 'forwarded-streamlocal@openssh.com', data),
      );
      return { target, close: () => detached(close(), this.#options.log, 'a listener cannot be closed') };
    }
    if (target.port > 65535) return this.#refuse(target, 'there is no such port');
    // It comes back with each caller.
    if (target.host.length > MAX_NAME) return this.#refuse(target, 'there is no such address');
    const { host } = target;
    let port = target.port;
    const [first, second] = await addresses(host, gatewayPorts, this.#client);
    for (const address of second === undefined ? [first] : [first, second])
      if (!(await allowed({ ...target, address }, this.#client))) return this.#refuse(target, 'not allowed');
    // The client recognises its listener by what it asked for, to the letter.
    const called = (socket: Socket) => {
      const caller = { originHost: socket.address, originPort: socket.port };
      this.#called(socket, 'forwarded-tcpip', pack(FORWARDED_TCPIP, { host, port, ...caller }));
    };
    const listeners = [
      await (isEverybody(host, gatewayPorts) ? listenEverywhere(port, called) : listen(first, port, called, true)),
    ];
    ({ port } = listeners[0]);
    // One of two loopback addresses is enough.
    if (second !== undefined)
      await listen(second, port, called, true).then(
        other => listeners.push(other),
        () => {},
      );
    const close = () => {
      for (const listener of listeners) detached(listener.close(), this.#options.log, 'a listener cannot be closed');
    };
    return { target: { kind: 'tcp', host, port }, close };
  }

  #called(socket: Socket, type: string, data: Uint8Array): void {
    const half = new SocketJoin(socket);
    this.#client.connection.mux.open(
      type,
      data,
      half.handler,
      channel => half.join(channel),
      // The client does not take it, has gone, or has too many.
      () => socket.destroy(),
    );
  }
}

/** Every address of this host. */
const EVERYWHERE = '::';

type GatewayPorts = NonNullable<RemoteForwardingOptions['gatewayPorts']>;

const isEverybody = (host: string, gateway: GatewayPorts): boolean =>
  gateway === true || (gateway !== false && (host === '' || host === '*'));

/**
 * What an address to listen on means (RFC 4254 §7.1), for the system: the first must be possible, the second may be. As in
 * sshd's channel_fwd_bind_addr: either loopback address may be chosen, any other only where `gateway` says so.
 */
async function addresses(host: string, gateway: GatewayPorts, client: Client): Promise<[string, string?]> {
  if (isEverybody(host, gateway)) return [EVERYWHERE];
  if (host === '127.0.0.1' || host === '::1') return [host];
  if (!gateway || host === 'localhost') return ['127.0.0.1', '::1'];
  if (host === '0.0.0.0' || host === EVERYWHERE) return [host];
  const [address] = await names.addresses(host, client);
  return [address];
}

/** Whether the system would take this path, and take it whole. An empty one, or a NUL in it, means something else to it. */
const isSocketPath = (path: string): boolean =>
  path !== '' && !path.includes('\0') && encodeUtf8(path).length <= MAX_PATH;

const same = (a: ListenTarget, b: ListenTarget): boolean =>
  a.kind === 'tcp'
    ? b.kind === 'tcp' && a.host === b.host && a.port === b.port
    : b.kind === 'unix' && a.path === b.path;
