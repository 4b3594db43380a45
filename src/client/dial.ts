// Connects to an SSH server, checks its host key, signs in, and gives back a connection that is ready to use.
import { accelerated } from '../crypto/accelerated.ts';
import { type HostName, type PublicKey, parsePublicKeyBlob } from '../crypto/keys/index.ts';
import type { CompressionAlgorithm, CryptoProvider } from '../crypto/provider.ts';
import { Connection } from '../protocol/connection.ts';
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { announcedHostKeys, HOSTKEYS, HOSTKEYS_PROVE, hostKeysProven, hostKeysRequest } from '../protocol/host-keys.ts';
import { equalBytes } from '../protocol/wire/reader.ts';
import { Driver, TIMES, type Times } from '../server/drive.ts';
import type { Socket } from '../server/runtime/net.ts';
import { ClientConnection } from './client.ts';
import { credentialsOf, type SignInOptions } from './credentials.ts';
import type { HostKeyCheck } from './known-hosts.ts';
import { reach } from './reach.ts';

/** Times in seconds; 0 switches one off. */
export interface DialTimes extends Times {
  /** Until the host, or the server that leads to it, has taken the connection. */
  readonly connect: number;
}

/** What applies if `times` does not say otherwise. */
export const DIAL_TIMES: DialTimes = { ...TIMES, connect: 30 };

/** Where to, as whom, and whom to trust. */
export interface DialOptions extends SignInOptions {
  /** Name or address; by default 127.0.0.1. */
  readonly host?: string;
  /** By default 22. */
  readonly port?: number;
  /** A server to connect through, as `ssh -J`: it must let us forward to `host` and `port`, and sees nothing but ciphertext. */
  readonly via?: ClientConnection;
  /** A socket that is already connected; `host` and `port` then only say whose key is expected. */
  readonly socket?: Socket;
  /** The name to sign in with. */
  readonly user: string;
  /**
   * Whether this is the server's key (a blob, perhaps a certificate), as a function of the key, the name of the algorithm
   * it signed under, and host and port; what it throws, `dial` throws. There is no default, because there is no safe one:
   * see `knownHosts`.
   */
  readonly hostKey: HostKeyCheck;
  /** Cryptography; by default what the runtime has, and our own for the rest. */
  readonly provider?: CryptoProvider;
  /** Those that are not given are as in DIAL_TIMES. */
  readonly times?: Partial<DialTimes>;
  /** Bytes in either direction after which new keys are exchanged; by default 1 GiB. */
  readonly rekeyBytes?: number;
  /** Such as [zlib]; used if the server has it. */
  readonly compression?: readonly CompressionAlgorithm[];
  /** Gives up connecting and signing in; `dial` throws its reason. Later it has no effect. */
  readonly signal?: AbortSignal;
  /** Text that the server wants shown before sign-in; untrusted. */
  banner?(message: string): void;
  /**
   * All host keys of the server, once after sign-in, if it names them and has proved that it has their private halves (ssh's
   * UpdateHostKeys): those that are new may be remembered with `addKnownHost`, so that it can change its key one day.
   */
  hostKeys?(keys: readonly PublicKey[], host: Required<HostName>): void | Promise<void>;
  /**
   * After sign-in: a function of yours has failed, with this (until then `dial` throws it). What it was called for is refused
   * or closed, and the connection lives on.
   */
  fault?(error: unknown): void;
}

/**
 * Connects and signs in.
 * @throws the system's error (with a message that says what to look at) if the host cannot be reached; ProtocolError if it
 * breaks the protocol or its host key is not accepted; DisconnectError if it does not let us in or closes; the reason of
 * `signal`; what the functions in `options` throw; KeyFormatError and UsageError for keys that cannot be used
 */
export async function dial(options: DialOptions): Promise<ClientConnection> {
  const { signal, provider = accelerated } = options;
  signal?.throwIfAborted();
  const target = { host: options.host ?? '127.0.0.1', port: options.port ?? 22 };
  const times = { ...DIAL_TIMES, ...options.times };

  /** Why we have given up, in more words than the peer is told. */
  let failure: Error | undefined;
  let giveUp = (error: Error) => void (failure ??= error);
  const credentials = await credentialsOf(options, error => giveUp(error));
  const hostKeyAlgorithms = await options.hostKey.prefer?.(provider.signatures, target);
  const socket = options.socket ?? (await reach(options.via, target, times.connect, signal));
  const driver = new Driver(socket, times);
  let over!: (error: Error) => void;
  const closed = new Promise<Error>(resolve => (over = resolve));

  return new Promise((resolve, reject) => {
    const abort = () => giveUp(signal!.reason);
    let announced = false;
    const connection = new Connection(
      {
        role: 'client',
        provider,
        user: options.user,
        credentials,
        rekeyBytes: options.rekeyBytes,
        hostKeyAlgorithms,
        compression: options.compression,
      },
      {
        output: () => driver.wake(),
        hostKey: ({ hostKey, algorithm }, answer) => {
          Promise.resolve()
            .then(() => options.hostKey(hostKey, algorithm, target))
            .then(answer, (error: Error) => {
              failure = error;
              answer(false);
            });
        },
        banner: message => options.banner?.(message),
        fault: error => {
          if (connection.stage === 'connection') return options.fault?.(error);
          giveUp(error instanceof Error ? error : new Error(String(error)));
        },
        ready: () => {
          signal?.removeEventListener('abort', abort);
          resolve(client);
        },
        channelOpen: open => client.called(open),
        globalRequest: ({ type, data }) => {
          if (type !== HOSTKEYS || options.hostKeys === undefined || announced) return false;
          announced = true;
          // A malformed list is no list.
          const blobs = announcedHostKeys(data, provider);
          prove(blobs)
            .then(keys => keys && told(keys))
            .catch((error: unknown) => {
              // A malformed proof proves nothing.
              if (!(error instanceof ProtocolError)) connection.fault(error);
            });
          return true;
        },
        closed: cause => {
          signal?.removeEventListener('abort', abort);
          const error = failure ?? cause;
          driver.wake();
          over(error);
          reject(error);
        },
      },
    );
    const client = new ClientConnection(connection, closed);
    const told = async (keys: readonly PublicKey[]) => {
      try {
        await options.hostKeys?.(keys, target);
      } catch (error) {
        connection.fault(error);
      }
    };
    /** The server's keys, if it can prove that they are. */
    const prove = async (blobs: readonly Uint8Array[]): Promise<PublicKey[] | undefined> => {
      const { transport } = connection;
      const others = blobs.filter(blob => !equalBytes(blob, transport.hostKey!));
      if (others.length > 0) {
        const answer = await connection.request(HOSTKEYS_PROVE, hostKeysRequest(others));
        if (answer === undefined || !hostKeysProven(answer, others, provider, transport)) return undefined;
      }
      return blobs.map(blob => parsePublicKeyBlob(blob));
    };
    giveUp = error => {
      if (connection.closed || connection.stage === 'connection') return;
      failure = error;
      connection.disconnect(Disconnect.AUTH_CANCELLED_BY_USER, 'given up by the user');
    };
    const ticker = setInterval(() => {
      if (driver.tick()) clearInterval(ticker);
    }, 1000);
    // A connection that has been closed must not keep the process alive while the last bytes linger.
    const letGo = () => ticker.unref();
    closed.then(letGo, letGo);
    driver.start(connection);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
