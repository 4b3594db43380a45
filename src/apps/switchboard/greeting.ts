// What the switchboard says to people: banners, greetings, and commands that work when they are pasted.
import { bracketed, type Line, lineKey, type Provider } from './lines.ts';

/** How clients reach the server, for the commands that we print. */
export interface Hints {
  host: string;
  port: number;
}

/** `ssh -p 2222 -N -L 6379:alias:6379 host`, without what ssh assumes by itself. */
export function ssh(hints: Hints, options: string, user = ''): string {
  const port = hints.port === 22 ? '' : ` -p ${hints.port}`;
  return `ssh${port} ${options}${options === '' ? '' : ' '}${user}${hints.host}`;
}

/** The local side of -L needs a port that an ordinary user may open. */
const localPort = (port: number) => (port < 1024 ? port + 8000 : port);

/** Shown before sign-in is confirmed, also to `ssh -N`. `over`: where the same owner is connected from already, with lines. */
export function signInBanner(alias: string, hints: Hints, names: readonly string[], over: readonly string[]): string {
  const other = names.length > 0 ? `Also reached as ${names.join(', ')}.\n` : '';
  const older = over.length > 0 ? `A connection of yours from ${over.join(', ')} has lines; yours come first.\n` : '';
  return `Your lines are reached as ${alias}:\n  ${ssh(hints, `-N -L PORT:${alias}:PORT`)}\n${other}${older}`;
}

export function hello(user: string): string {
  return `Hello ${user}\n`;
}

/** For a provider, as soon as it has lines; `name` is what others reach it by. */
export function plugged(name: string, lines: readonly Line[], hints: Hints): string {
  const keys = (kind: Line['kind']) => lines.filter(line => line.kind === kind).map(lineKey);
  const created = (what: string, list: string[]) =>
    list.length === 0 ? '' : `Virtual listener for ${what} [${list.join(', ')}] created.\n`;
  const commands = lines.map(line => `  ${callCommand(name, line, hints)}`);
  return `${created('ports', keys('tcp'))}${created('sockets', keys('unix'))}Connect a client by running\n${commands.join('\n')}\n`;
}

function callCommand(name: string, line: Line, hints: Hints): string {
  if (line.kind === 'unix') return ssh(hints, `-N -L 8080:/${name}${line.path}`);
  if (line.port === 22) return `ssh -J ${bracketed(hints.host)}${hints.port === 22 ? '' : `:${hints.port}`} ${name}`;
  return ssh(hints, `-N -L ${localPort(line.port)}:${name}:${line.port}`);
}

/** The plain name belongs to somebody else. */
export function notYours(name: string, alias: string): string {
  return `The name ${name} belongs to another key: your lines are ${alias} only.\n`;
}

/** Whose the plain name is cannot be found out now. */
export function notNow(name: string, alias: string): string {
  return `The name ${name} cannot be claimed now: your lines are ${alias} only. Plug in again later.\n`;
}

/** Older connections of the same owner had the lines that have just been plugged in. */
export function tookOver(keys: readonly string[], older: readonly Provider[]): string {
  const addresses = [...new Set(older.map(({ address }) => address))].join(', ');
  return `Took over [${keys.join(', ')}] from your connection from ${addresses}, which is asked whether it still lives.\n`;
}

/** What became of the question; `name` is what the older one is called by, if it lives. */
export function settled({ address }: Provider, name: string | undefined): string {
  return name === undefined
    ? `Your older connection from ${address} is gone.\n`
    : `Your older connection from ${address} lives: it is another provider, ${name}.\n`;
}

/** For somebody who signed in without plugging anything in; `user` is his own name, `name` what others reach him by. */
export function invitation(user: string, name: string, hints: Hints): string {
  return [
    'Plug in a line (here: what listens on port 8080 of your machine) with',
    `  ${ssh(hints, '-R 80:localhost:8080', `${user}@`)}`,
    'and reach it from elsewhere with',
    `  ${ssh(hints, `-N -L 8080:${name}:80`)}`,
    '',
  ].join('\n');
}

/** A provider as it is called: `alice`, and for an older one of the same alias `alice~1`. */
export interface Listed {
  readonly provider: Provider;
  readonly name: string;
  /** The address of its node, if that is another one. */
  readonly node?: string;
}

/** Names of providers that are in the order of the board. */
export function listed(providers: readonly Provider[]): Listed[] {
  let before: string | undefined;
  let index = 0;
  return providers.map(provider => {
    index = provider.alias === before ? index + 1 : 0;
    before = provider.alias;
    return { provider, name: index === 0 ? provider.name : `${provider.name}~${index}` };
  });
}

/** `NAME: ip=IP aliases=a,b ports=22,80`, a line each, as nuttssh has it. */
export function listing(all: readonly Listed[]): string {
  const rows = all.map(({ provider: { address, alias, names, name: own, lines }, name, node }) => {
    const aliases = [alias, ...names.filter(other => other !== own)];
    const keys = (kind: Line['kind']) => lines.filter(line => line.kind === kind).map(lineKey);
    const sockets = keys('unix').length > 0 ? ` sockets=${keys('unix').join(',')}` : '';
    const at = node === undefined ? '' : ` node=${node}`;
    return `  ${name}: ip=${address} aliases=${aliases.join(',')} ports=${keys('tcp').join(',')}${sockets}${at}`;
  });
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
