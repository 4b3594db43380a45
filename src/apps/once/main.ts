// `cordboard once` and `otssh`: flags, and the commands that read transcripts.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseNetworks } from '../../crypto/keys/address-match.ts';
import { OnceError } from './failure.ts';
import { FAILURES, LEAST_TRANSCRIPT, MAX_TRANSCRIPT, TIMEOUT } from './limits.ts';
import { once } from './once.ts';
import { print } from './output.ts';
import { type PlayOptions, play } from './play.ts';
import { report } from './verify.ts';
import { type ViewOptions, view } from './view.ts';

interface Flags {
  authorizedKeys: string;
  port: number;
  listen?: string;
  proxyProtocol?: string;
  log?: string;
  maxTranscript: number;
  announce?: string;
  timeout: number;
  idle: number;
  maxFailures: number;
  maskHiddenInput: boolean;
  stdio?: boolean;
  via?: string;
  viaIdentity?: string;
  viaHostKey?: string;
  viaKnownHosts?: string;
}

/** Adds `cordboard once`. */
export function addOnce(program: Command): void {
  defineOnce(program.command('once'));
}

/** The command itself, which `otssh` is. */
export function defineOnce(command: Command): Command {
  command
    .summary('serve one audited shell session, and exit')
    .description(
      'Waits for one SSH client with one of the keys, serves it one shell or command, records everything, and exits with the\n' +
        'status of the shell. The host key is made anew each time, and printed.',
    )
    .addOption(new Option('--authorized-keys <file>', 'who may sign in, as in sshd(8); "-" is standard input'))
    .addOption(new Option('--port <number>', 'port to listen on; 0 takes any').default(2022).argParser(parsePort))
    .addOption(new Option('--listen <address>', 'address to listen on (default: all)'))
    .addOption(
      new Option(
        '--proxy-protocol <addresses>',
        'addresses and networks of balancers: what comes from there begins with a PROXY header',
      ).argParser(parseBalancers),
    )
    .addOption(
      new Option('--log <file>', 'where the transcript goes: asciicast if it ends in .cast (default: standard output)'),
    )
    .addOption(
      new Option('--max-transcript <size>', 'end the session when its transcript has this size: 512M, 2G')
        .default(MAX_TRANSCRIPT, '1G, and never more than half of the free disk')
        .argParser(parseSize),
    )
    .addOption(new Option('--announce <command>', 'run with one argument, the host key, when the port is open'))
    .addOption(
      new Option('--timeout <seconds>', 'until somebody signs in; 0 is for ever')
        .default(TIMEOUT)
        .argParser(parseCount),
    )
    .addOption(
      new Option('--idle <seconds>', 'end a session in which nothing happens; 0 does not')
        .default(0)
        .argParser(parseCount),
    )
    .addOption(
      new Option('--max-failures <number>', 'give up after so many failed keys')
        .default(FAILURES)
        .argParser(parseCount),
    )
    .addOption(
      new Option('--no-mask-hidden-input', 'record what is typed while the terminal does not show it, passwords too'),
    )
    .addOption(new Option('--stdio', 'serve the client on standard input and output (inetd, ProxyCommand)'))
    .addOption(new Option('--via <user@host:port>', 'listen on no port, but be a line of a switchboard'))
    .addOption(
      new Option('--via-identity <file>', 'private key for the switchboard (default: the agent, or a fresh key)'),
    )
    .addOption(new Option('--via-host-key <key>', 'its host key, or its fingerprint (default: as in known_hosts)'))
    .addOption(new Option('--via-known-hosts <file>', 'known_hosts file (default: ~/.ssh/known_hosts)'))
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      // Whatever still lingers has nothing more to do.
      process.exit(await once(checked(flags)));
    });
  command
    .command('verify <file>')
    .summary('say whether a transcript is as it was written')
    .description(
      'Checks every seal of a transcript and the signature beside it. Exit code 0: whole, unchanged, and by the key that was\n' +
        'announced; 1: changed, and where; 3: unchanged, but the session never came to its end; 4: whole, but without --key\n' +
        'nobody knows by whom: anybody can make a transcript with a key of their own.',
    )
    .addOption(new Option('--key <key>', 'the host key that was announced: a file, "type base64", or a fingerprint'))
    .action((file: string, { key }: { key?: string }) => {
      const { status, text } = report(file, key);
      print(`${text}\n`);
      process.exitCode = status;
    });
  command
    .command('play <file>')
    .summary('play a transcript in this terminal')
    .description(
      'Plays what the session showed. What would have this terminal answer, or do more than show, is left out: window titles, the\n' +
        'clipboard, queries, modes of mouse and keyboard.',
    )
    .addOption(new Option('--speed <factor>', 'how much faster').default(1).argParser(parseFactor))
    .addOption(
      new Option('--idle-limit <seconds>', 'longest pause; 0 keeps them as they were').default(2).argParser(parseCount),
    )
    .addOption(new Option('--key <key>', 'the host key that was announced, as for verify'))
    .addOption(new Option('--raw', 'send every byte to the terminal; only for a transcript that you trust'))
    .action((file: string, flags: PlayOptions) => play(file, flags));
  command
    .command('view <file>')
    .summary('make an HTML page of a transcript, with a player inside')
    .description(
      'Makes one HTML file that plays the transcript in any browser and loads nothing. It says whether the transcript is as it\n' +
        'was written; so does the exit code, as with verify.',
    )
    .addOption(new Option('--output <file>', 'where to; "-" is standard output (default: the name and .html)'))
    .addOption(new Option('--key <key>', 'the host key that was announced, as for verify'))
    .action((file: string, flags: ViewOptions) => {
      process.exitCode = view(file, flags);
    });
  return command;
}

