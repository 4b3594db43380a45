// What the switchboard is to do: flags before the environment, that before the configuration file, and what is missing follows from the rest.
import { join } from 'node:path';
import type { Command, Option } from 'commander';
import { CommanderError } from 'commander';
import { parseAddress } from '../../crypto/keys/index.ts';
import type { Times } from '../../server/drive.ts';
import { isLoopback, type StartupLimits } from '../../server/penalties.ts';
import { checkSecret, readTrusted } from './files.ts';
import type { ConsoleAddress, Flags } from './flags.ts';
import { parseBoolean } from './ini.ts';
import type { NodeAddress } from './lines.ts';
import { type FileSettings, readConfiguration } from './nuttssh.ts';
import type { Quotas } from './quotas.ts';
import { StateError } from './state.ts';

/** Plain data, so that another process can be told. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  /** The server's name in commands that are printed. */
  readonly shownHost: string;
  /** The data directory, and files in it or elsewhere. */
  readonly data: string;
  readonly authorizedKeys: string;
  /** Host keys elsewhere; `made` if they are missing. */
  readonly hostKeys: { readonly files: readonly string[]; readonly made: boolean };
  readonly enrol: boolean;
  readonly anyKey: boolean;
  readonly useDns: boolean;
  readonly publicNames: boolean;
  readonly balance: boolean;
  readonly pty: boolean;
  readonly shell: boolean;
  /** Seconds. */
  readonly deadAfter: number;
  readonly loginGrace: number;
  readonly maxStartups: StartupLimits;
  readonly drain: number;
  readonly quotas: Quotas;
  readonly workers: number;
  /** Balancers in front of it, as in `ServerOptions.proxies`. */
  readonly proxyProtocol?: string;
  /** The directory that is shared with other switchboards, where they reach this one if not where it listens, and who they are. */
  readonly directory?: string;
  readonly advertise?: NodeAddress;
  readonly nodeKeys?: string;
  /** Seconds. */
  readonly lease: number;
  readonly logLevel: string;
  readonly logFormat: Flags['logFormat'];
  readonly audit?: string;
  readonly console?: ConsoleAddress;
  readonly consoleTokenFile?: string;
}

/** Settings that a running process does not take up. */
const FIXED = [
  ...(['host', 'port', 'data', 'authorizedKeys', 'hostKeys', 'anyKey', 'useDns', 'balance'] as const),
  ...(['deadAfter', 'loginGrace', 'maxStartups', 'workers', 'directory', 'advertise', 'nodeKeys', 'lease'] as const),
  ...(['proxyProtocol', 'logFormat', 'audit', 'console', 'consoleTokenFile'] as const),
];

/** Which of two settings differ in what only a new start takes up. */
export const changedForGood = (one: Settings, other: Settings): string[] =>
  FIXED.filter(key => JSON.stringify(one[key]) !== JSON.stringify(other[key]));

/** What is so already, and decides what follows from the rest. */
export interface Started {
  /** Addresses that are really listened on, in place of `--host`; an empty text for one that nobody could find out. */
  readonly listened: readonly string[];
  /** Any key is let in, until a new start. */
  readonly anyKey?: boolean;
}

/**
 * What a parsed command line comes to; asked again, it reads the configuration file anew.
 * @throws StateError if that file cannot be used, CommanderError for a value that makes no sense
 */
export function settingsOf(command: Command, started?: Started): Settings {
  const { config } = command.opts<Flags>();
  const file = config === undefined ? undefined : readConfiguration(config);
  const flags = { ...command.opts<Flags>() };
  const explicit = (name: keyof Flags) => ['cli', 'env'].includes(command.getOptionValueSource(name) ?? '');
  for (const option of command.options) {
    const name = option.attributeName() as keyof Flags;
    // Commander takes a variable that is set for yes, whatever it says.
    if (isSwitch(option) && command.getOptionValueSource(name) === 'env')
      set(flags, name, fromVariable(option, command));
  }
  for (const [key, value] of file?.flags ?? []) {
    const option = command.options.find(({ long }) => long === `--${key}` || long === `--no-${key}`);
    if (option === undefined || key === 'config') throw new StateError(`${config}: there is no --${key}`);
    const name = option.attributeName() as keyof Flags;
    if (explicit(name)) continue;
    set(flags, name, fromFile(option, value, `${config}: ${key}`));
    if (name === 'directory' && hasPassword(value)) checkSecret(config!);
  }
  return complete(flags, file, started ?? { listened: [flags.host] });
}

