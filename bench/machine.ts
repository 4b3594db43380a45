// On what the figures were measured, and with which versions.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, release, type } from 'node:os';
import { which } from '../test/kit/tools.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly node: string;
  readonly openssl: string;
  readonly ssh?: string;
  readonly sshd?: string;
  /** Of whom we are compared with, as far as they are here. */
  readonly peers: readonly string[];
  readonly commit?: string;
  readonly date: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: availableParallelism(),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
    ssh: said('ssh', ['-V'], /OpenSSH_[^\s,]+/),
    // It knows no such option before 9.3, but answers with its version and its usage then.
    sshd: said('sshd', ['-V'], /OpenSSH_[^\s,]+/),
    peers: [
      ['ssh2', packageVersion('ssh2')],
      ['Go', said('go', ['version'], /go(\d\S*)/)],
      ['x/crypto', debianVersion('golang-golang-x-crypto-dev')],
      ['AsyncSSH', debianVersion('python3-asyncssh')],
      ['dropbear', said('dropbear', ['-V'], /v(\d\S*)/)],
    ].flatMap(([name, version]) => (version ? [`${name} ${version}`] : [])),
    commit: said(
      'git',
      ['-C', import.meta.dirname, 'describe', '--always', '--dirty', '--exclude', '*'],
      /^[0-9a-f]+(?:-dirty)?$/m,
    ),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** The machine in one line. */
export function describe({ cpu, cores, system, node, openssl, ssh, sshd, peers, commit, date }: Machine): string {
  return [
    `${cpu}, ${cores} cores, ${system}`,
    `Node ${node} (OpenSSL ${openssl})`,
    ...(ssh ? [`ssh ${ssh}`] : []),
    ...(sshd ? [`sshd ${sshd}`] : []),
    ...peers,
    ...(commit ? [`commit ${commit}`] : []),
    date,
  ].join('; ');
}

function packageVersion(name: string): string | undefined {
  try {
    return createRequire(import.meta.url)(`${name}/package.json`).version;
  } catch {
    return undefined;
  }
}

/** Of an installed package of Debian's. */
const debianVersion = (name: string): string | undefined => said('dpkg', ['-s', name], /^Version: (?:\d+:)?([^-\s]+)/m);

function said(program: string, args: readonly string[], pattern: RegExp): string | undefined {
  const path = which(program);
  if (path === undefined) return undefined;
  const { stdout, stderr } = spawnSync(path, args, { encoding: 'utf8', timeout: 10_000 });
  const found = pattern.exec(`${stdout}${stderr}`);
  return found?.[1] ?? found?.[0];
}
