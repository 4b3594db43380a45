// The tables of docs/interop.md: what one run has tried with each client or server, and the test that compares them with the page.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { rewriteBlock, table } from './table.ts';
import { needs, which } from './tools.ts';

const page = join(import.meta.dirname, '..', '..', 'docs', 'interop.md');
const HEAD = ['program', 'version', 'role', 'tried', 'result'];
/** The column that Debian's updates change. */
const VERSION = 1;

/** One row. `who` and `role` together occur once. */
export interface Entry {
  /** The program or library, as its users call it: "libssh", "OpenSSH ssh". */
  readonly who: string;
  /** As it says itself, or as `debianVersion` says. */
  readonly version: string;
  /** What it was towards us: "client", "provider", "consumer". */
  readonly role: string;
  /** What was done, separated by commas: "key, password, exit status". */
  readonly tried: string;
  /** "✓", or what came of it in a few words. */
  readonly result: string;
}

/** Things that a program wants of the machine. */
export interface Wanted {
  /** Commands, by name or path. */
  readonly programs?: readonly string[];
  /** Files of libraries, which are there or not. */
  readonly files?: readonly string[];
}

interface Suite {
  (name: string, body: () => void | Promise<void>): void;
  skip(name?: string, body?: () => void | Promise<void>): void;
}

/** The rows of one block of docs/interop.md, collected while a test file runs. */
export class InteropTable {
  readonly #block: string;
  readonly #entries: Entry[] = [];
  /** Programs that this machine does not have. */
  readonly #missing: string[] = [];
  /** Tests that were to write rows, and have not ended well (yet). */
  readonly #open = new Set<string>();

  /** `block` is the name between the page's markers: "clients" or "servers". */
  constructor(block: string) {
    this.#block = block;
  }

  /** Adds a row; rows are sorted by `who` and stay in the order of their coming otherwise. */
  entry(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** Whether the machine has all of `wanted`. */
  has({ programs = [], files = [] }: Wanted): boolean {
    return programs.every(program => which(program) !== undefined) && files.every(file => existsSync(file));
  }

  /** `test` for one that adds rows: like `needs`, but the comparison knows of those that were skipped or that failed. */
  test(test: Suite, wanted: Wanted, name: string, body: () => Promise<void>): void {
    const missing = (wanted.files ?? []).filter(file => !existsSync(file));
    const it = needs(test, ...(wanted.programs ?? []), ...missing);
    if (!this.has(wanted)) {
      this.#missing.push(name);
      return it(name, body);
    }
    this.#open.add(name);
    it(name, async () => {
      await body();
      this.#open.delete(name);
    });
  }

  /** Registers the last test of the file: the page shows what was measured; UPDATE=1 rewrites it. */
  compare(test: Suite): void {
    test(`docs/interop.md shows what was measured: ${this.#block}`, () => {
      if (this.#missing.length > 0)
        return console.log(`note: ${this.#block}: not compared without ${this.#missing.join(', ')}`);
      assert.equal([...this.#open], [], 'not compared: these have failed');
      const sorted = this.#entries.toSorted((a, b) => a.who.localeCompare(b.who, 'en'));
      const rows = sorted.map(({ who, version, role, tried, result }) => [who, version, role, tried, result]);
      const content = table(HEAD, rows, HEAD.length);
      if (process.env.UPDATE === '1') rewriteBlock(page, this.#block, content);
      const shown = shownRows(this.#block);
      const without = (all: readonly (readonly string[])[]) => all.map(cells => cells.toSpliced(VERSION, 1));
      assert.equal(
        without(shown),
        without(rows),
        `docs/interop.md shows something else; UPDATE=1 writes this into it:\n${content}`,
      );
      for (const [i, row] of rows.entries()) {
        if (shown[i][VERSION] !== row[VERSION])
          console.log(`note: ${row[0]} is ${row[VERSION]}, docs/interop.md says ${shown[i][VERSION]}`);
      }
    });
  }
}

/** The cells that a block of the page shows, without its head. */
function shownRows(block: string): string[][] {
  const text = readFileSync(page, 'utf8');
  const between = text.slice(text.indexOf(`<!-- begin ${block} -->`), text.indexOf(`<!-- end ${block} -->`));
  const lines = between.split('\n').filter(line => line.startsWith('|'));
  return lines.slice(2).map(line =>
    line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  );
}

/** The upstream part of a Debian package's version: "0.10.6" of "0.10.6-0+deb12u3". "unknown" where dpkg does not know it. */
export function debianVersion(name: string): string {
  try {
    const [, version] = /^Version: (?:\d+:)?(.*)$/m.exec(execFileSync('dpkg', ['-s', name], { encoding: 'utf8' }))!;
    return version.replace(/-[^-]*$/, '').replace(/[+~]dfsg.*$/, '');
  } catch {
    return 'unknown';
  }
}

/** The version of a package in node_modules. */
export function npmVersion(name: string): string {
  const file = join(import.meta.dirname, '..', '..', 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
