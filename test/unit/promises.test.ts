// The rule that no promise of src is without a catch (`architecture.test.ts` applies it): a proof that each part of it can be broken.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unhandled } from '../kit/promises.ts';

const root = join(import.meta.dirname, '../..');

const DECLARED = `import { EventEmitter } from 'node:events';
declare function one(): Promise<number>;
declare function maybe(): void | Promise<void>;
declare function no(): boolean;
declare const it: { send(text: string): Promise<void>; later?: () => Promise<void>; heard: (() => void) | undefined; kept: Promise<number> };
declare const list: string[];
declare const events: EventEmitter;
declare function both(hear: () => void | Promise<void>): void;
declare function any(hear: () => unknown): void;
`;

/** Each of them is found, by its text. */
const bad: string[] = [
  'one();',
  'void one();',
  'void maybe();',
  'maybe();',
  "void it.send('');",
  'it.later?.();',
  'no() && one();',
  'no() ? one() : no();',
  'one().then(() => {});',
  'one().finally(() => {});',
  'void Promise.all([one()]);',
  'void Promise.race([one(), it.kept]).then(() => {});',
  'it.kept = one();',
  'it.heard = async () => { await one(); };',
  'it.heard = () => one();',
  'setTimeout(async () => { await one(); }, 1);',
  'setInterval(() => one(), 1);',
  'setImmediate(one);',
  'queueMicrotask(async () => {});',
  "events.on('x', async () => { await one(); });",
  "process.on('SIGHUP', async () => { await one(); });",
  'list.forEach(async text => { await it.send(text); });',
  'list.forEach(it.send);',
  '(async () => { await one(); })();',
  'new Promise(async resolve => { resolve(await one()); }).catch(() => {});',
];

const good: string[] = [
  'await one();',
  'one().catch(() => {});',
  'void one().catch(() => {});',
  'one().then(() => {}, () => {});',
  'one().finally(() => {}).catch(() => {});',
  'const value = await (no() ? one() : 1); String(value);',
  'no(); void list.pop();',
  'both(async () => { await one(); });',
  'any(async () => { await one(); });',
  'both(one as () => Promise<void>);',
  'await Promise.all(list.map(async text => { await it.send(text); }));',
  'await Promise.all(list.map(it.send));',
  'one().catch(() => one()).catch(() => {});',
  'setTimeout(() => { one().catch(() => {}); }, 1);',
  'setTimeout(() => one().catch(() => {}), 1);',
  'export const later = (): Promise<number> => one();',
  'new Promise<void>(resolve => setTimeout(resolve, 1)).catch(() => {});',
];

/** What is found in a project with these files, by their names. */
function checked(lines: readonly string[]): Map<number, string[]> {
  const project = mkdtempSync(join(tmpdir(), 'promises-'));
  try {
    symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'));
    const options = { target: 'es2022', lib: ['es2023'], module: 'nodenext', types: ['node'], strict: true };
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }));
    for (const [i, line] of lines.entries())
      writeFileSync(join(project, `f${i}.ts`), `${DECLARED}${line}\nexport {};\n`);
    const found = new Map<number, string[]>();
    for (const text of unhandled(project, '.')) {
      const [, i] = /^f(\d+)\.ts:10: /.exec(text) ?? [];
      assert.ok(i !== undefined, text);
      found.set(Number(i), [...(found.get(Number(i)) ?? []), text]);
    }
    return found;
  } finally {
    rmSync(project, { recursive: true });
  }
}

test('what breaks the rule is found, with file and line', () => {
  const found = checked(bad);
  assert.equal(
    bad.filter((_, i) => !found.has(i)),
    [],
  );
});

test('what keeps to it is not reported', () => {
  assert.equal([...checked(good).values()].flat(), []);
});

test.run();