/** What follows from the rest. */
function complete(flags: Flags, file: FileSettings | undefined, { listened, anyKey: already }: Started): Settings {
  const { host, port, data, anyKey = false } = flags;
  // Whoever can reach one of the addresses can enrol; a balancer is there for others.
  const enrol =
    flags.enrol ?? (flags.proxyProtocol === undefined && listened.every(one => one === 'localhost' || isLoopback(one)));
  const [first] = listened;
  const reachable = first !== '' && !isWildcard(first);
  if (flags.directory !== undefined && flags.advertise === undefined && !reachable) {
    throw new StateError(`--directory needs --advertise HOST:PORT: other nodes cannot reach this one at "${first}"`);
  }
  if (flags.nodeKeys !== undefined) {
    if (flags.directory === undefined) throw new StateError('--node-keys is of no use without --directory');
    if (readTrusted(flags.nodeKeys) === undefined) {
      throw new StateError(`--node-keys ${flags.nodeKeys} cannot be read: no such file or directory`);
    }
  }
  const hostKeys = flags.hostKey ? { files: flags.hostKey, made: false } : { files: file?.hostKeys ?? [], made: true };
  return {
    ...{ host, port, data, enrol, anyKey, hostKeys },
    shownHost: flags.fqdn ?? (reachable ? first : 'localhost'),
    authorizedKeys: flags.authorizedKeys ?? join(data, 'authorized_keys'),
    useDns: flags.useDns ?? false,
    publicNames: flags.publicNames ?? !(enrol || anyKey || already),
    balance: flags.balance ?? false,
    pty: flags.pty,
    shell: flags.shell,
    deadAfter: flags.deadAfter,
    ...{ loginGrace: flags.loginGrace, maxStartups: flags.maxStartups },
    drain: flags.drain,
    quotas: {
      ...{ clients: flags.maxClients, lines: flags.maxLines, circuits: flags.maxCircuits, rate: flags.maxRate },
      ...{ circuitIdle: flags.circuitIdle, clientIdle: flags.clientIdle },
    },
    workers: flags.workers,
    ...{ directory: flags.directory, advertise: flags.advertise, nodeKeys: flags.nodeKeys, lease: flags.lease },
    logLevel: flags.logLevel,
    logFormat: flags.logFormat,
    ...(flags.proxyProtocol !== undefined && { proxyProtocol: flags.proxyProtocol }),
    ...(flags.audit !== undefined && { audit: flags.audit }),
    ...(flags.console !== undefined && { console: flags.console }),
    ...(flags.consoleTokenFile !== undefined && { consoleTokenFile: flags.consoleTokenFile }),
  };
}

/** Whether the URL of a directory has a password in it. */
export const hasPassword = (url: string): boolean => URL.canParse(url) && new URL(url).password !== '';

/** 0.0.0.0 or ::, however it is written: every address of the machine. */
function isWildcard(host: string): boolean {
  const address = parseAddress(host);
  return address?.every(byte => byte === 0) ?? false;
}

/** `--balance`, `--no-pty`: in files and variables "balance" and "pty", yes or no. */
const isSwitch = (option: Option): boolean => option.isBoolean() || option.negate;

function set(flags: Flags, name: keyof Flags, value: unknown): void {
  Object.assign(flags, { [name]: value });
}

function fromVariable({ envVar }: Option, command: Command): boolean {
  try {
    return parseBoolean(process.env[envVar!]!);
  } catch (error) {
    return command.error(`error: the value of ${envVar} is invalid: ${(error as Error).message}`, { exitCode: 2 });
  }
}

function fromFile(option: Option, value: string, where: string): unknown {
  try {
    if (isSwitch(option)) return parseBoolean(value);
    if (option.argChoices && !option.argChoices.includes(value)) {
      throw new StateError(`it is not one of ${option.argChoices.join(', ')}`);
    }
    return option.parseArg ? option.parseArg(value, undefined) : value;
  } catch (error) {
    if (!(error instanceof StateError || error instanceof CommanderError)) throw error;
    throw new StateError(`${where} = ${value}: ${error.message}`);
  }
}

/** A client is asked twice whether it lives, a third and two thirds through the time after which it is given up. */
export function timesFor(deadAfter: number): Partial<Times> {
  return { keepaliveInterval: deadAfter === 0 ? 0 : Math.max(1, Math.floor(deadAfter / 3)), keepaliveCount: 2 };
}
