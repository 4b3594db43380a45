// The flags of `cordboard switchboard`, once for the command line, the environment and the configuration file.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseNetworks } from '../../crypto/keys/address-match.ts';
import { TIMES } from '../../server/drive.ts';
import { STARTUPS, type StartupLimits } from '../../server/penalties.ts';
import { isNodeAddress } from './fields.ts';
import type { NodeAddress } from './lines.ts';
import { LEVELS } from './log.ts';
import { DURATION, parseBytes, parseDuration } from './measures.ts';
import { QUOTAS } from './quotas.ts';
import { defaultDataDirectory } from './state.ts';

/** Workers: more than there are cores gain nothing, and each has a way to each other. */
const MAX_WORKERS = 64;

/** Seconds of the longest time: what timers of the runtime can wait (2^31 ms), in whole days. Beyond, they fire at once. */
const MAX_TIME = 24 * 86_400;
/** Seconds: a node that has died would be called in vain for as long; and a beat comes five times in it. */
const LONGEST_LEASE = 86_400;

/** Where the console listens unless it is told. */
const CONSOLE = '127.0.0.1:2223';

export interface ConsoleAddress {
  readonly host: string;
  readonly port: number;
}

/** As commander gives them. */
export interface Flags {
  config?: string;
  host: string;
  port: number;
  fqdn?: string;
  data: string;
  proxyProtocol?: string;
  hostKey?: string[];
  authorizedKeys?: string;
  enrol?: boolean;
  anyKey?: boolean;
  useDns?: boolean;
  publicNames?: boolean;
  balance?: boolean;
  pty: boolean;
  shell: boolean;
  deadAfter: number;
  loginGrace: number;
  maxStartups: StartupLimits;
  drain: number;
  maxClients: number;
  maxLines: number;
  maxCircuits: number;
  maxRate: number;
  circuitIdle: number;
  clientIdle: number;
  workers: number;
  directory?: string;
  advertise?: NodeAddress;
  nodeKeys?: string;
  lease: number;
  logLevel: string;
  logFormat: 'auto' | 'json' | 'pretty';
  audit?: string;
  console?: ConsoleAddress;
  consoleTokenFile?: string;
}

/** Adds them; each has a variable, `--dead-after` CORDBOARD_DEAD_AFTER. */
export function addFlags(command: Command): Command {
  const add = (flags: string, description: string, more: (option: Option) => void = () => {}) => {
    const option = new Option(flags, description);
    option.env(`CORDBOARD_${option.name().replace(/^no-/, '').toUpperCase().replaceAll('-', '_')}`);
    more(option);
    command.addOption(option);
  };
  const group = (heading: string) => command.optionsGroup(heading);

  group('Where:');
  add('--host <address>', 'address to listen on', it => it.default('127.0.0.1'));
  add('--port <number>', 'port to listen on; 0 takes any', it => it.default(2222).argParser(parsePort));
  add('--fqdn <name>', 'this server’s name in the commands it prints (default: the listening address)');
  add('--data <directory>', 'where host keys, names and enrolled keys are kept', it =>
    it.default(defaultDataDirectory()),
  );
  add('--host-key <file>', 'a host key to use in place of those in the data directory; may be repeated', it =>
    it.argParser((file: string, before: string[] | undefined) => [...(before ?? []), file]),
  );
  add(
    '--proxy-protocol <addresses>',
    'addresses and networks of balancers, as 10.0.0.7,10.1.0.0/16: what comes from there, to the console too, begins with a PROXY header (v1 or v2) that says whose connection it is',
    it => it.argParser(parseBalancers),
  );
  add('--config <file>', 'flags from a file: nuttssh.ini, and any flag in its section [cordboard]', it =>
    it.env('NUTTSSH_CONFIG_FILE'),
  );

  group('Who:');
  add(
    '--authorized-keys <file>',
    'who may sign in, as in sshd(8), with access="listen|initiate|list|admin|denied" (default: authorized_keys in the data directory)',
  );
  add(
    '--enrol',
    'take in keys that the file does not know (default: only while listening on loopback, without --proxy-protocol)',
  );
  add('--no-enrol', 'refuse keys that the file does not know');
  add('--any-key', 'let in whoever has any key, to plug in, call and list, and note none of them down');
  add('--use-dns', 'look up the names of clients, for from="*.example.org"');

  group('Names:');
  add(
    '--public-names',
    'others may call lines by their plain names, too, not only by the alias (default: only if no keys are enrolled)',
  );
  add('--no-public-names', 'plain names are for their owners, and those that the file gives');
  add('--balance', 'calls to a name go to its providers in turn (default: to the newest)');

  group('Sessions:');
  add('--no-pty', 'no terminals; `ssh -J` does not need one');
  add('--no-shell', 'no prompt; `ssh board COMMAND` still works');

  group('Limits (0 is none; times as 90s, 15m, 2h, 7d; sizes as 64K, 10M):');
  const count = (it: Option, value: number) => it.default(value).argParser(parseCount);
  const time = (it: Option, value: number) => it.default(value, `${value} s`).argParser(parseTime);
  add('--dead-after <time>', 'disconnect a client that is silent for this time; its lines are released', it =>
    time(it, 15),
  );
  add('--login-grace <time>', 'disconnect a client that has not signed in within this time', it =>
    time(it, TIMES.loginGrace),
  );
  const { begin, rate, full } = STARTUPS;
  add(
    '--max-startups <begin:rate:full>',
    'connections that have not signed in: from BEGIN of one address on, refuse RATE percent of its new ones, rising to all at FULL; with FULL in all, each new one displaces the longest waiting of the busiest address',
    it => it.default(STARTUPS, `${begin}:${rate}:${full}`).argParser(parseStartups),
  );
  add('--max-clients <number>', 'connections of one key at once', it => count(it, QUOTAS.clients));
  add('--max-lines <number>', 'lines of one connection', it => count(it, QUOTAS.lines));
  add('--max-circuits <number>', 'circuits of one key at once', it => count(it, QUOTAS.circuits));
  add('--max-rate <bytes>', 'bytes a second through all circuits of one key, on average', it =>
    it.default(QUOTAS.rate, 'no limit').argParser(parseSize),
  );
  add('--circuit-idle <time>', 'a circuit that nothing comes through is closed', it =>
    it.default(0, 'never').argParser(parseTime),
  );
  add('--client-idle <time>', 'a connection without lines and channels is closed', it =>
    it.default(0, 'never').argParser(parseTime),
  );

  group('Several machines:');
  add(
    '--directory <url>',
    'redis://host[:port][/database] with the lines, names, bans and invitations of all switchboards that name it',
  );
  add('--advertise <host:port>', 'where the others reach this one (default: the listening address)', it =>
    it.argParser(parseAddress),
  );
  add(
    '--node-keys <file>',
    'host keys of the others, or cert-authority and who signs them, a line each (default: they have the same host key as this one)',
  );
  add('--lease <time>', 'the lines of a node that says nothing for so long are given up', it =>
    it.default(15, '15 s').argParser(parseLease),
  );

  group('Running:');
  add('--workers <number>', 'processes that share the port and the lines, one for each core that may be used', it =>
    it.default(1).argParser(parseWorkers),
  );
  add('--drain <time>', 'on SIGTERM, circuits that are open may take so long to end', it => time(it, 10));
  add('--log-level <level>', 'how much to log on stderr', it => it.choices(LEVELS).default('info'));
  add('--log-format <format>', 'lines for people or JSON (auto: JSON unless stderr is a terminal)', it =>
    it.choices(['auto', 'json', 'pretty']).default('auto'),
  );
  add('--audit <file>', 'append a line of JSON for each sign-in, line and circuit');

  group('Watching:');
  add(
    '--console [address]',
    `a page to watch clients, lines and circuits, /metrics for Prometheus and /healthz, as [HOST:]PORT (${CONSOLE} if you say no more)`,
    it => it.preset(CONSOLE).argParser(parseConsole),
  );
  add(
    '--console-token-file <file>',
    'what one signs in to the page with; made if missing (default: a new one is printed)',
  );
  return command.optionsGroup('Help:');
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('It is not a port number (0 to 65535).');
  return port;
}

