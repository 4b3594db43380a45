// The table "Who may import whom" of DESIGN.md, and what CONTRIBUTING.md says of globals and Buffer, as a check over sources.
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import * as reading from './source.ts';
import { type Import, lineAt } from './source.ts';

/** Text by path: 'src/protocol/wire/packet.ts'. */
export type Sources = ReadonlyMap<string, string>;

/** Each text is taken apart once, however often the check runs. */
function remembering<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return text => {
    if (!known.has(text)) known.set(text, read(text));
    return known.get(text)!;
  };
}
const codeOf = remembering(reading.codeOf);
const importsOf = remembering(reading.importsOf);
const exportsOf = remembering(reading.exportsOf);

const root = join(import.meta.dirname, '../..');
const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};

const inside = (folder: string) => (path: string) => path.startsWith(`src/${folder}/`);
const isAny =
  (...paths: string[]) =>
  (path: string) =>
    paths.includes(path);
const either =
  (...tests: ((path: string) => boolean)[]) =>
  (path: string) =>
    tests.some(one => one(path));

const PROVIDER = 'src/crypto/provider.ts';
const isWire = either(inside('protocol/wire'), isAny('src/protocol/errors.ts'));
/** Of the server, what a client's I/O is made of, too. */
const SHARED_IO = isAny(
  'src/server/drive.ts',
  'src/server/stream-socket.ts',
  'src/server/streams.ts',
  'src/server/tcp.ts',
  'src/server/reaching.ts',
  'src/server/runtime/names.ts',
  'src/server/runtime/net.ts',
  'src/server/runtime/paths.ts',
);

/** The programs, and how they begin. */
const isCommand = isAny('src/cli.ts', 'src/otssh.ts', 'src/command.ts');

interface Part {
  readonly name: string;
  has(path: string): boolean;
  /** Files that it may import. */
  may(path: string, from: string): boolean;
  /** Packages and node:* modules that it may import. */
  mayUse(specifier: string, from: string): boolean;
}

const declared = (specifier: string) =>
  Object.keys({ ...dependencies, ...optionalDependencies }).some(
    name => specifier === name || specifier.startsWith(`${name}/`),
  );
const noble = (specifier: string) => specifier.startsWith('@noble/') && declared(specifier);
const isNode = (specifier: string) => specifier.startsWith('node:');

/** The table, first row that fits. */
export const parts: readonly Part[] = [
  { name: 'protocol/wire and protocol/errors', has: isWire, may: isWire, mayUse: () => false },
  { name: 'protocol', has: inside('protocol'), may: either(inside('protocol'), isAny(PROVIDER)), mayUse: () => false },
  {
    name: 'crypto',
    has: inside('crypto'),
    may: either(inside('crypto'), isWire),
    mayUse: (specifier, from) =>
      noble(specifier) ||
      (specifier === 'pako' && from === 'src/crypto/zlib.ts') ||
      (specifier === 'node:crypto' && either(inside('crypto/node'), isAny('src/crypto/accelerated.ts'))(from)),
  },
  {
    name: 'server',
    has: inside('server'),
    may: either(inside('server'), inside('protocol'), inside('crypto')),
    mayUse: (specifier, from) => isNode(specifier) && inside('server/runtime')(from),
  },
  {
    name: 'client',
    has: inside('client'),
    may: either(inside('client'), inside('protocol'), inside('crypto'), SHARED_IO),
    mayUse: (specifier, from) => isNode(specifier) && from === 'src/client/known-hosts.ts',
  },
  {
    name: 'apps',
    has: inside('apps'),
    may: (path, from) =>
      either(inside('server'), inside('client'), inside('protocol'), inside('crypto'))(path) ||
      appOf(path) === appOf(from),
    mayUse: specifier => isNode(specifier) || specifier === 'bun:ffi' || declared(specifier),
  },
  {
    name: 'the commands',
    has: isCommand,
    may: path => path === 'src/command.ts' || !isCommand(path),
    mayUse: specifier => isNode(specifier) || declared(specifier),
  },
  {
    name: 'the paved path',
    has: isAny('src/index.ts'),
    may: path => !inside('apps')(path) && !isCommand(path),
    mayUse: () => false,
  },
];

const appOf = (path: string) => /^src\/apps\/([^/]+)\//.exec(path)?.[1];

/** Globals that differ from runtime to runtime, or make the protocol depend on time, chance or the process. */
const GLOBALS = [
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'queueMicrotask',
  'process',
  'globalThis',
  'global',
  'crypto',
  'console',
  'fetch',
  'navigator',
  'WebAssembly',
  'eval',
];

