// The configuration file: nuttssh's own nuttssh.ini as it is, and a section [cordboard] for every flag that nuttssh does not have.

import { reason } from '../../server/runtime/reason.ts';
import { readTrusted, StateError } from './files.ts';
import { parseBoolean, parseIni } from './ini.ts';

/** What a file says, as if it were flags: values by the flag's name without its dashes. */
export interface FileSettings {
  readonly flags: ReadonlyMap<string, string>;
  /** Paths of host keys, in the order of the file; those that are missing are made, with the type that nuttssh gives them. */
  readonly hostKeys: readonly string[];
}

/** What keys of [server] are called here. */
const SERVER: Readonly<Record<string, string>> = {
  listen_host: 'host',
  listen_port: 'port',
  server_fqdn: 'fqdn',
  allow_new_clients: 'enrol',
  allow_pty: 'pty',
  enable_shell: 'shell',
};

/** @throws StateError, one sentence, if there is no such file or it makes no sense */
export function readConfiguration(file: string): FileSettings {
  const text = readTrusted(file);
  if (text === undefined) throw new StateError(`cannot read ${file}: there is no such file`);
  try {
    return settingsIn(text);
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    throw new StateError(`${file}: ${reason(error)}`);
  }
}

function settingsIn(text: string): FileSettings {
  const flags = new Map<string, string>();
  const hostKeys: string[] = [];
  const sections = parseIni(text);
  for (const [key, value] of sections.get('server') ?? []) {
    if (key === 'enable_auth') flags.set('any-key', parseBoolean(value) ? 'no' : 'yes');
    else if (Object.hasOwn(SERVER, key)) flags.set(SERVER[key], value);
    else throw new StateError(`[server] has no ${key}`);
  }
  for (const [key, value] of sections.get('keys') ?? []) {
    if (key === 'authorized_keys_file') flags.set('authorized-keys', value);
    // Names and the secret behind aliases lie with the keys, so that one volume holds all that must be kept.
    else if (key === 'host_key_dir') flags.set('data', value);
    else hostKeys.push(value);
  }
  for (const [key, value] of sections.get('cordboard') ?? []) flags.set(key, value);
  return { flags, hostKeys };
}
