// CONTRIBUTING.md, "How we write", 10: whatever the library exports says what it is, and so does each public member; and DESIGN.md names files that exist.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { undocumented } from '../kit/documentation.ts';

const MODULES = [
  'src/index.ts',
  'src/protocol/index.ts',
  'src/crypto/index.ts',
  'src/crypto/portable.ts',
  'src/server/index.ts',
  'src/client/index.ts',
];

test('everything public has a doc comment', () => {
  const found = undocumented(join(import.meta.dirname, '../..'), MODULES);
  if (found.length > 0) throw new Error(`${found.length} without a doc comment:\n${found.join('\n')}`);
});

test('DESIGN names files that are there: each is one of src, test or binary, by the end of its path or with what follows it left out', () => {
  const root = join(import.meta.dirname, '../..');
  const files = ['src', 'test', 'binary'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(name => `${folder}/${name}`),
  );
  const design = readFileSync(join(root, 'DESIGN.md'), 'utf8');
  const named = [...design.matchAll(/`([\w-]+(?:\/[\w-]+)+(?:\.ts)?)`/g)].map(([, name]) => name);
  const isFile = (name: string) =>
    name.startsWith('test/')
      ? files.includes(`${name}.test.ts`) || files.includes(name)
      : files.some(file => file === name || file.endsWith(`/${name}`));
  const wanted = named.filter(name => name.endsWith('.ts') || name.startsWith('test/'));
  assert.ok(wanted.length > 40, `${wanted.length} are seen`);
  assert.equal([...new Set(wanted.filter(name => !isFile(name)))], []);
});

test('what has none is found, with file and line; what is private or inherited is not', () => {
  const root = mkdtempSync(join(tmpdir(), 'documentation-'));
  try {
    writeFileSync(join(root, 'tsconfig.json'), '{ "compilerOptions": { "module": "nodenext" }, "include": ["*.ts"] }');
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
    writeFileSync(
      join(root, 'index.ts'),
      "export * from './a.js';\nexport { Named as Renamed } from './a.js';\n// Not a doc comment.\nexport function bare() {}\n",
    );
    writeFileSync(
      join(root, 'a.ts'),
      `/** Said. */
export interface Named {
  /** Said. */
  said: number;
  unsaid: number;
}
/** Said. */
export class Thing extends Error implements Named {
  #hidden = 1;
  static made = 1;
  said = 1;
  unsaid = 2;
  override name = 'Thing';
  constructor() { super(); this.#hidden++; }
  method() {}
  get value() { return this.#hidden; }
}
/** Said. */
export type Shape = { readonly part: string };
/** Said. */
export type Either = 'a' | 'b';
export const constant = 1;
function inside() {}
inside();
`,
    );
    assert.equal(undocumented(root, ['index.ts']), [
      'a.ts:5: Named.unsaid',
      'a.ts:10: Thing.made',
      'a.ts:15: Thing.method',
      'a.ts:16: Thing.value',
      'a.ts:19: Shape.part',
      'a.ts:22: constant',
      'index.ts:4: bare',
    ]);
    assert.throws(() => undocumented(root, ['absent.ts']), /absent\.ts is no module/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
