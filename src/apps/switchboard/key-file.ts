// The authorized_keys file as it is now: read again when it changes, and appended to by enrolment.
import { type AuthorizedKey, fingerprint, type KeyOption, parseAuthorizedKeys } from '../../crypto/keys/index.ts';
import { printable } from '../../protocol/errors.ts';
import type { Logger } from '../../server/server.ts';
import { appendLine, lineFor, version } from './enrolment.ts';
import { readTrusted, StateError } from './files.ts';
import { denies, namesIn, problemOf } from './grants.ts';
import type { Appended } from './visitors.ts';

export class KeyFile {
  readonly #file: string;
  readonly #log: Logger;
  /** By the fingerprint of the key in the line, in the order of the file. */
  #entries = new Map<string, AuthorizedKey[]>();
  /** Fingerprints in lines that cannot be used: known, so that they are not enrolled with more rights than their lines meant to give. */
  #refused = new Set<string>();
  /** Names that lines give to their keys. */
  #given = new Set<string>();
  /** What `version` said of the file as we know it. */
  #version = '';

  /** @throws StateError if the file is there and cannot be read, or everybody may write to it */
  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#load();
  }

  /** Keys that it has. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether the file gives the name to some key. */
  gives(name: string): boolean {
    return this.#given.has(name);
  }

  /** Whether some line is about the key with this fingerprint. */
  knows(id: string): boolean {
    return this.#entries.has(id) || this.#refused.has(id);
  }

  /** Whether a line about it cannot be used. */
  refuses(id: string): boolean {
    return this.#refused.has(id);
  }

  /** The lines about it that can be used, in the order of the file. */
  entries(id: string): readonly AuthorizedKey[] {
    return this.#entries.get(id) ?? [];
  }

  /** Reads the file again if it has changed. False if it cannot be read: then nobody gets in, and the log says why. */
  refresh(): boolean {
    try {
      if (version(this.#file) !== this.#version) this.#load();
      return true;
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      this.#log.error({ file: this.#file }, `nobody can sign in: ${error.message}`);
      return false;
    }
  }

  /** Appends a key to the file, keeping what is there byte for byte. Returns what others are to hear. @throws StateError */
  append(key: Uint8Array, options: readonly KeyOption[], user: string, address: string): Appended {
    const before = version(this.#file);
    const line = lineFor(key, options, `${user}@${address}`);
    const alone = appendLine(this.#file, line);
    const fields = { user: printable(user), address, key: fingerprint(key) };
    this.#log.info(fields, `key enrolled in ${this.#file}`);
    // Whoever knows the file as it was knows it now, unless somebody else has written meanwhile.
    const appended = { line, before: alone ? before : '', after: version(this.#file) };
    if (!this.heard(appended)) this.#load();
    return appended;
  }

  /**
   * The file has grown by a line. Reading thousands of lines again for one that we know is left to the case that someone else
   * has written, too; then this is false, and the next who signs in finds the file changed.
   */
  heard({ line, before, after }: Appended): boolean {
    const [entry] = parseAuthorizedKeys(line).entries;
    if (before !== this.#version || entry === undefined) return false;
    this.#add(entry);
    this.#version = after;
    return true;
  }

  #load(): void {
    const [file, log] = [this.#file, this.#log];
    const before = version(file);
    const text = readTrusted(file, doubt => log.warn({ file }, doubt)) ?? '';
    const { entries, problems } = parseAuthorizedKeys(text);
    this.#entries = new Map();
    this.#refused = new Set();
    this.#given = new Set();
    for (const { line, message, key } of problems) {
      if (key) this.#refused.add(fingerprint(key.blob));
      log.warn({ file, line }, `line ${line} of ${file} is ignored: ${message}`);
    }
    for (const entry of entries) {
      const problem = problemOf(entry);
      if (problem === undefined) this.#add(entry);
      else {
        this.#refused.add(fingerprint(entry.key.blob));
        log.warn({ file, line: entry.line }, `the key in line ${entry.line} of ${file} is refused: ${problem}`);
      }
    }
    this.#version = before;
  }

  #add(entry: AuthorizedKey): void {
    const id = fingerprint(entry.key.blob);
    const entries = this.#entries.get(id);
    if (entries) entries.push(entry);
    else this.#entries.set(id, [entry]);
    if (!denies(entry)) for (const name of namesIn(entry)) this.#given.add(name);
  }
}
