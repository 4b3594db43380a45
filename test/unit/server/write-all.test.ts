// Short writes: the system may take less than it is given, so nobody writes without looking at how much it took.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeAll } from '../../../src/server/runtime/write-all.ts';
import { bounded } from '../../kit/processes.ts';

const src = join(import.meta.dirname, '..', '..', '..', 'src');

test(
  'what a pipe takes in parts arrives whole',
  bounded(180, async scope => {
    const pipe = join(scope.directory(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    // A reader that takes its time: the pipe holds 64 KiB. It reads into a file, because this thread waits for it.
    const copy = join(scope.directory(), 'copy');
    const reader = spawn('sh', ['-c', `sleep 0.2; cat < "${pipe}" > "${copy}"`], { stdio: 'inherit' });
    const ended = new Promise(resolve => reader.on('close', resolve));
    const bytes = new Uint8Array(1_000_000).map((_, i) => i % 251);
    const fd = openSync(pipe, 'w');
    writeAll(fd, bytes);
    closeSync(fd);
    await ended;
    assert.is(Buffer.compare(readFileSync(copy), bytes), 0);
  }),
);

test('no file is written by a call whose count nobody looks at', () => {
  const careless: string[] = [];
  for (const name of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    for (const [i, line] of readFileSync(join(src, name), 'utf8').split('\n').entries())
      if (/^\s*(await )?(\w+\.)?(writeSync|handle\.write)\(/.test(line)) careless.push(`${name}:${i + 1}`);
  }
  assert.equal(careless, []);
});

test.run();
