// `cordboard switchboard`: flags, files, start, stop.
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { accelerated } from '../../crypto/accelerated.ts';
import { fingerprint, formatPrivateKey } from '../../crypto/keys/index.ts';
import { isLoopback } from '../../server/penalties.ts';
import { Access } from './access.ts';
import { type Address, Switchboard } from './app.ts';
import { firstSteps, type Hints } from './greeting.ts';
import { LEVELS, logger } from './log.ts';
import { stopOnSignals } from './signals.ts';
import { aliasSecret, defaultDataDirectory, hostKeys, openDirectory, readIfThere, StateError } from './state.ts';
import { work } from './worker.ts';
import { WORKER_COMMAND, Workers } from './workers.ts';

/** Workers: more than there are cores gain nothing, and each has a way to each other. */
const MAX_WORKERS = 64;

interface Flags {
  host: string;
  port: number;
  data: string;
  authorizedKeys?: string;
  enrol?: boolean;
  workers: number;
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
      new Option(
        '--workers <number>',
        'processes that share the port and the lines, one for each core that may be used',
      )
        .env('CORDBOARD_WORKERS')
        .default(1)
        .argParser(parseWorkers),
    )
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
  program.command(WORKER_COMMAND, { hidden: true }).action(work);
}

const EXAMPLES = `
Examples:
  cordboard switchboard                              on 127.0.0.1:2222, everyone on this machine may come
  cordboard switchboard --host 0.0.0.0 --port 22 --fqdn board.example.org --authorized-keys /etc/cordboard/keys
                                                     for a fleet: only the keys in the file
  cordboard switchboard --workers 4                  on four cores; callers and lines meet wherever they are

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
  let workers: Workers | undefined;
  const access = new Access({
    ...{ file, enrol, provider: accelerated, log },
    appended: line => workers?.appended(line),
  });
  const secret = aliasSecret(flags.data, accelerated);
  if (flags.workers > 1) {
    const common = {
      ...{ host: flags.host, port: flags.port, file, enrol, hints, logLevel: flags.logLevel },
      hostKeys: keys.map(key => formatPrivateKey(key, {}, accelerated.random)),
      aliasSecret: Buffer.from(secret).toString('hex'),
    };
    workers = new Workers({ count: flags.workers, common, access, log });
  }
  const { host, port } = workers
    ? await start(workers)
    : await serve(
        new Switchboard({ provider: accelerated, hostKeys: keys, aliasSecret: secret, access, hints, log }),
        flags,
      );
  hints.port = port;
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

/** Clients are served by other processes. @throws StateError */
function start(workers: Workers): Promise<Address> {
  stopOnSignals(() => workers.stop());
  return workers.start();
}

/** Clients are served here. @throws StateError */
async function serve(switchboard: Switchboard, { host, port }: Flags): Promise<Address> {
  const address = await switchboard.listen(host, port);
  stopOnSignals(() => switchboard.server.close());
  return address;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('It is not a port number (0 to 65535).');
  return port;
}

function parseWorkers(text: string): number {
  const count = Number(text);
  if (!/^\d{1,2}$/.test(text) || count < 1 || count > MAX_WORKERS) {
    throw new InvalidArgumentError(`It is not a number from 1 to ${MAX_WORKERS}.`);
  }
  return count;
}

/** 0.0.0.0 is no address to connect to. */
function shownAddress(host: string): string {
  return host === '0.0.0.0' || host === '::' ? 'localhost' : host;
}
