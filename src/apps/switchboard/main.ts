// `cordboard switchboard`: flags, files, start, stop.
import type { Command } from 'commander';
import { accelerated } from '../../crypto/accelerated.ts';
import { fingerprint, formatPrivateKey, isCertificate } from '../../crypto/keys/index.ts';
import { listeningAddress } from '../../server/runtime/listening.ts';
import { reason } from '../../server/runtime/reason.ts';
import { Access, type Appended } from './access.ts';
import { alone } from './alone.ts';
import { Exchange, type Processes } from './console/exchange.ts';
import { openConsole } from './console/open.ts';
import { single } from './console/single.ts';
import { Directory } from './directory.ts';
import { addFlags } from './flags.ts';
import { firstSteps, type Hints } from './greeting.ts';
import { certified, hostCertificates } from './host-certificates.ts';
import { Hub } from './hub.ts';
import { inherited } from './inherited.ts';
import type { Setup } from './ipc.ts';
import { bracketed } from './lines.ts';
import { logger, surviveRejections } from './log.ts';
import { addNames } from './names-command.ts';
import { nodesFor } from './nodes.ts';
import type { Address } from './options.ts';
import { Registry } from './registry.ts';
import { Serving, type ServingOptions } from './serving.ts';
import { changedForGood, hasPassword, type Settings, type Started, settingsOf } from './settings.ts';
import { reloadOnSignal, stopOnSignals } from './signals.ts';
import {
  aliasSecret,
  hostKeyFiles,
  hostKeys,
  hostKeysIn,
  openDirectory,
  print,
  readIfThere,
  registryFile,
  StateError,
} from './state.ts';
import { work } from './worker.ts';
import { WORKER_COMMAND, Workers } from './workers.ts';

/** Adds the subcommand. */
export function addSwitchboard(program: Command): void {
  const command = addFlags(
    program
      .command('switchboard')
      .summary('join ssh -R and ssh -L by name; no port is ever opened')
      .description(
        'An SSH server that joins people behind NAT: one plugs a port in with `ssh -R`, others reach it by name with\n' +
          '`ssh -L`, `-W`, `-J` or `-D`. Nothing is ever opened on this machine but the one port for SSH.',
      ),
  )
    .addHelpText('after', EXAMPLES)
    .action(() => run(command, program.version() ?? ''));
  addNames(command);
  program.command(WORKER_COMMAND, { hidden: true }).action(work);
}

const EXAMPLES = `
Examples:
  cordboard switchboard                              on 127.0.0.1:2222, everyone on this machine may come
  cordboard switchboard --host 0.0.0.0 --port 22 --fqdn board.example.org --authorized-keys /etc/cordboard/keys
                                                     for a fleet: only the keys in the file
  cordboard switchboard --workers 4                  on four cores; callers and lines meet wherever they are
  cordboard switchboard --directory redis://db.lan --host 10.0.0.7
                                                     one of several machines that share their lines
  NUTTSSH_CONFIG_FILE=nuttssh.ini cordboard switchboard
                                                     with the configuration of nuttssh

Then, with any ssh:
  ssh -p 2222 -R 6379:localhost:6379 alice@127.0.0.1   plug in a line; prints the commands for callers
  ssh -p 2222 -N -L 6379:ALIAS:6379 127.0.0.1          reach it on your own port 6379
  ssh -J 127.0.0.1:2222 ALIAS                          if it is somebody's sshd (-R 22:localhost:22)
  ssh -p 2222 127.0.0.1                                look around: help, listeners, circuits, whoami

Flags win over variables (--dead-after is CORDBOARD_DEAD_AFTER), those over the configuration file. SIGTERM ends it when
open circuits have ended, or after --drain; SIGHUP reads the files again. Status 0: ended as asked, 1: could not, 2: wrong usage.
`;

async function run(command: Command, version: string): Promise<void> {
  const sockets = inherited();
  const given = sockets.clients.map(fd => listeningAddress(fd) ?? '');
  const settings = settingsOf(command, given.length === 0 ? undefined : { listened: given });
  // A socket for the console is a wish as much as the flag.
  const consoleAt = sockets.console === undefined ? settings.console : { fd: sockets.console };
  const log = logger(settings.logLevel, settings.logFormat);
  surviveRejections(log);
  const { data, enrol, anyKey, authorizedKeys: file } = settings;
  openDirectory(data);
  const keys = keysFor(settings);
  if (!enrol && !anyKey && file !== defaultKeys(settings) && readIfThere(file) === undefined) {
    throw new StateError(`cannot read ${file}: there is no such file, and without --enrol nobody could ever sign in`);
  }
  const hints: Hints = { host: settings.shownHost, port: settings.port };
  const secret = aliasSecret(data, accelerated);
  const registry = await Registry.open(registryFile(data), Date.now, log);
  const hub = new Hub(log);
  const { directory: url, lease } = settings;
  const directory = url
    ? await Directory.open({ url, lease, hub, registry, secret, log, banned: () => works.recheck() })
    : undefined;
  if (command.getOptionValueSource('directory') === 'cli' && hasPassword(settings.directory ?? '')) {
    const instead = 'put it into the variable CORDBOARD_DIRECTORY, or into a file for --config';
    log.warn({}, `every user of this machine can see the password in --directory among the processes: ${instead}`);
  }
  const access = new Access({
    ...{ file, enrol, anyKey, registry, provider: accelerated, log },
    appended: it => works.appended(it),
    redeem: directory && (hash => directory.redeem(hash)),
    giveBack: directory && (hash => directory.giveBack(hash)),
  });
  const certificates = hostCertificates(keyFilesOf(settings), keys);
  const setup = { version, sockets: sockets.clients, watched: consoleAt !== undefined, certificates };
  const options = { hostKeys: certified(keys, certificates), aliasSecret: secret, access, registry, hints, log };
  const works: Works =
    settings.workers === 1
      ? here(settings, setup, options, hub, directory)
      : together(settings, setup, options, hub, directory);
  stopOnSignals(async gracefully => {
    await directory?.stop();
    await works.stop(gracefully);
  });
  const { processes } = works;
  // First, so that a port that is taken ends the start before anybody has been served.
  const opened =
    consoleAt && processes ? await openConsole(consoleAt, settings, new Exchange(processes, registry), log) : undefined;
  const address = await works.start();
  hints.port = address.port;
  // A name may lead elsewhere than it says: what counts is where it has led.
  const started = { listened: given.length === 0 ? [address.host] : given, anyKey };
  const real = settingsOf(command, started);
  if (real.enrol !== enrol) works.apply(real);
  await directory?.start(real.advertise ?? address);
  reloadOnSignal(() => reload(command, settings, started, it => works.apply(it), log));
  if (!real.enrol && !anyKey && access.size === 0) {
    log.warn({ file }, `nobody can sign in: ${file} holds no keys and --enrol is off`);
  }
  opened?.ready();
  print(greeting(real, keys, address, hints, opened?.lines ?? []));
}

