// The profile: where the time of our switchboard goes while it relays, by perf(1), in groups that mean something.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pause, Scope } from '../test/kit/processes.ts';
import { table } from '../test/kit/table.ts';
import { which } from '../test/kit/tools.ts';
import { type Contender, helper } from './contenders.ts';
import { figure } from './statistics.ts';
import { transfer } from './transfer.ts';

export interface Profile {
  readonly samples: number;
  readonly cipher: string;
  /** Parts of all samples. */
  readonly groups: readonly { readonly name: string; readonly part: number }[];
  /** The functions with the most time of their own. */
  readonly functions: readonly { readonly name: string; readonly group: string; readonly part: number }[];
}

export interface ProfileOptions {
  readonly contender: Contender;
  readonly seconds: number;
  /** Where what perf has recorded is left, for other tools. */
  readonly directory?: string;
  readonly progress: (text: string) => void;
}

/** Samples a second of CPU time; no round number, so that nothing keeps step with it. */
const FREQUENCY = 997;
const FUNCTIONS = 12;
/** What the compiler needs, before anything counts. */
const UNMEASURED = 2;

/** @throws where there is no perf, or it may not */
export async function measureProfile({ contender, seconds, directory, progress }: ProfileOptions): Promise<Profile> {
  const perf = which('perf');
  if (perf === undefined) throw new Error('perf is not installed');
  progress(`profile: ${contender.title}`);
  const scope = new Scope();
  try {
    const { child, port } = await helper(scope, 'source.ts');
    const server = await contender.start(scope, port, {
      runtime: ['--perf-basic-prof', '--no-logfile-per-isolate', '--logfile=/dev/null'],
    });
    // Names of compiled functions; perf looks for them there and nowhere else.
    const map = `/tmp/perf-${server.child.pid}.map`;
    scope.defer(() => rmSync(map, { force: true }));
    const file = join(scope.directory(), 'perf.data');
    const record = async () => {
      await pause(UNMEASURED * 1000);
      const args = [
        'record',
        '-q',
        '-F',
        String(FREQUENCY),
        '-g',
        '-o',
        file,
        '-p',
        String(server.child.pid),
        '--',
        'sleep',
        String(seconds),
      ];
      const { code, stderr } = await scope.run(perf, args);
      if (code !== 0) throw new Error(`perf record: ${stderr}`);
    };
    const total = { bytes: Infinity, seconds: UNMEASURED + seconds + 1 };
    const [{ cipher }] = await Promise.all([transfer(server, { port, pid: child.pid }, total), record()]);
    const { stdout } = await scope.run(perf, ['script', '-i', file, '-F', 'comm,ip,sym,dso']);
    if (directory) {
      mkdirSync(directory, { recursive: true });
      copyFileSync(file, join(directory, 'perf.data'));
      copyFileSync(map, join(directory, `perf-${server.child.pid}.map`));
    }
    return { cipher, ...summary(stdout.toString()) };
  } finally {
    await scope.end();
  }
}

interface Frame {
  readonly symbol: string;
  /** The file that it lies in. */
  readonly object: string;
}

/** From what `perf script` writes: a block for each sample, the innermost function first. */
export function summary(script: string): Omit<Profile, 'cipher'> {
  const groups = new Map<string, number>();
  const functions = new Map<string, { name: string; group: string; count: number }>();
  let samples = 0;
  for (const block of script.split('\n\n')) {
    const frames = Array.from(block.matchAll(/^\s+[0-9a-f]+ (.*) \(([^()]*)\)$/gm), ([, symbol, object]) => ({
      symbol,
      object,
    }));
    if (frames.length === 0) continue;
    samples++;
    const group = groupOf(frames);
    groups.set(group, (groups.get(group) ?? 0) + 1);
    const name = readable(frames[0].symbol);
    const key = `${name}\n${group}`;
    const entry = functions.get(key) ?? { name, group, count: 0 };
    entry.count++;
    functions.set(key, entry);
  }
  const part = (count: number) => count / samples;
  return {
    samples,
    groups: GROUPS.map(name => ({ name, part: part(groups.get(name) ?? 0) })).sort((a, b) => b.part - a.part),
    functions: [...functions.values()]
      .sort((a, b) => b.count - a.count)
      .slice(0, FUNCTIONS)
      .map(({ name, group, count }) => ({ name, group, part: part(count) })),
  };
}