/** What src breaks, as "file:line: what". */
export function check(sources: Sources): string[] {
  const found: string[] = [];
  const report = (path: string, line: number, what: string) => found.push(`${path}:${line}: ${what}`);
  const exported = publicNames(sources);
  for (const [path, source] of sources) {
    const part = parts.find(({ has }) => has(path));
    if (part === undefined) {
      report(path, 1, 'belongs to no part of the table in DESIGN.md');
      continue;
    }
    for (const found of importsOf(source)) {
      const { specifier, line } = found;
      if (specifier === undefined) report(path, line, 'imports something computed');
      else if (specifier.startsWith('.')) {
        const to = normalize(join(dirname(path), specifier));
        if (!sources.has(to)) report(path, line, `imports ${to}, which is not there`);
        else if (!part.may(to, path)) report(path, line, `${part.name} may not import ${to}`);
        else for (const what of onNames(path, to, found, exported)) report(path, line, what);
      } else if (!part.mayUse(specifier, path)) report(path, line, `${part.name} may not import ${specifier}`);
    }
    for (const [line, what] of onGlobals(path, source)) report(path, line, what);
  }
  return [...found, ...cyclesOfFiles(sources), ...cyclesOfFolders(sources)];
}

/** Rules about single names. */
function onNames(path: string, to: string, { values, types }: Import, exported: ReadonlySet<string>): string[] {
  if (inside('protocol')(path) && to === PROVIDER) {
    return values
      .filter(name => name !== 'byName')
      .map(name => `protocol may import types and byName of ${PROVIDER}, not ${name}`);
  }
  if (inside('apps')(path) && either(inside('protocol'), inside('crypto'))(to)) {
    return [...values, ...types].filter(name => !exported.has(name)).map(name => `${name} of ${to} is no public name`);
  }
  return [];
}

function* onGlobals(path: string, source: string): Generator<[number, string]> {
  const code = codeOf(source);
  const uses = (name: string) => code.matchAll(new RegExp(`(?<![.\\w$#])${name}(?![\\w$]|\\s*\\??:)`, 'g'));
  if (inside('protocol')(path)) {
    for (const name of GLOBALS)
      for (const { index } of uses(name)) yield [lineAt(code, index), `protocol may not use ${name}`];
    for (const { index } of uses('Math\\s*\\.\\s*random'))
      yield [lineAt(code, index), 'protocol may not use Math.random'];
  }
  // CONTRIBUTING.md, "How we write", 5.
  if (either(inside('server/runtime'), inside('crypto/node'), inside('apps'), isCommand)(path)) return;
  for (const { index } of uses('Buffer'))
    yield [lineAt(code, index), 'Buffer is for src/server/runtime, src/crypto/node and applications'];
}

/** All that the three entry points of the library export. */
function publicNames(sources: Sources): Set<string> {
  const names = new Set<string>();
  const add = (path: string) => {
    const source = sources.get(path);
    if (source === undefined) return;
    for (const name of exportsOf(source)) names.add(name);
    for (const { specifier, values } of importsOf(source)) {
      if (values.includes('*') && specifier?.startsWith('.')) add(normalize(join(dirname(path), specifier)));
    }
  };
  for (const path of ['src/index.ts', 'src/protocol/index.ts', 'src/crypto/index.ts']) add(path);
  return names;
}

/** Imports between files of ours. */
function edges(sources: Sources, wanted: (found: Import) => boolean): [string, string, number][] {
  return [...sources].flatMap(([path, source]) =>
    importsOf(source)
      .filter(found => wanted(found) && found.specifier?.startsWith('.'))
      .map(({ specifier, line }): [string, string, number] => [path, normalize(join(dirname(path), specifier!)), line]),
  );
}

/** Files that load each other: which of them runs first would depend on who asks. */
const cyclesOfFiles = (sources: Sources): string[] => cycles(edges(sources, ({ loads }) => loads));

/** Folders of the protocol that know each other, if only by types. A file directly in src/protocol counts as a folder of its own. */
function cyclesOfFolders(sources: Sources): string[] {
  const folder = (path: string) => /^src\/protocol\/[^/]+/.exec(path)?.[0];
  return cycles(
    edges(sources, () => true).flatMap(([from, to, line]): [string, string, number][] => {
      const [a, b] = [folder(from), folder(to)];
      return a === undefined || b === undefined || a === b ? [] : [[a, b, line]];
    }),
  );
}

/** Each edge that leads back to where it comes from. */
function cycles(list: readonly [string, string, number][]): string[] {
  const next = new Map<string, Set<string>>();
  for (const [from, to] of list) next.set(from, (next.get(from) ?? new Set()).add(to));
  const reaches = (from: string, goal: string): boolean => {
    const seen = new Set<string>();
    const open = [from];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (at === goal) return true;
      if (seen.has(at)) continue;
      seen.add(at);
      open.push(...(next.get(at) ?? []));
    }
    return false;
  };
  return list
    .filter(([from, to]) => reaches(to, from))
    .map(([from, to, line]) => `${from}:${line}: ${to} leads back to it`);
}
