// The reads that block, by which Bun and so the one binary has a terminal: on a named pipe, which gives in order what is written to it.
import { execFileSync } from 'node:child_process';
import { fstatSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BlockingMaster } from '../../../src/apps/once/master.ts';
import { bounded, eventually, type Scope, soon } from '../../kit/processes.ts';

/** A master, and two who have the other end open: we, and somebody whom it does not wait for. */
function piped(scope: Scope) {
  const path = join(scope.directory(), 'pipe');
  execFileSync('mkfifo', [path]);
  const [fd, slave, other] = [0, 1, 2].map(() => openSync(path, 'r+'));
  let heard = '';
  const master = new BlockingMaster(fd, chunk => {
    heard += Buffer.from(chunk).toString('latin1');
  });
  const closed = () => {
    try {
      fstatSync(fd);
      return false;
    } catch {
      return true;
    }
  };
  return { master, slave, closed, say: (text: string) => void writeSync(other, text), heard: () => heard };
}

test(
  'what is written comes, to the last byte before it was drained and none behind',
  bounded(120, async scope => {
    const { master, slave, closed, say, heard } = piped(scope);
    say('one');
    await eventually('one', () => heard() === 'one');
    // More than is read at once, and no multiple of it.
    const much = 'x'.repeat(65_000);
    say(much);
    say(' two');
    await soon('the end', master.drain(slave));
    assert.is(heard(), `one${much} two`);
    say('three');
    master.close();
    assert.ok(closed(), 'nothing is being read any more');
    assert.is(heard(), `one${much} two`);
  }),
);

test(
  'a mark that comes in two pieces is one',
  bounded(120, async scope => {
    const { master, slave, say, heard } = piped(scope);
    // The mark lies across the end of what is read at once, 64 KiB: the first of it may be heard only once it is known for none.
    const much = 'x'.repeat(65_520);
    master.pause();
    say('first');
    await eventually('the read that was under way', () => heard() === 'first');
    say(much.slice(0, 30_000));
    say(much.slice(30_000));
    await soon('the end', master.drain(slave));
    assert.is(heard(), `first${much}`);
    master.close();
  }),
);

test(
  'while paused nothing is read but what was under way; what is written arrives',
  bounded(120, async scope => {
    const { master, slave, say, heard } = piped(scope);
    master.pause();
    say('a');
    await eventually('the read that was under way', () => heard() === 'a');
    await soon('the write', master.write(Buffer.from('written by ourselves')));
    await new Promise(resolve => setTimeout(resolve, 50));
    assert.is(heard(), 'a');
    master.resume();
    await eventually('the rest', () => heard() === 'awritten by ourselves');
    await soon('the end', master.drain(slave));
    master.close();
  }),
);

test(
  'closed while it reads, it keeps its file descriptor until the read is done, and hears nothing of it',
  bounded(120, async scope => {
    const { master, slave, closed, say, heard } = piped(scope);
    master.close();
    assert.not.ok(closed(), 'a thread still reads from it');
    await soon('a write to nobody', master.write(Buffer.from('x')));
    say('too late');
    await eventually('the end of the read', closed);
    assert.is(heard(), '');
    await soon('draining what is closed', master.drain(slave));
  }),
);

test.run();