const READ = 'kernel: read';
const WRITE = 'kernel: write';
const KERNEL = 'kernel: the rest';
const MEMORY = 'memory: taken, given back, copied, page faults';
const CIPHER = 'the cipher';
const OBJECTS = 'objects around the cipher (node:crypto, OpenSSL)';
const SOCKETS = 'sockets in the runtime (node, libuv)';
const GC = 'garbage collector';
const COMPILER = 'compiler';
const OURS = 'our JavaScript';
const NODE_JS = 'the runtime’s JavaScript';
const REST = 'the runtime: the rest';
const GROUPS = [READ, WRITE, KERNEL, MEMORY, CIPHER, OBJECTS, SOCKETS, GC, COMPILER, OURS, NODE_JS, REST];

/** By the innermost function … */
const BY_FUNCTION: readonly (readonly [RegExp, string])[] = [
  [/^_?(?:aesni|aes_|vaes|gcm_|ghash|chacha|Chacha|poly1305|sha\d)|CRYPTO_gcm128|^ossl_(?:vaes|aes_gcm)/, CIPHER],
  [/memmove|memcpy|memset|malloc|calloc|^_?_?(?:int_|cfree|free)|unlink_chunk|Allocator::|BackingStore/, MEMORY],
  [/v8::internal::(?:compiler|maglev|baseline|turboshaft|interpreter|Compiler|\w*Compil)/, COMPILER],
  [
    /Scaveng|MarkCompact|Marking|Sweep|Evacuat|GarbageCollect|Worklist|v8::internal::(?:Heap|LocalHeap|Young|MemoryChunk)::/,
    GC,
  ],
];
/** … or, for one of many uses, by the nearest that calls it. */
const BY_CALLER: readonly (readonly [RegExp, string])[] = [
  [/^(?:EVP_|evp_|ossl_|CRYPTO_|OPENSSL_|OSSL_|ERR_)|node::crypto/, OBJECTS],
  [/node::(?:StreamBase|LibuvStreamWrap|StreamReq|WriteWrap)|^uv_/, SOCKETS],
  [/^JS:.*\/dist\//, OURS],
  [/^JS:.* node:/, NODE_JS],
];
const IN_KERNEL: readonly (readonly [RegExp, string])[] = [
  [/page_fault|sys_(?:mmap|munmap|madvise|brk|mprotect)/, MEMORY],
  [/^(?:__x64_sys|ksys|do|vfs)_(?:read|readv)$|sys_recv/m, READ],
  [/^(?:__x64_sys|ksys|do|vfs)_(?:write|writev)$|sys_send/m, WRITE],
];

function groupOf(frames: readonly Frame[]): string {
  const [{ symbol, object }] = frames;
  const find = (table: typeof IN_KERNEL, text: string) => table.find(([pattern]) => pattern.test(text))?.[1];
  const kernel = (frame: Frame) => frame.object.startsWith('[kernel');
  if (kernel({ symbol, object })) {
    const calls = frames.filter(kernel).map(frame => frame.symbol);
    return find(IN_KERNEL, calls.join('\n')) ?? KERNEL;
  }
  const own = find(BY_FUNCTION, symbol);
  if (own !== undefined) return own;
  for (const frame of frames) {
    const caller = find(BY_CALLER, frame.symbol);
    if (caller !== undefined) return caller;
  }
  return REST;
}

/** Without the directories, and what the compiler's tiers are marked with. */
const readable = (symbol: string): string =>
  symbol
    .replace(/^(?:JS|LazyCompile|Function|Script|Builtin|BytecodeHandler|Stub):[~*^+]?/, '')
    .replace(/file:\/\/\S*\/dist\//, 'dist/')
    .replace(/\+0x[0-9a-f]+$/, '')
    .slice(0, 80);

const percent = (part: number): string => `${figure(100 * part)} %`;

export function profileReport({ samples, cipher, groups, functions }: Profile): string {
  return [
    `One circuit through cordboard on this Node, ${cipher}; ${samples} samples. Time of its own, by group:`,
    '',
    table(
      ['where', 'part'],
      groups.map(({ name, part }) => [name, percent(part)]),
    ),
    '',
    'Functions with the most:',
    '',
    table(
      ['function', 'group', 'part'],
      functions.map(({ name, group, part }) => [`\`${name}\``, group, percent(part)]),
      2,
    ),
  ].join('\n');
}
