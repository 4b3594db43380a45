// `npm run binary`: one file with everything in it, Bun and a bundle of src. DESIGN.md says why that one.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const builder = join(root, 'test', 'runtime', 'node_modules', 'bun', 'bin', 'bun');
const flags = new Command('npm run binary --')
  .description('Makes one file of the program and the runtime that it needs.')
  .option('--output <file>', 'where to', join(root, 'build', 'cordboard'))
  .option('--bun <file>', "another machine's bun, for a binary that runs there (default: that of `npm run runtimes`)")
  .showHelpAfterError('(--help shows what is possible)')
  .parse()
  .opts<{ output: string; bun?: string }>();
const output = resolve(flags.output);

/** Files that the program asks `packaged` for. */
const PACKAGED = [
  'cordboard/package.json',
  'asciinema-player/dist/bundle/asciinema-player.min.js',
  'asciinema-player/dist/bundle/asciinema-player.css',
];
/** Folders that the program reads beside its own files, as `import.meta.dirname` tells: by their names in the binary, too. */
const FOLDERS = ['src/apps/switchboard/console/www'];
/** Packages with machine code, which would have to lie beside the binary: it does without them, by what Bun has itself. */
const ABSENT = /^(?:koffi|libsql)$/;

/** Its package has no file with its licence. */
const BUN = `==== Bun\n\nMIT; what it is linked with, JavaScriptCore under the LGPL 2 among it: https://bun.com/docs/project/licensing\n`;

/** Puts files and what is left out in their places. */
const inside: Plugin = {
  name: 'inside',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: ABSENT }, ({ path }) => ({ path, namespace: 'absent' }));
    onLoad({ filter: /./, namespace: 'absent' }, ({ path }) => ({
      contents: `throw new Error('${path} is not in the binary')`,
    }));
    onLoad({ filter: /\/src\/server\/runtime\/packaged\.ts$/ }, () => {
      const { resolve } = createRequire(import.meta.url);
      const files = Object.fromEntries(PACKAGED.map(name => [name, readFileSync(resolve(name), 'utf8')]));
      return { contents: `const files = ${JSON.stringify(files)};\nexport const packaged = name => files[name];` };
    });
  },
};

if (!existsSync(builder)) fail(`there is no ${builder}; \`npm run runtimes\` installs it`);
const directory = mkdtempSync(join(tmpdir(), 'cordboard-binary-'));
// However it ends.
process.on('exit', () => rmSync(directory, { recursive: true }));
const script = join(directory, 'main.js');
const licences = await bundle(script);
mkdirSync(dirname(output), { recursive: true });
for (const folder of FOLDERS) cpSync(join(root, folder), join(directory, basename(folder)), { recursive: true });
const assets = FOLDERS.map(folder => `--asset=${basename(folder)}`);
const base = flags.bun === undefined ? ['--bytecode'] : [`--compile-executable-path=${resolve(flags.bun)}`];
// The directory in which it is started has no say in what it does.
const closed = ['dotenv', 'bunfig', 'tsconfig', 'package-json'].map(name => `--no-compile-autoload-${name}`);
const args = [
  'build',
  '--compile',
  '--format=esm',
  '--target=bun',
  ...base,
  ...closed,
  ...assets,
  `--outfile=${output}`,
  script,
];
const made = spawnSync(builder, args, { cwd: directory, encoding: 'utf8' });
if (made.status !== 0) fail(`bun ${args.join(' ')} failed: ${made.stderr}`);
writeFileSync(`${output}.licences.txt`, licences);
process.stdout.write(`${output}: ${(statSync(output).size / 2 ** 20).toFixed(1)} MiB\n`);

/** Makes one script of the program. @returns the licences of what is in it */
async function bundle(outfile: string): Promise<string> {
  const { metafile } = await build({
    entryPoints: [join(import.meta.dirname, 'main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Packages of the older kind ask for modules of the runtime so.
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
    // Names stay: some are in messages.
    minifySyntax: true,
    minifyWhitespace: true,
    external: ['bun:*'],
    plugins: [inside],
    metafile: true,
    logLevel: 'warning',
  });
  const packages = new Set(
    [...Object.keys(metafile.inputs), ...PACKAGED.map(name => `node_modules/${name}`)].flatMap(packageOf),
  );
  return [BUN, ...[...packages].sort().map(licence)].join('\n');
}

/** "…/node_modules/@noble/curves/abstract/edwards.js" is of "…/node_modules/@noble/curves". */
function packageOf(path: string): string[] {
  return /^.*node_modules\/(?!cordboard\/)(?:@[^/]+\/)?[^/]+/.exec(path)?.slice(0, 1) ?? [];
}

function licence(folder: string): string {
  const path = resolve(root, folder);
  const files = readdirSync(path).filter(file => /^licen[cs]e/i.test(file));
  const texts = files.map(file => readFileSync(join(path, file), 'utf8'));
  // Some only name it.
  if (texts.length === 0) {
    const { license, author } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
    if (license === undefined) fail(`${folder} has no licence`);
    texts.push(`${license}${author === undefined ? '' : `, ${author.name ?? author}`}\n`);
  }
  return `==== ${folder.replace(/^.*node_modules\//, '')}\n\n${texts.join('\n')}`;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
