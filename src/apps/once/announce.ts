// Tells somebody that the session can be had: runs a command with one argument, the host key; more is in variables.
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { OnceError } from './failure.ts';
import { ANNOUNCE_OUTPUT } from './limits.ts';

/** What clients need to know. */
export interface Announcement {
  /** "ssh-ed25519 AAAA…", without a comment or a line end. */
  readonly publicKey: string;
  /** "SHA256:…" */
  readonly fingerprint: string;
  /** What to connect to, and at which port. */
  readonly host: string;
  readonly port: number;
  /** The whole command. */
  readonly ssh: string;
  /** A line for known_hosts. */
  readonly knownHost: string;
}

/** The program's file. @throws OnceError if there is none that can be run */
export function findCommand(command: string): string {
  const places = command.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter);
  for (const place of places) {
    const file = join(place, command);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not there, or not for us.
    }
  }
  throw new OnceError(`Invalid announce command: ${command}`);
}

/**
 * Runs it to its end.
 * @returns what it wrote to its standard output
 * @throws OnceError if it cannot be run or fails
 */
export function announce(command: string, what: Announcement): Promise<string> {
  const env = {
    ...process.env,
    OTSSH_HOST: what.host,
    OTSSH_PORT: String(what.port),
    OTSSH_FINGERPRINT: what.fingerprint,
    OTSSH_COMMAND: what.ssh,
    OTSSH_KNOWN_HOST: what.knownHost,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(findCommand(command), [what.publicKey], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout = collected(child.stdout);
    const stderr = collected(child.stderr);
    child.on('error', () => reject(new OnceError(`Invalid announce command: ${command}`)));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(stdout());
      reject(new OnceError(`Announce failed: ${code ?? signal} ${stderr().trim()}`.trim()));
    });
  });
}

/** The first part of what comes. */
function collected(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(0, ANNOUNCE_OUTPUT);
  });
  return () => text;
}
