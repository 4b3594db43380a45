// Unix sockets to listen on: nobody else can connect at any moment, and nothing is replaced.
import { existsSync, lstatSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { listenPath } from '../../../src/server/runtime/paths.ts';
import { readAll, unixConnect } from '../../kit/loopback.ts';
import { bounded } from '../../kit/processes.ts';
import { turn } from '../../kit/socket.ts';

const mode = (path: string) => lstatSync(path).mode & 0o777;

test(
  'there is no moment at which others could connect, whatever the umask; then it is as it should be',
  bounded(180, async scope => {
    const directory = scope.directory();
    const path = join(directory, 'socket');
    const before = process.umask(0);
    try {
      let done = false;
      const listening = listenPath(path, socket => socket.destroy());
      const finished = () => void (done = true);
      listening.then(finished, finished);
      for (; !done; await turn()) {
        for (const name of readdirSync(directory)) {
          const found = lstatSync(join(directory, name), { throwIfNoEntry: false });
          if (found !== undefined) assert.is(found.mode & 0o077, 0, `${name} has ${found.mode.toString(8)}`);
        }
      }
      const listener = await listening;
      assert.is(mode(path), 0o600);
      assert.equal(readdirSync(directory), ['socket']);
      const socket = await unixConnect(scope, path);
      socket.end();
      await readAll(socket);
      await listener.close();
      assert.equal(readdirSync(directory), []);
    } finally {
      process.umask(before);
    }
  }),
);

test(
  'what lies there already stays, and nothing else is left behind; a path that is only just short enough will do',
  bounded(180, async scope => {
    const directory = scope.directory();
    const file = join(directory, 'file');
    writeFileSync(file, 'precious');
    const code = await listenPath(file, () => {}).then(
      () => 'listens',
      (error: { code?: string }) => error.code,
    );
    assert.is(code, 'EADDRINUSE');
    assert.equal(readdirSync(directory), ['file']);
    const missing = await listenPath(join(directory, 'none', 'x'), () => {}).catch((error: { code?: string }) => error);
    assert.is((missing as { code?: string }).code, 'ENOENT');

    const long = join(directory, 'x'.repeat(103 - directory.length - 1));
    const listener = await listenPath(long, socket => socket.destroy());
    await readAll(await unixConnect(scope, long));
    // Whoever has put something else there keeps it.
    renameSync(long, `${long.slice(0, -1)}y`);
    writeFileSync(long, 'another');
    await listener.close();
    assert.ok(existsSync(long));
  }),
);

test.run();
