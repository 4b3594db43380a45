// What the switchboard says to people: banners, greetings, and commands that work when they are pasted.
import type { Line, Peer, Provider } from './lines.ts';

/** How clients reach the server, for the commands that we print. */
export interface Hints {
  readonly host: string;
  port: number;
}

/** `ssh -p 2222 -N -L 6379:alias:6379 host`, without what ssh assumes by itself. */
function ssh(hints: Hints, options: string, user = ''): string {
  const port = hints.port === 22 ? '' : ` -p ${hints.port}`;
  return `ssh${port} ${options} ${user}${hints.host}`;
}

/** The local side of -L needs a port that an ordinary user may open. */
const localPort = (port: number) => (port < 1024 ? port + 8000 : port);

/** Shown before sign-in is confirmed, also to `ssh -N`. */
export function signInBanner(alias: string, hints: Hints): string {
  return `Your lines are reached as ${alias}:\n  ${ssh(hints, `-N -L PORT:${alias}:PORT`)}\n`;
}

export function hello(user: string): string {
  return `Hello ${user}\n`;
}

/** For a provider, as soon as it has lines. */
export function plugged(peer: Peer, lines: readonly Line[], hints: Hints): string {
  const ports = lines.map(({ port }) => port).join(', ');
  const commands = lines.flatMap(({ port }) =>
    port === 22
      ? [`  ssh -J ${hints.host}${hints.port === 22 ? '' : `:${hints.port}`} ${peer.alias}`]
      : [`  ${ssh(hints, `-N -L ${localPort(port)}:${peer.alias}:${port}`)}`],
  );
  return `Virtual listener for ports [${ports}] created.\nConnect a client by running\n${commands.join('\n')}\n`;
}

/** For somebody who signed in without plugging anything in. */
export function invitation(peer: Peer, hints: Hints): string {
  return [
    'Plug in a line (here: what listens on port 8080 of your machine) with',
    `  ${ssh(hints, '-R 80:localhost:8080', `${peer.name}@`)}`,
    'and reach it from elsewhere with',
    `  ${ssh(hints, `-N -L 8080:${peer.alias}:80`)}`,
    '',
  ].join('\n');
}

export function helpText(peer: Peer, hints: Hints): string {
  return `${invitation(peer, hints)}\nCommands:\n  listeners  who is plugged in (without the right "list": your own lines)\n  help       this text\n`;
}

/** `NAME: ip=IP aliases=a,b ports=22,80`, a line each. */
export function listing(providers: readonly Provider[]): string {
  const rows = providers.map(
    ({ name, address, alias, lines }) =>
      `  ${name}: ip=${address} aliases=${alias} ports=${lines.map(({ port }) => port).join(',')}`,
  );
  return `Listening clients:\n${rows.length === 0 ? '  None' : rows.join('\n')}\n`;
}

/** Two commands that work as they stand once the server runs: one key may call its own lines by their plain name. */
export function firstSteps(hints: Hints): string {
  return [
    'Plug in a line, here a service on port 7000 of this machine, as alice:',
    `  ${ssh(hints, '-R 6379:localhost:7000', 'alice@')}`,
    'Call it, with the same key by its name, with any other by the alias that alice is shown:',
    `  ${ssh(hints, '-W alice:6379', 'bob@')}`,
    '',
  ].join('\n');
}
