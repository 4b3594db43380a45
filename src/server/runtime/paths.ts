// Unix sockets to listen on, which nobody but the user of this process may ever connect to.
import { lstatSync, rmSync } from 'node:fs';
import { chmod, link, lstat, mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Socket, wrap } from './net.ts';

/** Longest path of a Unix socket, in bytes, on the systems that allow least (macOS); a longer one may be cut off, and then name another file. */
export const MAX_PATH = 103;

/**
 * Listens on a Unix socket, or on Windows a named pipe. The file is removed when the listener is closed. A system gives a new
 * socket the permissions of the umask, which is all of this process: so it is made in a directory that nobody else may enter,
 * and moved when its own permissions are right.
 * @throws the system's error if that is not possible: EADDRINUSE if there is a file of that name, whatever it is
 */
export async function listenPath(
  path: string,
  connected: (socket: Socket) => void,
): Promise<{ close(): Promise<void> }> {
  const server = createServer({ pauseOnConnect: false, allowHalfOpen: true }, socket => connected(wrap(socket)));
  const close = () => new Promise<void>(done => server.close(() => done()));
  if (path.startsWith('\\\\')) {
    await bind(server, path);
    return { close };
  }
  if (await exists(path)) throw taken(path);
  const directory = await privateDirectory(path);
  try {
    const made = join(directory, NAME);
    await bind(server, made);
    await chmod(made, 0o600);
    await move(made, path);
  } catch (error) {
    await close();
    throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const { dev, ino } = await lstat(path);
  return {
    close() {
      // At once, as the system's own; whoever has replaced it meanwhile keeps what is theirs.
      const there = lstatSync(path, { throwIfNoEntry: false });
      if (there?.ino === ino && there.dev === dev) rmSync(path, { force: true });
      return close();
    },
  };
}

/** The socket's name in the directory of its own. */
const NAME = 's';

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}

/** A directory on the same file system, as a rule, whose path leaves room for the socket's name. */
function privateDirectory(path: string): Promise<string> {
  // mkdtemp adds six characters to what it is given.
  const prefix = `${dirname(path)}/.`;
  return mkdtemp(Buffer.byteLength(`${prefix}xxxxxx/${NAME}`) <= MAX_PATH ? prefix : join(tmpdir(), 'cordboard-'));
}

/** Moves a socket to where nothing is. @throws the system's error, EADDRINUSE if there is something */
async function move(from: string, to: string): Promise<void> {
  try {
    // Unlike a new name, a second one never replaces anything.
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw taken(to);
    // Where sockets can have but one name.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    if (await exists(to)) throw taken(to);
    await rename(from, to);
  }
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

const taken = (path: string): Error =>
  Object.assign(new Error(`listen EADDRINUSE: address already in use ${path}`), { code: 'EADDRINUSE' });