/** What a process is given when it starts, besides settings. */
type Given = Pick<Setup, 'version' | 'sockets' | 'watched' | 'certificates'>;

/** What serves clients: this process, or others that it starts. */
interface Works {
  /** For the console, if there is one. */
  readonly processes?: Processes;
  /** @throws StateError */
  start(): Promise<Address>;
  stop(gracefully: boolean): Promise<void>;
  apply(settings: Settings): void;
  appended(appended: Appended): void;
  /** Ends connections of those who would not be let in any more. */
  recheck(): void;
}

function here(
  settings: Settings,
  { version, sockets, watched }: Given,
  options: ServingOptions,
  hub: Hub,
  directory: Directory | undefined,
): Works {
  const nodes = nodesFor(settings, options.hostKeys, options.log);
  const serving =
    directory && nodes ? alone(settings, options, { hub, directory, nodes }) : new Serving(settings, options);
  const { switchboard } = serving;
  return {
    ...(watched && { processes: single(switchboard, version) }),
    start: () => switchboard.listen(settings.host, settings.port, sockets),
    stop: gracefully => serving.stop(gracefully),
    apply: changed => serving.apply(changed),
    appended() {},
    recheck: () => switchboard.recheckHere(),
  };
}

function together(
  settings: Settings,
  given: Given,
  options: ServingOptions,
  hub: Hub,
  directory: Directory | undefined,
): Works {
  const { hostKeys, aliasSecret, access, hints, log } = options;
  const common = {
    ...{ settings, hints, ...given },
    hostKeys: hostKeys
      .filter(({ blob }) => !isCertificate(blob))
      .map(key => formatPrivateKey(key, {}, accelerated.random)),
    aliasSecret: Buffer.from(aliasSecret).toString('hex'),
  };
  const workers = new Workers({ count: settings.workers, common, access, hub, directory, log });
  return {
    ...(given.watched && { processes: workers.polls }),
    start: () => workers.start(),
    stop: gracefully => workers.stop(gracefully),
    apply: changed => {
      log.level = changed.logLevel;
      access.enrols = changed.enrol;
      workers.apply(changed);
    },
    appended: it => workers.appended(it),
    recheck: () => workers.recheck(),
  };
}

/** Reads the configuration anew; one that makes no sense leaves all as it is. */
function reload(
  command: Command,
  old: Settings,
  started: Started,
  apply: (settings: Settings) => void,
  log: ReturnType<typeof logger>,
) {
  try {
    const settings = settingsOf(command, started);
    const fixed = changedForGood(old, settings);
    if (fixed.length > 0) log.warn({}, `only a new start takes up what has changed of ${fixed.join(', ')}`);
    apply(settings);
    log.info({}, 'files have been read again');
  } catch (error) {
    log.error({}, `nothing has changed: ${reason(error)}`);
  }
}

const defaultKeys = ({ data }: Settings): string => `${data}/authorized_keys`;

const keyFilesOf = ({ data, hostKeys: { files } }: Settings): readonly string[] =>
  files.length === 0 ? hostKeyFiles(data) : files;

function keysFor({ data, hostKeys: { files, made } }: Settings) {
  return files.length === 0 ? hostKeys(data, accelerated) : hostKeysIn(files, made, accelerated);
}

function greeting(
  { authorizedKeys, enrol, anyKey }: Settings,
  keys: ReturnType<typeof keysFor>,
  { host, port }: Address,
  hints: Hints,
  opened: readonly string[],
): string {
  const more = anyKey ? ', and any other (--any-key)' : ', and any other on first contact (--no-enrol ends that)';
  const lines = [
    `listening on ${bracketed(host)}:${port}`,
    '',
    'Host keys (ssh asks you to compare one of them on first contact):',
    ...keys.map(key => `  ${fingerprint(key.blob)} (${key.type})`),
    `Keys that may sign in: ${authorizedKeys}${enrol || anyKey ? more : ''}`,
    '',
    ...opened,
    firstSteps(hints),
  ];
  return `${lines.join('\n')}\n`;
}
