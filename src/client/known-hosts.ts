// Known hosts for `dial`: checks a server's key against known_hosts files (ssh(1), VERIFYING HOST KEYS) and remembers new ones.
import { appendFile, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { accelerated } from '../crypto/accelerated.ts';
import {
  describePublicKey,
  fingerprint,
  formatKnownHost,
  type HostName,
  hostText,
  isCertificate,
  type KnownHost,
  lookupHost,
  MAX_KEY_FILE,
  orderHostKeyAlgorithms,
  type PublicKey,
  parseCertificate,
  parseKnownHosts,
  parsePublicKeyBlob,
} from '../crypto/keys/index.ts';
import type { CryptoProvider, SignatureAlgorithm } from '../crypto/provider.ts';
import { Disconnect, KeyFormatError, ProtocolError } from '../protocol/errors.ts';
import { concat } from '../protocol/wire/reader.ts';

/**
 * What `dial` asks about a server's key. A plain function will do: true accepts the key. What it throws, `dial` throws.
 * `algorithm` is the name under which the server signed.
 */
export interface HostKeyCheck {
  (key: Uint8Array, algorithm: string, host: Required<HostName>): boolean | Promise<boolean>;
  /** Names of the algorithms in the order in which the server should be asked for them; absent: the provider's order. */
  prefer?(algorithms: readonly SignatureAlgorithm[], host: Required<HostName>): string[] | Promise<string[]>;
}

/** Which files, and what to do with hosts that are in none. */
export interface KnownHostsOptions {
  /** Paths, read anew for each connection; one that is not there holds no keys. New keys go to the first. */
  readonly files: readonly string[];
  /**
   * What happens to a host that no line knows. True (and by default): it is refused. 'accept-new': its key is added to the
   * first file. A function: it decides, and what it accepts is added; show the user `key.fingerprint`. A changed or
   * revoked key is refused in any case.
   */
  readonly strict?: true | 'accept-new' | ((question: NewHost) => boolean | Promise<boolean>);
  /** New lines hide the host's name (HashKnownHosts). */
  readonly hash?: boolean;
  /** Lines that are not understood: "FILE:LINE: what is wrong". They are skipped. */
  problem?(message: string): void;
  /** Verifies certificates; by default the accelerated one. */
  readonly provider?: CryptoProvider;
  /** The time for certificates, in milliseconds since 1970; by default the system's. */
  now?(): number;
}

/** A host that is not known, and the key that it has shown. */
export interface NewHost extends Required<HostName> {
  /** The plain key, if the host has shown a certificate too. */
  readonly key: PublicKey;
  /** "SHA256:…". */
  readonly fingerprint: string;
}

/**
 * A `hostKey` for `dial`: accepts what is in the files, by key or by a certificate of an authority in them.
 * It throws ProtocolError HOST_KEY_NOT_VERIFIABLE, with a message that names file and line, for any other; the
 * system's error if a file cannot be read or written; and KeyFormatError if one is larger than 8 MiB.
 */
export function knownHosts(options: KnownHostsOptions): HostKeyCheck {
  const { files, strict = true, hash = false, provider = accelerated, now = Date.now } = options;
  const load = async () => {
    const lists = await Promise.all(files.map(file => readKnownHosts(file, options.problem)));
    return lists.flat();
  };
  const check: HostKeyCheck = async (blob, _algorithm, host) => {
    const verdict = lookupHost(await load(), host, blob, { now: now(), provider });
    if (verdict.result === 'match' || verdict.result === 'certificate') return true;
    // A certificate that counts for nothing is taken for its key, as in ssh.
    const key = isCertificate(blob) ? parseCertificate(blob).key : parsePublicKeyBlob(blob);
    if (verdict.result === 'revoked')
      throw refusal(`${describe(host, key)} is marked as revoked in ${place(verdict.entry)}`);
    const because = verdict.reason === undefined ? '' : ` (its certificate ${verdict.reason})`;
    if (verdict.result === 'changed') throw refusal(changed(host, key, verdict.entries) + because);
    const question = { host: host.host, port: host.port, key, fingerprint: fingerprint(key.blob) };
    if (strict === 'accept-new' || (typeof strict === 'function' && (await strict(question)))) {
      if (files.length > 0) await addKnownHost(files[0], host, key, hash ? provider : undefined);
      return true;
    }
    const where = files.length > 0 ? `no line of ${files.join(', ')} is about it` : 'there is no known_hosts file';
    throw refusal(`${describe(host, key)} is not known: ${where}${because}`);
  };
  check.prefer = async (algorithms, host) => orderHostKeyAlgorithms(await load(), host, algorithms);
  return check;
}

/**
 * Appends a line for the host to a known_hosts file, which is made if it is not there (readable by its owner only). One
 * write at the end of the file, as ssh does it: a new file in place of the old one would lose what others append meanwhile.
 * @param hashed hides the host's name with its randomness
 * @throws UsageError if the host's name cannot stand in the file, or the system's error
 */
export async function addKnownHost(
  file: string,
  host: HostName,
  key: PublicKey,
  hashed?: Pick<CryptoProvider, 'random'>,
): Promise<void> {
  const line = formatKnownHost(hostText(host), { ...key, comment: '' }, hashed ? { hash: hashed.random } : {});
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'a+', 0o600);
  try {
    const { size } = await handle.stat();
    const last = new Uint8Array(1);
    if (size > 0) await handle.read(last, 0, 1, size - 1);
    // A last line without its end would swallow ours.
    const gap = size > 0 && last[0] !== 0x0a ? '\n' : '';
    // It goes on after a short write, and fails if not all can be written.
    await appendFile(handle, `${gap}${line}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * The entries of one file; none if it is not there.
 * @throws the system's error if it cannot be read, KeyFormatError if it is larger than 8 MiB: with a part of it, a changed
 * key would be a new one
 */
export async function readKnownHosts(file: string, problem?: (message: string) => void): Promise<KnownHost[]> {
  const text = await readText(file);
  if (text === undefined) return [];
  const { entries, problems } = parseKnownHosts(text, file);
  for (const { line, message } of problems) problem?.(line > 0 ? `${file}:${line}: ${message}` : `${file}: ${message}`);
  return entries;
}

/** Bytes that are read at once: more than most such files have. */
const READ = 64 * 1024;

async function readText(file: string): Promise<string | undefined> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const parts: Uint8Array[] = [];
    // Until its end, not its size: a pipe has none.
    for (let length = 0; ; ) {
      const { bytesRead, buffer } = await handle.read(new Uint8Array(READ), 0, READ, null);
      if (bytesRead === 0) return new TextDecoder().decode(concat(...parts));
      parts.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
      if (length > MAX_KEY_FILE) throw new KeyFormatError(`${file} is larger than ${MAX_KEY_FILE} bytes`);
    }
  } finally {
    await handle.close();
  }
}

const refusal = (message: string) => new ProtocolError(message, Disconnect.HOST_KEY_NOT_VERIFIABLE);

const place = ({ file, line }: KnownHost): string => (file === undefined ? `line ${line}` : `${file}:${line}`);

const describe = (host: HostName, key: PublicKey): string => `the key of host ${hostText(host)}, ${short(key)},`;

/** "ED25519 SHA256:…". */
function short(key: PublicKey): string {
  const [, print] = describePublicKey(key).split(' ');
  return `${/\((.*)\)$/.exec(describePublicKey(key))?.[1]} ${print}`;
}

function changed(host: HostName, key: PublicKey, entries: readonly KnownHost[]): string {
  const same = entries.filter(entry => entry.key.type === key.type);
  const [first] = same.length > 0 ? same : entries;
  const remove = `ssh-keygen -R '${hostText(host)}'${first.file === undefined ? '' : ` -f ${first.file}`}`;
  return `${describe(host, key)} is not the one in ${place(first)}, ${short(first.key)}: somebody may be listening in, or the host has a new key; if you know it has, remove the old one with ${remove}`;
}
