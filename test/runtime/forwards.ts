// Steps of the list that forwarding must be able to do: 16 MiB each way through every kind of forwarded port and Unix socket, with checksums.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientConnection, dial, streamSocket } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { directStreamlocal, directTcpip, remoteForwarding, Server } from '../../src/server/index.ts';
import { connect, connectPath, listen, type Socket } from '../../src/server/runtime/net.ts';
import { listenPath } from '../../src/server/runtime/paths.ts';
import { exchange } from './sockets.ts';

const SIZE = 16 * 1024 * 1024;

/** What a step has: a client of a server that forwards everything, a directory, and somebody who listens. */
interface Place {
  readonly client: ClientConnection;
  readonly directory: string;
  /** A port of the target, and the path of its Unix socket. */
  readonly target: { readonly port: number; readonly path: string };
  /** The next one who has reached the target. */
  reached(): Promise<Socket>;
}

const step = (run: (place: Place) => Promise<[caller: Socket, callee: Socket]>) => async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cordboard-'));
  const hostKey = accelerated.signatures[0].generate(accelerated.random);
  const server = new Server({
    provider: accelerated,
    hostKeys: [hostKey],
    authenticators: [{ method: 'none', answer: () => ({ result: 'accept' }) }],
    channels: {
      'direct-tcpip': directTcpip(() => true),
      'direct-streamlocal@openssh.com': directStreamlocal(() => true),
    },
    requests: remoteForwarding({ allowed: () => true }),
  });
  const { port } = await server.listen(0);
  const client = await dial({ port, user: 'alice', credentials: [], hostKey: () => true });
  const waiting: ((socket: Socket) => void)[] = [];
  const accept = (socket: Socket) => waiting.shift()?.(socket);
  const path = join(directory, 'target');
  const listeners = [await listen('127.0.0.1', 0, accept), await listenPath(path, accept)] as const;
  try {
    const reached = () => new Promise<Socket>(resolve => waiting.push(resolve));
    const sockets = await run({ client, directory, target: { port: listeners[0].port, path }, reached });
    await exchange(sockets, SIZE, SIZE);
  } finally {
    await client.close();
    await server.close();
    for (const listener of listeners) void listener.close();
    rmSync(directory, { recursive: true });
  }
};

export const forwardSteps: Record<string, () => Promise<void>> = {
  '16 MiB by forwardLocal': step(async ({ client, target, reached }) => {
    const { port } = await client.forwardLocal(
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: target.port },
    );
    const callee = reached();
    return [await connect('127.0.0.1', port), await callee];
  }),

  '16 MiB by directTcpip': step(async ({ client, target, reached }) => {
    const callee = reached();
    return [streamSocket(await client.forward('127.0.0.1', target.port)), await callee];
  }),

  '16 MiB by remoteForwarding': step(async ({ client, target, reached }) => {
    const { port } = await client.forwardRemote({ port: 0 }, { host: '127.0.0.1', port: target.port });
    const callee = reached();
    return [await connect('127.0.0.1', port), await callee];
  }),

  '16 MiB to a listener': step(async ({ client }) => {
    const listener = await client.listen('localhost', 0);
    const caller = await connect('127.0.0.1', listener.port);
    const { value } = await listener[Symbol.asyncIterator]().next();
    return [caller, streamSocket(value.stream)];
  }),

  '16 MiB by Unix sockets': step(async ({ client, directory, target, reached }) => {
    const path = join(directory, 'near');
    await client.forwardLocal({ path }, { path: target.path });
    const callee = reached();
    return [await connectPath(path), await callee];
  }),

  '16 MiB by remote Unix sockets': step(async ({ client, directory, target, reached }) => {
    const path = join(directory, 'far');
    await client.forwardRemote({ path }, { path: target.path });
    const callee = reached();
    return [await connectPath(path), await callee];
  }),
};
