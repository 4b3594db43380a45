// Sockets that the process is given: systemd listens, and starts it when the first client comes (sd_listen_fds(3)).

/** The first file descriptor of those that are passed. */
const FIRST = 3;
/** The name, `FileDescriptorName=`, of a socket for the console. */
const CONSOLE = 'console';

export interface Inherited {
  /** File descriptors to listen on for clients. */
  readonly clients: readonly number[];
  /** The one for the console. */
  readonly console?: number;
}

/** What the environment says; it is taken out of it, so that no child takes the sockets for its own. */
export function inherited(env: NodeJS.ProcessEnv = process.env, pid = process.pid): Inherited {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  // Meant for another process, of which this one is a child.
  if (Number(LISTEN_PID) !== pid || !/^\d{1,3}$/.test(LISTEN_FDS ?? '')) return { clients: [] };
  const names = LISTEN_FDNAMES.split(':');
  const all = Array.from({ length: Number(LISTEN_FDS) }, (_, i) => ({ fd: FIRST + i, name: names[i] }));
  const clients = all.filter(({ name }) => name !== CONSOLE).map(({ fd }) => fd);
  const consoles = all.filter(({ name }) => name === CONSOLE);
  return { clients, ...(consoles.length > 0 && { console: consoles[0].fd }) };
}