const EXAMPLES = `
Examples:
  otssh -authorized-keys=keys -log=session.cast       then, from elsewhere: ssh -p 2022 HOST
  otssh -authorized-keys=- -announce=./tell < keys    ./tell is given the host key to pass on
  otssh verify -key=SHA256:… session.cast              the fingerprint that was announced
  otssh view session.cast                             makes session.cast.html
`;

/** What goes together. */
function checked({ via, viaIdentity, viaHostKey, viaKnownHosts, stdio = false, ...flags }: Flags) {
  if (flags.authorizedKeys === undefined) throw new OnceError('Required flag "authorized-keys" not set');
  // The runtime has made text of it, and another file would be meant.
  for (const [name, value] of Object.entries(flags))
    if (typeof value === 'string' && value.includes('\ufffd')) throw new OnceError(`${name} is not UTF-8: ${value}`, 2);
  if (stdio && via !== undefined) throw new OnceError('--stdio and --via exclude each other', 2);
  if (stdio && (flags.log === undefined || flags.log === '-'))
    throw new OnceError('--stdio needs --log FILE: standard output belongs to the client', 2);
  if (stdio && flags.authorizedKeys === '-')
    throw new OnceError('--stdio needs --authorized-keys FILE: standard input belongs to the client', 2);
  if ((stdio || via !== undefined) && flags.proxyProtocol !== undefined)
    throw new OnceError('--proxy-protocol is of no use without a port to listen on', 2);
  const way = { at: via ?? '', identity: viaIdentity, hostKey: viaHostKey, knownHosts: viaKnownHosts };
  return { ...flags, stdio, ...(via !== undefined && { via: way }) };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('It is not a port number (0 to 65535).');
  return port;
}

function parseBalancers(text: string): string {
  const networks = parseNetworks(text);
  if (typeof networks === 'string') throw new InvalidArgumentError(`${networks}.`);
  return text;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is not a whole number.');
  return Number(text);
}

function parseSize(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})([KMG]?)$/i.exec(text) ?? [];
  const size = Number(digits) * 1024 ** ' KMG'.indexOf(unit.toUpperCase() || ' ');
  if (!(size >= LEAST_TRANSCRIPT))
    throw new InvalidArgumentError('It is not a size of 64K or more, such as 512M or 2G.');
  return size;
}

function parseFactor(text: string): number {
  const factor = Number(text);
  if (!(factor > 0 && factor <= 1000)) throw new InvalidArgumentError('It is not a number above 0.');
  return factor;
}
