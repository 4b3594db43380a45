// The runtimes: where `npm run runtimes` installs them, and which of them runs the program under test (CORDBOARD_TEST_RUNTIME).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '..', '..');
const folder = join(root, 'test', 'runtime');
const { optionalDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
  optionalDependencies: Record<string, string>;
};
/** A URL, so that programs find it whatever their working directory is. */
const tsx = pathToFileURL(join(root, 'node_modules', 'tsx', 'dist', 'loader.mjs')).href;

export interface Runtime {
  /** Its folder in test/runtime/node_modules: "node24", "bun". */
  readonly id: string;
  /** Name and version: "Node 24.12.0". */
  readonly title: string;
  /** The path of the program; `needs(test, binary)` says whether it is installed. */
  readonly binary: string;
  /** What stands before a TypeScript file. */
  readonly args: readonly string[];
}

function runtime(name: string, id: string, program: string, args: readonly string[] = []): Runtime {
  const binary = join(folder, 'node_modules', id, program);
  const version = optionalDependencies[id].replace(/^.*@/, '');
  return { id, title: `${name} ${version}`, binary, args };
}

export const runtimes: readonly Runtime[] = [
  // The only one that does not take TypeScript as it is.
  runtime('Node', 'node20', 'bin/node', ['--import', tsx]),
  runtime('Node', 'node22', 'bin/node'),
  runtime('Node', 'node24', 'bin/node'),
  runtime('Node', 'node26', 'bin/node'),
  runtime('Bun', 'bun', 'bin/bun'),
  runtime('Deno', 'deno', 'deno', ['run', '-A', '--node-modules-dir=manual', '--quiet']),
];

/** The runtime `id`. @throws if there is none */
export function runtimeOf(id: string): Runtime {
  const found = runtimes.find(each => each.id === id);
  if (found === undefined)
    throw new Error(`no runtime ${id}: it is one of ${runtimes.map(each => each.id).join(', ')}`);
  return found;
}

const wanted = process.env.CORDBOARD_TEST_RUNTIME;

/**
 * Program and first arguments that run a TypeScript file as the program under test: on the runtime that
 * CORDBOARD_TEST_RUNTIME names ("node24", "bun"), else on this process's own Node.
 */
export const underTest: readonly [string, ...string[]] = wanted
  ? [runtimeOf(wanted).binary, ...runtimeOf(wanted).args]
  : [process.execPath, '--import', tsx];
