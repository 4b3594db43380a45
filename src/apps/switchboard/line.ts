// A line: a port or a socket that somebody has plugged in, and how it is called. Nothing here knows of names.
import type { ListenTarget } from '../../server/forwarding.ts';
import { isShown } from './names.ts';

/** Where allocated ports begin: the dynamic range (RFC 6335 §6), which no well-known service uses. */
const FIRST_PORT = 49152;
const LAST_PORT = 65535;
/** RFC 1035's limit of a host name, and room for a path; requested addresses are stored and echoed. */
export const MAX_HOST = 255;

/** One virtual listener, to the letter as `ssh -R` asked for it: ssh refuses calls that name anything else. */
export type Line = ListenTarget;

/** What a line is called by, behind its provider's name: its port, or the path of its socket. */
export const lineKey = (line: Line): string => (line.kind === 'tcp' ? String(line.port) : line.path);

/** Whether it is the path of a socket that can be a line. */
export const isPath = (path: unknown): path is string =>
  typeof path === 'string' && /^\/[\x21-\x7e]+$/.test(path) && path.length <= MAX_HOST;

/** Whether `ssh -R` may ask for this address: any text that can be shown, because it comes back to the letter. */
export const isListenHost = (host: unknown): host is string => isShown(host) && host.length <= MAX_HOST;

/** Why a line cannot be plugged in. */
export class LineRefused extends Error {}

/** What is called, and which of its lines: "/name/path/to" is the line "/path/to" of `name`. */
export function split(target: Line): { host: string; key: string } {
  if (target.kind === 'tcp') return { host: target.host, key: lineKey(target) };
  const [, host = '', key = '/'] = /^\/([^/]*)(.*)$/s.exec(target.path) ?? [];
  return { host, key };
}

/** The line as it is to be plugged in beside those that its client has. @throws LineRefused */
export function choose(have: readonly Line[], wanted: Line): Line {
  const taken = (key: string) => have.some(line => lineKey(line) === key);
  if (wanted.kind === 'unix') {
    const { path } = wanted;
    if (!isPath(path)) throw new LineRefused('the path is none for a line');
    if (taken(path)) throw new LineRefused(`${path} is plugged in already`);
    return wanted;
  }
  const { host } = wanted;
  let { port } = wanted;
  if (!isListenHost(host)) throw new LineRefused('the listen address is no address');
  if (port > LAST_PORT) throw new LineRefused(`port ${port} does not exist`);
  if (port === 0) {
    port = FIRST_PORT;
    while (taken(String(port))) port++;
  } else if (taken(String(port))) throw new LineRefused(`port ${port} is plugged in already`);
  return { kind: 'tcp', host, port };
}
