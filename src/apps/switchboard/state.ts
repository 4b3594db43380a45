// The switchboard's files: host keys, the secret behind aliases, authorized keys. Written to a temporary file, synced, renamed.
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { formatPrivateKey, formatPublicKey, parsePrivateKey, publicOf } from '../../crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import { KeyFormatError } from '../../protocol/errors.ts';
import { writeAll } from '../../server/runtime/write-all.ts';
import { attempt, checkDirectory, readSecret, StateError } from './files.ts';

export { attempt, readIfThere, StateError } from './files.ts';

/** Key types of the host keys that are made on first run, and sshd's names for their files. */
const HOST_KEYS = [
  ['ssh-ed25519', 'ssh_host_ed25519_key'],
  ['ecdsa-sha2-nistp256', 'ssh_host_ecdsa_key'],
  ['ssh-rsa', 'ssh_host_rsa_key'],
] as const;
/** Types of host keys by their places in nuttssh.ini. */
const NUTTSSH_TYPES = ['ecdsa-sha2-nistp256', 'ssh-ed25519', 'ssh-rsa'];
const SECRET = 'alias_secret';
const REGISTRY = 'switchboard.db';
const SECRET_BYTES = 32;
const STDOUT = 1;

/** Where state lives unless told otherwise (XDG Base Directory Specification). */
export function defaultDataDirectory(): string {
  return join(process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'cordboard', 'switchboard');
}

/** The file of names, invitations and bans. */
export const registryFile = (directory: string): string => join(directory, REGISTRY);

/** Makes `directory` if need be, readable by its owner only. @throws StateError also if everybody may write to it */
export function openDirectory(directory: string): void {
  attempt(`cannot use the data directory ${directory}`, () => {
    make(resolve(directory));
    checkDirectory(directory);
  });
}

/** One by one: Node's own way (`recursive`) never ends where none can be made in a directory that is there, as in /proc. */
function make(directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return;
  make(dirname(directory));
  mkdirSync(directory, 0o700);
}

/** A new directory for sockets, which only this user may enter. Its path must be short. @throws StateError */
export function socketDirectory(): string {
  let directory = '';
  attempt(`cannot make a directory in ${tmpdir()}`, () => {
    directory = mkdtempSync(join(tmpdir(), 'cordboard-workers-'));
  });
  return directory;
}

/** Replaces a file in one step: whoever reads it sees the old text or the new, also after a crash. @throws StateError */
export function replaceFile(file: string, text: string, mode = 0o600): void {
  const temporary = `${file}.${process.pid}.new`;
  attempt(`cannot write ${file}`, () => {
    try {
      const fd = openSync(temporary, 'w', mode);
      try {
        writeAll(fd, Buffer.from(text));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, file);
      const directory = openSync(dirname(file), 'r');
      try {
        fsyncSync(directory);
      } finally {
        closeSync(directory);
      }
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
}

/** Where the host keys in `directory` are, in the order of `hostKeys`. */
export const hostKeyFiles = (directory: string): string[] => HOST_KEYS.map(([, name]) => join(directory, name));

/** The host keys in `directory`; those that are missing are made. @throws StateError if one cannot be read */
export function hostKeys(directory: string, provider: CryptoProvider): PrivateKey[] {
  return HOST_KEYS.map(([type, name]) => hostKey(join(directory, name), provider, type));
}

/**
 * The host keys in these files. Where they are `made` if they are missing, the types are by their places those that nuttssh makes.
 * @throws StateError if one cannot be read, or made
 */
export function hostKeysIn(files: readonly string[], made: boolean, provider: CryptoProvider): PrivateKey[] {
  return files.map((file, i) => {
    if (made) openDirectory(dirname(file));
    return hostKey(file, provider, made ? NUTTSSH_TYPES[i] : undefined);
  });
}

/** `type`: what to make if there is none. */
function hostKey(file: string, provider: CryptoProvider, type: string | undefined): PrivateKey {
  const text = readSecret(file);
  if (text !== undefined) return parseHostKey(text, file);
  const algorithm = provider.signatures.find(({ keyType }) => keyType === type);
  if (algorithm === undefined) throw new StateError(`cannot read the host key ${file}: there is no such file`);
  const key = algorithm.generate(provider.random, 'cordboard switchboard');
  replaceFile(file, formatPrivateKey(key, {}, provider.random));
  replaceFile(`${file}.pub`, `${formatPublicKey(publicOf(key))}\n`, 0o644);
  return key;
}

function parseHostKey(text: string, file: string): PrivateKey {
  try {
    return parsePrivateKey(text);
  } catch (error) {
    if (error instanceof KeyFormatError) throw new StateError(`the host key ${file} cannot be used: ${error.message}`);
    throw error;
  }
}

/** The secret that aliases are derived with. Losing it changes every alias. @throws StateError */
export function aliasSecret(directory: string, provider: CryptoProvider): Uint8Array {
  const file = join(directory, SECRET);
  const text = readSecret(file)?.trim();
  if (text === undefined) {
    const secret = provider.random(new Uint8Array(SECRET_BYTES));
    replaceFile(file, `${Buffer.from(secret).toString('hex')}\n`);
    return secret;
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw new StateError(`${file} does not hold 64 hexadecimal digits`);
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Says something on standard output. @throws StateError if that cannot be written to */
export function print(text: string): void {
  attempt('cannot write to standard output', () => writeAll(STDOUT, Buffer.from(text)));
}
