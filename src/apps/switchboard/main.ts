// `cordboard switchboard`: flags, files, start, stop.
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import pino from 'pino';
import pretty from 'pino-pretty';
import { accelerated } from '../../crypto/accelerated.ts';
import { fingerprint } from '../../crypto/keys/index.ts';
import { isLoopback } from '../../server/penalties.ts';
import { Access } from './access.ts';
import { Switchboard } from './app.ts';
import { firstSteps, type Hints } from './greeting.ts';
import {
  aliasSecret,
  defaultDataDirectory,
  hostKeys,
  openDirectory,
  readIfThere,
  reason,
  StateError,
} from './state.ts';

const LEVELS = ['silent', 'error', 'warn', 'info', 'debug'];

interface Flags {
  host: string;
  port: number;
  data: string;
  authorizedKeys?: string;
  enrol?: boolean;
  logLevel: string;
  fqdn?: string;
}

/** Adds the subcommand. */
export function addSwitchboard(program: Command): void {
  program
    .command('switchboard')
    .summary('join ssh -R and ssh -L by name; no port is ever opened')
    .description(
      'An SSH server that joins people behind NAT: one plugs a port in with `ssh -R`, others reach it by name with\n' +
        '`ssh -L`, `-W`, `-J` or `-D`. Nothing is ever opened on this machine but the one port for SSH.',
    )
    .addOption(new Option('--host <address>', 'address to listen on').env('CORDBOARD_HOST').default('127.0.0.1'))
    .addOption(
      new Option('--port <number>', 'port to listen on; 0 takes any')
        .env('CORDBOARD_PORT')
        .default(2222)
        .argParser(parsePort),
    )
    .addOption(
      new Option('--data <directory>', 'where host keys and enrolled keys are kept')
        .env('CORDBOARD_DATA')
        .default(defaultDataDirectory()),
    )
    .addOption(
      new Option(
        '--authorized-keys <file>',
        'who may sign in, as in sshd(8), with access="listen|initiate|list|admin|denied" (default: authorized_keys in the data directory)',
      ).env('CORDBOARD_AUTHORIZED_KEYS'),
    )
    .addOption(
      new Option('--enrol', 'take in keys that the file does not know (default: only while listening on loopback)').env(
        'CORDBOARD_ENROL',
      ),
    )
    .addOption(new Option('--no-enrol', 'refuse keys that the file does not know'))
    .addOption(
      new Option('--log-level <level>', 'how much to log on stderr')
        .env('CORDBOARD_LOG_LEVEL')
        .choices(LEVELS)
        .default('info'),
    )
    .addOption(
      new Option('--fqdn <name>', 'this server’s name in the commands it prints (default: the listening address)').env(
        'CORDBOARD_FQDN',
      ),
    )
    .addHelpText('after', EXAMPLES)
    .action((flags: Flags) => run(flags));
}

const EXAMPLES = `
Examples:
  cordboard switchboard                              on 127.0.0.1:2222, everyone on this machine may come
  cordboard switchboard --host 0.0.0.0 --port 22 --fqdn board.example.org --authorized-keys /etc/cordboard/keys
                                                     for a fleet: only the keys in the file

Then, with any ssh:
  ssh -p 2222 -R 6379:localhost:6379 alice@127.0.0.1   plug in a line; prints the commands for callers
  ssh -p 2222 -N -L 6379:ALIAS:6379 127.0.0.1          reach it on your own port 6379
  ssh -J 127.0.0.1:2222 ALIAS                          if it is somebody's sshd (-R 22:localhost:22)
`;

async function run(flags: Flags): Promise<void> {
  const log = logger(flags.logLevel);
  openDirectory(flags.data);
  const keys = hostKeys(flags.data, accelerated);
  const file = flags.authorizedKeys ?? join(flags.data, 'authorized_keys');
  const enrol = flags.enrol ?? (flags.host === 'localhost' || isLoopback(flags.host));
  if (flags.authorizedKeys !== undefined && !enrol && readIfThere(file) === undefined) {
    throw new StateError(`cannot read ${file}: there is no such file, and without --enrol nobody could ever sign in`);
  }
  const hints: Hints = { host: flags.fqdn ?? shownAddress(flags.host), port: flags.port };
  const access = new Access({ file, enrol, provider: accelerated, log });
  const switchboard = new Switchboard({
    provider: accelerated,
    hostKeys: keys,
    aliasSecret: aliasSecret(flags.data, accelerated),
    access,
    hints,
    log,
  });
  const { host, port } = await switchboard.server.listen(flags.port, flags.host).catch((error: unknown) => {
    throw new StateError(`cannot listen on ${flags.host} port ${flags.port}: ${reason(error)}`);
  });
  hints.port = port;
  stopOnSignals(switchboard);
  if (!enrol && access.size === 0) log.warn({ file }, `nobody can sign in: ${file} holds no keys and --enrol is off`);
  const lines = [
    `listening on ${host.includes(':') ? `[${host}]` : host}:${port}`,
    '',
    'Host keys (ssh asks you to compare one of them on first contact):',
    ...keys.map(key => `  ${fingerprint(key.blob)} (${key.type})`),
    `Keys that may sign in: ${file}${enrol ? ', and any other on first contact (--no-enrol ends that)' : ''}`,
    '',
    firstSteps(hints),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** SIGINT and SIGTERM close orderly; a second one at once. */
function stopOnSignals(switchboard: Switchboard): void {
  let stopping = false;
  const stop = () => {
    if (stopping) process.exit(1);
    stopping = true;
    void switchboard.server.close().then(() => process.exit(0));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

/** To stderr: for people on a terminal, JSON lines for everything else. */
function logger(level: string): pino.Logger {
  if (process.stderr.isTTY) {
    return pino(
      { level },
      pretty({ destination: 2, sync: true, colorize: !process.env.NO_COLOR, ignore: 'pid,hostname' }),
    );
  }
  return pino(
    { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('It is not a port number (0 to 65535).');
  return port;
}

/** 0.0.0.0 is no address to connect to. */
function shownAddress(host: string): string {
  return host === '0.0.0.0' || host === '::' ? 'localhost' : host;
}