/** "2223", "0.0.0.0:2223", "[::1]:2223"; in files and variables also "yes". */
function parseConsole(text: string): ConsoleAddress {
  if (/^(yes|true|on)$/i.test(text)) return parseConsole(CONSOLE);
  const [, six, host, port] = /^(?:(?:\[([0-9a-f:.]+)\]|([^\s:[\]]+)):)?(\d+)$/i.exec(text) ?? [];
  if (port === undefined) throw new InvalidArgumentError('It is not an address such as 127.0.0.1:2223.');
  return { host: six ?? host ?? '127.0.0.1', port: parsePort(port) };
}

function parseWorkers(text: string): number {
  const count = Number(text);
  if (!/^\d{1,2}$/.test(text) || count < 1 || count > MAX_WORKERS) {
    throw new InvalidArgumentError(`It is not a number from 1 to ${MAX_WORKERS}.`);
  }
  return count;
}

function parseAddress(text: string): NodeAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = { host: bracketed ?? plain, port: Number(port) };
  // What other nodes would not take from the directory.
  if (!isNodeAddress(address))
    throw new InvalidArgumentError('It is not an address such as 10.0.0.7:2222 or [2001:db8::7]:2222.');
  return address;
}

function parseBalancers(text: string): string {
  const networks = parseNetworks(text);
  if (typeof networks === 'string') throw new InvalidArgumentError(`${networks}.`);
  return text;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is not a number.');
  return Number(text);
}

/** As sshd_config(5) has it: "10:30:100", or one number for all. */
function parseStartups(text: string): StartupLimits {
  const [begin, rate, full] = /^\d{1,6}$/.test(text) ? [text, 100, text].map(Number) : text.split(':').map(parseCount);
  const whole = text.split(':').length === 3 || /^\d+$/.test(text);
  if (!whole || begin < 1 || begin > full || rate < 1 || rate > 100) {
    throw new InvalidArgumentError(
      'It is not BEGIN:RATE:FULL such as 10:30:100, with BEGIN at most FULL and a RATE of 1 to 100.',
    );
  }
  return { begin, rate, full };
}

function parseTime(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds > MAX_TIME)
    throw new InvalidArgumentError(`It is not ${DURATION}, 24d at most.`);
  return seconds;
}

function parseLease(text: string): number {
  const seconds = parseTime(text);
  if (seconds < 1 || seconds > LONGEST_LEASE) throw new InvalidArgumentError('It is not a time from 1s to 1d.');
  return seconds;
}

function parseSize(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError('It is not a size such as 500000, 64K or 10M.');
  return bytes;
}
